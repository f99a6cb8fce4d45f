/**
 * The scopes of a request. The library knows no default scopes and drops offline_access from any request without
 * `prompt=consent`; Keycloak's clients ask for `openid` alone and expect a username, and for offline_access as it is.
 */
import { decodeJwt } from 'jose';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { CODE } from '../../realms/response-types.ts';
import type { OidcClient } from '../clients/clients.ts';
import { fetchedObject } from '../clients/request-uris.ts';

const OFFLINE = 'offline_access';

/**
 * What the library left of the asked scopes, the client's default scopes, and offline_access where it was asked for and may be: with a
 * code alone (OpenID Connect Core 1.0 section 11).
 */
export async function askedScopes(ctx: KoaContextWithOIDC, client: OidcClient | undefined): Promise<string | undefined> {
  const params = ctx.oidc.params ?? {};
  const left = typeof params.scope === 'string' ? params.scope.split(' ').filter(Boolean) : [];
  // As with Keycloak a sign-in has them without OpenID Connect too (RFC 6749 alone), and so has a client's own token.
  const signsIn = ctx.oidc.route !== 'token';
  const begins = signsIn || params.grant_type === 'client_credentials';
  const offline = signsIn && originallyAsked(ctx).includes(OFFLINE) && client?.scopes.optional.concat(client.scopes.defaults).includes(OFFLINE);
  const scopes = [...left, ...(begins ? (client?.scopes.defaults ?? []) : []), ...(offline ? [OFFLINE] : [])];
  const usable = new Set(getsTokensLater(params.response_type) ? scopes : scopes.filter((scope) => scope !== OFFLINE));
  return usable.size > 0 ? [...usable].join(' ') : undefined;
}

/** Whether tokens come of it by the token endpoint; what has no response type goes there anyway. */
const getsTokensLater = (responseType: unknown): boolean => typeof responseType !== 'string' || responseType.split(' ').includes(CODE);

/**
 * The scopes as the client sent them: in the query or the body, or in the request that it signed, be it fetched, or pushed before. Where
 * there is such a request, what stands beside it was perhaps said by somebody else.
 */
function originallyAsked(ctx: KoaContextWithOIDC): string[] {
  const { PushedAuthorizationRequest: pushed } = ctx.oidc.entities;
  const request = pushed?.request ?? fetchedObject(ctx) ?? ctx.oidc.body?.request ?? ctx.query.request;
  const sources: unknown[] = typeof request === 'string' && request !== '' ? [decodeJwt(request).scope] : [ctx.oidc.body?.scope, ctx.query.scope];
  return sources.flatMap((scope) => (typeof scope === 'string' ? scope.split(' ') : []));
}
