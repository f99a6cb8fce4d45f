/** Groups as lists show them: by their place in the tree, by name, by what they were given, with their members. */
import type { Knex } from 'knex';
import { type GroupRecord, type GroupRow, groupFromRecord } from './groups.ts';
import type { Place } from './role-lists.ts';
import { fromJson, stringLists } from './rows.ts';
import { type UserRecord, type UserRow, userFromRecord } from './users.ts';

/** A group with all that is shown of it. */
export interface ShownGroup extends GroupRow {
  attributes: Record<string, string[]>;
  /** How many groups are right below it. */
  children: number;
}

interface ShownRecord extends GroupRecord {
  attributes: string;
  children: number | string;
}

export interface GroupSearch {
  /** Part of a name whatever its case, or with `exact` all of it. */
  search?: string | undefined;
  exact?: boolean | undefined;
  /** All of these attributes with these values first. */
  attributes?: readonly (readonly [name: string, value: string])[] | undefined;
  /** Right below this one; null for the top. */
  parent?: string | null | undefined;
}

function shown(knex: Knex, realmId: string) {
  const below = 'SELECT COUNT(*) FROM groups AS below WHERE below.realm_id = groups.realm_id AND below.parent_id = groups.id';
  return knex('groups')
    .where('groups.realm_id', realmId)
    .select('groups.*', knex.raw(`(${below}) AS children`))
    .orderBy(['groups.name', 'groups.path']);
}

async function rows(query: Knex.QueryBuilder, place?: Place): Promise<ShownGroup[]> {
  if (place) void query.limit(place.max).offset(place.first);
  const found: ShownRecord[] = await query;
  return found.map((row) => ({
    ...groupFromRecord(row),
    attributes: fromJson(stringLists, row.attributes, `the attributes of group ${row.id}`),
    children: Number(row.children),
  }));
}

function narrowed(query: Knex.QueryBuilder, { search, exact, parent, attributes }: GroupSearch): Knex.QueryBuilder {
  if (parent === null) void query.whereNull('groups.parent_id');
  else if (parent !== undefined) void query.where('groups.parent_id', parent);
  if (search !== undefined && search !== '') {
    const literally = search.toLowerCase().replace(/[!%_]/g, '!$&');
    if (exact) void query.where('groups.name', search);
    else void query.whereRaw("lower(groups.name) LIKE ? ESCAPE '!'", [`%${literally}%`]);
  }
  // They are JSON, as `replaceGroupAttributes` writes it; an attribute is found by its first value.
  for (const [name, value] of attributes ?? [])
    void query.whereRaw("groups.attributes LIKE ? ESCAPE '!'", [`%${`${JSON.stringify(name)}:[${JSON.stringify(value)}`.replace(/[!%_]/g, '!$&')}%`]);
  return query;
}

/** By name. */
export const findGroups = (knex: Knex, realmId: string, search: GroupSearch, place: Place): Promise<ShownGroup[]> =>
  rows(narrowed(shown(knex, realmId), search), place);

export async function countGroups(knex: Knex, realmId: string, search: GroupSearch): Promise<number> {
  const row: { groups: number | string } | undefined = await narrowed(knex('groups').where('groups.realm_id', realmId), search)
    .count({ groups: '*' })
    .first();
  return Number(row?.groups ?? 0);
}

export async function shownGroup(knex: Knex, realmId: string, id: string): Promise<ShownGroup | undefined> {
  return (await rows(shown(knex, realmId).where('groups.id', id)))[0];
}

export async function shownGroupAt(knex: Knex, realmId: string, path: string): Promise<ShownGroup | undefined> {
  return (await rows(shown(knex, realmId).where('groups.path', path)))[0];
}

export const shownGroupsAt = (knex: Knex, realmId: string, paths: readonly string[]): Promise<ShownGroup[]> =>
  rows(shown(knex, realmId).whereIn('groups.path', [...paths]));

/** The groups that a user was put into. */
export const shownGroupsOfUser = (knex: Knex, realmId: string, userId: string, search: GroupSearch, place: Place): Promise<ShownGroup[]> =>
  rows(narrowed(shown(knex, realmId), search).whereIn('groups.id', joined(knex, realmId, userId)), place);

export async function countGroupsOfUser(knex: Knex, realmId: string, userId: string, search: GroupSearch): Promise<number> {
  const row: { groups: number | string } | undefined = await narrowed(knex('groups').where('groups.realm_id', realmId), search)
    .whereIn('groups.id', joined(knex, realmId, userId))
    .count({ groups: '*' })
    .first();
  return Number(row?.groups ?? 0);
}

const joined = (knex: Knex, realmId: string, userId: string): Knex.QueryBuilder =>
  knex('user_groups').where({ realm_id: realmId, user_id: userId }).select('group_id');

/** The groups that a role was given to. */
export const groupsWithRole = (knex: Knex, realmId: string, roleId: string, place: Place): Promise<ShownGroup[]> =>
  rows(shown(knex, realmId).whereIn('groups.id', knex('group_roles').where({ realm_id: realmId, role_id: roleId }).select('group_id')), place);

/** Members of the group itself, by username. */
export async function membersOf(knex: Knex, realmId: string, groupId: string, place: Place): Promise<UserRow[]> {
  const members = knex('user_groups').where({ realm_id: realmId, group_id: groupId }).select('user_id');
  const found: UserRecord[] = await knex('users')
    .where('realm_id', realmId)
    .whereIn('id', members)
    .orderBy('username')
    .limit(place.max)
    .offset(place.first);
  return found.map(userFromRecord);
}

/** Puts these attributes in the place of all that a group has. */
export async function replaceGroupAttributes(trx: Knex, realmId: string, id: string, attributes: Record<string, string[]>): Promise<void> {
  await trx('groups')
    .where({ realm_id: realmId, id })
    .update({ attributes: JSON.stringify(attributes) });
}

/** What every new user is put into. */
export const defaultGroups = (knex: Knex, realmId: string): Promise<ShownGroup[]> =>
  rows(shown(knex, realmId).whereIn('groups.id', knex('default_groups').where('realm_id', realmId).select('group_id')), { first: 0, max: 1000 });

/** Puts a new user into the groups that are for everybody. */
export async function joinDefaultGroups(trx: Knex, realmId: string, userId: string): Promise<void> {
  await trx(trx.raw('user_groups (realm_id, user_id, group_id)')).insert(
    trx('default_groups')
      .where('realm_id', realmId)
      .select('realm_id', trx.raw('? AS user_id', [userId]), 'group_id'),
  );
}

/** False when it was one before. */
export async function addDefaultGroup(trx: Knex, realmId: string, groupId: string): Promise<boolean> {
  const inserted = await trx('default_groups')
    .insert({ realm_id: realmId, group_id: groupId })
    .onConflict(['realm_id', 'group_id'])
    .ignore()
    .returning('group_id');
  return inserted.length === 1;
}

/** False when it was none. */
export async function removeDefaultGroup(trx: Knex, realmId: string, groupId: string): Promise<boolean> {
  return (await trx('default_groups').where({ realm_id: realmId, group_id: groupId }).delete()) === 1;
}
