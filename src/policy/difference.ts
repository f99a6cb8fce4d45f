/**
 * What a change of a policy changes, and whether it asks less of anybody. Pure.
 *
 * It compares documents, not what they do: a rule that goes may have asked for nothing that another does not ask for, and
 * is called lower all the same.
 */
import { LEVELS, type Level, reaches } from './assurance.ts';
import type { PolicyDocument, PolicyRule } from './document.ts';
import { MAX_REMEMBER_SECONDS } from './policy.ts';

/** One difference; `from` or `to` is absent where there was, or is, nothing. */
export interface Difference {
  /** Such as `rules.payroll.need.level`; rules are named by their ids. */
  at: string;
  from?: unknown;
  to?: unknown;
  /** It asks less of somebody. */
  lowers: boolean;
}

/** In the order in which a document has them; rules that only changed places are no difference. */
export function differences(before: PolicyDocument, after: PolicyDocument): Difference[] {
  const found: Difference[] = [];
  if (before.useOwned !== after.useOwned) found.push({ at: 'useOwned', from: before.useOwned, to: after.useOwned, lowers: !after.useOwned });
  found.push(...ofNames(before.acr, after.acr));
  const [from, to] = [before.floors.administrator, after.floors.administrator];
  if (from !== to) found.push({ at: 'floors.administrator', from, to, lowers: !reaches(to, from) });
  const rules = new Map(after.rules.map((rule) => [rule.id, rule]));
  for (const rule of before.rules) {
    const now = rules.get(rule.id);
    rules.delete(rule.id);
    found.push(...(now === undefined ? [{ at: `rules.${rule.id}`, from: rule, lowers: true }] : ofRule(rule, now)));
  }
  // One more rule never lowers anything.
  for (const rule of rules.values()) found.push({ at: `rules.${rule.id}`, to: rule, lowers: false });
  return found;
}

/** A name that goes, or stands for less, asks less of whoever is asked for it. */
function ofNames(before: PolicyDocument['acr'], after: PolicyDocument['acr']): Difference[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((name): Difference[] => {
    const [from, to] = [before[name], after[name]];
    if (from === to) return [];
    const lowers = from !== undefined && (to === undefined || !reaches(to, from));
    return [{ at: `acr.${name}`, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }), lowers }];
  });
}

/** A rule that is told apart by what it says: the description lowers nothing. */
function ofRule(before: PolicyRule, after: PolicyRule): Difference[] {
  const at = `rules.${before.id}`;
  const found: Difference[] = [];
  const add = (name: string, from: unknown, to: unknown, lowers: boolean): void => {
    if (JSON.stringify(from) === JSON.stringify(to)) return;
    found.push({ at: `${at}.${name}`, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }), lowers });
  };
  add('description', before.description, after.description, false);
  for (const key of WHEN) add(`when.${key}`, before.when[key], after.when[key], !isWider(before.when[key], after.when[key]));
  const weaker = weakerParts(before.need, after.need);
  for (const key of NEED) add(`need.${key}`, before.need[key], after.need[key], weaker.has(key));
  return found;
}

const WHEN = ['client', 'role', 'group', 'user', 'action', 'risk'] as const;
const NEED = ['level', 'factors', 'maxAge', 'remember', 'enrolBy', 'graceLogins', 'deny'] as const;

/** Whether a condition holds wherever it did. */
const isWider = (before: readonly string[] | undefined, after: readonly string[] | undefined): boolean =>
  after === undefined || (before?.every((name) => after.includes(name)) ?? false);

/** The parts of a need that ask less than before. */
function weakerParts(before: PolicyRule['need'], after: PolicyRule['need']): Set<string> {
  const levelOf = ({ level }: PolicyRule['need']): Level => level ?? LEVELS[0];
  const weaker = {
    level: !reaches(levelOf(after), levelOf(before)),
    factors: before.factors !== undefined && !(after.factors?.every((id) => before.factors?.includes(id)) ?? false),
    maxAge: (after.maxAge ?? Number.POSITIVE_INFINITY) > (before.maxAge ?? Number.POSITIVE_INFINITY),
    remember: rememberOf(after) > rememberOf(before),
    enrolBy: graceUntil(after) > graceUntil(before),
    graceLogins: graceLogins(after) > graceLogins(before),
    deny: before.deny === true && after.deny !== true,
  };
  return new Set(Object.entries(weaker).flatMap(([key, lower]) => (lower ? [key] : [])));
}

/** As policy.ts counts it for one rule alone. */
const rememberOf = ({ remember, level, factors }: PolicyRule['need']): number =>
  remember ?? ((level ?? LEVELS[0]) !== LEVELS[0] || factors !== undefined ? 0 : MAX_REMEMBER_SECONDS);

/** Without a deadline and without a number there is no grace at all; with one of them the other is no limit. */
const hasGrace = ({ enrolBy, graceLogins: logins }: PolicyRule['need']): boolean => enrolBy !== undefined || logins !== undefined;
const graceUntil = (need: PolicyRule['need']): number =>
  need.enrolBy === undefined ? (hasGrace(need) ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY) : Date.parse(need.enrolBy);
const graceLogins = (need: PolicyRule['need']): number => need.graceLogins ?? (hasGrace(need) ? Number.POSITIVE_INFINITY : 0);
