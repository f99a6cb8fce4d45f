/** A small schema for the tests of the store itself: parents, their children, and migrations that alter the parents. */
import type { Knex } from 'knex';
import { forwardOnly } from '../../migrations/forward-only.ts';
import { sourceOf } from '../../migrations/index.ts';

const first: Knex.Migration = {
  async up(knex) {
    await knex.schema.createTable('parents', (table) => {
      table.text('realm_id').notNullable();
      table.text('id').notNullable();
      table.text('name').notNullable();
      table.text('nickname');
      table.boolean('enabled').notNullable().defaultTo(true);
      table.bigInteger('at').notNullable().defaultTo(0);
      table.primary(['realm_id', 'id']);
      table.unique(['realm_id', 'name']);
    });
    await knex.schema.createTable('children', (table) => {
      table.text('realm_id').notNullable();
      table.text('id').notNullable();
      table.text('parent_id').notNullable();
      table.primary(['realm_id', 'id']);
      table.foreign(['realm_id', 'parent_id']).references(['realm_id', 'id']).inTable('parents').onDelete('CASCADE');
    });
  },
  down: forwardOnly,
};

/** What knex does to a SQLite table for each of these is to build it anew and drop the old one. */
const alterParents: Knex.Migration = {
  async up(knex) {
    await knex.schema.alterTable('parents', (table) => table.dropColumn('nickname'));
    await knex.schema.alterTable('parents', (table) => table.text('name').notNullable().defaultTo('nobody').alter());
  },
  down: forwardOnly,
};

const orphanChildren: Knex.Migration = {
  async up(knex) {
    await knex('parents').insert({ realm_id: 'r', id: 'left', name: 'left' });
    await knex('children').update({ parent_id: 'nobody' });
  },
  down: forwardOnly,
};

export const original = sourceOf(new Map([['0001_first', first]]));
export const altered = sourceOf(
  new Map([
    ['0001_first', first],
    ['0002_alter_parents', alterParents],
  ]),
);
export const broken = sourceOf(
  new Map([
    ['0001_first', first],
    ['0002_orphan_children', orphanChildren],
  ]),
);
