/**
 * What access tokens are for: the realm's own endpoints where a request names nothing, or a resource server that it names
 * (RFC 8707).
 *
 * A resource server is a client whose attribute `cardea.resource` has its addresses. Another client may ask for tokens for it
 * if its own attribute `cardea.resources` names it; nothing else opens one, so that a resource is asked for by nobody until
 * an administrator says so. Such a token says what the resource server's own attributes want, and is good there alone.
 */
import { errors, type ResourceServer } from 'oidc-provider';
import type { RealmSettings } from '../../realms/settings.ts';
import type { ClientRow } from '../../store/clients.ts';
import { accessTokenAlgorithm, isOn, secondsOf } from '../clients/client-metadata.ts';
import type { Clients } from '../clients/clients.ts';
import { DEFAULT_AUDIENCE, DEFAULT_RESOURCE } from '../room.ts';

/** Ours: the addresses of a resource server, and the client_ids of the resource servers that a client may ask tokens for. */
const RESOURCE = 'cardea.resource';
const RESOURCES = 'cardea.resources';
/** Ours: `jwt`, which everybody can read, or `opaque`, which only introspection can. */
const FORMAT = 'cardea.access.token.format';

/** Keycloak's way to write several values into one attribute. */
const listed = (row: ClientRow, attribute: string): string[] => (row.attributes[attribute] ?? '').split('##').filter(Boolean);

/** The addresses that a client is known by as a resource server. */
export const addressesOf = (row: ClientRow): string[] => listed(row, RESOURCE);

const formatOf = (row: ClientRow): 'jwt' | 'opaque' => (row.attributes[FORMAT] === 'opaque' ? 'opaque' : 'jwt');

/** Keycloak's attribute: `at+jwt` in the header (RFC 9068 section 2.1) instead of `JWT`, which is all that some resource servers take. */
export const headerTypeOf = (row: ClientRow): string => (isOn(row, 'access.token.header.type.rfc9068') ? 'at+jwt' : 'JWT');

/** @param scopes all that the realm has */
export const defaultResourceServer = (scopes: readonly string[], row: ClientRow, settings: RealmSettings): ResourceServer => ({
  scope: scopes.join(' '),
  audience: DEFAULT_AUDIENCE,
  accessTokenFormat: formatOf(row),
  jwt: { sign: { alg: accessTokenAlgorithm(row, settings) } },
});

/** Whether a token is for the realm's own endpoints. */
export const isForRealm = (aud: unknown): boolean => [aud].flat().includes(DEFAULT_AUDIENCE);

/** The client that stands for a resource among those that `row` may ask for. */
async function receiverOf(clients: Clients, row: ClientRow, resource: string) {
  for (const clientId of listed(row, RESOURCES)) {
    const receiver = await clients.receiver(clientId);
    if (receiver && listed(receiver.row, RESOURCE).includes(resource)) return receiver;
  }
  // The same for what is not there and for what this client may not have.
  throw new errors.InvalidTarget('there is no such resource, or this client may not ask for tokens for it');
}

/** The client_ids of the resource servers that have one of these addresses, among those that `row` may ask for. */
export async function receiversOf(clients: Clients, row: ClientRow, addresses: readonly string[]): Promise<string[]> {
  const receivers = await Promise.all(listed(row, RESOURCES).map((clientId) => clients.receiver(clientId)));
  return receivers.flatMap((one) => (one && addressesOf(one.row).some((address) => addresses.includes(address)) ? [one.row.clientId] : []));
}

/** @throws invalid_target */
export async function namedResourceServer(clients: Clients, row: ClientRow, resource: string, settings: RealmSettings): Promise<ResourceServer> {
  const receiver = await receiverOf(clients, row, resource);
  const lifespan = secondsOf(receiver.row, 'access.token.lifespan');
  return {
    // What it has nothing to do with is not said to it. By offline_access we know that a token may outlive its session.
    scope: [...new Set([...receiver.scopes, 'offline_access'])].join(' '),
    audience: resource,
    accessTokenFormat: formatOf(receiver.row),
    ...(lifespan === undefined ? {} : { accessTokenTTL: lifespan }),
    jwt: { sign: { alg: accessTokenAlgorithm(receiver.row, settings) } },
  };
}

/** Whose attributes say what a token looks like: the resource server's that it is for, or the asking client's own. */
export async function readerOf(clients: Clients, row: ClientRow, resource: string | undefined): Promise<ClientRow> {
  return resource === undefined || resource === DEFAULT_RESOURCE ? row : (await receiverOf(clients, row, resource)).row;
}
