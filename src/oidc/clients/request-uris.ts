/**
 * Requests by reference (`request_uri`, OpenID Connect Core 1.0 section 6.2, RFC 9101 section 5.2): the library knows pushed
 * ones alone. What is at an address is fetched as soon as the client is known, and from then on it is a request by value:
 *
 *     request_uri ─► of this client? ─► asked just now? ─► too often? ─► guarded client ─► `request` ─► request-objects.ts
 *
 * Anybody can send a browser here, and so have us fetch: only what the client has registered, and not often. What is at an
 * address, and whether there is anything, is told to nobody but the log (test/attacks, E09).
 */
import { createHash } from 'node:crypto';
import { decodeJwt, errors as joseErrors } from 'jose';
import { LRUCache } from 'lru-cache';
import Provider, { errors, type KoaContextWithOIDC } from 'oidc-provider';
import type { GuardedAnswer } from '../../http/guarded-client.ts';
import { Pace } from '../../http/pace.ts';
import { REQUEST_BY_VALUE, REQUEST_REQUIRED } from '../../realms/client-credentials.ts';
import { isRequestUriOf, LONGEST_REQUEST_URI, partsOfRequestUri } from '../../realms/request-uris.ts';
import { addressOf } from '../../sessions/addresses.ts';
import type { ClientRow } from '../../store/clients.ts';
import type { RealmRoom } from '../room.ts';
import { TooMany } from '../too-many.ts';
import { rowOf } from './client-metadata.ts';

/** RFC 9126 section 2.2; those are the library's. */
const PUSHED = 'urn:ietf:params:oauth:request_uri:';
/** What was there, or that there was nothing, is believed for so long; milliseconds. */
const KEPT_MS = 10_000;
const KEPT = { max: 500, maxSize: 4 * 1024 * 1024 } as const;
/** As much as a signed request ever is. */
const MAX_BYTES = 32 * 1024;
/** A person waits for the page meanwhile. */
const TIMEOUT_MS = 3_000;
const MINUTE_MS = 60_000;
/** How often one process asks one host in a minute, for all clients of a realm, and how often for one visitor of a client. */
const MOST_OF_A_HOST = 300;
const MOST_OF_A_VISITOR = 30;
/** RFC 9101 section 5.2.3, and what file servers say of a file that they do not know. */
const TYPES: ReadonlySet<string> = new Set([
  ...['application/oauth-authz-req+jwt', 'application/jwt', 'application/jose'],
  ...['text/plain', 'application/octet-stream', ''],
]);

const BY_VALUE = 'this client sends its request objects by value; send request, or have its request.object.required changed';
const UNREADABLE = `request_uri has to be an address of at most ${LONGEST_REQUEST_URI} characters, with nothing behind a # but the base64url of the SHA-256 of what is there`;
const UNREGISTERED =
  'request_uri is not registered for this client; register it in request_uris exactly as it is sent, a fragment excepted, or push the request';
/** One sentence for all of them: whoever registers an address must not learn what is where in our network. */
const UNFETCHED =
  'no request object could be fetched from request_uri; a GET has to be answered within 3 seconds by 200, without a redirect, and the signed JWT alone (application/oauth-authz-req+jwt, 32 KiB), the one whose SHA-256 the fragment names, from a public https address';

/** 429, for a visitor or all of a client's. */
export class TooManyFetched extends TooMany {
  constructor() {
    super('too many request objects were fetched just now; wait as long as Retry-After says');
  }
}

interface Deps extends Pick<RealmRoom, 'fetchGuarded' | 'now'> {
  log: Pick<RealmRoom['log'], 'warn'>;
  context: { realm: { name: string } };
}

/** Who asks, and what the answer says of when to ask again. */
type Visitor = Pick<KoaContextWithOIDC, 'ip'> & { set(field: string, value: string): void };

/** Requests that were looked at, and the request objects of those where it came by reference. */
const looked = new WeakSet<object>();
const fetched = new WeakMap<object, string>();

/** Whether the request object of this request is one that was fetched. */
export const isFetched = (ctx: KoaContextWithOIDC): boolean => fetched.has(ctx.oidc);

/** The request object that was fetched for this request, if one was. */
export const fetchedObject = (ctx: KoaContextWithOIDC): string | undefined => fetched.get(ctx.oidc);

/** To be installed before client-keys.ts, which looks at what is signed. */
export function installRequestUris(provider: Provider, deps: Deps): void {
  const { Client } = provider;
  const find = Client.find.bind(Client);
  const objects = new RequestObjects(deps);
  Client.find = async (id) => {
    const client = await find(id);
    const { ctx } = Provider;
    const params = ctx?.oidc?.params;
    const uri = ctx && params ? referenceOf(ctx) : undefined;
    // The library looks for the client again when it answers an error, ours too.
    if (!client || !ctx || !params || uri === undefined || looked.has(ctx.oidc)) return client;
    looked.add(ctx.oidc);
    if (client.requirePushedAuthorizationRequests) throw new errors.InvalidRequest('Pushed Authorization Request must be used');
    if (client.responseTypes?.length === 0) throw new errors.UnauthorizedClient('requested response_type is not allowed for this client');
    const object = await objects.at(uri, rowOf(client), ctx);
    params.request = object;
    params.request_uri = undefined;
    fetched.set(ctx.oidc, object);
    return client;
  };
  provider.use(async (ctx: KoaContextWithOIDC, next) => {
    await next();
    // The library writes that it has none, whatever it is told.
    if ('oidc' in ctx && ctx.oidc?.route === 'discovery' && typeof ctx.body === 'object')
      Object.assign(ctx.body ?? {}, { request_uri_parameter_supported: true });
  });
}

