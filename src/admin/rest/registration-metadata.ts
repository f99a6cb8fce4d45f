/** Client metadata of OpenID Connect (RFC 7591 section 2, OpenID Connect Dynamic Client Registration 1.0 section 2), and what it means of a client. */
import { z } from 'zod';
import { badInput } from '../../errors.ts';
import { KEYS, usesSecret } from '../../realms/client-credentials.ts';
import { isOwnMachine, takesTokens } from '../../realms/redirect-uris.ts';
import { MOST_REQUEST_URIS } from '../../realms/request-uris.ts';
import { CODE, hasImplicit, RESPONSE_TYPES, responseTypesOf } from '../../realms/response-types.ts';
import type { ClientRow } from '../../store/clients.ts';
import type { ClientFields } from '../resources/client-input.ts';
import { OWN_METADATA } from '../resources/client-registrations.ts';
import { keyFields, keyMetadata, keyMetadataOf } from './registration-keys.ts';

const text = z.string().max(2_000);
const texts = z.array(text).max(500);

/** A page that people are led to. */
const page = z.url({ protocol: /^https?$/, error: 'must be an http or https address' }).max(2_000);
const notOffered = z.undefined({ error: 'encryption is not offered' }).optional();

const SEPARATOR = '##';
const UNDIVIDED = 'must not contain ##';
function isUndivided(values: readonly string[]): boolean {
  return values.every((value) => !value.includes(SEPARATOR));
}

/** Its words may come in any order. */
const responseType = z
  .string()
  .transform((type) => [...new Set(type.split(' '))].sort().join(' '))
  .pipe(z.enum(RESPONSE_TYPES));

export const clientMetadata = z.object({
  client_id: text.optional(),
  client_secret: text.optional(),
  redirect_uris: texts.optional(),
  post_logout_redirect_uris: texts.optional(),
  ...keyMetadata,
  grant_types: z
    .array(z.enum(['authorization_code', 'implicit', 'refresh_token', 'client_credentials']))
    .max(10)
    .optional(),
  response_types: z.array(responseType).max(RESPONSE_TYPES.length).optional(),
  client_name: text.optional(),
  client_uri: page.optional(),
  logo_uri: page.optional(),
  policy_uri: page.optional(),
  tos_uri: page.optional(),
  application_type: z.enum(['web', 'native']).optional(),
  contacts: z.array(z.string().max(255)).max(20).refine(isUndivided, UNDIVIDED).optional(),
  initiate_login_uri: z
    .url({ protocol: /^https$/, error: 'must be an https address' })
    .max(2_000)
    .optional(),
  sector_identifier_uri: text.optional(),
  subject_type: z.literal('public', { error: 'must be public: others are not offered' }).optional(),
  default_max_age: z.number().int().min(0).max(315_360_000).optional(),
  default_acr_values: z.array(z.string().min(1).max(255)).max(20).refine(isUndivided, UNDIVIDED).optional(),
  backchannel_logout_uri: text.optional(),
  backchannel_logout_session_required: z.boolean().optional(),
  id_token_signed_response_alg: text.optional(),
  userinfo_signed_response_alg: text.optional(),
  require_pushed_authorization_requests: z.boolean().optional(),
  dpop_bound_access_tokens: z.boolean().optional(),
  token_endpoint_auth_signing_alg: text.optional(),
  request_object_signing_alg: text.optional(),
  request_uris: z
    .array(z.string().refine((uri) => !uri.includes('*'), 'must be an address, written out'))
    .max(MOST_REQUEST_URIS)
    .refine(isUndivided, UNDIVIDED)
    .optional(),
  tls_client_auth_subject_dn: text.optional(),
  tls_client_certificate_bound_access_tokens: z.boolean().optional(),
  // What would leave an application waiting for something else than it gets is refused, and not passed over.
  id_token_encrypted_response_alg: notOffered,
  userinfo_encrypted_response_alg: notOffered,
  authorization_encrypted_response_alg: notOffered,
});
export type ClientMetadata = z.output<typeof clientMetadata>;

/** What is not there is taken away (RFC 7592 section 2.2), but for what the client may do, which then stays. */
export function fieldsOfMetadata(metadata: ClientMetadata, client?: ClientRow): ClientFields {
  const { grant_types: grants, token_endpoint_auth_method: method } = metadata;
  // An identifier that policies or gates know could be had by whoever asks for it (RFC 7591 section 2).
  if (client === undefined && metadata.client_id !== undefined) throw badInput('client_id', 'client_id: is chosen by the server');
  if (client === undefined && (metadata.redirect_uris ?? []).length === 0 && !(grants ?? []).includes('client_credentials'))
    throw badInput('redirect_uris', 'redirect_uris: must not be empty');
  const flows = flowsOf(metadata, client);
  for (const uri of metadata.redirect_uris ?? [])
    checkOwnRedirectUri(uri, metadata.application_type ?? 'web', flows.implicitFlow ?? client?.kept.implicitFlowEnabled ?? false);
  const given: Readonly<Record<string, unknown>> = metadata;
  const attributes = Object.entries(OWN_METADATA).map(([name, { attribute }]) => [attribute, kept(given[name])]);
  const keys = keyFields(metadata, client);
  return {
    clientId: metadata.client_id,
    name: metadata.client_name ?? null,
    baseUrl: metadata.client_uri ?? null,
    redirectUris: metadata.redirect_uris ?? [],
    postLogoutRedirectUris: metadata.post_logout_redirect_uris ?? [],
    publicClient: method === undefined ? undefined : method === 'none',
    standardFlow: flows.standardFlow,
    serviceAccount: grants?.includes('client_credentials'),
    ...keys,
    kept: { ...keys.kept, implicitFlowEnabled: flows.implicitFlow },
    attributes: { ...Object.fromEntries(attributes), ...keys.attributes },
  };
}

