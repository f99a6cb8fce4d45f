/**
 * Sessions are ours: what was proved, when, and until when it holds. oidc-provider keeps a session of its own for its
 * cookie; ours decides whether that one still stands for anybody.
 *
 * Every ending of a session goes through `endSessionsOf`, which also has its applications told. One that runs out ends when it
 * is used again, or, where applications listen for its end, when somebody looks (run-out.ts).
 */
import { randomUUID } from 'node:crypto';
import type { Proof } from '../policy/assurance.ts';
import { freshProofs } from '../policy/decide.ts';
import type { RealmSettings } from '../realms/settings.ts';
import type { Database } from '../store/database.ts';
import { deleteGrants } from '../store/oidc-payloads.ts';
import type { Queries, Transaction } from '../store/rows.ts';
import { endSessions } from '../store/session-endings.ts';
import { insertSession, liveSessionByUid, raiseSession, type SessionFacts, type SessionRow, touchSession } from '../store/sessions.ts';
import { isAlive, isRemembered, lifetimeOf, notedEvery } from './lifetimes.ts';

/** The newest proof of each credential: a session does not grow with every step-up. */
function mergeProofs(before: readonly Proof[], added: readonly Proof[]): Proof[] {
  const newest = new Map<string, Proof>();
  for (const proof of [...before, ...added]) {
    const known = newest.get(proof.credentialId);
    if (!known || known.at <= proof.at) newest.set(proof.credentialId, proof);
  }
  return [...newest.values()];
}

/**
 * Begins a session with what a finished sign-in proved, or raises the one that the browser has already. Undefined, and
 * nothing begun, when the sign-in was claimed before: of many that come back with it at once, one gets a session. The same
 * when the session that it would raise is ended in this moment.
 */
export async function establishSession(
  db: Database,
  signIn: {
    realmId: string;
    settings: RealmSettings;
    uid: string;
    /** The browser brought no session with it: there is none to raise or to end. */
    isNew: boolean;
    /** The session that the request has found alive: if it is to raise any, then this one. */
    found: string | undefined;
    userId: string;
    proofs: Proof[];
    facts: SessionFacts;
    remember: boolean;
    ip: string | null;
    userAgent: string | null;
    now: number;
    /** Claims the sign-in for the session of this id, once. */
    claim: (trx: Queries, sessionId: string) => Promise<boolean>;
  },
): Promise<SessionRow | undefined> {
  const { realmId, settings, uid, userId, now } = signIn;
  // The box may be sent by whoever likes; the realm decides.
  const remember = isRemembered(signIn, settings);
  return db.transaction(async (trx) => {
    const live = signIn.isNew ? undefined : await liveSessionByUid(trx, realmId, uid, userId, now);
    // Ended since the request came: what was to be raised is not begun anew.
    if (signIn.found !== undefined && live?.id !== signIn.found) return undefined;
    const isRaised = live !== undefined && mayRaise(live, settings, now);
    const id = isRaised ? live.id : randomUUID();
    if (!(await signIn.claim(trx, id))) return undefined;
    if (isRaised) return raise(trx, live, { ...signIn, remember });
    // One that ran out was never marked as ended.
    if (!signIn.isNew) {
      const { grants, offlineGrants } = await endSessions(trx, realmId, { uid, userId }, now);
      await deleteGrants(trx, realmId, live?.facts.impersonator ? [...grants, ...offlineGrants] : offlineGrants);
    }
    const session: SessionRow = {
      realmId,
      id,
      uid,
      userId,
      proofs: mergeProofs([], signIn.proofs),
      facts: signIn.facts,
      remember,
      ip: signIn.ip,
      userAgent: signIn.userAgent?.slice(0, 300) ?? null,
      createdAt: now,
      lastSeenAt: now,
      endsAt: now + lifetimeOf(settings, { remember }).longest,
      endedAt: null,
    };
    await insertSession(trx, session);
    return session;
  });
}

/** Adds what a sign-in proved to the session that there is; undefined when that was ended meanwhile. */
async function raise(
  trx: Transaction,
  live: SessionRow,
  signIn: { proofs: Proof[]; facts: SessionFacts; remember: boolean; settings: RealmSettings; now: number },
): Promise<SessionRow | undefined> {
  const { settings, remember, now } = signIn;
  // What idleness has made stale stays stale: activity now must not revive it.
  const proofs = mergeProofs(freshProofs(live.proofs, now, live.lastSeenAt), signIn.proofs);
  const facts = { skipped: live.facts.skipped || signIn.facts.skipped };
  const raised = { proofs, facts, ...stays(live, remember, settings) };
  return (await raiseSession(trx, live, raised, now)) ? { ...live, ...raised, lastSeenAt: now } : undefined;
}

/** What an administrator began never becomes the user's own. */
const mayRaise = (live: SessionRow, settings: RealmSettings, now: number): boolean =>
  live.facts.impersonator === undefined && isAlive(live, settings, now);

/** A session that is stepped up stays as its user wanted it; one who asks for it anew may have it outlive the browser from then on. */
function stays(live: SessionRow, remember: boolean, settings: RealmSettings): Pick<SessionRow, 'remember' | 'endsAt'> {
  if (!remember || live.remember) return { remember: live.remember, endsAt: live.endsAt };
  return { remember, endsAt: Math.max(live.endsAt, live.createdAt + lifetimeOf(settings, { remember }).longest) };
}

/** Records that a session was used, now and then (`notedEvery`). What idleness has made stale by then is dropped, or this activity would revive it. */
export async function noteActivity(db: Database, session: SessionRow, settings: RealmSettings, now: number): Promise<void> {
  if (session.lastSeenAt > now - notedEvery(lifetimeOf(settings, session).idle)) return;
  await touchSession(db.knex, session, freshProofs(session.proofs, now, session.lastSeenAt), now);
}

/** `butUid`: the one that goes on; `userId` beside an id: only if it is that user's. */
type Which = { id: string; userId?: string } | { uid: string } | { userId: string; butUid?: string };

/**
 * Ends sessions with the grants that hang on them, and has their applications told (back-channel logout); grants of offline
 * tokens live on, unless a client says otherwise. Answers how many ended.
 */
export async function endSessionsIn(trx: Transaction, realmId: string, which: Which, now: number): Promise<number> {
  const { ids, grants, offlineGrants } = await endSessions(trx, realmId, which, now);
  await deleteGrants(trx, realmId, [...grants, ...offlineGrants]);
  return ids.length;
}

/** The same in a transaction of its own. */
export function endSessionsOf(db: Database, realmId: string, which: Which, now: number): Promise<number> {
  return db.transaction((trx) => endSessionsIn(trx, realmId, which, now));
}
