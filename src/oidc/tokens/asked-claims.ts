/**
 * Claims that a request asks for one by one (`claims`, OpenID Connect Core 1.0 section 5.5), besides those of its scopes.
 *
 * Such a claim is had where the client may ask for a scope that says it: asked for by itself, it comes without the others of
 * that scope, and with the same consent, for what users allow is remembered scope by scope. ID tokens are made with the code
 * or the refresh token at hand, which keep what was asked, or with the request itself; of userinfo the access token says it, for it is all that is shown there.
 */
import type { KoaContextWithOIDC } from 'oidc-provider';
import { askedMappers, scopesBeyond } from '../../realms/mappers/applied.ts';
import { claimNames } from '../../realms/mappers/types.ts';
import { rowOf } from '../clients/client-metadata.ts';
import type { Clients, OidcClient } from '../clients/clients.ts';

/** The claim of an access token that names what userinfo says beyond its scopes. */
export const ASKED_OF_USERINFO = 'userinfo_claims';

type Place = 'id_token' | 'userinfo';

/** The scopes of a client that an authorization request means by the claims that it asks for, besides those that it names. */
export async function scopesOfClaims(clients: Clients, ctx: KoaContextWithOIDC): Promise<string[]> {
  const names = [...namesIn(ctx.oidc.claims, 'id_token'), ...namesIn(ctx.oidc.claims, 'userinfo')];
  if (names.length === 0 || !ctx.oidc.client) return [];
  const client = await clients.find(rowOf(ctx.oidc.client).clientId);
  const asked = ctx.oidc.requestParamScopes;
  return client ? scopesBeyond(client.mappers, [...asked].join(' '), names).map(({ name }) => name) : [];
}

/** What was asked of one place when the code was made that a token comes from, as far as the scope of the token does not bring it. */
export function askedClaims({ oidc }: KoaContextWithOIDC, client: OidcClient, place: Place, scope: string | undefined): string[] {
  const { AuthorizationCode: code, DeviceCode: deviceCode, BackchannelAuthenticationRequest: elsewhere, RefreshToken: refreshToken } = oidc.entities;
  // Tokens that come with the answer come of nothing but the request.
  const names = namesIn((code ?? deviceCode ?? elsewhere ?? refreshToken ?? oidc).claims, place);
  if (names.length === 0) return [];
  const said = new Set(askedMappers(client.mappers, scope, names).flatMap(({ type, config }) => claimNames(type, config)));
  return names.filter((name) => said.has(name));
}

/** What the access token that is shown at userinfo was asked for. */
export function askedOfUserinfo({ oidc }: KoaContextWithOIDC): string[] {
  const extra: Record<string, unknown> = Object(oidc.entities.AccessToken?.extra);
  const names = extra[ASKED_OF_USERINFO];
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
}

/** The names in a `claims` parameter, which the library has looked at as far as that it is an object of objects. */
function namesIn(claims: unknown, place: Place): string[] {
  const asked: Record<string, unknown> = Object(claims);
  return Object.keys(Object(asked[place]));
}
