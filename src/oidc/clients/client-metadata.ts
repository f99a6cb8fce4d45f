/**
 * What the library is told of a client, made from its row: Keycloak's fields and attributes in the words of RFC 7591.
 *
 * The library's schema refuses much of what Keycloak's clients register (`/app/*`, https beside a custom scheme, an empty
 * list). It is given one valid placeholder instead, and the real lists travel as extra metadata to a matcher of ours.
 */
import type { AdapterPayload } from 'oidc-provider';
import { type Algorithm, knownAlgorithm } from '../../realms/algorithms.ts';
import { CIBA_SIGNED, mayAskElsewhere } from '../../realms/ciba.ts';
import { type Authentication, BOUND, keysOf, signsRequests } from '../../realms/client-credentials.ts';
import { CODE, hasImplicit, type ResponseType, responseTypesOf } from '../../realms/response-types.ts';
import type { RealmSettings } from '../../realms/settings.ts';
import type { ClientRow } from '../../store/clients.ts';
import { CIBA_GRANT, DEVICE_GRANT } from '../names.ts';

/** RFC 8693 section 2.1. */
export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

const PLACEHOLDER = 'https://redirect-uris.invalid/';

/** Names of our extra metadata; the library keeps them as they are. */
export const CLIENT_METADATA = ['cardea_row', 'cardea_rotated'] as const;

interface Opened {
  secret: string | undefined;
  /** The secret of before. */
  rotated: string | undefined;
  /** All that it may ask for and that tokens name. */
  scopes: readonly string[];
  /** How it says who it is. */
  authentication: Authentication;
  /** What the realm signs with where the client says nothing. */
  algorithm: Algorithm;
}

/** A client in the words of RFC 7591 section 2. */
export function metadataOf(row: ClientRow, { secret, rotated, scopes, authentication, algorithm }: Opened): AdapterPayload {
  const responseTypes = responseTypesOf(row);
  return {
    client_id: row.clientId,
    ...(row.name === null ? {} : { client_name: row.name }),
    ...(secret === undefined ? {} : { client_secret: secret }),
    ...authentication,
    ...keysOf(row),
    grant_types: grantTypesOf(row, responseTypes),
    response_types: responseTypes,
    redirect_uris: responseTypes.length > 0 ? [PLACEHOLDER] : [],
    post_logout_redirect_uris: [],
    scope: ['openid', ...scopes].join(' '),
    id_token_signed_response_alg: knownAlgorithm(row.attributes['id.token.signed.response.alg']) ?? algorithm,
    ...signedUserinfo(row),
    ...(row.attributes['cardea.default.max.age'] === undefined ? {} : { default_max_age: Number(row.attributes['cardea.default.max.age']) }),
    ...(isOn(row, 'require.pushed.authorization.requests') ? { require_pushed_authorization_requests: true } : {}),
    ...(isOn(row, 'dpop.bound.access.tokens') ? { dpop_bound_access_tokens: true } : {}),
    ...(signsRequests(row) ? { require_signed_request_object: true } : {}),
    ...(isOn(row, BOUND) ? { tls_client_certificate_bound_access_tokens: true } : {}),
    ...askedElsewhere(row),
    cardea_row: row,
    ...(rotated === undefined ? {} : { cardea_rotated: rotated }),
  };
}

/** Keycloak's switches are attributes with the text `true`. */
export const isOn = (row: ClientRow, attribute: string): boolean => row.attributes[attribute] === 'true';

/** Keycloak's switch; a public client has nothing to show that it is itself. */
const mayExchange = (row: ClientRow): boolean => isOn(row, 'standard.token.exchange.enabled') && !row.publicClient;

/** What a client may ask tokens for; one that only receives them may ask for none. */
function grantTypesOf(row: ClientRow, responseTypes: readonly ResponseType[]): string[] {
  const { kept, directAccess, serviceAccount, publicClient } = row;
  if (kept.bearerOnly) return [];
  const authorizes = responseTypes.includes(CODE);
  const onDevices = isOn(row, 'oauth2.device.authorization.grant.enabled');
  const elsewhere = asksElsewhere(row);
  return [
    ...(authorizes ? ['authorization_code'] : []),
    ...(hasImplicit(responseTypes) ? ['implicit'] : []),
    ...(directAccess ? ['password'] : []),
    ...(onDevices ? [DEVICE_GRANT] : []),
    ...(elsewhere ? [CIBA_GRANT] : []),
    ...(authorizes || directAccess || onDevices || elsewhere || mayExchange(row) ? ['refresh_token'] : []),
    ...(mayExchange(row) ? [TOKEN_EXCHANGE] : []),
    ...(serviceAccount && !publicClient ? ['client_credentials'] : []),
  ];
}

/** Whether a client may ask by CIBA. One that has to sign its requests and has no keys may not: the library would know it for nothing at all. */
const asksElsewhere = (row: ClientRow): boolean => mayAskElsewhere(row) && (row.attributes[CIBA_SIGNED] === undefined || keysOf(row) !== undefined);

/** What the library wants to know of such a client. */
function askedElsewhere(row: ClientRow): AdapterPayload {
  if (!asksElsewhere(row)) return {};
  const algorithm = row.attributes[CIBA_SIGNED];
  return {
    backchannel_token_delivery_mode: 'poll',
    ...(algorithm === undefined ? {} : { backchannel_authentication_request_signing_alg: algorithm }),
  };
}

/** Our row behind a client of the library. */
export function rowOf(client: { [key: string]: unknown } | undefined): ClientRow {
  const row = client?.cardea_row;
  if (!isClientRow(row)) throw new Error('A client of the library has no row of ours.');
  return row;
}

function isClientRow(value: unknown): value is ClientRow {
  return typeof value === 'object' && value !== null && 'clientId' in value && 'redirectUris' in value;
}

/** What a client's access tokens are signed with (Keycloak's attribute), and the realm's unless it says otherwise. */
export const accessTokenAlgorithm = (row: ClientRow, { defaultSignatureAlgorithm }: RealmSettings): Algorithm =>
  knownAlgorithm(row.attributes['access.token.signed.response.alg']) ?? defaultSignatureAlgorithm;

/** Userinfo is plain JSON unless a client wants it signed. */
function signedUserinfo(row: ClientRow): AdapterPayload {
  const algorithm = knownAlgorithm(row.attributes['user.info.response.signature.alg']);
  return algorithm === undefined ? {} : { userinfo_signed_response_alg: algorithm };
}

/** Whether each refresh gives a new refresh token and uses the old one up: the client's own word, or the realm's; always where nothing shows who it is. */
export const rotates = (row: ClientRow, settings: Pick<RealmSettings, 'revokeRefreshToken'>): boolean =>
  row.revokeRefreshToken ?? (settings.revokeRefreshToken || row.publicClient);

/** Seconds that an attribute says, such as access.token.lifespan; undefined where it says nothing that counts. */
export function secondsOf(row: ClientRow, attribute: string): number | undefined {
  const seconds = Number(row.attributes[attribute] ?? 0);
  return Number.isSafeInteger(seconds) && seconds > 0 ? seconds : undefined;
}
