/** Delivery: who an outbox row is for and how it ended, a realm's own accounts, what was sent to whom, and proved numbers. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.alterTable('outbox', (table) => {
    // The user it is for; no foreign key, what was sent is not unsent with the user.
    table.text('user_id');
    // code, notice or test. Codes and tests are sent by whoever asks for them, never again by a worker.
    table.text('purpose').notNullable().defaultTo('notice');
    // Given up.
    table.bigInteger('failed_at');
  });
  await knex.raw('CREATE INDEX outbox_waiting ON outbox (due_at) WHERE delivered_at IS NULL AND failed_at IS NULL');

  // The account that a realm sends by, where it has one of its own. All of it is sealed: whoever may change the host must
  // not be able to have the password sent there.
  await knex.schema.createTable('delivery_accounts', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    // mail or sms.
    table.text('channel').notNullable();
    table.text('account').notNullable();
    // Another one with every change: what is connected with the one before is closed.
    table.text('version').notNullable();
    table.bigInteger('updated_at').notNullable();
    table.primary(['realm_id', 'channel']);
  });

  // Codes sent, by user and by address.
  await knex.schema.createTable('delivery_counts', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    // An HMAC of the factor and the user or the address.
    table.text('subject').notNullable();
    // The user whose waiting ends when a code is right; null for an address.
    table.text('user_id');
    // When the newest were sent, newest first, each as 13 digits of milliseconds.
    table.text('sent').notNullable();
    // How many since a code was right.
    table.integer('in_a_row').notNullable();
    table.bigInteger('next_at').notNullable();
    table.bigInteger('updated_at').notNullable();
    table.primary(['realm_id', 'subject']);
    table.index(['realm_id', 'user_id']);
    table.index(['updated_at']);
  });

  // What a realm has spent of its budget in the hour and the day (in UTC) that are written here.
  await knex.schema.createTable('delivery_budgets', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('channel').notNullable();
    table.integer('hour').notNullable();
    table.integer('hour_spent').notNullable();
    table.integer('day').notNullable();
    table.integer('day_spent').notNullable();
    table.primary(['realm_id', 'channel']);
  });

  // Numbers that a user has proved: one that takes the place of another waits before it is good for anything.
  await knex.schema.createTable('proved_numbers', (table) => {
    table.text('realm_id').notNullable();
    table.text('user_id').notNullable();
    // An HMAC.
    table.text('number').notNullable();
    table.bigInteger('proved_at').notNullable();
    table.bigInteger('usable_from').notNullable();
    table.primary(['realm_id', 'user_id', 'number']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
  });
}

export const down = forwardOnly;
