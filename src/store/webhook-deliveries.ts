/**
 * Messages to webhooks. A row of the audit is its own outbox: it is marked `untold` by the statement that writes it, where
 * the realm has a webhook, and so commits or fails with what it records (store/audit.ts). A worker turns marked rows into
 * deliveries, one a webhook that wants the type, and unmarks them in the same transaction.
 *
 * A cursor over the audit would lose rows: they become visible in the order of their commits, not of their moments.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { AuditRow } from './audit.ts';
import { type Attempted, type Claim, claimRows, type DeliveryTable, finishClaimed, isAnythingDue, putOffClaimed } from './deliveries.ts';
import { bool, fromJson, stringList } from './rows.ts';

const states = z.enum(['waiting', 'delivered', 'failed']);
export type DeliveryState = z.output<typeof states>;
export const DELIVERY_STATES = states.options;

export interface DeliveryRow {
  realmId: string;
  /** Time-ordered. */
  id: string;
  webhookId: string;
  eventId: string;
  type: string;
  state: DeliveryState;
  attempts: number;
  dueAt: number;
  claimedUntil: number | null;
  lastStatus: number | null;
  lastError: string | null;
  createdAt: number;
  finishedAt: number | null;
}

interface DeliveryRecord {
  realm_id: string;
  id: string;
  webhook_id: string;
  event_id: string;
  type: string;
  state: string;
  attempts: number;
  due_at: number;
  claimed_until: number | null;
  last_status: number | null;
  last_error: string | null;
  created_at: number;
  finished_at: number | null;
}

const fromRecord = (row: DeliveryRecord): DeliveryRow => ({
  realmId: row.realm_id,
  id: row.id,
  webhookId: row.webhook_id,
  eventId: row.event_id,
  type: row.type,
  state: states.parse(row.state),
  attempts: row.attempts,
  dueAt: row.due_at,
  claimedUntil: row.claimed_until,
  lastStatus: row.last_status,
  lastError: row.last_error,
  createdAt: row.created_at,
  finishedAt: row.finished_at,
});

/** Whether anybody is to be told anything; cheap, so that it can be asked often. */
export async function isAnythingUntold(knex: Knex): Promise<boolean> {
  return (await knex('audit_events').where('untold', 1).first('id')) !== undefined;
}

export interface UntoldEvent {
  realmId: string;
  id: string;
  type: string;
  at: number;
}

/** Takes rows that are still to be told, the oldest first; of several workers each row goes to one. */
export async function lockUntold(trx: Knex, limit: number): Promise<UntoldEvent[]> {
  const rows: { realm_id: string; id: string; type: string; at: number }[] = await trx('audit_events')
    .where('untold', 1)
    .orderBy('at')
    .limit(limit)
    .select('realm_id', 'id', 'type', 'at')
    .forUpdate()
    .skipLocked();
  return rows.map(({ realm_id, ...row }) => ({ realmId: realm_id, ...row }));
}

export async function markTold(trx: Knex, events: readonly UntoldEvent[]): Promise<void> {
  await trx('audit_events')
    .whereIn(
      ['realm_id', 'id'],
      events.map(({ realmId, id }) => [realmId, id]),
    )
    .update({ untold: null });
}

/** A webhook that is told, and how much still waits for it. */
export interface Listener {
  realmId: string;
  id: string;
  events: string[];
  waiting: number;
}

/** The webhooks of these realms that are switched on. */
export async function listenersIn(trx: Knex, realmIds: readonly string[]): Promise<Listener[]> {
  const waiting = trx('webhook_deliveries')
    .whereRaw('webhook_deliveries.realm_id = webhooks.realm_id AND webhook_deliveries.webhook_id = webhooks.id')
    .where('state', 'waiting')
    .count('*');
  const rows: { realm_id: string; id: string; events: string; waiting: number | string }[] = await trx('webhooks')
    .whereIn('realm_id', [...realmIds])
    .where('enabled', true)
    .select('realm_id', 'id', 'events', waiting.as('waiting'));
  return rows.map((row) => ({
    realmId: row.realm_id,
    id: row.id,
    events: fromJson(stringList, row.events, `webhook ${row.id}`),
    waiting: Number(row.waiting),
  }));
}

export type NewDelivery = Pick<DeliveryRow, 'realmId' | 'id' | 'webhookId' | 'eventId' | 'type' | 'dueAt' | 'createdAt'>;

/** Statements of both engines take so many values at most. */
const ROWS_AT_ONCE = 500;

export async function insertDeliveries(trx: Knex, rows: readonly NewDelivery[]): Promise<void> {
  for (let start = 0; start < rows.length; start += ROWS_AT_ONCE) {
    await trx('webhook_deliveries').insert(
      rows.slice(start, start + ROWS_AT_ONCE).map((row) => ({
        realm_id: row.realmId,
        id: row.id,
        webhook_id: row.webhookId,
        event_id: row.eventId,
        type: row.type,
        state: 'waiting',
        attempts: 0,
        due_at: row.dueAt,
        created_at: row.createdAt,
      })),
    );
  }
}

