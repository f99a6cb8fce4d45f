/** The accounts that realms send by, where they have one of their own. All of an account is sealed. */
import type { Knex } from 'knex';
import type { SealContext } from '../crypto/seal.ts';
import type { SealedColumn } from './sealed-columns.ts';

export interface DeliveryAccountRow {
  realmId: string;
  channel: 'mail' | 'sms';
  /** Sealed JSON. */
  account: string;
  /** Another one with every change. */
  version: string;
  updatedAt: number;
}

export const deliveryAccountSeal = (row: { realmId: string; channel: string }): SealContext => ({
  purpose: 'delivery-account',
  realm: row.realmId,
  row: row.channel,
  column: 'account',
});

export const sealedDeliveryAccounts: SealedColumn = {
  table: 'delivery_accounts',
  column: 'account',
  key: 'channel',
  place: ({ realmId, key }) => deliveryAccountSeal({ realmId, channel: key }),
};

export async function deliveryAccount(knex: Knex, realmId: string, channel: 'mail' | 'sms'): Promise<DeliveryAccountRow | undefined> {
  const row = await knex('delivery_accounts').where({ realm_id: realmId, channel }).first();
  return row && { realmId: row.realm_id, channel: row.channel, account: row.account, version: row.version, updatedAt: row.updated_at };
}

/** Takes the place of the one before. */
export async function storeDeliveryAccount(trx: Knex, row: DeliveryAccountRow): Promise<void> {
  await trx('delivery_accounts')
    .insert({ realm_id: row.realmId, channel: row.channel, account: row.account, version: row.version, updated_at: row.updatedAt })
    .onConflict(['realm_id', 'channel'])
    .merge();
}

/** True when there was one. */
export async function deleteDeliveryAccount(trx: Knex, realmId: string, channel: 'mail' | 'sms'): Promise<boolean> {
  return (await trx('delivery_accounts').where({ realm_id: realmId, channel }).delete()) === 1;
}
