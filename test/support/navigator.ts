/**
 * A browser that says it looks at pages (Fetch Metadata), which `fetch` cannot; it may believe a certificate of a test, and
 * find names at an address of this machine.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Agent } from './agent.ts';

export interface Navigation {
  /** A certificate that is believed, as PEM. */
  ca?: string | undefined;
  /** Where every name but localhost is found. */
  address?: string | undefined;
}

/** One answer, read whole; an upgrade that was granted is closed at once. */
export interface Answer {
  status: number;
  headers: IncomingMessage['headers'];
  /** Every header line as it came. */
  lines: [name: string, value: string][];
  text: string;
}

export interface Sent extends Navigation {
  method?: string | undefined;
  headers?: Record<string, string | string[]>;
  body?: string | undefined;
}

/** One request, whose target is sent exactly as it stands after the origin: no URL parser tidies it. */
export function sendTo(origin: string, target: string, { method, headers = {}, body, ca, address }: Sent = {}): Promise<Answer> {
  const { protocol, hostname, port, host } = new URL(origin);
  const to = address !== undefined && hostname !== 'localhost' ? address : hostname;
  const options = { hostname: to, port, path: target, method, headers: { host, ...headers }, agent: false as const };
  const tls = { ...options, ca, servername: /^[\d.]+$/.test(hostname) ? '' : hostname };
  return new Promise((resolve, reject) => {
    const sent = protocol === 'https:' ? httpsRequest(tls) : httpRequest(options);
    const done = (answer: IncomingMessage, text: string) =>
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, lines: linesOf(answer), text });
    sent.once('response', (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      answer.once('end', () => done(answer, text)).once('error', reject);
    });
    sent.once('upgrade', (answer, socket) => {
      socket.destroy();
      done(answer, '');
    });
    sent.once('error', reject).end(body);
  });
}

function linesOf({ rawHeaders }: IncomingMessage): [string, string][] {
  return rawHeaders.flatMap((name, index) => (index % 2 === 0 ? [[name, rawHeaders[index + 1] ?? '']] : []));
}

/** What every navigation of a browser says. */
export const NAVIGATION = { accept: 'text/html', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };

/** A browser without a screen that navigates. */
export const navigator = (how: Navigation = {}): Agent =>
  new Agent({}, async (url, { method, headers, body }) => {
    const { origin, pathname, search } = new URL(url);
    const form = body === undefined || body === null ? undefined : String(body);
    const sent = {
      ...NAVIGATION,
      ...Object.fromEntries(new Headers(headers)),
      ...(form !== undefined && { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(Buffer.byteLength(form)) }),
    };
    const answer = await sendTo(origin, `${pathname}${search}`, { method: method ?? 'GET', headers: sent, body: form, ...how });
    return new Response(answer.status === 204 || answer.status === 304 ? null : answer.text, { status: answer.status, headers: answer.lines });
  });
