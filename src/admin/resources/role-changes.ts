/** Roles by their ids, as whoever administers over REST knows them: changed, deleted, put into one another, given and taken. */
import { z } from 'zod';
import { conflict, notFound } from '../../errors.ts';
import { isUniqueViolation } from '../../store/database.ts';
import { roleContains } from '../../store/effective-roles.ts';
import { assignGroupRole, type GroupRow, unassignGroupRole } from '../../store/groups.ts';
import { lockRealm, type RealmRow } from '../../store/realms.ts';
import { namedOrKnown, type ShownRole, shownRole, shownRoleByName, updateRole } from '../../store/role-lists.ts';
import { assignRole, deleteComposite, deleteRole, insertComposites, unassignRole } from '../../store/roles.ts';
import type { Queries } from '../../store/rows.ts';
import type { UserRow } from '../../store/users.ts';
import { audit, type Operator, plainText, validated } from './context.ts';
import { managementClientIn } from './realm-defaults.ts';
import { isNeeded } from './roles.ts';
import { userAttributesInput } from './users.ts';

type Asking = Pick<Operator, 'db'>;

export async function requireRoleById({ db }: Asking, realm: RealmRow, id: string): Promise<ShownRole> {
  const role = await shownRole(db.knex, realm.id, id);
  if (!role) throw notFound('Could not find role');
  return role;
}

/** @param owner the row id of its client; null for a realm role */
export async function requireRoleByName({ db }: Asking, realm: RealmRow, owner: string | null, name: string): Promise<ShownRole> {
  const role = await shownRoleByName(db.knex, realm.id, owner, name);
  if (!role) throw notFound('Could not find role');
  return role;
}

/**
 * The roles that a list means, each by its id or by its name, or by both, which must then agree; 404 when one is not there.
 * @param owner of which all have to be; undefined for any, by id alone
 */
export async function rolesMeant(
  { db }: Asking,
  realm: RealmRow,
  owner: string | null | undefined,
  meant: readonly { id?: string | null | undefined; name?: string | null | undefined }[],
): Promise<ShownRole[]> {
  const ids = meant.flatMap(({ id }) => id ?? []);
  const names = owner === undefined ? [] : meant.flatMap(({ id, name }) => (id == null && name != null ? [name] : []));
  if (ids.length + names.length === 0 && meant.length === 0) return [];
  const found = await namedOrKnown(db.knex, realm.id, owner, { ids, names });
  return meant.map(({ id, name }) => {
    const role = found.find((one) => (id == null ? one.name === name : one.id === id && (name == null || one.name === name)));
    if (!role) throw notFound('Role not found');
    return role;
  });
}

const named = ({ name, client }: ShownRole) => ({ role: name, client });

const changedRole = z.object({
  name: plainText(255).optional(),
  description: plainText(1000).nullable().optional(),
  attributes: userAttributesInput.optional(),
});

