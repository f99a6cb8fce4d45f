/**
 * Connections to mail servers that administrators of realms chose: to public addresses at the ports of mail, and to what
 * the installation names besides (CARDEA_OUTBOUND_ALLOW). The address that was looked at is the one that is connected to.
 */
import { lookup } from 'node:dns/promises';
import { connect, isIP, type Socket } from 'node:net';
import type { AllowedTarget } from '../config/outbound.ts';
import { allowsMailServer } from './outbound-rules.ts';

type Server = { host: string; port: number };
type Resolve = (hostname: string) => Promise<readonly { address: string; family: number }[]>;

/** @param options.resolve in place of the operating system's; asked once for each connection */
export function createGuardedConnect(options: { allow: readonly AllowedTarget[]; resolve?: Resolve }) {
  const { allow, resolve = (hostname) => lookup(hostname, { all: true }) } = options;
  /** Rejects when it is not allowed, or when nobody answers in time. */
  return async (server: Server, timeoutMs: number): Promise<Socket> => {
    const signal = AbortSignal.timeout(timeoutMs);
    const family = isIP(server.host);
    const found = family === 0 ? await resolve(server.host) : [{ address: server.host, family }];
    const [first] = found;
    // One private address among public ones is enough to refuse the name.
    if (!first || found.some(({ address }) => isIP(address) === 0 || !allowsMailServer(allow, server, address)))
      throw new Error(`${server.host} at port ${server.port} is not allowed by CARDEA_OUTBOUND_ALLOW.`);
    return connected(first.address, server.port, signal);
  };
}

function connected(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    const stop = (): void => void socket.destroy(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    // Later errors are for whoever has the socket then; one that nobody listened for would end the process.
    socket.on('error', reject);
    socket.once('connect', () => {
      signal.removeEventListener('abort', stop);
      resolve(socket);
    });
  });
}
