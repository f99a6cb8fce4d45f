/**
 * What tokens say of a user beyond the row: attributes, what groups hand down, and groups. It is joined to the row, so that
 * whoever reads the user has all of it in the same query.
 */
import type { Knex } from 'knex';
import { groupsOf } from './effective-roles.ts';
import { prepared } from './prepared.ts';
import { fromJson, stringLists } from './rows.ts';
import { USER_COLUMNS, type UserRecord, type UserRow, userFromRecord } from './users.ts';

export interface Wanted {
  attributes: boolean;
  groups: boolean;
}

export interface About {
  attributes: ReadonlyMap<string, readonly string[]>;
  /** Attributes of the user's groups and of those above, the deepest first. */
  inherited: readonly ReadonlyMap<string, readonly string[]>[];
  /** Those that the user is in, by path; not those above. */
  groups: readonly { name: string; path: string }[];
}

/** One row a thing about the user; all null where there is nothing. */
export interface AboutRecord {
  about_kind: 'attribute' | 'inherited' | 'group' | null;
  about_name: string;
  about_place: number;
  about_value: string;
}

type SubjectRecord = UserRecord & AboutRecord;

const subjectById = prepared<'realmId' | 'id', SubjectRecord, Wanted>((knex, { realmId, id }, wanted) =>
  joinAbout(knex, usersOf(knex, realmId).where('users.id', id), realmId, id, wanted),
);

const subjectOfService = prepared<'realmId' | 'clientId', SubjectRecord, Wanted>((knex, { realmId, clientId }, wanted) => {
  const id = knex('users').where({ realm_id: realmId, service_account_of: clientId }).select('id');
  return joinAbout(knex, usersOf(knex, realmId).where('users.service_account_of', clientId), realmId, id, wanted);
});

const usersOf = (knex: Knex, realmId: string): Knex.QueryBuilder =>
  knex('users')
    .where('users.realm_id', realmId)
    .select(USER_COLUMNS.map((column) => `users.${column}`));

/** The user of that id, or the user of that service account, with what is wanted. */
export async function userWith(
  knex: Knex,
  realmId: string,
  who: { id: string } | { serviceAccountOf: string },
  wanted: Wanted,
): Promise<{ user: UserRow; about: About } | undefined> {
  const rows = await ('id' in who
    ? subjectById(knex, { realmId, id: who.id }, wanted)
    : subjectOfService(knex, { realmId, clientId: who.serviceAccountOf }, wanted));
  const [first] = rows;
  return first && { user: userFromRecord(first), about: readAbout(rows) };
}

/**
 * Joins what is wanted to a query of one user.
 * @param userId whose, or a query of that one id
 */
export function joinAbout(
  knex: Knex,
  query: Knex.QueryBuilder,
  realmId: string,
  userId: string | Knex.QueryBuilder,
  wanted: Wanted,
): Knex.QueryBuilder {
  const [first, ...others] = parts(knex, realmId, userId, wanted);
  if (!first) return query;
  const about = (others.length > 0 ? first.unionAll(others) : first).as('about');
  return query
    .withRecursive('member_groups', groupsOf(knex, realmId, userId))
    .leftJoin(about, (on) => on.on(knex.raw('1 = 1')))
    .select('about.about_kind', 'about.about_name', 'about.about_place', 'about.about_value');
}

function parts(knex: Knex, realmId: string, userId: string | Knex.QueryBuilder, { attributes, groups }: Wanted): Knex.QueryBuilder[] {
  const kind = (name: string): Knex.Raw => knex.raw(`'${name}' AS about_kind`);
  const ofAttributes = [
    knex('user_attributes')
      .where({ realm_id: realmId })
      .where('user_id', userId)
      .select(kind('attribute'), { about_name: 'name', about_place: 'position', about_value: 'value' }),
    knex('groups')
      .where({ realm_id: realmId })
      .whereIn('id', knex('member_groups').select('id'))
      .whereNot('attributes', '{}')
      .select(kind('inherited'), { about_name: 'path' }, knex.raw('0 AS about_place'), { about_value: 'attributes' }),
  ];
  const ofGroups = knex('user_groups')
    .join('groups', (on) => on.on('groups.realm_id', 'user_groups.realm_id').andOn('groups.id', 'user_groups.group_id'))
    .where('user_groups.realm_id', realmId)
    .where('user_groups.user_id', userId)
    .select(kind('group'), { about_name: 'groups.path' }, knex.raw('0 AS about_place'), { about_value: 'groups.name' });
  return [...(attributes ? ofAttributes : []), ...(groups ? [ofGroups] : [])];
}

/** What the rows of such a query say. */
export function readAbout(rows: readonly Partial<AboutRecord>[]): About {
  const attributes = new Map<string, string[]>();
  const inherited: { path: string; attributes: Map<string, string[]> }[] = [];
  const groups: { name: string; path: string }[] = [];
  const found = rows.flatMap(({ about_kind: kind, about_name: name = '', about_place: place = 0, about_value: value = '' }) =>
    kind ? [{ kind, name, place, value }] : [],
  );
  for (const { kind, name, value } of found.sort((one, other) => one.place - other.place)) {
    if (kind === 'attribute') attributes.set(name, [...(attributes.get(name) ?? []), value]);
    else if (kind === 'group') groups.push({ name: value, path: name });
    else inherited.push({ path: name, attributes: new Map(Object.entries(fromJson(stringLists, value, `the attributes of group ${name}`))) });
  }
  const depth = (path: string): number => path.split('/').length;
  inherited.sort((one, other) => depth(other.path) - depth(one.path) || (one.path < other.path ? -1 : 1));
  groups.sort((one, other) => (one.path < other.path ? -1 : 1));
  return { attributes, inherited: inherited.map((group) => group.attributes), groups };
}
