/** Identity providers elsewhere, as administrators describe them, and what is to be taken over from them. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('identity_providers', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('id').notNullable();
    table.text('alias').notNullable();
    // Keycloak's name of the kind, such as oidc.
    table.text('provider_id').notNullable();
    // JSON: everything that is said of it but its configuration.
    table.text('terms').notNullable();
    // JSON, without the secret.
    table.text('config').notNullable();
    // Sealed; null for none.
    table.text('secret');
    table.bigInteger('created_at').notNullable();
    table.bigInteger('updated_at').notNullable();
    table.primary(['realm_id', 'id']);
    table.unique(['realm_id', 'alias']);
  });

  await knex.schema.createTable('identity_provider_mappers', (table) => {
    table.text('realm_id').notNullable();
    table.text('id').notNullable();
    table.text('provider').notNullable();
    table.text('name').notNullable();
    table.text('mapper').notNullable();
    table.text('config').notNullable();
    table.primary(['realm_id', 'id']);
    table.unique(['realm_id', 'provider', 'name']);
    table.foreign(['realm_id', 'provider']).references(['realm_id', 'id']).inTable('identity_providers').onDelete('CASCADE');
  });
}

export const down = forwardOnly;
