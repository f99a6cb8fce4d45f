/**
 * Our own consoles as relying parties of a realm. They get no shortcut: the browser goes through the authorization
 * endpoint like that of any application, with PKCE, state and nonce, and comes back with a code.
 *
 *     requireSession ─ no session, or not enough ─► begin ─► authorization endpoint ─► sign-in ─► callback ─► the page asked for
 *
 * What is stored is a console session: the hash of a cookie, the user, and the `sid` of the ID token. On every request
 * that row is looked up, the provider's session behind the sid has to be alive and its user switched on, and the same
 * `decide` as everywhere says whether what was proved is still enough. Signing out elsewhere therefore ends it at once.
 */
import type Koa from 'koa';
import { randomToken, sha256 } from '../crypto/codes.ts';
import type { Factors } from '../factors/index.ts';
import { heldProofs } from '../factors/owned.ts';
import { type MessageKey, say } from '../languages/messages.ts';
import type { Level } from '../policy/assurance.ts';
import { decide, freshProofs } from '../policy/decide.ts';
import { CONSOLE_CLIENTS, type ConsoleName, consolePath } from '../realms/consoles.ts';
import type { RealmContext } from '../realms/registry.ts';
import { browserOf } from '../sessions/browser.ts';
import { deviceFacts } from '../sessions/devices.ts';
import { clientFacts, factsOf, type KnownUser, knownUser } from '../sessions/facts.ts';
import { isAlive } from '../sessions/lifetimes.ts';
import { noteActivity } from '../sessions/sessions.ts';
import { consoleSession, deleteConsoleSession, insertConsoleSession } from '../store/console-sessions.ts';
import type { CredentialRow } from '../store/credentials.ts';
import type { Database } from '../store/database.ts';
import { liveSessionBySid, type SessionRow } from '../store/sessions.ts';
import { type UserRow, userById } from '../store/users.ts';
import { createCodeFlow, type Party } from './code-flow.ts';
import { type CookieJar, ownPath, setCookie, takeLoginState } from './login-state.ts';
import { askRecent, isRecent } from './recent.ts';
import { redirectTo } from './redirect.ts';

export interface RelyingDeps {
  db: Database;
  factors: Factors;
  /** Ours, as the settings have it. */
  origin: string;
  /** The base URL that our own server listens on, such as `http://127.0.0.1:8080`. */
  listening(): string;
  render(ctx: Koa.Context, view: string, model: object, status?: number): Promise<void>;
  now(): number;
  log: { warn(details: object, message: string): void };
}

/** Somebody who is signed in to a console. */
export interface ConsoleSession {
  user: UserRow;
  /** The provider's session. */
  session: SessionRow;
  /** What a decision is told of the user. */
  known: KnownUser;
  /** All of the user's credentials, as they are stored. */
  credentials: CredentialRow[];
}

/** What a page needs besides somebody being signed in. */
export interface Needed {
  /** The level that the session has to show. */
  level?: Level;
  /** The strongest factor owned has to have been shown within five minutes. */
  recent?: boolean;
  /** The page to come back to; by default the one that is asked for, or the console's start for a form. */
  returnTo?: string;
}

/** Somebody who has just come back from a sign-in. */
export interface Arrival extends ConsoleSession {
  returnTo: string;
  action: string | null;
  /** When the sign-in was begun. */
  startedAt: number;
}

export interface Relying {
  /** Who is signed in; undefined when the browser was sent to sign in, or to show more. */
  requireSession(ctx: Koa.Context, realm: RealmContext, console: ConsoleName, needed?: Needed): Promise<ConsoleSession | undefined>;
  /** Sends the browser to sign in, with these parameters beside the usual ones. */
  begin(
    ctx: Koa.Context,
    realm: RealmContext,
    console: ConsoleName,
    request: { returnTo: string; parameters?: Record<string, string> },
  ): Promise<void>;
  /** Takes the answer of a sign-in; undefined when a page has said what went wrong. The caller sends the browser on. */
  callback(ctx: Koa.Context, realm: RealmContext, console: ConsoleName): Promise<Arrival | undefined>;
  /** Ends the console's session and sends the browser to end the provider's. */
  signOut(ctx: Koa.Context, realm: RealmContext, console: ConsoleName): Promise<void>;
}

