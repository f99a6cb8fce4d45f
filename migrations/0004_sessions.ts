/** Sign-ins under way, sessions, what oidc-provider stores, and what bounds attempts. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('logins', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    // The cid of the interaction: it stays when the uid changes between sign-in and consent.
    table.text('id').notNullable();
    table.text('uid').notNullable();
    table.text('at').notNullable();
    // Sealed LoginState.
    table.text('state').notNullable();
    table.integer('version').notNullable();
    // SHA-256 of the newest transaction cookie.
    table.text('cookie_hash').notNullable();
    // Set on resume, once: the session that this sign-in made or raised.
    table.text('session_id');
    table.bigInteger('created_at').notNullable();
    table.bigInteger('expires_at').notNullable();
    table.primary(['realm_id', 'id']);
    table.index(['expires_at']);
  });

  await knex.schema.createTable('sessions', (table) => {
    table.text('realm_id').notNullable();
    table.text('id').notNullable();
    // The uid of oidc-provider's session.
    table.text('uid').notNullable();
    table.text('user_id').notNullable();
    table.text('proofs').notNullable();
    table.boolean('remember').notNullable();
    table.text('ip');
    table.text('user_agent');
    table.bigInteger('created_at').notNullable();
    table.bigInteger('last_seen_at').notNullable();
    table.bigInteger('ends_at').notNullable();
    table.bigInteger('ended_at');
    table.primary(['realm_id', 'id']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
    table.index(['realm_id', 'uid']);
    table.index(['realm_id', 'user_id']);
    table.index(['ends_at']);
  });

  await knex.raw('CREATE UNIQUE INDEX sessions_one_alive ON sessions (realm_id, uid, user_id) WHERE ended_at IS NULL');

  await knex.schema.createTable('session_clients', (table) => {
    table.text('realm_id').notNullable();
    table.text('session_id').notNullable();
    table.text('client_id').notNullable();
    table.text('sid').notNullable();
    table.text('grant_id');
    // An offline token was issued: the grant outlives the session.
    table.boolean('offline').notNullable().defaultTo(false);
    // When that offline token was last used.
    table.bigInteger('used_at');
    table.bigInteger('created_at').notNullable();
    table.primary(['realm_id', 'session_id', 'client_id']);
    table.unique(['realm_id', 'sid']);
    table.foreign(['realm_id', 'session_id']).references(['realm_id', 'id']).inTable('sessions').onDelete('CASCADE');
    table.foreign(['realm_id', 'client_id']).references(['realm_id', 'id']).inTable('clients').onDelete('CASCADE');
    table.index(['realm_id', 'client_id']);
    table.index(['realm_id', 'grant_id']);
  });

  // Our own consoles are relying parties; this is their side of a session.
  await knex.schema.createTable('console_sessions', (table) => {
    table.text('realm_id').notNullable();
    // SHA-256 of the cookie.
    table.text('id').notNullable();
    table.text('console').notNullable();
    table.text('user_id').notNullable();
    table.text('sid').notNullable();
    table.text('id_token').notNullable();
    table.bigInteger('created_at').notNullable();
    table.bigInteger('expires_at').notNullable();
    table.primary(['realm_id', 'id']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
    table.index(['realm_id', 'user_id']);
    table.index(['expires_at']);
  });

  // oidc-provider's models: what its adapter stores.
  await knex.schema.createTable('oidc_payloads', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('model').notNullable();
    // SHA-256 of the library's id, most of which are bearer secrets.
    table.text('id').notNullable();
    table.text('payload').notNullable();
    table.text('grant_id');
    table.text('uid');
    table.text('user_code');
    table.bigInteger('expires_at');
    // How often it was used up; more than its allowance is a replay.
    table.integer('uses').notNullable().defaultTo(0);
    table.primary(['realm_id', 'model', 'id']);
    table.index(['expires_at']);
  });
  await knex.raw('CREATE INDEX oidc_payloads_grant ON oidc_payloads (realm_id, grant_id) WHERE grant_id IS NOT NULL');
  await knex.raw("CREATE UNIQUE INDEX oidc_payloads_uid ON oidc_payloads (realm_id, uid) WHERE uid IS NOT NULL AND model = 'Session'");
  await knex.raw('CREATE UNIQUE INDEX oidc_payloads_user_code ON oidc_payloads (realm_id, user_code) WHERE user_code IS NOT NULL');

  // JWT access tokens that were revoked before they expired.
  await knex.schema.createTable('revoked_tokens', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('jti').notNullable();
    table.bigInteger('expires_at').notNullable();
    table.primary(['realm_id', 'jti']);
    table.index(['expires_at']);
  });

  // Failures in a row. The subject is an HMAC, so that names which do not exist count like those that do.
  await knex.schema.createTable('attempts', (table) => {
    table.text('realm_id').notNullable().references('id').inTable('realms').onDelete('CASCADE');
    table.text('subject').notNullable();
    table.integer('failures').notNullable();
    table.bigInteger('paused_until').notNullable();
    // The sign-in that made the newest attempt.
    table.text('last_by');
    table.bigInteger('updated_at').notNullable();
    table.primary(['realm_id', 'subject']);
    table.index(['updated_at']);
  });
}

export const down = forwardOnly;
