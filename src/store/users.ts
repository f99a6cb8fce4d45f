/** Users of a realm and the names they are found by. */
import type { Knex } from 'knex';
import { bool, normalise } from './rows.ts';

export interface UserRow {
  realmId: string;
  id: string;
  /** As it is shown; compared by its normalised form. */
  username: string;
  email: string | null;
  emailVerified: boolean;
  firstName: string | null;
  lastName: string | null;
  enabled: boolean;
  /** The row id of the client whose service account this is. */
  serviceAccountOf: string | null;
  /** Tokens and sessions from before this time are void. */
  notBefore: number;
  createdAt: number;
  updatedAt: number;
}

export interface UserRecord {
  realm_id: string;
  id: string;
  username: string;
  username_shown: string;
  email: string | null;
  email_shown: string | null;
  email_verified: boolean | number;
  first_name: string | null;
  last_name: string | null;
  enabled: boolean | number;
  service_account_of: string | null;
  not_before: number;
  created_at: number;
  updated_at: number;
}

/** All of them, for queries that may not say `*`. */
export const USER_COLUMNS: readonly (keyof UserRecord)[] = [
  ...(['realm_id', 'id', 'username', 'username_shown', 'email', 'email_shown', 'email_verified', 'first_name', 'last_name'] as const),
  ...(['enabled', 'service_account_of', 'not_before', 'created_at', 'updated_at'] as const),
];

export const userFromRecord = (row: UserRecord): UserRow => ({
  realmId: row.realm_id,
  id: row.id,
  username: row.username_shown,
  email: row.email_shown,
  emailVerified: bool(row.email_verified),
  firstName: row.first_name,
  lastName: row.last_name,
  enabled: bool(row.enabled),
  serviceAccountOf: row.service_account_of,
  notBefore: row.not_before,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

export async function userById(knex: Knex, realmId: string, id: string): Promise<UserRow | undefined> {
  const row = await knex<UserRecord>('users').where({ realm_id: realmId, id }).first();
  return row && userFromRecord(row);
}

/**
 * Makes every other transaction that does the same for this user wait for the end of this one. For what is read and then
 * changed together; on SQLite a transaction is alone anyway.
 */
export async function lockUser(trx: Knex, realmId: string, id: string): Promise<void> {
  await trx('users').where({ realm_id: realmId, id }).forUpdate().first('id');
}

/** The user who signs in with this name: a username, or else an email address. Service accounts never do. */
export async function userByLogin(knex: Knex, realmId: string, typed: string): Promise<UserRow | undefined> {
  const name = normalise(typed);
  const rows = await knex<UserRecord>('users')
    .where({ realm_id: realmId })
    .whereNull('service_account_of')
    .where((either) => either.where({ username: name }).orWhere({ email: name }))
    .limit(2);
  // Somebody's username may be somebody else's address: the username wins.
  const found = rows.find((row) => row.username === name) ?? rows[0];
  return found && userFromRecord(found);
}

/** Whether somebody of the realm has this address. */
export async function userHasEmail(knex: Knex, realmId: string, email: string): Promise<boolean> {
  const users = knex('users').where({ realm_id: realmId, email: normalise(email) });
  return (await users.first('id')) !== undefined;
}

export async function userByUsername(knex: Knex, realmId: string, username: string): Promise<UserRow | undefined> {
  const row = await knex<UserRecord>('users')
    .where({ realm_id: realmId, username: normalise(username) })
    .first();
  return row && userFromRecord(row);
}

/** How users are called, by their ids; those who are gone are missing. */
export async function usernamesOf(knex: Knex, realmId: string, ids: readonly string[]): Promise<Map<string, string>> {
  const rows: { id: string; name: string }[] = await knex('users')
    .where('realm_id', realmId)
    .whereIn('id', [...new Set(ids)])
    .select({ id: 'id', name: 'username_shown' });
  return new Map(rows.map(({ id, name }) => [id, name]));
}

/** Users by the names that were asked for; at most a few hundred at a time. */
export async function usersByUsernames(knex: Knex, realmId: string, names: readonly string[]): Promise<Map<string, UserRow>> {
  const rows = await knex<UserRecord>('users').where({ realm_id: realmId }).whereIn('username', names.map(normalise));
  const found = new Map(rows.map((row) => [row.username, userFromRecord(row)]));
  return new Map(
    names.flatMap((name): [string, UserRow][] => {
      const user = found.get(normalise(name));
      return user ? [[name, user]] : [];
    }),
  );
}

export async function serviceAccountUser(knex: Knex, realmId: string, clientRowId: string): Promise<UserRow | undefined> {
  const row = await knex<UserRecord>('users').where({ realm_id: realmId, service_account_of: clientRowId }).first();
  return row && userFromRecord(row);
}

/** Users by username, one page: those after the username `after`, at most `limit`. */
export async function listUsers(knex: Knex, realmId: string, page: { after?: string; limit: number }): Promise<UserRow[]> {
  const query = knex<UserRecord>('users').where({ realm_id: realmId }).whereNull('service_account_of').orderBy('username').limit(page.limit);
  if (page.after !== undefined) query.where('username', '>', normalise(page.after));
  return (await query).map(userFromRecord);
}

export async function insertUser(trx: Knex, user: UserRow): Promise<void> {
  await trx('users').insert({
    realm_id: user.realmId,
    id: user.id,
    username: normalise(user.username),
    username_shown: user.username,
    email: user.email === null ? null : normalise(user.email),
    email_shown: user.email,
    email_verified: user.emailVerified,
    first_name: user.firstName,
    last_name: user.lastName,
    enabled: user.enabled,
    service_account_of: user.serviceAccountOf,
    not_before: user.notBefore,
    created_at: user.createdAt,
    updated_at: user.updatedAt,
  });
}

/** Attributes in their order, by name. */
export async function userAttributes(knex: Knex, realmId: string, userId: string): Promise<Map<string, string[]>> {
  const rows = await knex('user_attributes').where({ realm_id: realmId, user_id: userId }).orderBy(['name', 'position']);
  const attributes = new Map<string, string[]>();
  for (const row of rows) attributes.set(row.name, [...(attributes.get(row.name) ?? []), row.value]);
  return attributes;
}

/** Counts per realm, for overviews: one query for all of them. */
export async function countUsers(knex: Knex, realmIds: string[]): Promise<Map<string, number>> {
  const rows = await knex('users')
    .whereIn('realm_id', realmIds)
    .whereNull('service_account_of')
    .groupBy('realm_id')
    .select('realm_id')
    .count('* as users');
  return new Map(rows.map((row) => [String(row.realm_id), Number(row.users)]));
}

/** The address that a code has just proved is theirs; nothing when it was changed meanwhile. */
export async function confirmEmail(trx: Knex, user: { realmId: string; id: string }, email: string, now: number): Promise<void> {
  await trx('users')
    .where({ realm_id: user.realmId, id: user.id, email: normalise(email) })
    .update({ email_verified: true, updated_at: now });
}
