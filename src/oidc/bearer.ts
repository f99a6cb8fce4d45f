/** What a bearer token says to our own APIs: whose it is, of which application, and how its user signed in. */
import { decodeJwt, errors } from 'jose';
import type { AdapterPayload } from 'oidc-provider';
import { issuerOf } from '../realms/issuer.ts';
import { FOR_ADMINISTRATION } from '../store/clients.ts';
import type { RoleScope } from '../store/effective-roles.ts';
import type { OidcRealm } from './provider.ts';
import { isBound } from './tokens/binding.ts';
import { isForRealm } from './tokens/resource.ts';
import { roleScopeOf } from './tokens/roles.ts';

/** A token that was verified and still stands: its session, its grant and its user are there, and nobody revoked it. */
export interface Bearer {
  userId: string;
  clientId: string;
  /** A client that speaks for itself. */
  service: boolean;
  acr: string | undefined;
  /** The roles that the application may use; undefined for all that its user has. */
  within: RoleScope | undefined;
}

/** The realm that a token claims to be of, by its issuer; undefined for what is none of ours. */
export function realmOfToken(token: string, origin: string): string | undefined {
  try {
    const { iss } = decodeJwt(token);
    const name = iss?.split('/').at(-1) ?? '';
    return iss === issuerOf(origin, name) ? name : undefined;
  } catch (error) {
    if (error instanceof errors.JOSEError) return undefined;
    throw error;
  }
}

/** @param oidc the realm of `realmOfToken` */
export async function bearerOf({ accessTokens, clients }: OidcRealm, token: string): Promise<Bearer | undefined> {
  const ofUser = await accessTokens.find(token, { forUserinfo: false });
  // One for a resource server is good there alone; of one that is bound nobody proves the key here (RFC 9449 section 7.2, RFC 8705 section 3).
  if (ofUser && (!isForRealm(ofUser.aud) || isBound(ofUser))) return undefined;
  // Nobody administers anything as somebody else.
  if (ofUser?.extra?.impersonator !== undefined) return undefined;
  // Nor by a token that was passed on: it was given to another application, which may not be trusted with this.
  if (ofUser?.extra?.exchanged_from !== undefined) return undefined;
  if (ofUser?.accountId !== undefined) return { userId: ofUser.accountId, ...(await common(clients, ofUser, false)), service: false };
  const ofClient = await accessTokens.findClientCredentials(token);
  if (ofClient && (!isForRealm(ofClient.aud) || isBound(ofClient))) return undefined;
  const { sub } = decodeJwt(token);
  return ofClient && sub !== undefined ? { userId: sub, ...(await common(clients, ofClient, true)), service: true } : undefined;
}

async function common(clients: OidcRealm['clients'], { clientId = '', scope, extra }: AdapterPayload, service: boolean) {
  const client = await clients.find(clientId);
  // Switched off in this moment, or somebody's who may not see what its users manage: it may use no role at all.
  const trusted = client && (service || client.row.attributes[FOR_ADMINISTRATION] !== 'false');
  const within = trusted ? roleScopeOf(client, scope) : { clientId: '', scopes: [] };
  return { clientId, within, acr: typeof extra?.acr === 'string' ? extra.acr : undefined };
}
