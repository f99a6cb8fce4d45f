/** This application's own sessions: in memory, bounded, gone with the process. A real one would keep them in a database. */
import { randomBytes } from 'node:crypto';
import type Koa from 'koa';
import { LRUCache } from 'lru-cache';

export interface Tokens {
  /** As they came, for the page. */
  idToken: string;
  accessToken: string;
  refreshToken: string | undefined;
  /** Of the ID token, verified. */
  claims: { sub: string } & Record<string, unknown>;
  /** Milliseconds since the epoch. */
  expiresAt: number;
  /** How the newest came: with a sign-in or a refresh. */
  from: 'sign-in' | 'refresh';
}

/** A sign-in that was begun and is not back yet. */
export interface Pending {
  nonce: string;
  verifier: string;
  asked: Record<string, string>;
  startedAt: number;
  /** What goes on once the user is back. */
  resume: 'transfer' | undefined;
}

export interface DemoSession {
  /** By state: two tabs may sign in at once. */
  pending: Map<string, Pending>;
  tokens: Tokens | undefined;
  /** The parameters of the newest sign-in beyond the usual ones. */
  asked: Record<string, string>;
  resume?: 'transfer' | undefined;
  /** What became of the newest transfer. */
  transfer?: 'done' | 'refused' | undefined;
}

const COOKIE = 'demo_app_session';
const MOST = 1_000;
const LIFETIME_MS = 12 * 3_600_000;

export class Sessions {
  readonly #sessions = new LRUCache<string, DemoSession>({ max: MOST, ttl: LIFETIME_MS });
  readonly #secure: boolean;

  constructor(origin: string) {
    this.#secure = origin.startsWith('https:');
  }

  /** The session of this browser. A new one is kept, and its cookie set, only once it is asked to sign in. */
  of(ctx: Koa.Context): DemoSession {
    const id = ctx.cookies.get(COOKIE);
    const known = id === undefined ? undefined : this.#sessions.get(id);
    if (known) return known;
    const session: DemoSession = { pending: new Map(), tokens: undefined, asked: {} };
    if (ctx.method === 'POST') this.#keep(ctx, session);
    return session;
  }

  /** Puts a session in the place of the one that the browser has. */
  replace(ctx: Koa.Context, session: DemoSession): void {
    this.#forget(ctx);
    this.#keep(ctx, session);
  }

  end(ctx: Koa.Context): void {
    this.#forget(ctx);
    this.#set(ctx, null);
  }

  /** Ends the sessions that came of one session of the issuer's. Answers how many. */
  endOf(sid: string): number {
    const ended = [...this.#sessions].flatMap(([id, { tokens }]) => (tokens?.claims.sid === sid ? [id] : []));
    for (const id of ended) this.#sessions.delete(id);
    return ended.length;
  }

  #keep(ctx: Koa.Context, session: DemoSession): void {
    const id = randomBytes(32).toString('base64url');
    this.#sessions.set(id, session);
    this.#set(ctx, id);
  }

  #forget(ctx: Koa.Context): void {
    const id = ctx.cookies.get(COOKIE);
    if (id !== undefined) this.#sessions.delete(id);
  }

  /** Lax: the browser comes back from the issuer by a redirect, and Strict would leave the cookie behind. */
  #set(ctx: Koa.Context, value: string | null): void {
    ctx.cookies.set(COOKIE, value, { path: '/', httpOnly: true, sameSite: 'lax', secure: this.#secure, signed: false, overwrite: true });
  }
}
