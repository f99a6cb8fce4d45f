/**
 * The words of assurance that factors, policy, sessions and tokens share.
 *
 * A proof says which credential was verified, when, and what that shows. `mfa` and the reached level are always
 * derived from a set of proofs (RFC 8176 section 2), never declared by a factor.
 */

/** Assurance levels, weakest first (NIST SP 800-63B-4 section 2; `phr` and `phrh` from OpenID EAP ACR Values 1.0). */
export const LEVELS = ['aal1', 'aal2', 'phr', 'phrh'] as const;
export type Level = (typeof LEVELS)[number];

/** What a factor shows (NIST SP 800-63-4: something you know, have, are). */
export type Kind = 'knowledge' | 'possession' | 'inherence';

/** One successful verification. */
export interface Proof {
  /** Row id of the credential that was verified. */
  credentialId: string;
  /** Factor id, such as `password` or `totp`. */
  factor: string;
  kinds: Kind[];
  /** The level that this proof supports when it stands beside a first factor. */
  level: Level;
  /** Authentication method references of this proof alone (RFC 8176), without `mfa`. */
  amr: string[];
  /** When it was verified, milliseconds since the epoch. */
  at: number;
}

/** True when `level` is at least `floor`. */
export function reaches(level: Level, floor: Level): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(floor);
}

/** The stronger of two levels. */
export function strongest(a: Level, b: Level): Level {
  return reaches(a, b) ? a : b;
}

/** Narrows an arbitrary acr value to one of our level names. */
export function isLevel(value: string): value is Level {
  return (LEVELS as readonly string[]).includes(value);
}
