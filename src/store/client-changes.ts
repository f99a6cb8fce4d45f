/** Clients as whoever administers looks for them, changes and deletes them. */
import type { Knex } from 'knex';
import { type ClientRecord, type ClientRow, clientFromRecord, clientRecord } from './clients.ts';
import type { Place } from './role-lists.ts';
import { bool } from './rows.ts';

export interface ClientSearch {
  /** The client_id, or with `part` a part of it whatever its case. */
  clientId?: string | undefined;
  part?: boolean | undefined;
  /** All of these attributes with these values. */
  attributes?: readonly (readonly [name: string, value: string])[] | undefined;
}

/** One page: `max` clients from the place `first` on, by client_id. */
export async function findClients(knex: Knex, realmId: string, search: ClientSearch, { first, max }: Place): Promise<ClientRow[]> {
  const query = knex<ClientRecord>('clients').where('realm_id', realmId).orderBy('client_id').limit(max).offset(first);
  const { clientId, part = false, attributes = [] } = search;
  if (clientId !== undefined && part) void query.whereRaw("lower(client_id) LIKE ? ESCAPE '!'", [`%${literally(clientId.toLowerCase())}%`]);
  else if (clientId !== undefined) void query.where('client_id', clientId);
  // They are JSON, as `clientRecord` writes it.
  for (const [name, value] of attributes) {
    const pattern = `%${literally(`${JSON.stringify(name)}:${JSON.stringify(value)}`)}%`;
    void query.whereRaw("attributes LIKE ? ESCAPE '!'", [pattern]);
  }
  return (await query).map(clientFromRecord);
}

const literally = (text: string): string => text.replace(/[!%_]/g, '!$&');

export async function clientById(knex: Knex, realmId: string, id: string): Promise<ClientRow | undefined> {
  const row = await knex<ClientRecord>('clients').where({ realm_id: realmId, id }).first();
  return row && clientFromRecord(row);
}

/** Writes all of a client in the place of what was read; false when somebody else has changed or deleted it since. */
export async function replaceClient(trx: Knex, before: ClientRow, after: ClientRow): Promise<boolean> {
  const { realm_id, id, created_at: _made, ...columns } = clientRecord(after);
  return (await trx('clients').where({ realm_id, id, updated_at: before.updatedAt }).update(columns)) === 1;
}

/** The client with what the database lets go with it, and its roles, which hang on no key. False when it is gone already. */
export async function deleteClient(trx: Knex, realmId: string, id: string): Promise<boolean> {
  await trx('roles').where({ realm_id: realmId, client_id: id }).delete();
  return (await trx('clients').where({ realm_id: realmId, id }).delete()) === 1;
}

/** Secrets of before that are good no longer: nobody needs them, and a copy of the database is not to hold them. */
export async function forgetRotatedSecrets(knex: Knex, now: number): Promise<number> {
  return knex('clients').where('rotated_until', '<', now).update({ rotated_secret: null, rotated_until: null });
}

/** Ends all grants of a client, those of offline tokens too: nothing that was issued to it stands. */
export async function endGrantsOfClient(trx: Knex, realmId: string, id: string): Promise<void> {
  const grants = trx('session_clients').where({ realm_id: realmId, client_id: id }).whereNotNull('grant_id').select('grant_id');
  await trx('oidc_payloads').where({ realm_id: realmId }).whereIn('grant_id', grants).delete();
  await trx('session_clients').where({ realm_id: realmId, client_id: id }).delete();
}

export interface ScopesOfClient {
  defaults: string[];
  optional: string[];
}

/** Names of the scopes of clients, by row id: one query for however many. */
export async function scopesOfClients(knex: Knex, realmId: string, ids: readonly string[]): Promise<Map<string, ScopesOfClient>> {
  const rows: { client_id: string; name: string; is_default: boolean | number }[] = await knex('client_scope_assignments')
    .join('client_scopes', (on) =>
      on.on('client_scopes.realm_id', 'client_scope_assignments.realm_id').andOn('client_scopes.id', 'client_scope_assignments.scope_id'),
    )
    .where('client_scope_assignments.realm_id', realmId)
    .whereIn('client_scope_assignments.client_id', [...ids])
    .orderBy('client_scopes.name')
    .select('client_scope_assignments.client_id', 'client_scopes.name', 'client_scope_assignments.is_default');
  const found = new Map<string, ScopesOfClient>(ids.map((id) => [id, { defaults: [], optional: [] }]));
  for (const row of rows) found.get(row.client_id)?.[bool(row.is_default) ? 'defaults' : 'optional'].push(row.name);
  return found;
}

/** Gives a new client these scopes by their names; those that the realm has not are passed over. */
export async function assignScopes(
  trx: Knex,
  client: { realmId: string; id: string },
  names: { defaults: readonly string[]; optional: readonly string[] },
): Promise<void> {
  const rows: { id: string; name: string }[] = await trx('client_scopes')
    .where({ realm_id: client.realmId })
    .whereIn('name', [...names.defaults, ...names.optional])
    .select('id', 'name');
  if (rows.length === 0) return;
  await trx('client_scope_assignments').insert(
    rows.map(({ id, name }) => ({ realm_id: client.realmId, client_id: client.id, scope_id: id, is_default: names.defaults.includes(name) })),
  );
}
