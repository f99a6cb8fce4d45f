/** Removes what has expired, in bounded batches, so that no single statement holds locks for long. */
import type { Database } from './database.ts';

/** Tables whose rows end by themselves, the column that says when, and how long a row is kept after that. */
const EXPIRING = [
  { table: 'oidc_payloads', column: 'expires_at', key: ['realm_id', 'model', 'id'], grace: 60_000 },
  { table: 'logins', column: 'expires_at', key: ['realm_id', 'id'], grace: 60_000 },
  { table: 'console_sessions', column: 'expires_at', key: ['realm_id', 'id'], grace: 0 },
  { table: 'revoked_tokens', column: 'expires_at', key: ['realm_id', 'jti'], grace: 60_000 },
  // Offline tokens outlive their session, and their standing is read through it: kept as long as they may live.
  { table: 'sessions', column: 'ends_at', key: ['realm_id', 'id'], grace: 400 * 86_400_000 },
  // A count of failures that nobody added to for this long is forgotten.
  { table: 'attempts', column: 'updated_at', key: ['realm_id', 'subject'], grace: 7 * 86_400_000 },
] as const;

/** Deletes at most `batch` rows of each table; answers how many went. */
export async function sweepExpired(db: Database, now: number, batch = 500): Promise<number> {
  let swept = 0;
  for (const { table, column, key, grace } of EXPIRING) {
    const expired = db
      .knex(table)
      .where(column, '<', now - grace)
      .limit(batch)
      .select([...key])
      .forUpdate()
      .skipLocked();
    swept += await db.knex(table).whereIn([...key], expired).delete();
  }
  return swept;
}
