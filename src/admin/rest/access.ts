/**
 * Who may do what through the REST API: bearer tokens only, of the realm itself or of master, whose user holds a role of
 * that realm's management. Roles are looked up on every request, so that one which was taken is missing at once; tokens
 * carry none of them.
 */
import { AppError, forbidden } from '../../errors.ts';
import type { Level } from '../../policy/assurance.ts';
import { reaches } from '../../policy/assurance.ts';
import { MASTER, managementClientFor } from '../../realms/management.ts';
import { effectiveRoles, hasRealmRole, type RoleScope, rolesHeldOfClient, rolesHeldOfClients } from '../../store/effective-roles.ts';
import type { RealmRow } from '../../store/realms.ts';
import type { Queries } from '../../store/rows.ts';
import type { ManagementRole } from './operation.ts';

/** Whoever a bearer token is about, verified and still standing. */
export interface Caller {
  userId: string;
  /** client_id of the application that asks. */
  clientId: string;
  /** The realm that the token is of. */
  realm: RealmRow;
  /** A client that speaks for itself: no second factor can be asked of it. */
  service: boolean;
  /** What the token says of the sign-in, and what this realm asks of administrators. */
  level: Level;
  floor: Level;
  /** The roles that the application may use, as in Keycloak; undefined for all that its user has. */
  within: RoleScope | undefined;
}

export interface Access {
  caller: Caller;
  /** Roles held in the management of the realm at hand. */
  roles: ReadonlySet<string>;
  has(...any: ManagementRole[]): boolean;
  /** @throws 403 unless one of these is held */
  require(...any: ManagementRole[]): void;
}

/** What the caller holds in a realm; nobody of another realm but master holds anything. */
export async function accessTo(queries: Queries, caller: Caller, realm: RealmRow): Promise<Access> {
  return accessOf(caller, new Set(await rolesIn(queries, caller, realm)));
}

async function rolesIn(queries: Queries, caller: Caller, realm: RealmRow): Promise<string[]> {
  const client = managementClientFor(caller.realm, realm);
  return client === undefined ? [] : rolesOf(queries, caller, client);
}

/** What the caller holds in each of these realms: one query, however many they are. */
export async function accessToRealms(queries: Queries, caller: Caller, realms: readonly RealmRow[]): Promise<(realm: RealmRow) => Access> {
  const clients = new Map(realms.map((realm) => [realm.id, managementClientFor(caller.realm, realm)]));
  const held = await rolesOfClients(
    queries,
    caller,
    [...clients.values()].flatMap((client) => client ?? []),
  );
  return (realm) => accessOf(caller, held.get(clients.get(realm.id) ?? '') ?? new Set());
}

async function rolesOfClients(queries: Queries, { realm, userId, within }: Caller, clientIds: readonly string[]): Promise<Map<string, Set<string>>> {
  if (clientIds.length === 0) return new Map();
  if (within === undefined) return rolesHeldOfClients(queries, realm.id, userId, clientIds);
  const held = new Map<string, Set<string>>();
  for (const { client, name } of await effectiveRoles(queries, realm.id, userId, within)) {
    if (client !== null) held.set(client, (held.get(client) ?? new Set()).add(name));
  }
  return held;
}

/** Roles of a client in the caller's own realm: those of the user that the application may use. */
async function rolesOf(queries: Queries, { realm, userId, within }: Caller, clientId: string): Promise<string[]> {
  if (within === undefined) return rolesHeldOfClient(queries, realm.id, userId, clientId);
  const roles = await effectiveRoles(queries, realm.id, userId, within);
  return roles.flatMap(({ client, name }) => (client === clientId ? [name] : []));
}

export function accessOf(caller: Caller, roles: ReadonlySet<string>): Access {
  const has = (...any: ManagementRole[]): boolean => any.some((role) => roles.has(role));
  return {
    caller,
    roles,
    has,
    require(...any) {
      if (!has(...any)) throw forbidden(`This needs one of the roles ${any.join(', ')} of the realm's management.`, 'forbidden');
    },
  };
}

/** Whether the caller may make realms. */
export async function mayCreateRealms(queries: Queries, { realm, userId, within }: Caller): Promise<boolean> {
  if (realm.name !== MASTER) return false;
  if (within === undefined) return hasRealmRole(queries, realm.id, userId, 'create-realm');
  return (await effectiveRoles(queries, realm.id, userId, within)).some(({ client, name }) => client === null && name === 'create-realm');
}

/** A token whose sign-in was not enough. */
export class NotEnough extends AppError {
  readonly floor: Level;

  constructor(level: Level, floor: Level) {
    const message = `Administrators sign in with ${floor}; this token says ${level}. Sign in again and ask for acr_values=${floor}.`;
    super({ code: 'insufficient_user_authentication', status: 401, message });
    this.floor = floor;
  }
}

/**
 * Administrators show a second factor, whatever their realm asks of others.
 * @throws NotEnough when the token's sign-in was not enough
 */
export function requireLevel({ service, level, floor }: Caller): void {
  if (!service && !reaches(level, floor)) throw new NotEnough(level, floor);
}
