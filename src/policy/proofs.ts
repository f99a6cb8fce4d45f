/**
 * What proofs are worth: how long they stand, which of them count, and which level and methods they add up to. Pure.
 */
import type { Kind, Level, Proof } from './assurance.ts';
import { reaches, strongest } from './assurance.ts';

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

/** The factor that begins a sign-in with something one knows. */
export const PASSWORD = 'password';

/** The codes that a user keeps for the day on which the real factor is lost. */
export const RECOVERY_CODES = 'recovery-codes';

/** What administrators give to somebody who has lost everything else. */
const ENROLMENT_PASS = 'enrolment-pass';

/**
 * Factors for whoever has lost the real one: those codes, good for one sign-in at aal2, after which a new factor is due;
 * and the pass, good for setting up a new factor and nothing else.
 */
const RECOVERY: ReadonlySet<string> = new Set([RECOVERY_CODES, ENROLMENT_PASS]);

export const isPass = ({ factor }: { factor: string }): boolean => factor === ENROLMENT_PASS;

/** Codes on paper are not for administrators; a pass for one of them is given by two others. */
export const isForAdministrators = ({ factor }: { factor: string }): boolean => factor !== RECOVERY_CODES;

export const isRecovery = ({ factor }: { factor: string }): boolean => RECOVERY.has(factor);

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
    .reduce<Level>((level, proof) => strongest(level, shown(proof)), 'aal1');
}

/** Whether a proof can begin a sign-in: a password, or one that shows two kinds by itself, as a passkey does. */
export function isFirst(proof: Proof): boolean {
  return proof.factor === PASSWORD || isComplete(proof);
}

/** Whether a proof is a whole sign-in by itself. */
export function isComplete(proof: Proof): boolean {
  return kindsOf([proof]).size >= 2 && reaches(proof.level, 'aal2');
}

/**
 * The proofs that count: of each factor the newest one of each thing that it has shown, so that an older, stronger
 * proof is not hidden by a newer, weaker one. First factors come first, then by time, so that `amr` reads as it happened.
 *
 * @param factors the only ones that count besides the password; null for all
 */
export function countedProofs(proofs: readonly Proof[], since: number, factors: ReadonlySet<string> | null): Proof[] {
  const newest = new Map<string, Proof>();
  for (const proof of proofs) {
    if (proof.at < since || !counts(proof.factor, factors)) continue;
    const key = JSON.stringify([proof.factor, proof.level, [...proof.kinds].sort()]);
    const other = newest.get(key);
    if (other === undefined || byTime(other, proof) < 0) newest.set(key, proof);
  }
  return [...newest.values()].sort((a, b) => Number(isFirst(b)) - Number(isFirst(a)) || byTime(a, b));
}

/** Whether proofs of a factor count where only these do; the password always begins. */
export const counts = (factor: string, factors: ReadonlySet<string> | null): boolean =>
  factors === null || factor === PASSWORD || factors.has(factor);

/** What a proof supports beside a first factor. */
const shown = (proof: Proof): Level => (isRecovery(proof) && reaches(proof.level, 'aal2') ? 'aal2' : proof.level);

/** A total order (two proofs of one credential at one time are the same), so that the order of the input never shows. */
function byTime(a: Proof, b: Proof): number {
  return a.at - b.at || compare(a.factor, b.factor) || compare(a.credentialId, b.credentialId) || compare(a.level, b.level);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function kindsOf(proofs: readonly Proof[]): Set<Kind> {
  return new Set(proofs.flatMap((proof) => proof.kinds));
}
