/** Roles by the names that policies give them: a realm role by its own, a client's as `client:role`. */
import type { Knex } from 'knex';

/** Roles by the names that a policy gives them. */
export const namedRoles = (knex: Knex, realmId: string, names: readonly string[]): Knex.QueryBuilder =>
  rolesNamed(knex, realmId, names, ofClients(names));

/** The client_ids and role names that `client:role` may stand for. A client_id may have a colon in it, so each place is tried. */
export const ofClients = (names: readonly string[]): string[][] =>
  names.flatMap((name) => [...name.matchAll(/:/g)].map(({ index }) => [name.slice(0, index), name.slice(index + 1)]));

/** @param pairs as ofClients has them, of these names */
export function rolesNamed(knex: Knex, realmId: string, names: readonly string[], pairs: readonly string[][]): Knex.QueryBuilder {
  return knex('roles')
    .leftJoin('clients', (on) => on.on('clients.realm_id', 'roles.realm_id').andOn('clients.id', 'roles.client_id'))
    .where('roles.realm_id', realmId)
    .where((either) => {
      void either.where((ofRealm) => ofRealm.whereNull('roles.client_id').whereIn('roles.name', [...names]));
      if (pairs.length > 0) void either.orWhereIn(['clients.client_id', 'roles.name'], [...pairs]);
    })
    .select({ id: 'roles.id', holder_id: 'roles.id' });
}
