/** Which roles and groups many users have, in two queries however many there are. */
import type { Knex } from 'knex';
import { waysTo } from './effective-roles.ts';
import { namedRoles } from './named-roles.ts';

export interface Memberships {
  username: string;
  /** Those of the asked-for roles: a realm role by its name, a client's as `client:role`. */
  roles: string[];
  /** Paths, with those of all groups above. */
  groups: string[];
}

/**
 * @param userIds a page of them
 * @param roles the roles that matter
 * @returns by user id; users who are gone are missing
 */
export async function membershipsOf(
  knex: Knex,
  realmId: string,
  userIds: readonly string[],
  roles: readonly string[],
): Promise<Map<string, Memberships>> {
  const rows: { id: string; username: string; path: string | null }[] = await knex
    .withRecursive('joined', joined(knex, realmId, userIds))
    .from('users')
    .leftJoin('joined', 'joined.user_id', 'users.id')
    .leftJoin('groups', (on) => on.on('groups.realm_id', 'users.realm_id').andOn('groups.id', 'joined.group_id'))
    .where('users.realm_id', realmId)
    .whereIn('users.id', [...userIds])
    .select({ id: 'users.id', username: 'users.username_shown', path: 'groups.path' });
  const found = new Map<string, Memberships>();
  for (const { id, username, path } of rows) {
    const user = found.get(id) ?? { username, roles: [], groups: [] };
    if (path !== null) user.groups.push(path);
    found.set(id, user);
  }
  if (roles.length === 0) return found;
  for (const { user, name, client } of await holders(knex, realmId, userIds, roles))
    found.get(user)?.roles.push(client === null ? name : `${client}:${name}`);
  return found;
}

/** Users with their groups, and every group above those. */
function joined(knex: Knex, realmId: string, userIds: readonly string[]): Knex.QueryBuilder {
  return knex('user_groups')
    .where('realm_id', realmId)
    .whereIn('user_id', [...userIds])
    .select('user_id', 'group_id')
    .union(
      knex('groups')
        .join('joined', 'joined.group_id', 'groups.id')
        .where('groups.realm_id', realmId)
        .whereNotNull('groups.parent_id')
        .select('joined.user_id', { group_id: 'groups.parent_id' }),
    );
}

function holders(
  knex: Knex,
  realmId: string,
  userIds: readonly string[],
  roles: readonly string[],
): Promise<{ user: string; name: string; client: string | null }[]> {
  const given = knex('user_roles')
    .where('realm_id', realmId)
    .whereIn('user_id', [...userIds])
    .select('user_id', 'role_id')
    .union(
      knex('group_roles')
        .join('joined', 'joined.group_id', 'group_roles.group_id')
        .where('group_roles.realm_id', realmId)
        .select('joined.user_id', 'group_roles.role_id'),
    );
  return knex
    .withRecursive('joined', joined(knex, realmId, userIds))
    .withRecursive('ways', waysTo(knex, realmId, 'ways', namedRoles(knex, realmId, roles)))
    .from(given.as('given'))
    .join('ways', 'ways.holder_id', 'given.role_id')
    .join('roles', 'roles.id', 'ways.id')
    .leftJoin('clients', (on) => on.on('clients.realm_id', 'roles.realm_id').andOn('clients.id', 'roles.client_id'))
    .where('roles.realm_id', realmId)
    .distinct({ user: 'given.user_id', name: 'roles.name', client: 'clients.client_id' });
}
