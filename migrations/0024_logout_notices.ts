/** Back-channel logouts: what applications are told of the end of a session, and when a session is looked at for its end. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('logout_notices', (table) => {
    table.text('realm_id').notNullable();
    // The jti of its logout tokens, however often it is sent.
    table.text('id').notNullable();
    table.text('client_id').notNullable();
    // Neither hangs on its row: a notice is to arrive when the session, or its user, is long gone.
    table.text('session_id').notNullable();
    table.text('user_id').notNullable();
    table.text('sid').notNullable();
    // held while the session goes on; then waiting, and delivered or failed.
    table.text('state').notNullable();
    table.integer('attempts').notNullable().defaultTo(0);
    table.bigInteger('due_at').notNullable();
    table.bigInteger('claimed_until');
    // What the last answer was, or why there was none.
    table.integer('last_status');
    table.text('last_error');
    table.bigInteger('created_at').notNullable();
    table.bigInteger('finished_at');
    table.primary(['realm_id', 'id']);
    table.foreign(['realm_id', 'client_id']).references(['realm_id', 'id']).inTable('clients').onDelete('CASCADE');
    // A client is told once of each sid.
    table.unique(['realm_id', 'sid']);
    table.index(['realm_id', 'client_id']);
    table.index(['finished_at']);
  });
  await knex.raw("CREATE INDEX logout_notices_waiting ON logout_notices (due_at) WHERE state = 'waiting'");
  await knex.raw("CREATE INDEX logout_notices_held ON logout_notices (realm_id, session_id) WHERE state = 'held'");

  // Of sessions at a client that is told of their end: when somebody looks whether it has come by itself.
  await knex.schema.alterTable('sessions', (table) => {
    table.bigInteger('look_at');
  });
  await knex.raw('CREATE INDEX sessions_to_look_at ON sessions (look_at) WHERE look_at IS NOT NULL');
}

export const down = forwardOnly;
