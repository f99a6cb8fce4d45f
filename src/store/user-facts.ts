/**
 * All that a decision has to know of a user, in one statement: the row, credentials, groups, roles, whether the user
 * administers anything, an exception, sign-ins that put an enrolment off, what the client that asks wants, and what the user
 * and the browser are to each other.
 *
 * Every sign-in, every single sign-on and every page of a console asks for it, so it is one round trip. Rows of several
 * kinds come back, padded to the columns of a credential. What it costs does not grow with what an administrator of many
 * realms may do: the walk down from the user's roles stops at the first that administers.
 */
import type { Knex } from 'knex';
import type { Level } from '../policy/assurance.ts';
import { type CredentialRecord, type CredentialRow, credentialFrom } from './credentials.ts';
import { givenRoles, groupsOf, isGiven, waysTo } from './effective-roles.ts';
import { ofClients, rolesNamed } from './named-roles.ts';
import { storedLevel } from './policies.ts';
import { prepared, rounded } from './prepared.ts';
import { bool, fromJson, stringMap } from './rows.ts';
import { type At, joinSeen, type SeenAt, type SeenRecord, seenFrom } from './seen-devices.ts';
import { RESET_NOTE } from './user-notes.ts';
import type { UserRow } from './users.ts';

export interface UserFactsRow {
  /** All of the user's, oldest first. */
  credentials: CredentialRow[];
  /** Undefined for a user who is not there. */
  user: UserRow | undefined;
  /** Those of the asked-for roles that the user has: a realm role by its name, a client's as `client:role`. */
  roles: string[];
  /** Paths, with those of all groups above. */
  groups: string[];
  /** Somebody who has a role that manages this realm, or in master the installation or any realm. */
  administrator: boolean;
  exception: { id: string; level: Level; until: number; reason: string } | null;
  graceUsed: number;
  /** What the user is to do at the next sign-in, by Keycloak's names, in the order in which it was asked for. */
  requiredActions: string[];
  /** When the password was last set by mail, in milliseconds since the epoch, as it was noted; null for never. */
  resetAt: number | null;
  /** The attributes of the client that was asked for. */
  client: Record<string, string>;
  /** Undefined where no browser was asked about. */
  seen: SeenAt | undefined;
}

export interface AskedOfUser {
  realmId: string;
  /** Whether that is the realm whose administrators manage the installation. */
  isMaster: boolean;
  userId: string;
  /** The roles that matter, as a policy names them. */
  roles: readonly string[];
  clientId?: string | null;
  at?: At | undefined;
}

type Kind = 'credential' | 'user' | 'account' | 'role' | 'group' | 'administrator' | 'exception' | 'grace' | 'reset' | 'client' | 'action';
type Columns = Omit<CredentialRecord, 'realm_id' | 'user_id'>;

/** For a user who is not there it does the same work, and finds nothing. */
export async function userFactsRow(knex: Knex, asked: AskedOfUser, now: number): Promise<UserFactsRow> {
  const rows: (Columns & { kind: Kind } & SeenRecord)[] = await askFacts(knex, asked, now);
  // A browser with several devices of a user brings each row as often.
  const [{ device_id: one } = { device_id: null }] = rows;
  const each = rows.filter((row) => (row.device_id ?? null) === (one ?? null));
  const of = (kind: Kind): Columns[] => each.filter((row) => row.kind === kind);
  const [user] = of('user');
  const [account] = of('account');
  const [exception] = of('exception');
  const [client] = of('client');
  return {
    credentials: of('credential')
      .map((row) => credentialFrom({ ...row, realm_id: asked.realmId, user_id: asked.userId }))
      .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1)),
    user: user && account && userFrom(asked, user, account),
    roles: of('role').map(({ label, lookup }) => (lookup === null ? label : `${lookup}:${label}`)),
    groups: of('group').map((row) => row.label),
    administrator: of('administrator').length > 0,
    exception: exception
      ? {
          id: exception.id,
          level: storedLevel(exception.level ?? '', `exception ${exception.id}`),
          until: exception.created_at,
          reason: exception.label,
        }
      : null,
    graceUsed: of('grace')[0]?.counter ?? 0,
    requiredActions: of('action')
      .sort((a, b) => a.created_at - b.created_at || (a.label < b.label ? -1 : 1))
      .map(({ label }) => label),
    resetAt: of('reset')[0]?.created_at ?? null,
    client: client ? fromJson(stringMap, client.label, `client ${asked.clientId}`) : {},
    seen: asked.at && seenFrom(rows),
  };
}

