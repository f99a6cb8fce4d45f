/**
 * What oidc-provider fetches: keys of clients (`jwks_uri`), and whatever else a client's metadata makes it ask for. All of
 * it goes through the guarded client (http/guarded-client.ts), and none of it twice in a row: whoever can make a client fail
 * must not be able to make us hammer somebody (test/attacks, E09).
 */
import { LRUCache } from 'lru-cache';
import Provider, { type KoaContextWithOIDC } from 'oidc-provider';
import type { GuardedAnswer } from '../../http/guarded-client.ts';
import { Pace } from '../../http/pace.ts';
import type { RealmRoom } from '../room.ts';

/** An address is asked once in this time for one client, whatever it answered; milliseconds. Also how soon a key that is not known yet is looked for again. */
export const ASKED_AGAIN_MS = 10_000;
/** How often one host is asked in a minute by one process, for all clients of a realm together. */
const MOST_A_MINUTE = 60;
const MINUTE_MS = 60_000;
/** Sets of keys are a few KiB. */
const MAX_BYTES = 64 * 1024;
/** A client waits for its answer meanwhile. */
const TIMEOUT_MS = 3_000;
/** Addresses of clients that a process remembers. */
const REMEMBERED = 2_000;
/** Of headers the library reads how long it may believe an answer; that is for us to say. */
const PASSED = 'content-type';

/** For which client something is fetched in a request, which the library tells nobody; its client_id. */
const askedFor = new WeakMap<object, string>();

/** Says whose address is about to be asked. */
export function fetchFor({ oidc }: Partial<Pick<KoaContextWithOIDC, 'oidc'>>, clientId: string): void {
  if (oidc) askedFor.set(oidc, clientId);
}

type LibraryFetch = (url: string | URL | Request, options?: RequestInit) => Promise<Response>;

/** The library's `fetch`. What fails is told to nobody but the log. */
export function libraryFetch({ fetchGuarded, log, now }: Pick<RealmRoom, 'fetchGuarded' | 'log' | 'now'>, realm: string): LibraryFetch {
  const asked = new LRUCache<string, { at: number; answer: Promise<GuardedAnswer> }>({ max: REMEMBERED });
  const hosts = new Pace({ most: MOST_A_MINUTE, withinMs: MINUTE_MS, now });

  const ask = async (address: string): Promise<GuardedAnswer> => {
    const { host } = new URL(address);
    if (!hosts.take(host)) throw new Error(`${host} was asked ${MOST_A_MINUTE} times within a minute.`);
    return fetchGuarded(address, { headers: { accept: 'application/json' }, maxBytes: MAX_BYTES, timeoutMs: TIMEOUT_MS });
  };

  return async (url, options) => {
    const address = url instanceof Request ? url.url : String(url);
    // Nothing is sent by the library here; what we send has ways of its own.
    if ((options?.method ?? 'GET') !== 'GET') throw new Error(`The library wanted to send something to ${address}.`);
    const at = now();
    // What was there for another client, which may be gone by now, is old for one that has just registered the same address.
    const key = `${(Provider.ctx && askedFor.get(Provider.ctx.oidc)) ?? ''} ${address}`;
    const before = asked.get(key);
    const current = before && at - before.at < ASKED_AGAIN_MS ? before : { at, answer: ask(address) };
    asked.set(key, current);
    try {
      return responseOf(await current.answer);
    } catch (err) {
      if (current !== before) log.warn({ realm, address, err }, 'what a client names could not be fetched');
      throw err;
    }
  };
}

function responseOf({ status, headers, body }: GuardedAnswer): Response {
  const type = headers[PASSED];
  const passed = type === undefined ? {} : { [PASSED]: type };
  // Statuses that have no body are none that the library takes; a Response of ours may not hold them.
  const shown = status === 200 ? 200 : 502;
  return new Response(new Uint8Array(body), { status: shown, headers: passed });
}
