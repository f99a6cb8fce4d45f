/** Our session behind a session of the library's, while it is alive; read once a request. */
import type { IncomingMessage } from 'node:http';
import { impersonationStands } from '../sessions/impersonation.ts';
import { isAlive } from '../sessions/lifetimes.ts';
import { liveSessionByUid, type SessionRow } from '../store/sessions.ts';
import type { RealmRoom } from './room.ts';
import { requestCache } from './storage/request-cache.ts';

/** The session of that `uid` if it stands and is that user's, read once a request. */
export async function liveSession(room: RealmRoom, uid: string, userId: string, req?: IncomingMessage): Promise<SessionRow | undefined> {
  const cache = requestCache(req);
  if (cache.session?.uid === uid && (cache.session.row === undefined || cache.session.row.userId === userId)) return cache.session.row;
  const row = await liveSessionByUid(room.db.knex, room.context.realm.id, uid, userId, room.now());
  if (row) return rememberSession(room, row, req);
  cache.session = { uid, row: undefined };
  return undefined;
}

/** Keeps a session that was read and has not ended, for the rest of the request, if it stands. */
export async function rememberSession(room: RealmRoom, row: SessionRow, req?: IncomingMessage): Promise<SessionRow | undefined> {
  const { realm } = room.context;
  const now = room.now();
  const stands = isAlive(row, realm.settings, now) && (await impersonationStands(room.db, realm, row, now));
  requestCache(req).session = { uid: row.uid, row: stands ? row : undefined };
  return stands ? row : undefined;
}
