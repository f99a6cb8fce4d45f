/** The realm's stock of hardware tokens: what was imported, and whose each is. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('hardware_tokens', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('id').notNullable();
    // As it is compared, beside the form that is printed on the token.
    table.text('serial').notNullable();
    table.text('serial_shown').notNullable();
    table.text('model');
    // `hotp` or `totp`: the factor that a credential of it is of.
    table.text('factor').notNullable();
    table.integer('digits').notNullable();
    table.text('algorithm').notNullable();
    // Seconds; null where a counter counts.
    table.integer('period');
    // The last used counter, as in credentials; null before the first.
    table.bigInteger('counter');
    // The key, sealed to realm and row.
    table.text('secret').notNullable();
    // Null in stock. No foreign key: ON DELETE SET NULL would null the realm as well.
    table.text('credential_id');
    table.text('user_id');
    table.bigInteger('assigned_at');
    table.bigInteger('imported_at').notNullable();
    table.primary(['realm_id', 'id']);
    table.unique(['realm_id', 'serial']);
    table.index(['realm_id', 'user_id']);
  });
  await knex.raw('CREATE UNIQUE INDEX hardware_tokens_credential ON hardware_tokens (realm_id, credential_id) WHERE credential_id IS NOT NULL');
}

export const down = forwardOnly;
