/**
 * The library's clients, kept as long as the rows that they were made from.
 *
 * It looks for a client several times a request, and each time writes all that the client's row says as text, to find by its
 * hash, among a hundred, what it has made of it before. A row that is cached (clients.ts) has its client beside it.
 */
import Provider, { type AdapterPayload, type Client } from 'oidc-provider';
import type { ClientFailures } from '../too-many.ts';
import { rowOf } from './client-metadata.ts';
import type { Clients } from './clients.ts';

/** Puts our look for a client in the place of the library's, and counts those that fail to authenticate. */
export function installKnownClients({ Client }: Provider, { clients, failures }: { clients: Clients; failures: ClientFailures }): void {
  const find = Client.find.bind(Client);
  const made = new WeakMap<AdapterPayload, Client>();
  Client.find = async (id) => {
    if (typeof id !== 'string' || id === '') return undefined;
    const { ctx } = Provider;
    const known = await clients.find(id);
    if (ctx) failures.begin(ctx, known?.row.clientId);
    if (!known) return undefined;
    const before = made.get(known.metadata);
    if (before) return before;
    const client = await find(id);
    // The row may have been changed meanwhile, and the client be of the next one.
    if (client && rowOf(client) === known.row) made.set(known.metadata, client);
    return client;
  };
}
