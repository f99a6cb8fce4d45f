/**
 * Calls to our own realms that a relying party of ours makes: they go to the socket that we listen on, with the Host of the
 * configured origin. Inside a container the public origin may not resolve, or may lead out to a proxy and back.
 *
 * The Fetch API lets nobody set Host, hence node:http.
 */
import { request } from 'node:http';
import { LRUCache } from 'lru-cache';
import * as client from 'openid-client';
import { issuerOf } from '../realms/issuer.ts';

/** Our own metadata, keys and tokens are a few KiB; whatever answers more is not us. */
const MAX_BYTES = 256 * 1024;
/** Answers that the Fetch API knows without a body. */
const BODILESS = new Set([204, 205, 304]);

/** Metadata of a realm changes with a release, not by itself. */
const METADATA_MS = 10 * 60_000;

/**
 * Relying parties of ours as openid-client knows them: public clients of their realm, which verify the signature of ID
 * tokens though they come straight from the token endpoint.
 *
 * Each call answers a configuration of its own, and so asks for the realm's keys anew: after a rotation none is missed.
 */
export function ownClients(options: { origin: string; listening(): string }): (realmName: string, clientId: string) => Promise<client.Configuration> {
  const call = backChannel(options);
  const insecure = options.origin.startsWith('http:') ? [client.allowInsecureRequests] : [];
  const metadata = new LRUCache<string, client.ServerMetadata>({ max: 1_000, ttl: METADATA_MS });

  async function metadataOf(issuer: string, clientId: string): Promise<client.ServerMetadata> {
    const found = await client.discovery(new URL(issuer), clientId, undefined, client.None(), { [client.customFetch]: call, execute: insecure });
    // Without the functions that the library adds to it.
    const plain: client.ServerMetadata = JSON.parse(JSON.stringify(found.serverMetadata()));
    metadata.set(issuer, plain);
    return plain;
  }

  return async (realmName, clientId) => {
    const issuer = issuerOf(options.origin, realmName);
    const configuration = new client.Configuration(metadata.get(issuer) ?? (await metadataOf(issuer, clientId)), clientId, undefined, client.None());
    configuration[client.customFetch] = call;
    for (const execute of [...insecure, client.enableNonRepudiationChecks]) execute(configuration);
    return configuration;
  };
}

/**
 * A `fetch` for openid-client.
 * @param options.origin the configured one: every address asked for has to lie under it
 * @param options.listening answers the base URL of our own listener, such as `http://0.0.0.0:8080`
 */
export function backChannel(options: { origin: string; listening(): string }): client.CustomFetch {
  const { host } = new URL(options.origin);
  return async (address, { method, headers, body, signal }) => {
    const url = new URL(address);
    if (url.origin !== options.origin) throw new Error(`A relying party of ours was told to call ${url.origin}, which is not its own origin.`);
    const { hostname, port } = new URL(options.listening());
    const form = textOf(body);
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const call = request({
      hostname: reachable(hostname),
      port,
      method,
      path: `${url.pathname}${url.search}`,
      headers: { ...headers, host, ...(form === undefined ? {} : { 'content-length': Buffer.byteLength(form) }) },
      agent: false,
      signal,
    });
    call.once('error', reject);
    call.once('response', (answer) => {
      const chunks: Buffer[] = [];
      let length = 0;
      answer.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > MAX_BYTES) call.destroy(new Error('An answer on the back channel is larger than any of ours.'));
        else chunks.push(chunk);
      });
      answer.once('error', reject);
      answer.once('end', () => {
        const status = answer.statusCode ?? 502;
        resolve(new Response(BODILESS.has(status) ? null : Buffer.concat(chunks), { status, headers: headersOf(answer.rawHeaders) }));
      });
    });
    call.end(form);
    return promise;
  };
}

/** Who listens on every address is called on the loopback. */
function reachable(hostname: string): string {
  if (hostname === '0.0.0.0') return '127.0.0.1';
  const bare = hostname.replace(/^\[|\]$/g, '');
  return bare === '::' ? '::1' : bare;
}

function textOf(body: Parameters<client.CustomFetch>[1]['body']): string | undefined {
  if (body === undefined || body === null) return undefined;
  if (typeof body === 'string' || body instanceof URLSearchParams) return body.toString();
  throw new Error('Only forms are sent on the back channel.');
}

function headersOf(raw: readonly string[]): Headers {
  const headers = new Headers();
  for (let at = 0; at + 1 < raw.length; at += 2) headers.append(raw[at] ?? '', raw[at + 1] ?? '');
  return headers;
}
