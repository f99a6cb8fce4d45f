/**
 * Who has which roles. A user has the roles that were given to the user, to the user's groups and to every group above
 * those, and whatever these roles contain, to any depth; the database counts it out in one query, the same on both engines.
 *
 * Every recursion is a UNION, which drops what it has seen: it ends even where stored rows form a circle.
 *
 * Two directions, because one role may contain very many (`admin` of realm master contains those of every realm): "which
 * roles" goes down from the user, "this role?" goes up from the role, and costs the same however much lies below.
 */
import type { Knex } from 'knex';

export interface EffectiveRole {
  id: string;
  name: string;
  /** client_id of the client it belongs to; null for a realm role. */
  client: string | null;
}

/** What a client without the full scope is told of: its own roles, and those mapped to it or to scopes that apply. */
export interface RoleScope {
  /** The client's row id. */
  clientId: string;
  /** Names of the scopes. */
  scopes: readonly string[];
}

/** The roles of a user, in no order; with `within`, those of them that the scope lets pass. */
export async function effectiveRoles(knex: Knex, realmId: string, userId: string, within?: RoleScope): Promise<EffectiveRole[]> {
  const { roles, tables } = heldRoles(knex, realmId, userId, within);
  void roles.withRecursive('member_groups', groupsOf(knex, realmId, userId));
  for (const [table, rows] of tables) void roles.withRecursive(table, rows);
  return roles.select({ id: 'roles.id', name: 'roles.name', client: 'clients.client_id' });
}

/**
 * The same as part of a query that asks for more of a user: it selects from `roles` and `clients`, and needs `member_groups`
 * (`groupsOf`) and the tables that are named here.
 * @param userId whose, or a query of that one id
 */
export function heldRoles(
  knex: Knex,
  realmId: string,
  userId: string | Knex.QueryBuilder,
  within: RoleScope | undefined,
): { roles: Knex.QueryBuilder; tables: [string, Knex.QueryBuilder][] } {
  if (!within) {
    const held = withContained(knex, realmId, 'held', givenRoles(knex, realmId, userId));
    return { roles: named(realmId, knex('held'), 'held.id'), tables: [['held', held]] };
  }
  const passing = withContained(knex, realmId, 'passing', rolesOfScope(knex, realmId, within));
  const ways = waysTo(knex, realmId, 'ways', knex('passing').select({ id: 'id', holder_id: 'id' }));
  const roles = knex('ways')
    .distinct()
    .where(isGiven(knex, realmId, userId, 'ways.holder_id'));
  return {
    roles: named(realmId, roles, 'ways.id'),
    tables: [
      ['passing', passing],
      ['ways', ways],
    ],
  };
}

/** True when the user has this realm role, however it comes to the user. */
export async function hasRealmRole(knex: Knex, realmId: string, userId: string, name: string): Promise<boolean> {
  const row = await knex
    .withRecursive('member_groups', groupsOf(knex, realmId, userId))
    .withRecursive('ways', waysTo(knex, realmId, 'ways', realmRole(knex, realmId, name)))
    .from('ways')
    .where(isGiven(knex, realmId, userId, 'ways.holder_id'))
    .first('ways.id');
  return row !== undefined;
}

/** Which roles of one client a user has, however they come to the user. */
export async function rolesHeldOfClient(knex: Knex, realmId: string, userId: string, clientId: string): Promise<string[]> {
  return [...((await rolesHeldOfClients(knex, realmId, userId, [clientId])).get(clientId) ?? [])];
}

/** The same of several clients, by their client_id: asked upwards, whatever else lies below what the user has. */
export async function rolesHeldOfClients(
  knex: Knex,
  realmId: string,
  userId: string,
  clientIds: readonly string[],
): Promise<Map<string, Set<string>>> {
  const ofClients = knex('roles')
    .join('clients', (on) => on.on('clients.realm_id', 'roles.realm_id').andOn('clients.id', 'roles.client_id'))
    .where('roles.realm_id', realmId)
    .whereIn('clients.client_id', [...clientIds])
    .select({ id: 'roles.id', holder_id: 'roles.id' });
  const rows: { client: string; name: string }[] = await knex
    .withRecursive('member_groups', groupsOf(knex, realmId, userId))
    .withRecursive('ways', waysTo(knex, realmId, 'ways', ofClients))
    .from('ways')
    .join('roles', 'roles.id', 'ways.id')
    .join('clients', (on) => on.on('clients.realm_id', 'roles.realm_id').andOn('clients.id', 'roles.client_id'))
    .where('roles.realm_id', realmId)
    .where(isGiven(knex, realmId, userId, 'ways.holder_id'))
    .distinct({ client: 'clients.client_id', name: 'roles.name' });
  const held = new Map<string, Set<string>>();
  for (const { client, name } of rows) held.set(client, (held.get(client) ?? new Set()).add(name));
  return held;
}

/** True when any user has this realm role, however it comes to the user; service accounts are not asked about. */
export async function isHeldByUser(knex: Knex, realmId: string, name: string): Promise<boolean> {
  const below = knex('group_roles')
    .where('realm_id', realmId)
    .whereIn('role_id', knex('ways').select('holder_id'))
    .select({ id: 'group_id' })
    .union(knex('groups').join('below', 'below.id', 'groups.parent_id').where('groups.realm_id', realmId).select({ id: 'groups.id' }));
  const row = await knex
    .withRecursive('ways', waysTo(knex, realmId, 'ways', realmRole(knex, realmId, name)))
    .withRecursive('below', below)
    .from('users')
    .where('users.realm_id', realmId)
    .whereNull('users.service_account_of')
    .where((either) =>
      either
        .whereIn('users.id', knex('user_roles').where('realm_id', realmId).whereIn('role_id', knex('ways').select('holder_id')).select('user_id'))
        .orWhereIn('users.id', knex('user_groups').where('realm_id', realmId).whereIn('group_id', knex('below').select('id')).select('user_id')),
    )
    .first('users.id');
  return row !== undefined;
}