/** Changes what is named. 409 for a name that is taken, and for a role that has to keep its own. */
export async function changeRole(operator: Operator, realm: RealmRow, role: ShownRole, input: z.input<typeof changedRole>): Promise<void> {
  const { name, description, attributes } = validated(changedRole, input);
  const changes = {
    ...(name === undefined || name === role.name ? {} : { name }),
    ...(description === undefined || description === role.description ? {} : { description }),
    ...(attributes === undefined ? {} : { attributes }),
  };
  const fields = Object.keys(changes);
  if (fields.length === 0) return;
  if (changes.name !== undefined) requireUnneeded(realm, role);
  try {
    await operator.db.transaction(async (trx) => {
      if (!(await updateRole(trx, realm.id, role.id, changes))) throw notFound('Could not find role');
      await audit(operator, { realmId: realm.id }, { type: 'role.updated', details: { ...named(role), fields } }, trx);
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw conflict(`Role with name ${name} already exists`, 'name');
    throw error;
  }
}

/** Deletes a role; nobody has it any more. 409 for one that the realm cannot do without. */
export async function removeRoleById(operator: Operator, realm: RealmRow, role: ShownRole): Promise<void> {
  requireUnneeded(realm, role);
  await operator.db.transaction(async (trx) => {
    if (!(await deleteRole(trx, realm.id, role.id))) throw notFound('Could not find role');
    await audit(operator, { realmId: realm.id }, { type: 'role.deleted', details: named(role) }, trx);
  });
}

const { roles: MANAGEMENT } = managementClientIn('');

/**
 * A role that operations ask for by its name keeps it and stays: in its place another could be put, which somebody was
 * given while it meant nothing.
 */
function requireUnneeded(realm: RealmRow, role: ShownRole): void {
  const { client } = role;
  const manages = client === 'realm-management' || (realm.name === 'master' && client?.endsWith('-realm') === true);
  if (isNeeded(realm, role) || (manages && ['realm-admin', ...MANAGEMENT].includes(role.name)))
    throw conflict(`Realm "${realm.name}" cannot do without its role "${role.name}".`, 'name');
}

/** Makes a role contain others; 409 for one that contains it. What it contains already is passed over. */
export async function addContained(operator: Operator, realm: RealmRow, role: ShownRole, children: readonly ShownRole[]): Promise<void> {
  if (children.length === 0) return;
  const { db } = operator;
  await db.transaction(async (trx) => {
    await lockRealm(trx, realm.id);
    // One of them may have been deleted while the lock was waited for.
    const asked = [role.id, ...children.map(({ id }) => id)];
    const there = await namedOrKnown(trx, realm.id, undefined, { ids: asked, names: [] });
    if (there.length < new Set(asked).size) throw notFound('Could not find composite role');
    for (const child of children)
      if (await roleContains(trx, realm.id, child.id, role.id))
        throw conflict(
          `Role "${role.name}" cannot contain "${child.name}", which ${role.id === child.id ? 'is itself' : 'contains it'}.`,
          'contained',
        );
    const ids = children.map(({ id }) => id);
    const added = await insertComposites(trx, realm.id, role.id, ids);
    for (const child of children.filter(({ id }) => added.includes(id)))
      await audit(operator, { realmId: realm.id }, { type: 'role.composite-added', details: { ...named(role), contained: named(child) } }, trx);
  });
}

/** Takes roles out of another; those that are not in there are passed over. */
export async function removeContained(operator: Operator, realm: RealmRow, role: ShownRole, children: readonly ShownRole[]): Promise<void> {
  await operator.db.transaction(async (trx) => {
    for (const child of children) {
      if (!(await deleteComposite(trx, realm.id, role.id, child.id))) continue;
      await audit(operator, { realmId: realm.id }, { type: 'role.composite-removed', details: { ...named(role), contained: named(child) } }, trx);
    }
  });
}

/** Whom roles are given to. */
export type RoleHolder = { user: UserRow } | { group: GroupRow };

/** Gives roles; those that were given before stay as they are. */
export async function giveRolesTo(operator: Operator, realm: RealmRow, holder: RoleHolder, roles: readonly ShownRole[]): Promise<void> {
  await operator.db.transaction(async (trx) => {
    for (const role of roles) if (await assign(trx, realm, holder, role)) await noteRole(operator, realm, holder, role, 'role-added', trx);
  });
}

/** Takes roles that were given; those that were not are passed over. */
export async function takeRolesOf(operator: Operator, realm: RealmRow, holder: RoleHolder, roles: readonly ShownRole[]): Promise<void> {
  await operator.db.transaction(async (trx) => {
    for (const role of roles) if (await unassign(trx, realm, holder, role)) await noteRole(operator, realm, holder, role, 'role-removed', trx);
  });
}

const assign = (trx: Queries, { id }: RealmRow, holder: RoleHolder, role: ShownRole): Promise<boolean> =>
  'user' in holder ? assignRole(trx, id, holder.user.id, role.id) : assignGroupRole(trx, id, holder.group.id, role.id);

const unassign = (trx: Queries, { id }: RealmRow, holder: RoleHolder, role: ShownRole): Promise<boolean> =>
  'user' in holder ? unassignRole(trx, id, holder.user.id, role.id) : unassignGroupRole(trx, id, holder.group.id, role.id);

async function noteRole(
  operator: Operator,
  realm: RealmRow,
  holder: RoleHolder,
  role: ShownRole,
  change: 'role-added' | 'role-removed',
  trx: Queries,
): Promise<void> {
  if ('user' in holder) await audit(operator, { realmId: realm.id, subject: holder.user.id }, { type: `user.${change}`, details: named(role) }, trx);
  else await audit(operator, { realmId: realm.id }, { type: `group.${change}`, details: { path: holder.group.path, ...named(role) } }, trx);
}
