/**
 * What tokens say of a user beyond the row: attributes, what groups hand down, groups, and roles. It is joined to the row, so
 * that whoever reads the user has all of it in the same query.
 */
import type { Knex } from 'knex';
import { type EffectiveRole, groupsOf, heldRoles, type RoleScope } from './effective-roles.ts';
import { prepared } from './prepared.ts';
import { fromJson, stringLists } from './rows.ts';
import { USER_COLUMNS, type UserRecord, type UserRow, userFromRecord } from './users.ts';

export interface Wanted {
  attributes: boolean;
  groups: boolean;
  /** Absent for none; those that the scope lets pass, or all. */
  roles?: { within: RoleScope | undefined } | undefined;
}

export interface About {
  attributes: ReadonlyMap<string, readonly string[]>;
  /** Attributes of the user's groups and of those above, the deepest first. */
  inherited: readonly ReadonlyMap<string, readonly string[]>[];
  /** Those that the user is in, by path; not those above. */
  groups: readonly { name: string; path: string }[];
  /** In no order. */
  roles: readonly EffectiveRole[];
}

/** One row a thing about the user; all null where there is nothing. */
export interface AboutRecord {
  about_kind: 'attribute' | 'inherited' | 'group' | 'role' | null;
  about_name: string;
  about_place: number;
  /** Of a role the client_id of its client, if it has one. */
  about_value: string | null;
  /** Of a role. */
  about_id: string | null;
}

type SubjectRecord = UserRecord & AboutRecord;

/**
 * What is wanted, as far as it changes the text of a statement (prepared.ts): of roles how many scopes are named, and not which.
 */
export interface Shape {
  attributes: boolean;
  groups: boolean;
  roles: 'none' | 'all' | number;
}

/** The values that a statement of such a shape needs besides its own. */
export type OfScope = 'roleClient' | `scope${number}`;

export const shapeOf = ({ attributes, groups, roles }: Wanted): Shape => ({
  attributes,
  groups,
  roles: roles === undefined ? 'none' : roles.within === undefined ? 'all' : roles.within.scopes.length,
});

export const valuesOf = ({ roles }: Wanted): Record<OfScope, string> => ({
  roleClient: roles?.within?.clientId ?? '',
  ...Object.fromEntries((roles?.within?.scopes ?? []).map((name, index) => [`scope${index}`, name])),
});

/** The same as was wanted, with marks where the values stand. */
export const wantedBy = ({ attributes, groups, roles }: Shape, marks: Readonly<Record<OfScope, string>>): Wanted => ({
  attributes,
  groups,
  roles: roles === 'none' ? undefined : { within: roles === 'all' ? undefined : scopeBy(roles, marks) },
});

const scopeBy = (count: number, marks: Readonly<Record<OfScope, string>>): RoleScope => ({
  clientId: marks.roleClient,
  scopes: Array.from({ length: count }, (_, index) => marks[`scope${index}`] ?? ''),
});

const subjectById = prepared<'realmId' | 'id' | OfScope, SubjectRecord, Shape>((knex, marks, shape) =>
  joinAbout(knex, usersOf(knex, marks.realmId).where('users.id', marks.id), marks.realmId, marks.id, wantedBy(shape, marks)),
);

const subjectOfService = prepared<'realmId' | 'clientId' | OfScope, SubjectRecord, Shape>((knex, marks, shape) => {
  const { realmId, clientId } = marks;
  const id = knex('users').where({ realm_id: realmId, service_account_of: clientId }).select('id');
  return joinAbout(knex, usersOf(knex, realmId).where('users.service_account_of', clientId), realmId, id, wantedBy(shape, marks));
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
    ? subjectById(knex, { ...valuesOf(wanted), realmId, id: who.id }, shapeOf(wanted))
    : subjectOfService(knex, { ...valuesOf(wanted), realmId, clientId: who.serviceAccountOf }, shapeOf(wanted)));
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
  const held = wanted.roles && heldRoles(knex, realmId, userId, wanted.roles.within);
  const ofRoles = held?.roles.select(knex.raw("'role' AS about_kind"), { about_name: 'roles.name' }, knex.raw('0 AS about_place'), {
    about_value: 'clients.client_id',
    about_id: 'roles.id',
  });
  const [first, ...others] = [...parts(knex, realmId, userId, wanted), ...(ofRoles ? [ofRoles] : [])];
  if (!first) return query;
  const about = (others.length > 0 ? first.unionAll(others) : first).as('about');
  void query.withRecursive('member_groups', groupsOf(knex, realmId, userId));
  for (const [table, rows] of held?.tables ?? []) void query.withRecursive(table, rows);
  return query
    .leftJoin(about, (on) => on.on(knex.raw('1 = 1')))
    .select('about.about_kind', 'about.about_name', 'about.about_place', 'about.about_value', 'about.about_id');
}

function parts(knex: Knex, realmId: string, userId: string | Knex.QueryBuilder, { attributes, groups }: Wanted): Knex.QueryBuilder[] {
  const kind = (name: string): Knex.Raw => knex.raw(`'${name}' AS about_kind`);
  const noId = knex.raw('CAST(NULL AS TEXT) AS about_id');
  const ofAttributes = [
    knex('user_attributes')
      .where({ realm_id: realmId })
      .where('user_id', userId)
      .select(kind('attribute'), { about_name: 'name', about_place: 'position', about_value: 'value' }, noId),
    knex('groups')
      .where({ realm_id: realmId })
      .whereIn('id', knex('member_groups').select('id'))
      .whereNot('attributes', '{}')
      .select(kind('inherited'), { about_name: 'path' }, knex.raw('0 AS about_place'), { about_value: 'attributes' }, noId),
  ];
  const ofGroups = knex('user_groups')
    .join('groups', (on) => on.on('groups.realm_id', 'user_groups.realm_id').andOn('groups.id', 'user_groups.group_id'))
    .where('user_groups.realm_id', realmId)
    .where('user_groups.user_id', userId)
    .select(kind('group'), { about_name: 'groups.path' }, knex.raw('0 AS about_place'), { about_value: 'groups.name' }, noId);
  return [...(attributes ? ofAttributes : []), ...(groups ? [ofGroups] : [])];
}

/** What the rows of such a query say. */
export function readAbout(rows: readonly Partial<AboutRecord>[]): About {
  const attributes = new Map<string, string[]>();
  const inherited: { path: string; attributes: Map<string, string[]> }[] = [];
  const groups: { name: string; path: string }[] = [];
  const roles: EffectiveRole[] = [];
  const found = rows.flatMap(({ about_kind: kind, about_name: name = '', about_place: place = 0, about_value: said, about_id: id }) =>
    kind ? [{ kind, name, place, value: said ?? '', id, client: said ?? null }] : [],
  );
  for (const { kind, name, value, id, client } of found.sort((one, other) => one.place - other.place)) {
    if (kind === 'role') roles.push({ id: id ?? '', name, client });
    else if (kind === 'attribute') attributes.set(name, [...(attributes.get(name) ?? []), value]);
    else if (kind === 'group') groups.push({ name: value, path: name });
    else inherited.push({ path: name, attributes: new Map(Object.entries(fromJson(stringLists, value, `the attributes of group ${name}`))) });
  }
  const depth = (path: string): number => path.split('/').length;
  inherited.sort((one, other) => depth(other.path) - depth(one.path) || (one.path < other.path ? -1 : 1));
  groups.sort((one, other) => (one.path < other.path ? -1 : 1));
  return { attributes, inherited: inherited.map((group) => group.attributes), groups, roles };
}
