/**
 * Access tokens at userinfo, introspection and revocation.
 *
 * The library does not store JWTs, but it hands the raw token to the adapter: what it would have stored is put together
 * here from the verified token and one query, which also says whether session, grant and user still stand. Of an opaque token
 * the claims are stored, and from there on it is the same.
 */
import { createLocalJWKSet, decodeProtectedHeader, errors, type JWTPayload } from 'jose';
import { LRUCache } from 'lru-cache';
import type { AdapterPayload } from 'oidc-provider';
import { z } from 'zod';
import { sha256 } from '../../crypto/codes.ts';
import { ALGORITHMS } from '../../realms/algorithms.ts';
import { issuerOf } from '../../realms/issuer.ts';
import { impersonationStands } from '../../sessions/impersonation.ts';
import { isAlive } from '../../sessions/lifetimes.ts';
import { findPayload } from '../../store/oidc-payloads.ts';
import { revokeToken, serviceTokenStands, tokenStanding } from '../../store/token-standing.ts';
import { voidBefore } from '../clients/client-session.ts';
import type { Clients, OidcClient } from '../clients/clients.ts';
import { type Exchange, exchangeOf, exchangeStands } from '../grants/exchanged.ts';
import type { RealmRoom } from '../room.ts';
import { requestCache } from '../storage/request-cache.ts';
import { remember, wantedOf } from './mapped.ts';
import { isForRealm } from './resource.ts';
import { verifiedClaims } from './verified.ts';

/**
 * Put before a JWT at introspection and revocation, which refuse anything that looks like one. With one part more it is seen
 * at once that it does not; to find that out by a header that cannot be read takes three errors with their stacks.
 */
export const JWT_MARK = '~.';

/** A token without that mark, where it is set. */
export const unmarked = (value: string, route: string | undefined): string =>
  value.startsWith(JWT_MARK) && (route === 'introspection' || route === 'revocation') ? value.slice(JWT_MARK.length) : value;

type TokenModel = 'AccessToken' | 'ClientCredentials';

/** What a token says, and the client that it was made for. */
export interface Claims {
  claims: JWTPayload;
  client: OidcClient;
}

/** An opaque token as the library stores it: what a JWT would say is in `extra`. */
const storedToken = z.object({ iat: z.number(), exp: z.number(), extra: z.record(z.string(), z.unknown()) });

/** No token had expired by then. */
const BEFORE_ALL_ENDS = 0;

export class AccessTokens {
  readonly #room: RealmRoom;
  readonly #clients: Clients;
  readonly #issuer: string;
  readonly #jwks: ReturnType<typeof createLocalJWKSet>;

  constructor(room: RealmRoom, clients: Clients) {
    this.#room = room;
    this.#clients = clients;
    this.#issuer = issuerOf(room.origin, room.context.realm.name);
    this.#jwks = createLocalJWKSet({ keys: room.context.keys.map((key) => key.publicJwk) });
  }

