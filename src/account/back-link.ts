/**
 * The way back to the application that sent its user here: Keycloak's `referrer` and `referrer_uri`, as `keycloak.accountManagement()`
 * sends them. It leads only where the application may have its users sent anyway, so that nobody's link makes this page lead
 * elsewhere.
 */
import { redirectUriAllowed, rootOf } from '../realms/redirect-uris.ts';
import { clientByClientId } from '../store/clients.ts';
import type { AccountRequest } from './room.ts';

/** As long as a redirect URI may be; what stands behind `#` is the application's own. */
const MAX_LENGTH = 2_000;

/** Null where the address names none, or one that is none of the application's. */
export async function backLink({ ctx, db, realm, origin }: AccountRequest): Promise<{ href: string; name: string } | null> {
  const { referrer, referrer_uri: href } = ctx.query;
  if (typeof referrer !== 'string' || typeof href !== 'string' || href.length > MAX_LENGTH) return null;
  const client = await clientByClientId(db.knex, realm.realm.id, referrer);
  const [address = ''] = href.split('#', 1);
  if (!client?.enabled || !redirectUriAllowed(client.redirectUris, address, { rootUrl: rootOf(client, origin) })) return null;
  return { href, name: client.name ?? client.clientId };
}
