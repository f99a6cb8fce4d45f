/**
 * Something stored does not open: it was changed or moved, or its key is gone. Whoever meets it is refused; here the realm
 * learns of it. A room that knows more, such as the sign-in with its user and step, records it itself and says so.
 */
import type Koa from 'koa';
import { LRUCache } from 'lru-cache';
import { record } from '../audit/record.ts';
import { isCorrupted } from '../errors.ts';
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

/** Records what does not open, and the same of one realm no more than once in AGAIN_MS: whoever finds one could ask for it all day. */
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

const recorded = new WeakSet<Error>();

/** This error was recorded already, with more than is known here. */
export const alarmIsRecorded = (error: Error): void => void recorded.add(error);

/**
 * What a request has met, for the realm that its path names; the installation's own pages are realm master's. Undefined
 * for other errors, and for one that was recorded already.
 */
export function metBy(ctx: Koa.Context, error: unknown): Met | undefined {
  if (!(error instanceof Error) || !isCorrupted(error) || recorded.has(error)) return undefined;
  const [, realm = 'master'] = /^\/(?:admin\/)?realms\/([^/]+)/.exec(ctx.path) ?? [];
  return { realm, what: routeClass(ctx.path), ip: ctx.ip, userAgent: ctx.get('user-agent') || null };
}
