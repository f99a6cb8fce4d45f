/**
 * Which models may be bound, and what a model is worth. What an authenticator says of its model is only a claim until a
 * signed statement stands behind it, and the statement is only worth something when a trust anchor stands behind that:
 * anybody can make a certificate that names any model.
 */
import type { VerifiedRegistrationResponse } from '@simplewebauthn/server';
import { convertCertBufferToPEM, decodeAttestationObject, validateCertificatePath } from '@simplewebauthn/server/helpers';

/** What a realm asks of an authenticator that is bound anew. */
export interface AttestationTerms {
  attestation: 'none' | 'direct';
  aaguids: readonly string[];
  trustAnchors: readonly string[];
}

type Registered = Extract<VerifiedRegistrationResponse, { verified: true }>['registrationInfo'];

/** A list of models is of no use when none is asked for. */
export const conveyanceOf = ({ attestation, aaguids }: AttestationTerms): 'none' | 'direct' => (aaguids.length > 0 ? 'direct' : attestation);

/**
 * Judges the model of an authenticator whose response was verified, the statement's own signature included.
 *
 * @returns undefined when the realm does not allow it; else whether its model is proved up to a trust anchor
 */
export async function judgeModel(registered: Registered, terms: AttestationTerms): Promise<{ attested: boolean } | undefined> {
  const listed = terms.aaguids.includes(registered.aaguid.toLowerCase());
  if (terms.aaguids.length > 0 && !listed) return undefined;
  const chain = certificatesOf(registered);
  const vouched = chain.length > 0 && (await leadsTo(chain, terms.trustAnchors));
  const wanted = terms.trustAnchors.length > 0 ? vouched : chain.length > 0;
  if (listed && !wanted) return undefined;
  return { attested: listed && vouched };
}

/** The certificates of the statement, its own first; none for a statement that is signed by the new key itself. */
function certificatesOf({ attestationObject }: Registered): string[] {
  const certificates = decodeAttestationObject(attestationObject).get('attStmt').get('x5c');
  return Array.isArray(certificates) ? certificates.map((certificate) => convertCertBufferToPEM(certificate)) : [];
}

async function leadsTo(chain: readonly string[], anchors: readonly string[]): Promise<boolean> {
  if (anchors.length === 0) return false;
  const known = new Set(anchors.map(bare));
  // The library takes a chain that includes the anchor for a mistake.
  const below = chain.filter((certificate) => !known.has(bare(certificate)));
  if (below.length === 0) return true;
  try {
    return await validateCertificatePath(below, [...anchors]);
  } catch {
    return false;
  }
}

const bare = (pem: string): string => pem.replaceAll(/-----[A-Z ]+-----|\s/g, '');
