/** Groups by their ids, as whoever administers over REST knows them; and the groups that every new user is put into. */
import { z } from 'zod';
import { notFound } from '../../errors.ts';
import {
  addDefaultGroup,
  removeDefaultGroup,
  replaceGroupAttributes,
  type ShownGroup,
  shownGroup,
  shownGroupAt,
  shownGroupsAt,
} from '../../store/group-lists.ts';
import { deleteMember, insertMember } from '../../store/groups.ts';
import type { RealmRow } from '../../store/realms.ts';
import type { UserRow } from '../../store/users.ts';
import { audit, type Operator, validated } from './context.ts';
import { userAttributesInput } from './users.ts';

type Asking = Pick<Operator, 'db'>;

export async function requireGroupById({ db }: Asking, realm: RealmRow, id: string): Promise<ShownGroup> {
  const group = await shownGroup(db.knex, realm.id, id);
  if (!group) throw notFound('Could not find group by id');
  return group;
}

/** @param path with or without the slash before it */
export async function requireGroupAt({ db }: Asking, realm: RealmRow, path: string): Promise<ShownGroup> {
  const group = await shownGroupAt(db.knex, realm.id, path.startsWith('/') ? path : `/${path}`);
  if (!group) throw notFound('Group path does not exist');
  return group;
}

/** Every group above these, in one query. */
export async function groupsAbove({ db }: Asking, realm: RealmRow, groups: readonly ShownGroup[]): Promise<ShownGroup[]> {
  const paths = new Set(groups.flatMap(({ path }) => pathsAbove(path)));
  for (const { path } of groups) paths.delete(path);
  return paths.size === 0 ? [] : shownGroupsAt(db.knex, realm.id, [...paths]);
}

/** A slash in a name is written `~/`. */
const pathsAbove = (path: string): string[] => [...path.matchAll(/(?<!~)\//g)].flatMap(({ index }) => (index === 0 ? [] : [path.slice(0, index)]));

/** Replaces all of a group's attributes. */
export async function setGroupAttributes(operator: Operator, realm: RealmRow, group: ShownGroup, input: Record<string, string[]>): Promise<void> {
  const { attributes } = validated(z.object({ attributes: userAttributesInput }), { attributes: input });
  await operator.db.transaction(async (trx) => {
    await replaceGroupAttributes(trx, realm.id, group.id, attributes);
    await audit(operator, { realmId: realm.id }, { type: 'group.updated', details: { path: group.path, fields: ['attributes'] } }, trx);
  });
}

/** Puts a user into a group; one who is in it stays. */
export async function joinGroup(operator: Operator, realm: RealmRow, group: ShownGroup, user: UserRow): Promise<void> {
  await operator.db.transaction(async (trx) => {
    if (!(await insertMember(trx, realm.id, group.id, user.id))) return;
    await audit(operator, { realmId: realm.id, subject: user.id }, { type: 'group.member-added', details: { path: group.path } }, trx);
  });
}

/** Takes a user out of a group; one who is not in it stays out. */
export async function leaveGroup(operator: Operator, realm: RealmRow, group: ShownGroup, user: UserRow): Promise<void> {
  await operator.db.transaction(async (trx) => {
    if (!(await deleteMember(trx, realm.id, group.id, user.id))) return;
    await audit(operator, { realmId: realm.id, subject: user.id }, { type: 'group.member-removed', details: { path: group.path } }, trx);
  });
}

/** Every new user is put into it, or no longer. */
export async function changeDefaultGroup(operator: Operator, realm: RealmRow, group: ShownGroup, change: 'add' | 'remove'): Promise<void> {
  await operator.db.transaction(async (trx) => {
    const changed = change === 'add' ? await addDefaultGroup(trx, realm.id, group.id) : await removeDefaultGroup(trx, realm.id, group.id);
    if (!changed) return;
    const type = change === 'add' ? 'group.default-added' : 'group.default-removed';
    await audit(operator, { realmId: realm.id }, { type, details: { path: group.path } }, trx);
  });
}
