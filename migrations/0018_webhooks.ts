/** Webhooks: where a realm's events are told, and each message that is to arrive there. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('webhooks', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('id').notNullable();
    table.text('url').notNullable();
    table.text('description').notNullable();
    // A JSON array of patterns.
    table.text('events').notNullable();
    // A sealed JSON array, the newest first.
    table.text('secrets').notNullable();
    table.boolean('enabled').notNullable();
    // Messages that there was no room for.
    table.bigInteger('dropped').notNullable().defaultTo(0);
    table.bigInteger('created_at').notNullable();
    table.bigInteger('updated_at').notNullable();
    table.primary(['realm_id', 'id']);
  });

  await knex.schema.createTable('webhook_deliveries', (table) => {
    table.text('realm_id').notNullable();
    table.text('id').notNullable();
    table.text('webhook_id').notNullable();
    // The row of the audit, from which the message is made whenever it is sent: nothing of it is kept twice.
    table.text('event_id').notNullable();
    table.text('type').notNullable();
    // waiting, delivered or failed.
    table.text('state').notNullable();
    table.integer('attempts').notNullable().defaultTo(0);
    table.bigInteger('due_at').notNullable();
    table.bigInteger('claimed_until');
    // What the last answer was, or why there was none.
    table.integer('last_status');
    table.text('last_error');
    table.bigInteger('created_at').notNullable();
    table.bigInteger('finished_at');
    table.primary(['realm_id', 'id']);
    table.foreign(['realm_id', 'webhook_id']).references(['realm_id', 'id']).inTable('webhooks').onDelete('CASCADE');
    table.index(['realm_id', 'webhook_id', 'id']);
    table.index(['finished_at']);
  });
  await knex.raw("CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (due_at) WHERE state = 'waiting'");

  // 1 in rows that webhooks of the realm are still to be told of: the row is its own outbox.
  await knex.schema.alterTable('audit_events', (table) => {
    table.integer('untold');
  });
  await knex.raw('CREATE INDEX audit_events_untold ON audit_events (at) WHERE untold = 1');
}

export const down = forwardOnly;
