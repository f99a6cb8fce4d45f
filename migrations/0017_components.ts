/**
 * What a realm's administrators configure that has no table of its own: components, as Keycloak calls them. And no two
 * realms whose names differ by case alone.
 */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('components', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    // The kid, where it stands for a signing key.
    table.text('id').notNullable();
    table.text('parent_id').notNullable();
    table.text('name').notNullable();
    table.text('provider_type').notNullable();
    table.text('provider_id').notNullable();
    table.text('sub_type');
    // JSON: lists of texts by name, without what is secret.
    table.text('config').notNullable().defaultTo('{}');
    // The same of what is secret, sealed; null for nothing.
    table.text('secrets');
    table.bigInteger('created_at').notNullable();
    table.primary(['realm_id', 'id']);
  });
  // In lower case; null for a realm that the release before this one has made.
  await knex.schema.alterTable('realms', (table) => {
    table.text('name_key');
  });
  await knex('realms').update({ name_key: knex.raw('lower(name)') });
  await knex.raw('CREATE UNIQUE INDEX realms_name_key ON realms (name_key)');
}

export const down = forwardOnly;
