/** When a password was last reset by mail: for a day after it a sign-in is at risk (mfa.md section 3), whatever was shown for the reset. */
import type { Queries } from '../store/rows.ts';
import { setUserNote } from '../store/user-notes.ts';

/** The note that holds the time, in milliseconds since the epoch. */
export const RESET_NOTE = 'password-reset-at';

/** Long enough for the owner to read the notice and to say that it was not them. */
const AT_RISK_MS = 24 * 3_600_000;

export const noteReset = (trx: Queries, whose: { realmId: string; userId: string }, now: number): Promise<void> =>
  setUserNote(trx, whose, { name: RESET_NOTE, value: String(now), now });

/** @param note as it is stored; absent where there never was a reset */
export const isAfterReset = (note: string | null | undefined, now: number): boolean =>
  note !== null && note !== undefined && now - Number(note) < AT_RISK_MS;
