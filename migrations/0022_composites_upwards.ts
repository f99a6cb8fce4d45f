/**
 * Which roles bring a role is asked with every request of an administrator. SQLite, which knows nothing of how often a value is
 * there, reads an index that holds all of a row before one that finds it: so this one holds all of it.
 */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.alterTable('role_composites', (table) => {
    table.index(['realm_id', 'child_id', 'role_id'], 'role_composites_upwards');
    table.dropIndex(['realm_id', 'child_id']);
  });
}

export const down = forwardOnly;
