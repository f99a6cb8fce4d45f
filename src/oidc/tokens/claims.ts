/** What tokens and userinfo say: what every token says, and what mappers say besides (mapped.ts). */
import Provider, { type Account, type AccountClaims, errors, type JWTStructured, type KoaContextWithOIDC } from 'oidc-provider';
import { accessTokenPayload, idTokenClaims, userinfoClaims } from '../../realms/mappers/payload.ts';
import type { Mapper } from '../../realms/mappers/prepare.ts';
import { claimNames } from '../../realms/mappers/types.ts';
import { userWith } from '../../store/token-subject.ts';
import type { UserRow } from '../../store/users.ts';
import { rowOf } from '../clients/client-metadata.ts';
import type { Clients, OidcClient } from '../clients/clients.ts';
import { exchangeClaims } from '../grants/exchanged.ts';
import { impersonatorClaim } from '../impersonated.ts';
import { knownHere } from '../known.ts';
import { DEFAULT_AUDIENCE, DEFAULT_RESOURCE, type RealmRoom } from '../room.ts';
import { requestCache } from '../storage/request-cache.ts';
import { ASKED_OF_USERINFO, askedClaims, askedOfUserinfo } from './asked-claims.ts';
import { mapped, passing, remember, type SignedIn, wantedOf } from './mapped.ts';
import { headerTypeOf, readerOf } from './resource.ts';

interface Parts {
  room: RealmRoom;
  clients: Clients;
}

/** Claims of every token that is about a user; scope `openid` is in each. */
const ALWAYS = ['sub', 'acr', 'amr', 'auth_time', 'sid', 'azp', 'typ'];

/** What the library is told of claims, and shows in its metadata: those of the realm's scopes. */
export const claimsByScope = (mappers: Iterable<readonly Mapper[]>): Record<string, string[]> => ({
  openid: [...new Set([...ALWAYS, ...[...mappers].flat().flatMap(({ type, config }) => claimNames(type, config))])],
});

/** The library's `findAccount`: a user who is there and switched on. Tokens from before `notBefore` are void. */
export async function findAccount(
  { room, clients }: Parts,
  sub: string,
  token: { iat?: number; scope?: string } | undefined,
): Promise<Account | undefined> {
  const user = await userOf({ room, clients }, sub, token?.scope);
  if (!user?.enabled || user.serviceAccountOf !== null) return undefined;
  if (token?.iat !== undefined && token.iat * 1000 < user.notBefore) return undefined;
  return {
    accountId: user.id,
    user,
    claims: (use, scope) => accountClaims({ room, clients }, user, use === 'id_token' ? 'id' : 'userinfo', scope),
  };
}

/** Where it is decided whether somebody has to be asked something. */
const DECIDING = new Set(['authorization', 'resume', 'device_resume']);

/** The user, once a request; where tokens are made at once with what their mappers will ask for. */
async function userOf({ room, clients }: Parts, sub: string, scope: string | undefined): Promise<UserRow | undefined> {
  const cache = requestCache();
  if (cache.user?.id === sub) return cache.user;
  const { ctx } = Provider;
  if (ctx && DECIDING.has(ctx.oidc.route)) return (await knownHere(room, ctx, sub)).row;
  const makesTokens = ctx?.oidc.route === 'token';
  const wanted = wantedOf(makesTokens ? await clientAtHand(clients) : undefined, ['access', 'id'], scope);
  const found = await userWith(room.db.knex, room.context.realm.id, { id: sub }, wanted);
  remember(wanted, found);
  return found?.user;
}

async function clientAtHand(clients: Clients): Promise<OidcClient | undefined> {
  const client = Provider.ctx?.oidc.client;
  return client && clients.find(rowOf(client).clientId);
}

async function accountClaims({ room, clients }: Parts, user: UserRow, use: 'id' | 'userinfo', scope: string): Promise<AccountClaims> {
  const client = await clientAtHand(clients);
  const signIn = Provider.ctx && signInOf(Provider.ctx);
  const { exchange } = requestCache();
  const asked = client && Provider.ctx ? askedHere(Provider.ctx, client, use, scope) : [];
  const said = client ? await mapped(room, { client, user, scope, signIn, exchange, clients, asked }, use) : { claims: {}, audience: [] };
  const all = { ...said, claims: { ...said.claims, ...impersonatorClaim() } };
  const put = use === 'id' ? idTokenClaims(all, { sub: user.id, azp: client?.row.clientId }) : userinfoClaims(all, user.id);
  return { ...passing(all.claims), ...put, sub: user.id };
}

/** What was asked for besides scopes; of a token that was exchanged, nothing. */
function askedHere(ctx: KoaContextWithOIDC, client: OidcClient, use: 'id' | 'userinfo', scope: string): string[] {
  if (requestCache().exchange) return [];
  return use === 'id' ? askedClaims(ctx, client, 'id_token', scope) : askedOfUserinfo(ctx);
}