/** A user has more columns than a credential, and comes in two rows. */
const userFrom = ({ realmId, userId }: AskedOfUser, user: Columns, account: Columns): UserRow => ({
  ...{ realmId, id: userId, username: user.label, email: user.lookup, emailVerified: bool(user.enabled) },
  ...{ firstName: user.factor, lastName: user.secret, serviceAccountOf: user.level, notBefore: user.created_at },
  ...{ enabled: bool(account.enabled), createdAt: account.created_at, updatedAt: account.last_used_at ?? 0 },
});

/** The columns of a credential, in their order. */
const COLUMNS: readonly (keyof Columns)[] = [
  'id',
  'factor',
  'label',
  'secret',
  'counter',
  'enabled',
  'level',
  'lookup',
  'created_at',
  'last_used_at',
];

/** What changes the text of the statement: how many things are asked about, and not which. */
interface Shape {
  isMaster: boolean;
  roles: number;
  pairs: number;
  client: boolean;
  /** Undefined where no browser is asked about. */
  devices: number | undefined;
}

type Mark =
  | 'realmId'
  | 'userId'
  | 'clientId'
  | 'now'
  | 'browser'
  | 'network'
  | `role${number}`
  | `client${number}`
  | `clientRole${number}`
  | `device${number}`;

const factsOf = prepared<Mark, Columns & { kind: Kind } & SeenRecord, Shape>((knex, marks, { isMaster, roles, pairs, client, devices }) => {
  const times = <T>(count: number, one: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => one(index));
  const asked = {
    ...{ realmId: marks.realmId, userId: marks.userId, isMaster, clientId: client ? marks.clientId : null },
    roles: times(roles, (index) => marks[`role${index}`] ?? ''),
    pairs: times(pairs, (index) => [marks[`client${index}`] ?? '', marks[`clientRole${index}`] ?? '']),
  };
  const facts = statement(knex, asked, marks.now);
  if (devices === undefined) return facts;
  return atBrowser(knex, facts, asked, {
    browser: marks.browser,
    network: marks.network,
    ids: times(devices, (index) => marks[`device${index}`] ?? ''),
  });
});

function askFacts(knex: Knex, { realmId, isMaster, userId, clientId, at, ...asked }: AskedOfUser, now: number) {
  const roles = rounded(asked.roles);
  const pairs = rounded(ofClients(asked.roles));
  const ids = rounded(at?.ids ?? []);
  const values = {
    // What nobody has finds nothing.
    ...{ realmId, userId, now, clientId: clientId ?? '', browser: at?.browser ?? '', network: at?.network ?? '' },
    ...Object.fromEntries<string>([
      ...roles.map((name, index): [string, string] => [`role${index}`, name]),
      ...pairs.flatMap(([client = '', role = ''], index): [string, string][] => [
        [`client${index}`, client],
        [`clientRole${index}`, role],
      ]),
      ...ids.map((id, index): [string, string] => [`device${index}`, id]),
    ]),
  };
  const devices = at && ids.length;
  return factsOf(knex, values, { isMaster, roles: roles.length, pairs: pairs.length, client: Boolean(clientId), devices });
}

/** Each row beside what the browser is to the user. */
function atBrowser(knex: Knex, facts: Knex.QueryBuilder, { realmId, userId }: Marked, at: At): Knex.QueryBuilder {
  const query = knex
    .from(facts.as('found'))
    .leftJoin('users', (on) => on.onVal('users.realm_id', realmId).andOnVal('users.id', userId))
    .select(['kind', ...COLUMNS].map((column) => `found.${column}`));
  return joinSeen(knex, query, { realmId, userId, ...at });
}

/** What is asked, with marks where values stand. */
interface Marked extends Required<Pick<AskedOfUser, 'realmId' | 'isMaster' | 'userId' | 'roles'>> {
  pairs: readonly string[][];
  clientId: string | null;
}

