/** A load balancer without sticky sessions: each request goes to the next process, by turns. */
import { createServer, request } from 'node:http';
import type { Cardea } from './cardea.ts';
import { atEnd } from './cleanup.ts';
import { freePort } from './ports.ts';

export interface Balancer<Node extends { url: string } = Cardea> {
  origin: string;
  /** The processes behind it; the next request goes to the first of them that has waited longest. */
  nodes: Node[];
}

/** Starts one; its origin is the one to start the processes under. Closed after the last test of the file. */
export async function startBalancer<Node extends { url: string } = Cardea>(): Promise<Balancer<Node>> {
  const port = await freePort();
  const nodes: Node[] = [];
  let turn = 0;
  const server = createServer((incoming, outgoing) => {
    const node = nodes[turn++ % nodes.length];
    if (!node) return void outgoing.writeHead(503).end();
    const { hostname, port: nodePort } = new URL(node.url);
    const sent = request({ hostname, port: nodePort, method: incoming.method, path: incoming.url, headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    sent.on('error', () => outgoing.destroy());
    incoming.pipe(sent);
  });
  await new Promise<void>((resolve) => server.listen(port, resolve));
  atEnd(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  );
  return { origin: `http://localhost:${port}`, nodes };
}
