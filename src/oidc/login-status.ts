/**
 * Whether the session that an application has a token of is still the one of the browser, for its pages in the browser:
 * OpenID Connect Session Management 1.0, as keycloak-js asks it.
 *
 *     page of the application ── "client sid" ──► frame of ours ── once, and when the cookie changes ──► /init
 *     page of the application ◄─ unchanged, changed, error ── frame
 *
 * The frame cannot know: the session's cookie is no script's to read, and a `sid` says nothing by itself. So it asks here,
 * and here alone it is said whose pages are answered: those of the origins that the client names. What the frame can read is a
 * cookie that says only that something has changed: a keyed hash, which nobody can tell anything from or make.
 */
import { createHmac } from 'node:crypto';
import type Koa from 'koa';
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { derive } from '../crypto/keyring.ts';
import { AppError, badInput, forbidden } from '../errors.ts';
import { forPrograms } from '../http/errors.ts';
import { framedPageHeaders, securityHeaders } from '../http/headers.ts';
import { say } from '../languages/messages.ts';
import { realmPath } from '../realms/issuer.ts';
import { accessFrom } from '../realms/web-origins.ts';
import { sessionClient } from '../store/sessions.ts';
import { pinOrigin } from './dispatch.ts';
import { liveSession } from './live-session.ts';
import { LOGIN_STATUS, THIRD_PARTY_COOKIES } from './names.ts';
import type { OidcRealm } from './provider.ts';
import type { RealmRoom } from './room.ts';

/** Names of our cookies; neither is a secret, and the first is the one that a script may read. */
const STATUS = 'cardea_status';
const PROBE = 'cardea_probe';
/** Seconds; it is there for one redirect of a frame. */
const PROBE_LIFETIME = 60;

/** The addresses of all this: the realm's name, and what follows its path. */
export const FRAMES = /^\/realms\/([^/]+)(\/protocol\/openid-connect\/(?:login-status-iframe\.html(?:\/init)?|3p-cookies\/step[12]\.html))$/;

/** The scripts of the frames, as public/ has them. */
interface Scripts {
  loginStatus: string;
  thirdPartyCookies: string;
}

/** Answers below `/protocol/openid-connect`: LOGIN_STATUS and THIRD_PARTY_COOKIES with what is under them, such as `…/init`. */
export async function handleFrames(oidc: OidcRealm, scripts: Scripts, ctx: Koa.Context, path: string): Promise<void> {
  const { origin } = oidc.room;
  switch (path) {
    case LOGIN_STATUS:
      return showFrame(ctx, origin, { script: scripts.loginStatus, keep: true });
    case `${LOGIN_STATUS}/init`:
      return tellStatus(oidc, ctx);
    case `${THIRD_PARTY_COOKIES}/step1.html`:
      setProbe(oidc.room, ctx, '1');
      return showFrame(ctx, origin, { script: scripts.thirdPartyCookies });
    default: {
      // The session's cookie comes where this one does: a browser that keeps it from a frame of another site keeps both.
      const cookies = ctx.cookies.get(PROBE) === undefined ? 'unsupported' : 'supported';
      setProbe(oidc.room, ctx, null);
      return showFrame(ctx, origin, { script: scripts.thirdPartyCookies, cookies });
    }
  }
}

function showFrame(ctx: Koa.Context, origin: string, page: { script: string; cookies?: string; keep?: boolean }): void {
  ctx.set(framedPageHeaders({ origin }));
  ctx.set('Cache-Control', page.keep ? 'public, max-age=3600' : 'no-store');
  ctx.type = 'html';
  const says = page.cookies === undefined ? '' : ` data-cookies="${page.cookies}"`;
  ctx.body = `<!doctype html>\n<html lang="en"${says}><head><meta charset="utf-8"><title>Cardea</title><script type="module" src="${page.script}"></script></head></html>\n`;
}

const setProbe = ({ context, origin }: RealmRoom, ctx: Koa.Context, value: string | null): void => {
  const path = `${realmPath(context.realm.name)}${THIRD_PARTY_COOKIES}`;
  const lifetime = value === null ? {} : { maxAge: PROBE_LIFETIME * 1000 };
  ctx.cookies.set(PROBE, value, { path, httpOnly: true, sameSite: 'lax', secure: origin.startsWith('https:'), signed: false, ...lifetime });
};

