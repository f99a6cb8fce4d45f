/** A site behind a real proxy: it answers with the request that reached it, and takes any upgrade of a connection. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { atEnd } from './cleanup.ts';
import { freePort } from './ports.ts';

export interface Seen {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export const seenIn = (text: string): Seen => JSON.parse(text);

/** Resolves to `address:port`. */
export async function startUpstream(): Promise<string> {
  const port = await freePort();
  const server = createServer((incoming, outgoing) => {
    let body = '';
    incoming.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    incoming.once('end', () => {
      const seen = { method: incoming.method, url: incoming.url, headers: incoming.headers, body };
      outgoing.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(seen));
    });
  });
  server.on('upgrade', (incoming, socket) => {
    const { upgrade, 'x-auth-request-user': user } = incoming.headers;
    socket.end(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${upgrade}\r\nConnection: Upgrade\r\nX-Seen: ${user}\r\n\r\n`);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${port}`;
}