/**
 * Which flows an application has (OpenID Connect Dynamic Client Registration 1.0 section 2): `grant_types` says it, and where it is left out,
 * a new one has codes alone and another one what it had. What `response_types` names has to be among them.
 */
function flowsOf({ grant_types: grants, response_types: types = [] }: ClientMetadata, client?: ClientRow) {
  const standardFlow = grants?.includes('authorization_code') ?? (client === undefined ? true : undefined);
  const implicitFlow = grants?.includes('implicit') ?? (client === undefined ? false : undefined);
  const lacks = (type: string, grant: string) => badInput('response_types', `response_types: ${type} needs ${grant} among the grant_types`);
  for (const type of types) {
    if (type.split(' ').includes(CODE) && !(standardFlow ?? client?.standardFlow)) throw lacks(type, 'authorization_code');
    if (hasImplicit([type]) && !(implicitFlow ?? client?.kept.implicitFlowEnabled)) throw lacks(type, 'implicit');
  }
  return { standardFlow, implicitFlow };
}

const READ = {
  text: (value: string) => value,
  texts: (value: string) => value.split(SEPARATOR),
  number: Number,
  boolean: (value: string) => value === 'true',
} as const;

const kept = (value: unknown): string | null => (value === undefined ? null : Array.isArray(value) ? value.join(SEPARATOR) : String(value));

/**
 * An application writes out where its users come back to, and one on a device comes back by a scheme of its own, by https or
 * on its own machine (OpenID Connect Dynamic Client Registration 1.0 section 2, `application_type`; RFC 8252 section 7). Where tokens come with
 * the answer, that is by https, and to no machine that is everybody's own.
 */
function checkOwnRedirectUri(uri: string, type: 'web' | 'native', implicit: boolean): void {
  const wrong = (problem: string) => badInput('redirect_uris', `redirect_uris: ${uri}: ${problem}`);
  const url = URL.parse(uri);
  if (!url || uri.includes('*')) throw wrong('must be an address, written out');
  const isHttp = url.protocol === 'http:';
  if (type === 'native' && isHttp && !isOwnMachine(url))
    throw wrong('an application on a device must use https, a scheme of its own or its own machine');
  if (implicit && !takesTokens(uri, type)) throw wrong('where tokens come with the answer (implicit), it must be https, and not localhost');
  if (type === 'web' && !isHttp && url.protocol !== 'https:') throw wrong('a scheme of its own is for applications whose application_type is native');
}

/** What is no attribute. */
const FIELDS = [
  ['client_id', 'clientId'],
  ['redirect_uris', 'redirectUris'],
  ['post_logout_redirect_uris', 'postLogoutRedirectUris'],
  ['client_name', 'name'],
  ['client_uri', 'baseUrl'],
] as const;

/** A message about a field or an attribute, by the name that it has as metadata. */
export function inMetadata(message: string): string {
  const own = Object.entries(OWN_METADATA).map(([name, { attribute }]): [string, string] => [name, `attributes.${attribute}`]);
  const keys = [['jwks_uri', `attributes.${KEYS.url}`] as const, ['jwks', `attributes.${KEYS.set}`] as const];
  const [name] = [...FIELDS, ...own, ...keys].find(([, field]) => message.startsWith(`${field}:`)) ?? [];
  return name === undefined ? message : message.replace(/^[^:]+/, name);
}

/** @param registered.secret none for whoever may not have it again */
export function metadataOf(client: ClientRow, registered: { secret: string | null; token: string; uri: string }): Record<string, unknown> {
  const attributes = Object.entries(OWN_METADATA).flatMap(([name, { attribute, kind }]) => {
    const value = client.attributes[attribute];
    return value === undefined ? [] : [[name, READ[kind](value)]];
  });
  return {
    client_id: client.clientId,
    client_id_issued_at: Math.floor(client.createdAt / 1000),
    ...(registered.secret === null || !usesSecret(client) ? {} : { client_secret: registered.secret, client_secret_expires_at: 0 }),
    redirect_uris: client.redirectUris,
    ...(client.postLogoutRedirectUris.length === 0 ? {} : { post_logout_redirect_uris: client.postLogoutRedirectUris }),
    ...keyMetadataOf(client),
    grant_types: [
      ...(client.standardFlow ? ['authorization_code', 'refresh_token'] : []),
      ...(client.kept.implicitFlowEnabled ? ['implicit'] : []),
      ...(client.serviceAccount ? ['client_credentials'] : []),
    ],
    response_types: responseTypesOf(client),
    subject_type: 'public',
    ...(client.name === null ? {} : { client_name: client.name }),
    ...(client.baseUrl === null ? {} : { client_uri: client.baseUrl }),
    ...Object.fromEntries(attributes),
    registration_client_uri: registered.uri,
    registration_access_token: registered.token,
  };
}
