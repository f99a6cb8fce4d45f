/** Administrators' rows hang together in a chain, one a realm; and rows can be asked for by factor. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.alterTable('audit_events', (table) => {
    // Which factor the details name.
    table.text('factor');
    // The rest is there for rows of the chain alone: their place in it, counted from 1 without a gap, the hash of the row before, their own hash.
    table.bigInteger('seq');
    table.text('prev');
    table.text('hash');
    // JSON: salted digests of what names a person, which stay when the person is erased.
    table.text('digests');
    // The salts go with the person that they are about.
    table.text('actor_salt');
    table.text('subject_salt');
  });
  await knex.raw('CREATE UNIQUE INDEX audit_events_chain ON audit_events (realm_id, seq) WHERE seq IS NOT NULL');
  await knex.raw('CREATE INDEX audit_events_administrator ON audit_events (realm_id, actor) WHERE seq IS NOT NULL');

  // The end of each chain: how many rows it has and the hash of the last, under a key that is not in the database in the clear.
  await knex.schema.createTable('audit_chains', (table) => {
    table.text('realm_id').primary().references('id').inTable('realms').onDelete('CASCADE');
    table.bigInteger('count').notNullable();
    table.text('hash').notNullable();
    table.text('mac').notNullable();
  });
}

export const down = forwardOnly;
