/** The resource server that access tokens are for where a request names none. */
import type { ResourceServer } from 'oidc-provider';
import type { RealmSettings } from '../realms/settings.ts';
import type { ClientRow } from '../store/clients.ts';
import { accessTokenAlgorithm } from './client-metadata.ts';
import { DEFAULT_AUDIENCE } from './room.ts';

/** @param scopes all that the realm has */
export const defaultResourceServer = (scopes: readonly string[], row: ClientRow, settings: RealmSettings): ResourceServer => ({
  scope: scopes.join(' '),
  audience: DEFAULT_AUDIENCE,
  accessTokenFormat: 'jwt',
  jwt: { sign: { alg: accessTokenAlgorithm(row, settings) } },
});
