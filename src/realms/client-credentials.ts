/**
 * What a client shows who it is with, by Keycloak's fields: `clientAuthenticatorType`, and the attributes that its keys
 * stand in. A client has one way, and no other is taken in its place.
 */
import { createHash, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import type { ClientRow } from '../store/clients.ts';
import { parseName } from './distinguished-names.ts';

/** Keycloak's names, and the method of each (RFC 7591 section 2, RFC 8705 section 2.1), unless an attribute says another. */
export const AUTHENTICATORS = {
  'client-secret': 'client_secret_basic',
  'client-secret-jwt': 'client_secret_jwt',
  'client-jwt': 'private_key_jwt',
  'client-x509': 'tls_client_auth',
} as const;
export type Authenticator = keyof typeof AUTHENTICATORS;
export const AUTHENTICATOR_TYPES = ['client-secret', 'client-secret-jwt', 'client-jwt', 'client-x509'] as const satisfies readonly Authenticator[];

export const isAuthenticator = (name: string): name is Authenticator => Object.hasOwn(AUTHENTICATORS, name);

/** What assertions and request objects may be signed with. */
export const SECRET_ALGORITHMS = ['HS256', 'HS384', 'HS512'] as const;
export const KEY_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const;
export type ClientAlgorithm = (typeof SECRET_ALGORITHMS)[number] | (typeof KEY_ALGORITHMS)[number];

/** That algorithm, if it is one of them. */
export const algorithmIn = <A extends ClientAlgorithm>(algorithms: readonly A[], name: string | undefined): A | undefined =>
  algorithms.find((algorithm) => algorithm === name);

/** The attributes that keys stand in. */
export const KEYS = {
  useUrl: 'use.jwks.url',
  url: 'jwks.url',
  useSet: 'use.jwks.string',
  set: 'jwks.string',
  certificate: 'jwt.credential.certificate',
  publicKey: 'jwt.credential.public.key',
  kid: 'jwt.credential.kid',
} as const;
/** What a client's assertions are signed with, if it says so; how long they may be good at most, in seconds. */
export const SIGNING_ALGORITHM = 'token.endpoint.auth.signing.alg';
export const LONGEST_ASSERTION = 'token.endpoint.auth.signing.max.exp';
export const SUBJECT = 'x509.subjectdn';
/** `true`: a client of certificates registers them itself, and nobody has to vouch for them (RFC 8705 section 2.2). */
export const SELF_SIGNED = 'cardea.x509.self.signed';
export const SELF_SIGNED_METHOD = 'self_signed_tls_client_auth';
/** `true`: its tokens are bound to the certificate that it came with (RFC 8705 section 3). */
export const BOUND = 'tls.client.certificate.bound.access.tokens';

/** What a client's requests are signed with, if it says so, and whether they have to be. */
export const REQUEST_ALGORITHM = 'request.object.signature.alg';
export const REQUEST_REQUIRED = 'request.object.required';
export const REQUEST_ALGORITHMS = [...SECRET_ALGORITHMS, ...KEY_ALGORITHMS] as const;
/** Keycloak's words. A pushed request (RFC 9126) is one by value when it is pushed, and then one by reference. */
export const REQUEST_BY_VALUE = 'request only';
export const REQUEST_BY_REFERENCE = 'request_uri only';
const SIGNED_ONLY: readonly string[] = ['request or request_uri', REQUEST_BY_VALUE, REQUEST_BY_REFERENCE];
export const REQUEST_CHOICES: readonly string[] = ['not required', ...SIGNED_ONLY];

/** Whether a client takes no request that it has not signed. */
export const signsRequests = ({ attributes }: Pick<ClientRow, 'attributes'>): boolean => SIGNED_ONLY.includes(attributes[REQUEST_REQUIRED] ?? '');

/** A public key as a set holds it (RFC 7517 section 4). */
export interface PublicJwk {
  kty: string;
  [member: string]: unknown;
}

/** A client's keys: a set, or where it is fetched. */
export type ClientKeys = { jwks: { keys: PublicJwk[] } } | { jwks_uri: string };

/** More than anybody rotates through. */
const MOST_KEYS = 50;
const LEAST_RSA_BITS = 2_048;
const CURVES: readonly string[] = ['P-256', 'P-384', 'P-521', 'Ed25519', 'X25519'];

const keySet = z.object({ keys: z.array(z.looseObject({ kty: z.string() })).max(MOST_KEYS) });

/** What is wrong with keys, in words for whoever stores them. */
export class UnusableKey extends Error {}

/**
 * A JSON Web Key Set of public keys.
 * @throws UnusableKey
 */
export function parseKeySet(text: string): { keys: PublicJwk[] } {
  const parsed = keySet.safeParse(jsonOf(text));
  if (!parsed.success) throw new UnusableKey('must be a JSON Web Key Set, such as {"keys":[{"kty":"RSA","n":"…","e":"AQAB"}]}');
  for (const [index, jwk] of parsed.data.keys.entries()) checkKey(jwk, `key ${index}`);
  if (parsed.data.keys.length === 0) throw new UnusableKey('must hold at least one key');
  return parsed.data;
}

/**
 * For whoever stores a set: the first certificate of a key is that key's (RFC 7517 section 4.7).
 * @throws UnusableKey
 */
export function checkCertificates({ keys }: { keys: readonly PublicJwk[] }): void {
  for (const [index, jwk] of keys.entries())
    if (Array.isArray(jwk.x5c) && jwk.x5c.length > 0 && !isCertificateOf(String(jwk.x5c[0]), jwk))
      throw new UnusableKey(`key ${index} has an x5c whose first certificate is none, or another key's`);
}

function isCertificateOf(text: string, jwk: PublicJwk): boolean {
  try {
    return parseCertificate(text).publicKey.equals(createPublicKey({ key: jwk, format: 'jwk' }));
  } catch (error) {
    if (error instanceof UnusableKey) return false;
    throw error;
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function checkKey(jwk: PublicJwk, name: string): void {
  // Nobody but its owner may ever see it: what came here is lost already.
  if (['d', 'p', 'q', 'k', 'dp', 'dq', 'qi', 'oth', 'priv'].some((secret) => jwk[secret] !== undefined))
    throw new UnusableKey(`${name} is a private or secret key; make another pair and give its public key`);
  let key: KeyObject;
  try {
    key = createPublicKey({ key: jwk, format: 'jwk' });
  } catch {
    throw new UnusableKey(`${name} is no public key of kty RSA, EC or OKP`);
  }
  checkStrength(key, name);
  if (jwk.crv !== undefined && !CURVES.includes(String(jwk.crv))) throw new UnusableKey(`${name} must be on one of ${CURVES.join(', ')}`);
  for (const member of ['kid', 'use', 'alg'])
    if (jwk[member] !== undefined && (typeof jwk[member] !== 'string' || jwk[member] === ''))
      throw new UnusableKey(`${name} has a ${member} that is no text`);
  const { x5c } = jwk;
  if (x5c !== undefined && !(Array.isArray(x5c) && x5c.every((one) => typeof one === 'string' && one !== '')))
    throw new UnusableKey(`${name} has an x5c that is no list of certificates`);
}

function checkStrength(key: KeyObject, name: string): void {
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (bits !== undefined && bits < LEAST_RSA_BITS) throw new UnusableKey(`${name} has ${bits} bits; RSA keys need ${LEAST_RSA_BITS} or more`);
}

/**
 * A certificate, in PEM or as the base64 of it without its frame, as Keycloak keeps it.
 * @throws UnusableKey
 */
export function parseCertificate(text: string): X509Certificate {
  const framed = /^\s*-----BEGIN CERTIFICATE-----([\w+/=\s]+)-----END CERTIFICATE-----\s*$/.exec(text)?.[1];
  const base64 = (framed ?? text).replaceAll(/\s/g, '');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) throw new UnusableKey('must be one X.509 certificate, in PEM or in base64');
  try {
    const certificate = new X509Certificate(Buffer.from(base64, 'base64'));
    checkStrength(certificate.publicKey, 'its key');
    return certificate;
  } catch (error) {
    if (error instanceof UnusableKey) throw error;
    throw new UnusableKey('must be one X.509 certificate, in PEM or in base64');
  }
}

/**
 * A public key in PEM, or the base64 of its DER.
 * @throws UnusableKey
 */
export function parsePublicKey(text: string): KeyObject {
  const framed = /^\s*-----BEGIN PUBLIC KEY-----([\w+/=\s]+)-----END PUBLIC KEY-----\s*$/.exec(text)?.[1];
  try {
    const key = createPublicKey({ key: Buffer.from((framed ?? text).replaceAll(/\s/g, ''), 'base64'), format: 'der', type: 'spki' });
    checkStrength(key, 'it');
    return key;
  } catch (error) {
    if (error instanceof UnusableKey) throw error;
    throw new UnusableKey('must be one public key, in PEM or in base64');
  }
}

/** Keycloak's name of a key that has none: what its own clients write into their assertions. */
const nameOfKey = (key: KeyObject): string =>
  createHash('sha256')
    .update(key.export({ format: 'der', type: 'spki' }))
    .digest('base64url');

function jwkOf(key: KeyObject, kid: string, certificate?: X509Certificate): PublicJwk {
  const { kty, ...members } = key.export({ format: 'jwk' });
  return { kty: kty ?? '', ...members, kid, use: 'sig', ...(certificate ? { x5c: [certificate.raw.toString('base64')] } : {}) };
}

/** A client's keys; undefined when it has none, or none that can be used. */
export function keysOf({ attributes }: Pick<ClientRow, 'attributes'>): ClientKeys | undefined {
  try {
    if (attributes[KEYS.useUrl] === 'true') {
      const url = attributes[KEYS.url] ?? '';
      return URL.canParse(url) ? { jwks_uri: url } : undefined;
    }
    if (attributes[KEYS.useSet] === 'true') return { jwks: parseKeySet(attributes[KEYS.set] ?? '') };
    const { [KEYS.certificate]: stored, [KEYS.publicKey]: bare, [KEYS.kid]: kid } = attributes;
    if (stored !== undefined) {
      const certificate = parseCertificate(stored);
      // What clients write there: a name that was given, Keycloak's, or the digest of the certificate (RFC 7515 section 4.1.8).
      const digest = createHash('sha256').update(certificate.raw).digest('base64url');
      const kids = kid === undefined ? [nameOfKey(certificate.publicKey), digest] : [kid];
      return { jwks: { keys: kids.map((name) => jwkOf(certificate.publicKey, name, certificate)) } };
    }
    if (bare === undefined) return undefined;
    const key = parsePublicKey(bare);
    return { jwks: { keys: [jwkOf(key, kid ?? nameOfKey(key))] } };
  } catch (error) {
    // Kept from a time at which it had no effect.
    if (error instanceof UnusableKey) return undefined;
    throw error;
  }
}

/** How a client authenticates, in the words of RFC 7591. */
export interface Authentication {
  token_endpoint_auth_method: (typeof AUTHENTICATORS)[Authenticator] | typeof SELF_SIGNED_METHOD | 'none';
  token_endpoint_auth_signing_alg?: ClientAlgorithm;
  tls_client_auth_subject_dn?: string;
}

/**
 * How a client authenticates; undefined for one that has nothing to do it with: its users are not let in either.
 * @param options.tls whether certificates of TLS come in in this installation, and whether anybody vouches for some
 */
export function authenticationOf(
  row: Pick<ClientRow, 'publicClient' | 'secret' | 'kept' | 'attributes'>,
  { tls }: { tls: { passed: boolean; vouchedFor: boolean } },
): Authentication | undefined {
  if (row.publicClient) return { token_endpoint_auth_method: 'none' };
  const type = row.kept.clientAuthenticatorType;
  if (!isAuthenticator(type)) return undefined;
  const token_endpoint_auth_method = AUTHENTICATORS[type];
  switch (type) {
    case 'client-secret':
      return row.secret === null ? undefined : { token_endpoint_auth_method };
    case 'client-secret-jwt':
      return row.secret === null ? undefined : signedBy(SECRET_ALGORITHMS, row, { token_endpoint_auth_method });
    case 'client-jwt':
      return keysOf(row) && signedBy(KEY_ALGORITHMS, row, { token_endpoint_auth_method });
    case 'client-x509': {
      if (row.attributes[SELF_SIGNED] === 'true')
        return tls.passed && hasCertificates(keysOf(row)) ? { token_endpoint_auth_method: SELF_SIGNED_METHOD } : undefined;
      const subject = row.attributes[SUBJECT];
      const isUsable =
        tls.vouchedFor &&
        subject !== undefined &&
        parseName(subject) !== undefined &&
        row.attributes['x509.allow.regex.pattern.comparison'] !== 'true';
      return isUsable ? { token_endpoint_auth_method, tls_client_auth_subject_dn: subject } : undefined;
    }
  }
}

/** Whether there can be certificates among a client's keys. */
const hasCertificates = (keys: ClientKeys | undefined): boolean =>
  keys !== undefined && ('jwks_uri' in keys || keys.jwks.keys.some(({ x5c }) => Array.isArray(x5c) && x5c.length > 0));

/** With the one algorithm that a client allows, if it says so; undefined when it is none of these. */
function signedBy(
  algorithms: readonly ClientAlgorithm[],
  { attributes }: Pick<ClientRow, 'attributes'>,
  authentication: Authentication,
): Authentication | undefined {
  const only = attributes[SIGNING_ALGORITHM];
  if (only === undefined) return authentication;
  const algorithm = algorithmIn(algorithms, only);
  return algorithm && { ...authentication, token_endpoint_auth_signing_alg: algorithm };
}

/** Whether a client's secret is what it authenticates with. Elsewhere it is good for nothing, whatever is stored. */
export const usesSecret = ({ publicClient, kept }: Pick<ClientRow, 'publicClient' | 'kept'>): boolean =>
  !publicClient && (kept.clientAuthenticatorType === 'client-secret' || kept.clientAuthenticatorType === 'client-secret-jwt');
