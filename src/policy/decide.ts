/**
 * What is still to ask, given what has been proved. Pure: no clock, no store, no request.
 *
 * The sign-in pages (login/machine.ts) and the provider's check before it issues anything call the same `decide`, so a
 * forged or early finish cannot pass and the two can never disagree. Only what is missing or stale is asked.
 *
 *     facts ─ needOf ─► need ─┬─ proofs meet it ──────────────► nothing   (acr, amr, auth_time of what counted)
 *                             ├─ no first factor ─────────────► password
 *                             ├─ an owned factor would do ────► factor
 *                             ├─ one to enrol would do ───────► enrol     (after the strongest owned one, moments ago)
 *                             └─ nothing would ───────────────► unmet
 */
import type { Kind, Level, Proof } from './assurance.ts';
import { reaches, strongest } from './assurance.ts';
import type { Facts, Need, OwnedFactor, RuleName } from './policy.ts';
import { knownLevels, needBeforeEnrolment, needOf } from './policy.ts';

export type { Facts, FactsUser, OwnedFactor, RuleName } from './policy.ts';

export type Decision =
  | {
      ask: 'nothing';
      /** The level that the counted proofs reach. */
      level: Level;
      /** What the token says: the first requested value that is satisfied, else the level's own name. */
      acr: string;
      amr: string[];
      /** When the oldest counted proof was made, in milliseconds. */
      authTime: number;
      counted: Proof[];
      rules: RuleName[];
      /** For how many seconds this device may be trusted from now on; 0: not at all. */
      remember: number;
      /** What has spared a question that was due: the level is lower than what was needed. */
      spared: 'grace' | 'device' | null;
    }
  | { ask: 'password'; rules: RuleName[] }
  /** Any one of these owned factors would do; whoever shows one may have the device trusted for `remember` seconds. */
  | { ask: 'factor'; factors: string[]; level: Level; remember: number; rules: RuleName[] }
  /** Any one of these may be enrolled and would do. */
  | { ask: 'enrol'; factors: string[]; level: Level; rules: RuleName[]; skip: Skip | null }
  /** The request cannot be met; `reason` is safe to show. */
  | { ask: 'unmet'; reason: string; rules: RuleName[] };

