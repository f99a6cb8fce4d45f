/**
 * Who must prove what: the need that follows from the facts of one request. Pure.
 *
 * Every rule that matches only raises (the strictest wins, so the order of rules never matters), and every need carries
 * the names of its rules, so that a page, a log line and the console can say why somebody is asked.
 * decide.ts holds what has been proved against the need and says what is still to ask.
 */
import type { Level } from './assurance.ts';
import { isLevel, LEVELS, reaches, strongest } from './assurance.ts';
import { comparableName, type PolicyDocument, type PolicyRule } from './document.ts';
import type { Facts, OwnedFactor, RuleName } from './facts.ts';
import { isForAdministrators, isPass } from './proofs.ts';

export type { Facts, FactsClient, FactsUser, OwnedFactor, RuleName } from './facts.ts';

/** What a set of proofs has to show. */
export interface Need {
  level: Level;
  /** A second factor is due whatever its level is: the user owns one, or a rule names factors. */
  second: boolean;
  /** The only factors that count besides the password; null for all. An empty set is never met. */
  factors: ReadonlySet<string> | null;
  /** Proofs before this do not count. */
  since: number;
  /** For how many seconds a device may be trusted; 0: not at all. */
  remember: number;
  /** Why nothing meets it: a rule says so, or the factors that the rules name have none in common. */
  never: 'denied' | 'empty' | null;
  /** A code or a pass for a lost factor is enough beside a first factor, whatever its level. */
  recoverable?: boolean;
  rules: RuleName[];
}

/**
 * What a need may be relieved of: of rules with a deadline while it has not come (`grace`), or of what only spares the
 * question on a trusted device (`device`). Never of floors, and never of what the application asked for.
 */
export type Relief = 'grace' | 'device';

/**
 * New factors are bound only by somebody who has just shown the strongest one that they own: who finds an open session
 * must not be able to add a factor of their own to it (NIST SP 800-63B-4 section 4.1.2.1; the five minutes are ours).
 */
export const ENROL_FRESH_MS = 5 * 60_000;

/** The longest that a device is trusted: NIST SP 800-63B-4 section 2.1.3 has everybody prove themselves anew after 30 days. */
export const MAX_REMEMBER_SECONDS = 30 * 86_400;

/** The level that a requested value stands for in this realm; the others are nobody's promise and are ignored. */
export function levelOfAcr(policy: Pick<PolicyDocument, 'acr'>, value: string): Level | undefined {
  const mapped = Object.hasOwn(policy.acr, value) ? policy.acr[value] : undefined;
  return mapped ?? (isLevel(value) ? value : undefined);
}

/** The least that a client asks of everybody (Keycloak's `minimum.acr.value`). A value that nobody knows lets nobody in by less than the most. */
export function clientFloor(policy: Pick<PolicyDocument, 'acr'>, value: string | undefined): Level | null {
  if (value === undefined || value === '') return null;
  return levelOfAcr(policy, value) ?? 'phrh';
}

/** The second factors that count as owned: a pass in somebody's hand is no reason to ask for one. */
export const ownedBy = ({ user, owned }: Pick<Facts, 'user' | 'owned'>): readonly OwnedFactor[] =>
  owned.filter((factor) => !isPass(factor) && (user?.administrator !== true || isForAdministrators(factor)));

/**
 * What the request needs, whoever the user turns out to be able to satisfy it with. The strictest of all matching rules
 * wins, in each of their parts, so that their order is of no account and one more rule never lowers anything.
 *
 * A requested acr only raises: the weakest listed level joins the realm's own. An exception lowers what rules ask, but
 * nothing that a client or being an administrator asks.
 */