/**
 * Says whether pages of that origin may ask for that client (204), and with `session_state` how it is with that session:
 * `unchanged` while it is the one that this browser has at this client, or while there is none as it says.
 */
async function tellStatus(oidc: OidcRealm, ctx: Koa.Context): Promise<void> {
  forPrograms(ctx);
  ctx.set(securityHeaders({ origin: oidc.room.origin }));
  ctx.set({ 'Cache-Control': 'no-store', 'Cross-Origin-Resource-Policy': 'same-origin' });
  // Our frame asks; a page of somebody else could not read the answer, and gets none.
  if (!['', 'same-origin'].includes(ctx.get('Sec-Fetch-Site'))) throw forbidden(say('error.foreignForm'), 'foreign_origin');
  const clientId = oneOf(ctx, 'client_id');
  const origin = oneOf(ctx, 'origin');
  const client = await oidc.clients.find(clientId);
  if (!client || (accessFrom(client.row, origin) !== 'named' && origin !== oidc.room.origin))
    throw new AppError({
      code: 'origin_not_allowed',
      status: 403,
      message: 'origin: not one of the web origins of this client, or no client of that client_id',
    });
  if (ctx.query.session_state === undefined) {
    ctx.status = 204;
    return;
  }
  const stands = oneOf(ctx, 'session_state') === (await stateHere(oidc, ctx, client.row.id));
  ctx.type = 'text/plain';
  ctx.body = stands ? 'unchanged' : 'changed';
}

function oneOf(ctx: Koa.Context, name: string): string {
  const value = ctx.query[name];
  if (typeof value === 'string') return value;
  throw badInput(name, `${name}: must be there, once`);
}

/** The `sid` of this browser's session at a client; blank when nobody is signed in, undefined when somebody is who was never there. */
async function stateHere({ room, provider }: OidcRealm, ctx: Koa.Context, clientRowId: string): Promise<string | undefined> {
  pinOrigin(ctx, room.origin);
  const session = await provider.Session.get(provider.createContext(ctx.req, ctx.res));
  const ours = session.accountId === undefined ? undefined : await liveSession(room, session.uid, session.accountId, ctx.req);
  if (!ours) return '';
  return (await sessionClient(room.db.knex, ours.realmId, ours.id, clientRowId))?.sid;
}

type SetOptions = Parameters<Koa.Context['cookies']['set']>[2];

/** Tells the frames in a browser that its session is another one now, or over. */
export function setStatus(
  room: RealmRoom,
  cookies: { set(name: string, value: string | null, options: SetOptions): unknown },
  uid: string | undefined,
): void {
  const { realm, rootSecret } = room.context;
  const value = uid === undefined ? null : createHmac('sha256', derive(rootSecret, 'login status')).update(uid).digest('base64url');
  // Below the frame, and so sent nowhere else.
  const path = `${realmPath(realm.name)}${LOGIN_STATUS}`;
  cookies.set(STATUS, value, { path, httpOnly: false, sameSite: 'lax', secure: room.origin.startsWith('https:'), signed: false, overwrite: true });
}

/** By the library's names: where a session begins, is met, and ends. */
const CHANGES = new Set(['authorization', 'resume', 'code_verification', 'device_resume', 'end_session', 'end_session_confirm']);

/** Keeps the cookie that the frame compares in step with the session (OpenID Connect Session Management 1.0 section 4.2). */
export function installLoginStatus(provider: Provider, room: RealmRoom): void {
  provider.use(async (ctx: KoaContextWithOIDC, next) => {
    await next();
    if (!('oidc' in ctx) || !CHANGES.has(ctx.oidc?.route)) return;
    const { session, cookies } = ctx.oidc;
    if (!session) return;
    const over = 'destroyed' in session && session.destroyed === true;
    const isNew = 'new' in session && session.new === true;
    if (session.accountId !== undefined && !over) setStatus(room, cookies, session.uid);
    // A browser that brought no session has nothing to be told of one.
    else if (over || !isNew) setStatus(room, cookies, undefined);
  });
}