/** What is to be fetched for a request. */
function referenceOf({ oidc, query }: KoaContextWithOIDC): string | undefined {
  const { params = {}, route } = oidc;
  const { request_uri: uri, request } = params;
  if (route !== 'authorization' || typeof uri !== 'string' || uri.startsWith(PUSHED) || request !== undefined) return undefined;
  // The library has refused it already.
  const isTwice = Object.entries(query).some(([name, value]) => Array.isArray(value) && name !== 'resource' && name in params);
  return isTwice ? undefined : uri;
}

/** What is at addresses of one realm's clients. */
export class RequestObjects {
  readonly #deps: Deps;
  readonly #kept = new LRUCache<string, { at: number; object: string | undefined }>({
    ...KEPT,
    sizeCalculation: ({ object = '' }, key) => object.length + key.length,
  });
  readonly #underWay = new Map<string, Promise<string | undefined>>();
  readonly #hosts: Pace;
  readonly #visitors: Pace;

  constructor(deps: Deps) {
    this.#deps = deps;
    const { now } = deps;
    this.#hosts = new Pace({ most: MOST_OF_A_HOST, withinMs: MINUTE_MS, now });
    this.#visitors = new Pace({ most: MOST_OF_A_VISITOR, withinMs: MINUTE_MS, now });
  }

  /**
   * The request object at that address.
   * @throws 400 `invalid_request_uri`, 429
   */
  async at(uri: string, row: Pick<ClientRow, 'id' | 'clientId' | 'attributes'>, ctx: Visitor): Promise<string> {
    const refuse = (says: string): never => {
      throw new errors.InvalidRequestUri(says);
    };
    if (row.attributes[REQUEST_REQUIRED] === REQUEST_BY_VALUE) refuse(BY_VALUE);
    const { address, digest } = (uri.length > LONGEST_REQUEST_URI ? undefined : partsOfRequestUri(uri)) ?? refuse(UNREADABLE);
    if (!isRequestUriOf(row, address)) refuse(UNREGISTERED);
    const key = `${row.id} ${uri}`;
    const kept = this.#kept.get(key);
    if (kept && this.#deps.now() - kept.at < KEPT_MS) return kept.object ?? refuse(UNFETCHED);
    const underWay = this.#underWay.get(key) ?? this.#begin(key, { address, digest, row }, ctx);
    return (await underWay) ?? refuse(UNFETCHED);
  }

  #begin(key: string, asked: Asked, ctx: Visitor): Promise<string | undefined> {
    // A visitor who has to wait takes nothing from the others.
    if (!this.#visitors.take(`${asked.row.id} ${addressOf(ctx.ip)}`) || !this.#hosts.take(new URL(asked.address).host)) {
      ctx.set('Retry-After', String(MINUTE_MS / 1000));
      throw new TooManyFetched();
    }
    const underWay = this.#ask(asked)
      .then((object) => {
        if (!isOneTime(object)) this.#kept.set(key, { at: this.#deps.now(), object });
        return object;
      })
      .finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, underWay);
    return underWay;
  }

  async #ask({ address, digest, row }: Asked): Promise<string | undefined> {
    const { fetchGuarded, log, context } = this.#deps;
    try {
      const answer = await fetchGuarded(address, {
        headers: { accept: 'application/oauth-authz-req+jwt, application/jwt' },
        maxBytes: MAX_BYTES,
        timeoutMs: TIMEOUT_MS,
      });
      return objectIn(answer, digest);
    } catch (err) {
      log.warn({ realm: context.realm.name, client: row.clientId, address, err }, 'a request object could not be fetched');
      return undefined;
    }
  }
}

interface Asked {
  address: string;
  digest: string | undefined;
  row: Pick<ClientRow, 'id' | 'clientId'>;
}

/** @throws Error, for the log, when there is none */
function objectIn({ status, headers, body }: GuardedAnswer, digest: string | undefined): string {
  const [type = ''] = (headers['content-type'] ?? '').split(';', 1);
  if (status !== 200) throw new Error(`It answers ${status}.`);
  if (!TYPES.has(type.trim().toLowerCase())) throw new Error(`It is ${type.slice(0, 100)}.`);
  if (digest !== undefined && createHash('sha256').update(body).digest('base64url') !== digest)
    throw new Error('It is another than the fragment names.');
  const text = body.toString('latin1').trim();
  // The library says of one without a signature what is wrong with it.
  if (!/^[\w-]+\.[\w-]+\.[\w-]*$/.test(text)) throw new Error('It is no JWT.');
  return text;
}

/** One with a `jti` is good once: the next is another, at the same address. */
function isOneTime(object: string | undefined): boolean {
  if (object === undefined) return false;
  try {
    return decodeJwt(object).jti !== undefined;
  } catch (error) {
    // The library says what is wrong with it.
    if (error instanceof joseErrors.JOSEError) return false;
    throw error;
  }
}
