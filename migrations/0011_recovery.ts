/** Recovery: forgotten passwords under way, and passes by which an administrator lets somebody set up new factors. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  // One row a request, whether the name that was typed is anybody's or not.
  await knex.schema.createTable('recoveries', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('id').notNullable();
    // The user that it is about, once that was looked up; null for a name that is nobody's.
    table.text('user_id');
    // The state's `at`, so that it can be seen without opening the state.
    table.text('at').notNullable();
    // Sealed.
    table.text('state').notNullable();
    table.integer('version').notNullable();
    // SHA-256 of the cookie of the browser that asked.
    table.text('cookie_hash').notNullable();
    // SHA-256 of what the link holds; null until it was sent, and again once it was used.
    table.text('link_hash');
    table.bigInteger('created_at').notNullable();
    table.bigInteger('expires_at').notNullable();
    table.primary(['realm_id', 'id']);
    table.unique(['realm_id', 'cookie_hash']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
    table.index(['realm_id', 'user_id']);
    table.index(['expires_at']);
  });

  await knex.schema.createTable('enrolment_passes', (table) => {
    table.text('realm_id').notNullable();
    // Once it can be used, also the id of the credential that it is.
    table.text('id').notNullable();
    table.text('user_id').notNullable();
    table.text('reason').notNullable();
    // User ids, or the name of a command.
    table.text('requested_by').notNullable();
    table.text('approved_by');
    // Somebody else has to approve it before there is anything to be used.
    table.boolean('dual').notNullable();
    table.bigInteger('lifetime_ms').notNullable();
    table.bigInteger('requested_at').notNullable();
    table.bigInteger('approved_at');
    // Of the request until it is approved, and then of the pass.
    table.bigInteger('expires_at').notNullable();
    // How it ended, and when: used, revoked or replaced.
    table.text('ended_as');
    table.bigInteger('ended_at');
    table.primary(['realm_id', 'id']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
    table.index(['realm_id', 'requested_at']);
    table.index(['expires_at']);
  });
  // When a credential ends by itself: a pass that nobody used.
  await knex.schema.alterTable('credentials', (table) => {
    table.bigInteger('expires_at');
  });
  await knex.raw('CREATE INDEX credentials_expiring ON credentials (expires_at) WHERE expires_at IS NOT NULL');
  await knex.raw('CREATE UNIQUE INDEX enrolment_passes_one_live ON enrolment_passes (realm_id, user_id) WHERE ended_at IS NULL');
}

export const down = forwardOnly;
