/** A policy's reasons in words: one sentence each, in the language of whoever reads it. */
import type { FactorMap } from '../../factors/index.ts';
import { nameOf } from '../../factors/names.ts';
import { inWords, type MessageKey, type Translate } from '../../languages/messages.ts';
import type { PolicyRule } from '../../policy/document.ts';
import type { Reason } from '../../policy/explain.ts';

/** Our own reasons, by their names. */
const BUILT_IN: Readonly<Record<string, MessageKey>> = {
  default: 'policy.why.default',
  'user.owned': 'policy.why.owned',
  risk: 'policy.why.risk',
  'user.exception': 'policy.why.exception',
  'client.floor': 'policy.why.clientFloor',
  'administrator.floor': 'policy.why.administratorFloor',
  'request.acr': 'policy.why.requestAcr',
  'request.max_age': 'policy.why.requestMaxAge',
  'action.enrol': 'policy.why.action',
  'enrol.recent': 'policy.why.recent',
};

/** Why a rule, or one of ours, took part in a decision. */
export function whyOf(reason: Reason, factors: FactorMap, translate: Translate): string {
  if (reason.rule) return reason.rule.description ?? sentenceOf(reason.rule, factors, translate);
  const { id, level, until, reason: given } = reason;
  const key = BUILT_IN[id];
  if (key === undefined) return id;
  return translate(key, { level: level ?? '', until: until === null ? '' : dateOf(until), reason: given ?? '' });
}

/** What a rule says, as it is written down. */
export function sentenceOf({ when, need }: PolicyRule, factors: FactorMap, translate: Translate): string {
  const conditions = conditionsOf(when, translate);
  const needs = needsOf(need, factors, translate);
  return translate('policy.why.rule', {
    when:
      conditions.length > 0 ? conditions.map((words, index) => (index === 0 ? words : lowered(words))).join(', ') : translate('policy.when.realm'),
    need: needs.join('; '),
  });
}

function conditionsOf(when: PolicyRule['when'], translate: Translate): string[] {
  const risks = when.risk?.map((risk) => translate(`policy.risk.${risk}`));
  return [
    ...(when.user ? [translate('policy.when.user', { names: when.user })] : []),
    ...(when.role ? [translate('policy.when.role', { names: when.role })] : []),
    ...(when.group ? [translate('policy.when.group', { names: when.group })] : []),
    ...(when.client ? [translate('policy.when.client', { names: when.client })] : []),
    ...(when.action ? [translate('policy.when.enrol')] : []),
    ...(risks ? [translate('policy.when.risk', { names: risks })] : []),
  ];
}

function needsOf(need: PolicyRule['need'], factors: FactorMap, translate: Translate): string[] {
  const names = need.factors?.map((id) => {
    const factor = factors.get(id);
    return factor ? inWords(nameOf(factor), translate) : id;
  });
  const { level, maxAge, remember, enrolBy, graceLogins, deny } = need;
  return [
    ...(deny ? [translate('policy.need.deny')] : []),
    ...(level ? [translate('policy.need.level', { level })] : []),
    ...(names ? [translate('policy.need.factors', { names })] : []),
    ...(maxAge === undefined ? [] : [translate('policy.need.maxAge', { age: maxAge })]),
    ...(remember === undefined
      ? []
      : [remember === 0 ? translate('policy.need.rememberNever') : translate('policy.need.remember', { time: remember })]),
    ...(enrolBy === undefined ? [] : [translate('policy.need.enrolBy', { until: dateOf(Date.parse(enrolBy)) })]),
    ...(graceLogins === undefined ? [] : [translate('policy.need.graceLogins', { count: graceLogins })]),
  ];
}

/** In the middle of a sentence. */
const lowered = (words: string): string => words.charAt(0).toLowerCase() + words.slice(1);

const dateOf = (at: number): string => `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
