/** Removes what has expired, in bounded batches, so that no single statement holds locks for long. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Knex } from 'knex';
import { forgetRotatedSecrets } from './client-changes.ts';
import type { Database } from './database.ts';

interface Expiring {
  table: string;
  /** The column that says when a row ends. */
  column: string;
  key: readonly string[];
  /** How long a row is kept after that, in milliseconds: clocks differ, and a request may be under way. */
  grace: number;
  /** Leaves out rows that something still stands on. */
  unless?: (rows: Knex.QueryBuilder) => void;
}

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

const EXPIRING: readonly Expiring[] = [
  { table: 'oidc_payloads', column: 'expires_at', key: ['realm_id', 'model', 'id'], grace: MINUTE },
  { table: 'logins', column: 'expires_at', key: ['realm_id', 'id'], grace: MINUTE },
  { table: 'recoveries', column: 'expires_at', key: ['realm_id', 'id'], grace: MINUTE },
  // Passes that nobody used are nothing that their user has any more; who asked for them is kept for as long as anybody may ask.
  { table: 'credentials', column: 'expires_at', key: ['realm_id', 'id'], grace: 0 },
  { table: 'enrolment_passes', column: 'expires_at', key: ['realm_id', 'id'], grace: 365 * DAY },
  { table: 'console_sessions', column: 'expires_at', key: ['realm_id', 'id'], grace: 0 },
  { table: 'impersonations', column: 'expires_at', key: ['realm_id', 'id'], grace: 0 },
  { table: 'gate_sessions', column: 'expires_at', key: ['realm_id', 'id'], grace: 0 },
  { table: 'client_initial_access', column: 'expires_at', key: ['realm_id', 'id'], grace: DAY },
  { table: 'refresh_chains', column: 'expires_at', key: ['realm_id', 'id'], grace: MINUTE },
  { table: 'revoked_tokens', column: 'expires_at', key: ['realm_id', 'jti'], grace: MINUTE },
  { table: 'one_time_codes', column: 'expires_at', key: ['realm_id', 'user_id', 'purpose'], grace: MINUTE },
  { table: 'spent_values', column: 'expires_at', key: ['realm_id', 'id'], grace: MINUTE },
  // Offline tokens outlive their session, and whether they stand is read through it: it stays as long as any of its grants.
  { table: 'sessions', column: 'ends_at', key: ['realm_id', 'id'], grace: DAY, unless: (rows) => rows.whereNotExists(grantsOfSession) },
  // A count of failures that nobody added to for this long is forgotten.
  { table: 'attempts', column: 'updated_at', key: ['realm_id', 'subject'], grace: 7 * DAY },
  // As long as a browser keeps its cookie, and half a year: who comes back after that comes from somewhere new.
  { table: 'devices', column: 'last_seen_at', key: ['realm_id', 'id'], grace: 400 * DAY },
  { table: 'known_networks', column: 'last_seen_at', key: ['realm_id', 'user_id', 'network'], grace: 180 * DAY },
  // Nothing counts codes for longer than a day.
  { table: 'delivery_counts', column: 'updated_at', key: ['realm_id', 'subject'], grace: 2 * DAY },
  // Long after the last try. What was delivered has no payload any more.
  { table: 'outbox', column: 'due_at', key: ['realm_id', 'id'], grace: 30 * DAY },
  // For as long as somebody asks whether a message has arrived.
  { table: 'webhook_deliveries', column: 'finished_at', key: ['realm_id', 'id'], grace: 7 * DAY },
  { table: 'logout_notices', column: 'finished_at', key: ['realm_id', 'id'], grace: 7 * DAY },
];

function grantsOfSession(this: Knex.QueryBuilder): void {
  this.select('session_clients.sid')
    .from('session_clients')
    .join('oidc_payloads', (on) =>
      on
        .on('oidc_payloads.realm_id', 'session_clients.realm_id')
        .andOn('oidc_payloads.grant_id', 'session_clients.grant_id')
        .andOnVal('oidc_payloads.model', 'Grant'),
    )
    .whereRaw('session_clients.realm_id = sessions.realm_id AND session_clients.session_id = sessions.id');
}

/**
 * Deletes what has expired, batch by batch until a table has no more, with a pause between batches for everybody else.
 * Answers how many rows went, and secrets out of rows.
 */
export async function sweepExpired(db: Database, now: number, options: { batch?: number; pauseMs?: number } = {}): Promise<number> {
  const { batch = 500, pauseMs = 20 } = options;
  let swept = await forgetRotatedSecrets(db.knex, now);
  for (const expiring of EXPIRING) {
    for (let went = batch; went === batch; swept += went) {
      went = await sweepBatch(db, expiring, now, batch);
      if (went === batch) await pause(pauseMs);
    }
  }
  return swept;
}

async function sweepBatch(db: Database, { table, column, key, grace, unless }: Expiring, now: number, batch: number): Promise<number> {
  const expired = db
    .knex(table)
    .where(column, '<', now - grace)
    .limit(batch)
    .select([...key])
    .forUpdate()
    .skipLocked();
  unless?.(expired);
  return db
    .knex(table)
    .whereIn([...key], expired)
    .delete();
}
