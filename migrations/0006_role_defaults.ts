/**
 * What realms made before this have not: their default roles contain what Keycloak's contain, service accounts have the
 * default role of their realm, and the tokens of the administrators' tools carry no roles. What is there already stays.
 */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

const REALM_ROLE = 'outer_role.client_id IS NULL';
const ACCOUNT = "outer_client.client_id = 'account'";
const IN_MASTER = "realms.name = 'master'";
const MANAGING = "SELECT name || '-realm' FROM realms";
const MANAGEMENT = `(outer_client.client_id = 'realm-management' OR (${IN_MASTER} AND outer_client.client_id IN (${MANAGING})))`;
const SAME_CLIENT = 'inner_role.client_id = outer_role.client_id';

/** Which role contains which others, as SQL. */
const CONTAINS: readonly (readonly [where: string, name: string, contained: string])[] = [
  [REALM_ROLE, "'default-roles-' || realms.name", "inner_role.client_id IS NULL AND inner_role.name IN ('offline_access', 'uma_authorization')"],
  [REALM_ROLE, "'default-roles-' || realms.name", "inner_client.client_id = 'account' AND inner_role.name IN ('view-profile', 'manage-account')"],
  [ACCOUNT, "'manage-account'", `${SAME_CLIENT} AND inner_role.name = 'manage-account-links'`],
  [ACCOUNT, "'manage-consent'", `${SAME_CLIENT} AND inner_role.name = 'view-consent'`],
  ["outer_client.client_id = 'realm-management'", "'realm-admin'", SAME_CLIENT],
  [MANAGEMENT, "'view-clients'", `${SAME_CLIENT} AND inner_role.name = 'query-clients'`],
  [MANAGEMENT, "'view-users'", `${SAME_CLIENT} AND inner_role.name IN ('query-users', 'query-groups')`],
  [`${REALM_ROLE} AND ${IN_MASTER}`, "'admin'", "inner_role.client_id IS NULL AND inner_role.name = 'create-realm'"],
  [`${REALM_ROLE} AND ${IN_MASTER}`, "'admin'", `inner_client.client_id IN (${MANAGING})`],
];

export async function up(knex: Knex): Promise<void> {
  for (const [where, name, contained] of CONTAINS) {
    await knex.raw(`
      INSERT INTO role_composites (realm_id, role_id, child_id)
      SELECT outer_role.realm_id, outer_role.id, inner_role.id
      FROM roles AS outer_role
      JOIN realms ON realms.id = outer_role.realm_id
      LEFT JOIN clients AS outer_client ON outer_client.realm_id = outer_role.realm_id AND outer_client.id = outer_role.client_id
      JOIN roles AS inner_role ON inner_role.realm_id = outer_role.realm_id AND inner_role.id <> outer_role.id
      LEFT JOIN clients AS inner_client ON inner_client.realm_id = inner_role.realm_id AND inner_client.id = inner_role.client_id
      WHERE outer_role.name = ${name} AND ${where} AND ${contained}
      ON CONFLICT DO NOTHING`);
  }
  await knex.raw(`
    INSERT INTO user_roles (realm_id, user_id, role_id)
    SELECT users.realm_id, users.id, roles.id
    FROM users
    JOIN realms ON realms.id = users.realm_id
    JOIN roles ON roles.realm_id = users.realm_id AND roles.client_id IS NULL AND roles.name = 'default-roles-' || realms.name
    WHERE users.service_account_of IS NOT NULL
    ON CONFLICT DO NOTHING`);
  await knex('clients')
    .whereIn('client_id', ['admin-cli', 'security-admin-console'])
    .where('attributes', '{}')
    .update({ attributes: JSON.stringify({ 'client.use.lightweight.access.token.enabled': 'true' }) });
}

export const down = forwardOnly;
