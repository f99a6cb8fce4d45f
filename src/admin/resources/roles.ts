/** Roles of a realm and of its clients by their names: made, given to users and taken. What is done with them by their ids: role-changes.ts. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { conflict, notFound } from '../../errors.ts';
import { clientByClientId } from '../../store/clients.ts';
import { isUniqueViolation } from '../../store/database.ts';
import { type EffectiveRole, effectiveRoles } from '../../store/effective-roles.ts';
import type { RealmRow } from '../../store/realms.ts';
import { updateRole } from '../../store/role-lists.ts';
import { assignRole, insertRoles, listRoles, type RoleRow, roleByName, unassignRole } from '../../store/roles.ts';
import type { UserRow } from '../../store/users.ts';
import { audit, type Operator, plainText, validated } from './context.ts';
import { defaultRoleName } from './realm-defaults.ts';

const newRole = z.object({
  name: plainText(255),
  /** client_id of the client it belongs to; without, it is a realm role. */
  client: z.string().optional(),
  description: plainText(1000).optional(),
  attributes: z.record(plainText(255), z.array(z.string().max(10_000)).max(100)).default({}),
});
export type NewRole = z.input<typeof newRole>;

/** A role by its name, and by the client_id of its client if it has one. */
export interface RoleName {
  name: string;
  client?: string | undefined;
}

/** Makes a role. 404 for a client that is not there, 409 for a name that is taken. */
export async function createRole(operator: Operator, realm: RealmRow, input: NewRole): Promise<RoleRow> {
  const asked = validated(newRole, input);
  const { db } = operator;
  const clientId = await ownerOf(operator, realm, asked.client);
  const role: RoleRow = {
    realmId: realm.id,
    id: randomUUID(),
    clientId,
    name: asked.name,
    description: asked.description ?? null,
    createdAt: operator.now,
  };
  try {
    await db.transaction(async (trx) => {
      await insertRoles(trx, [role]);
      if (Object.keys(asked.attributes).length > 0) await updateRole(trx, realm.id, role.id, { attributes: asked.attributes });
      const details = { role: role.name, client: asked.client ?? null };
      await audit(operator, { realmId: realm.id }, { type: 'role.created', details }, trx);
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw conflict(`There is a role "${role.name}" in ${placeOf(realm, asked.client)} already.`, 'name');
    throw error;
  }
  return role;
}

/** The role of that name, or a 404. */
export async function requireRole(operator: Pick<Operator, 'db'>, realm: RealmRow, name: RoleName): Promise<RoleRow> {
  const role = await roleByName(operator.db.knex, realm.id, await ownerOf(operator, realm, name.client), name.name);
  if (!role) throw noRole(realm, name);
  return role;
}

/** Every role of the realm, or of one of its clients, page by page. */
export async function* allRoles(operator: Pick<Operator, 'db'>, realm: RealmRow, client?: string): AsyncGenerator<RoleRow> {
  const owner = await ownerOf(operator, realm, client);
  const limit = 500;
  for (let after: string | undefined; ; ) {
    const page = await listRoles(operator.db.knex, realm.id, owner, { after, limit });
    yield* page;
    if (page.length < limit) return;
    after = page.at(-1)?.name;
  }
}

/** Gives roles to a user; those that the user was given before stay as they are. All of them or, with a 404, none. */
export async function giveRoles(operator: Operator, realm: RealmRow, user: UserRow, names: readonly RoleName[]): Promise<void> {
  const roles = await requireRoles(operator, realm, names);
  const { db } = operator;
  await db.transaction(async (trx) => {
    for (const { role, name } of roles) {
      if (!(await assignRole(trx, realm.id, user.id, role.id))) continue;
      await audit(operator, { realmId: realm.id, subject: user.id }, { type: 'user.role-added', details: detailsOf(name) }, trx);
    }
  });
}

/** Takes roles that were given to a user. 404, and none is taken, when one was not given to the user directly. */
export async function takeRoles(operator: Operator, realm: RealmRow, user: UserRow, names: readonly RoleName[]): Promise<void> {
  const roles = await requireRoles(operator, realm, names);
  const { db } = operator;
  await db.transaction(async (trx) => {
    for (const { role, name } of roles) {
      if (!(await unassignRole(trx, realm.id, user.id, role.id)))
        throw notFound(`Role "${role.name}" was not given to ${user.username}; what comes from a group or another role is taken there.`);
      await audit(operator, { realmId: realm.id, subject: user.id }, { type: 'user.role-removed', details: detailsOf(name) }, trx);
    }
  });
}

/** Every role that a user has, however it comes to the user; realm roles first, by name. */
export async function effectiveRolesOf(operator: Pick<Operator, 'db'>, user: UserRow): Promise<EffectiveRole[]> {
  const roles = await effectiveRoles(operator.db.knex, user.realmId, user.id);
  const key = ({ client, name }: EffectiveRole): string => `${client ?? ''}\0${name}`;
  return roles.sort((one, other) => (key(one) < key(other) ? -1 : 1));
}

/** The roles of these names, each with the name it was asked by; 404 for the first that is not there. */
export async function requireRoles(
  operator: Pick<Operator, 'db'>,
  realm: RealmRow,
  names: readonly RoleName[],
): Promise<{ role: RoleRow; name: RoleName }[]> {
  return Promise.all(names.map(async (name) => ({ role: await requireRole(operator, realm, name), name })));
}

/** How audit rows name a role. */
export const detailsOf = ({ name, client }: RoleName) => ({ role: name, client: client ?? null });

/** The row id of a client by its client_id, or a 404; null without a client: realm roles belong to none. */
async function ownerOf({ db }: Pick<Operator, 'db'>, realm: RealmRow, client: string | undefined): Promise<string | null> {
  if (client === undefined) return null;
  const row = await clientByClientId(db.knex, realm.id, client);
  if (!row) throw notFound(`There is no client "${client}" in realm "${realm.name}".`);
  return row.id;
}

/** Every new user gets the default role; whoever administers Cardea has the other two. */
export const isNeeded = (realm: RealmRow, role: Pick<RoleRow, 'clientId' | 'name'>): boolean =>
  role.clientId === null && (role.name === defaultRoleName(realm.name) || (realm.name === 'master' && ['admin', 'create-realm'].includes(role.name)));

const placeOf = (realm: RealmRow, client: string | undefined): string =>
  client === undefined ? `realm "${realm.name}"` : `client "${client}" of realm "${realm.name}"`;

const noRole = (realm: RealmRow, { name, client }: RoleName) => notFound(`There is no role "${name}" in ${placeOf(realm, client)}.`);