export function needOf(facts: Facts, relief?: Relief): Need {
  const matching = matchingRules(facts);
  const graced = relief === 'grace' && graceOf(facts) !== null;
  const binding = matching.filter((rule) => relief !== 'device' && !(graced && hasGrace(rule)));
  const [ofClient, ofRealm] = [combined(binding.filter(isOfClient)), combined(binding.filter((rule) => !isOfClient(rule)))];
  const builtIn: RuleName[] = [];

  const owned = ownedBy(facts);
  if (relief !== 'device' && facts.policy.useOwned && owned.length > 0) {
    ofRealm.second = true;
    builtIn.push('user.owned');
  }
  // Of nobody who has nothing: whoever knows a stolen password must not be the one who sets up the factor.
  if (facts.policy.useOwned && facts.risk.length > 0 && owned.some((factor) => reaches(factor.level, 'aal2'))) {
    ofRealm.level = strongest(ofRealm.level, 'aal2');
    builtIn.push('risk');
  }
  if (lowerByException(facts, ofRealm)) builtIn.push('user.exception');

  let level = strongest(ofRealm.level, ofClient.level);
  for (const floor of floorsOf(facts)) {
    level = strongest(level, floor.level);
    builtIn.push(floor.name);
  }
  const maxAges = matching.flatMap((rule) => rule.need.maxAge ?? []);
  const since = Math.max(
    facts.requested.freshSince ?? Number.NEGATIVE_INFINITY,
    ...maxAges.map((seconds) => (facts.startedAt ?? facts.now) - seconds * 1000),
  );
  if (facts.requested.freshSince !== undefined) builtIn.push('request.max_age');
  if (facts.action === 'enrol') builtIn.push('action.enrol');
  const rules = [...matching.map((rule) => rule.id).sort(), ...builtIn];
  return {
    level,
    second: ofRealm.second || ofClient.second,
    factors: intersection([ofRealm.factors, ofClient.factors]),
    since,
    remember: rememberOf(facts, matching),
    never: neverOf(matching),
    rules: rules.length > 0 ? rules : ['default'],
  };
}

/**
 * What must have been shown before a new factor is bound: the strongest level that the user owns, moments ago.
 *
 * @param need what the request itself needs; its rules are kept, its freshness only gets stricter
 */
export function needBeforeEnrolment(facts: Facts, need: Need): Need {
  const recent = facts.action === 'enrol' && facts.actionFreshSince !== undefined ? facts.actionFreshSince : facts.now - ENROL_FRESH_MS;
  return { ...needOfStrongest(facts, need, recent), recoverable: true, rules: [...need.rules, 'enrol.recent'] };
}

/**
 * What must have been shown before something of the account is changed: the same, but that a code for a lost factor stands
 * for none that is stronger. However long the page stood open, it was moments ago.
 */
export function needBeforeChange(facts: Facts, need: Need): Need {
  const since = Math.max(facts.actionFreshSince ?? Number.NEGATIVE_INFINITY, facts.now - ENROL_FRESH_MS);
  return { ...needOfStrongest(facts, need, since), rules: [...need.rules, 'change.recent'] };
}

function needOfStrongest(facts: Facts, need: Need, since: number): Need {
  const owned = ownedBy(facts);
  // A factor of the password's own kind shows nothing new beside it and so lends no level, but it is asked all the same.
  const top = owned
    .filter((factor) => factor.kinds.some((kind) => kind !== 'knowledge'))
    .reduce<Level>((level, factor) => strongest(level, factor.level), 'aal1');
  // What is owned has to be shown whether or not it counts for the request.
  return { ...need, level: top, second: owned.length > 0, factors: null, since: Math.max(need.since, since) };
}

/**
 * How long an enrolment that a rule asks for may still be put off: until the earliest deadline of all matching rules, or
 * the fewest sign-ins, whichever comes first. Null when it may not: nobody does so who administers anything, and nobody
 * where the application asked for a level.
 */
export function graceOf(facts: Facts): { until: number | null; loginsLeft: number | null } | null {
  if (facts.user?.administrator || requestedLevel(facts) !== 'aal1') return null;
  const stated = matchingRules(facts).filter(hasGrace);
  if (stated.length === 0) return null;
  const deadlines = stated.flatMap(({ need }) => (need.enrolBy === undefined ? [] : [Date.parse(need.enrolBy)]));
  const logins = stated.flatMap(({ need }) => need.graceLogins ?? []);
  const until = deadlines.length > 0 ? Math.min(...deadlines) : null;
  const allowed = logins.length > 0 ? Math.min(...logins) : null;
  const loginsLeft = allowed === null ? null : allowed - facts.grace.used;
  // A sign-in that was put off has been counted by then.
  const enough = loginsLeft === null || (allowed !== 0 && loginsLeft >= (facts.skipped ? 0 : 1));
  return enough && (until === null || facts.now < until) ? { until, loginsLeft } : null;
}

/** Whether the facts' trusted device spares what may be spared. */
export const deviceStands = (facts: Facts, { remember }: Pick<Need, 'remember'>): boolean =>
  facts.device !== null && facts.now < facts.device.trustedAt + remember * 1000;

