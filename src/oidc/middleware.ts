/** What surrounds the library's own handling of a request: what it cannot be configured to do. */
import Provider, { type KoaContextWithOIDC } from 'oidc-provider';
import { formActionOf } from '../http/headers.ts';
import { askedLanguage } from '../http/language.ts';
import { ALGORITHMS } from '../realms/algorithms.ts';
import { realmPath } from '../realms/issuer.ts';
import { notBeforeOf } from '../realms/keycloak-settings.ts';
import { notedEvery } from '../sessions/lifetimes.ts';
import { noteActivity } from '../sessions/sessions.ts';
import { transactionCookie } from '../sessions/sign-ins.ts';
import { touchClient, touchOffline } from '../store/sessions.ts';
import { completeCibaAnswer, describeCiba } from './ciba/feature.ts';
import { rowOf } from './clients/client-metadata.ts';
import { idleOf, offlineIdleOf, unusedFor, voidBefore } from './clients/client-session.ts';
import { addInterval } from './device-flow.ts';
import { liveSession } from './live-session.ts';
import { COOKIES, STAYED } from './names.ts';
import type { RealmRoom } from './room.ts';
import { isOfNobody, sendBack } from './sign-out.ts';
import { endSessionOfToken } from './sign-out-by-token.ts';
import { storeCode } from './storage/code-adapter.ts';
import { requestCache } from './storage/request-cache.ts';
import { isOutdated, isRefused } from './storage/session-adapter.ts';
import { algorithmOf, JWT_MARK, looksLikeJwt } from './tokens/access-tokens.ts';
import type { ClientFailures } from './too-many.ts';

/** Wraps what the library answers, and the few of its methods that have no setting. */
export function installMiddleware(provider: Provider, room: RealmRoom, failures: ClientFailures): void {
  markJwts(provider);
  renewAtSignInOnly(provider);
  takeIdTokensAsHints(provider);
  keepNoUnsavedSession(provider);
  keepLanguageOfSignOut(provider);
  provider.use(async (ctx: KoaContextWithOIDC, next) => {
    await next();
    // Unmatched paths never got a context of the library's.
    if (!('oidc' in ctx) || !ctx.oidc) return;
    await storeCode(room, ctx.req);
    if (isOutdated(ctx.oidc) || isRefused(ctx.oidc)) keepNewerSession(ctx);
    await failures.end(ctx);
    switch (ctx.oidc.route) {
      case 'token':
        completeTokenResponse(room, ctx);
        await noteUse(room, ctx);
        break;
      case 'resume':
        forgetTransaction(room, ctx);
        allowForm(ctx, ctx.oidc.params?.redirect_uri);
        break;
      case 'device_resume':
        forgetTransaction(room, ctx);
        break;
      case 'device_authorization':
        addInterval(room, ctx);
        break;
      case 'backchannel_authentication':
        await completeCibaAnswer(room, ctx);
        break;
      case 'discovery':
        describeCiba(ctx);
        break;
      case 'code_verification':
        await noteUse(room, ctx);
        break;
      case 'authorization':
        await noteUse(room, ctx);
        if (ctx.oidc.redirectUriCheckPerformed) allowForm(ctx, ctx.oidc.params?.redirect_uri);
        break;
      case 'revocation':
        await endSessionOfToken(room, ctx);
        break;
      case 'end_session':
        if (isOfNobody(ctx)) leave(ctx);
        else allowForm(ctx, ctx.oidc.session?.state?.postLogoutRedirectUri);
        break;
    }
  });
}

