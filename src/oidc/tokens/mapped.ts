/**
 * Mappers at the library's tokens and answers. What they need is read once a request: attributes and groups together with
 * the user's row, and roles in one query more.
 */
import type Provider from 'oidc-provider';
import type { KoaContextWithOIDC } from 'oidc-provider';
import { allMappers, appliedMappers, askedMappers } from '../../realms/mappers/applied.ts';
import { isRecord } from '../../realms/mappers/claim.ts';
import type { Use } from '../../realms/mappers/mapper.ts';
import { audienceOf } from '../../realms/mappers/payload.ts';
import { claimsOf, introspected, isLightweight, ofClient, type Said, type Source, wantedFor, wantsRoles } from '../../realms/mappers/token-claims.ts';
import type { RoleScope } from '../../store/effective-roles.ts';
import { type About as AboutUser, userWith, type Wanted } from '../../store/token-subject.ts';
import type { UserRow } from '../../store/users.ts';
import type { Clients, OidcClient } from '../clients/clients.ts';
import { type Exchange, rolesThrough } from '../grants/exchanged.ts';
import type { RealmRoom } from '../room.ts';
import { requestCache } from '../storage/request-cache.ts';
import { isForRealm } from './resource.ts';
import { roleScopeOf, rolesWithin } from './roles.ts';

/** Where tokens say how the user signed in, and how: the code or the refresh token that they are made from. */
export interface SignedIn {
  acr?: unknown;
  amr?: unknown;
  authTime?: unknown;
  sid?: unknown;
}

export interface About {
  client: OidcClient;
  user: UserRow;
  /** What the token says it is for. */
  scope: string | undefined;
  signIn: SignedIn | undefined;
  /** What the token came from, where it came from another one. */
  exchange: Exchange | undefined;
  /** Claims that were asked for by themselves. */
  asked?: readonly string[];
  clients: Clients;
}

const isService = ({ user }: About): boolean => user.serviceAccountOf !== null;

/** What mappers say about a user in one place. */
export async function mapped(room: RealmRoom, about: About, use: Use): Promise<Said> {
  const { client, scope, asked = [] } = about;
  const source = sourceOf(room, about);
  const said = await claimsOf(appliedMappers(client.mappers, scope, isService(about)), use, source);
  if (asked.length === 0) return said;
  const { claims } = await claimsOf(askedMappers(client.mappers, scope, asked), use, source);
  return { ...said, claims: { ...claims, ...said.claims } };
}

/**
 * What is wanted with the user's row where the client's mappers will be asked for these uses.
 * @param scope what the token will say, or says, that it is for
 */
export function wantedOf(client: OidcClient | undefined, uses: readonly Use[], scope: string | undefined): Wanted {
  if (!client || uses.length === 0) return { attributes: false, groups: false };
  const found = needed.get(client) ?? new Map<string, Needed>();
  needed.set(client, found);
  const key = uses.join();
  const known = found.get(key) ?? neededBy(client, uses);
  found.set(key, known);
  return known.roles ? { ...known.wanted, roles: { within: roleScopeOf(client, scope) } } : known.wanted;
}

interface Needed {
  wanted: Wanted;
  /** Which of them, hangs on the token's scope. */
  roles: boolean;
}

/** What does not change while a client is kept. */
const needed = new WeakMap<OidcClient, Map<string, Needed>>();

function neededBy(client: OidcClient, uses: readonly Use[]): Needed {
  const mappers = allMappers(client.mappers);
  const lightweight = isLightweight(client.row);
  return { wanted: wantedFor(mappers, uses, lightweight), roles: wantsRoles(mappers, uses, lightweight) };
}

/** Keeps what was read of a user with the row for as long as the request lasts. */
export function remember(wanted: Wanted, found: { user: UserRow; about: AboutUser } | undefined): void {
  if (!found) return;
  const { user, about } = found;
  const cache = requestCache();
  cache.user = user;
  if (wanted.attributes || wanted.groups) cache.about = { userId: user.id, wanted, about };
  if (wanted.roles) cache.roles = { key: rolesKey(user.id, wanted.roles.within), roles: Promise.resolve(about.roles) };
}

/** Of whom, and through what: the same for two tokens that say the same scopes in another order. */
const rolesKey = (userId: string, within: RoleScope | undefined): string =>
  JSON.stringify([userId, within && [within.clientId, [...new Set(within.scopes)].sort()]]);

