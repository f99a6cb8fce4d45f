/** A policy's reasons in words: one sentence each, in the language of whoever reads it. */
import type { FactorMap } from '../../factors/index.ts';
import { nameOf } from '../../factors/names.ts';
import { inWords, type Translate } from '../../languages/messages.ts';
import type { PolicyRule } from '../../policy/document.ts';
import type { Reason } from '../../policy/explain.ts';

/** Why a rule, or one of ours, took part in a decision. */
export function whyOf(reason: Reason, factors: FactorMap, translate: Translate): string {
  if (reason.rule) return reason.rule.description ?? sentenceOf(reason.rule, factors, translate);
  const level = reason.level ?? '';
  switch (reason.id) {
    case 'default':
      return translate('policy.why.default');
    case 'user.owned':
      return translate('policy.why.owned');
    case 'risk':
      return translate('policy.why.risk');
    case 'user.exception':
      return translate('policy.why.exception', { level, until: dateOf(reason.until ?? 0), reason: reason.reason ?? '' });
    case 'client.floor':
      return translate('policy.why.clientFloor', { level });
    case 'administrator.floor':
      return translate('policy.why.administratorFloor', { level });
    case 'request.acr':
      return translate('policy.why.requestAcr', { level });
    case 'request.max_age':
      return translate('policy.why.requestMaxAge');
    case 'action.enrol':
      return translate('policy.why.action');
    case 'enrol.recent':
      return translate('policy.why.recent');
    default:
      return reason.id;
  }
}

/** What a rule says, as it is written down. */
export function sentenceOf({ when, need }: PolicyRule, factors: FactorMap, translate: Translate): string {
  const conditions = conditionsOf(when, translate);
  const needs = needsOf(need, factors, translate);
  return translate('policy.why.rule', {
    when:
      conditions.length > 0 ? conditions.map((words, index) => (index === 0 ? words : lowered(words))).join(', ') : translate('policy.when.realm'),
    need: needs.join(', '),
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
