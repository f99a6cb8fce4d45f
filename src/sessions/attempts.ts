/**
 * What follows from failures in a row. Pure: the counting itself is one statement in store/attempts.ts,
 * done before anything is compared.
 *
 * The password's counter and the factor's are two. A password is guessed at by anybody, so its owner must never be locked
 * out for good by it; whoever guesses at a factor already has the password, so there a limit may end things.
 */

/** The part of a realm's settings that this is about. */
export interface Limits {
  /** Attempts at a factor that a sign-in may hold in a row, and how far apart the pauses are. */
  attemptsPerSignIn: number;
  /** The failure in a row that brings the first pause. */
  pauseAfter: number;
  /** In seconds; each pause is twice as long as the one before, up to the longest. */
  firstPause: number;
  longestPause: number;
  /** The failure in a row that switches a factor off. */
  disableAfter: number;
}

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
export function afterFailure(of: 'password' | 'factor', failures: number, limits: Limits): Consequence {
  const isLast = failures > 0 && failures % limits.attemptsPerSignIn === 0;
  return {
    endsTransaction: of === 'factor' && isLast,
    pauseMs: pauseAt(failures, limits),
    disables: of === 'factor' && failures >= limits.disableAfter,
  };
}

/** Which failures bring a pause, as the store counts by it; from the last step on it is always the longest. */
export function pausesOf(limits: Limits): { first: number; every: number; steps: { failures: number; pauseMs: number }[] } {
  const doublings = Math.max(0, Math.ceil(Math.log2(limits.longestPause / limits.firstPause)));
  return {
    first: limits.pauseAfter,
    every: limits.attemptsPerSignIn,
    steps: Array.from({ length: 1 + doublings }, (_, index) => {
      const failures = limits.pauseAfter + index * limits.attemptsPerSignIn;
      return { failures, pauseMs: pauseAt(failures, limits) };
    }),
  };
}

/** With the numbers that a new realm has: 15 minutes at the tenth failure, twice that at the fifteenth, up to a day. */
function pauseAt(failures: number, { attemptsPerSignIn, pauseAfter, firstPause, longestPause }: Limits): number {
  const since = failures - pauseAfter;
  if (since < 0 || since % attemptsPerSignIn !== 0) return 0;
  return Math.min(firstPause * 2 ** (since / attemptsPerSignIn), longestPause) * 1000;
}
