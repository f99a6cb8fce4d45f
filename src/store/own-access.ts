/** Where one user is signed in and which applications have access, as the user sees it. */
import type { Knex } from 'knex';
import { fromJson, stringMap } from './rows.ts';
import { type Alive, consentsOfUser, standing } from './session-lists.ts';
import { type SessionRecord, type SessionRow, sessionFromRecord } from './sessions.ts';

/** What an application is called. */
const NAME = 'COALESCE(clients.name, clients.client_id)';

/** One page of a user's sessions that stand, the one used last first, with the names of the applications that each is at. */
export async function ownSessions(
  knex: Knex,
  { realmId, userId }: { realmId: string; userId: string },
  alive: Alive,
  page: { but: string; first: number; max: number },
): Promise<{ sessions: SessionRow[]; isLast: boolean }> {
  const rows: SessionRecord[] = await standing(knex, realmId, alive)
    .where('sessions.user_id', userId)
    .whereNot('sessions.id', page.but)
    .orderBy([{ column: 'sessions.last_seen_at', order: 'desc' }, 'sessions.id'])
    .offset(page.first)
    .limit(page.max + 1)
    .select('sessions.*');
  return { sessions: rows.slice(0, page.max).map(sessionFromRecord), isLast: rows.length <= page.max };
}

/** How many of a user's sessions stand. */
export async function countOwnSessions(knex: Knex, { realmId, userId }: { realmId: string; userId: string }, alive: Alive): Promise<number> {
  const row = await standing(knex, realmId, alive).where('sessions.user_id', userId).count({ n: '*' }).first();
  return Number(row?.n ?? 0);
}

/** Names of the applications that sessions are at, by session. */
export async function applicationsAt(knex: Knex, realmId: string, sessionIds: readonly string[]): Promise<Map<string, string[]>> {
  const rows: { session_id: string; name: string }[] = await ofClients(knex, realmId)
    .whereIn('session_clients.session_id', [...sessionIds])
    .orderBy('name')
    .select('session_clients.session_id', { name: knex.raw(NAME) });
  const named = Map.groupBy(rows, ({ session_id }) => session_id);
  return new Map([...named].map(([id, mine]) => [id, mine.map(({ name }) => name)]));
}

/** The access that an application has while its user is away. */
export interface OfflineAccess {
  /** When it first got it, and when it used it last. */
  since: number;
  usedAt: number;
}

/** An application that has something of a user's. */
export interface ApplicationAccess {
  clientRowId: string;
  clientId: string;
  name: string;
  baseUrl: string | null;
  attributes: Record<string, string>;
  /** In how many sessions that stand the user is signed in to it. */
  sessions: number;
  offline: OfflineAccess | null;
  /** What the user allowed; null for one that nobody is asked about. */
  consent: { scopes: string[]; createdAt: number; updatedAt: number } | null;
}

/**
 * The applications that a user is signed in to, that have access while the user is away, or that the user allowed something.
 *
 * @param offlineSince offline tokens that were last used before are worth nothing any more
 */
export async function applicationsOf(
  knex: Knex,
  { realmId, userId }: { realmId: string; userId: string },
  alive: Alive,
  offlineSince: number,
): Promise<ApplicationAccess[]> {
  const live: { id: string; n: number | string }[] = await ofClients(knex, realmId)
    .whereIn('session_clients.session_id', standing(knex, realmId, alive).where('sessions.user_id', userId).select('sessions.id'))
    .groupBy('clients.id')
    .select('clients.id')
    .count({ n: '*' });
  const offline: { id: string; since: number; used_at: number }[] = await ofClients(knex, realmId)
    .join('oidc_payloads', (on) =>
      on
        .on('oidc_payloads.realm_id', 'session_clients.realm_id')
        .andOn('oidc_payloads.grant_id', 'session_clients.grant_id')
        .andOnVal('oidc_payloads.model', 'Grant'),
    )
    .whereIn('session_clients.session_id', knex('sessions').where({ realm_id: realmId, user_id: userId }).select('id'))
    .where('session_clients.offline', true)
    .where('session_clients.used_at', '>', offlineSince)
    .where('oidc_payloads.expires_at', '>', alive.now)
    .groupBy('clients.id')
    .select('clients.id')
    .min({ since: 'session_clients.created_at' })
    .max({ used_at: 'session_clients.used_at' });
  const consents = await consentsOfUser(knex, realmId, userId);
  const ids = [...new Set([...live.map(({ id }) => id), ...offline.map(({ id }) => id), ...consents.map(({ clientRowId }) => clientRowId)])];
  const clients: { id: string; client_id: string; name: string; base_url: string | null; attributes: string }[] = await knex('clients')
    .where('clients.realm_id', realmId)
    .whereIn('clients.id', ids)
    .orderBy('name')
    .select('clients.id', 'clients.client_id', 'clients.base_url', 'clients.attributes', { name: knex.raw(NAME) });
  return clients.map((client) => {
    const away = offline.find(({ id }) => id === client.id);
    const allowed = consents.find(({ clientRowId }) => clientRowId === client.id);
    return {
      clientRowId: client.id,
      clientId: client.client_id,
      name: client.name,
      baseUrl: client.base_url,
      attributes: fromJson(stringMap, client.attributes, `client ${client.client_id}`),
      sessions: Number(live.find(({ id }) => id === client.id)?.n ?? 0),
      offline: away ? { since: Number(away.since), usedAt: Number(away.used_at) } : null,
      consent: allowed ? { scopes: allowed.scopes, createdAt: allowed.createdAt, updatedAt: allowed.updatedAt } : null,
    };
  });
}

const ofClients = (knex: Knex, realmId: string) =>
  knex('session_clients')
    .join('clients', (on) => on.on('clients.realm_id', 'session_clients.realm_id').andOn('clients.id', 'session_clients.client_id'))
    .where('session_clients.realm_id', realmId);
