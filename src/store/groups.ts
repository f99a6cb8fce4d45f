/**
 * Groups of a realm: a tree. Each row keeps its whole path, so that a group is found, and a realm's groups are listed, by
 * it; whoever changes the tree holds the realm's lock (`lockRealm`), or two changes at once could tie a knot.
 */
import type { Knex } from 'knex';

export interface GroupRow {
  realmId: string;
  id: string;
  parentId: string | null;
  name: string;
  /** `/parent/name`; what a name contains of slashes is written `~/`. */
  path: string;
  createdAt: number;
}

export interface GroupRecord {
  realm_id: string;
  id: string;
  parent_id: string | null;
  name: string;
  path: string;
  created_at: number;
}

export const groupFromRecord = (row: GroupRecord): GroupRow => ({
  realmId: row.realm_id,
  id: row.id,
  parentId: row.parent_id,
  name: row.name,
  path: row.path,
  createdAt: row.created_at,
});

/** Where a group of that name is, below a parent or at the top. */
export const pathOf = (parent: Pick<GroupRow, 'path'> | null, name: string): string => `${parent?.path ?? ''}/${name.replaceAll('/', '~/')}`;

export async function insertGroup(trx: Knex, group: GroupRow): Promise<void> {
  await trx('groups').insert({
    realm_id: group.realmId,
    id: group.id,
    parent_id: group.parentId,
    name: group.name,
    path: group.path,
    created_at: group.createdAt,
  });
}

export async function groupByPath(knex: Knex, realmId: string, path: string): Promise<GroupRow | undefined> {
  const row = await knex<GroupRecord>('groups').where({ realm_id: realmId, path }).first();
  return row && groupFromRecord(row);
}

/** Groups by path, one page: those after `after`, at most `limit`. */
export async function listGroups(knex: Knex, realmId: string, page: { after?: string | undefined; limit: number }): Promise<GroupRow[]> {
  const query = knex<GroupRecord>('groups').where({ realm_id: realmId }).orderBy('path').limit(page.limit);
  if (page.after !== undefined) query.where('path', '>', page.after);
  return (await query).map(groupFromRecord);
}

/** How many characters the longest path has among a group and those below it. */
export async function longestPathFrom(knex: Knex, group: GroupRow): Promise<number> {
  const row = await subtree(knex, group).first(knex.raw('max(length(path)) as longest'));
  return Number(row?.longest ?? 0);
}

/** Gives a group another name or parent; the paths of all below follow. */
export async function moveGroup(trx: Knex, group: GroupRow, to: Pick<GroupRow, 'parentId' | 'name' | 'path'>): Promise<void> {
  await subtree(trx, group).update({ path: trx.raw('? || substr(path, length(?) + 1)', [to.path, group.path]) });
  await trx('groups').where({ realm_id: group.realmId, id: group.id }).update({ parent_id: to.parentId, name: to.name });
}

/** A group goes with all below it; false when it was not there. */
export async function deleteGroup(trx: Knex, realmId: string, id: string): Promise<boolean> {
  return (await trx('groups').where({ realm_id: realmId, id }).delete()) === 1;
}

/** Gives a role to a group and all below it; false when it was given before. */
export async function assignGroupRole(trx: Knex, realmId: string, groupId: string, roleId: string): Promise<boolean> {
  const inserted = await trx('group_roles')
    .insert({ realm_id: realmId, group_id: groupId, role_id: roleId })
    .onConflict(['realm_id', 'group_id', 'role_id'])
    .ignore()
    .returning('role_id');
  return inserted.length === 1;
}

/** False when the group itself had not been given it. */
export async function unassignGroupRole(trx: Knex, realmId: string, groupId: string, roleId: string): Promise<boolean> {
  return (await trx('group_roles').where({ realm_id: realmId, group_id: groupId, role_id: roleId }).delete()) === 1;
}

/** False when the user was a member already. */
export async function insertMember(trx: Knex, realmId: string, groupId: string, userId: string): Promise<boolean> {
  const inserted = await trx('user_groups')
    .insert({ realm_id: realmId, user_id: userId, group_id: groupId })
    .onConflict(['realm_id', 'user_id', 'group_id'])
    .ignore()
    .returning('group_id');
  return inserted.length === 1;
}

/** False when the user was no member of the group itself. */
export async function deleteMember(trx: Knex, realmId: string, groupId: string, userId: string): Promise<boolean> {
  return (await trx('user_groups').where({ realm_id: realmId, user_id: userId, group_id: groupId }).delete()) === 1;
}

/** The groups that a user was put into, by path; those above them are not among them. */
export async function groupsOfUser(knex: Knex, realmId: string, userId: string): Promise<GroupRow[]> {
  const joined = knex('user_groups').where({ realm_id: realmId, user_id: userId }).select('group_id');
  return (await knex<GroupRecord>('groups').where('realm_id', realmId).whereIn('id', joined).orderBy('path')).map(groupFromRecord);
}

/** A group and those below it. The lengths are counted by the database: it counts characters, JavaScript counts halves of them. */
function subtree(knex: Knex, group: GroupRow) {
  return knex('groups')
    .where('realm_id', group.realmId)
    .where((either) => either.where('id', group.id).orWhereRaw("substr(path, 1, length(?) + 1) = ? || '/'", [group.path, group.path]));
}
