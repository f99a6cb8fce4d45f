/**
 * Pages of other origins at the endpoints that are called for a client.
 *
 * The library refuses a client's request from an origin that is none of its web origins before it does anything; what it
 * says to browsers is said again here, for it would let any page read the errors of a client that it does not know.
 */
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { allowPages } from '../http/cors.ts';
import type { ClientRow } from '../store/clients.ts';
import { rowOf } from './clients/client-metadata.ts';
import type { Clients } from './clients/clients.ts';
import type { AccessTokens } from './tokens/access-tokens.ts';

/** By the library's names: the rest is open to everybody, such as keys and metadata, or for people. */
const FOR_CLIENTS = new Set(['token', 'userinfo', 'introspection', 'revocation', 'pushed_authorization_request', 'device_authorization']);

interface Parts {
  clients: Clients;
  accessTokens: AccessTokens;
}

/** Says to browsers which pages may read the answer, after the library has made it. */
export function installCors(provider: Provider, parts: Parts): void {
  provider.use(async (ctx: KoaContextWithOIDC, next) => {
    await next();
    if (!('oidc' in ctx) || !ctx.oidc) return;
    const { route } = ctx.oidc;
    if (FOR_CLIENTS.has(route)) allowPages(ctx, ctx.get('Origin') === '' ? undefined : await clientOf(parts, ctx));
    else if (ctx.method === 'OPTIONS' && FOR_CLIENTS.has(route.replace(/^cors\./, '')) && ctx.get('Origin') !== 'null')
      ctx.set('Access-Control-Allow-Credentials', 'true');
  });
}

/** Whose request it is, also one that was refused: an application has to learn why. */
async function clientOf({ clients, accessTokens }: Parts, ctx: KoaContextWithOIDC): Promise<ClientRow | undefined> {
  const { client, params, route } = ctx.oidc;
  if (client) return rowOf(client);
  // One that has to wait is refused before the library has looked for it.
  if (route !== 'userinfo') return typeof params?.client_id === 'string' ? (await clients.find(params.client_id))?.row : undefined;
  const [, token] = ctx.get('Authorization').split(' ');
  return token === undefined ? undefined : (await accessTokens.issuedTo(token))?.row;
}
