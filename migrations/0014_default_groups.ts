/** The groups that every new user of a realm is put into. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('default_groups', (table) => {
    table.text('realm_id').notNullable();
    table.text('group_id').notNullable();
    table.primary(['realm_id', 'group_id']);
    table.foreign(['realm_id', 'group_id']).references(['realm_id', 'id']).inTable('groups').onDelete('CASCADE');
  });
}

export const down = forwardOnly;
