/** Components of a realm, as Keycloak calls what is configured and has no table of its own. */
import type { Knex } from 'knex';
import type { SealContext } from '../crypto/seal.ts';
import { fromJson, stringLists } from './rows.ts';
import type { SealedColumn } from './sealed-columns.ts';

export interface ComponentRow {
  realmId: string;
  id: string;
  parentId: string;
  name: string;
  providerType: string;
  providerId: string;
  subType: string | null;
  /** Without what is secret. */
  config: Record<string, string[]>;
  /** Sealed JSON of the same shape; null for nothing. */
  secrets: string | null;
  createdAt: number;
}

export const componentSeal = (row: { realmId: string; id: string }): SealContext => ({
  purpose: 'component',
  realm: row.realmId,
  row: row.id,
  column: 'secrets',
});

export const sealedComponents: SealedColumn = {
  table: 'components',
  column: 'secrets',
  place: ({ realmId, key }) => componentSeal({ realmId, id: key }),
};

export interface ComponentFilter {
  name?: string | undefined;
  /** Any of these. */
  parents?: readonly string[] | undefined;
  type?: string | undefined;
}

/** By name, at most `limit`. */
export async function listComponents(knex: Knex, realmId: string, filter: ComponentFilter, limit: number): Promise<ComponentRow[]> {
  const query = knex('components').where({ realm_id: realmId }).orderBy(['name', 'id']).limit(limit);
  if (filter.name !== undefined) query.where('name', filter.name);
  if (filter.parents !== undefined) query.whereIn('parent_id', [...filter.parents]);
  if (filter.type !== undefined) query.where('provider_type', filter.type);
  return (await query).map(fromRecord);
}

export async function componentById(knex: Knex, realmId: string, id: string): Promise<ComponentRow | undefined> {
  const row = await knex('components').where({ realm_id: realmId, id }).first();
  return row && fromRecord(row);
}

export async function countComponents(knex: Knex, realmId: string): Promise<number> {
  const row = await knex('components').where({ realm_id: realmId }).count({ count: '*' }).first();
  return Number(row?.count ?? 0);
}

/** Takes the place of the one of that id. */
export async function storeComponent(trx: Knex, row: ComponentRow): Promise<void> {
  await trx('components')
    .insert({
      realm_id: row.realmId,
      id: row.id,
      parent_id: row.parentId,
      name: row.name,
      provider_type: row.providerType,
      provider_id: row.providerId,
      sub_type: row.subType,
      config: JSON.stringify(row.config),
      secrets: row.secrets,
      created_at: row.createdAt,
    })
    .onConflict(['realm_id', 'id'])
    .merge();
}

/** Deletes one, and those below it; false when it was not there. */
export async function deleteComponent(trx: Knex, realmId: string, id: string): Promise<boolean> {
  await trx('components').where({ realm_id: realmId, parent_id: id }).delete();
  return (await trx('components').where({ realm_id: realmId, id }).delete()) === 1;
}

interface ComponentRecord {
  realm_id: string;
  id: string;
  parent_id: string;
  name: string;
  provider_type: string;
  provider_id: string;
  sub_type: string | null;
  config: string;
  secrets: string | null;
  created_at: number;
}

const fromRecord = (row: ComponentRecord): ComponentRow => ({
  realmId: row.realm_id,
  id: row.id,
  parentId: row.parent_id,
  name: row.name,
  providerType: row.provider_type,
  providerId: row.provider_id,
  subType: row.sub_type,
  config: fromJson(stringLists, row.config, `component ${row.name}`),
  secrets: row.secrets,
  createdAt: row.created_at,
});
