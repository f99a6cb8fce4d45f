/**
 * Something stored does not open: it was changed or moved, or its key is gone. Whoever meets it is refused; here the realm
 * learns of it. The sign-in records its own, with the user and the step.
 */
import type Koa from 'koa';
import { LRUCache } from 'lru-cache';
import { record } from '../audit/record.ts';
import type { Database } from '../store/database.ts';
import { realmByName } from '../store/realms.ts';
import { routeClass } from '../telemetry/route-class.ts';

/** The same alarm is recorded once in so many milliseconds: every request would meet it. */
const AGAIN_MS = 60_000;

export interface Met {
  /** The realm's name. */
  realm: string;
  /** What it was needed for. */
  what: string;
  ip: string;
  userAgent: string | null;
}
export type Alarm = (met: Met) => Promise<void>;

export function createAlarm({ db, now }: { db: Database; now: () => number }): Alarm {
  const recent = new LRUCache<string, true>({ max: 1_000, ttl: AGAIN_MS });
  return async ({ realm: name, what, ip, userAgent }) => {
    const known = `${name} ${what}`;
    if (recent.has(known)) return;
    recent.set(known, true);
    const realm = await realmByName(db.knex, name);
    if (realm) await record(db.knex, { realmId: realm.id, at: now(), ip, userAgent }, { type: 'crypto.unreadable', details: { what } });
  };
}

/** What a request has met, for the realm that its path names; the installation's own pages are realm master's. */
export function metBy(ctx: Koa.Context): Met | undefined {
  const what = routeClass(ctx.path);
  if (what === 'sign-in') return undefined;
  const [, realm = 'master'] = /^\/(?:admin\/)?realms\/([^/]+)/.exec(ctx.path) ?? [];
  return { realm, what, ip: ctx.ip, userAgent: ctx.get('user-agent') || null };
}
