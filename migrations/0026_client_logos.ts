/** Logos of applications, which the server fetches from where they say (OpenID Connect Dynamic Client Registration 1.0 section 2). */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('client_logos', (table) => {
    table.text('realm_id').notNullable();
    // The client's: each has one logo at most.
    table.text('id').notNullable();
    // SHA-256 of the address that it is fetched from, or of nothing where the client names none any more.
    table.text('address_hash').notNullable();
    table.text('host').notNullable();
    // waiting to be fetched; then delivered or failed.
    table.text('state').notNullable();
    table.integer('attempts').notNullable().defaultTo(0);
    table.bigInteger('due_at').notNullable();
    table.bigInteger('claimed_until');
    // What the last answer was, or why there was none.
    table.integer('last_status');
    table.text('last_error');
    table.bigInteger('finished_at');
    // As we have drawn it anew, and nothing of what was fetched.
    table.binary('picture');
    table.text('picture_hash');
    table.integer('width');
    table.integer('height');
    table.primary(['realm_id', 'id']);
    table.foreign(['realm_id', 'id']).references(['realm_id', 'id']).inTable('clients').onDelete('CASCADE');
  });
  await knex.raw("CREATE INDEX client_logos_waiting ON client_logos (due_at) WHERE state = 'waiting'");
}

export const down = forwardOnly;