/** How the user signed in, from what a token is made of, or from the access token that is shown. */
function signInOf({ oidc }: KoaContextWithOIDC): SignedIn | undefined {
  const {
    AuthorizationCode: code,
    DeviceCode: deviceCode,
    BackchannelAuthenticationRequest: elsewhere,
    RefreshToken: refreshToken,
    AccessToken: token,
  } = oidc.entities;
  const { signedIn } = requestCache();
  if (signedIn) return signedIn;
  const source = code ?? deviceCode ?? elsewhere ?? refreshToken;
  if (source) return { acr: source.acr, amr: source.amr, authTime: source.authTime, sid: source.sid };
  // Tokens that come with the answer to an authorization request (Core 1.0 sections 3.2 and 3.3): authentication.ts has said how.
  if (oidc.session && oidc.client)
    return { acr: oidc.acr, amr: oidc.amr, authTime: oidc.session.authTime(), sid: oidc.session.sidFor(oidc.client.clientId) };
  const extra: Record<string, unknown> = Object(token?.extra);
  return { acr: extra.acr, amr: extra.amr, authTime: extra.auth_time, sid: token?.sid };
}

/** The library's JWT customizer: Keycloak's header, and what an access token says besides the registered claims. */
export async function customizeJwt(parts: Parts, ctx: KoaContextWithOIDC, token: Made, jwt: JWTStructured): Promise<void> {
  const client = await clientAtHand(parts.clients);
  // Switched off while this was under way: no token of it stands.
  if (!client) throw new errors.InvalidClient();
  const reader = await readerOf(parts.clients, client.row, token.resourceServer?.identifier());
  // Common resource servers (Spring's default decoder) take `JWT` or nothing; the library would write at+jwt.
  jwt.header = { ...jwt.header, typ: headerTypeOf(reader) };
  jwt.payload = await accessTokenClaims(parts, ctx, client, token, jwt.payload);
}

/** The library's `extraTokenClaims`: an opaque token is stored with what a JWT would say; undefined for a JWT, which says it itself. */
export async function opaqueClaims(parts: Parts, ctx: KoaContextWithOIDC, token: Made): Promise<Record<string, unknown> | undefined> {
  if (token.resourceServer?.accessTokenFormat !== 'opaque') return undefined;
  const client = await clientAtHand(parts.clients);
  if (!client) throw new errors.InvalidClient();
  const { scope, clientId, jkt, 'x5t#S256': x5t } = token;
  const cnf = { ...(jkt === undefined ? {} : { jkt }), ...(x5t === undefined ? {} : { 'x5t#S256': x5t }) };
  return accessTokenClaims(parts, ctx, client, token, {
    ...{ scope: scope || undefined, client_id: clientId, iss: ctx.oidc.issuer },
    ...(Object.keys(cnf).length === 0 ? {} : { cnf }),
  });
}

/** An access token that is being made. */
interface Made {
  kind: string;
  clientId?: string | undefined;
  scope?: string | undefined;
  sid?: string | undefined;
  jkt?: string | undefined;
  'x5t#S256'?: string | undefined;
  resourceServer?: { identifier(): string; accessTokenFormat?: string | undefined } | undefined;
}

/** @param registered what the library says of it */
async function accessTokenClaims(
  { room, clients }: Parts,
  ctx: KoaContextWithOIDC,
  client: OidcClient,
  token: Made,
  registered: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const service = token.kind === 'ClientCredentials';
  const user = service ? await serviceUser(room, client, token.scope) : accountUser(ctx.oidc.account);
  if (!user) throw new Error(`An access token of client ${client.row.clientId} is about nobody.`);
  const signIn = service ? undefined : signInOf(ctx);
  const exchange = service ? undefined : requestCache().exchange;
  const said = await mapped(room, { client, user, scope: token.scope, signIn, exchange, clients }, 'access');
  const resource = token.resourceServer?.identifier() ?? DEFAULT_RESOURCE;
  // A token that was asked for one of them is for nobody else, whatever mappers say.
  const only = exchange?.audience ?? (resource === DEFAULT_RESOURCE ? undefined : [resource]);
  const about = { sub: user.id, azp: token.clientId, sid: service ? undefined : token.sid, aud: only ?? DEFAULT_AUDIENCE };
  const acted = service ? undefined : impersonatorClaim();
  // Userinfo is for tokens of the realm's own, and knows nothing of a request but what its token says.
  const asked = service || only ? [] : askedClaims(ctx, client, 'userinfo', token.scope);
  const told = asked.length > 0 ? { [ASKED_OF_USERINFO]: asked } : {};
  const payload = { ...registered, ...told, ...acted, ...(exchange && exchangeClaims(exchange)) };
  return accessTokenPayload(payload, about, only ? { ...said, audience: [] } : said);
}

/** The user that a service account's own tokens are about. */
async function serviceUser(room: RealmRoom, client: OidcClient, scope: string | undefined): Promise<UserRow> {
  const { row } = client;
  const wanted = wantedOf(client, ['access'], scope);
  const found = await userWith(room.db.knex, row.realmId, { serviceAccountOf: row.id }, wanted);
  if (!found?.user.enabled)
    throw new errors.UnauthorizedClient('the service account of this client is switched off; an administrator of the realm can switch it on');
  remember(wanted, found);
  return found.user;
}

function accountUser(account: Account | undefined): UserRow | undefined {
  const user = account?.user;
  return isUser(user) ? user : undefined;
}

function isUser(value: unknown): value is UserRow {
  return typeof value === 'object' && value !== null && 'username' in value && 'realmId' in value;
}
