/**
 * Ports for servers that are told where to listen before they do: no other test is given one, in whatever process it runs, and no
 * connection begins at one, since they lie below those that systems choose by themselves (from 32768 on, or from 49152).
 */
import { createServer, type Server } from 'node:net';

const HOST = '127.0.0.1';
const FIRST = 12_000;
const BLOCKS = 200;
/** Ports in a block; the first is listened to for as long as this process lives, and says that the others are its own. */
const BLOCK = 100;

let next = 0;
let end = 0;
let asked: Promise<unknown> = Promise.resolve();

/** Listens, or answers undefined where somebody else does. */
function listenOn(port: number): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve) => {
    server.once('error', () => resolve(undefined));
    server.listen(port, HOST, () => resolve(server));
  });
}

async function takeBlock(): Promise<void> {
  const start = Math.floor(Math.random() * BLOCKS);
  for (let tries = 0; tries < BLOCKS; tries += 1) {
    const first = FIRST + ((start + tries) % BLOCKS) * BLOCK;
    const mark = await listenOn(first);
    if (mark === undefined) continue;
    mark.unref();
    next = first + 1;
    end = first + BLOCK;
    return;
  }
  throw new Error('No port is free.');
}

async function nextFree(): Promise<number> {
  for (;;) {
    if (next === end) await takeBlock();
    const port = next;
    next += 1;
    // Something else on this machine may be there.
    const server = await listenOn(port);
    if (server === undefined) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** A port on which nobody listens, and that is given to nobody else. */
export function freePort(): Promise<number> {
  const port = asked.then(nextFree);
  asked = port.catch(() => undefined);
  return port;
}
