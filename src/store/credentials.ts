/**
 * What users prove themselves with. The secret is JSON, sealed for its realm, user and row: a ciphertext that was moved
 * does not open. Counters are spent by one conditional UPDATE.
 */
import type { Knex } from 'knex';
import type { SealContext } from '../crypto/seal.ts';
import { isLevel, type Level } from '../policy/assurance.ts';
import { returnHardwareTokens } from './hardware-tokens.ts';
import { bool } from './rows.ts';
import type { SealedColumn } from './sealed-columns.ts';

export interface CredentialRow {
  realmId: string;
  id: string;
  userId: string;
  factor: string;
  label: string;
  /** Sealed JSON. */
  secret: string;
  counter: number | null;
  enabled: boolean;
  /** What this very credential shows, where it is not what its factor shows. */
  level: Level | null;
  /** By which it is found before its user is known. */
  lookup: string | null;
  createdAt: number;
  lastUsedAt: number | null;
}

export interface CredentialRecord {
  realm_id: string;
  id: string;
  user_id: string;
  factor: string;
  label: string;
  secret: string;
  counter: number | null;
  enabled: boolean | number;
  level: string | null;
  lookup: string | null;
  created_at: number;
  last_used_at: number | null;
}

export const credentialFrom = (row: CredentialRecord): CredentialRow => ({
  realmId: row.realm_id,
  id: row.id,
  userId: row.user_id,
  factor: row.factor,
  label: row.label,
  secret: row.secret,
  counter: row.counter,
  enabled: bool(row.enabled),
  level: row.level !== null && isLevel(row.level) ? row.level : null,
  lookup: row.lookup,
  createdAt: row.created_at,
  lastUsedAt: row.last_used_at,
});

/** What a credential's secret is bound to. */
export const credentialSeal = (row: { realmId: string; userId: string; id: string }): SealContext => ({
  purpose: 'credential',
  realm: row.realmId,
  row: `${row.userId}/${row.id}`,
  column: 'secret',
});

export const sealedCredentials: SealedColumn = {
  table: 'credentials',
  column: 'secret',
  also: ['user_id'],
  place: ({ realmId, key, also }) => credentialSeal({ realmId, userId: also.user_id ?? '', id: key }),
};

/** All of a user's credentials, oldest first. */
export async function credentialsOf(knex: Knex, realmId: string, userId: string): Promise<CredentialRow[]> {
  const rows = await knex<CredentialRecord>('credentials').where({ realm_id: realmId, user_id: userId }).orderBy(['created_at', 'id']);
  return rows.map(credentialFrom);
}

export async function insertCredential(trx: Knex, row: CredentialRow): Promise<void> {
  await trx('credentials').insert({
    realm_id: row.realmId,
    id: row.id,
    user_id: row.userId,
    factor: row.factor,
    label: row.label,
    secret: row.secret,
    counter: row.counter,
    enabled: row.enabled,
    // Behind those that have a place of their own.
    priority: trx('credentials').where({ realm_id: row.realmId, user_id: row.userId }).select(trx.raw('COALESCE(MAX(priority), 0)')),
    level: row.level,
    lookup: row.lookup,
    created_at: row.createdAt,
    last_used_at: row.lastUsedAt,
  });
}

/** The credential of a factor that is known by `lookup`, whoever's it is. */
export async function credentialByLookup(knex: Knex, realmId: string, factor: string, lookup: string): Promise<CredentialRow | undefined> {
  const row = await knex<CredentialRecord>('credentials').where({ realm_id: realmId, factor, lookup }).first();
  return row && credentialFrom(row);
}

/** Records that a credential was used; of those that spend a counter, that statement does. */
export async function touchCredential(knex: Knex, row: { realmId: string; id: string }, now: number): Promise<void> {
  await knex('credentials').where({ realm_id: row.realmId, id: row.id }).update({ last_used_at: now });
}

/** Spends a counter value: true for exactly one caller, and never for one that is not greater than the last. */
export async function spendCounter(knex: Knex, row: { realmId: string; userId: string; id: string }, counter: number, now: number): Promise<boolean> {
  const spent = await knex('credentials')
    .where({ realm_id: row.realmId, user_id: row.userId, id: row.id })
    .where((unused) => unused.whereNull('counter').orWhere('counter', '<', counter))
    .update({ counter, last_used_at: now });
  return spent === 1;
}

/** Removes a user's credentials of a factor, such as the codes that new ones take the place of. */
export async function deleteOfFactor(trx: Knex, realmId: string, userId: string, factor: string): Promise<number> {
  await returnHardwareTokens(trx, realmId, { userId, factor });
  return trx('credentials').where({ realm_id: realmId, user_id: userId, factor }).delete();
}

/** Replaces a secret that is still the one that was read, such as a hash with outdated parameters. */
export async function replaceSecret(knex: Knex, row: CredentialRow, sealed: string): Promise<void> {
  await knex('credentials').where({ realm_id: row.realmId, id: row.id, secret: row.secret }).update({ secret: sealed });
}

/** Takes away what anybody in the realm has of a factor. */
export async function deleteAllOfFactor(trx: Knex, realmId: string, factor: string): Promise<void> {
  await trx('credentials').where({ realm_id: realmId, factor }).delete();
}

export async function deletePassword(trx: Knex, realmId: string, userId: string): Promise<void> {
  await trx('credentials').where({ realm_id: realmId, user_id: userId, factor: 'password' }).delete();
}

/** Switches a factor's credentials of a user off after too many failures, until another factor or an administrator restores it. */
export async function disableFactor(knex: Knex, realmId: string, userId: string, factor: string): Promise<void> {
  await knex('credentials').where({ realm_id: realmId, user_id: userId, factor }).update({ enabled: false });
}

/** Switches on again what was switched off; how many credentials that were. */
export async function enableFactor(trx: Knex, realmId: string, userId: string, factor: string): Promise<number> {
  return trx('credentials').where({ realm_id: realmId, user_id: userId, factor, enabled: false }).update({ enabled: true });
}

/** True when there was such a credential of this user. */
export async function renameCredential(trx: Knex, realmId: string, userId: string, id: string, label: string): Promise<boolean> {
  return (await trx('credentials').where({ realm_id: realmId, user_id: userId, id }).update({ label })) === 1;
}

/** True when there was such a credential of this user. Passwords are not removed this way. */
export async function deleteCredential(trx: Knex, realmId: string, userId: string, id: string): Promise<boolean> {
  const mine = trx('credentials').where({ realm_id: realmId, user_id: userId, id }).whereNot({ factor: 'password' });
  if ((await mine.clone().first('id')) === undefined) return false;
  await returnHardwareTokens(trx, realmId, { credentialId: id });
  return (await mine.delete()) === 1;
}
