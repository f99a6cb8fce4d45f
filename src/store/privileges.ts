/**
 * Which roles that manage something lie in roles, in what a group gives and in what a user has. Realm master is walked
 * down to the first role that manages: below `admin` lie those of every realm, and whoever has a role has what it contains.
 */
import type { Knex } from 'knex';
import { givenRoles, groupsOf, isGiven, waysTo } from './effective-roles.ts';

export interface Privilege {
  id: string;
  name: string;
  /** client_id of the client it belongs to; null for a realm role. */
  client: string | null;
}

/** Whose roles are looked into. */
export type Bearer = { roles: readonly string[] } | { group: string } | { groupsFrom: string } | { user: string };

/**
 * @param isMaster whether that is the realm whose administrators manage the installation
 * @returns in master the topmost ones, elsewhere all
 */
export async function privilegesIn(knex: Knex, realmId: string, isMaster: boolean, bearer: Bearer): Promise<Privilege[]> {
  const manages = isMaster
    ? "(clients.client_id = 'realm-management' OR clients.client_id LIKE '%-realm' OR (roles.client_id IS NULL AND roles.name IN ('admin', 'create-realm')))"
    : "clients.client_id = 'realm-management'";
  const withClient = (roles: Knex.QueryBuilder): Knex.QueryBuilder =>
    roles
      .leftJoin('clients', (on) => on.on('clients.realm_id', 'roles.realm_id').andOn('clients.id', 'roles.client_id'))
      .where('roles.realm_id', realmId)
      .select({ id: 'roles.id' }, knex.raw(`CASE WHEN ${manages} THEN 1 ELSE 0 END AS manages`));
  const base = withClient(knex('roles').whereIn('roles.id', givenTo(knex, realmId, bearer)));
  const contained = withClient(
    knex('walked')
      .join('role_composites', 'role_composites.role_id', 'walked.id')
      .where('role_composites.realm_id', realmId)
      .modify((query) => {
        if (isMaster) void query.where('walked.manages', 0);
      })
      .join('roles', 'roles.id', 'role_composites.child_id'),
  );
  return knex
    .withRecursive('member_groups', memberGroupsOf(knex, realmId, bearer))
    .withRecursive('walked', base.union(contained))
    .from('walked')
    .where('walked.manages', 1)
    .join('roles', (on) => on.on('roles.id', 'walked.id').andOnVal('roles.realm_id', realmId))
    .leftJoin('clients', (on) => on.on('clients.realm_id', 'roles.realm_id').andOn('clients.id', 'roles.client_id'))
    .select({ id: 'roles.id', name: 'roles.name', client: 'clients.client_id' });
}

/** Which of these roles a user has, however they come to the user. */
export async function heldOf(knex: Knex, realmId: string, userId: string, roleIds: readonly string[]): Promise<Set<string>> {
  const asked = knex('roles')
    .where('realm_id', realmId)
    .whereIn('id', [...roleIds])
    .select({ id: 'id', holder_id: 'id' });
  const rows: string[] = await knex
    .withRecursive('member_groups', groupsOf(knex, realmId, userId))
    .withRecursive('ways', waysTo(knex, realmId, 'ways', asked))
    .from('ways')
    .where(isGiven(knex, realmId, userId, 'ways.holder_id'))
    .distinct()
    .pluck('ways.id');
  return new Set(rows);
}

/** The groups whose roles somebody has: those of a user or one group, and every group above; or one group and every group below. */
export function memberGroupsOf(knex: Knex, realmId: string, bearer: Bearer): Knex.QueryBuilder {
  if ('user' in bearer) return groupsOf(knex, realmId, bearer.user);
  if ('groupsFrom' in bearer)
    return knex('groups')
      .where({ realm_id: realmId, id: bearer.groupsFrom })
      .select({ id: 'id' })
      .union(
        knex('groups').join('member_groups', 'member_groups.id', 'groups.parent_id').where('groups.realm_id', realmId).select({ id: 'groups.id' }),
      );
  const start = knex('groups')
    .where({ realm_id: realmId, id: 'group' in bearer ? bearer.group : '' })
    .select({ id: 'id' });
  return start.union(
    knex('groups')
      .join('member_groups', 'member_groups.id', 'groups.id')
      .where('groups.realm_id', realmId)
      .whereNotNull('groups.parent_id')
      .select({ id: 'groups.parent_id' }),
  );
}

/** The roles that were given, where `member_groups` are the groups. */
export function givenTo(knex: Knex, realmId: string, bearer: Bearer): Knex.QueryBuilder | string[] {
  if ('roles' in bearer) return [...bearer.roles];
  if ('user' in bearer) return knex.from(givenRoles(knex, realmId, bearer.user).as('given')).select('given.id');
  return knex('group_roles').where('realm_id', realmId).whereIn('group_id', knex('member_groups').select('id')).select('role_id');
}
