/** A password that was set by mail: for a day after it a sign-in is at risk, whatever was shown for it. */
import type { Queries } from '../store/rows.ts';
import { RESET_NOTE, setUserNote } from '../store/user-notes.ts';

/** Long enough for the owner to read the notice, and to say that it was not them. */
const AT_RISK_MS = 24 * 3_600_000;

export const noteReset = (trx: Queries, whose: { realmId: string; userId: string }, now: number): Promise<void> =>
  setUserNote(trx, whose, { name: RESET_NOTE, value: '', now });

/** @param at when it was, if it ever was */
export const isAfterReset = (at: number | null, now: number): boolean => at !== null && now - at < AT_RISK_MS;
