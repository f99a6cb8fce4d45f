/**
 * Roles in access tokens, where Keycloak has them. ID tokens and userinfo have none; introspection says what the token says.
 * One query a token, and nothing about a user is kept: a role that was taken is missing in the next token.
 */
import { LIGHTWEIGHT } from '../store/clients.ts';
import { effectiveRoles, type RoleScope } from '../store/effective-roles.ts';
import type { OidcClient } from './clients.ts';
import { DEFAULT_AUDIENCE, type RealmRoom } from './room.ts';

/** The client scope behind which roles are; no token names it, and clients have it by default. */
const ROLES = 'roles';

interface RoleClaims {
  realm_access?: { roles: string[] };
  resource_access?: Record<string, { roles: string[] }>;
  /** Every client for whose eyes the roles are, besides the one that asks. */
  aud?: string[];
}

/**
 * @param userId the user, or the service account, that the token is about
 * @param scope what the token says it is for
 */
export async function roleClaims(room: RealmRoom, client: OidcClient, userId: string, scope: string | undefined): Promise<RoleClaims> {
  const { row } = client;
  if (!scopesOf(client, scope).includes(ROLES) || row.attributes[LIGHTWEIGHT] === 'true') return {};
  const within = roleScopeOf(client, scope);
  const byClient = new Map<string | null, string[]>();
  for (const { client: owner, name } of await effectiveRoles(room.db.knex, row.realmId, userId, within)) {
    const names = byClient.get(owner);
    if (names) names.push(name);
    else byClient.set(owner, [name]);
  }

  const ofRealm = byClient.get(null);
  byClient.delete(null);
  const ofClients = [...byClient].flatMap(([name, roles]) => (name === null ? [] : [{ name, roles: roles.sort() }]));
  const others = ofClients.map(({ name }) => name).filter((name) => name !== row.clientId && name !== DEFAULT_AUDIENCE);
  return {
    ...(ofRealm ? { realm_access: { roles: ofRealm.sort() } } : {}),
    ...(ofClients.length > 0 ? { resource_access: Object.fromEntries(ofClients.map(({ name, roles }) => [name, { roles }])) } : {}),
    ...(others.length > 0 ? { aud: [DEFAULT_AUDIENCE, ...others.sort()] } : {}),
  };
}

const scopesOf = ({ scopes }: OidcClient, scope: string | undefined): string[] => [...scopes.applied, ...(scope?.split(' ') ?? [])];

/** The roles that a client may be told of, and use; undefined for all. */
export const roleScopeOf = (client: OidcClient, scope: string | undefined): RoleScope | undefined =>
  client.row.fullScope ? undefined : { clientId: client.row.id, scopes: scopesOf(client, scope) };
