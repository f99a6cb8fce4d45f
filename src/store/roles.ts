/** Roles of a realm and of its clients, what they contain, and whom they were given to. Who has them in the end: effective-roles.ts. */
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

export interface RoleRecord {
  realm_id: string;
  id: string;
  client_id: string | null;
  name: string;
  description: string | null;
  created_at: number;
}

export const roleFromRecord = (row: RoleRecord): RoleRow => ({
  realmId: row.realm_id,
  id: row.id,
  clientId: row.client_id,
  name: row.name,
  description: row.description,
  createdAt: row.created_at,
});

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

/** @param clientId the row id of the client that the role belongs to; null for a realm role */
export async function roleByName(knex: Knex, realmId: string, clientId: string | null, name: string): Promise<RoleRow | undefined> {
  const row = await knex<RoleRecord>('roles').where({ realm_id: realmId, client_id: clientId, name }).first();
  return row && roleFromRecord(row);
}

export async function realmRoleId(knex: Knex, realmId: string, name: string): Promise<string | undefined> {
  return (await roleByName(knex, realmId, null, name))?.id;
}

/** Ids of realm roles by realm: one role of each, in one query. */
export async function realmRoleIds(knex: Knex, roles: readonly { realmId: string; name: string }[]): Promise<Map<string, string>> {
  if (roles.length === 0) return new Map();
  const rows: { realm_id: string; id: string }[] = await knex('roles')
    .whereNull('client_id')
    .whereIn(
      ['realm_id', 'name'],
      roles.map(({ realmId, name }) => [realmId, name]),
    )
    .select('realm_id', 'id');
  return new Map(rows.map(({ realm_id, id }) => [realm_id, id]));
}

/** Roles of the realm (`clientId` null) or of a client by name, one page: those after `after`, at most `limit`. */
export async function listRoles(
  knex: Knex,
  realmId: string,
  clientId: string | null,
  page: { after?: string | undefined; limit: number },
): Promise<RoleRow[]> {
  const query = knex<RoleRecord>('roles').where({ realm_id: realmId, client_id: clientId }).orderBy('name').limit(page.limit);
  if (page.after !== undefined) query.where('name', '>', page.after);
  return (await query).map(roleFromRecord);
}

/** Nobody has it any more, and nothing contains it; false when it was not there. */
export async function deleteRole(trx: Knex, realmId: string, id: string): Promise<boolean> {
  return (await trx('roles').where({ realm_id: realmId, id }).delete()) === 1;
}

/** Makes a role contain others; what it contains already stays as it is. Answers the ids of those that it did not contain. */
export async function insertComposites(trx: Knex, realmId: string, roleId: string, childIds: readonly string[]): Promise<string[]> {
  if (childIds.length === 0) return [];
  const inserted: { child_id: string }[] = await trx('role_composites')
    .insert(childIds.map((child_id) => ({ realm_id: realmId, role_id: roleId, child_id })))
    .onConflict(['realm_id', 'role_id', 'child_id'])
    .ignore()
    .returning('child_id');
  return inserted.map(({ child_id }) => child_id);
}

/** False when it was not contained. */
export async function deleteComposite(trx: Knex, realmId: string, roleId: string, childId: string): Promise<boolean> {
  return (await trx('role_composites').where({ realm_id: realmId, role_id: roleId, child_id: childId }).delete()) === 1;
}

/** Gives a role to a user; false when the user was given it before. */
export async function assignRole(trx: Knex, realmId: string, userId: string, roleId: string): Promise<boolean> {
  const inserted = await trx('user_roles')
    .insert({ realm_id: realmId, user_id: userId, role_id: roleId })
    .onConflict(['realm_id', 'user_id', 'role_id'])
    .ignore()
    .returning('role_id');
  return inserted.length === 1;
}

/** Gives several roles to a user; what the user was given before stays. */
export async function assignRoles(trx: Knex, realmId: string, userId: string, roleIds: readonly string[]): Promise<void> {
  if (roleIds.length === 0) return;
  await trx('user_roles')
    .insert(roleIds.map((role_id) => ({ realm_id: realmId, user_id: userId, role_id })))
    .onConflict(['realm_id', 'user_id', 'role_id'])
    .ignore();
}

/** Takes a role that was given to a user; false when it was not. What comes from a group or another role stays. */
export async function unassignRole(trx: Knex, realmId: string, userId: string, roleId: string): Promise<boolean> {
  return (await trx('user_roles').where({ realm_id: realmId, user_id: userId, role_id: roleId }).delete()) === 1;
}