function statement(knex: Knex, asked: Marked, now: string): Knex.QueryBuilder {
  const { realmId, userId, roles, pairs, clientId } = asked;
  const of = { realm_id: realmId, user_id: userId };
  /** A row of another kind: what it has stands in a credential's columns. */
  const padded = (kind: Kind, has: Partial<Record<keyof Columns, string>>): Knex.Raw[] => [
    knex.raw(`'${kind}' as kind`),
    ...COLUMNS.map((column) => (has[column] === undefined ? knex.raw('null as ??', [column]) : knex.raw('?? as ??', [has[column], column]))),
  ];
  const query = knex('credentials')
    .withRecursive('member_groups', groupsOf(knex, realmId, userId))
    .withRecursive('walked', walkedRoles(knex, asked))
    .where(of)
    .select(padded('credential', Object.fromEntries(COLUMNS.map((column) => [column, column]))))
    .unionAll([
      knex('users')
        .where({ realm_id: realmId, id: userId })
        .select(
          padded('user', {
            ...{ label: 'username_shown', lookup: 'email_shown', enabled: 'email_verified', created_at: 'not_before' },
            ...{ factor: 'first_name', secret: 'last_name', level: 'service_account_of' },
          }),
        ),
      knex('users')
        .where({ realm_id: realmId, id: userId })
        .select(padded('account', { enabled: 'enabled', created_at: 'created_at', last_used_at: 'updated_at' })),
      knex('groups')
        .where('realm_id', realmId)
        .whereIn('id', knex('member_groups').select('id'))
        .select(padded('group', { label: 'path' })),
      knex('users')
        .where({ realm_id: realmId, id: userId })
        .whereExists(knex('walked').where('administers', 1).select('id'))
        .select(padded('administrator', {})),
      knex('mfa_exceptions')
        .where(of)
        .where('until', '>', now)
        .select(padded('exception', { id: 'id', label: 'reason', level: 'level', created_at: 'until' })),
      knex('required_actions')
        .where(of)
        .select(padded('action', { label: 'action', created_at: 'created_at' })),
      knex('mfa_grace')
        .where(of)
        .select(padded('grace', { counter: 'used' })),
      knex('user_notes')
        .where({ ...of, name: RESET_NOTE })
        .select(padded('reset', { created_at: 'updated_at' })),
    ]);
  if (clientId) {
    void query.unionAll(
      knex('clients')
        .where({ realm_id: realmId, client_id: clientId })
        .select(padded('client', { label: 'attributes' })),
    );
  }
  if (roles.length === 0) return query;
  return query.withRecursive('ways', waysTo(knex, realmId, 'ways', rolesNamed(knex, realmId, roles, pairs))).unionAll(
    knex('roles')
      .leftJoin('clients', (on) => on.on('clients.realm_id', 'roles.realm_id').andOn('clients.id', 'roles.client_id'))
      .where('roles.realm_id', realmId)
      .whereIn(
        'roles.id',
        knex('ways')
          .where(isGiven(knex, realmId, userId, 'ways.holder_id'))
          .select('ways.id'),
      )
      .select(padded('role', { label: 'roles.name', lookup: 'clients.client_id' })),
  );
}

/** The user's roles and what they contain, but nothing below one that administers: there may be very much. */
function walkedRoles(knex: Knex, { realmId, isMaster, userId }: Marked): Knex.QueryBuilder {
  const { sql, bindings } = administers(isMaster);
  const withClient = (roles: Knex.QueryBuilder): Knex.QueryBuilder =>
    roles
      .leftJoin('clients', (on) => on.on('clients.realm_id', 'roles.realm_id').andOn('clients.id', 'roles.client_id'))
      .where('roles.realm_id', realmId)
      .select({ id: 'roles.id' }, knex.raw(`case when ${sql} then 1 else 0 end as administers`, bindings));
  const given = withClient(knex('roles').whereIn('roles.id', knex.from(givenRoles(knex, realmId, userId).as('given')).select('given.id')));
  const contained = withClient(
    knex('walked')
      .join('role_composites', 'role_composites.role_id', 'walked.id')
      .where('role_composites.realm_id', realmId)
      .where('walked.administers', 0)
      .join('roles', 'roles.id', 'role_composites.child_id'),
  );
  return given.union(contained);
}

/** The roles of those who manage this realm; in master also of whoever manages the installation, makes realms, or manages one. */
function administers(isMaster: boolean): { sql: string; bindings: string[] } {
  const here = "clients.client_id = 'realm-management'";
  if (!isMaster) return { sql: here, bindings: [] };
  return {
    sql: `${here} or clients.client_id like ? or (roles.client_id is null and roles.name in (?, ?))`,
    bindings: ['%-realm', 'admin', 'create-realm'],
  };
}
