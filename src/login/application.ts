/** What the pages of a sign-in say of the application that asks for it. */
import { type Logo, logoOf } from '../logos/shown.ts';
import { type AboutClient, aboutClient, hostOfRedirect } from '../realms/home.ts';
import { clientByClientId } from '../store/clients.ts';
import type { LoginRequest } from './room.ts';

export interface ShownClient extends AboutClient {
  logo: Logo | null;
  /** Who gets the answer, beside the logo: a name and a picture are what an application says of itself, this is not. */
  host: string | null;
}

/**
 * The logo of an application that is not of the house is shown only with the host beside it that the user is sent back to:
 * whoever may register applications could give theirs the name and the logo of another. What is on a device has none, but
 * only an administrator lets applications ask so.
 */
export async function clientModel({ db, realm: { realm }, asked, at }: LoginRequest): Promise<ShownClient | null> {
  const row = asked.client ?? (await clientByClientId(db.knex, realm.id, asked.clientId));
  if (!row) return null;
  const host = asked.device ? null : hostOfRedirect(asked.params.redirect_uri);
  const canTell = !row.consentRequired || host !== null || asked.device;
  return { ...aboutClient(row), host, logo: canTell ? await logoOf(db.knex, realm.name, row, at) : null };
}
