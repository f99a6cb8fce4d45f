/** Failures in a row, counted before anything is compared. */
import type { Knex } from 'knex';

/** The first attempt of all is no failure yet; it is counted as one until it succeeds. */
export interface Attempt {
  /** Failures in a row, this attempt included. */
  failures: number;
}

/**
 * Counts an attempt in one statement. Nothing is counted, and undefined answered, while the subject is paused, or when the
 * sign-in `by` has used up its five: the newest attempt was its own and a multiple of five.
 */
export async function countAttempt(knex: Knex, attempt: { realmId: string; subject: string; by: string; now: number; perSignIn: number | null }): Promise<Attempt | undefined> {
  const { realmId, subject, by, now, perSignIn } = attempt;
  const exhausted = perSignIn === null ? '' : ' AND NOT (attempts.failures > 0 AND attempts.failures % ? = 0 AND attempts.last_by = ?)';
  const result = await knex.raw(
    `INSERT INTO attempts (realm_id, subject, failures, paused_until, last_by, updated_at) VALUES (?, ?, 1, 0, ?, ?)
     ON CONFLICT (realm_id, subject) DO UPDATE SET failures = attempts.failures + 1, last_by = excluded.last_by, updated_at = excluded.updated_at
     WHERE attempts.paused_until <= ?${exhausted}
     RETURNING failures`,
    [realmId, subject, by, now, now, ...(perSignIn === null ? [] : [perSignIn, by])],
  );
  const rows: { failures: number }[] = Array.isArray(result) ? result : result.rows;
  return rows[0] && { failures: Number(rows[0].failures) };
}

/** Starts a pause; a longer one that already runs stays. */
export async function pauseAttempts(knex: Knex, realmId: string, subject: string, until: number): Promise<void> {
  await knex('attempts').where({ realm_id: realmId, subject }).where('paused_until', '<', until).update({ paused_until: until });
}

/** Until when the subject is paused; 0 when it is not. */
export async function pausedUntil(knex: Knex, realmId: string, subject: string): Promise<number> {
  const row = await knex('attempts').where({ realm_id: realmId, subject }).first('paused_until');
  return row?.paused_until ?? 0;
}

/** A success: the row of failures is broken. */
export async function clearAttempts(knex: Knex, realmId: string, subject: string): Promise<void> {
  await knex('attempts').where({ realm_id: realmId, subject }).delete();
}
