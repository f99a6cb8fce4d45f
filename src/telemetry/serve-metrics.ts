/** Answers whoever reads the metrics: at a port of their own, or beside everything else behind a token. */
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { safeEqual } from '../crypto/codes.ts';
import type { Metrics } from './metrics.ts';

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

export interface ServedMetrics {
  middleware: Metrics['middleware'];
  /** The port of their own, where they have one: `http://127.0.0.1:9464`. */
  url: string | undefined;
  answer(headers: IncomingHttpHeaders): Promise<Answer>;
  close(): Promise<void>;
}

/**
 * @param where.port a port of their own, on which there is nothing else; undefined: whoever calls asks for the answer
 * @param where.token what a reader has to show (RFC 6750 section 2.1); undefined where anybody who gets there may read
 */
export async function serveMetrics(
  metrics: Metrics,
  where: { port: number | undefined; host: string; token: string | undefined; onFault(error: unknown): void },
): Promise<ServedMetrics> {
  const answer = (headers: IncomingHttpHeaders): Promise<Answer> => answerMetrics(metrics, headers, where.token);
  const server = where.port === undefined ? undefined : await listen(answer, { ...where, port: where.port });
  return {
    middleware: metrics.middleware,
    url: server && urlOf(server.address()),
    answer,
    close: async () => {
      metrics.close();
      server?.closeAllConnections();
      await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
    },
  };
}

async function answerMetrics(metrics: Metrics, headers: IncomingHttpHeaders, token: string | undefined): Promise<Answer> {
  const [, shown = ''] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '') ?? [];
  const plain = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' };
  if (token !== undefined && !safeEqual(shown, token))
    return { status: 401, headers: { ...plain, 'www-authenticate': 'Bearer realm="metrics"' }, body: 'The metrics are read with a token.\n' };
  const { type, body } = await metrics.text();
  return { status: 200, headers: { ...plain, 'content-type': type }, body };
}

async function listen(
  answer: (headers: IncomingHttpHeaders) => Promise<Answer>,
  { port, host, onFault }: { port: number; host: string; onFault(error: unknown): void },
): Promise<Server> {
  const server = createServer((request, response) => {
    const send = (status: number, headers: Record<string, string> = {}, body = ''): void => {
      response.writeHead(status, headers).end(request.method === 'HEAD' ? undefined : body);
    };
    if (request.url?.split('?', 1)[0] !== '/metrics') return send(404);
    if (request.method !== 'GET' && request.method !== 'HEAD') return send(405, { allow: 'GET, HEAD' });
    answer(request.headers).then(
      ({ status, headers, body }) => send(status, headers, body),
      (error: unknown) => {
        onFault(error);
        send(500);
      },
    );
  });
  // It is no reason for a process to stay.
  server.unref();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return server;
}

function urlOf(address: AddressInfo | string | null): string {
  if (address === null || typeof address === 'string') throw new Error('The server of the metrics listens on no port.');
  return `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
}
