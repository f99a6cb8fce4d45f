/**
 * Groups of a realm: a tree. What is given to a group is had by its members and by those of every group below. Groups are
 * named by their path, as in Keycloak: `/sales/emea`.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { badInput, conflict, notFound } from '../../errors.ts';
import { isUniqueViolation } from '../../store/database.ts';
import {
  assignGroupRole,
  deleteGroup,
  deleteMember,
  type GroupRow,
  groupByPath,
  insertGroup,
  insertMember,
  listGroups,
  longestPathFrom,
  moveGroup,
  pathOf,
  unassignGroupRole,
} from '../../store/groups.ts';
import { lockRealm, type RealmRow } from '../../store/realms.ts';
import type { Queries } from '../../store/rows.ts';
import type { UserRow } from '../../store/users.ts';
import { audit, type Operator, plainText, validated } from './context.ts';
import { detailsOf, type RoleName, requireRoles } from './roles.ts';

/** A path is a key of an index, which on PostgreSQL takes 2704 bytes: 600 characters of up to four, and the realm's id. */
const LONGEST_PATH = 600;

// A path writes a slash in a name as `~/`: a name that ends in `~` would read as one that goes on.
const groupName = plainText(255).refine((name) => !name.endsWith('~'), 'must not end in ~');

const newGroup = z.object({
  name: groupName,
  /** Path of the group that it is in; without, it is at the top. */
  parent: z.string().optional(),
});
export type NewGroup = z.input<typeof newGroup>;

const changedGroup = z.object({
  name: groupName.optional(),
  /** Path of the group to move it into; null for the top. */
  parent: z.string().nullable().optional(),
});
export type ChangedGroup = z.input<typeof changedGroup>;

/** Makes a group, and gives it roles. 404 for a parent or a role that is not there, 409 for a name that is taken beside it. */
export async function createGroup(operator: Operator, realm: RealmRow, input: NewGroup, roles: readonly RoleName[] = []): Promise<GroupRow> {
  const { name, parent: parentPath } = validated(newGroup, input);
  const given = await requireRoles(operator, realm, roles);
  return changeTree(operator, realm, async (trx) => {
    const parent = parentPath === undefined ? null : await groupAt(trx, realm, parentPath);
    const path = pathOf(parent, name);
    checkLength([...path].length);
    const group: GroupRow = { realmId: realm.id, id: randomUUID(), parentId: parent?.id ?? null, name, path, createdAt: operator.now };
    await insertGroup(trx, group);
    await audit(operator, { realmId: realm.id }, { type: 'group.created', details: { path } }, trx);
    for (const one of given) {
      await assignGroupRole(trx, realm.id, group.id, one.role.id);
      await audit(operator, { realmId: realm.id }, { type: 'group.role-added', details: { path, ...detailsOf(one.name) } }, trx);
    }
    return group;
  });
}

/** Renames a group, or moves it with all below it. 409 for a name that is taken there, and for a place below itself. */
export async function changeGroup(operator: Operator, realm: RealmRow, path: string, input: ChangedGroup): Promise<GroupRow> {
  const asked = validated(changedGroup, input);
  return changeTree(operator, realm, async (trx) => {
    const group = await groupAt(trx, realm, path);
    const parent = await parentAsAsked(trx, realm, group, asked.parent);
    if (parent && `${parent.path}/`.startsWith(`${group.path}/`))
      throw conflict(
        `Group "${group.path}" cannot be moved into "${parent.path}", which is ${parent.id === group.id ? 'itself' : 'below it'}.`,
        'parent',
      );
    const name = asked.name ?? group.name;
    const to = { parentId: parent?.id ?? null, name, path: pathOf(parent, name) };
    if (to.path === group.path) return group;
    checkLength((await longestPathFrom(trx, group)) + [...to.path].length - [...group.path].length);
    await moveGroup(trx, group, to);
    await audit(operator, { realmId: realm.id }, { type: 'group.moved', details: { from: group.path, to: to.path } }, trx);
    return { ...group, ...to };
  });
}

/** Deletes a group with all below it; nobody is a member any more. */
export async function removeGroup(operator: Operator, realm: RealmRow, path: string): Promise<void> {
  await changeTree(operator, realm, async (trx) => {
    const group = await groupAt(trx, realm, path);
    await deleteGroup(trx, realm.id, group.id);
    await audit(operator, { realmId: realm.id }, { type: 'group.deleted', details: { path } }, trx);
  });
}