/** An enrolment that may be put off: until then, or as often; null where there is no such end. */
export interface Skip {
  until: number | null;
  loginsLeft: number | null;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * How long a proof of each level stands in a session, and for how long the session may lie idle.
 * NIST SP 800-63B-4 sections 2.1.3 (30 days) and 2.2.3 (24 hours, 1 hour of inactivity). `phr` is reached at AAL2;
 * `phrh` follows AAL3, section 2.3.3 (12 hours, 15 minutes).
 */
const LIFETIMES: Readonly<Record<Level, { age: number; idle: number }>> = {
  aal1: { age: 30 * DAY, idle: Number.POSITIVE_INFINITY },
  aal2: { age: 24 * HOUR, idle: 1 * HOUR },
  phr: { age: 24 * HOUR, idle: 1 * HOUR },
  phrh: { age: 12 * HOUR, idle: 15 * MINUTE },
};

/**
 * The proofs of a session that still stand. The session falls to the level that is left.
 *
 * @param lastSeenAt when the session was last used
 */
export function freshProofs(proofs: readonly Proof[], now: number, lastSeenAt: number): Proof[] {
  return proofs.filter((proof) => {
    const { age, idle } = LIFETIMES[proof.level];
    return now - proof.at <= age && now - lastSeenAt <= idle;
  });
}

/**
 * Authentication method references (RFC 8176) of a set of proofs: the union in order of first appearance, and `mfa`
 * when two distinct kinds were verified. Derived here and nowhere else: a factor never claims it.
 */
export function amrOf(proofs: readonly Proof[]): string[] {
  const methods = new Set(proofs.flatMap((proof) => proof.amr));
  methods.delete('mfa');
  return kindsOf(proofs).size >= 2 ? [...methods, 'mfa'] : [...methods];
}

/**
 * The level that a set of proofs reaches: the strongest that one of them supports beside a first factor of another kind
 * (a second app, or a secret question after a password, adds no kind and so no level), else aal1. Of no proofs at all it
 * is aal1 too, which is not to say that anybody signed in: that is for `decide`.
 */
export function levelOf(proofs: readonly Proof[]): Level {
  const firsts = proofs.filter(isFirst);
  return proofs
    .filter((proof) => firsts.some((first) => kindsOf([first, proof]).size >= 2))
    .reduce<Level>((level, proof) => strongest(level, proof.level), 'aal1');
}

/** The factor that begins a sign-in with something one knows. */
export const PASSWORD = 'password';

/** Whether a proof can begin a sign-in: a password, or one that shows two kinds by itself, as a passkey does. */
export function isFirst(proof: Proof): boolean {
  return proof.factor === PASSWORD || isComplete(proof);
}

/** What is to be asked next, or what the request may be granted. */
export function decide(facts: Facts): Decision {
  const need = needOf(facts);
  const known = knownLevels(facts.requested.acr);
  if (facts.requested.essential && facts.requested.acr.length > 0 && known.length === 0) {
    return { ask: 'unmet', reason: 'The application asked for an assurance level that is not known here.', rules: ['request.acr'] };
  }

  const counted = countedProofs(facts.proofs, need.since);
  const gap = missing(need, counted, facts.owned);
  if (gap === 'unreachable') {
    const offered = facts.enrollable.filter((factor) => meets(need, [...counted, asIfProved(factor)], [factor]));
    return enrolment(facts, need, offered);
  }
  // A wish that this realm cannot fulfil is no reason to refuse the sign-in: the caller reports it as not done.
  const wished = facts.action === 'enrol' && facts.enrollable.length > 0;
  // What allows the enrolment is asked first: it serves the sign-in too, and nobody is asked for one factor, then another.
  if (wished) return enrolment(facts, need, facts.enrollable, gap);
  if (gap !== null) return gap;

  const level = levelOf(counted);
  return {
    ask: 'nothing',
    level,
    acr: known.find((value) => reaches(level, value)) ?? level,
    amr: amrOf(counted),
    authTime: Math.min(...counted.map((proof) => proof.at)),
    counted,
    rules: need.rules,
    remember: 0,
    spared: null,
  };
}

/** What lies between the proofs and the need: a question, `unreachable` with what is owned, or null for nothing. */
function missing(need: Need, counted: readonly Proof[], owned: readonly OwnedFactor[]): Decision | 'unreachable' | null {
  if (!counted.some(isFirst)) return { ask: 'password', rules: need.rules };
  if (meets(need, counted, owned)) return null;

  const would = owned.filter((factor) => factor.disabled !== true && meets(need, [...counted, asIfProved(factor)], owned));
  if (would.length === 0) return 'unreachable';
  return { ask: 'factor', factors: idsOf(would), level: need.level, remember: 0, rules: need.rules };
}

/** A new factor is due: one of `offered`, once the strongest owned one has been shown moments ago, and `gap` is closed. */
function enrolment(facts: Facts, need: Need, offered: readonly OwnedFactor[], gap: Decision | null = null): Decision {
  if (offered.length === 0) {
    return { ask: 'unmet', reason: `No sign-in method that can be used here reaches ${need.level}.`, rules: need.rules };
  }
  const before = needBeforeEnrolment(facts, need);
  const first = missing(before, countedProofs(facts.proofs, before.since), facts.owned);
  if (first === 'unreachable') {
    // needBeforeEnrolment asks for no more than what is owned can show. Should that ever be wrong, nothing is bound.
    return { ask: 'unmet', reason: 'The sign-in methods of this account cannot be verified.', rules: before.rules };
  }
  return first ?? gap ?? { ask: 'enrol', factors: idsOf(offered), level: need.level, rules: before.rules, skip: null };
}

function meets(need: Need, counted: readonly Proof[], owned: readonly OwnedFactor[]): boolean {
  if (!reaches(levelOf(counted), need.level)) return false;
  return !need.second || counted.some((proof) => isComplete(proof) || owned.some((factor) => factor.factor === proof.factor));
}

/**
 * The proofs that count: of each factor the newest one of each thing that it has shown, so that an older, stronger
 * proof is not hidden by a newer, weaker one. First factors come first, then by time, so that `amr` reads as it happened.
 */
function countedProofs(proofs: readonly Proof[], since: number): Proof[] {
  const newest = new Map<string, Proof>();
  for (const proof of proofs) {
    if (proof.at < since) continue;
    const key = JSON.stringify([proof.factor, proof.level, [...proof.kinds].sort()]);
    const other = newest.get(key);
    if (other === undefined || byTime(other, proof) < 0) newest.set(key, proof);
  }
  return [...newest.values()].sort((a, b) => Number(isFirst(b)) - Number(isFirst(a)) || byTime(a, b));
}

/** A total order (two proofs of one credential at one time are the same), so that the order of the input never shows. */
function byTime(a: Proof, b: Proof): number {
  return a.at - b.at || compare(a.factor, b.factor) || compare(a.credentialId, b.credentialId) || compare(a.level, b.level);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isComplete(proof: Proof): boolean {
  return kindsOf([proof]).size >= 2 && reaches(proof.level, 'aal2');
}

function kindsOf(proofs: readonly Proof[]): Set<Kind> {
  return new Set(proofs.flatMap((proof) => proof.kinds));
}

function idsOf(factors: readonly OwnedFactor[]): string[] {
  return [...new Set(factors.map((factor) => factor.factor))];
}

/** The proof that a factor would give if it were verified now. */
function asIfProved(factor: OwnedFactor): Proof {
  return { credentialId: '', factor: factor.factor, kinds: [...factor.kinds], level: factor.level, amr: [], at: Number.POSITIVE_INFINITY };
}
