/** What hangs together in a realm, for whoever writes all of it down: each kind in one query. */
import type { Knex } from 'knex';
import { type ShownRole, shownRoles } from './role-lists.ts';

/** Every role of the realm and of its clients. */
export const rolesOfRealm = (knex: Knex, realmId: string, limit: number): Promise<ShownRole[]> => shownRoles(knex, realmId, limit);

/** A role that is part of another role, or was given to a group. */
export interface RoleWithin {
  /** The role that contains it, or the group. */
  of: string;
  name: string;
  /** client_id of the client it belongs to; null for a realm role. */
  client: string | null;
}

export async function containedInRoles(knex: Knex, realmId: string, limit: number): Promise<RoleWithin[]> {
  return named(knex, realmId, knex('role_composites').where('role_composites.realm_id', realmId), 'role_composites.child_id')
    .select({ of: 'role_composites.role_id' })
    .limit(limit);
}

export async function givenToGroups(knex: Knex, realmId: string, limit: number): Promise<RoleWithin[]> {
  return named(knex, realmId, knex('group_roles').where('group_roles.realm_id', realmId), 'group_roles.role_id')
    .select({ of: 'group_roles.group_id' })
    .limit(limit);
}

const named = (knex: Knex, realmId: string, rows: Knex.QueryBuilder, role: string): Knex.QueryBuilder =>
  rows
    .join('roles', (on) => on.on('roles.id', role).andOn('roles.realm_id', knex.raw('?', [realmId])))
    .leftJoin('clients', (on) => on.on('clients.realm_id', 'roles.realm_id').andOn('clients.id', 'roles.client_id'))
    .orderBy('roles.name')
    .select({ name: 'roles.name', client: 'clients.client_id' });
