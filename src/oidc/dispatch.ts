/**
 * Hands a request to its realm's Provider, with everything that the library would believe of it set by us.
 *
 * Nothing of the request's own Host or X-Forwarded headers reaches the library: it builds its URLs from them. A browser
 * that comes back from the sign-in pages is let through only if it is the one that made the newest proof, and only when the
 * sign-in is done; the library knows neither, and saves its session before any of its checks could object.
 */
import type Koa from 'koa';
import { AppError, forbidden, notFound } from '../errors.ts';
import { answerPreflight } from '../http/cors.ts';
import { sameOrigin } from '../http/csrf.ts';
import { forPrograms } from '../http/errors.ts';
import { securityHeaders } from '../http/headers.ts';
import { readFormText } from '../http/input.ts';
import { askLanguage } from '../http/language.ts';
import { redirectTo } from '../http/redirect.ts';
import { say } from '../languages/messages.ts';
import { loginPath, realmPath } from '../realms/issuer.ts';
import { isNewestCookie, transactionCookie } from '../sessions/sign-ins.ts';
import { COOKIES, PREFILLED, REGISTRATIONS, ROUTES } from './names.ts';
import type { OidcRealm } from './provider.ts';
import { recordRefusal } from './recording.ts';
import { isForBrowsers, isForDevices, isPostedRequest, methodsOf, resumedUid } from './routes.ts';
import { refuseLegacySignOut } from './sign-out.ts';
import { asRevocation, signsOutByToken } from './sign-out-by-token.ts';
import { requestCache } from './storage/request-cache.ts';
import { answerBySignIn, readUnderWay } from './under-way.ts';

/** What the library reads of a body. */
const MAX_BODY_BYTES = 56 * 1024;
/** Node answers longer request headers, the address included, with a bare 431. */
const MAX_QUERY_LENGTH = 8 * 1024;

/** What no person opens answers programs, also where there is no such realm. */
export function answerPrograms(ctx: Koa.Context, route: string): void {
  if (route !== REGISTRATIONS && !isForBrowsers(route)) forPrograms(ctx);
}

/**
 * @param path what follows the realm's path, with the query, such as `/protocol/openid-connect/token`
 */
export async function dispatch(ctx: Koa.Context, oidc: OidcRealm, path: string): Promise<void> {
  const { room } = oidc;
  const [route = ''] = path.split('?', 1);
  if (route === REGISTRATIONS) throw noRegistration(ctx, room.context.realm.name);
  answerPrograms(ctx, route);
  if (!isTaken(ctx, route)) return;
  if (isPostedRequest(ctx.method, route)) {
    const form = await readFormText(ctx);
    if (!signsOutByToken(route, form)) return redirectTo(ctx, `${room.origin}${realmPath(room.context.realm.name)}${route}?${asQuery(form)}`);
    forPrograms(ctx);
    return handOn(ctx, oidc, asRevocation(ctx.req, form));
  }
  if (route === ROUTES.end_session) refuseLegacySignOut(new URLSearchParams(path.split('?')[1]));
  if (ctx.method === 'POST' && isForDevices(route) && !sameOrigin(ctx.req.headers, room.origin))
    throw forbidden(say('error.foreignForm'), 'foreign_origin');
  const uid = resumedUid(route);
  const back = uid === undefined ? undefined : await wayBack(ctx, oidc, uid, route);
  if (back !== undefined) return redirectTo(ctx, back);
  await handOn(ctx, oidc, path);
}

/** The library answers. */
async function handOn(ctx: Koa.Context, { room, answer }: OidcRealm, path: string): Promise<void> {
  ctx.set(securityHeaders({ origin: room.origin, popups: true }));
  pinOrigin(ctx, room.origin);
  ctx.req.url = ctx.method === 'POST' ? path : withoutUserCode(path);
  Object.assign(ctx.req, { originalUrl: `${realmPath(room.context.realm.name)}${ctx.req.url}` });
  ctx.respond = false;
  await answer(ctx.req, ctx.res);
}

/** What an application asks there for is what it asks for a sign-in: who has an account may go on to that. */
function noRegistration(ctx: Koa.Context, realm: string): AppError {
  askLanguage(ctx, ctx.query);
  const link = { href: `${realmPath(realm)}${ROUTES.authorization}${ctx.search}`, label: say('error.toSignIn') };
  return new AppError({ code: 'no_registration', status: 404, message: say('error.noRegistration'), ...(ctx.search === '' ? {} : { link }) });
}

