/** Sessions as lists show them: of a user, with the applications that they are at; and what users allowed, by application. */
import type { Knex } from 'knex';
import { fromJson, stringList } from './rows.ts';
import { factsFromRecord, type Impersonator } from './sessions.ts';

export interface ListedSession {
  id: string;
  userId: string;
  username: string;
  ip: string | null;
  userAgent: string | null;
  createdAt: number;
  lastSeenAt: number;
  remember: boolean;
  /** Who acts as the user in it; null in one of the user's own. */
  impersonator: Impersonator | null;
  /** client_ids by the clients' row ids. */
  clients: Record<string, string>;
}

interface Since {
  /** Sessions that were last seen before are idle. */
  seenSince: number;
  /** Those that began before have lasted long enough. */
  begunSince: number;
}

export interface Alive extends Since {
  now: number;
  /** The same for those that outlive their browser. */
  remembered: Since;
}

const MOST = 1000;

/** A user's sessions that still stand, newest first. */
export async function sessionsOfUser(knex: Knex, realmId: string, userId: string, alive: Alive): Promise<ListedSession[]> {
  return withClients(knex, realmId, standing(knex, realmId, alive).where('sessions.user_id', userId), false);
}

/** The sessions of a realm that still stand, newest first, one page: those behind the session `after`. */
export async function sessionsOfRealm(
  knex: Knex,
  realmId: string,
  alive: Alive,
  after: { createdAt: number; id: string } | undefined,
): Promise<{ sessions: ListedSession[]; isLast: boolean }> {
  const page = standing(knex, realmId, alive);
  if (after)
    void page.where((behind) =>
      behind
        .where('sessions.created_at', '<', after.createdAt)
        .orWhere((same) => same.where('sessions.created_at', after.createdAt).where('sessions.id', '>', after.id)),
    );
  const sessions = await withClients(knex, realmId, page, false);
  return { sessions, isLast: sessions.length < MOST };
}

/** Sessions of a user with an offline token for a client, alive or not: the token outlives its session. */
export async function offlineSessionsOfUser(knex: Knex, realmId: string, userId: string, clientRowId: string): Promise<ListedSession[]> {
  const sessions = knex('sessions')
    .where({ 'sessions.realm_id': realmId, 'sessions.user_id': userId })
    .whereIn('sessions.id', knex('session_clients').where({ realm_id: realmId, client_id: clientRowId, offline: true }).select('session_id'));
  return withClients(knex, realmId, sessions, true);
}

export function standing(knex: Knex, realmId: string, { now, remembered, ...others }: Alive) {
  return knex('sessions')
    .where('sessions.realm_id', realmId)
    .whereNull('sessions.ended_at')
    .where('sessions.ends_at', '>', now)
    .where((either) => either.where(lastsStill(false, others)).orWhere(lastsStill(true, remembered)))
    .whereNotExists((users) =>
      users
        .select('users.id')
        .from('users')
        .whereRaw('users.realm_id = sessions.realm_id AND users.id = sessions.user_id AND users.not_before > sessions.created_at'),
    );
}

const lastsStill =
  (remember: boolean, { seenSince, begunSince }: Since) =>
  (query: Knex.QueryBuilder): void => {
    void query.where('sessions.remember', remember).where('sessions.last_seen_at', '>', seenSince).where('sessions.created_at', '>', begunSince);
  };

interface SessionRecord {
  id: string;
  user_id: string;
  username: string;
  ip: string | null;
  user_agent: string | null;
  created_at: number;
  last_seen_at: number;
  used_at: number | null;
  remember: boolean | number;
  facts: string | null;
  client_row: string | null;
  client_id: string | null;
}

/** One query for the sessions and their applications. */
export async function withClients(
  knex: Knex,
  realmId: string,
  sessions: Knex.QueryBuilder,
  offline: boolean,
  place = { first: 0, max: MOST },
): Promise<ListedSession[]> {
  const page = sessions
    .select('sessions.*')
    .orderBy([{ column: 'sessions.created_at', order: 'desc' }, 'sessions.id'])
    .limit(place.max)
    .offset(place.first);
  const rows: SessionRecord[] = await knex
    .from(page.as('listed'))
    .join('users', (on) => on.on('users.realm_id', 'listed.realm_id').andOn('users.id', 'listed.user_id'))
    .leftJoin('session_clients', (on) =>
      on
        .on('session_clients.realm_id', 'listed.realm_id')
        .andOn('session_clients.session_id', 'listed.id')
        .andOnVal('session_clients.offline', offline),
    )
    .leftJoin('clients', (on) => on.on('clients.realm_id', 'session_clients.realm_id').andOn('clients.id', 'session_clients.client_id'))
    .where('listed.realm_id', realmId)
    .orderBy([{ column: 'listed.created_at', order: 'desc' }, 'listed.id', 'clients.client_id'])
    .select(
      'listed.id',
      'listed.user_id',
      'listed.ip',
      'listed.user_agent',
      'listed.created_at',
      'listed.last_seen_at',
      'listed.remember',
      'listed.facts',
      'session_clients.used_at',
      {
        username: 'users.username_shown',
        client_row: 'clients.id',
        client_id: 'clients.client_id',
      },
    );
  return [...Map.groupBy(rows, ({ id }) => id).values()].flatMap((mine) => {
    const [row] = mine;
    if (!row) return [];
    return [
      {
        id: row.id,
        userId: row.user_id,
        username: row.username,
        ip: row.ip,
        userAgent: row.user_agent,
        createdAt: row.created_at,
        lastSeenAt: Math.max(row.last_seen_at, ...mine.map(({ used_at }) => used_at ?? 0)),
        remember: row.remember === true || row.remember === 1,
        impersonator: factsFromRecord(row).impersonator ?? null,
        clients: Object.fromEntries(
          mine.flatMap(({ client_row, client_id }) => (client_row === null || client_id === null ? [] : [[client_row, client_id]])),
        ),
      },
    ];
  });
}

