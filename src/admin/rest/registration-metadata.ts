/** Client metadata of OpenID Connect (RFC 7591 section 2, OpenID Connect Dynamic Client Registration 1.0 section 2), and what it means of a client. */
import { z } from 'zod';
import { badInput } from '../../errors.ts';
import type { ClientRow } from '../../store/clients.ts';
import type { ClientFields } from '../resources/client-input.ts';

const text = z.string().max(2_000);
const texts = z.array(text).max(500);

/** Metadata that has an attribute of its own, with Keycloak's name for it. */
const ATTRIBUTES = {
  logo_uri: 'logoUri',
  policy_uri: 'policyUri',
  tos_uri: 'tosUri',
  backchannel_logout_uri: 'backchannel.logout.url',
  backchannel_logout_session_required: 'backchannel.logout.session.required',
  id_token_signed_response_alg: 'id.token.signed.response.alg',
  userinfo_signed_response_alg: 'user.info.response.signature.alg',
  require_pushed_authorization_requests: 'require.pushed.authorization.requests',
  dpop_bound_access_tokens: 'dpop.bound.access.tokens',
} as const;

export const clientMetadata = z.object({
  client_id: text.optional(),
  client_secret: text.optional(),
  redirect_uris: texts.optional(),
  post_logout_redirect_uris: texts.optional(),
  token_endpoint_auth_method: z.enum(['client_secret_basic', 'client_secret_post', 'none']).optional(),
  grant_types: z
    .array(z.enum(['authorization_code', 'refresh_token', 'client_credentials']))
    .max(10)
    .optional(),
  response_types: z.array(z.literal('code')).max(1).optional(),
  client_name: text.optional(),
  client_uri: text.optional(),
  logo_uri: text.optional(),
  policy_uri: text.optional(),
  tos_uri: text.optional(),
  backchannel_logout_uri: text.optional(),
  backchannel_logout_session_required: z.boolean().optional(),
  id_token_signed_response_alg: text.optional(),
  userinfo_signed_response_alg: text.optional(),
  require_pushed_authorization_requests: z.boolean().optional(),
  dpop_bound_access_tokens: z.boolean().optional(),
});
export type ClientMetadata = z.output<typeof clientMetadata>;

/** What is not there is taken away (RFC 7592 section 2.2), but for what the client may do, which then stays. */
export function fieldsOfMetadata(metadata: ClientMetadata, client?: ClientRow): ClientFields {
  const { grant_types: grants, token_endpoint_auth_method: method } = metadata;
  if (client === undefined && (metadata.redirect_uris ?? []).length === 0 && !(grants ?? []).includes('client_credentials'))
    throw badInput('redirect_uris', 'redirect_uris: must not be empty');
  const attributes = Object.entries(ATTRIBUTES).map(([name, attribute]) => {
    const value = z.record(z.string(), z.unknown()).parse(metadata)[name];
    return [attribute, value === undefined ? null : String(value)];
  });
  return {
    clientId: metadata.client_id,
    name: metadata.client_name ?? null,
    baseUrl: metadata.client_uri ?? null,
    redirectUris: metadata.redirect_uris ?? [],
    postLogoutRedirectUris: metadata.post_logout_redirect_uris ?? [],
    publicClient: method === undefined ? undefined : method === 'none',
    standardFlow: grants?.includes('authorization_code') ?? (client === undefined ? true : undefined),
    serviceAccount: grants?.includes('client_credentials'),
    attributes: Object.fromEntries(attributes),
  };
}

/** @param registered.secret none for whoever may not have it again */
export function metadataOf(client: ClientRow, registered: { secret: string | null; token: string; uri: string }): Record<string, unknown> {
  const attributes = Object.entries(ATTRIBUTES).flatMap(([name, attribute]) => {
    const value = client.attributes[attribute];
    return value === undefined ? [] : [[name, value === 'true' ? true : value === 'false' ? false : value]];
  });
  return {
    client_id: client.clientId,
    client_id_issued_at: Math.floor(client.createdAt / 1000),
    ...(registered.secret === null ? {} : { client_secret: registered.secret, client_secret_expires_at: 0 }),
    redirect_uris: client.redirectUris,
    ...(client.postLogoutRedirectUris.length === 0 ? {} : { post_logout_redirect_uris: client.postLogoutRedirectUris }),
    token_endpoint_auth_method: client.publicClient ? 'none' : 'client_secret_basic',
    grant_types: [...(client.standardFlow ? ['authorization_code', 'refresh_token'] : []), ...(client.serviceAccount ? ['client_credentials'] : [])],
    response_types: client.standardFlow ? ['code'] : [],
    ...(client.name === null ? {} : { client_name: client.name }),
    ...(client.baseUrl === null ? {} : { client_uri: client.baseUrl }),
    ...Object.fromEntries(attributes),
    registration_client_uri: registered.uri,
    registration_access_token: registered.token,
  };
}
