/**
 * Which models may be bound, and what a model is worth. What an authenticator says of its model is only a claim until a
 * signed statement stands behind it, and the statement is only worth something when a trust anchor stands behind that:
 * anybody can make a certificate that names any model.
 *
 * The library verifies the statement itself. The certificates are held against the realm's own trust anchors here, and
 * nothing else: the library would know some makers' roots and none of the realm's, and would ask the addresses that a
 * certificate names for revocation lists, whoever wrote them there.
 */
import { X509Certificate } from 'node:crypto';
import { SettingsService, type VerifiedRegistrationResponse } from '@simplewebauthn/server';
import { decodeAttestationObject } from '@simplewebauthn/server/helpers';

/** What a realm asks of an authenticator that is bound anew. */
export interface AttestationTerms {
  attestation: 'none' | 'direct';
  aaguids: readonly string[];
  trustAnchors: readonly string[];
}

type Registered = Extract<VerifiedRegistrationResponse, { verified: true }>['registrationInfo'];

/**
 * Formats of statements (WebAuthn section 8). Not `android-safetynet`, which its maker has given up, and not
 * `android-key`: for that the library believes the chain's own last certificate before it looks whose it is, and
 * fetches what the chain tells it to.
 */
const FORMATS: readonly string[] = ['none', 'packed', 'tpm', 'fido-u2f', 'apple'];

// With roots of its own it would ask for revocation lists.
SettingsService.setRootCertificates({ identifier: 'apple', certificates: [] });

/** A list of models is of no use when none is asked for. */
export const conveyanceOf = ({ attestation, aaguids }: AttestationTerms): 'none' | 'direct' => (aaguids.length > 0 ? 'direct' : attestation);

/** Whether a statement is of a kind that is looked at. Throws for what is none. */
export const isReadable = (attestationObject: string): boolean =>
  FORMATS.includes(decodeAttestationObject(new Uint8Array(Buffer.from(attestationObject, 'base64url'))).get('fmt'));

/**
 * Judges the model of an authenticator whose response was verified, the statement's own signature included.
 *
 * @param now milliseconds since the epoch
 * @returns undefined when the realm does not allow it; else whether its model is proved up to a trust anchor
 */
export function judgeModel(registered: Registered, terms: AttestationTerms, now: number): { attested: boolean } | undefined {
  const listed = terms.aaguids.includes(registered.aaguid.toLowerCase());
  if (terms.aaguids.length > 0 && !listed) return undefined;
  const chain = certificatesOf(registered);
  const vouched = leadsToAnchor(chain, terms.trustAnchors.flatMap(certificate), now);
  const wanted = terms.trustAnchors.length > 0 ? vouched : chain.length > 0;
  if (listed && !wanted) return undefined;
  return { attested: listed && vouched };
}

/** The certificates of the statement, its own first; none for a statement that is signed by the new key itself. */
function certificatesOf({ attestationObject }: Registered): X509Certificate[] {
  const certificates = decodeAttestationObject(attestationObject).get('attStmt').get('x5c');
  return Array.isArray(certificates) ? certificates.flatMap((der) => certificate(der)) : [];
}

/** None for what cannot be read. */
function certificate(encoded: string | Uint8Array): X509Certificate[] {
  try {
    return [new X509Certificate(encoded)];
  } catch {
    return [];
  }
}

/** Each certificate is issued by the next one, and one of them is an anchor or issued by one (RFC 5280 section 6.1). */
function leadsToAnchor(chain: readonly X509Certificate[], anchors: readonly X509Certificate[], now: number): boolean {
  for (const [index, one] of chain.entries()) {
    if (!isValid(one, now) || (index > 0 && !one.ca)) return false;
    if (anchors.some((anchor) => anchor.fingerprint256 === one.fingerprint256)) return true;
    if (anchors.some((anchor) => isValid(anchor, now) && isIssuedBy(one, anchor))) return true;
    const above = chain[index + 1];
    if (above === undefined || !isIssuedBy(one, above)) return false;
  }
  return false;
}

const isValid = ({ validFromDate, validToDate }: X509Certificate, now: number): boolean =>
  validFromDate.getTime() <= now && now <= validToDate.getTime();

const isIssuedBy = (one: X509Certificate, above: X509Certificate): boolean => above.ca && one.checkIssued(above) && one.verify(above.publicKey);
