/** How far a line of rotated refresh tokens has come, for clients that have a while to present a replaced one again. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('refresh_chains', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    // Of the first token of the line: the SHA-256 that it is stored under.
    table.text('id').notNullable();
    // The newest generation of which a token was used; one less than that of the first token until that is.
    table.integer('generation').notNullable();
    // How often tokens of that generation were used, and when the first one was.
    table.integer('uses').notNullable().defaultTo(0);
    table.bigInteger('used_at');
    table.bigInteger('expires_at').notNullable();
    table.primary(['realm_id', 'id']);
    table.index(['expires_at']);
  });
}

export const down = forwardOnly;
