/** Gates: hosts that know nothing of OpenID Connect, and who is signed in there. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('gates', (table) => {
    table.text('realm_id').notNullable();
    table.text('id').notNullable();
    // Row id of the client that was made with it.
    table.text('client_id').notNullable();
    // Such as https://wiki.example.com.
    table.text('origin').notNullable();
    // JSON.
    table.text('rules').notNullable();
    // Role names as JSON: what the site is told besides those that the rules name.
    table.text('roles').notNullable();
    // In seconds; null for as long as the session lives.
    table.integer('idle');
    table.integer('lifespan');
    table.bigInteger('created_at').notNullable();
    table.bigInteger('updated_at').notNullable();
    table.primary(['realm_id', 'id']);
    table.unique(['realm_id', 'origin']);
    table.foreign(['realm_id', 'client_id']).references(['realm_id', 'id']).inTable('clients').onDelete('CASCADE');
    table.index(['realm_id', 'client_id']);
  });

  // The gate's side of a session.
  await knex.schema.createTable('gate_sessions', (table) => {
    table.text('realm_id').notNullable();
    // SHA-256 of the cookie.
    table.text('id').notNullable();
    table.text('gate_id').notNullable();
    table.text('user_id').notNullable();
    table.text('sid').notNullable();
    table.text('id_token').notNullable();
    // The trusted device that spared the second step, if one did.
    table.text('device_id');
    table.bigInteger('created_at').notNullable();
    table.bigInteger('last_seen_at').notNullable();
    table.bigInteger('expires_at').notNullable();
    table.primary(['realm_id', 'id']);
    table.foreign(['realm_id', 'gate_id']).references(['realm_id', 'id']).inTable('gates').onDelete('CASCADE');
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
    table.index(['realm_id', 'gate_id']);
    table.index(['realm_id', 'user_id']);
    table.index(['expires_at']);
  });
}

export const down = forwardOnly;
