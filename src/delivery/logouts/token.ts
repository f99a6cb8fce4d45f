/**
 * The logout token (OpenID Connect Back-Channel Logout 1.0 section 2.4): a JWT that says to one client that one session has
 * ended. It is made anew for each attempt, so that it is never old and is signed with the key that the realm signs with now;
 * its `jti` stays.
 */
import { importJWK, SignJWT } from 'jose';
import type { Keyring } from '../../crypto/keyring.ts';
import { knownAlgorithm } from '../../realms/algorithms.ts';
import { issuerOf } from '../../realms/issuer.ts';
import { orderedKeys, storedJwk } from '../../realms/keys.ts';
import { completedKeys } from '../../realms/signing-keys.ts';
import type { Database } from '../../store/database.ts';
import type { RealmRow } from '../../store/realms.ts';
import { signingKeySeal } from '../../store/signing-keys.ts';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
/** Seconds: enough for clocks that differ, and short as the specification recommends. */
const LIFETIME = 120;

export interface Logout {
  realm: RealmRow;
  clientId: string;
  /** The client's attributes: its ID tokens' algorithm is that of its logout tokens (section 2.4). */
  attributes: Readonly<Record<string, string>>;
  id: string;
  userId: string;
  sid: string;
}

/** @param at milliseconds since the epoch */
export async function logoutToken(
  { db, keyring, origin }: { db: Database; keyring: Keyring; origin: string },
  { realm, clientId, attributes, id, userId, sid }: Logout,
  at: number,
): Promise<string> {
  const algorithm = knownAlgorithm(attributes['id.token.signed.response.alg']) ?? realm.settings.defaultSignatureAlgorithm;
  const row = orderedKeys(await completedKeys({ db, keyring }, realm.id, at), at).find((key) => key.algorithm === algorithm);
  if (!row) throw new Error(`The realm has no key that signs with ${algorithm}.`);
  const seconds = Math.floor(at / 1000);
  return new SignJWT({ sid, events: { [EVENT]: {} } })
    .setProtectedHeader({ typ: 'logout+jwt', alg: algorithm, kid: row.id })
    .setIssuer(issuerOf(origin, realm.name))
    .setAudience(clientId)
    .setSubject(userId)
    .setIssuedAt(seconds)
    .setExpirationTime(seconds + LIFETIME)
    .setJti(id)
    .sign(await importJWK(storedJwk(await keyring.openText(signingKeySeal(row), row.privateJwk)), algorithm));
}
