/**
 * Traefik, played: there is no package of it where the tests run. It does with examples/traefik/wiki.yml what Traefik's
 * documentation and source say that it does: routers by host and path, the longest rule first; paths tidied before
 * anything else; ForwardAuth; `replacePathRegex`; an entry point that drops names of headers which stand for others.
 */
import { readFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { posix } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { atEnd } from './cleanup.ts';
import type { ProxyPlaces } from './nginx.ts';
import { exampleWith } from './programs.ts';

const configuration = z.object({
  http: z.strictObject({
    middlewares: z.strictObject({
      cardea: z.strictObject({
        forwardAuth: z.strictObject({ address: z.url(), trustForwardHeader: z.boolean(), authResponseHeaders: z.array(z.string()) }),
      }),
      'cardea-pages': z.strictObject({ replacePathRegex: z.strictObject({ regex: z.string(), replacement: z.string() }) }),
    }),
    routers: z.record(
      z.string(),
      z.strictObject({
        rule: z.string(),
        entryPoints: z.array(z.literal('websecure')),
        tls: z.strictObject({}),
        middlewares: z.tuple([z.enum(['cardea', 'cardea-pages'])]),
        service: z.string(),
      }),
    ),
    services: z.record(z.string(), z.strictObject({ loadBalancer: z.strictObject({ servers: z.tuple([z.strictObject({ url: z.url() })]) }) })),
  }),
  tls: z.object({}),
});
type Configuration = z.infer<typeof configuration>['http'];

interface Asked {
  method: string;
  /** As it is passed on. */
  target: string;
  host: string;
  headers: Record<string, string[]>;
  body: Buffer;
}

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/**
 * Starts it before a site, at https; it is closed after the last test of the file.
 * @param isTrusting whether its entry point believes the `X-Forwarded-…` of whoever asks (`forwardedHeaders`)
 */
export async function startTraefik({ listen, realm, cardea, site, tls }: ProxyPlaces, { isTrusting = false } = {}): Promise<void> {
  const text = exampleWith('traefik/wiki.yml', [
    ['wiki.example.com', listen],
    ['127.0.0.1:8080', cardea],
    ['127.0.0.1:3000', site],
    ['/realms/staff/', `/realms/${realm}/`],
  ]);
  const { http } = configuration.parse(parse(text));
  const server = createServer({ cert: readFileSync(tls.certificate), key: readFileSync(tls.key) }, (incoming, outgoing) => {
    serve(http, isTrusting, incoming, outgoing).catch((error: unknown) => outgoing.writeHead(502).end(String(error)));
  });
  const [host, port] = listen.split(':');
  await new Promise<void>((resolve) => server.listen(Number(port), host, resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
}

async function serve(http: Configuration, isTrusting: boolean, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const target = tidied(incoming.url ?? '/');
  const { host = '' } = incoming.headers;
  const router = routerFor(http, host, target);
  if (!router) return void outgoing.writeHead(404).end();
  const asked: Asked = { method: incoming.method ?? 'GET', target, host, headers: endToEnd(named(incoming)), body: Buffer.concat(chunks) };
  if (!isTrusting) for (const name of Object.keys(asked.headers)) if (name.startsWith('x-forwarded-')) delete asked.headers[name];
  const forwarded = { 'x-forwarded-host': [host], 'x-forwarded-proto': ['https'], 'x-forwarded-for': [incoming.socket.remoteAddress ?? ''] };
  if (router.middlewares[0] === 'cardea') {
    const refused = await forwardAuth(http.middlewares.cardea.forwardAuth, asked, forwarded);
    if (refused) return answerWith(outgoing, refused);
  } else asked.target = replaced(http.middlewares['cardea-pages'].replacePathRegex, target);
  const url = http.services[router.service]?.loadBalancer.servers[0].url ?? '';
  answerWith(outgoing, await passOn(url, { ...asked, headers: { ...asked.headers, ...forwarded } }));
}

/** Unreserved characters are decoded, and dots and doubled slashes taken out, before anything else looks (`sanitizePath`). */
function tidied(target: string): string {
  const [path = '', ...query] = target.split('?');
  const decoded = path.replace(/%([0-9a-f]{2})/gi, (whole, hex: string) => {
    const sign = String.fromCharCode(Number.parseInt(hex, 16));
    return /[\w.~-]/.test(sign) ? sign : whole.toUpperCase();
  });
  return [posix.normalize(decoded), ...query].join('?');
}

/** The longest rule that fits. */
function routerFor(http: Configuration, host: string, target: string): Configuration['routers'][string] | undefined {
  return Object.values(http.routers)
    .toSorted((one, other) => other.rule.length - one.rule.length)
    .find(({ rule }) => {
      const parts = /^Host\(`([^`]+)`\)(?: && PathPrefix\(`([^`]+)`\))?$/.exec(rule);
      if (!parts) throw new Error(`A rule that is not played: ${rule}`);
      return parts[1] === host.toLowerCase() && target.startsWith(parts[2] ?? '/');
    });
}

/** `aliasHeadersStrategy: delete`: names with another sign than letters, digits and dashes. */
const named = (incoming: IncomingMessage): Record<string, string[]> =>
  Object.fromEntries(
    Object.entries(incoming.headersDistinct).flatMap(([name, values]) => (/^[a-z\d-]+$/.test(name) && values ? [[name, values]] : [])),
  );

const HOP = ['connection', 'keep-alive', 'te', 'trailers', 'transfer-encoding', 'upgrade', 'host', 'content-length'];

/** What `Connection` names ends at the entry point, before anything is asked. */
function endToEnd(headers: Record<string, string[]>): Record<string, string[]> {
  const named = (headers.connection ?? []).flatMap((line) => line.split(',').map((name) => name.trim().toLowerCase()));
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP.includes(name) && !named.includes(name)));
}

