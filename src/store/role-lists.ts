/** Roles as lists show them: of a realm or a client, of what contains them, of whom they were given to. */
import type { Knex } from 'knex';
import { passingRoles, type RoleScope, waysTo } from './effective-roles.ts';
import { type Bearer, givenTo, memberGroupsOf } from './privileges.ts';
import { type RoleRecord, type RoleRow, roleFromRecord } from './roles.ts';
import { bool, fromJson, stringLists } from './rows.ts';
import { type MappingParent, mappingColumns } from './scope-mappings.ts';
import { type UserRecord, type UserRow, userFromRecord } from './users.ts';

export interface Place {
  first: number;
  max: number;
}

/** A role with all that is shown of it. */
export interface ShownRole extends RoleRow {
  attributes: Record<string, string[]>;
  /** Whether it contains others. */
  composite: boolean;
  /** client_id of the client it belongs to; null for a realm role. */
  client: string | null;
}

interface ShownRecord extends RoleRecord {
  attributes: string;
  composite: boolean | number;
  client: string | null;
}

const fromRecord = (row: ShownRecord): ShownRole => ({
  ...roleFromRecord(row),
  attributes: fromJson(stringLists, row.attributes, `the attributes of role ${row.id}`),
  composite: bool(row.composite),
  client: row.client,
});

/** Which roles are asked for: those of the realm (null), of a client, or of either. */
type Owner = string | null | undefined;

/** By name; a role whose client is gone is not among them. */
function shown(knex: Knex, realmId: string, owner?: Owner) {
  const contains = 'SELECT 1 FROM role_composites WHERE role_composites.realm_id = roles.realm_id AND role_composites.role_id = roles.id';
  const query = knex('roles')
    .leftJoin('clients', (on) => on.on('clients.realm_id', 'roles.realm_id').andOn('clients.id', 'roles.client_id'))
    .where('roles.realm_id', realmId)
    .where((either) => either.whereNull('roles.client_id').orWhereNotNull('clients.id'))
    .select('roles.*', { client: 'clients.client_id' }, knex.raw(`CASE WHEN EXISTS (${contains}) THEN 1 ELSE 0 END AS composite`))
    .orderBy(['roles.name', 'roles.id']);
  if (owner === null) query.whereNull('roles.client_id');
  else if (owner !== undefined) query.where('roles.client_id', owner);
  return query;
}

async function rows(query: Knex.QueryBuilder, place?: Place): Promise<ShownRole[]> {
  if (place) void query.limit(place.max).offset(place.first);
  const found: ShownRecord[] = await query;
  return found.map(fromRecord);
}

/** @param search part of a name, whatever its case */
export function findRoles(knex: Knex, realmId: string, owner: string | null, search: string | undefined, place: Place): Promise<ShownRole[]> {
  return rows(named(shown(knex, realmId, owner), search), place);
}

function named(query: ReturnType<typeof shown>, search: string | undefined): ReturnType<typeof shown> {
  if (search === undefined || search === '') return query;
  return query.whereRaw("lower(roles.name) LIKE ? ESCAPE '!'", [`%${search.toLowerCase().replace(/[!%_]/g, '!$&')}%`]);
}

/** Every role of the realm and of its clients, by name. */
export const shownRoles = async (knex: Knex, realmId: string, limit: number): Promise<ShownRole[]> =>
  (await shown(knex, realmId).limit(limit)).map(fromRecord);

export async function shownRole(knex: Knex, realmId: string, id: string): Promise<ShownRole | undefined> {
  return (await rows(shown(knex, realmId).where('roles.id', id)))[0];
}

export async function shownRoleByName(knex: Knex, realmId: string, owner: string | null, name: string): Promise<ShownRole | undefined> {
  return (await rows(shown(knex, realmId, owner).where('roles.name', name)))[0];
}

/** Roles by their ids or, of one owner, their names; those that are not there are missing. */
export function namedOrKnown(
  knex: Knex,
  realmId: string,
  owner: Owner,
  asked: { ids: readonly string[]; names: readonly string[] },
): Promise<ShownRole[]> {
  return rows(shown(knex, realmId, owner).where((either) => either.whereIn('roles.id', [...asked.ids]).orWhereIn('roles.name', [...asked.names])));
}

