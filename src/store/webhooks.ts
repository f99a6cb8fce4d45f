/** Webhooks of a realm: where its events are told. Their secrets are sealed. */
import type { Knex } from 'knex';
import type { SealContext } from '../crypto/seal.ts';
import { bool, fromJson, stringList } from './rows.ts';
import type { SealedColumn } from './sealed-columns.ts';

export interface WebhookRow {
  realmId: string;
  id: string;
  url: string;
  description: string;
  /** Patterns of types, such as `mfa.*`. */
  events: string[];
  /** Sealed. */
  secrets: string;
  enabled: boolean;
  /** Messages that there was no room for. */
  dropped: number;
  createdAt: number;
  updatedAt: number;
}

interface WebhookRecord {
  realm_id: string;
  id: string;
  url: string;
  description: string;
  events: string;
  secrets: string;
  enabled: boolean | number;
  dropped: number;
  created_at: number;
  updated_at: number;
}

const fromRecord = (row: WebhookRecord): WebhookRow => ({
  realmId: row.realm_id,
  id: row.id,
  url: row.url,
  description: row.description,
  events: fromJson(stringList, row.events, `webhook ${row.id}`),
  secrets: row.secrets,
  enabled: bool(row.enabled),
  dropped: row.dropped,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

export const webhookSeal = (row: { realmId: string; id: string }): SealContext => ({
  purpose: 'webhook',
  realm: row.realmId,
  row: row.id,
  column: 'secrets',
});

export const sealedWebhooks: SealedColumn = { table: 'webhooks', column: 'secrets', place: ({ realmId, key }) => webhookSeal({ realmId, id: key }) };

/** The oldest first; a realm has few. */
export async function listWebhooks(knex: Knex, realmId: string): Promise<WebhookRow[]> {
  const rows: WebhookRecord[] = await knex('webhooks').where({ realm_id: realmId }).orderBy(['created_at', 'id']);
  return rows.map(fromRecord);
}

export async function webhookById(knex: Knex, realmId: string, id: string): Promise<WebhookRow | undefined> {
  const row: WebhookRecord | undefined = await knex('webhooks').where({ realm_id: realmId, id }).first();
  return row && fromRecord(row);
}

export async function countWebhooks(knex: Knex, realmId: string): Promise<number> {
  const row = await knex('webhooks').where({ realm_id: realmId }).count({ n: '*' }).first();
  return Number(row?.n ?? 0);
}

export async function insertWebhook(trx: Knex, row: WebhookRow): Promise<void> {
  await trx('webhooks').insert({
    realm_id: row.realmId,
    id: row.id,
    url: row.url,
    description: row.description,
    events: JSON.stringify(row.events),
    secrets: row.secrets,
    enabled: row.enabled,
    dropped: row.dropped,
    created_at: row.createdAt,
    updated_at: row.updatedAt,
  });
}

/** False when it is not as it was read any more. */
export async function updateWebhook(
  trx: Knex,
  before: WebhookRow,
  changes: Partial<Pick<WebhookRow, 'url' | 'description' | 'events' | 'secrets' | 'enabled'>>,
  now: number,
): Promise<boolean> {
  const { events, ...rest } = changes;
  const changed = await trx('webhooks')
    .where({ realm_id: before.realmId, id: before.id, updated_at: before.updatedAt, secrets: before.secrets })
    .update({ ...rest, ...(events === undefined ? {} : { events: JSON.stringify(events) }), updated_at: Math.max(now, before.updatedAt + 1) });
  return changed === 1;
}

/** With all that was to arrive there. False when there was none. */
export async function deleteWebhook(trx: Knex, realmId: string, id: string): Promise<boolean> {
  return (await trx('webhooks').where({ realm_id: realmId, id }).delete()) === 1;
}
