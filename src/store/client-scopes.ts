/** Client scopes as whoever administers changes them, and which clients have which. */
import type { Knex } from 'knex';
import type { ClientScopeRow } from './clients.ts';
import { bool, fromJson, stringMap } from './rows.ts';

interface ClientScopeRecord {
  realm_id: string;
  id: string;
  name: string;
  description: string | null;
  protocol: string;
  attributes: string;
  realm_assignment: ClientScopeRow['realmAssignment'];
  created_at: number;
}

const fromRecord = (row: ClientScopeRecord): ClientScopeRow => ({
  realmId: row.realm_id,
  id: row.id,
  name: row.name,
  description: row.description,
  protocol: row.protocol,
  attributes: fromJson(stringMap, row.attributes, `client scope ${row.name}`),
  realmAssignment: row.realm_assignment,
  createdAt: row.created_at,
});

export async function clientScopeById(knex: Knex, realmId: string, id: string): Promise<ClientScopeRow | undefined> {
  const row = await knex<ClientScopeRecord>('client_scopes').where({ realm_id: realmId, id }).first();
  return row && fromRecord(row);
}

export async function clientScopeByName(knex: Knex, realmId: string, name: string): Promise<ClientScopeRow | undefined> {
  const row = await knex<ClientScopeRecord>('client_scopes').where({ realm_id: realmId, name }).first();
  return row && fromRecord(row);
}

/** Those that new clients of the realm get in that way, by name. */
export async function realmScopes(knex: Knex, realmId: string, assignment: 'default' | 'optional'): Promise<ClientScopeRow[]> {
  const rows = await knex<ClientScopeRecord>('client_scopes').where({ realm_id: realmId, realm_assignment: assignment }).orderBy('name');
  return rows.map(fromRecord);
}

/** Writes all of it; false when it is gone. */
export async function updateClientScope(trx: Knex, scope: ClientScopeRow): Promise<boolean> {
  const { name, description, protocol, attributes, realmAssignment } = scope;
  const changed = await trx('client_scopes')
    .where({ realm_id: scope.realmId, id: scope.id })
    .update({ name, description, protocol, attributes: JSON.stringify(attributes), realm_assignment: realmAssignment });
  return changed === 1;
}

/** Its mappers, its scope mappings and what clients have of it go with it; false when it was not there. */
export async function deleteClientScope(trx: Knex, realmId: string, id: string): Promise<boolean> {
  return (await trx('client_scopes').where({ realm_id: realmId, id }).delete()) === 1;
}

export interface AssignedClientScope extends ClientScopeRow {
  isDefault: boolean;
}

/** The scopes of a client, by name. */
export async function scopesAssigned(knex: Knex, realmId: string, clientId: string): Promise<AssignedClientScope[]> {
  const rows: (ClientScopeRecord & { is_default: boolean | number })[] = await knex('client_scope_assignments')
    .join('client_scopes', (on) =>
      on.on('client_scopes.realm_id', 'client_scope_assignments.realm_id').andOn('client_scopes.id', 'client_scope_assignments.scope_id'),
    )
    .where({ 'client_scope_assignments.realm_id': realmId, 'client_scope_assignments.client_id': clientId })
    .orderBy('client_scopes.name')
    .select('client_scopes.*', 'client_scope_assignments.is_default');
  return rows.map((row) => ({ ...fromRecord(row), isDefault: bool(row.is_default) }));
}

/** Gives a client a scope, or changes how it has it. */
export async function assignScope(trx: Knex, realmId: string, clientId: string, scopeId: string, isDefault: boolean): Promise<void> {
  await trx('client_scope_assignments')
    .insert({ realm_id: realmId, client_id: clientId, scope_id: scopeId, is_default: isDefault })
    .onConflict(['realm_id', 'client_id', 'scope_id'])
    .merge(['is_default']);
}

/** Takes a scope from a client that has it in that way; false when it has not. */
export async function unassignScope(trx: Knex, realmId: string, clientId: string, scopeId: string, isDefault: boolean): Promise<boolean> {
  const deleted = await trx('client_scope_assignments')
    .where({ realm_id: realmId, client_id: clientId, scope_id: scopeId, is_default: isDefault })
    .delete();
  return deleted === 1;
}

/** Says that something has changed that was read with the client: caches compare the time, so that it only grows. */
export async function touchClient(trx: Knex, realmId: string, id: string, now: number): Promise<void> {
  await trx('clients')
    .where({ realm_id: realmId, id })
    .update({ updated_at: trx.raw('CASE WHEN updated_at >= ? THEN updated_at + 1 ELSE ? END', [now, now]) });
}
