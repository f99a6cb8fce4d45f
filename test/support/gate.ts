/**
 * A site behind the gate, with a proxy before it that does what nginx does with auth_request, and a browser that goes there:
 * the site shows the identity that it was told. On an address of its own: another site than Cardea, which is at localhost.
 */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { createGate, type NewGate } from '../../src/admin/resources/gates.ts';
import type { GateRow } from '../../src/store/gates.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { type Agent, formsOf, type Page } from './agent.ts';
import type { Cardea } from './cardea.ts';
import { atEnd } from './cleanup.ts';
import { freePort } from './ports.ts';
import { codeOf, keyOf, text } from './sign-in.ts';

export interface Site {
  gate: GateRow;
  origin: string;
  hostname: string;
  /** What the proxy sends beside its own headers; a test may lie with it. */
  extra: Record<string, string>;
}

/** What a proxy asks, and the whole answer. */
export interface Asked {
  origin?: string | undefined;
  path?: string | undefined;
  cookie?: string | undefined;
  headers?: Record<string, string | string[]>;
  query?: string;
}

/** Asks the gate as a proxy would, with headers as they are given, however odd: byte by byte. */
export function ask(cardea: Cardea, realm: RealmRow, { origin, path, cookie, headers = {}, query = '' }: Asked): Promise<IncomingMessage> {
  const url = origin === undefined ? undefined : new URL(origin);
  return send(cardea, `/realms/${realm.name}/gate/auth${query}`, {
    ...(url && { 'x-forwarded-host': url.host, 'x-forwarded-proto': url.protocol.slice(0, -1) }),
    ...(path !== undefined && { 'x-cardea-path': Buffer.from(path, 'utf8').toString('latin1') }),
    ...(cookie !== undefined && { cookie }),
    ...headers,
  });
}

/** One request straight to Cardea, whose body is thrown away. */
export function send(cardea: Cardea, path: string, headers: Record<string, string | string[]>, method = 'GET'): Promise<IncomingMessage> {
  const { hostname, port } = new URL(cardea.url);
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname, port, method, path, headers, agent: false }, (answer) => {
      answer.resume().once('end', () => resolve(answer));
    });
    sent.once('error', reject).end();
  });
}

let addresses = 0;

/** Starts a site; it is closed after the last test of the file. */
export async function startSite(cardea: Cardea, realm: RealmRow, input: Partial<NewGate> = {}): Promise<Site> {
  addresses += 1;
  const hostname = `127.0.0.${addresses + 1}`;
  const port = await freePort();
  const origin = `http://${hostname}:${port}`;
  const gate = await createGate(cardea.operator(), realm, cardea.origin, { origin, ...input });
  const site: Site = { gate, origin, hostname, extra: {} };
  const server = createServer((incoming, outgoing) => {
    serve(cardea, realm, site, incoming, outgoing).catch((error: unknown) => outgoing.writeHead(500).end(String(error)));
  });
  await new Promise<void>((resolve) => server.listen(port, hostname, resolve));
  atEnd(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  return site;
}

async function serve(cardea: Cardea, realm: RealmRow, site: Site, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const target = incoming.url ?? '/';
  const own = /^\/\.cardea\/(start|callback|sign-out)(\?.*)?$/.exec(target);
  const { host: _host, connection: _connection, 'content-length': _length, ...from } = incoming.headersDistinct;
  const url = new URL(site.origin);
  const headers = {
    ...from,
    'x-forwarded-host': url.host,
    'x-forwarded-proto': 'http',
    'x-forwarded-uri': target,
    'x-forwarded-method': incoming.method ?? 'GET',
    // Agents are browsers, and fetch says of itself that it is none.
    ...(incoming.headers.accept === 'text/html' && { 'sec-fetch-mode': 'navigate' }),
    ...site.extra,
  };
  if (own) {
    const answer = await send(cardea, `/realms/${realm.name}/gate/${own[1]}${own[2] ?? ''}`, headers, incoming.method);
    const { 'content-length': _gone, 'transfer-encoding': _coded, ...passed } = answer.headers;
    outgoing.writeHead(answer.statusCode ?? 502, passed).end();
    return;
  }
  const path = decodeURIComponent(new URL(target, site.origin).pathname);
  const answer = await send(cardea, `/realms/${realm.name}/gate/auth`, { ...headers, 'x-cardea-path': Buffer.from(path, 'utf8').toString('latin1') });
  const { statusCode = 502, headers: said } = answer;
  const start = said['x-cardea-start'];
  if (statusCode === 401 && typeof start === 'string') outgoing.writeHead(302, { location: start }).end();
  else if (statusCode === 401) outgoing.writeHead(401, { 'www-authenticate': said['www-authenticate'] }).end();
  else outgoing.writeHead(statusCode, { 'content-type': 'application/json' }).end(JSON.stringify({ path, identity: identityIn(answer) }));
}

/** The headers that a site is told of somebody, by their names after `x-auth-request-`. */
export const identityIn = ({ headers }: IncomingMessage): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (name.startsWith('x-auth-request-') ? [[name.slice(15), String(value)]] : [])),
  );

export interface Visitor {
  username: string;
  password: string;
  totpSecret?: string | undefined;
}

/** A browser that opens a page of the site and signs in on the way, if it is asked to. */
export async function open(
  agent: Agent,
  url: string,
  visitor: Visitor,
  { clock, remember = false }: { clock?: () => number; remember?: boolean } = {},
): Promise<Page> {
  let page = await agent.get(url);
  for (let pages = 0; pages < 10 && page.headers.get('content-type')?.startsWith('text/html'); pages += 1) {
    const form = formsOf(page)[0];
    if (!form) return page;
    if (form.names.includes('factor')) page = await agent.submit(page, form, { factor: 'totp' });
    else if (page.html.includes('value="accept"')) page = await agent.submit(page, form, { do: 'skip' });
    else if (form.names.includes('username')) page = await agent.submit(page, form, { username: visitor.username, password: visitor.password });
    else if (form.names.includes('label')) {
      visitor.totpSecret = keyOf(page);
      page = await agent.submit(page, form, { code: codeOf(visitor.totpSecret, clock) });
    } else if (form.names.includes('code'))
      page = await agent.submit(page, form, { code: codeOf(visitor.totpSecret ?? '', clock), ...(remember && { remember_device: 'on' }) });
    else throw new Error(`Nothing to do on ${page.url}: ${text(page)}`);
  }
  return page;
}

/** What the site says it was told. */
export function told(page: Page): { path: string; identity: Record<string, string> } {
  return JSON.parse(page.html);
}

/** The cookies of the site as a request would send them. */
export const cookiesFor = (agent: Agent, hostname: string): string =>
  Object.entries(agent.cookies(hostname))
    .map(([name, value]) => `${name}=${value}`)
    .join('; ');
