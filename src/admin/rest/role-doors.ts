/** The three ways to a role over REST, whom each is open to, and the role that a path means. */
import type { ShownRole } from '../../store/role-lists.ts';
import { requireRoleById, requireRoleByName } from '../resources/role-changes.ts';
import { id, type ManagementRole, type RealmCall } from './operation.ts';
import { clientOfRealm } from './role-clients.ts';

/** A role is reached by a name below the realm or a client, or by its id. */
export interface Door {
  key: string;
  path: string;
  tag: string;
  view: readonly ManagementRole[];
  manage: readonly ManagementRole[];
}

export const REALM: Door = {
  key: 'roles',
  path: '/realms/{realm}/roles',
  tag: 'Roles',
  view: ['view-realm', 'manage-realm'],
  manage: ['manage-realm'],
};
export const CLIENT: Door = {
  key: 'clients.roles',
  path: '/realms/{realm}/clients/{id}/roles',
  tag: 'Client roles',
  view: ['view-clients', 'manage-clients'],
  manage: ['manage-clients'],
};
export const BY_ID: Door = {
  key: 'roles-by-id',
  path: '/realms/{realm}/roles-by-id',
  tag: 'Roles by id',
  view: [...REALM.view, ...CLIENT.view],
  manage: [...REALM.manage, ...CLIENT.manage],
};

/** Keycloak answers all of them unless asked otherwise; this is more than anybody reads. */
const MOST = 10_000;
export const everything = { first: 0, max: MOST };
/** The part of a list that was asked for; all of it by default. */
export const place = ({ first = 0, max = MOST }: { first?: number | undefined; max?: number | undefined }) => ({ first, max });

export type Named = { id?: string | undefined; name?: string | undefined };
export const byName = { id: id.optional(), name: id };
export const byId = { id };

/** The row id of the client in a path; null for the realm. */
export async function ownerOf({ operator, realm }: RealmCall, door: Door, { id: client }: Named): Promise<string | null> {
  return door === CLIENT ? (await clientOfRealm(operator, realm, client ?? '')).id : null;
}

/** The role of a path; a 404 when there is none. By id it may be of either kind, and needs that kind's roles. */
export async function roleOf(call: RealmCall, door: Door, params: Named, purpose: 'view' | 'manage'): Promise<ShownRole> {
  const { operator, realm, access } = call;
  if (door !== BY_ID) return requireRoleByName(operator, realm, await ownerOf(call, door, params), params.name ?? '');
  const role = await requireRoleById(operator, realm, params.id ?? '');
  access.require(...(role.clientId === null ? REALM : CLIENT)[purpose]);
  return role;
}
