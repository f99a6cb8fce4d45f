/**
 * The one way in which the server fetches an address that somebody else chose: webhooks, keys of clients, sector
 * identifiers, request objects, logos, back-channel logouts. An administrator of one realm, or whoever registers a client,
 * must not be able to make the server read or touch what only the server can reach (test/attacks, E09).
 *
 *     address ─► https, no credentials ─► resolved once ─► every address allowed ─► connected to one of these ─► bounded answer
 *
 * What is connected to is what was looked at: the name is not resolved a second time, and no proxy of the environment is
 * used. Every failure that depends on the network looks alike to whoever chose the address; the cause is for the log.
 */
import { lookup } from 'node:dns/promises';
import { isIP, isIPv4, type LookupFunction } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { AllowedTarget } from '../config/outbound.ts';
import { AppError } from '../errors.ts';
import { allowsAddress, allowsHttp, hostOf, portOf } from './outbound-rules.ts';

export interface GuardedRequest {
  method?: 'GET' | 'POST';
  headers?: Readonly<Record<string, string>>;
  body?: string;
  /** From the first look at the name to the last byte of the answer, milliseconds. */
  timeoutMs?: number;
  /** Of the answer's body, as it comes and as it is when decompressed. */
  maxBytes?: number;
  /** How many redirects of a GET within the same origin are followed; none by default. */
  redirects?: number;
}

export interface GuardedAnswer {
  status: number;
  /** Names in lower case; several values of one name are joined by a comma. */
  headers: Readonly<Record<string, string>>;
  body: Buffer;
}

/**
 * Fetches an address, or throws an AppError:
 * - `outbound_refused` the address itself is not one that may be fetched, whatever there is; the message says why
 * - `outbound_unreachable` nothing was sent: no such name, nobody there, or nobody whom the server may reach
 * - `outbound_failed` something was sent, and no answer came that can be used: a redirect, too large, too late
 */
export type FetchGuarded = (address: string, init?: GuardedRequest) => Promise<GuardedAnswer>;

/** All addresses of a name, as the operating system has them. */
export type Resolve = (hostname: string) => Promise<readonly { address: string; family: number }[]>;

const TIMEOUT_MS = 5_000;
/** Keys, metadata and answers of webhooks are a few KiB. */
const MAX_BYTES = 256 * 1024;
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_ADDRESS = 2_048;

const DECOMPRESS: Readonly<Record<string, () => Duplex>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/** @param options.resolve in place of the operating system's; asked once for each connection */
export function createGuardedClient(options: { allow: readonly AllowedTarget[]; resolve?: Resolve }): FetchGuarded {
  const { allow, resolve = (hostname) => lookup(hostname, { all: true }) } = options;
  return async (address, init = {}) => {
    const signal = AbortSignal.timeout(init.timeoutMs ?? TIMEOUT_MS);
    let url = requireFetchable(address, allow);
    for (let left = init.redirects ?? 0; ; left -= 1) {
      const answer = await fetchOnce(url, init, { allow, resolve, signal });
      if (!isRedirect(answer.status)) return answer;
      url = redirectTarget(url, answer, left > 0 && init.method !== 'POST', allow);
    }
  };
}

interface Means {
  allow: readonly AllowedTarget[];
  resolve: Resolve;
  signal: AbortSignal;
}

