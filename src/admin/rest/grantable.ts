/**
 * A limited administrator can never gain what they have not: what they give, by a role, by one role in another or by a
 * group, manages nothing that they do not manage themselves; and whoever manages more than they do is not theirs to change,
 * or a new password or address would make that person's rights their own.
 *
 * What counts are the roles that manage something. Roles of applications are for whoever manages users to give, as in Keycloak.
 */
import { forbidden } from '../../errors.ts';
import { MASTER } from '../../realms/management.ts';
import { effectiveRoles } from '../../store/effective-roles.ts';
import { type Bearer, heldOf, type Privilege, privilegesIn } from '../../store/privileges.ts';
import { realmRoleId } from '../../store/roles.ts';
import type { UserRow } from '../../store/users.ts';
import { managementClientIn } from '../resources/realm-defaults.ts';
import type { RealmCall } from './operation.ts';

/** It holds all of the others. */
const EVERYTHING = 'realm-admin';
/** In master, where it holds all of every realm. */
const ADMIN = 'admin';
const { roles: MANAGEMENT } = managementClientIn(MASTER);

/** @throws 403 unless the caller has everything that these roles let somebody manage */
export async function requireGrantable(call: RealmCall, roles: readonly { id: string }[]): Promise<void> {
  if (roles.length === 0) return;
  await requireAll(call, { roles: roles.map(({ id }) => id) }, 'You cannot give a role that manages more than you do');
}

/** @throws 403 unless the caller has everything that members of this group may manage */
export const requireGrantableGroup = (call: RealmCall, group: { id: string }): Promise<void> =>
  requireAll(call, { group: group.id }, 'You cannot put anybody into a group that manages more than you do');

/**
 * Whoever loses what a group gives falls out of what protects those who manage something: the floor of administrators, and
 * `requireNoMore` itself. So it is not taken by whoever could not give it.
 * @throws 403 unless the caller has everything that members of this group, and of those below it, may manage
 */
export async function requireTakeableGroup(call: RealmCall, group: { id: string }): Promise<void> {
  const refusal = 'You cannot take away what lets others manage more than you do';
  await requireAll(call, { group: group.id }, refusal);
  await requireAll(call, { groupsFrom: group.id }, refusal);
}

/** @throws 403 unless the caller has everything that these roles let somebody manage */
export async function requireTakeable(call: RealmCall, roles: readonly { id: string }[]): Promise<void> {
  if (roles.length === 0) return;
  await requireAll(call, { roles: roles.map(({ id }) => id) }, 'You cannot take away what lets others manage more than you do');
}

/** @throws 403 for a user who may manage what the caller may not */
export async function requireNoMore(call: RealmCall, user: Pick<UserRow, 'id'>): Promise<void> {
  if (user.id === call.access.caller.userId) return;
  await requireAll(call, { user: user.id }, 'This user manages more than you do, and is not yours to change');
}

/** @throws 403 unless the caller manages all of the realm */
export async function requireEverything(call: RealmCall, refusal: string): Promise<void> {
  if (await managesEverything(call)) return;
  const missing = call.realm.name === MASTER ? [ADMIN] : MANAGEMENT.filter((name) => !call.access.roles.has(name));
  throw forbidden(`${refusal}. You have not: ${missing.slice(0, 5).join(', ')}.`);
}

/** Whether the caller manages all of the realm; in master, where that is the installation, whoever has `admin`. */
export async function managesEverything(call: RealmCall): Promise<boolean> {
  const { operator, realm, access } = call;
  if (realm.name !== MASTER) return MANAGEMENT.every((name) => access.roles.has(name));
  const admin = await realmRoleId(operator.db.knex, realm.id, ADMIN);
  return admin !== undefined && (await heldBy(call, [admin])).has(admin);
}

/** Whether a role, as policies name it, is one that manages something. */
export const managesSomething = (role: string): boolean =>
  /^(?:realm-management|.+-realm):/.test(role) || role === 'admin' || role === 'create-realm';

async function requireAll(call: RealmCall, bearer: Bearer, refusal: string): Promise<void> {
  const missing = await missingOf(call, bearer);
  if (missing.length > 0) throw forbidden(`${refusal}: ${missing.slice(0, 5).join(', ')}.`);
}

async function missingOf(call: RealmCall, bearer: Bearer): Promise<string[]> {
  const { operator, realm, access } = call;
  const { knex } = operator.db;
  const isMaster = realm.name === MASTER;
  const privileges = await privilegesIn(knex, realm.id, isMaster, bearer);
  if (privileges.length === 0) return [];
  if (!isMaster) return required(privileges).filter((name) => !access.roles.has(name));
  // Whoever calls about master is of master.
  const held = await heldBy(
    call,
    privileges.map(({ id }) => id),
  );
  return privileges.filter(({ id }) => !held.has(id)).map(({ client, name }) => (client === null ? name : `${client}:${name}`));
}

/** Which of these roles the caller has, and may use here. */
async function heldBy({ operator, realm, access: { caller } }: RealmCall, roleIds: readonly string[]): Promise<ReadonlySet<string>> {
  const { knex } = operator.db;
  const held = await heldOf(knex, realm.id, caller.userId, roleIds);
  if (caller.within === undefined) return held;
  return held.intersection(new Set((await effectiveRoles(knex, realm.id, caller.userId, caller.within)).map(({ id }) => id)));
}

/** By name: administrators of master have the same roles of another client. What operations do not ask for manages nothing. */
function required(privileges: readonly Privilege[]): string[] {
  const names = new Set(privileges.map(({ name }) => name));
  return names.has(EVERYTHING) ? MANAGEMENT : MANAGEMENT.filter((name) => names.has(name));
}
