/**
 * Signing out without a question: the application has shown an ID token of this very session as `id_token_hint`, so it is the
 * one that the user pressed its button in (OpenID Connect RP-Initiated Logout 1.0 section 2 asks the user where that is not
 * so: no hint, a hint of another session or user, nobody signed in).
 */
import type { KoaContextWithOIDC } from 'oidc-provider';
import { AppError } from '../errors.ts';
import { redirectTo } from '../http/redirect.ts';
import { say } from '../languages/messages.ts';
import { COOKIES } from './names.ts';

/** Whether the request is of the session that this browser has. The library has verified the hint, which may have expired. */
export function isOfThisSession({ method, oidc: { session, client, entities } }: KoaContextWithOIDC): boolean {
  const { sub, sid } = entities.IdTokenHint?.payload ?? {};
  // HEAD is answered like GET, and must not do anything.
  if (method !== 'GET' || !client || session?.accountId === undefined || typeof sid !== 'string') return false;
  return sub === session.accountId && sid === session.sidFor(client.clientId);
}

/** Ends the session, as the button of the page does, and sends the browser where the application wants it. */
export async function signOutAtOnce(ctx: KoaContextWithOIDC, cookie: { path: string }): Promise<void> {
  await ctx.oidc.session?.destroy();
  ctx.cookies.set(COOKIES.session, null, cookie);
  sendBack(ctx);
}

/**
 * Whether a sign-out is asked for in a browser that nobody is signed in to, such as when the session has ended meanwhile. The
 * library posts its form of the question by a script then; there is nothing to ask, and nothing to end.
 */
export const isOfNobody = ({ status, oidc: { session } }: KoaContextWithOIDC): boolean => status === 200 && session?.accountId === undefined;

/** Sends the browser where the application wants it, which the library has compared with the client's addresses; without that, to the page that says that it is done. */
export function sendBack(ctx: KoaContextWithOIDC): void {
  const { post_logout_redirect_uri: back, state } = ctx.oidc.params ?? {};
  const target = new URL(typeof back === 'string' ? back : ctx.oidc.urlFor('end_session_success'));
  if (typeof back === 'string' && typeof state === 'string') target.searchParams.set('state', state);
  redirectTo(ctx, target.href);
}

/**
 * Keycloak's parameter of before its release 18, which sent a browser anywhere that the client's list has, whoever asked.
 * To pass it over would leave users on a page of ours, and the application's people without a word.
 *
 * @throws AppError 400
 */
export function refuseLegacySignOut(query: URLSearchParams): void {
  if (query.has('redirect_uri')) throw new AppError({ code: 'invalid_request', status: 400, message: say('error.legacySignOut') });
}
