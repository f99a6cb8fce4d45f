/**
 * Clients as oidc-provider wants them, from rows that are cached per realm.
 */
import { LRUCache } from 'lru-cache';
import type { AdapterPayload, Provider } from 'oidc-provider';
import { safeEqual } from '../../crypto/codes.ts';
import { type Authentication, authenticationOf, BOUND, usesSecret } from '../../realms/client-credentials.ts';
import { type ClientMappers, clientMappers, isShown } from '../../realms/mappers/applied.ts';
import { redirectUriAllowed, rootOf } from '../../realms/redirect-uris.ts';
import { type ClientRow, clientByClientId, clientSeal, rotatedSeal, scopesOfClient } from '../../store/clients.ts';
import { mappersOf } from '../../store/protocol-mappers.ts';
import type { RealmRoom } from '../room.ts';
import { isOn, metadataOf, rowOf } from './client-metadata.ts';
import { authenticatesByTls } from './mtls.ts';

/** How long a cached client is believed, should a notice of its change be lost. */
const FRESH_MS = 5_000;

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
  /** How often everything was forgotten. */
  #forgotten = 0;

  constructor(room: RealmRoom) {
    this.#room = room;
  }

  /** The client of that client_id, if there is one and it is switched on. */
  async find(clientId: string): Promise<OidcClient | undefined> {
    // Anybody may ask for it, and PostgreSQL cannot be asked: no client is called so.
    if (clientId.includes('\0')) return undefined;
    const { db, context } = this.#room;
    const now = this.#room.now();
    db.changes.poll();
    const cached = this.#cache.get(clientId);
    if (cached && now - cached.readAt < FRESH_MS) return cached.client;
    const forgotten = this.#forgotten;

    const row = await clientByClientId(db.knex, context.realm.id, clientId);
    const authentication = row && this.#authentication(row);
    // A confidential client without a secret and without keys, such as the ones that only carry roles, has nothing to authenticate with.
    if (!row?.enabled || !authentication) {
      this.#cache.delete(clientId);
      return undefined;
    }
    // The row is unchanged: what was made of it still holds, and the library knows it by its hash.
    if (cached && cached.client.row.updatedAt === row.updatedAt && cached.client.row.secret === row.secret) {
      cached.readAt = now;
      return cached.client;
    }
    const client = await this.#describe(row, authentication);
    // What was changed while this was read may stand in no row of the client's own, and would never be noticed.
    if (forgotten === this.#forgotten) this.#cache.set(clientId, { client, readAt: now });
    return client;
  }

  /** Whom tokens are for: any client that is switched on, be there anything to authenticate it with or not, and what its tokens may name. */
  async receiver(clientId: string): Promise<{ row: ClientRow; scopes: string[] } | undefined> {
    const { db, context } = this.#room;
    const known = await this.find(clientId);
    const row = known?.row ?? (await clientByClientId(db.knex, context.realm.id, clientId));
    if (!row?.enabled) return undefined;
    const { defaults, optional } = known?.scopes ?? (await scopesOfClient(db.knex, row.realmId, row.id));
    const shown = new Set(context.scopes.filter(isShown).map((scope) => scope.name));
    return { row, scopes: [...defaults, ...optional].filter((name) => shown.has(name)) };
  }

  /** Forgets everything: something about the realm's clients changed. */
  clear(): void {
    this.#forgotten += 1;
    this.#cache.clear();
  }

  /** How a client says who it is; undefined for one that cannot, or whose tokens could not be bound as they have to be. */
  #authentication(row: ClientRow): Authentication | undefined {
    if (isOn(row, BOUND) && this.#room.clientCertificates === undefined) return undefined;
    return authenticationOf(row, { tls: { passed: this.#room.clientCertificates !== undefined, vouchedFor: authenticatesByTls(this.#room) } });
  }

  async #describe(row: ClientRow, authentication: Authentication): Promise<OidcClient> {
    const { db, keyring, context } = this.#room;
    const [scopes, own] = await Promise.all([scopesOfClient(db.knex, row.realmId, row.id), mappersOf(db.knex, row.realmId, { client: row.id })]);
    const mappers = clientMappers(context, scopes, own);
    const shown = new Set(context.scopes.filter(isShown).map((scope) => scope.name));
    const secret = row.secret === null || !usesSecret(row) ? undefined : await keyring.openText(clientSeal(row), row.secret);
    const rotated = row.rotatedSecret === null || !usesSecret(row) ? undefined : await keyring.openText(rotatedSeal(row), row.rotatedSecret);
    const all = [...scopes.defaults, ...scopes.optional].filter((name) => shown.has(name));
    const algorithm = context.realm.settings.defaultSignatureAlgorithm;
    const metadata = metadataOf(row, { secret, rotated, scopes: all, authentication, algorithm });
    const { defaults, optional } = scopes;
    return { row, scopes: { defaults: defaults.filter((name) => shown.has(name)), optional }, mappers, metadata };
  }
}

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
    const current = this.clientSecret ?? '';
    // An empty one is none, and nobody has it.
    const isCurrent = safeEqual(current, actual) && current !== '';
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
