/**
 * The installation and its realms: settings, data keys and signing keys.
 *
 * Conventions of every migration here: times are integers of milliseconds, ids are lower-case UUIDs as text, JSON is
 * text that the store reads through zod, every key is (realm_id, id), and what a realm owns goes with it.
 */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('installation', (table) => {
    table.text('name').primary();
    table.text('value').notNullable();
  });

  await knex.schema.createTable('realms', (table) => {
    table.text('id').primary();
    table.text('name').notNullable().unique();
    table.text('display_name').notNullable();
    table.boolean('enabled').notNullable().defaultTo(true);
    table.text('settings').notNullable();
    // From which cookie keys, throttle keys and the like are derived; sealed, and not rotated with the data keys.
    table.text('root_secret').notNullable();
    table.integer('version').notNullable().defaultTo(1);
    table.bigInteger('created_at').notNullable();
    table.bigInteger('updated_at').notNullable();
  });

  await knex.schema.createTable('data_keys', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('id').notNullable();
    table.text('wrapped').notNullable();
    table.bigInteger('created_at').notNullable();
    table.primary(['realm_id', 'id']);
  });

  await knex.schema.createTable('signing_keys', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    // The kid.
    table.text('id').notNullable();
    table.text('algorithm').notNullable();
    table.text('public_jwk').notNullable();
    table.text('private_jwk').notNullable();
    table.bigInteger('publish_at').notNullable();
    table.bigInteger('sign_from').notNullable();
    table.bigInteger('retire_at');
    table.bigInteger('created_at').notNullable();
    table.primary(['realm_id', 'id']);
  });
}

export const down = forwardOnly;
