/**
 * Users that are looked for, by username and by their place in that list. What is compared is lower-case: usernames and
 * addresses are stored so, names are made so by the query. PostgreSQL in the plain C locale leaves letters beyond ASCII as
 * they are: names are compared as they were typed, too.
 */
import type { Knex } from 'knex';
import { normalise } from './rows.ts';
import { attributeKey } from './user-changes.ts';
import { type UserRecord, type UserRow, userFromRecord } from './users.ts';

export interface UserSearch {
  /** Words that are all in a username, an address or a name: `ab` begins one, `*ab*` is in one, `"ab"` is one. */
  search?: string | undefined;
  ids?: readonly string[] | undefined;
  /** Parts of these, or with `exact` all of them. */
  username?: string | undefined;
  email?: string | undefined;
  firstName?: string | undefined;
  lastName?: string | undefined;
  exact?: boolean | undefined;
  /** All of these attributes with these values. */
  attributes?: readonly (readonly [name: string, value: string])[] | undefined;
  enabled?: boolean | undefined;
  emailVerified?: boolean | undefined;
  /** An identity elsewhere. */
  provider?: string | undefined;
  subject?: string | undefined;
  /** Whether service accounts are looked for, too. */
  serviceAccounts: boolean;
}

/** One page: `max` users from the place `first` on, by username. */
export async function findUsers(knex: Knex, realmId: string, search: UserSearch, page: { first: number; max: number }): Promise<UserRow[]> {
  const rows: UserRecord[] = await matching(knex, realmId, search).orderBy('users.username').limit(page.max).offset(page.first).select('users.*');
  return rows.map(userFromRecord);
}

export async function countFoundUsers(knex: Knex, realmId: string, search: UserSearch): Promise<number> {
  const row = await matching(knex, realmId, search).count({ users: '*' }).first();
  return Number(row?.users ?? 0);
}

function matching(knex: Knex, realmId: string, search: UserSearch) {
  const query = knex('users').where('users.realm_id', realmId);
  if (!search.serviceAccounts) query.whereNull('users.service_account_of');
  if (search.ids) query.whereIn('users.id', [...search.ids]);
  for (const word of wordsOf(search.search ?? '')) query.where((either) => eitherIs(either, word));
  for (const [field, column] of FIELDS) {
    const wanted = search[field];
    if (wanted === undefined) continue;
    const around = search.exact ? '' : '%';
    const [plain = '', typed = ''] = patternsOf(wanted).map((pattern) => `${around}${pattern}${around}`);
    query.whereRaw(`(${column} like ? escape '!' or ${column.replace('lower', '')} like ? escape '!')`, [plain, typed]);
  }
  for (const [name, value] of search.attributes ?? [])
    query.whereExists(ofUser(knex, 'user_attributes').where({ 'about.name': name, 'about.value_key': attributeKey(value) }));
  if (search.enabled !== undefined) query.where('users.enabled', search.enabled);
  if (search.emailVerified !== undefined) query.where('users.email_verified', search.emailVerified);
  if (search.provider !== undefined || search.subject !== undefined) {
    const linked = ofUser(knex, 'federated_identities');
    if (search.provider !== undefined) linked.where('about.provider', search.provider);
    if (search.subject !== undefined) linked.where('about.subject', search.subject);
    query.whereExists(linked);
  }
  return query;
}

const FIELDS = [
  ['username', 'users.username'],
  ['email', 'users.email'],
  ['firstName', 'lower(users.first_name)'],
  ['lastName', 'lower(users.last_name)'],
] as const;

/** Rows of another table that are about the user at hand. */
const ofUser = (knex: Knex, table: string): Knex.QueryBuilder =>
  knex({ about: table }).whereRaw('about.realm_id = users.realm_id AND about.user_id = users.id').select('about.user_id');

function eitherIs(either: Knex.QueryBuilder, [plain, typed]: readonly string[]): void {
  for (const [, column] of FIELDS) {
    void either.orWhereRaw(`${column} like ? escape '!'`, [plain ?? '']);
    if (column.startsWith('lower')) void either.orWhereRaw(`${column.replace('lower', '')} like ? escape '!'`, [typed ?? '']);
  }
}

/** At most so many words: each is a comparison of four columns for every user. */
const MOST_WORDS = 10;

/** As patterns of LIKE, each lower-case and as it was typed. */
function wordsOf(search: string): string[][] {
  const words = search.trim() === '' ? [] : search.trim().split(/\s+/);
  return words.slice(0, MOST_WORDS).map((word) => {
    if (word.length >= 2 && word.startsWith('"') && word.endsWith('"')) return patternsOf(word.slice(1, -1));
    return patternsOf(word).map((literal) => {
      const pattern = literal.replaceAll('*', '%');
      return pattern.endsWith('%') ? pattern : `${pattern}%`;
    });
  });
}

const patternsOf = (text: string): string[] => [literally(normalise(text)), literally(text.trim())];
const literally = (text: string): string => text.replace(/[!%_]/g, '!$&');
