/** A client as `--json` shows it; its secret is another matter. */
import type { ClientRow } from '../store/clients.ts';
import { isoTime } from './output.ts';

/** Keycloak's name for what lets a client be on a device without a browser. */
export const ON_DEVICES = 'oauth2.device.authorization.grant.enabled';

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
  device: row.attributes[ON_DEVICES] === 'true',
  rootUrl: row.rootUrl,
  redirectUris: row.redirectUris,
  postLogoutRedirectUris: row.postLogoutRedirectUris,
  webOrigins: row.webOrigins,
  authenticator: row.kept.clientAuthenticatorType,
  attributes: row.attributes,
  createdAt: isoTime(row.createdAt),
});