async function fetchOnce(url: URL, init: GuardedRequest, means: Means): Promise<GuardedAnswer> {
  const { signal } = means;
  const addresses = await allowedAddresses(url, means);
  // Loaded here, because most of a small installation's life passes without it.
  const { Client } = await import('undici');
  // One connection for one request: one that was kept would go on to an address that was looked at long ago.
  const client = new Client(url.origin, {
    // A client that is destroyed lets go of its sockets, but not of one that is still connecting.
    connect: { lookup: pinnedTo(addresses), timeout: init.timeoutMs ?? TIMEOUT_MS },
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  let connected = false;
  client.on('connect', () => {
    connected = true;
  });
  try {
    const answer = await client.request({
      path: `${url.pathname}${url.search}`,
      method: init.method ?? 'GET',
      headers: { 'user-agent': 'Cardea', 'accept-encoding': 'identity', ...init.headers },
      body: init.body ?? null,
      reset: true,
      signal,
    });
    const headers = headersOf(answer.headers);
    return { status: answer.statusCode, headers, body: await boundedBody(answer.body, headers, init.maxBytes ?? MAX_BYTES, signal) };
  } catch (cause) {
    throw connected ? failed(cause) : unreachable(cause);
  } finally {
    client.destroy().catch(() => undefined);
  }
}

/**
 * What can be said of an address without looking at the network, for whoever stores one.
 * @throws AppError `outbound_refused`
 */
export function requireFetchable(address: string, allow: readonly AllowedTarget[]): URL {
  const url = address.length > MAX_ADDRESS ? null : URL.parse(address);
  if (url === null || !['https:', 'http:'].includes(url.protocol)) throw refused('The address is not an https address.');
  if (url.username !== '' || url.password !== '') throw refused('The address holds a user name or a password.');
  // The URL standard reads 0x7f.1, 2130706433 and full-width digits as 127.0.0.1. Nobody writes such an address who means well.
  if (/[\s\\\p{Cc}]/u.test(address) || (isIPv4(url.hostname) && !writesHostAs(address, url)))
    throw refused('The address is written in a way that is read differently by different programs.');
  if (url.protocol === 'http:' && !allowsHttp(allow, url))
    throw refused('The address is not an https address. Plain http is for hosts that the installation allows by name (CARDEA_OUTBOUND_ALLOW).');
  return url;
}

const writesHostAs = (address: string, { protocol, hostname }: URL): boolean => {
  const start = `${protocol}//${hostname}`;
  return address.toLowerCase().startsWith(start) && /^(?:$|[:/?#])/.test(address.slice(start.length));
};

async function allowedAddresses(url: URL, { allow, resolve, signal }: Means): Promise<readonly { address: string; family: number }[]> {
  const host = hostOf(url);
  const family = isIP(host);
  const found =
    family === 0
      ? await untilAborted(resolve(host), signal).catch((cause: unknown) => Promise.reject(unreachable(cause)))
      : [{ address: host, family }];
  if (found.length === 0) throw unreachable(new Error('The name has no address.'));
  const forbidden = found.filter(({ address }) => isIP(address) === 0 || !allowsAddress(allow, url, address));
  if (forbidden.length > 0) {
    const where = `${forbidden.map(({ address }) => address).join(', ')} at port ${portOf(url)}`;
    throw unreachable(new Error(`${host} is at ${where}, which CARDEA_OUTBOUND_ALLOW does not name.`));
  }
  return found;
}

/** Answers a second look at the name with what the first one found. */
function pinnedTo(addresses: readonly { address: string; family: number }[]): LookupFunction {
  return (_hostname, { all }, callback) => {
    const [first] = addresses;
    if (all) callback(null, [...addresses]);
    else callback(first ? null : new Error('no address'), first?.address ?? '', first?.family);
  };
}

async function boundedBody(body: Readable, headers: Readonly<Record<string, string>>, maxBytes: number, signal: AbortSignal): Promise<Buffer> {
  const coding = headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  const chunks: Buffer[] = [];
  const bounded = () => {
    let bytes = 0;
    return async function* (source: AsyncIterable<Buffer>) {
      for await (const chunk of source) {
        bytes += chunk.length;
        if (bytes > maxBytes) throw new Error(`The answer is larger than ${maxBytes} bytes.`);
        yield chunk;
      }
    };
  };
  const collect = async (source: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of source) chunks.push(chunk);
  };
  const decompress = Object.hasOwn(DECOMPRESS, coding) ? DECOMPRESS[coding] : undefined;
  if (decompress) await pipeline(body, bounded(), decompress(), bounded(), collect, { signal });
  else if (coding === 'identity' || coding === '') await pipeline(body, bounded(), collect, { signal });
  else throw new Error(`The answer has the coding ${coding}.`);
  return Buffer.concat(chunks);
}

const isRedirect = (status: number): boolean => status >= 300 && status < 400 && status !== 304;

function redirectTarget(from: URL, { headers }: GuardedAnswer, follow: boolean, allow: readonly AllowedTarget[]): URL {
  const to = headers.location === undefined ? null : URL.parse(headers.location, from.href);
  if (!follow || to?.origin !== from.origin) throw failed(new Error(`It redirects to ${to?.href ?? 'nowhere'}.`));
  return requireFetchable(to.href, allow);
}

function headersOf(raw: Record<string, string | string[] | undefined>): Record<string, string> {
  const named = Object.entries(raw).map(([name, value]): [string, string] => [
    name.toLowerCase(),
    Array.isArray(value) ? value.join(', ') : (value ?? ''),
  ]);
  return Object.fromEntries(named);
}

/** The operating system's resolver cannot be told to stop; nobody waits for it any longer. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = (): void => reject(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

const refused = (message: string): AppError => new AppError({ code: 'outbound_refused', status: 400, message });
// One sentence for all of them: whoever chose the address must not learn what is where in our network.
const unreachable = (cause: unknown): AppError =>
  new AppError({ code: 'outbound_unreachable', status: 502, message: 'The address cannot be reached from here.', cause });
const failed = (cause: unknown): AppError =>
  new AppError({ code: 'outbound_failed', status: 502, message: 'The address did not answer as it should.', cause });
