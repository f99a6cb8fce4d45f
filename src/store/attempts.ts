/** Failures in a row, counted before anything is compared. */
import type { Knex } from 'knex';

/** The first attempt of all is no failure yet; it is counted as one until it succeeds. */
export interface Attempt {
  /** Failures in a row, this attempt included. */
  failures: number;
}

/** Which failures bring a pause of how long: at most every so many; the last step holds for all after it. */
export interface Pauses {
  every: number;
  steps: readonly { failures: number; pauseMs: number }[];
}

/**
 * Counts an attempt in one statement. Nothing is counted, and undefined answered, while the subject is paused, or when the
 * sign-in `by` has used up its five: the newest attempt was its own and a multiple of five.
 *
 * The pause begins with the attempt that would bring it and not with its failure: a hundred attempts at once would all
 * be let through while the tenth is still being compared. Should that one succeed, the row goes, and the pause with it.
 */
export async function countAttempt(
  knex: Knex,
  attempt: { realmId: string; subject: string; by: string; now: number; perSignIn: number | null; pauses: Pauses },
): Promise<Attempt | undefined> {
  const { realmId, subject, by, now, perSignIn, pauses } = attempt;
  const exhausted = perSignIn === null ? '' : ' AND NOT (attempts.failures > 0 AND attempts.failures % ? = 0 AND attempts.last_by = ?)';
  const pausing = pauses.steps.map((_, index) => `WHEN attempts.failures + 1 ${index === pauses.steps.length - 1 ? '>=' : '='} ? THEN ?`).join(' ');
  const result = await knex.raw(
    `INSERT INTO attempts (realm_id, subject, failures, paused_until, last_by, updated_at) VALUES (?, ?, 1, 0, ?, ?)
     ON CONFLICT (realm_id, subject) DO UPDATE SET failures = attempts.failures + 1, last_by = excluded.last_by, updated_at = excluded.updated_at,
       paused_until = CASE WHEN (attempts.failures + 1) % ? <> 0 THEN attempts.paused_until ${pausing} ELSE attempts.paused_until END
     WHERE attempts.paused_until <= ?${exhausted}
     RETURNING failures`,
    [
      ...[realmId, subject, by, now],
      ...[pauses.every, ...pauses.steps.flatMap(({ failures, pauseMs }) => [failures, now + pauseMs])],
      ...[now, ...(perSignIn === null ? [] : [perSignIn, by])],
    ],
  );
  const rows: { failures: number }[] = Array.isArray(result) ? result : result.rows;
  return rows[0] && { failures: Number(rows[0].failures) };
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
