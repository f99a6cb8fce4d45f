/**
 * What a relying party of ours (a console, the gate) remembers of a sign-in that it began: sealed, in a cookie of the
 * browser that began it, under its own path. Each sign-in has a cookie of its own, so that two tabs do not end each other's.
 */

import type Koa from 'koa';
import { z } from 'zod';
import { safeEqual } from '../crypto/codes.ts';
import { derive } from '../crypto/keyring.ts';
import { openWith, type SealContext, sealWith } from '../crypto/seal.ts';
import { AppError } from '../errors.ts';
import type { RealmContext } from '../realms/registry.ts';
import { cookieNames } from '../sessions/cookies.ts';

const loginState = z.object({
  state: z.string(),
  nonce: z.string(),
  /** PKCE. */
  verifier: z.string(),
  /** Where the browser goes afterwards; see `ownPath`. */
  returnTo: z.string(),
  /** Keycloak's name of what the user wants to do on the way. */
  action: z.string().nullable(),
  startedAt: z.number(),
  expiresAt: z.number(),
});
export type LoginState = z.infer<typeof loginState>;

/** Where the cookies of a relying party live. */
export interface CookieJar {
  ctx: Koa.Context;
  realm: RealmContext;
  /** Whose they are: what was sealed for one opens for no other. */
  owner: string;
  /** How the names of its cookies begin, such as `cardea_account`. */
  prefix: string;
  /** Its path. */
  path: string;
  secure: boolean;
}

/** Whoever has this many sign-ins open has left them behind; without a bound their cookies would outgrow a request's headers. */
const MOST_AT_ONCE = 6;

/** Keeps a sign-in that this browser begins, in a cookie that opens for nobody else. */
export function keepLoginState(jar: CookieJar, state: LoginState): void {
  const open = cookieNames(jar.ctx.get('cookie')).filter((name) => name.startsWith(prefix(jar)));
  if (open.length >= MOST_AT_ONCE) for (const name of open) setCookie(jar, name, null);
  setCookie(jar, cookieOf(jar, state.state), sealWith(keyOf(jar), placeOf(jar), JSON.stringify(state)), state.expiresAt - state.startedAt);
}

/** The sign-in of that `state`, if this browser began it and it is not over. The browser forgets it; the code behind it is good once anyway. */
export function takeLoginState(jar: CookieJar, state: string, now: number): LoginState | undefined {
  if (!/^[A-Za-z0-9_-]{16,128}$/.test(state)) return undefined;
  const name = cookieOf(jar, state);
  const sealed = jar.ctx.cookies.get(name);
  if (sealed === undefined) return undefined;
  setCookie(jar, name, null);
  const kept = opened(jar, sealed);
  return kept !== undefined && safeEqual(kept.state, state) && kept.expiresAt > now ? kept : undefined;
}

/** Sets or removes a cookie that only this relying party sees. Lax, because the browser arrives from another page's redirect. */
export function setCookie(jar: CookieJar, name: string, value: string | null, maxAge?: number): void {
  jar.ctx.cookies.set(name, value, {
    path: jar.path,
    httpOnly: true,
    sameSite: 'lax',
    secure: jar.secure,
    signed: false,
    overwrite: true,
    ...(maxAge === undefined ? {} : { maxAge }),
  });
}

/**
 * A path of this console, as it was written, or else its start: what comes back from a sign-in leads nowhere but here.
 *
 * Only what a browser reads as it stands: a second slash, a backslash or dot segments could lead to another host or out of
 * the console.
 */
export function ownPath(path: string | undefined, base: string): string {
  const start = `${base}/`;
  if (path === undefined || !/^\/[\x21-\x7e]*$/.test(path) || path.includes('\\') || path.includes('#')) return start;
  const url = URL.parse(path, 'http://console.invalid');
  if (url === null || url.origin !== 'http://console.invalid' || `${url.pathname}${url.search}` !== path) return start;
  if (url.pathname.includes('//') || url.pathname.includes('%') || url.pathname === `${base}/callback`) return start;
  return url.pathname === base || url.pathname.startsWith(start) ? path : start;
}

function opened(jar: CookieJar, sealed: string): LoginState | undefined {
  try {
    const key = keyOf(jar);
    const text = openWith((id) => (id === key.id ? key.bytes : undefined), placeOf(jar), sealed).toString('utf8');
    return loginState.parse(JSON.parse(text));
  } catch (error) {
    // A broken cookie is no alarm, as a broken row would be: anybody can send one.
    if (error instanceof AppError && error.code === 'corrupted') return undefined;
    throw error;
  }
}

const keyOf = ({ realm }: CookieJar) => ({ id: 'console', bytes: derive(realm.rootSecret, 'console sign-ins') });
const placeOf = ({ realm, owner }: CookieJar): SealContext => ({
  purpose: 'console-login',
  realm: realm.realm.id,
  row: owner,
  column: 'cookie',
});
const prefix = (jar: CookieJar): string => `${jar.prefix}_login_`;
const cookieOf = (jar: CookieJar, state: string): string => `${prefix(jar)}${state.slice(0, 12)}`;