/** What a role contains itself. @param search part of a name, whatever its case */
export function containedRoles(knex: Knex, realmId: string, roleId: string, owner: Owner, place: Place, search?: string): Promise<ShownRole[]> {
  const children = knex('role_composites').where({ realm_id: realmId, role_id: roleId }).select('child_id');
  return rows(named(shown(knex, realmId, owner).whereIn('roles.id', children), search), place);
}

/** Whom roles are given to. */
export type RoleBearer = { user: string } | { group: string };

/** The same, or what they are mapped to. */
export type Holder = RoleBearer | MappingParent;

/** What was given to a user or a group itself, or is mapped to a client or a client scope. */
export const directRoles = (knex: Knex, realmId: string, holder: Holder, owner: Owner): Promise<ShownRole[]> =>
  rows(shown(knex, realmId, owner).whereIn('roles.id', directly(knex, realmId, holder)));

/** What could still be given. */
export const availableRoles = (knex: Knex, realmId: string, holder: Holder, owner: string | null): Promise<ShownRole[]> =>
  rows(shown(knex, realmId, owner).whereNotIn('roles.id', directly(knex, realmId, holder)), { first: 0, max: 10_000 });

/** What a user or the members of a group have in the end, of one owner: asked upwards, whatever else they have. */
export function heldRoles(knex: Knex, realmId: string, holder: Bearer, owner: string | null): Promise<ShownRole[]> {
  const asked = knex('roles').where({ realm_id: realmId, client_id: owner }).select({ id: 'id', holder_id: 'id' });
  const held = knex
    .withRecursive('member_groups', memberGroupsOf(knex, realmId, holder))
    .withRecursive('ways', waysTo(knex, realmId, 'ways', asked))
    .from('ways')
    .whereIn('ways.holder_id', givenTo(knex, realmId, holder))
    .select('ways.id');
  return rows(shown(knex, realmId, owner).whereIn('roles.id', held));
}

/** The roles of one owner that tokens may name within a scope; or with `not`, that they may not. All of them without one. */
export function rolesOfScope(knex: Knex, realmId: string, within: RoleScope | undefined, owner: string | null, not = false): Promise<ShownRole[]> {
  const query = shown(knex, realmId, owner);
  if (within) void query[not ? 'whereNotIn' : 'whereIn']('roles.id', passingRoles(knex, realmId, within));
  else if (not) void query.whereRaw('1 = 0');
  return rows(query, { first: 0, max: 10_000 });
}

function directly(knex: Knex, realmId: string, holder: Holder): Knex.QueryBuilder {
  if ('client' in holder || 'scope' in holder)
    return knex('scope_mappings')
      .where({ realm_id: realmId, ...mappingColumns(holder) })
      .select('role_id');
  return 'user' in holder
    ? knex('user_roles').where({ realm_id: realmId, user_id: holder.user }).select('role_id')
    : knex('group_roles').where({ realm_id: realmId, group_id: holder.group }).select('role_id');
}

/** The users that a role was given to, by username; those of groups are not among them. */
export async function usersWithRole(knex: Knex, realmId: string, roleId: string, place: Place): Promise<UserRow[]> {
  const given = knex('user_roles').where({ realm_id: realmId, role_id: roleId }).select('user_id');
  const found: UserRecord[] = await knex('users')
    .where('realm_id', realmId)
    .whereIn('id', given)
    .orderBy('username')
    .limit(place.max)
    .offset(place.first);
  return found.map(userFromRecord);
}

export interface RoleChanges {
  name?: string;
  description?: string | null;
  attributes?: Record<string, string[]>;
}

/** Writes what is there, and leaves the rest; false when there is no such role. */
export async function updateRole(trx: Knex, realmId: string, id: string, { attributes, ...rest }: RoleChanges): Promise<boolean> {
  const values = { ...rest, ...(attributes === undefined ? {} : { attributes: JSON.stringify(attributes) }) };
  return (await trx('roles').where({ realm_id: realmId, id }).update(values)) === 1;
}