/** Introspection and revocation refuse anything that looks like a JWT; with our mark before it, it looks like nothing. */
function markJwts(provider: Provider): void {
  const prototype: { entity(key: string, value: unknown): void } = provider.OIDCContext.prototype;
  const { entity } = prototype;
  prototype.entity = function entityWithMark(this: KoaContextWithOIDC['oidc'], key: string, value: unknown): void {
    // The client is known as soon as it is authenticated, which is before the token is looked at.
    const token = this.params?.token;
    if (
      key === 'Client' &&
      (this.route === 'introspection' || this.route === 'revocation') &&
      this.params &&
      typeof token === 'string' &&
      // One that came with the mark is not the token behind it: it gets a second, and is then nothing that is known.
      (looksLikeJwt(token) || token.startsWith(JWT_MARK))
    ) {
      this.params.token = `${JWT_MARK}${token}`;
    }
    entity.call(this, key, value);
  };
}

/** The library renews the session's id whenever a browser comes back; a consent raises nothing, and is no reason. */
function renewAtSignInOnly(provider: Provider): void {
  const prototype: { resetIdentifier(): void } = provider.Session.prototype;
  const { resetIdentifier } = prototype;
  prototype.resetIdentifier = function resetAtSignIn(this: unknown): void {
    const oidc = Provider.ctx?.oidc;
    if ((oidc?.route === 'resume' || oidc?.route === 'device_resume') && oidc.entities.Interaction?.prompt.name === 'consent') return;
    resetIdentifier.call(this);
  };
}

/**
 * A form that comes without its session is answered by a page, for which the library would save a session that has no cookie;
 * and one that was refused is not tried again when the request is over. Where somebody signs out who is not signed in, there is
 * none to save.
 */
function keepNoUnsavedSession(provider: Provider): void {
  const prototype: { exp?: number; accountId?: string; persist(): Promise<unknown>; save(ttl: number): Promise<unknown> } =
    provider.Session.prototype;
  const { persist, save } = prototype;
  prototype.save = async function saveSomebodys(this: { accountId?: string }, ttl: number): Promise<unknown> {
    return Provider.ctx?.oidc.route === 'end_session' && this.accountId === undefined ? undefined : save.call(this, ttl);
  };
  prototype.persist = async function persistSaved(this: { exp?: number }): Promise<unknown> {
    const oidc = Provider.ctx?.oidc;
    return this.exp === undefined || (oidc && isRefused(oidc)) ? undefined : persist.call(this);
  };
}

/** The language that a sign-out asks for goes with it from page to page, as one of ours, and so does what was chosen: its later pages have no parameters of their own. */
function keepLanguageOfSignOut(provider: Provider): void {
  const prototype: { urlFor(name: string, options?: object): string } = provider.OIDCContext.prototype;
  const { urlFor } = prototype;
  prototype.urlFor = function urlWithLanguage(this: KoaContextWithOIDC['oidc'], name: string, options?: object): string {
    const url = urlFor.call(this, name, options);
    if (name !== 'end_session_confirm' && name !== 'end_session_success') return url;
    const language = askedLanguage({ ...Provider.ctx?.query, ...this.params });
    const stayed = this.route === 'end_session_confirm' && !this.params?.logout;
    const query = new URLSearchParams({ ...(language === undefined ? {} : { ui_locales: language }), ...(stayed ? { [STAYED]: 'true' } : {}) });
    return query.size === 0 ? url : `${url}?${query}`;
  };
}

/** Access tokens are signed with the same keys, and their audience is a client's name too. */
function takeIdTokensAsHints({ IdToken }: Provider): void {
  const validate = IdToken.validate.bind(IdToken);
  IdToken.validate = async (hint, client) => {
    // What it was signed with may have been changed since, for the client or the realm; the keys are still ours.
    const said = algorithmOf(hint);
    const then = ALGORITHMS.some((algorithm) => algorithm === said) ? said : client.idTokenSignedResponseAlg;
    const validated = await validate(hint, Object.create(client, { idTokenSignedResponseAlg: { value: then } }));
    if (validated.payload.typ !== 'ID') throw new Error('it is not an ID token');
    return validated;
  };
}

