/** Whether somebody has just shown who they are: what a console asks before it changes how they sign in. Pure. */
import type { Level, Proof } from '../policy/assurance.ts';
import { strongest } from '../policy/assurance.ts';
import { isFirst } from '../policy/decide.ts';
import type { OwnedFactor } from '../policy/policy.ts';

/** Recent authentication (NIST SP 800-63B-4 section 4.1.2 asks it before binding). In seconds. */
export const RECENT_SECONDS = 5 * 60;

/**
 * True when the strongest factor that the user owns was shown within five minutes; the password, for who owns no other.
 *
 * It looks at that factor's proof alone. That all proofs are recent is what the sign-in sees to when it is asked with
 * `max_age`; to ask it here again would send slow typists round in circles.
 */
export function isRecent(proofs: readonly Proof[], owned: readonly OwnedFactor[], now: number): boolean {
  const recent = proofs.filter((proof) => now - proof.at <= RECENT_SECONDS * 1000);
  const top = strongestOwned(owned);
  if (top === undefined) return recent.some(isFirst);
  const enough = new Set(owned.filter((factor) => factor.level === top).map((factor) => factor.factor));
  return recent.some((proof) => enough.has(proof.factor));
}

/** What to ask the sign-in for when it was not. */
export function askRecent(owned: readonly OwnedFactor[]): Record<string, string> {
  const top = strongestOwned(owned);
  return { max_age: String(RECENT_SECONDS), ...(top === undefined ? {} : { acr_values: top }) };
}

/** Factors that raise nothing above the password are not insisted on: no level could be asked for that brings them up. */
function strongestOwned(owned: readonly OwnedFactor[]): Level | undefined {
  const top = owned.reduce<Level>((level, factor) => strongest(level, factor.level), 'aal1');
  return top === 'aal1' ? undefined : top;
}
