/** Roles of a realm and of its clients, and who holds them. */
import type { Knex } from 'knex';

export interface RoleRow {
  realmId: string;
  id: string;
  /** The row id of the client it belongs to; null for a realm role. */
  clientId: string | null;
  name: string;
  description: string | null;
  createdAt: number;
}

export async function insertRoles(trx: Knex, roles: RoleRow[]): Promise<void> {
  if (roles.length === 0) return;
  await trx('roles').insert(
    roles.map((role) => ({
      realm_id: role.realmId,
      id: role.id,
      client_id: role.clientId,
      name: role.name,
      description: role.description,
      created_at: role.createdAt,
    })),
  );
}

export async function realmRoleId(knex: Knex, realmId: string, name: string): Promise<string | undefined> {
  const row = await knex('roles').where({ realm_id: realmId, name }).whereNull('client_id').first('id');
  return row?.id;
}

/** Gives a role; giving it again changes nothing. */
export async function assignRole(trx: Knex, realmId: string, userId: string, roleId: string): Promise<void> {
  await trx('user_roles').insert({ realm_id: realmId, user_id: userId, role_id: roleId }).onConflict(['realm_id', 'user_id', 'role_id']).ignore();
}

/** True when any user holds this realm role directly; service accounts are not asked about. */
export async function isHeldByUser(knex: Knex, realmId: string, name: string): Promise<boolean> {
  const row = await knex('user_roles')
    .join('roles', (on) => on.on('roles.realm_id', 'user_roles.realm_id').andOn('roles.id', 'user_roles.role_id'))
    .join('users', (on) => on.on('users.realm_id', 'user_roles.realm_id').andOn('users.id', 'user_roles.user_id'))
    .where({ 'user_roles.realm_id': realmId, 'roles.name': name })
    .whereNull('roles.client_id')
    .whereNull('users.service_account_of')
    .first('users.id');
  return row !== undefined;
}

/** True when the user holds this realm role directly. */
export async function hasRealmRole(knex: Knex, realmId: string, userId: string, name: string): Promise<boolean> {
  const row = await knex('user_roles')
    .join('roles', (on) => on.on('roles.realm_id', 'user_roles.realm_id').andOn('roles.id', 'user_roles.role_id'))
    .where({ 'user_roles.realm_id': realmId, 'user_roles.user_id': userId, 'roles.name': name })
    .whereNull('roles.client_id')
    .first('roles.id');
  return row !== undefined;
}
