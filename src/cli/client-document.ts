/** A client as `--json` shows it; its secret is another matter. */
import type { ClientRow } from '../store/clients.ts';
import { isoTime } from './output.ts';

export const documentOfClient = (row: ClientRow, realm: string) => ({
  id: row.id,
  realm,
  clientId: row.clientId,
  name: row.name,
  description: row.description,
  enabled: row.enabled,
  public: row.publicClient,
  firstParty: !row.consentRequired,
  serviceAccount: row.serviceAccount,
  directAccess: row.directAccess,
  rootUrl: row.rootUrl,
  redirectUris: row.redirectUris,
  postLogoutRedirectUris: row.postLogoutRedirectUris,
  webOrigins: row.webOrigins,
  attributes: row.attributes,
  createdAt: isoTime(row.createdAt),
});
