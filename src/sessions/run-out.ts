/**
 * Sessions that ran out. Nobody has to end such a session: it is refused whenever it is used. But applications that listen for
 * the end of theirs are told of this one too, so the sessions that these are in are looked at when they may have run out.
 */
import type { RealmSettings } from '../realms/settings.ts';
import type { Database } from '../store/database.ts';
import { realmById } from '../store/realms.ts';
import { lookAgain, sessionsToLookAt } from '../store/session-endings.ts';
import type { SessionRow } from '../store/sessions.ts';
import { endOf, isAlive, lifetimeOf } from './lifetimes.ts';
import { endSessionsOf } from './sessions.ts';

const MINUTE = 60_000;
/** A session that is in use is not looked at all the time. */
const SOONEST_MS = 5 * MINUTE;
/** And one whose end is far off still is: its realm may shorten the lives of sessions meanwhile. */
const LATEST_MS = 6 * 60 * MINUTE;

/** When a session that has just got its first application that listens is looked at. */
export const firstLook = (now: number): number => now + SOONEST_MS;

function nextLook(session: SessionRow, settings: RealmSettings, now: number): number {
  const mayEnd = Math.min(endOf(session, settings), session.lastSeenAt + lifetimeOf(settings, session).idle);
  return Math.min(Math.max(mayEnd, now + SOONEST_MS), now + LATEST_MS);
}

/** Ends the sessions that ran out and have applications to be told; answers how many. Several processes may do so at once. */
export async function endRunOut(db: Database, now: number, batch = 100): Promise<number> {
  for (let ended = 0; ; ) {
    const rows = await sessionsToLookAt(db.knex, now, batch);
    const realmIds = [...new Set(rows.map(({ realmId }) => realmId))];
    const realms = new Map(await Promise.all(realmIds.map(async (id) => [id, await realmById(db.knex, id)] as const)));
    for (const row of rows) {
      const settings = realms.get(row.realmId)?.settings;
      if (!settings) continue;
      if (isAlive(row, settings, now)) await lookAgain(db.knex, row, nextLook(row, settings, now));
      else ended += await endSessionsOf(db, row.realmId, { id: row.id }, now);
    }
    if (rows.length < batch) return ended;
  }
}
