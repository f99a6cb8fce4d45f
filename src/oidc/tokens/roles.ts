/**
 * The roles of a user that a client may be told of, and use. One query a token, and nothing about a user is kept: a role that
 * was taken is missing in the next token. Where tokens name them is the business of mappers.
 */
import { roleScopeFor } from '../../realms/mappers/applied.ts';
import { type EffectiveRole, effectiveRoles, type RoleScope } from '../../store/effective-roles.ts';
import type { OidcClient } from '../clients/clients.ts';
import type { RealmRoom } from '../room.ts';

/**
 * @param userId the user, or the service account, that the token is about
 * @param scope what the token says it is for
 */
export const rolesWithin = (room: RealmRoom, client: OidcClient, userId: string, scope: string | undefined): Promise<EffectiveRole[]> =>
  effectiveRoles(room.db.knex, client.row.realmId, userId, roleScopeOf(client, scope));

/** The roles that a client may be told of, and use; undefined for all. */
export const roleScopeOf = ({ row, mappers }: OidcClient, scope: string | undefined): RoleScope | undefined => roleScopeFor(row, mappers, scope);
