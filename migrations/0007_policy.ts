/** Who must prove what: each realm's policy by version, users' exceptions, the sign-ins that put an enrolment off, and how a session began. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  // The newest version is in force; none is ever changed.
  await knex.schema.createTable('mfa_policies', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.integer('version').notNullable();
    table.text('document').notNullable();
    table.text('actor').notNullable();
    table.bigInteger('created_at').notNullable();
    table.primary(['realm_id', 'version']);
  });

  // The one way below what rules ask; one a user at a time.
  await knex.schema.createTable('mfa_exceptions', (table) => {
    table.text('realm_id').notNullable();
    table.text('user_id').notNullable();
    table.text('id').notNullable();
    table.text('level').notNullable();
    table.text('reason').notNullable();
    table.text('actor').notNullable();
    table.bigInteger('created_at').notNullable();
    table.bigInteger('until').notNullable();
    table.primary(['realm_id', 'user_id']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
  });

  // Sign-ins in which a user has put off an enrolment.
  await knex.schema.createTable('mfa_grace', (table) => {
    table.text('realm_id').notNullable();
    table.text('user_id').notNullable();
    table.integer('used').notNullable();
    table.bigInteger('updated_at').notNullable();
    table.primary(['realm_id', 'user_id']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
  });

  // How it began, where that was with less than was due: on a trusted device, or by putting an enrolment off. JSON.
  await knex.schema.alterTable('sessions', (table) => {
    table.text('facts');
  });

  await convertSettings(knex);
}

/** Each realm's old setting as a document; the setting itself stays where the release before this one reads it. */
async function convertSettings(knex: Knex): Promise<void> {
  const limit = 500;
  for (let after = ''; ; ) {
    const realms: { id: string; settings: string; created_at: number }[] = await knex('realms')
      .where('id', '>', after)
      .orderBy('id')
      .limit(limit)
      .select('id', 'settings', 'created_at');
    const rows = realms.map(({ id, settings, created_at }) => ({
      realm_id: id,
      version: 1,
      document: JSON.stringify(documentOf(JSON.parse(settings).mfa)),
      actor: 'migration',
      created_at,
    }));
    if (rows.length > 0) await knex('mfa_policies').insert(rows);
    if (realms.length < limit) return;
    after = realms.at(-1)?.id ?? '';
  }
}

/** Written out here, since what the product's own functions make may change after this has run. */
const documentOf = (mfa: unknown): object => ({
  useOwned: mfa !== 'off',
  acr: {},
  floors: { administrator: 'aal2' },
  rules: mfa === 'required' ? [{ id: 'realm', when: {}, need: { level: 'aal2' } }] : [],
});

export const down = forwardOnly;
