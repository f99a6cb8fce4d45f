/**
 * What a proxy says of the request that it asks about. Each header counts only when it is there once: two of a kind say
 * that somebody else has added one. What is missing or ambiguous is no answer, and then nobody gets in.
 */
import type { IncomingMessage } from 'node:http';
import { type GatePath, pathOfTarget, readGatePath } from '../policy/gate-paths.ts';
import { OWN_PATH } from './room.ts';

/** The path as the proxy has normalised it: decoded once, without a query. */
const PATH_HEADER = 'x-cardea-path';
/** The address as the browser wrote it. */
const TARGET_HEADER = 'x-forwarded-uri';

/** What is longer leads back to the start of the site. */
const MAX_TARGET = 2_000;

/** The one value of a header, in UTF-8; undefined for none, for several, and for what is no text. */
function header(request: IncomingMessage, name: string): string | undefined {
  const values = request.headersDistinct[name];
  const [value] = values ?? [];
  if (values?.length !== 1 || value === undefined) return undefined;
  try {
    // Node reads headers byte by byte.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(value, 'latin1'));
  } catch {
    return undefined;
  }
}

/** The origin of the protected host, such as `https://wiki.example.com`. */
export function originAsked(request: IncomingMessage): string | undefined {
  const host = header(request, 'x-forwarded-host');
  const proto = header(request, 'x-forwarded-proto');
  if (host === undefined || (proto !== 'https' && proto !== 'http')) return undefined;
  if (!/^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i.test(host)) return undefined;
  return URL.parse(`${proto}://${host}`)?.origin;
}

/**
 * The path that is asked for.
 * @param fromTarget the proxy cannot say a path of its own (Traefik, Caddy): the address as it passes it on is read instead
 */
export function pathAsked(request: IncomingMessage, { fromTarget }: { fromTarget: boolean }): GatePath | undefined {
  const text = header(request, fromTarget ? TARGET_HEADER : PATH_HEADER);
  const path = text === undefined ? undefined : fromTarget ? pathOfTarget(text) : text;
  return path === undefined ? undefined : readGatePath(path);
}

/** Where to come back to after a sign-in: the address that was asked for, or at least its path. */
export function targetAsked(request: IncomingMessage, path: GatePath): string {
  const target = ownTarget(header(request, TARGET_HEADER));
  return target?.target ?? path.plain.split('/').map(encodeURIComponent).join('/');
}

/** An address of the protected host, and nowhere else: a path with perhaps a query. Undefined for anything else. */
export function ownTarget(target: string | undefined): { target: string; path: GatePath } | undefined {
  if (target === undefined || target.length > MAX_TARGET || !/^\/(?!\/)[\x21-\x7e]*$/.test(target) || /[\\#]/.test(target)) return undefined;
  const text = pathOfTarget(target);
  const path = text === undefined ? undefined : readGatePath(text);
  if (!path || path.folded === OWN_PATH || path.folded.startsWith(`${OWN_PATH}/`)) return undefined;
  const url = URL.parse(target, 'http://site.invalid');
  return url?.origin === 'http://site.invalid' ? { target, path } : undefined;
}

/**
 * Whether somebody looks at a page, who can be sent to sign in; a program or a WebSocket could not follow
 * (Fetch Metadata Request Headers, section 2.2).
 */
export function isNavigation(request: IncomingMessage): boolean {
  const mode = request.headers['sec-fetch-mode'];
  if (mode !== undefined) return mode === 'navigate';
  if (request.headers['sec-websocket-key'] !== undefined || request.headers['x-requested-with'] !== undefined) return false;
  const method = header(request, 'x-forwarded-method') ?? 'GET';
  return (method === 'GET' || method === 'HEAD') && (request.headers.accept ?? '').toLowerCase().includes('text/html');
}
