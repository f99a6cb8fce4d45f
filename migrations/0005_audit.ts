/** What happened, and what is still to be delivered. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('audit_events', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('id').notNullable();
    table.bigInteger('at').notNullable();
    table.text('type').notNullable();
    table.text('actor');
    // The user it is about; no foreign key, the row outlives the user.
    table.text('subject');
    table.text('client_id');
    table.text('transaction_id');
    table.text('ip');
    table.text('user_agent');
    table.text('details').notNullable().defaultTo('{}');
    table.primary(['realm_id', 'id']);
    table.index(['realm_id', 'at']);
    table.index(['realm_id', 'subject', 'at']);
    table.index(['realm_id', 'type', 'at']);
  });

  await knex.schema.createTable('outbox', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('id').notNullable();
    // mail, sms, webhook or back-channel logout.
    table.text('kind').notNullable();
    // Sealed.
    table.text('payload').notNullable();
    table.integer('attempts').notNullable().defaultTo(0);
    table.bigInteger('due_at').notNullable();
    table.bigInteger('claimed_until');
    table.bigInteger('delivered_at');
    table.text('last_error');
    table.bigInteger('created_at').notNullable();
    table.primary(['realm_id', 'id']);
    table.index(['due_at']);
  });
}

export const down = forwardOnly;