/** Whether there is something at that path for this method; an OPTIONS about one that no other origin may call is answered here. */
function isTaken(ctx: Koa.Context, route: string): boolean {
  const methods = methodsOf(route);
  if (!methods) throw notFound(say('error.noPage'));
  // Pages sign out by token too (sign-out-by-token.ts), where the library takes no such question.
  if (ctx.method === 'OPTIONS' && route === ROUTES.end_session) {
    answerPreflight(ctx, methods);
    return false;
  }
  if (!methods.includes(ctx.method)) {
    ctx.set('Allow', methods.join(', '));
    if (ctx.method !== 'OPTIONS') throw new AppError({ code: 'method_not_allowed', status: 405, message: say('error.onlyMethods', { methods }) });
    ctx.status = 204;
    return false;
  }
  if (Number(ctx.get('content-length')) > MAX_BODY_BYTES) {
    ctx.req.resume();
    throw new AppError({
      code: 'invalid_request',
      status: 413,
      message: say('error.requestTooLarge', { most: MAX_BODY_BYTES / 1024 }),
    });
  }
  return true;
}

/** The library would post a code at once that is in the address; here its page shows it, under another name, and somebody presses the button. */
function withoutUserCode(path: string): string {
  const [route = '', query] = path.split('?', 2);
  if (route !== ROUTES.code_verification || query === undefined) return path;
  const parameters = new URLSearchParams(query);
  const code = parameters.get('user_code');
  parameters.delete('user_code');
  if (code !== null) parameters.set(PREFILLED, code);
  return `${route}?${parameters}`;
}

/** A posted request as a query. What is wrong with its parameters, such as one that is there twice, the library says. */
function asQuery(form: string): string {
  const query = new URLSearchParams(form).toString();
  if (query.length <= MAX_QUERY_LENGTH) return query;
  throw new AppError({
    code: 'invalid_request',
    status: 413,
    message: say('error.requestTooLong'),
  });
}

const partsOf = (origin: string): { origin: string; host: string; scheme: string } => {
  const { host, protocol } = new URL(origin);
  return { origin, host, scheme: protocol.slice(0, -1) };
};

let pinned = { origin: '', host: '', scheme: '' };

/** Sets what the library reads of where it is reached: our origin, and nothing that the request says. */
export function pinOrigin(ctx: Koa.Context, origin: string): void {
  // There is one origin: to take it apart for every request would cost more than all else here.
  if (pinned.origin !== origin) pinned = partsOf(origin);
  const { headers } = ctx.req;
  // Koa has read the client's address by now; the library is to read the same one.
  headers['x-forwarded-for'] = ctx.ip;
  headers.host = pinned.host;
  headers['x-forwarded-proto'] = pinned.scheme;
  delete headers['x-forwarded-host'];
}

/** Where a browser is sent that may not go on yet; undefined when it may. Throws when it never may. */
async function wayBack(ctx: Koa.Context, { room }: OidcRealm, uid: string, route: string): Promise<string | undefined> {
  const { realm } = room.context;
  const underWay = ctx.cookies.get(COOKIES.resume) === uid ? await readUnderWay(room, ctx, uid) : undefined;
  const { interaction, login } = underWay ?? {};
  // A sign-in for a device comes back by its own way, and no other does.
  if (!underWay || !interaction || (interaction.deviceCode !== undefined) !== isForDevices(route)) throw notFound(say('error.signInOver'), 'expired');
  askLanguage(ctx, interaction.params ?? {});
  const now = room.now();
  const signIn = login ? await room.signIns.open(login.row, now) : await room.signIns.load(realm.id, interaction.cid, now);
  if (signIn) requestCache(ctx.req).signIn = signIn;
  if (!signIn) {
    // A consent in a session that needed no sign-in is bound to that session by the library.
    return interaction.prompt?.name === 'consent' && interaction.session?.uid ? undefined : `${room.origin}${loginPath(realm.name, uid)}`;
  }
  if (!isNewestCookie(signIn.row, ctx.cookies.get(transactionCookie(interaction.cid)))) {
    await recordRefusal(
      room,
      { ip: ctx.ip, userAgent: ctx.get('user-agent') },
      { reason: 'another browser came back', transactionId: signIn.row.id },
    );
    throw forbidden(say('error.continuedElsewhere'), 'other_browser');
  }
  const answered = interaction.result?.error !== undefined || (signIn.state.at === 'done' && answerBySignIn(underWay, signIn));
  return answered ? undefined : `${room.origin}${loginPath(realm.name, uid)}`;
}