/** True when `roleId` is, or contains at any depth, `otherId`. */
export async function roleContains(knex: Knex, realmId: string, roleId: string, otherId: string): Promise<boolean> {
  const row = await knex
    .withRecursive(
      'ways',
      waysTo(knex, realmId, 'ways', knex('roles').where({ realm_id: realmId, id: otherId }).select({ id: 'id', holder_id: 'id' })),
    )
    .from('ways')
    .where('holder_id', roleId)
    .first('id');
  return row !== undefined;
}

/** The roles that were given to the user, or to one of the groups in `member_groups`. */
export const givenRoles = (knex: Knex, realmId: string, userId: string | Knex.QueryBuilder): Knex.QueryBuilder =>
  knex('user_roles')
    .where({ realm_id: realmId, user_id: userId })
    .select({ id: 'role_id' })
    .union(knex('group_roles').where('realm_id', realmId).whereIn('group_id', knex('member_groups').select('id')).select({ id: 'role_id' }));

/**
 * The groups that a user is in, and every group above them.
 * @param userId whose, or a query of that one id
 */
export function groupsOf(knex: Knex, realmId: string, userId: string | Knex.QueryBuilder): Knex.QueryBuilder {
  return knex('user_groups')
    .where({ realm_id: realmId, user_id: userId })
    .select({ id: 'group_id' })
    .union(
      fromEach(knex, 'member_groups', 'id', 'groups', 'id')
        .where('groups.realm_id', realmId)
        .whereNotNull('groups.parent_id')
        .select({ id: 'groups.parent_id' }),
    );
}

/**
 * One step of a recursion: of each row that was found, the rows of `table` that it leads to. A cross join, because SQLite keeps
 * to its order and looks each of them up; of an inner one it reads the whole table for every row that was found.
 */
const fromEach = (knex: Knex, found: string, key: string, table: string, column: string): Knex.QueryBuilder =>
  knex(found)
    .crossJoin(knex.ref(table))
    .where(`${table}.${column}`, knex.ref(`${found}.${key}`));

/** Roles and whatever they contain; `table` is the name of the recursive table that this fills. */
function withContained(knex: Knex, realmId: string, table: string, roles: Knex.QueryBuilder): Knex.QueryBuilder {
  return roles.union(
    fromEach(knex, table, 'id', 'role_composites', 'role_id').where('role_composites.realm_id', realmId).select({ id: 'role_composites.child_id' }),
  );
}

/** Roles, each with every role that brings it: itself and what contains it. */
export function waysTo(knex: Knex, realmId: string, table: string, roles: Knex.QueryBuilder): Knex.QueryBuilder {
  return roles.union(
    fromEach(knex, table, 'holder_id', 'role_composites', 'child_id')
      .where('role_composites.realm_id', realmId)
      .select({ id: `${table}.id`, holder_id: 'role_composites.role_id' }),
  );
}

const realmRole = (knex: Knex, realmId: string, name: string): Knex.QueryBuilder =>
  knex('roles').where({ realm_id: realmId, name }).whereNull('client_id').select({ id: 'id', holder_id: 'id' });

/** Ids of all roles that the scope lets pass. */
export const passingRoles = (knex: Knex, realmId: string, within: RoleScope): Knex.QueryBuilder =>
  knex
    .withRecursive('passing', withContained(knex, realmId, 'passing', rolesOfScope(knex, realmId, within)))
    .from('passing')
    .select('passing.id');

function rolesOfScope(knex: Knex, realmId: string, { clientId, scopes }: RoleScope): Knex.QueryBuilder {
  const names = [...new Set(scopes)];
  return knex('roles')
    .where({ realm_id: realmId, client_id: clientId })
    .select({ id: 'id' })
    .union(
      knex('scope_mappings')
        .where('realm_id', realmId)
        .where((either) =>
          either
            .where('client_id', clientId)
            .orWhereIn('scope_id', knex('client_scopes').where('realm_id', realmId).whereIn('name', names).select('id')),
        )
        .select({ id: 'role_id' }),
    );
}

/** Whether the role of this column was given to the user or to one of the groups in `member_groups`. */
export const isGiven = (knex: Knex, realmId: string, userId: string | Knex.QueryBuilder, role: string) => (either: Knex.QueryBuilder) =>
  either
    .whereIn(role, knex('user_roles').where({ realm_id: realmId, user_id: userId }).select('role_id'))
    .orWhereIn(role, knex('group_roles').where('realm_id', realmId).whereIn('group_id', knex('member_groups').select('id')).select('role_id'));

/** Names the roles of a query. One whose client is gone is nobody's. */
const named = (realmId: string, query: Knex.QueryBuilder, id: string): Knex.QueryBuilder =>
  query
    .join('roles', 'roles.id', id)
    .leftJoin('clients', (on) => on.on('clients.realm_id', 'roles.realm_id').andOn('clients.id', 'roles.client_id'))
    .where('roles.realm_id', realmId)
    .where((either) => either.whereNull('roles.client_id').orWhereNotNull('clients.id'));
