/**
 * A realm, taken away: what there may be very much of goes first, in bounded batches, and the row of the realm takes the
 * rest with it. One DELETE of a realm with a million users would hold its locks for minutes.
 */
import type { Knex } from 'knex';

/** In this order: what hangs on users and clients goes with them. */
const MANY: readonly { table: string; key: string }[] = [
  { table: 'oidc_payloads', key: 'id' },
  { table: 'audit_events', key: 'id' },
  { table: 'outbox', key: 'id' },
  { table: 'webhook_deliveries', key: 'id' },
  { table: 'logout_notices', key: 'id' },
  { table: 'logins', key: 'id' },
  { table: 'attempts', key: 'subject' },
  { table: 'delivery_counts', key: 'subject' },
  { table: 'sessions', key: 'id' },
  { table: 'users', key: 'id' },
  { table: 'groups', key: 'id' },
  { table: 'clients', key: 'id' },
  { table: 'roles', key: 'id' },
];

/** Deletes some of what a realm has; false when there is nothing left but what goes with the realm's own row. */
export async function deleteSomeOfRealm(trx: Knex, realmId: string, batch: number): Promise<boolean> {
  for (const { table, key } of MANY) {
    const some = trx(table).where({ realm_id: realmId }).select(key).limit(batch);
    const gone = await trx(table).where({ realm_id: realmId }).whereIn(key, some).delete();
    if (gone > 0) return true;
  }
  return false;
}

/** Deletes the realm with all that is left of it; false when it was not there. */
export const deleteRealm = async (trx: Knex, realmId: string): Promise<boolean> => (await trx('realms').where({ id: realmId }).delete()) === 1;

/** Deletes a client with its roles, which have no key of their own to go by. */
export async function deleteClientWithRoles(trx: Knex, realmId: string, clientId: string): Promise<void> {
  const client = trx('clients').where({ realm_id: realmId, client_id: clientId }).select('id');
  await trx('roles').where({ realm_id: realmId }).whereIn('client_id', client).delete();
  await trx('clients').where({ realm_id: realmId, client_id: clientId }).delete();
}