function sourceOf(room: RealmRoom, { client, user, scope, signIn, exchange, clients }: About): Source {
  const cache = requestCache();
  const { knex } = room.db;
  return {
    user,
    ...ofClient(client.row),
    signIn: signIn && { acr: signIn.acr, amr: signIn.amr, authTime: signIn.authTime, sid: signIn.sid },
    async about(wanted) {
      const read = cache.about;
      if (read?.userId === user.id && (read.wanted.attributes || !wanted.attributes) && (read.wanted.groups || !wanted.groups)) return read.about;
      const found = await userWith(knex, user.realmId, { id: user.id }, wanted);
      if (!found) throw new Error('The user of a token is gone.');
      cache.about = { userId: user.id, wanted, about: found.about };
      return found.about;
    },
    roles() {
      const key = rolesKey(user.id, roleScopeOf(client, scope));
      cache.roles = cache.roles?.key === key ? cache.roles : { key, roles: rolesWithin(room, client, user.id, scope) };
      const { roles } = cache.roles;
      return exchange ? roles.then((held) => rolesThrough(room, clients, exchange, { row: client.row, userId: user.id, scope, roles: held })) : roles;
    },
  };
}

/** Travels with what an account says, through the library's copies of it. */
const MAPPED = Symbol('claims of mappers');

/** Claims for the library, in which it does not pick and choose. */
export const passing = (claims: Record<string, unknown>): Record<string | symbol, unknown> => ({ ...claims, [MAPPED]: claims });

/** Said by the library where its configuration names them; here a mapper says them, or the request asks for them. */
const HOW_SIGNED_IN = ['acr', 'amr', 'auth_time'] as const;

/** What the library's Claims hold. */
interface Filtered {
  available?: Record<string | symbol, unknown>;
  filter?: Record<string, unknown>;
}

/** The library passes only claims of which its configuration says by which scope; mappers may be written at any time. */
function passWhatIsMapped({ Claims }: Provider): void {
  const prototype: { result(this: Filtered): Promise<Record<string, unknown>> } = Claims.prototype;
  const { result } = prototype;
  prototype.result = async function resultWithMapped(this: Filtered): Promise<Record<string, unknown>> {
    const claims = await result.call(this);
    const said = this.available?.[MAPPED];
    if (typeof said !== 'object' || said === null) return claims;
    // What a scope opens is null there; what a request asks for (max_age, acr_values, claims) is an object.
    for (const name of HOW_SIGNED_IN) if (!Object.hasOwn(said, name) && !isRecord(this.filter?.[name])) delete claims[name];
    return { ...claims, ...said };
  };
}

/** Puts what mappers say into ID tokens, userinfo and introspection; access tokens are made in claims.ts. */
export function installMapped(provider: Provider, parts: { room: RealmRoom; clients: Clients }): void {
  passWhatIsMapped(provider);
  provider.use(async (ctx: KoaContextWithOIDC, next) => {
    await next();
    if ('oidc' in ctx && ctx.oidc?.route === 'introspection') await completeIntrospection(parts, ctx);
  });
}

/** An answer of introspection is what the token says, unless mappers stand in one of the two alone. */
async function completeIntrospection({ room, clients }: { room: RealmRoom; clients: Clients }, ctx: KoaContextWithOIDC): Promise<void> {
  const { AccessToken: ofUser, ClientCredentials: ofService } = ctx.oidc.entities;
  const token = ofUser ?? ofService;
  const { body } = ctx;
  if (!token || !isActive(body)) return;
  const client = await clients.find(token.clientId ?? '');
  if (!client) return;
  const { scope } = token;
  const mappers = appliedMappers(client.mappers, scope, ofService !== undefined);
  const { user: ofToken, exchange } = requestCache(ctx.req);
  const user = ofUser ? ofToken : undefined;
  const extra: Record<string, unknown> = Object(ofUser?.extra);
  const signIn = ofUser && { acr: extra.acr, amr: extra.amr, authTime: extra.auth_time, sid: ofUser.sid };
  // Of a service account nothing was read so far, and mostly nothing has to be.
  const account = (): Promise<UserRow | undefined> =>
    userWith(room.db.knex, client.row.realmId, { serviceAccountOf: client.row.id }, { attributes: false, groups: false }).then((one) => one?.user);
  const answer = await introspected(mappers, body, isLightweight(client.row), async () => {
    const subject = user ?? (await account());
    return subject && sourceOf(room, { client, user: subject, scope, signIn, exchange, clients });
  });
  if (!answer) return;
  // Whom a token is for that was exchanged, or asked for a resource, was settled when it was made.
  ctx.body = {
    ...answer.claims,
    ...(isAudience(body.aud) && isForRealm(body.aud) && !exchange ? { aud: audienceOf(body.aud, answer.audience) } : {}),
  };
}

const isActive = (body: unknown): body is Record<string, unknown> =>
  typeof body === 'object' && body !== null && 'active' in body && body.active === true;

const isAudience = (aud: unknown): aud is string | string[] =>
  typeof aud === 'string' || (Array.isArray(aud) && aud.every((one) => typeof one === 'string'));
