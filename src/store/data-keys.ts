/** The realms' data keys, as they are stored: wrapped by the master key. */
import type { Knex } from 'knex';
import type { DataKeyRow } from '../crypto/keyring.ts';

const fromRecord = (row: { realm_id: string; id: string; wrapped: string; created_at: number }): DataKeyRow => ({
  realmId: row.realm_id,
  id: row.id,
  wrapped: row.wrapped,
  createdAt: row.created_at,
});

export async function dataKeys(knex: Knex, realmId: string): Promise<DataKeyRow[]> {
  return (await knex('data_keys').where({ realm_id: realmId }).orderBy('created_at')).map(fromRecord);
}

export async function insertDataKey(trx: Knex, row: DataKeyRow): Promise<void> {
  await trx('data_keys').insert({ realm_id: row.realmId, id: row.id, wrapped: row.wrapped, created_at: row.createdAt });
}

export async function deleteDataKey(trx: Knex, row: { realmId: string; id: string }): Promise<void> {
  await trx('data_keys').where({ realm_id: row.realmId, id: row.id }).delete();
}

/** The data keys of all realms, one page: those after `after`, at most `limit`. */
export async function pageOfDataKeys(knex: Knex, page: { after: DataKeyRow | undefined; limit: number }): Promise<DataKeyRow[]> {
  const { after } = page;
  const query = knex('data_keys').orderBy(['realm_id', 'id']).limit(page.limit);
  if (after)
    query.where((keys) =>
      keys.where('realm_id', '>', after.realmId).orWhere((same) => same.where('realm_id', after.realmId).where('id', '>', after.id)),
    );
  return (await query).map(fromRecord);
}

export async function countDataKeys(knex: Knex): Promise<number> {
  return Number((await knex('data_keys').count({ n: '*' }).first())?.n ?? 0);
}

/** Replaces a wrapping that is still the one that was read; false when somebody else did. */
export async function replaceWrapped(knex: Knex, row: DataKeyRow, wrapped: string): Promise<boolean> {
  return (await knex('data_keys').where({ realm_id: row.realmId, id: row.id, wrapped: row.wrapped }).update({ wrapped })) === 1;
}

/** Realms with more than one data key whose newest was made before that moment, one page by id: those after `after`. */
export async function realmsWithOldKeys(knex: Knex, page: { madeBefore: number; after: string; limit: number }): Promise<string[]> {
  return knex('data_keys')
    .where('realm_id', '>', page.after)
    .groupBy('realm_id')
    .havingRaw('count(*) > 1 AND max(created_at) < ?', [page.madeBefore])
    .orderBy('realm_id')
    .limit(page.limit)
    .pluck('realm_id');
}
