/** `GET /realms/{realm}`: the small JSON that Keycloak's adapters read. */
import { createPublicKey } from 'node:crypto';
import { issuerOf } from './issuer.ts';
import { notBeforeOf } from './keycloak-settings.ts';
import type { RealmContext } from './registry.ts';

export interface RealmRepresentation {
  realm: string;
  /** The RS256 signing key, SubjectPublicKeyInfo in base64. */
  public_key: string;
  'token-service': string;
  'account-service': string;
  /** Seconds; tokens from before are void. */
  'tokens-not-before': number;
}

export function realmJson(origin: string, { realm, keys }: RealmContext): RealmRepresentation {
  const signing = keys.find((key) => key.row.algorithm === 'RS256');
  if (!signing) throw new Error(`Realm ${realm.name} has no RS256 key.`);
  const issuer = issuerOf(origin, realm.name);
  return {
    realm: realm.name,
    public_key: createPublicKey({ key: JSON.parse(signing.row.publicJwk), format: 'jwk' })
      .export({ type: 'spki', format: 'der' })
      .toString('base64'),
    'token-service': `${issuer}/protocol/openid-connect`,
    'account-service': `${issuer}/account`,
    'tokens-not-before': notBeforeOf(realm.settings),
  };
}
