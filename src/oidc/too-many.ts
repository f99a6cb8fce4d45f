/** What is asked of the library too often: sign-ins that are begun and left behind, and client secrets that are guessed at. */
import { LRUCache } from 'lru-cache';
import { errors, type KoaContextWithOIDC } from 'oidc-provider';
import { inEnglish, type Words } from '../languages/messages.ts';
import { subjectsOf } from '../sessions/throttle.ts';
import { countFailure } from '../store/attempts.ts';
import type { RealmRoom } from './room.ts';

/** After how many seconds trying again makes sense; sign-ins that were left behind end one by one. */
const OPEN_RETRY_AFTER = 60;

/** 429, which is shown here: to send the browser back would only bring it here again. */
export class TooMany extends errors.OIDCProviderError {
  /** The description, for pages. */
  readonly said: Words;

  constructor(description: Words) {
    super(429, 'temporarily_unavailable');
    this.said = description;
    this.error_description = inEnglish(description);
    this.allow_redirect = false;
  }
}

/** An address has as many sign-ins open as it may. */
export function tooManySignIns(ctx: KoaContextWithOIDC): Error {
  ctx.set('Retry-After', String(OPEN_RETRY_AFTER));
  return new TooMany('too many sign-ins were begun from your network and not finished');
}

/** Endpoints at which clients authenticate themselves. */
const ROUTES = new Set([
  'token',
  'introspection',
  'revocation',
  'pushed_authorization_request',
  'device_authorization',
  'backchannel_authentication',
]);
/** No client is called so. */
const NOBODY = '';
/** Of how many clients and addresses a process remembers that they have to wait. */
const REMEMBERED = 10_000;

/**
 * Failures of client authentication, by client and address. A right secret is not counted, and costs no query: that one
 * has to wait is known from the failure that brought it, each process for itself. So what comes while that failure is
 * being counted is still compared, and another process compares one more before it knows. A secret has to be a long one
 * anyway; this is for those that are not.
 */
export class ClientFailures {
  readonly #room: RealmRoom;
  /** From when on the next attempt is let through, by subject. */
  readonly #freeAt = new LRUCache<string, number>({ max: REMEMBERED });
  /** The client that a request says it is of. */
  readonly #asked = new WeakMap<object, string>();

  constructor(room: RealmRoom) {
    this.#room = room;
  }

  /**
   * A request names a client. Names that nobody has are counted together, or whoever makes them up would fill a table with them.
   * @throws 429 while that client has to wait at this address
   */
  begin(ctx: KoaContextWithOIDC, clientId: string = NOBODY): void {
    if (!ROUTES.has(ctx.oidc.route)) return;
    this.#asked.set(ctx.oidc, clientId);
    const wait = this.#freeAt.size === 0 ? 0 : (this.#freeAt.get(this.#subject(ctx, clientId)) ?? 0) - this.#room.now();
    if (wait <= 0) return;
    this.#asked.delete(ctx.oidc);
    ctx.set('Retry-After', String(Math.ceil(wait / 1000)));
    throw new TooMany('too many failed authentications of this client; wait as long as Retry-After says');
  }

  /** A client has shown who it is: what is refused after that is not its failure. */
  passed(ctx: KoaContextWithOIDC): void {
    this.#asked.delete(ctx.oidc);
  }

  /** A request was answered. */
  async end(ctx: KoaContextWithOIDC): Promise<void> {
    const clientId = this.#asked.get(ctx.oidc);
    if (clientId === undefined || ctx.status !== 401) return;
    const { db, context, now } = this.#room;
    const subject = this.#subject(ctx, clientId);
    const { failures, within } = context.realm.settings.throttling.client;
    const at = now();
    const freeAt = await countFailure(db.knex, { subject, failures, withinMs: within * 1000 }, { realmId: context.realm.id, now: at });
    if (freeAt > at) this.#freeAt.set(subject, freeAt);
  }

  #subject(ctx: KoaContextWithOIDC, clientId: string): string {
    return subjectsOf(this.#room.context.rootSecret).client(clientId, ctx.ip);
  }
}