interface ConsoleJar extends CookieJar {
  console: ConsoleName;
}

/**
 * A rule's `maxAge` counts from so long ago, or whoever comes from a slow sign-in would be sent back to it, round in circles.
 */
const PAGES_STAY_FRESH_MS = 5 * 60_000;

export function createRelying(deps: RelyingDeps): Relying {
  const { db, origin, now } = deps;
  const flow = createCodeFlow(deps);

  const jarOf = (ctx: Koa.Context, realm: RealmContext, console: ConsoleName): ConsoleJar => ({
    ctx,
    realm,
    console,
    owner: console,
    prefix: `cardea_${console}`,
    path: consolePath(console, realm.realm.name),
    secure: origin.startsWith('https:'),
  });
  const partyOf = ({ console, path }: ConsoleJar): Party => ({ clientId: CONSOLE_CLIENTS[console], redirectUri: `${origin}${path}/callback` });

  const begin: Relying['begin'] = async (ctx, realm, console, { returnTo, parameters = {} }) => {
    const jar = jarOf(ctx, realm, console);
    redirectTo(ctx, await flow.begin(jar, partyOf(jar), { returnTo: ownPath(returnTo, jar.path), parameters, now: now() }));
  };

  /** Who this provider's session stands for now. */
  async function standing({ realm, console }: ConsoleJar, sid: string, userId: string, at: number): Promise<ConsoleSession | undefined> {
    const session = await liveSessionBySid(db.knex, realm.realm.id, sid, at);
    // Nobody acts as somebody else in a console: what it changes is the user's own.
    if (session?.facts.impersonator) return undefined;
    if (!session || session.userId !== userId || !isAlive(session, realm.realm.settings, at)) return undefined;
    const user = await userById(db.knex, realm.realm.id, userId);
    if (!user?.enabled || session.createdAt < user.notBefore) return undefined;
    const known = await knownUser(db.knex, realm, { userId, clientId: CONSOLE_CLIENTS[console] }, at);
    return { user, session, known, credentials: known.credentials };
  }

  async function current(jar: ConsoleJar, at: number): Promise<ConsoleSession | undefined> {
    const cookie = jar.ctx.cookies.get(sessionCookie(jar.console));
    if (!cookie) return undefined;
    const row = await consoleSession(db.knex, jar.realm.realm.id, sha256(cookie), jar.console, at);
    return row && (await standing(jar, row.sid, row.userId, at));
  }

  const requireSession: Relying['requireSession'] = async (ctx, realm, console, needed = {}) => {
    const jar = jarOf(ctx, realm, console);
    const at = now();
    const returnTo = needed.returnTo ?? (ctx.method === 'GET' ? ctx.originalUrl : `${jar.path}/`);
    const level: Record<string, string> = needed.level === undefined ? {} : { acr_values: needed.level };
    const signedIn = await current(jar, at);
    if (!signedIn) {
      await begin(ctx, realm, console, { returnTo, parameters: level });
      return undefined;
    }
    const { session, known, credentials } = signedIn;
    const proofs = heldProofs(freshProofs(session.proofs, at, session.lastSeenAt), credentials);
    const browser = browserOf(ctx, { id: realm.realm.id, rootSecret: realm.rootSecret }, origin);
    const whom = { realmId: realm.realm.id, userId: signedIn.user.id, credentials };
    const { facts: device } = await deviceFacts(db, whom, browser, at, { risk: false });
    const request = {
      client: clientFacts(realm.policy, CONSOLE_CLIENTS[console], known.clientAttributes).client,
      requested: { acr: needed.level === undefined ? [] : [needed.level], essential: false },
      startedAt: at - PAGES_STAY_FRESH_MS,
    };
    const facts = factsOf(deps.factors, realm, known, request, { ...device, skipped: session.facts.skipped });
    const { owned } = facts;
    const decision = decide({ ...facts, now: at, proofs });
    const recent = !needed.recent || isRecent(proofs, owned, at);
    if (decision.ask !== 'nothing' || !recent) {
      await begin(ctx, realm, console, { returnTo, parameters: { ...(recent ? {} : askRecent(owned)), ...level } });
      return undefined;
    }
    await noteActivity(db, session, realm.realm.settings, at);
    return signedIn;
  };

  const callback: Relying['callback'] = async (ctx, realm, console) => {
    const jar = jarOf(ctx, realm, console);
    const at = now();
    const kept = typeof ctx.query.state === 'string' ? takeLoginState(jar, ctx.query.state, at) : undefined;
    if (!kept) {
      await explain(jar, 'account.arrival.notBegun.title', 'account.arrival.notBegun.message');
      return undefined;
    }
    const exchanged = await flow.exchange(jar, partyOf(jar), ctx.search, kept);
    if (!exchanged.ok) {
      await refuse(jar, exchanged);
      return undefined;
    }
    const { userId, sid, idToken } = exchanged;
    const signedIn = await standing(jar, sid, userId, at);
    if (!signedIn) {
      await explain(jar, 'account.arrival.ended.title', 'account.arrival.ended.message');
      return undefined;
    }
    await replaceSession(jar, { userId, sid, idToken, createdAt: at, expiresAt: signedIn.session.endsAt });
    return { ...signedIn, returnTo: ownPath(kept.returnTo, jar.path), action: kept.action, startedAt: kept.startedAt };
  };

  async function refuse(jar: ConsoleJar, { error, cause }: { error: string | null; cause: unknown }): Promise<void> {
    const said = REFUSALS.get(error ?? '');
    if (said) return explain(jar, said.title, said.message);
    deps.log.warn({ err: cause, realm: jar.realm.realm.name, console: jar.console }, 'a sign-in to a console was refused');
    await explain(jar, 'account.arrival.unfit.title', 'account.arrival.unfit.message');
  }

  /** A new cookie with every sign-in; the one of before is worth nothing from then on. */
  async function replaceSession(
    jar: ConsoleJar,
    row: { userId: string; sid: string; idToken: string; createdAt: number; expiresAt: number },
  ): Promise<void> {
    const { id: realmId } = jar.realm.realm;
    const before = jar.ctx.cookies.get(sessionCookie(jar.console));
    const cookie = randomToken();
    await db.transaction(async (trx) => {
      if (before) await deleteConsoleSession(trx, realmId, sha256(before));
      await insertConsoleSession(trx, { realmId, id: sha256(cookie), console: jar.console, ...row });
    });
    setCookie(jar, sessionCookie(jar.console), cookie);
  }

  const signOut: Relying['signOut'] = async (ctx, realm, console) => {
    const jar = jarOf(ctx, realm, console);
    const cookie = ctx.cookies.get(sessionCookie(console));
    const row = cookie ? await consoleSession(db.knex, realm.realm.id, sha256(cookie), console, now()) : undefined;
    setCookie(jar, sessionCookie(console), null);
    if (!row) return redirectTo(ctx, `${jar.path}/`);
    await deleteConsoleSession(db.knex, realm.realm.id, row.id);
    redirectTo(ctx, await flow.endSession(jar, CONSOLE_CLIENTS[console], { idToken: row.idToken, back: `${origin}${jar.path}/` }));
  };

  /** Says what happened, with the way back to the console. */
  async function explain({ ctx, realm, path, console }: ConsoleJar, title: MessageKey, message: MessageKey): Promise<void> {
    const { name, displayName } = realm.realm;
    const link = { href: `${path}/`, label: say(console === 'account' ? 'account.arrival.toAccount' : 'account.arrival.toAdmin') };
    await deps.render(
      ctx,
      'message',
      { realm: { name, displayName }, title: say(title), message: say(message), hint: null, reference: null, link },
      400,
    );
  }

  return { requireSession, begin, callback, signOut };
}

/** What an error of the provider means to a person, by its code (RFC 6749 sections 4.1.2.1 and 5.2, RFC 9470 section 5). */
const REFUSALS = new Map<string, { title: MessageKey; message: MessageKey }>(
  Object.entries({
    access_denied: { title: 'account.arrival.stopped.title', message: 'account.arrival.stopped.message' },
    invalid_grant: { title: 'account.arrival.used.title', message: 'account.arrival.used.message' },
    unmet_authentication_requirements: { title: 'account.arrival.tooWeak.title', message: 'account.arrival.tooWeak.message' },
  }),
);

const sessionCookie = (console: ConsoleName): string => `cardea_${console}_session`;
