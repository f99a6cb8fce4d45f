/** Clients, the scopes they may ask for, and the mappers that put claims behind a scope. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('clients', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    // The row id; the client_id of OAuth stands beside it and may change.
    table.text('id').notNullable();
    table.text('client_id').notNullable();
    table.text('name');
    table.text('description');
    table.boolean('enabled').notNullable().defaultTo(true);
    table.boolean('public_client').notNullable().defaultTo(false);
    table.boolean('consent_required').notNullable().defaultTo(false);
    table.boolean('standard_flow').notNullable().defaultTo(true);
    table.boolean('direct_access').notNullable().defaultTo(false);
    table.boolean('service_account').notNullable().defaultTo(false);
    table.boolean('full_scope').notNullable().defaultTo(true);
    // Sealed: an administrator may have it shown again.
    table.text('secret');
    table.text('root_url');
    table.text('base_url');
    table.text('redirect_uris').notNullable().defaultTo('[]');
    table.text('post_logout_redirect_uris').notNullable().defaultTo('[]');
    table.text('web_origins').notNullable().defaultTo('[]');
    // Keycloak's free-form client attributes.
    table.text('attributes').notNullable().defaultTo('{}');
    // Null: on for public clients, off for confidential ones.
    table.boolean('revoke_refresh_token');
    table.integer('refresh_token_max_reuse').notNullable().defaultTo(0);
    table.bigInteger('created_at').notNullable();
    table.bigInteger('updated_at').notNullable();
    table.primary(['realm_id', 'id']);
    table.unique(['realm_id', 'client_id']);
  });

  await knex.schema.createTable('client_scopes', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('id').notNullable();
    table.text('name').notNullable();
    table.text('description');
    table.text('protocol').notNullable().defaultTo('openid-connect');
    table.text('attributes').notNullable().defaultTo('{}');
    // What a new client of the realm gets: default, optional or none.
    table.text('realm_assignment').notNullable().defaultTo('none');
    table.bigInteger('created_at').notNullable();
    table.primary(['realm_id', 'id']);
    table.unique(['realm_id', 'name']);
  });

  await knex.schema.createTable('client_scope_assignments', (table) => {
    table.text('realm_id').notNullable();
    table.text('client_id').notNullable();
    table.text('scope_id').notNullable();
    table.boolean('is_default').notNullable();
    table.primary(['realm_id', 'client_id', 'scope_id']);
    table.foreign(['realm_id', 'client_id']).references(['realm_id', 'id']).inTable('clients').onDelete('CASCADE');
    table.foreign(['realm_id', 'scope_id']).references(['realm_id', 'id']).inTable('client_scopes').onDelete('CASCADE');
    table.index(['realm_id', 'scope_id']);
  });

  await knex.schema.createTable('protocol_mappers', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('id').notNullable();
    // It belongs to one client or to one client scope.
    table.text('client_id');
    table.text('scope_id');
    table.text('name').notNullable();
    table.text('mapper').notNullable();
    table.text('config').notNullable().defaultTo('{}');
    table.primary(['realm_id', 'id']);
    table.foreign(['realm_id', 'client_id']).references(['realm_id', 'id']).inTable('clients').onDelete('CASCADE');
    table.foreign(['realm_id', 'scope_id']).references(['realm_id', 'id']).inTable('client_scopes').onDelete('CASCADE');
    table.index(['realm_id', 'client_id']);
    table.index(['realm_id', 'scope_id']);
  });

  // Which roles reach the tokens of a client or scope that has not the full scope.
  await knex.schema.createTable('scope_mappings', (table) => {
    table.text('realm_id').notNullable();
    table.text('id').notNullable();
    table.text('client_id');
    table.text('scope_id');
    table.text('role_id').notNullable();
    table.primary(['realm_id', 'id']);
    table.foreign(['realm_id', 'client_id']).references(['realm_id', 'id']).inTable('clients').onDelete('CASCADE');
    table.foreign(['realm_id', 'scope_id']).references(['realm_id', 'id']).inTable('client_scopes').onDelete('CASCADE');
    table.foreign(['realm_id', 'role_id']).references(['realm_id', 'id']).inTable('roles').onDelete('CASCADE');
    table.index(['realm_id', 'role_id']);
    table.index(['realm_id', 'client_id']);
    table.index(['realm_id', 'scope_id']);
  });

  // What a user allowed a client to see. Grants are made from it; ending a grant does not take a consent back.
  await knex.schema.createTable('consents', (table) => {
    table.text('realm_id').notNullable();
    table.text('user_id').notNullable();
    table.text('client_id').notNullable();
    table.text('scopes').notNullable();
    table.bigInteger('created_at').notNullable();
    table.bigInteger('updated_at').notNullable();
    table.primary(['realm_id', 'user_id', 'client_id']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
    table.foreign(['realm_id', 'client_id']).references(['realm_id', 'id']).inTable('clients').onDelete('CASCADE');
    table.index(['realm_id', 'client_id']);
  });
}

export const down = forwardOnly;
