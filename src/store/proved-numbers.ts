/** Telephone numbers that users have proved, as HMACs, and from when each is good for signing in. */
import type { Knex } from 'knex';

/**
 * Records a proved number, in one statement. The first of a user is good at once; another one only after `waitMs`, for
 * whoever took over an account would begin by changing the number. A number that was proved before keeps its time.
 *
 * @returns from when it may be used, milliseconds since the epoch
 */
export async function proveNumber(
  knex: Knex,
  proved: { realmId: string; userId: string; number: string },
  { now, waitMs }: { now: number; waitMs: number },
): Promise<number> {
  const { realmId, userId, number } = proved;
  const result = await knex.raw(
    `INSERT INTO proved_numbers (realm_id, user_id, number, proved_at, usable_from)
     SELECT ?, ?, ?, CAST(? AS bigint),
       CASE WHEN EXISTS (SELECT 1 FROM proved_numbers WHERE realm_id = ? AND user_id = ? AND number <> ?) THEN CAST(? AS bigint) ELSE CAST(? AS bigint) END
     WHERE 1 = 1
     ON CONFLICT (realm_id, user_id, number) DO UPDATE SET proved_at = excluded.proved_at
     RETURNING usable_from`,
    [realmId, userId, number, now, realmId, userId, number, now + waitMs, now],
  );
  const [row]: { usable_from: number }[] = Array.isArray(result) ? result : result.rows;
  if (!row) throw new Error('A proved number was not stored.');
  return Number(row.usable_from);
}
