/**
 * Certificates of clients (RFC 8705). TLS ends at a proxy, which has made sure that whoever is at the other end has the
 * certificate's key, and passes the certificate on in a header. Cardea believes that header only where the installation
 * names it and is behind a proxy (config/client-certificates.ts); the proxy must replace whatever came in under its name.
 *
 * Two things are made of a certificate. Tokens are bound to it: any will do, for its owner is whoever came with it before.
 * And a client authenticates by one: then its issuer must be among those that the installation names, or it is one that the
 * client has registered itself, and valid. That is looked at here, and not left to how the proxy verifies.
 */
import { createHash, X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type Configuration, errors } from 'oidc-provider';
import type { ClientCertificates } from '../../config/client-certificates.ts';
import { SELF_SIGNED_METHOD } from '../../realms/client-credentials.ts';
import { isSubject } from '../../realms/distinguished-names.ts';
import type { RealmRoom } from '../room.ts';

/** As much as a certificate ever is. */
const MAX_LENGTH = 12_000;
/** id-kp-clientAuth (RFC 5280 section 4.2.1.12), and anyExtendedKeyUsage. */
const FOR_CLIENTS: readonly string[] = ['1.3.6.1.5.5.7.3.2', '2.5.29.37.0'];

/** One look a request. */
const looked = new WeakMap<IncomingMessage, X509Certificate | undefined>();

type Deps = Pick<RealmRoom, 'clientCertificates' | 'now'>;

/** The library's mTLS: on where a proxy passes certificates on. */
export function mtlsOf(deps: Deps): NonNullable<NonNullable<Configuration['features']>['mTLS']> {
  const { clientCertificates, now } = deps;
  return {
    enabled: clientCertificates !== undefined,
    certificateBoundAccessTokens: true,
    tlsClientAuth: authenticatesByTls(deps),
    selfSignedTlsClientAuth: clientCertificates !== undefined,
    getCertificate: (ctx) => {
      const certificate = certificateOf(deps, ctx.req);
      // Nobody but its owner says that it is good, and until when.
      const isOver = ctx.oidc.client?.clientAuthMethod === SELF_SIGNED_METHOD && certificate !== undefined && !isValidAt(certificate, now());
      return isOver ? undefined : certificate;
    },
    certificateAuthorized: (ctx) => {
      const certificate = certificateOf(deps, ctx.req);
      return certificate !== undefined && isVouchedFor(certificate, clientCertificates?.authorities ?? [], now());
    },
    certificateSubjectMatches: (ctx, property, expected) => {
      const certificate = certificateOf(deps, ctx.req);
      return certificate !== undefined && property === 'tls_client_auth_subject_dn' && isSubject(certificate, expected);
    },
  };
}

/** Whether clients can authenticate by a certificate here: somebody has to vouch for it. */
export const authenticatesByTls = ({ clientCertificates }: Pick<Deps, 'clientCertificates'>): boolean =>
  (clientCertificates?.authorities.length ?? 0) > 0;

/**
 * The certificate that a request came with; undefined when there is none.
 * @throws 400 for what a proxy would not have written
 */
export function certificateOf({ clientCertificates }: Pick<Deps, 'clientCertificates'>, request: IncomingMessage): X509Certificate | undefined {
  if (clientCertificates === undefined) return undefined;
  if (!looked.has(request)) looked.set(request, certificateIn(clientCertificates, request));
  return looked.get(request);
}

function certificateIn({ header }: ClientCertificates, { headersDistinct }: IncomingMessage): X509Certificate | undefined {
  const [value = '', ...more] = headersDistinct[header] ?? [];
  // Two of them are the proxy's, and one that it should have taken away.
  if (more.length > 0) throw new errors.InvalidRequest('the client certificate is there twice: the proxy must replace the header');
  // What Apache writes for none.
  if (value === '' || value === '(null)') return undefined;
  const der = value.length > MAX_LENGTH ? undefined : derOf(value);
  try {
    if (der) return new X509Certificate(der);
  } catch {
    // Said below.
  }
  throw new errors.InvalidRequest('the client certificate that the proxy passed on cannot be read');
}

/** In PEM, as such, with spaces for the ends of lines, or URL-encoded (nginx); or the base64 of the DER, in colons too (RFC 9440 section 2.1). */
function derOf(value: string): Buffer | undefined {
  const text = /^-----BEGIN(?:%20|\+)CERTIFICATE-----/.test(value) ? decoded(value) : value;
  const framed = /^-----BEGIN CERTIFICATE-----([\w+/=\s]+)-----END CERTIFICATE-----\s*$/.exec(text ?? '')?.[1];
  const base64 = (framed ?? /^:(.+):$/.exec(text ?? '')?.[1] ?? text ?? '').replaceAll(/\s/g, '');
  return /^[A-Za-z0-9+/]+={0,2}$/.test(base64) ? Buffer.from(base64, 'base64') : undefined;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

const isValidAt = ({ validFromDate, validToDate }: X509Certificate, now: number): boolean =>
  validFromDate.getTime() <= now && now <= validToDate.getTime();

/**
 * Whether one of the authorities has signed it, for clients, and it is valid now. An authority that stands behind another
 * one that is not named vouches for nothing: name those that sign clients' certificates themselves.
 */
export function isVouchedFor(certificate: X509Certificate, authorities: readonly X509Certificate[], now: number): boolean {
  const isNow = (one: X509Certificate): boolean => isValidAt(one, now);
  // Node's type has a list; a certificate that says nothing of what it is for has none.
  const uses: readonly string[] | undefined = certificate.keyUsage;
  if (certificate.ca || !isNow(certificate) || (uses !== undefined && !uses.some((use) => FOR_CLIENTS.includes(use)))) return false;
  return authorities.some((authority) => isNow(authority) && certificate.checkIssued(authority) && certificate.verify(authority.publicKey));
}

/** RFC 8705 section 3.1. */
export const thumbprintOf = ({ raw }: X509Certificate): string => createHash('sha256').update(raw).digest('base64url');
