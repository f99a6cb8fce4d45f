/** What a client may be given to show who it is with, checked when it is stored: a mistake is met here, and not by its users. */
import type { AllowedTarget } from '../../config/outbound.ts';
import { AppError, badInput } from '../../errors.ts';
import { requireFetchable } from '../../http/guarded-client.ts';
import {
  AUTHENTICATOR_TYPES,
  algorithmIn,
  BOUND,
  checkCertificates,
  isAuthenticator,
  KEY_ALGORITHMS,
  KEYS,
  LONGEST_ASSERTION,
  parseCertificate,
  parseKeySet,
  parsePublicKey,
  REQUEST_ALGORITHM,
  REQUEST_ALGORITHMS,
  REQUEST_CHOICES,
  REQUEST_REQUIRED,
  SECRET_ALGORITHMS,
  SELF_SIGNED,
  SIGNING_ALGORITHM,
  SUBJECT,
  UnusableKey,
} from '../../realms/client-credentials.ts';
import { parseName } from '../../realms/distinguished-names.ts';
import { listedRequestUris, MOST_REQUEST_URIS, partsOfRequestUri, REQUEST_URIS, requestUriProblem } from '../../realms/request-uris.ts';
import type { ClientRow } from '../../store/clients.ts';
import type { Operator } from './context.ts';

const PATTERNS = 'x509.allow.regex.pattern.comparison';

/** What each attribute may be; what it throws is what is wrong with it. */
const CHECKS: Readonly<Record<string, (value: string, operator: Pick<Operator, 'outboundAllow'>) => void>> = {
  [KEYS.url]: (value, { outboundAllow = [] }) => void requireFetchable(value, outboundAllow),
  [KEYS.set]: (value) => checkCertificates(parseKeySet(value)),
  [KEYS.certificate]: (value) => void parseCertificate(value),
  [KEYS.publicKey]: (value) => void parsePublicKey(value),
  [LONGEST_ASSERTION]: (value) => must(/^(?:-1|[0-9]{1,9})$/.test(value), 'must be a number of seconds'),
  [SUBJECT]: (value) =>
    must(parseName(value) !== undefined, 'must be the name of a certificate as RFC 4514 writes it, such as CN=robot,O=Example,C=SE'),
  [REQUEST_ALGORITHM]: (value) =>
    must(
      value === 'any' || algorithmIn(REQUEST_ALGORITHMS, value) !== undefined,
      `must be any or one of ${REQUEST_ALGORITHMS.join(', ')}; a request object that is not signed proves nothing`,
    ),
  [REQUEST_REQUIRED]: (value) => must(REQUEST_CHOICES.includes(value), `must be one of ${REQUEST_CHOICES.join(', ')}`),
  [SELF_SIGNED]: (value) => must(value === 'true' || value === 'false', 'must be true or false'),
  [REQUEST_URIS]: (value, { outboundAllow = [] }) => checkRequestUris(value, outboundAllow),
  [PATTERNS]: (value) => must(value === 'false', 'must be false: a subject is compared as it is, and not by a pattern that others may fit'),
};

/**
 * @param client as it is to be
 * @param given the attributes that are being set; what stays as it was is not looked at
 * @throws AppError 400 on what cannot be used
 */
export function checkAuthentication(
  operator: Pick<Operator, 'outboundAllow'>,
  client: Pick<ClientRow, 'kept' | 'attributes'>,
  given: Readonly<Record<string, string | null>>,
): void {
  const type = client.kept.clientAuthenticatorType;
  if (!isAuthenticator(type)) throw badInput('clientAuthenticatorType', `clientAuthenticatorType: must be one of ${AUTHENTICATOR_TYPES.join(', ')}`);
  for (const [name, check] of Object.entries(CHECKS)) {
    const value = given[name];
    if (value !== undefined && value !== null && value !== '') checkOne(name, () => check(value, operator));
  }
  if (client.attributes[BOUND] === 'true' && client.attributes['dpop.bound.access.tokens'] === 'true')
    throw badInput(`attributes.${BOUND}`, `attributes.${BOUND}: tokens are bound to a certificate or by DPoP, and not both`);
  const algorithm = client.attributes[SIGNING_ALGORITHM];
  const algorithms = { 'client-secret-jwt': SECRET_ALGORITHMS, 'client-jwt': KEY_ALGORITHMS, 'client-secret': undefined, 'client-x509': undefined }[
    type
  ];
  if (algorithms && algorithm !== undefined)
    checkOne(SIGNING_ALGORITHM, () => must(algorithmIn(algorithms, algorithm) !== undefined, `must be one of ${algorithms.join(', ')} for ${type}`));
}

function checkRequestUris(value: string, allow: readonly AllowedTarget[]): void {
  const uris = listedRequestUris(value);
  must(uris.length <= MOST_REQUEST_URIS, `must not have more than ${MOST_REQUEST_URIS} addresses`);
  for (const uri of uris) {
    const problem = requestUriProblem(uri);
    if (problem !== undefined) throw new UnusableKey(`${uri}: ${problem}`);
    requireFetchable((partsOfRequestUri(uri)?.address ?? '').replace(/\*$/, ''), allow);
  }
}

function must(isSo: boolean, says: string): void {
  if (!isSo) throw new UnusableKey(says);
}

function checkOne(name: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof UnusableKey) && !(error instanceof AppError && error.code === 'outbound_refused')) throw error;
    throw badInput(`attributes.${name}`, `attributes.${name}: ${error.message}`);
  }
}