/** How many sessions that still stand, and how many offline tokens, each application has; those that have none are missing. */
export async function sessionsByClient(
  knex: Knex,
  realmId: string,
  alive: Alive,
): Promise<{ id: string; clientId: string; active: number; offline: number }[]> {
  const active = standing(knex, realmId, alive).select('sessions.id');
  const rows: { id: string; client_id: string; active: number | string; offline: number | string }[] = await knex('session_clients')
    .join('clients', (on) => on.on('clients.realm_id', 'session_clients.realm_id').andOn('clients.id', 'session_clients.client_id'))
    .leftJoin(active.as('alive'), 'alive.id', 'session_clients.session_id')
    .where('session_clients.realm_id', realmId)
    .groupBy('clients.id', 'clients.client_id')
    .orderBy('clients.client_id')
    .select('clients.id', 'clients.client_id', {
      active: knex.raw('COUNT(alive.id)'),
      offline: knex.raw('SUM(CASE WHEN session_clients.offline = ? THEN 1 ELSE 0 END)', [true]),
    });
  return rows
    .map((row) => ({ id: row.id, clientId: row.client_id, active: Number(row.active), offline: Number(row.offline) }))
    .filter(({ active: some, offline }) => some + offline > 0);
}

/** Ids of sessions of a realm that were not ended, a batch of them. */
export async function someOpenSessions(knex: Knex, realmId: string, limit: number): Promise<string[]> {
  return knex('sessions').where({ realm_id: realmId }).whereNull('ended_at').limit(limit).pluck('id');
}

/** The grants of offline tokens: of one session, or of a user, at one client or at all. */
export async function offlineGrants(
  knex: Knex,
  realmId: string,
  of: { sessionId: string } | { userId: string; clientRowId?: string },
): Promise<string[]> {
  const query = knex('session_clients').where({ 'session_clients.realm_id': realmId, 'session_clients.offline': true }).whereNotNull('grant_id');
  if ('sessionId' in of) query.where('session_clients.session_id', of.sessionId);
  else {
    if (of.clientRowId !== undefined) query.where('session_clients.client_id', of.clientRowId);
    query.whereIn('session_clients.session_id', knex('sessions').where({ realm_id: realmId, user_id: of.userId }).select('id'));
  }
  return query.pluck('grant_id');
}

/** Every grant of a user at one client. */
export async function grantsAt(knex: Knex, realmId: string, userId: string, clientRowId: string): Promise<string[]> {
  return knex('session_clients')
    .where({ realm_id: realmId, client_id: clientRowId })
    .whereIn('session_id', knex('sessions').where({ realm_id: realmId, user_id: userId }).select('id'))
    .whereNotNull('grant_id')
    .pluck('grant_id');
}

export interface ListedConsent {
  clientRowId: string;
  clientId: string;
  scopes: string[];
  createdAt: number;
  updatedAt: number;
}

/** What a user allowed, by client_id. */
export async function consentsOfUser(knex: Knex, realmId: string, userId: string): Promise<ListedConsent[]> {
  const rows = await knex('consents')
    .join('clients', (on) => on.on('clients.realm_id', 'consents.realm_id').andOn('clients.id', 'consents.client_id'))
    .where({ 'consents.realm_id': realmId, 'consents.user_id': userId })
    .orderBy('clients.client_id')
    .limit(MOST)
    .select('consents.scopes', 'consents.created_at', 'consents.updated_at', { client_row: 'clients.id', client_id: 'clients.client_id' });
  return rows.map((row) => ({
    clientRowId: row.client_row,
    clientId: row.client_id,
    scopes: fromJson(stringList, row.scopes, 'a consent'),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }));
}

/** False when there was none. */
export async function deleteConsent(trx: Knex, realmId: string, userId: string, clientRowId: string): Promise<boolean> {
  return (await trx('consents').where({ realm_id: realmId, user_id: userId, client_id: clientRowId }).delete()) === 1;
}
