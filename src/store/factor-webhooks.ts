/** The secrets of webhooks that realms have as custom factors, sealed. */
import type { Knex } from 'knex';
import type { SealContext } from '../crypto/seal.ts';
import type { SealedColumn } from './sealed-columns.ts';

export interface FactorWebhookRow {
  realmId: string;
  /** The factor's id. */
  id: string;
  /** Sealed JSON array of those that are accepted, the newest first. */
  secrets: string;
  updatedAt: number;
}

export const factorWebhookSeal = (row: { realmId: string; id: string }): SealContext => ({
  purpose: 'factor-webhook',
  realm: row.realmId,
  row: row.id,
  column: 'secrets',
});

export const sealedFactorWebhooks: SealedColumn = {
  table: 'factor_webhooks',
  column: 'secrets',
  place: ({ realmId, key }) => factorWebhookSeal({ realmId, id: key }),
};

export async function factorWebhook(knex: Knex, realmId: string, id: string): Promise<FactorWebhookRow | undefined> {
  const row = await knex('factor_webhooks').where({ realm_id: realmId, id }).first();
  return row && { realmId: row.realm_id, id: row.id, secrets: row.secrets, updatedAt: row.updated_at };
}

/** Takes the place of what an earlier factor of that id has left. */
export async function insertFactorWebhook(trx: Knex, row: FactorWebhookRow): Promise<void> {
  await trx('factor_webhooks')
    .insert({ realm_id: row.realmId, id: row.id, secrets: row.secrets, updated_at: row.updatedAt })
    .onConflict(['realm_id', 'id'])
    .merge();
}

/** False when the secrets are not those that were read any more. */
export async function replaceFactorWebhook(
  trx: Knex,
  before: FactorWebhookRow,
  after: Pick<FactorWebhookRow, 'secrets' | 'updatedAt'>,
): Promise<boolean> {
  const changed = await trx('factor_webhooks')
    .where({ realm_id: before.realmId, id: before.id, secrets: before.secrets })
    .update({ secrets: after.secrets, updated_at: after.updatedAt });
  return changed === 1;
}

export async function deleteFactorWebhook(trx: Knex, realmId: string, id: string): Promise<void> {
  await trx('factor_webhooks').where({ realm_id: realmId, id }).delete();
}