/** Counts messages that there was no room for. */
export async function countDropped(trx: Knex, webhook: { realmId: string; id: string }, dropped: number): Promise<void> {
  await trx('webhooks')
    .where({ realm_id: webhook.realmId, id: webhook.id })
    .update({ dropped: trx.raw('dropped + ?', [dropped]) });
}

/** Webhooks that are switched off are not called. */
const ofSwitchedOn = (rows: Knex.QueryBuilder): void => {
  const webhook = 'webhooks.realm_id = webhook_deliveries.realm_id AND webhooks.id = webhook_deliveries.webhook_id';
  void rows.whereExists((webhooks) => webhooks.select('webhooks.id').from('webhooks').where('webhooks.enabled', true).whereRaw(webhook));
};

const TABLE: DeliveryTable = { table: 'webhook_deliveries', receiver: 'webhook_id' };

/** Takes messages that are due for as long as the claim lasts, and counts an attempt of each. Of several workers each goes to one. */
export async function claimDeliveries(knex: Knex, claim: Claim): Promise<DeliveryRow[]> {
  if (!(await isAnythingDue(knex, TABLE, claim.now))) return [];
  return (await claimRows<DeliveryRecord>(knex, TABLE, claim, ofSwitchedOn)).map(fromRecord);
}

/** What a message is made of and where it goes. */
export interface Dispatch {
  url: string;
  /** Sealed. */
  secrets: string;
  realmName: string;
  enabled: boolean;
  event: Pick<AuditRow, 'id' | 'at' | 'type' | 'actor' | 'subject' | 'clientId' | 'details'>;
}

/** Undefined when the event is not there any more. */
export async function dispatchOf(knex: Knex, row: DeliveryRow): Promise<Dispatch | undefined> {
  const found = await knex('webhook_deliveries')
    .join('webhooks', (on) => on.on('webhooks.realm_id', 'webhook_deliveries.realm_id').andOn('webhooks.id', 'webhook_deliveries.webhook_id'))
    .join('audit_events', (on) =>
      on.on('audit_events.realm_id', 'webhook_deliveries.realm_id').andOn('audit_events.id', 'webhook_deliveries.event_id'),
    )
    .join('realms', 'realms.id', 'webhook_deliveries.realm_id')
    .where({ 'webhook_deliveries.realm_id': row.realmId, 'webhook_deliveries.id': row.id })
    .first({
      url: 'webhooks.url',
      secrets: 'webhooks.secrets',
      enabled: 'webhooks.enabled',
      realmName: 'realms.name',
      id: 'audit_events.id',
      at: 'audit_events.at',
      type: 'audit_events.type',
      actor: 'audit_events.actor',
      subject: 'audit_events.subject',
      clientId: 'audit_events.client_id',
      details: 'audit_events.details',
    });
  if (!found) return undefined;
  const { url, secrets, enabled, realmName, ...event } = found;
  return { url, secrets, realmName, enabled: bool(enabled), event };
}

/** It arrived, or is given up. */
export const finishDelivery = (
  knex: Knex,
  row: DeliveryRow,
  state: Exclude<DeliveryState, 'waiting'>,
  attempted: Attempted,
  now: number,
): Promise<boolean> => finishClaimed(knex, TABLE, row, state, attempted, now);

/** It will be tried again at `dueAt`. */
export const putOffDelivery = (knex: Knex, row: DeliveryRow, dueAt: number, attempted: Attempted): Promise<boolean> =>
  putOffClaimed(knex, TABLE, row, dueAt, attempted);

/** Gives up all that waits for a webhook that is switched off. */
export async function abandonDeliveries(trx: Knex, webhook: { realmId: string; id: string }, now: number): Promise<void> {
  await trx('webhook_deliveries')
    .where({ realm_id: webhook.realmId, webhook_id: webhook.id, state: 'waiting' })
    .update({ state: 'failed', claimed_until: null, last_error: 'switched off', finished_at: now });
}

/** One page of what was and is to be sent to a webhook, the newest first. */
export async function listDeliveries(
  knex: Knex,
  webhook: { realmId: string; id: string },
  page: { state?: DeliveryState | undefined; after?: string | undefined; limit: number },
): Promise<DeliveryRow[]> {
  const query = knex('webhook_deliveries').where({ realm_id: webhook.realmId, webhook_id: webhook.id }).orderBy('id', 'desc').limit(page.limit);
  if (page.state !== undefined) void query.where({ state: page.state });
  if (page.after !== undefined) void query.where('id', '<', page.after);
  const rows: DeliveryRecord[] = await query;
  return rows.map(fromRecord);
}

/** Has one that was given up sent once more; false for any other. */
export async function retryDelivery(trx: Knex, webhook: { realmId: string; id: string }, id: string, now: number): Promise<boolean> {
  const changed = await trx('webhook_deliveries')
    .where({ realm_id: webhook.realmId, webhook_id: webhook.id, id, state: 'failed' })
    .update({ state: 'waiting', attempts: 0, due_at: now, finished_at: null });
  return changed === 1;
}
