/**
 * What follows from failures in a row. Pure: the counting itself is one statement in store/attempts.ts,
 * done before anything is compared.
 *
 * The password's counter and the factor's are two. A password is guessed at by anybody, so its owner must never be locked
 * out for good by it; whoever guesses at a factor already has the password, so there a limit may end things.
 */

const MINUTE = 60_000;
/** Attempts at a factor that a sign-in may hold in a row, and how far apart the pauses are. */
export const ATTEMPTS_PER_SIGN_IN = 5;
/** NIST SP 800-63B-4 section 3.2.2 allows at most 100 in a row; half of that leaves room for the user's own slips. */
const FAILURES_BEFORE_DISABLED = 50;
const FIRST_PAUSE_AT = 10;
const FIRST_PAUSE_MS = 15 * MINUTE;
/** A longer pause protects no better and is a way to lock somebody out. */
const LONGEST_PAUSE_MS = 24 * 60 * MINUTE;

export interface Consequence {
  /** The sign-in is over; it begins again with the password. */
  endsTransaction: boolean;
  /** For how long no further attempt is even compared, in milliseconds; 0 for none. */
  pauseMs: number;
  /** The factor is off until an administrator or another factor restores it. */
  disables: boolean;
}

/**
 * What a failure brings.
 *
 * @param of what was guessed at: a password ends nothing (there is no sign-in yet) and is never disabled
 * @param failures in a row, this one included; a success starts anew
 */
export function afterFailure(of: 'password' | 'factor', failures: number): Consequence {
  const isLast = failures > 0 && failures % ATTEMPTS_PER_SIGN_IN === 0;
  return {
    endsTransaction: of === 'factor' && isLast,
    pauseMs: isLast ? pauseAt(failures) : 0,
    disables: of === 'factor' && failures >= FAILURES_BEFORE_DISABLED,
  };
}

/** Which failures bring a pause, as the store counts by it: every fifth, and from the last step on always the longest. */
export const PAUSES = {
  every: ATTEMPTS_PER_SIGN_IN,
  steps: Array.from({ length: 1 + Math.ceil(Math.log2(LONGEST_PAUSE_MS / FIRST_PAUSE_MS)) }, (_, index) => {
    const failures = FIRST_PAUSE_AT + index * ATTEMPTS_PER_SIGN_IN;
    return { failures, pauseMs: pauseAt(failures) };
  }),
} as const;

/** 15 minutes at the tenth failure, twice that at the fifteenth, and so on up to a day. */
function pauseAt(failures: number): number {
  if (failures < FIRST_PAUSE_AT) return 0;
  const doublings = Math.floor((failures - FIRST_PAUSE_AT) / ATTEMPTS_PER_SIGN_IN);
  return Math.min(FIRST_PAUSE_MS * 2 ** doublings, LONGEST_PAUSE_MS);
}
