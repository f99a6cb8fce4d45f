/** Tokens by which clients are registered: how many each still lets in, and until when. Only their hashes are kept. */
import type { Knex } from 'knex';

export interface InitialAccessRow {
  realmId: string;
  id: string;
  /** SHA-256. */
  token: string;
  total: number;
  remaining: number;
  createdAt: number;
  /** Null for one that does not expire. */
  expiresAt: number | null;
}

interface InitialAccessRecord {
  realm_id: string;
  id: string;
  token: string;
  total: number;
  remaining: number;
  created_at: number;
  expires_at: number | null;
}

export async function insertInitialAccess(trx: Knex, row: InitialAccessRow): Promise<void> {
  await trx('client_initial_access').insert({
    realm_id: row.realmId,
    id: row.id,
    token: row.token,
    total: row.total,
    remaining: row.remaining,
    created_at: row.createdAt,
    expires_at: row.expiresAt,
  });
}

/** Oldest first, at most `limit`. */
export async function listInitialAccess(knex: Knex, realmId: string, limit: number): Promise<InitialAccessRow[]> {
  const rows = await knex<InitialAccessRecord>('client_initial_access').where('realm_id', realmId).orderBy(['created_at', 'id']).limit(limit);
  return rows.map((row) => ({
    realmId: row.realm_id,
    id: row.id,
    token: row.token,
    total: row.total,
    remaining: row.remaining,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  }));
}

export async function countInitialAccess(knex: Knex, realmId: string): Promise<number> {
  const row = await knex('client_initial_access').where('realm_id', realmId).count({ n: '*' }).first();
  return Number(row?.n ?? 0);
}

/** False when it is gone already. */
export async function deleteInitialAccess(trx: Knex, realmId: string, id: string): Promise<boolean> {
  return (await trx('client_initial_access').where({ realm_id: realmId, id }).delete()) === 1;
}

/** Lets one client in: one conditional statement, so that no more come in than were said. */
export async function spendInitialAccess(knex: Knex, realmId: string, token: string, now: number): Promise<boolean> {
  const spent = await knex('client_initial_access')
    .where({ realm_id: realmId, token })
    .where('remaining', '>', 0)
    .where((open) => open.whereNull('expires_at').orWhere('expires_at', '>', now))
    .update({ remaining: knex.raw('remaining - 1') });
  return spent === 1;
}

/** What was spent on a client that was refused. */
export async function returnInitialAccess(knex: Knex, realmId: string, token: string): Promise<void> {
  await knex('client_initial_access')
    .where({ realm_id: realmId, token })
    .whereRaw('remaining < total')
    .update({ remaining: knex.raw('remaining + 1') });
}
