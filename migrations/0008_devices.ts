/** Browsers that users have signed in with, which of them are trusted, and what bounds the sign-ins that are begun. */
import type { Knex } from 'knex';
import { forwardOnly } from './forward-only.ts';

export async function up(knex: Knex): Promise<void> {
  await knex.schema.createTable('devices', (table) => {
    table.text('realm_id').notNullable();
    table.text('id').notNullable();
    table.text('user_id').notNullable();
    // SHA-256 of the browser's cookie; several users of one browser have a row each.
    table.text('browser').notNullable();
    table.bigInteger('first_seen_at').notNullable();
    table.bigInteger('last_seen_at').notNullable();
    // When a sign-in with all that the user has to show was first complete here; null while there was only a password.
    table.bigInteger('confirmed_at');
    // The second factor that was used last on this device.
    table.text('last_factor');
    table.text('user_agent');
    table.text('ip');
    // SHA-256 of the newest token of the series, and of the one before it; null where the device is not trusted.
    table.text('trust_hash');
    table.text('trust_before');
    table.bigInteger('trust_rotated_at');
    table.bigInteger('trusted_at');
    table.bigInteger('trust_until');
    // A digest of the credentials that the user had then: with others it is worth nothing.
    table.text('trust_basis');
    table.primary(['realm_id', 'id']);
    table.unique(['realm_id', 'browser', 'user_id']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
    table.index(['realm_id', 'user_id', 'last_seen_at']);
    table.index(['last_seen_at']);
  });

  // Where a user has signed in from: the first 24 bits of an IPv4 address, the first 48 of an IPv6 one.
  await knex.schema.createTable('known_networks', (table) => {
    table.text('realm_id').notNullable();
    table.text('user_id').notNullable();
    table.text('network').notNullable();
    table.bigInteger('first_seen_at').notNullable();
    table.bigInteger('last_seen_at').notNullable();
    table.primary(['realm_id', 'user_id', 'network']);
    table.foreign(['realm_id', 'user_id']).references(['realm_id', 'id']).inTable('users').onDelete('CASCADE');
    table.index(['last_seen_at']);
  });

  // An HMAC of the address that a sign-in was begun from: those that are open are counted by it.
  await knex.schema.alterTable('oidc_payloads', (table) => {
    table.text('address');
  });
  await knex.raw('CREATE INDEX oidc_payloads_address ON oidc_payloads (realm_id, address, expires_at) WHERE address IS NOT NULL');
}

export const down = forwardOnly;
