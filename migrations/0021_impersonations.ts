/** Links by which an administrator may begin to act as a user, once, within a minute. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('impersonations', (table) => {
    table.text('realm_id').notNullable();
    // SHA-256 of what the link holds.
    table.text('id').notNullable();
    table.text('user_id').notNullable();
    // JSON: the administrator, who may be of realm master.
    table.text('impersonator').notNullable();
    table.bigInteger('expires_at').notNullable();
    table.primary(['realm_id', 'id']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
    table.index(['realm_id', 'user_id']);
    table.index(['expires_at']);
  });
}

export const down = forwardOnly;
