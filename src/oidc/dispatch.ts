/**
 * Hands a request to its realm's Provider, with everything that the library would believe of it set by us.
 *
 * Nothing of the request's own Host or X-Forwarded headers reaches the library: it builds its URLs from them. A browser
 * that comes back from the sign-in pages is let through only if it is the one that made the newest proof, and only when the
 * sign-in is done; the library knows neither, and saves its session before any of its checks could object.
 */
import type Koa from 'koa';
import { forbidden, gone, notFound } from '../errors.ts';
import { securityHeaders } from '../http/headers.ts';
import { loginPath, realmPath } from '../realms/issuer.ts';
import { isNewestCookie, transactionCookie } from '../sessions/sign-ins.ts';
import { recordRefusal } from './authentication.ts';
import { COOKIES, ROUTES } from './names.ts';
import type { OidcRealm } from './provider.ts';

const RESUME = /^\/protocol\/openid-connect\/auth\/([A-Za-z0-9_-]{1,64})$/;
/** The library's own pages below sign-out. */
const SIGN_OUT = ['/confirm', '/success'].map((step) => `${ROUTES.end_session}${step}`);
/**
 * The only spellings that reach the library. Its router folds case and trailing slashes, and its resume goes by a cookie
 * whatever the path says: a spelling that we did not recognise as a way back would pass our checks of one.
 */
const KNOWN: ReadonlySet<string> = new Set([
  ...Object.values(ROUTES),
  ...SIGN_OUT,
  '/.well-known/openid-configuration',
  '/.well-known/oauth-authorization-server',
]);

/**
 * @param path what follows the realm's path, with the query, such as `/protocol/openid-connect/token`
 */
export async function dispatch(ctx: Koa.Context, oidc: OidcRealm, path: string): Promise<void> {
  const { room, provider } = oidc;
  const [route = ''] = path.split('?', 1);
  const uid = RESUME.exec(route)?.[1];
  if (uid === undefined && !KNOWN.has(route)) throw notFound('There is no such page.');
  if (uid !== undefined) {
    const back = await wayBack(ctx, oidc, uid);
    if (back !== undefined) {
      ctx.status = 303;
      ctx.redirect(back);
      return;
    }
  }
  ctx.set(securityHeaders({ origin: room.origin, popups: true }));
  pinOrigin(ctx, room.origin);
  ctx.req.url = path;
  Object.assign(ctx.req, { originalUrl: `${realmPath(room.context.realm.name)}${path}` });
  ctx.respond = false;
  await provider.callback()(ctx.req, ctx.res);
}

/** Sets what the library reads of where it is reached: our origin, and nothing that the request says. */
export function pinOrigin(ctx: Koa.Context, origin: string): void {
  const { host, protocol } = new URL(origin);
  const { headers } = ctx.req;
  // Koa has read the client's address by now; the library is to read the same one.
  headers['x-forwarded-for'] = ctx.ip;
  headers.host = host;
  headers['x-forwarded-proto'] = protocol.slice(0, -1);
  delete headers['x-forwarded-host'];
}

/** Where a browser is sent that may not go on yet; undefined when it may. Throws when it never may. */
async function wayBack(ctx: Koa.Context, { room, provider }: OidcRealm, uid: string): Promise<string | undefined> {
  const { realm } = room.context;
  const interaction = ctx.cookies.get(COOKIES.resume) === uid ? await provider.Interaction.find(uid) : undefined;
  if (!interaction)
    throw gone('This sign-in is over, or was started in another browser. Go back to the application and sign in again; nothing else was lost.');
  const signIn = await room.signIns.load(realm.id, interaction.cid, room.now());
  if (!signIn) {
    // A consent in a session that needed no sign-in is bound to that session by the library.
    return interaction.prompt.name === 'consent' && interaction.session?.uid ? undefined : `${room.origin}${loginPath(realm.name, uid)}`;
  }
  if (!isNewestCookie(signIn.row, ctx.cookies.get(transactionCookie(interaction.cid)))) {
    await recordRefusal(
      room,
      { ip: ctx.ip, userAgent: ctx.get('user-agent') },
      { reason: 'another browser came back', transactionId: signIn.row.id },
    );
    throw forbidden('This sign-in was continued in another browser. Go back to the application and sign in again.', 'other_browser');
  }
  const answered = interaction.result?.error !== undefined || signIn.state.at === 'done';
  return answered ? undefined : `${room.origin}${loginPath(realm.name, uid)}`;
}