/** What Keycloak's clients read in a token response besides the standard's members. */
function completeTokenResponse({ context }: RealmRoom, ctx: KoaContextWithOIDC): void {
  const body: unknown = ctx.body;
  if (typeof body !== 'object' || body === null || !('access_token' in body)) return;
  const { RefreshToken: refreshToken, AccessToken: accessToken, Client: client } = ctx.oidc.entities;
  const refreshes = refreshToken && client && 'refresh_token' in body;
  const session = { offline: !refreshToken?.expiresWithSession, remember: requestCache(ctx.req).session?.row?.remember ?? false };
  Object.assign(body, {
    'not-before-policy': client ? voidBefore(rowOf(client), context.realm.settings) : notBeforeOf(context.realm.settings),
    // Unless it is used before.
    refresh_expires_in: refreshes ? Math.min(refreshToken.remainingTTL, unusedFor(rowOf(client), context.realm.settings, session)) : 0,
    ...(accessToken?.sid ? { session_state: accessToken.sid } : {}),
  });
}

/** Nobody is signed in here: the browser goes on without a question, and without a cookie of a session that was not saved. */
function leave(ctx: KoaContextWithOIDC): void {
  keepNewerSession(ctx);
  sendBack(ctx);
}

/** Another request has renewed the session meanwhile, and the browser has, or gets, that one's cookie; or there is none that was saved. */
function keepNewerSession(ctx: KoaContextWithOIDC): void {
  const cookies = [ctx.response.get('set-cookie')]
    .flat()
    .filter((cookie) => cookie && !cookie.startsWith(`${COOKIES.session}=`) && !cookie.startsWith(`${COOKIES.session}.sig=`));
  ctx.remove('Set-Cookie');
  if (cookies.length > 0) ctx.set('Set-Cookie', cookies);
}

/** A refresh, or single sign-on, is activity: a single-page application would be thrown out otherwise. */
async function noteUse(room: RealmRoom, ctx: KoaContextWithOIDC): Promise<void> {
  const { RefreshToken: refreshToken, Session: session } = ctx.oidc.entities;
  if (refreshToken && !refreshToken.expiresWithSession) {
    // A service that refreshes by night keeps its own token alive, not the session of a person who is away.
    const { Client: client } = ctx.oidc.entities;
    if (ctx.status !== 200 || !refreshToken.sid || !client) return;
    const every = notedEvery(offlineIdleOf(rowOf(client), room.context.realm.settings) * 1000);
    await touchOffline(room.db.knex, { realmId: room.context.realm.id, sid: refreshToken.sid, every }, room.now());
    return;
  }
  const uid = refreshToken?.sessionUid ?? session?.uid;
  const userId = refreshToken?.accountId ?? session?.accountId;
  if (!uid || !userId || ctx.status >= 400) return;
  const row = await liveSession(room, uid, userId, ctx.req);
  if (row) await noteActivity(room.db, row, room.context.realm.settings, room.now());
  const client = refreshToken?.sid && ctx.oidc.entities.Client;
  if (client && idleOf(rowOf(client), room.context.realm.settings) !== undefined)
    await touchClient(room.db.knex, room.context.realm.id, refreshToken?.sid ?? '', room.now());
}

/** The transaction has ended when the browser leaves for the application. */
function forgetTransaction(room: RealmRoom, ctx: KoaContextWithOIDC): void {
  const cid = ctx.oidc.entities.Interaction?.cid;
  const stays = ctx.status === 303 && String(ctx.response.get('location')).includes(`${realmPath(room.context.realm.name)}/login/`);
  if (cid && !stays && ctx.oidc.result) ctx.cookies.set(transactionCookie(cid), null, { path: realmPath(room.context.realm.name), signed: false });
}

/** Chromium applies form-action to the redirects that follow a POST, and form_post is one: the way back has to be named. */
function allowForm(ctx: KoaContextWithOIDC, uri: unknown): void {
  const source = typeof uri === 'string' ? formActionOf(uri) : undefined;
  const policy = ctx.response.get('content-security-policy');
  if (source && policy) ctx.set('Content-Security-Policy', policy.replace("form-action 'self'", `form-action 'self' ${source}`));
}
