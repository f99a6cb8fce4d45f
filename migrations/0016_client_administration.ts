/** What administrators of clients keep: the rest of Keycloak's representation, the secret of before, tokens to register with. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.alterTable('clients', (table) => {
    // JSON: what Keycloak's representation holds besides the columns.
    table.text('kept').notNullable().defaultTo('{}');
    table.bigInteger('secret_at');
    // Sealed: the secret of before, which is good until then.
    table.text('rotated_secret');
    table.bigInteger('rotated_until');
    // SHA-256 of the registration access token (RFC 7592).
    table.text('registration_token');
  });

  // Who may register how many clients, until when.
  await knex.schema.createTable('client_initial_access', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('id').notNullable();
    // SHA-256 of the token.
    table.text('token').notNullable();
    table.integer('total').notNullable();
    table.integer('remaining').notNullable();
    table.bigInteger('created_at').notNullable();
    // Null for one that does not expire.
    table.bigInteger('expires_at');
    table.primary(['realm_id', 'id']);
    table.unique(['realm_id', 'token']);
  });
}

export const down = forwardOnly;
