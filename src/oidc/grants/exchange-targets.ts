/** What a token exchange is to bring: which kind of token, of which scopes, and whom it is for. Nothing that the client could not have otherwise. */
import { type Account, errors, type KoaContextWithOIDC, type ResourceServer } from 'oidc-provider';
import type { Clients, OidcClient } from '../clients/clients.ts';
import { DEFAULT_AUDIENCE, DEFAULT_RESOURCE, type RealmRoom } from '../room.ts';
import { requestCache } from '../storage/request-cache.ts';
import { mapped } from '../tokens/mapped.ts';
import { defaultResourceServer, namedResourceServer, readerOf } from '../tokens/resource.ts';
import { mayRefresh, type Subject, TOKEN_TYPES } from './exchange-tokens.ts';
import { parameter } from './issue.ts';

export const OFFLINE = 'offline_access';

export interface Parts {
  room: RealmRoom;
  clients: Clients;
  /** All that the realm has. */
  scopes: readonly string[];
}

/** What is asked for, and what of it may be. */
export interface Wanted {
  type: (typeof TOKEN_TYPES)[keyof typeof TOKEN_TYPES];
  scope: string[];
  /** As the request names it; nothing where it does not. */
  audience: string[];
  /** The resource server that it is for (RFC 8707), or the realm itself. */
  resource: string;
  server: ResourceServer;
}

/** @throws invalid_request, invalid_scope, invalid_target */
export async function wantedOf(parts: Parts, ctx: KoaContextWithOIDC, { row, scopes }: OidcClient, { token }: Subject): Promise<Wanted> {
  const type = typeOf(ctx);
  const scope = scopeOf(parameter(ctx, 'scope'), { theirs: token.scopes, ours: new Set(['openid', ...scopes.defaults, ...scopes.optional]) });
  if (type === TOKEN_TYPES.id && !scope.includes('openid'))
    throw new errors.InvalidScope('an ID token needs the scope openid, of subject_token too', 'openid');
  const [resource = DEFAULT_RESOURCE, ...more] = listOf(ctx.oidc.params?.resource);
  if (more.length > 0) throw new errors.InvalidTarget('a token is for one resource: send one, and ask again for each of the others');
  const { settings } = parts.room.context.realm;
  const forRealm = resource === DEFAULT_RESOURCE;
  if (type === TOKEN_TYPES.id && !forRealm) throw new errors.InvalidTarget('an ID token is for this client alone: leave resource out');
  const server = forRealm ? defaultResourceServer(parts.scopes, row, settings) : await namedResourceServer(parts.clients, row, resource, settings);
  if (type === TOKEN_TYPES.jwt && server.accessTokenFormat !== 'jwt')
    throw new errors.InvalidRequest(`access tokens for this target are opaque: requested_token_type must be ${TOKEN_TYPES.access}`);
  return { type, scope, audience: listOf(ctx.oidc.params?.audience), resource, server };
}

/** A parameter that may be there several times (RFC 8693 section 2.1); empty is not there. */
const listOf = (value: unknown): string[] => [...new Set([value ?? []].flat().filter((one): one is string => typeof one === 'string' && one !== ''))];

function typeOf(ctx: KoaContextWithOIDC): Wanted['type'] {
  const asked = parameter(ctx, 'requested_token_type') ?? TOKEN_TYPES.access;
  const type = Object.values(TOKEN_TYPES).find((known) => known === asked);
  if (type === undefined) throw new errors.InvalidRequest(`requested_token_type must be one of ${Object.values(TOKEN_TYPES).join(', ')}`);
  if (type === TOKEN_TYPES.refresh && !mayRefresh(ctx)) throw new errors.InvalidRequest('this client gets no refresh tokens by token exchange');
  return type;
}

/** What the token has that this client may have; asking narrows it. Offline access is the user's to give. */
function scopeOf(asked: string | undefined, { theirs, ours }: { theirs: ReadonlySet<string>; ours: ReadonlySet<string> }): string[] {
  const common = [...theirs].filter((name) => name !== OFFLINE && ours.has(name));
  if (asked === undefined) return common;
  const wanted = [...new Set(asked.split(' ').filter(Boolean))];
  const others = wanted.filter((name) => !common.includes(name));
  if (others.length > 0) throw new errors.InvalidScope('subject_token or this client does not have what is asked for', others.join(' '));
  return wanted;
}

/**
 * The only ones that the token is for, where the request names any. A resource server is for itself alone; of others this
 * client's mappers say whom its tokens may be for, and the request chooses among those.
 * @throws invalid_target
 */
export async function audienceFor(parts: Parts, client: OidcClient, account: Account, wanted: Wanted): Promise<string[]> {
  const { scope, audience, resource } = wanted;
  if (resource !== DEFAULT_RESOURCE) {
    const { clientId } = await readerOf(parts.clients, client.row, resource);
    if (audience.every((name) => name === resource || name === clientId)) return [resource];
    throw new errors.InvalidTarget('a token for a resource is for nobody else: leave audience out, or name the client of the resource alone');
  }
  const { user, exchange, signedIn } = requestCache();
  if (audience.length === 0 || user?.id !== account.accountId) return [];
  const about = { client, user, scope: scope.join(' '), signIn: signedIn, exchange, clients: parts.clients };
  const available = new Set([DEFAULT_AUDIENCE, ...(await mapped(parts.room, about, 'access')).audience]);
  const others = audience.filter((name) => !available.has(name));
  if (others.length > 0)
    throw new errors.InvalidTarget(
      `Requested audience not available: ${others.join(' ')}. Audience mappers, and roles of the user at that client, make it so`,
    );
  return audience;
}
