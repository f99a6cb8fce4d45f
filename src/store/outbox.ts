/** What is to be delivered: rows with a sealed payload. */
import type { Knex } from 'knex';
import type { SealContext } from '../crypto/seal.ts';

export interface OutboxRow {
  realmId: string;
  id: string;
  kind: 'mail' | 'sms' | 'webhook' | 'backchannel-logout';
  /** Sealed JSON. */
  payload: string;
  dueAt: number;
  createdAt: number;
}

export const outboxSeal = (row: { realmId: string; id: string }): SealContext => ({
  purpose: 'outbox',
  realm: row.realmId,
  row: row.id,
  column: 'payload',
});

export async function insertOutboxRow(trx: Knex, row: OutboxRow): Promise<void> {
  await trx('outbox').insert({
    realm_id: row.realmId,
    id: row.id,
    kind: row.kind,
    payload: row.payload,
    due_at: row.dueAt,
    created_at: row.createdAt,
  });
}

/** The newest messages of all realms, newest first: for the development inbox alone. */
export async function newestMessages(knex: Knex, limit: number): Promise<OutboxRow[]> {
  const rows = await knex('outbox').whereIn('kind', ['mail', 'sms']).orderBy('created_at', 'desc').limit(limit);
  return rows.map((row) => ({
    realmId: row.realm_id,
    id: row.id,
    kind: row.kind,
    payload: row.payload,
    dueAt: row.due_at,
    createdAt: row.created_at,
  }));
}