  /** A user's access token as the library would have stored it; undefined when it is not one, or no longer stands. */
  async find(value: string, options: { forUserinfo: boolean }): Promise<AdapterPayload | undefined> {
    const { claims, client } = (await this.#claims(value, 'AccessToken')) ?? {};
    if (!claims || typeof claims.sid !== 'string' || typeof claims.jti !== 'string') return undefined;
    const { db, context, now } = this.#room;
    const { realm } = context;
    const scope = typeof claims.scope === 'string' ? claims.scope : undefined;
    const wanted = wantedOf(client, options.forUserinfo ? ['userinfo'] : [], scope);
    const standing = await tokenStanding(db.knex, realm.id, { sid: claims.sid, jti: claims.jti, sub: claims.sub ?? '' }, wanted);
    if (!standing || standing.revoked || !standing.user.enabled) return undefined;
    if ((claims.iat ?? 0) * 1000 < standing.user.notBefore) return undefined;
    // Tokens of an offline grant stand without the session.
    const offline = standing.offline && scopesOf(claims).includes('offline_access');
    if (!offline && !isAlive(standing.session, realm.settings, now())) return undefined;
    if (!(await impersonationStands(db, realm, standing.session, now()))) return undefined;
    const exchange = await this.#exchange(claims);
    if (exchange === undefined) return undefined;
    const { impersonator } = standing.session.facts;
    // The library asks for grant and account next.
    const { user, about } = standing;
    Object.assign(requestCache(), {
      grant: { id: standing.grantId, payload: standing.grantPayload },
      exchange: exchange ?? undefined,
      ...(impersonator ? { impersonator } : {}),
    });
    remember(wanted, { user, about });
    return {
      ...common({ ...claims, impersonator: impersonator && { id: impersonator.id, username: impersonator.username } }, 'AccessToken'),
      accountId: standing.user.id,
      grantId: standing.grantId,
      sid: claims.sid,
      ...audienceFor(claims, options),
    };
  }

  /** A service account's token. */
  async findClientCredentials(value: string): Promise<AdapterPayload | undefined> {
    const { claims } = (await this.#claims(value, 'ClientCredentials')) ?? {};
    if (!claims || claims.sid !== undefined || typeof claims.jti !== 'string') return undefined;
    if (!(await serviceTokenStands(this.#room.db.knex, this.#room.context.realm.id, { jti: claims.jti, sub: claims.sub ?? '' }))) return undefined;
    return { ...common(claims, 'ClientCredentials'), aud: claims.aud };
  }

  /** Remembers a token as revoked until it would have expired. */
  async revoke(jti: string, expiresAt: number): Promise<void> {
    await revokeToken(this.#room.db.knex, this.#room.context.realm.id, jti, expiresAt);
  }

  /** The client that a token was made for, be it expired or revoked by now: who is to learn that it is no good. */
  async issuedTo(value: string): Promise<OidcClient | undefined> {
    return (await this.#claimsAt(value, 'AccessToken', BEFORE_ALL_ENDS))?.client;
  }

  /** What it was exchanged from; null for nothing, undefined when that no longer stands. */
  async #exchange(claims: JWTPayload): Promise<Exchange | null | undefined> {
    const exchange = exchangeOf(claims);
    if (!exchange || (await exchangeStands(this.#room, this.#clients, exchange, claims.iat ?? 0))) return exchange;
    return undefined;
  }

  /** What a token says, whether it says so itself or we stored it, with the client that it was made for; undefined for what is none, or has expired. */
  async #claims(value: string, model: TokenModel): Promise<Claims | undefined> {
    if (!looksLikeJwt(value)) return this.#claimsAt(value, model, this.#room.now());
    // Introspection asks for the same token as a user's and as a service's.
    const cache = requestCache();
    if (cache.claims?.value !== value) cache.claims = { value, of: this.#claimsAt(value, model, this.#room.now()) };
    return cache.claims.of;
  }

  async #claimsAt(value: string, model: TokenModel, at: number): Promise<Claims | undefined> {
    const claims = await (looksLikeJwt(value) ? this.#signed(value, at) : this.#stored(value, model, at));
    // ID tokens are signed with the same keys, and are no access tokens.
    if (claims?.typ !== 'Bearer') return undefined;
    const client = await this.#clients.find(String(claims.azp));
    return client && (claims.iat ?? 0) >= voidBefore(client.row, this.#room.context.realm.settings) ? { claims, client } : undefined;
  }

  /** An opaque token. Its `jti` is the hash that it is found by: who reads it, such as in a token that came from it, cannot use it. */
  async #stored(value: string, model: TokenModel, at: number): Promise<JWTPayload | undefined> {
    const { db, context } = this.#room;
    const row = await findPayload(db.knex, { realmId: context.realm.id, model, id: sha256(value) });
    if (!row) return undefined;
    const { iat, exp, extra } = storedToken.parse(JSON.parse(row.payload));
    return exp * 1000 > at ? { ...extra, iat, exp, jti: row.id } : undefined;
  }

  async #signed(value: string, at: number): Promise<JWTPayload | undefined> {
    try {
      return await verifiedClaims(value, this.#jwks, {
        issuer: this.#issuer,
        algorithms: [...ALGORITHMS],
        at,
        requiredClaims: ['exp', 'iat', 'jti', 'sub', 'azp'],
      });
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined;
      throw error;
    }
  }
}

/** Headers are the same for all tokens that a key has signed, and each is looked at several times a request. */
const headers = new LRUCache<string, { alg: string | undefined }>({ max: 200 });
/** With key id and type ours have about 100 characters. */
const LONGEST_HEADER = 300;

/** What the header of a JWT says that it is signed with; undefined for what has not the shape of one. */
export function algorithmOf(value: string): string | undefined {
  const parts = value.split('.', 6);
  const [header = ''] = parts;
  // A signed one has three parts, an encrypted one five (RFC 7516 section 9).
  if (parts.length !== 3 && parts.length !== 5) return undefined;
  const known = headers.get(header);
  if (known) return known.alg;
  try {
    const { alg } = decodeProtectedHeader(value);
    if (header.length <= LONGEST_HEADER) headers.set(header, { alg });
    return alg;
  } catch {
    return undefined;
  }
}

/** True for anything that has the shape of a JWT. */
export const looksLikeJwt = (value: string): boolean => algorithmOf(value) !== undefined;

function common(claims: JWTPayload, kind: string): AdapterPayload {
  const { iss: _iss, sub: _sub, aud: _aud, exp, iat, jti, scope, client_id: _client, azp, cnf, sid: _sid, ...extra } = claims;
  return {
    kind,
    jti,
    iat,
    exp,
    clientId: String(azp),
    scope: typeof scope === 'string' ? scope : undefined,
    extra: { ...extra, azp },
    ...confirmation(cnf),
  };
}

/** Userinfo refuses any token that has an audience, as it should one that is for somebody else. */
const audienceFor = ({ aud }: JWTPayload, { forUserinfo }: { forUserinfo: boolean }): Pick<AdapterPayload, 'aud'> =>
  forUserinfo && isForRealm(aud) ? {} : { aud };

function confirmation(cnf: unknown): Pick<AdapterPayload, 'jkt' | 'x5t#S256'> {
  if (typeof cnf !== 'object' || cnf === null) return {};
  const jkt = 'jkt' in cnf && typeof cnf.jkt === 'string' ? { jkt: cnf.jkt } : {};
  const x5t = 'x5t#S256' in cnf && typeof cnf['x5t#S256'] === 'string' ? { 'x5t#S256': cnf['x5t#S256'] } : {};
  return { ...jkt, ...x5t };
}

const scopesOf = (claims: JWTPayload): string[] => (typeof claims.scope === 'string' ? claims.scope.split(' ') : []);
