/**
 * Clients as oidc-provider wants them, from rows that are cached per realm.
 *
 * The library's schema refuses much of what Keycloak's clients register (`/app/*`, https beside a custom scheme, an empty
 * list). It is given one valid placeholder instead, and the real lists travel as extra metadata to a matcher of ours.
 */
import { LRUCache } from 'lru-cache';
import type { AdapterPayload, Provider } from 'oidc-provider';
import { safeEqual } from '../crypto/codes.ts';
import { ALGORITHMS, type Algorithm } from '../realms/keys.ts';
import { type ClientMappers, clientMappers, isShown } from '../realms/mappers/applied.ts';
import { redirectUriAllowed } from '../realms/redirect-uris.ts';
import { type ClientRow, clientByClientId, clientSeal, rotatedSeal, scopesOfClient } from '../store/clients.ts';
import { mappersOf } from '../store/protocol-mappers.ts';
import type { RealmRoom } from './room.ts';

/** How long a cached client is believed, should a notice of its change be lost. */
const FRESH_MS = 5_000;
const PLACEHOLDER = 'https://redirect-uris.invalid/';

/** Names of our extra metadata; the library keeps them as they are. */
export const CLIENT_METADATA = ['cardea_row', 'cardea_rotated'] as const;

export interface OidcClient {
  row: ClientRow;
  /** Scopes that apply unasked and that tokens name, and those that may be asked for. */
  scopes: {
    defaults: string[];
    optional: string[];
  };
  /** What its tokens say. */
  mappers: ClientMappers;
  metadata: AdapterPayload;
}

/** The clients of one realm. */
export class Clients {
  readonly #room: RealmRoom;
  readonly #cache = new LRUCache<string, { client: OidcClient; readAt: number }>({ max: 1_000 });

  constructor(room: RealmRoom) {
    this.#room = room;
  }

  /** The client of that client_id, if there is one and it is switched on. */
  async find(clientId: string): Promise<OidcClient | undefined> {
    const { db, context } = this.#room;
    const now = this.#room.now();
    db.changes.poll();
    const cached = this.#cache.get(clientId);
    if (cached && now - cached.readAt < FRESH_MS) return cached.client;

    const row = await clientByClientId(db.knex, context.realm.id, clientId);
    // A confidential client without a secret, such as the ones that only carry roles, has nothing to authenticate with.
    if (!row?.enabled || (!row.publicClient && row.secret === null)) {
      this.#cache.delete(clientId);
      return undefined;
    }
    // The row is unchanged: what was made of it still holds, and the library knows it by its hash.
    if (cached && cached.client.row.updatedAt === row.updatedAt && cached.client.row.secret === row.secret) {
      cached.readAt = now;
      return cached.client;
    }
    const client = await this.#describe(row);
    this.#cache.set(clientId, { client, readAt: now });
    return client;
  }

  /** Forgets everything: something about the realm's clients changed. */
  clear(): void {
    this.#cache.clear();
  }

  async #describe(row: ClientRow): Promise<OidcClient> {
    const { db, keyring, context } = this.#room;
    const [scopes, own] = await Promise.all([scopesOfClient(db.knex, row.realmId, row.id), mappersOf(db.knex, row.realmId, { client: row.id })]);
    const mappers = clientMappers(context, scopes, own);
    const shown = new Set(context.scopes.filter(isShown).map((scope) => scope.name));
    const secret = row.secret === null ? undefined : await keyring.openText(clientSeal(row), row.secret);
    const rotated = row.rotatedSecret === null ? undefined : await keyring.openText(rotatedSeal(row), row.rotatedSecret);
    const authorizes = row.standardFlow && row.redirectUris.length > 0 && !row.kept.bearerOnly;
    const metadata: AdapterPayload = {
      client_id: row.clientId,
      ...(row.name === null ? {} : { client_name: row.name }),
      ...(secret === undefined ? {} : { client_secret: secret }),
      token_endpoint_auth_method: row.publicClient ? 'none' : 'client_secret_basic',
      grant_types: grantTypesOf(row, authorizes),
      response_types: authorizes ? ['code'] : [],
      redirect_uris: authorizes ? [PLACEHOLDER] : [],
      post_logout_redirect_uris: [],
      scope: ['openid', ...[...scopes.defaults, ...scopes.optional].filter((name) => shown.has(name))].join(' '),
      id_token_signed_response_alg: algorithmOf(row.attributes['id.token.signed.response.alg']),
      ...(row.attributes['require.pushed.authorization.requests'] === 'true' ? { require_pushed_authorization_requests: true } : {}),
      ...(row.attributes['dpop.bound.access.tokens'] === 'true' ? { dpop_bound_access_tokens: true } : {}),
      cardea_row: row,
      ...(rotated === undefined ? {} : { cardea_rotated: rotated }),
    };
    const { defaults, optional } = scopes;
    return { row, scopes: { defaults: defaults.filter((name) => shown.has(name)), optional }, mappers, metadata };
  }
}