/** Asks; what is no 2xx is the answer to the browser, and of a 2xx the named headers take the place of those that came. */
async function forwardAuth(
  { address, trustForwardHeader, authResponseHeaders }: Configuration['middlewares']['cardea']['forwardAuth'],
  asked: Asked,
  forwarded: Record<string, string[]>,
): Promise<Answer | undefined> {
  const own = { ...forwarded, 'x-forwarded-uri': [asked.target], 'x-forwarded-method': [asked.method] };
  const trusted = Object.fromEntries(
    Object.keys(own).flatMap((name) => (trustForwardHeader && asked.headers[name] ? [[name, asked.headers[name]]] : [])),
  );
  const { origin, pathname, search } = new URL(address);
  const headers = { ...asked.headers, ...own, ...trusted };
  const answer = await passOn(origin, { method: 'GET', target: `${pathname}${search}`, host: '', headers, body: Buffer.alloc(0) });
  if (answer.status < 200 || answer.status > 299) return answer;
  for (const name of authResponseHeaders.map((one) => one.toLowerCase())) {
    delete asked.headers[name];
    const value = answer.headers[name];
    if (value !== undefined) asked.headers[name] = [value].flat();
  }
  return undefined;
}

function replaced({ regex, replacement }: { regex: string; replacement: string }, target: string): string {
  const [path = '', ...query] = target.split('?');
  return [path.replace(new RegExp(regex), replacement), ...query].join('?');
}

function passOn(to: string, { method, target, host, headers, body }: Asked): Promise<Answer> {
  const { hostname, port, host: at } = new URL(to);
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname, port, method, path: target, headers: { ...headers, host: host || at }, agent: false });
    sent.once('response', (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.once('end', () => resolve({ status: answer.statusCode ?? 502, headers: answer.headers, body: Buffer.concat(chunks) }));
    });
    sent.once('error', reject).end(body);
  });
}

function answerWith(outgoing: ServerResponse, { status, headers, body }: Answer): void {
  const { 'transfer-encoding': _coded, connection: _connection, 'content-length': _length, ...passed } = headers;
  outgoing.writeHead(status, passed).end(body);
}
