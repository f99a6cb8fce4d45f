/** Secrets of the webhooks that realms have as custom factors; all else about them stands in the realm's settings. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('factor_webhooks', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    // The factor's id.
    table.text('id').notNullable();
    // A sealed JSON array of those that are accepted, the newest first.
    table.text('secrets').notNullable();
    table.bigInteger('updated_at').notNullable();
    table.primary(['realm_id', 'id']);
  });
}

export const down = forwardOnly;
