/** Scope mappings: which roles the tokens of a client without the full scope may name, by the client itself and by its client scopes. */
import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import type { MapperParent } from './protocol-mappers.ts';

/** What roles are mapped to: a client or a client scope, by its row id. */
export type MappingParent = MapperParent;

export const mappingColumns = (parent: MappingParent) => ('client' in parent ? { client_id: parent.client } : { scope_id: parent.scope });

/** False when the role was mapped before. */
export async function insertScopeMapping(trx: Knex, realmId: string, parent: MappingParent, roleId: string): Promise<boolean> {
  const inserted = await trx('scope_mappings')
    .insert({ realm_id: realmId, id: randomUUID(), client_id: null, scope_id: null, ...mappingColumns(parent), role_id: roleId })
    .onConflict(['realm_id', 'client' in parent ? 'client_id' : 'scope_id', 'role_id'])
    .ignore()
    .returning('id');
  return inserted.length === 1;
}

/** False when the role was not mapped. */
export async function deleteScopeMapping(trx: Knex, realmId: string, parent: MappingParent, roleId: string): Promise<boolean> {
  const deleted = await trx('scope_mappings')
    .where({ realm_id: realmId, ...mappingColumns(parent), role_id: roleId })
    .delete();
  return deleted === 1;
}