/** What a client may ask tokens for; one that only receives them may ask for none. */
function grantTypesOf({ kept, directAccess, serviceAccount, publicClient }: ClientRow, authorizes: boolean): string[] {
  if (kept.bearerOnly) return [];
  return [
    ...(authorizes ? ['authorization_code'] : []),
    ...(directAccess ? ['password'] : []),
    ...(authorizes || directAccess ? ['refresh_token'] : []),
    ...(serviceAccount && !publicClient ? ['client_credentials'] : []),
  ];
}

/** Our row behind a client of the library. */
export function rowOf(client: { [key: string]: unknown } | undefined): ClientRow {
  const row = client?.cardea_row;
  if (!isClientRow(row)) throw new Error('A client of the library has no row of ours.');
  return row;
}

function isClientRow(value: unknown): value is ClientRow {
  return typeof value === 'object' && value !== null && 'clientId' in value && 'redirectUris' in value;
}

/** What a client's access tokens are signed with (Keycloak's attribute); RS256 unless it says otherwise. */
export const accessTokenAlgorithm = (row: ClientRow): Algorithm => algorithmOf(row.attributes['access.token.signed.response.alg']);

const algorithmOf = (name: string | undefined): Algorithm => ALGORITHMS.find((algorithm) => algorithm === name) ?? 'RS256';

/** Seconds that an attribute says, such as access.token.lifespan; undefined where it says nothing that counts. */
export function secondsOf(row: ClientRow, attribute: string): number | undefined {
  const seconds = Number(row.attributes[attribute] ?? 0);
  return Number.isSafeInteger(seconds) && seconds > 0 ? seconds : undefined;
}

/** What relative addresses stand behind: the root URL, in which exported realms name us by a placeholder, or our own origin. */
const rootOf = (row: ClientRow, origin: string): string => row.rootUrl?.replace(/^\$\{auth(?:Base|Admin)Url\}/, origin) ?? origin;

/** `+`, or none, stands for the redirect URIs, as in Keycloak; `-` for nowhere. */
function postLogoutUris({ postLogoutRedirectUris, redirectUris }: ClientRow): string[] {
  if (postLogoutRedirectUris.length === 0) return redirectUris;
  return postLogoutRedirectUris.flatMap((one) => (one === '+' ? redirectUris : one === '-' ? [] : [one]));
}

/** Puts our matchers in the place of the library's, for this realm's Provider. */
export function installMatchers(provider: Provider, origin: string, now: () => number): void {
  const prototype = provider.Client.prototype;
  // The secret of before is good for a while. Both are always compared, so that time does not tell which one it was.
  prototype.compareClientSecret = function compareSecrets(actual: string): boolean {
    const row = rowOf(this);
    const isCurrent = safeEqual(this.clientSecret ?? '', actual);
    const before = typeof this.cardea_rotated === 'string' ? this.cardea_rotated : '';
    const isBefore = safeEqual(before, actual) && before !== '' && (row.rotatedUntil ?? 0) > now();
    return isCurrent || isBefore;
  };
  prototype.redirectUriAllowed = function redirectUriAllowedHere(uri: string): boolean {
    const row = rowOf(this);
    return typeof uri === 'string' && redirectUriAllowed(row.redirectUris, uri, { rootUrl: rootOf(row, origin), anyLoopbackPort: row.publicClient });
  };
  prototype.postLogoutRedirectUriAllowed = function postLogoutRedirectUriAllowedHere(uri: string): boolean {
    const row = rowOf(this);
    return (
      typeof uri === 'string' && redirectUriAllowed(postLogoutUris(row), uri, { rootUrl: rootOf(row, origin), anyLoopbackPort: row.publicClient })
    );
  };
  // Every client gets a sid: logout and our own session checks need it.
  prototype.includeSid = () => true;
}
