/**
 * What is to be delivered: rows with a sealed payload. A worker claims rows for a while; a claim that runs out, because its
 * process was killed, is anybody's. What was delivered or given up keeps its row for a time, without the payload.
 */
import type { Knex } from 'knex';
import type { SealContext } from '../crypto/seal.ts';
import type { SealedColumn } from './sealed-columns.ts';

export type OutboxKind = 'mail' | 'sms' | 'webhook' | 'backchannel-logout';

export interface OutboxRow {
  realmId: string;
  id: string;
  kind: OutboxKind;
  /** Codes and tests are sent by whoever asks for them, who waits; notices by a worker. */
  purpose: 'code' | 'notice' | 'test';
  /** The user it is for, when it is one. */
  userId: string | null;
  /** Sealed JSON; empty once it was delivered or given up. */
  payload: string;
  attempts: number;
  dueAt: number;
  claimedUntil: number | null;
  deliveredAt: number | null;
  createdAt: number;
}

interface OutboxRecord {
  realm_id: string;
  id: string;
  kind: OutboxKind;
  purpose: OutboxRow['purpose'];
  user_id: string | null;
  payload: string;
  attempts: number;
  due_at: number;
  claimed_until: number | null;
  delivered_at: number | null;
  created_at: number;
}

const fromRecord = (row: OutboxRecord): OutboxRow => ({
  realmId: row.realm_id,
  id: row.id,
  kind: row.kind,
  purpose: row.purpose,
  userId: row.user_id,
  payload: row.payload,
  attempts: row.attempts,
  dueAt: row.due_at,
  claimedUntil: row.claimed_until,
  deliveredAt: row.delivered_at,
  createdAt: row.created_at,
});

/** What is announced when rows were added (store/changes.ts). */
export const OUTBOX_TOPIC = 'outbox';

export const outboxSeal = (row: { realmId: string; id: string }): SealContext => ({
  purpose: 'outbox',
  realm: row.realmId,
  row: row.id,
  column: 'payload',
});

export const sealedOutbox: SealedColumn = { table: 'outbox', column: 'payload', place: ({ realmId, key }) => outboxSeal({ realmId, id: key }) };

export async function insertOutboxRow(trx: Knex, row: OutboxRow): Promise<void> {
  await trx('outbox').insert({
    realm_id: row.realmId,
    id: row.id,
    kind: row.kind,
    purpose: row.purpose,
    user_id: row.userId,
    payload: row.payload,
    attempts: row.attempts,
    due_at: row.dueAt,
    claimed_until: row.claimedUntil,
    delivered_at: row.deliveredAt,
    created_at: row.createdAt,
  });
}

/**
 * Takes notices that are due for as long as `until`, and counts an attempt of each. Of several workers each goes to one.
 * A code is left alone: one that comes late is worth nothing, and another may have taken its place.
 */
export async function claimDue(knex: Knex, claim: { kinds: readonly OutboxKind[]; now: number; until: number; limit: number }): Promise<OutboxRow[]> {
  const due = waiting(knex('outbox'), claim.now)
    .whereIn('kind', [...claim.kinds])
    .where({ purpose: 'notice' })
    .where('due_at', '<=', claim.now)
    .orderBy('due_at')
    .limit(claim.limit)
    .select('realm_id', 'id')
    .forUpdate()
    .skipLocked();
  const rows: OutboxRecord[] = await knex('outbox')
    .whereIn(['realm_id', 'id'], due)
    .update({ claimed_until: claim.until, attempts: knex.raw('attempts + 1') })
    .returning('*');
  return rows.map(fromRecord).sort((a, b) => a.dueAt - b.dueAt);
}

const waiting = (rows: Knex.QueryBuilder, now: number): Knex.QueryBuilder =>
  rows
    .whereNull('delivered_at')
    .whereNull('failed_at')
    .where((free) => free.whereNull('claimed_until').orWhere('claimed_until', '<=', now));

/** A row that one has claimed, and until when: an older claim of it changes nothing any more. */
export type Claimed = Pick<OutboxRow, 'realmId' | 'id' | 'claimedUntil'>;

const claimed = (knex: Knex, row: Claimed): Knex.QueryBuilder =>
  knex('outbox').where({ realm_id: row.realmId, id: row.id, claimed_until: row.claimedUntil }).whereNull('delivered_at').whereNull('failed_at');

/**
 * It arrived where it was sent to. The payload goes, unless `keep` says that it is read later, by the development inbox.
 * False when the claim had run out and somebody else has it.
 */
export async function markDelivered(trx: Knex, row: Claimed, now: number, keep = false): Promise<boolean> {
  const change = { delivered_at: now, claimed_until: null, last_error: null, ...(keep ? {} : { payload: '' }) };
  return (await claimed(trx, row).update(change)) === 1;
}

/** It will be tried again at `dueAt`. */
export async function putOff(trx: Knex, row: Claimed, error: string, dueAt: number): Promise<boolean> {
  return (await claimed(trx, row).update({ due_at: dueAt, claimed_until: null, last_error: error })) === 1;
}

/** It will not be tried again. */
export async function markFailed(trx: Knex, row: Claimed, error: string, now: number): Promise<boolean> {
  return (await claimed(trx, row).update({ failed_at: now, claimed_until: null, last_error: error, payload: '' })) === 1;
}

/** Gives up what somebody waited for whose process ended before it could say how it went, such as by a kill. Answers how many. */
export async function giveUpInterrupted(knex: Knex, now: number): Promise<number> {
  return waiting(knex('outbox'), now)
    .whereNot({ purpose: 'notice' })
    .where('claimed_until', '<=', now)
    .update({ failed_at: now, claimed_until: null, last_error: 'interrupted', payload: '' });
}

/** The newest messages of all realms whose payload was kept, newest first: for the development inbox alone. */
export async function newestMessages(knex: Knex, limit: number): Promise<OutboxRow[]> {
  const rows: OutboxRecord[] = await knex('outbox')
    .whereIn('kind', ['mail', 'sms'])
    .whereNot({ payload: '' })
    .orderBy('created_at', 'desc')
    .limit(limit);
  return rows.map(fromRecord);
}
