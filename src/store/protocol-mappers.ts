/** Protocol mappers of clients and of client scopes. What a type does is said in realms/mappers. */
import type { Knex } from 'knex';
import { fromJson, stringMap } from './rows.ts';

/** What a mapper belongs to: a client or a client scope, by its row id. */
export type MapperParent = { client: string } | { scope: string };

export interface ProtocolMapperRow {
  realmId: string;
  id: string;
  parent: MapperParent;
  /** Once a parent. */
  name: string;
  protocol: string;
  /** Its type, such as oidc-full-name-mapper (Keycloak's protocolMapper). */
  mapper: string;
  config: Record<string, string>;
}

interface ProtocolMapperRecord {
  realm_id: string;
  id: string;
  client_id: string | null;
  scope_id: string | null;
  name: string;
  protocol: string;
  mapper: string;
  config: string;
}

const fromRecord = (row: ProtocolMapperRecord): ProtocolMapperRow => ({
  realmId: row.realm_id,
  id: row.id,
  parent: row.client_id === null ? { scope: row.scope_id ?? '' } : { client: row.client_id },
  name: row.name,
  protocol: row.protocol,
  mapper: row.mapper,
  config: fromJson(stringMap, row.config, `protocol mapper ${row.name}`),
});

const columnsOf = (parent: MapperParent) =>
  'client' in parent ? { client_id: parent.client, scope_id: null } : { client_id: null, scope_id: parent.scope };

export async function insertProtocolMappers(trx: Knex, mappers: readonly ProtocolMapperRow[]): Promise<void> {
  if (mappers.length === 0) return;
  await trx('protocol_mappers').insert(
    mappers.map(({ realmId, id, parent, name, protocol, mapper, config }) => ({
      realm_id: realmId,
      id,
      ...columnsOf(parent),
      name,
      protocol,
      mapper,
      config: JSON.stringify(config),
    })),
  );
}

/** Of one client or scope, by name. */
export async function mappersOf(knex: Knex, realmId: string, parent: MapperParent): Promise<ProtocolMapperRow[]> {
  const rows = await knex<ProtocolMapperRecord>('protocol_mappers')
    .where({ realm_id: realmId, ...columnsOf(parent) })
    .orderBy('name');
  return rows.map(fromRecord);
}

/** Of every client scope of a realm, by name. */
export async function mappersOfScopes(knex: Knex, realmId: string): Promise<ProtocolMapperRow[]> {
  const rows = await knex<ProtocolMapperRecord>('protocol_mappers').where({ realm_id: realmId }).whereNotNull('scope_id').orderBy('name');
  return rows.map(fromRecord);
}

/** Of many clients, by client and name: one query for all of them. */
export async function mappersOfClients(knex: Knex, realmId: string, clientIds: readonly string[]): Promise<Map<string, ProtocolMapperRow[]>> {
  const rows = await knex<ProtocolMapperRecord>('protocol_mappers')
    .where({ realm_id: realmId })
    .whereIn('client_id', [...clientIds])
    .orderBy('name');
  return Map.groupBy(rows.map(fromRecord), ({ parent }) => ('client' in parent ? parent.client : ''));
}

export async function mapperOf(knex: Knex, realmId: string, parent: MapperParent, id: string): Promise<ProtocolMapperRow | undefined> {
  const row = await knex<ProtocolMapperRecord>('protocol_mappers')
    .where({ realm_id: realmId, id, ...columnsOf(parent) })
    .first();
  return row && fromRecord(row);
}

/** Writes name, type and config; false when it is gone. */
export async function updateProtocolMapper(trx: Knex, { realmId, id, parent, name, protocol, mapper, config }: ProtocolMapperRow): Promise<boolean> {
  const changed = await trx('protocol_mappers')
    .where({ realm_id: realmId, id, ...columnsOf(parent) })
    .update({ name, protocol, mapper, config: JSON.stringify(config) });
  return changed === 1;
}

export async function deleteProtocolMapper(trx: Knex, realmId: string, parent: MapperParent, id: string): Promise<boolean> {
  const deleted = await trx('protocol_mappers')
    .where({ realm_id: realmId, id, ...columnsOf(parent) })
    .delete();
  return deleted === 1;
}