/** The group at a path, or a 404. */
export const requireGroup = ({ db }: Pick<Operator, 'db'>, realm: RealmRow, path: string): Promise<GroupRow> => groupAt(db.knex, realm, path);

/** Every group of a realm by its path, page by page. */
export async function* allGroups(operator: Pick<Operator, 'db'>, realm: RealmRow): AsyncGenerator<GroupRow> {
  const limit = 500;
  for (let after: string | undefined; ; ) {
    const page = await listGroups(operator.db.knex, realm.id, { after, limit });
    yield* page;
    if (page.length < limit) return;
    after = page.at(-1)?.path;
  }
}

/** Puts a user into a group; one who is in it stays. */
export async function addMember(operator: Operator, realm: RealmRow, path: string, user: UserRow): Promise<void> {
  await changeTree(operator, realm, async (trx) => {
    const group = await groupAt(trx, realm, path);
    if (!(await insertMember(trx, realm.id, group.id, user.id))) return;
    await audit(operator, { realmId: realm.id, subject: user.id }, { type: 'group.member-added', details: { path } }, trx);
  });
}

/** Takes a user out of a group. 404 for who is not in it, or only in one below. */
export async function removeMember(operator: Operator, realm: RealmRow, path: string, user: UserRow): Promise<void> {
  await changeTree(operator, realm, async (trx) => {
    const group = await groupAt(trx, realm, path);
    if (!(await deleteMember(trx, realm.id, group.id, user.id))) throw notFound(`User "${user.username}" is no member of group "${path}".`);
    await audit(operator, { realmId: realm.id, subject: user.id }, { type: 'group.member-removed', details: { path } }, trx);
  });
}

/** Gives roles to a group; those that it was given before stay as they are. */
export async function giveGroupRoles(operator: Operator, realm: RealmRow, path: string, names: readonly RoleName[]): Promise<void> {
  const roles = await requireRoles(operator, realm, names);
  await changeTree(operator, realm, async (trx) => {
    const group = await groupAt(trx, realm, path);
    for (const { role, name } of roles) {
      if (!(await assignGroupRole(trx, realm.id, group.id, role.id))) continue;
      await audit(operator, { realmId: realm.id }, { type: 'group.role-added', details: { path, ...detailsOf(name) } }, trx);
    }
  });
}

/** Takes roles of a group. 404, and none is taken, when one was not given to this group itself. */
export async function takeGroupRoles(operator: Operator, realm: RealmRow, path: string, names: readonly RoleName[]): Promise<void> {
  const roles = await requireRoles(operator, realm, names);
  await changeTree(operator, realm, async (trx) => {
    const group = await groupAt(trx, realm, path);
    for (const { role, name } of roles) {
      if (!(await unassignGroupRole(trx, realm.id, group.id, role.id))) throw notFound(`Role "${role.name}" was not given to group "${path}".`);
      await audit(operator, { realmId: realm.id }, { type: 'group.role-removed', details: { path, ...detailsOf(name) } }, trx);
    }
  });
}

/** One change of a realm's groups after another. */
async function changeTree<T>({ db }: Operator, realm: RealmRow, work: (trx: Queries) => Promise<T>): Promise<T> {
  try {
    return await db.transaction(async (trx) => {
      await lockRealm(trx, realm.id);
      return work(trx);
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw conflict('There is a group of that name in that place already.', 'name');
    throw error;
  }
}

async function groupAt(queries: Queries, realm: RealmRow, path: string): Promise<GroupRow> {
  const group = await groupByPath(queries, realm.id, path);
  if (!group) throw notFound(`There is no group "${path}" in realm "${realm.name}".`);
  return group;
}

/** The parent to move to: another one, none, or the one that it has. */
async function parentAsAsked(trx: Queries, realm: RealmRow, group: GroupRow, asked: string | null | undefined): Promise<GroupRow | null> {
  if (asked === null) return null;
  if (asked !== undefined) return groupAt(trx, realm, asked);
  return group.parentId === null ? null : groupAt(trx, realm, group.path.slice(0, group.path.length - pathOf(null, group.name).length));
}

function checkLength(characters: number): void {
  if (characters > LONGEST_PATH) throw badInput('name', `The path of a group must not be longer than ${LONGEST_PATH} characters.`);
}
