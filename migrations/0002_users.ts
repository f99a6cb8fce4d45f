/** Users, what they hold, and how they are grouped: attributes, credentials, required actions, roles, groups, identities elsewhere. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('users', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('id').notNullable();
    // NFKC, trimmed and lower-case, beside the form to show.
    table.text('username').notNullable();
    table.text('username_shown').notNullable();
    table.text('email');
    table.text('email_shown');
    table.boolean('email_verified').notNullable().defaultTo(false);
    table.text('first_name');
    table.text('last_name');
    table.boolean('enabled').notNullable().defaultTo(true);
    // The client whose service account this is.
    table.text('service_account_of');
    // Tokens and sessions from before this time are void.
    table.bigInteger('not_before').notNullable().defaultTo(0);
    table.bigInteger('created_at').notNullable();
    table.bigInteger('updated_at').notNullable();
    table.primary(['realm_id', 'id']);
    table.unique(['realm_id', 'username']);
    table.unique(['realm_id', 'email']);
    table.unique(['realm_id', 'service_account_of']);
  });

  await knex.schema.createTable('user_attributes', (table) => {
    table.text('realm_id').notNullable();
    table.text('user_id').notNullable();
    table.text('name').notNullable();
    table.integer('position').notNullable();
    table.text('value').notNullable();
    // The first 200 characters, lower-case: what is searched, and short enough for an index of PostgreSQL.
    table.text('value_key').notNullable();
    table.primary(['realm_id', 'user_id', 'name', 'position']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
    table.index(['realm_id', 'name', 'value_key']);
  });

  await knex.schema.createTable('credentials', (table) => {
    table.text('realm_id').notNullable();
    table.text('id').notNullable();
    table.text('user_id').notNullable();
    table.text('factor').notNullable();
    table.text('label').notNullable();
    // Sealed JSON, bound to realm, user and row.
    table.text('secret').notNullable();
    // The last used time step or counter; only ever grows.
    table.bigInteger('counter');
    table.boolean('enabled').notNullable().defaultTo(true);
    table.integer('priority').notNullable().defaultTo(0);
    table.bigInteger('created_at').notNullable();
    table.bigInteger('last_used_at');
    table.primary(['realm_id', 'id']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
    table.index(['realm_id', 'user_id']);
  });
  await knex.raw("CREATE UNIQUE INDEX credentials_one_password ON credentials (realm_id, user_id) WHERE factor = 'password'");

  await knex.schema.createTable('required_actions', (table) => {
    table.text('realm_id').notNullable();
    table.text('user_id').notNullable();
    table.text('action').notNullable();
    table.bigInteger('created_at').notNullable();
    table.primary(['realm_id', 'user_id', 'action']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
  });

  await knex.schema.createTable('federated_identities', (table) => {
    table.text('realm_id').notNullable();
    table.text('provider').notNullable();
    table.text('subject').notNullable();
    table.text('user_id').notNullable();
    table.text('username');
    table.bigInteger('created_at').notNullable();
    table.primary(['realm_id', 'provider', 'subject']);
    table.unique(['realm_id', 'user_id', 'provider']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
  });

  await knex.schema.createTable('roles', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('id').notNullable();
    // The row id of the client that the role belongs to; null for a realm role.
    table.text('client_id');
    table.text('name').notNullable();
    table.text('description');
    table.text('attributes').notNullable().defaultTo('{}');
    table.bigInteger('created_at').notNullable();
    table.primary(['realm_id', 'id']);
  });
  await knex.raw('CREATE UNIQUE INDEX roles_realm_name ON roles (realm_id, name) WHERE client_id IS NULL');
  await knex.raw('CREATE UNIQUE INDEX roles_client_name ON roles (realm_id, client_id, name) WHERE client_id IS NOT NULL');

  await knex.schema.createTable('role_composites', (table) => {
    table.text('realm_id').notNullable();
    table.text('role_id').notNullable();
    table.text('child_id').notNullable();
    table.primary(['realm_id', 'role_id', 'child_id']);
    table.foreign(['realm_id', 'role_id']).references(['realm_id', 'id']).inTable('roles').onDelete('CASCADE');
    table.foreign(['realm_id', 'child_id']).references(['realm_id', 'id']).inTable('roles').onDelete('CASCADE');
    table.index(['realm_id', 'child_id']);
  });

  await knex.schema.createTable('user_roles', (table) => {
    table.text('realm_id').notNullable();
    table.text('user_id').notNullable();
    table.text('role_id').notNullable();
    table.primary(['realm_id', 'user_id', 'role_id']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
    table.foreign(['realm_id', 'role_id']).references(['realm_id', 'id']).inTable('roles').onDelete('CASCADE');
    table.index(['realm_id', 'role_id']);
  });

  await knex.schema.createTable('groups', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('id').notNullable();
    table.text('parent_id');
    table.text('name').notNullable();
    table.text('path').notNullable();
    table.text('attributes').notNullable().defaultTo('{}');
    table.bigInteger('created_at').notNullable();
    table.primary(['realm_id', 'id']);
    table.foreign(['realm_id', 'parent_id']).references(['realm_id', 'id']).inTable('groups').onDelete('CASCADE');
    table.unique(['realm_id', 'path']);
    table.index(['realm_id', 'parent_id']);
  });

  await knex.schema.createTable('group_roles', (table) => {
    table.text('realm_id').notNullable();
    table.text('group_id').notNullable();
    table.text('role_id').notNullable();
    table.primary(['realm_id', 'group_id', 'role_id']);
    table.foreign(['realm_id', 'group_id']).references(['realm_id', 'id']).inTable('groups').onDelete('CASCADE');
    table.foreign(['realm_id', 'role_id']).references(['realm_id', 'id']).inTable('roles').onDelete('CASCADE');
    table.index(['realm_id', 'role_id']);
  });

  await knex.schema.createTable('user_groups', (table) => {
    table.text('realm_id').notNullable();
    table.text('user_id').notNullable();
    table.text('group_id').notNullable();
    table.primary(['realm_id', 'user_id', 'group_id']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
    table.foreign(['realm_id', 'group_id']).references(['realm_id', 'id']).inTable('groups').onDelete('CASCADE');
    table.index(['realm_id', 'group_id']);
  });
}

export const down = forwardOnly;
