/** How sessions end: with their grants, with what their applications are told, and by themselves. */
import type { Knex } from 'knex';
import { ENDS_OFFLINE, insertNotices, LISTENS, type Place, releaseNotices } from './logout-notices.ts';
import { bool, fromJson, stringMap } from './rows.ts';
import { type SessionRecord, type SessionRow, sessionFromRecord } from './sessions.ts';

/** What ended with sessions. */
export interface Ended {
  ids: string[];
  /** Grants that end with their session. */
  grants: string[];
  /** Grants of offline tokens, of clients whose offline tokens end with the session all the same. */
  offlineGrants: string[];
}

/** Ends sessions, and notes for each of their clients that listens that it is to be told; sessions already ended are passed over. */
export async function endSessions(
  trx: Knex.Transaction,
  realmId: string,
  which: { id?: string; uid?: string; userId?: string; butUid?: string },
  now: number,
): Promise<Ended> {
  const query = trx('sessions').where({ realm_id: realmId }).whereNull('ended_at');
  if (which.id !== undefined) query.where({ id: which.id });
  if (which.uid !== undefined) query.where({ uid: which.uid });
  if (which.userId !== undefined) query.where({ user_id: which.userId });
  if (which.butUid !== undefined) query.whereNot({ uid: which.butUid });
  const ended: { id: string; user_id: string }[] = await query.update({ ended_at: now, look_at: null }).returning(['id', 'user_id']);
  const ids = ended.map((row) => row.id);
  if (ids.length === 0) return { ids, grants: [], offlineGrants: [] };
  await releaseNotices(trx, realmId, ids, now);
  const users = new Map(ended.map(({ id, user_id }) => [id, user_id]));
  const places = await placesIn(trx, realmId, ids);
  const told = places.filter(({ listens }) => listens).map((place) => ({ ...place, userId: users.get(place.sessionId) ?? '' }));
  await insertNotices(trx, realmId, told, { state: 'waiting', dueAt: now });
  const grantsWhere = (ends: (place: EndedPlace) => boolean): string[] => places.flatMap((place) => (ends(place) ? (place.grantId ?? []) : []));
  return { ids, grants: grantsWhere(({ offline }) => !offline), offlineGrants: grantsWhere(({ offline, endsOffline }) => offline && endsOffline) };
}

interface EndedPlace extends Omit<Place, 'userId'> {
  grantId: string | null;
  offline: boolean;
  /** The client is told of the end. */
  listens: boolean;
  endsOffline: boolean;
}

async function placesIn(trx: Knex, realmId: string, sessionIds: readonly string[]): Promise<EndedPlace[]> {
  const rows: {
    client_id: string;
    session_id: string;
    sid: string;
    grant_id: string | null;
    offline: boolean | number;
    attributes: string | null;
  }[] = await trx('session_clients')
    .join('clients', (on) => on.on('clients.realm_id', 'session_clients.realm_id').andOn('clients.id', 'session_clients.client_id'))
    .where('session_clients.realm_id', realmId)
    .whereIn('session_clients.session_id', [...sessionIds])
    .select('session_clients.client_id', 'session_clients.session_id', 'session_clients.sid', 'session_clients.grant_id')
    .select('session_clients.offline', { attributes: trx.raw(`CASE WHEN ${LISTENS} THEN clients.attributes END`) });
  return rows.map((row) => ({
    clientRowId: row.client_id,
    sessionId: row.session_id,
    sid: row.sid,
    grantId: row.grant_id,
    offline: bool(row.offline),
    listens: row.attributes !== null,
    endsOffline: row.attributes !== null && fromJson(stringMap, row.attributes, `client ${row.client_id}`)[ENDS_OFFLINE] === 'true',
  }));
}

/** Has somebody look at a session at `at`, unless it is looked at already. */
export async function watchSession(knex: Knex, realmId: string, id: string, at: number): Promise<void> {
  await knex('sessions').where({ realm_id: realmId, id }).whereNull('ended_at').whereNull('look_at').update({ look_at: at });
}

/** A session, and since when it is time to look at it; milliseconds since the epoch. */
export interface WatchedSession extends SessionRow {
  lookAt: number;
}

/** Sessions that it is time to look at, the longest due first. */
export async function sessionsToLookAt(knex: Knex, now: number, limit: number): Promise<WatchedSession[]> {
  const rows: (SessionRecord & { look_at: number })[] = await knex('sessions')
    .whereNotNull('look_at')
    .where('look_at', '<=', now)
    .orderBy('look_at')
    .limit(limit);
  return rows.map((row) => ({ ...sessionFromRecord(row), lookAt: row.look_at }));
}

/** Has it looked at again, unless somebody has said meanwhile when that is to be. */
export async function lookAgain(knex: Knex, { realmId, id, lookAt }: WatchedSession, at: number): Promise<void> {
  await knex('sessions').where({ realm_id: realmId, id, look_at: lookAt }).whereNull('ended_at').update({ look_at: at });
}