/** The rules that a request meets: every condition that a rule names, by any of its values. */
export function matchingRules({ policy, client, user, action, risk }: Facts): PolicyRule[] {
  const one = (wanted: readonly string[] | undefined, has: readonly string[]): boolean =>
    wanted === undefined || wanted.some((value) => has.includes(value));
  return policy.rules.filter(
    ({ when }) =>
      one(when.client, client === null ? [] : [client.clientId]) &&
      one(when.role, user?.roles ?? []) &&
      one(when.group, user?.groups ?? []) &&
      one(when.user, user === null ? [] : [user.id, comparableName(user.username)]) &&
      one(when.action, action === undefined ? [] : [action]) &&
      one(when.risk, risk),
  );
}

/** What a request asks for: the weakest of the levels that it lists, for any of them satisfies it. */
export function requestedLevel({ policy, requested }: Pick<Facts, 'policy' | 'requested'>): Level {
  const levels = requested.acr.flatMap((value) => levelOfAcr(policy, value) ?? []);
  return LEVELS.find((level) => levels.includes(level)) ?? 'aal1';
}

interface Part {
  level: Level;
  second: boolean;
  factors: ReadonlySet<string> | null;
}

/** The strictest of some rules. */
function combined(rules: readonly PolicyRule[]): Part {
  const named = rules.flatMap(({ need }) => (need.factors === undefined ? [] : [new Set(need.factors)]));
  return {
    level: rules.reduce<Level>((level, { need }) => strongest(level, need.level ?? 'aal1'), 'aal1'),
    // Whoever writes down factors means that one of them is shown.
    second: named.length > 0,
    factors: intersection(named),
  };
}

/** Null stands for all. */
function intersection(sets: readonly (ReadonlySet<string> | null)[]): ReadonlySet<string> | null {
  let all: ReadonlySet<string> | null = null;
  for (const one of sets) {
    if (one !== null) all = all === null ? one : all.intersection(one);
  }
  return all;
}

/** Whatever an exception or a deadline lowers, rules that contradict each other open nothing. */
function neverOf(matching: readonly PolicyRule[]): Need['never'] {
  if (matching.some((rule) => rule.need.deny === true)) return 'denied';
  return combined(matching).factors?.size === 0 ? 'empty' : null;
}

/** A rule that names clients is those clients' floor, which no exception lowers. */
const isOfClient = (rule: PolicyRule): boolean => rule.when.client !== undefined;

/** Whether a rule lets an enrolment be put off. */
export const hasGrace = ({ need }: PolicyRule): boolean => need.enrolBy !== undefined || need.graceLogins !== undefined;

/** Lowers what the realm's rules ask to what the user's exception says; false where there is nothing to lower. */
function lowerByException({ exception, now }: Facts, part: Part): boolean {
  if (exception === null || exception.until <= now) return false;
  const passes = exception.level === 'aal1';
  if (reaches(exception.level, part.level) && !(passes && part.second)) return false;
  part.level = reaches(exception.level, part.level) ? part.level : exception.level;
  part.factors = null;
  if (passes) part.second = false;
  return true;
}

/** What nothing lowers: the client's own floor, the administrators', and what the application asks for. */
function floorsOf(facts: Facts): { name: RuleName; level: Level }[] {
  const floors: { name: RuleName; level: Level | null }[] = [
    { name: 'client.floor', level: facts.client?.floor ?? null },
    { name: 'administrator.floor', level: facts.user?.administrator ? facts.policy.floors.administrator : null },
    { name: 'request.acr', level: facts.requested.acr.some((value) => levelOfAcr(facts.policy, value)) ? requestedLevel(facts) : null },
  ];
  return floors.flatMap(({ name, level }) => (level === null ? [] : [{ name, level }]));
}

/**
 * For how long a device may be trusted. A rule that asks for something has to say so itself; what nobody but the user
 * asked for, with a factor of their own, is theirs to be spared. Never for an administrator, a client's floor, or at risk.
 */
function rememberOf(facts: Facts, matching: readonly PolicyRule[]): number {
  if (facts.user?.administrator || facts.risk.length > 0 || (facts.client?.floor ?? 'aal1') !== 'aal1') return 0;
  const asks = ({ need }: PolicyRule): boolean => (need.level ?? 'aal1') !== 'aal1' || need.factors !== undefined;
  return Math.min(MAX_REMEMBER_SECONDS, ...matching.map((rule) => rule.need.remember ?? (asks(rule) ? 0 : MAX_REMEMBER_SECONDS)));
}
