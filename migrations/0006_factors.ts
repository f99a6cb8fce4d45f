/** What factors keep besides a secret: a level of their own, an id to be found by, live codes, and what was spent. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.alterTable('credentials', (table) => {
    // What this very credential shows, where it is not what its factor shows: attested hardware. Null for the factor's own.
    table.text('level');
    // By which a credential is found before its user is known, such as a WebAuthn credential id.
    table.text('lookup');
  });
  await knex.raw('CREATE UNIQUE INDEX credentials_lookup ON credentials (realm_id, factor, lookup) WHERE lookup IS NOT NULL');

  // One live code a user and purpose: a new one takes the place of the one before.
  await knex.schema.createTable('one_time_codes', (table) => {
    table.text('realm_id').notNullable();
    table.text('user_id').notNullable();
    table.text('purpose').notNullable();
    // The sign-in, recovery or enrolment that it is bound to.
    table.text('transaction_id').notNullable();
    // HMAC with a key outside of this table.
    table.text('mac').notNullable();
    table.integer('tries').notNullable().defaultTo(0);
    table.bigInteger('expires_at').notNullable();
    table.primary(['realm_id', 'user_id', 'purpose']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
    table.index(['expires_at']);
  });

  // What we remember about a user besides their profile, such as that a passkey was offered.
  await knex.schema.createTable('user_notes', (table) => {
    table.text('realm_id').notNullable();
    table.text('user_id').notNullable();
    table.text('name').notNullable();
    table.text('value').notNullable();
    table.bigInteger('updated_at').notNullable();
    table.primary(['realm_id', 'user_id', 'name']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
  });

  // What may happen once: the hash of a challenge, a nonce, a link.
  await knex.schema.createTable('spent_values', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('id').notNullable();
    table.bigInteger('expires_at').notNullable();
    table.primary(['realm_id', 'id']);
    table.index(['expires_at']);
  });
}

export const down = forwardOnly;
