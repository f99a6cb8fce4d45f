/**
 * How a client that registers itself shows who it is, and with which keys, in the words of RFC 7591 section 2, RFC 8705 section
 * 2.1.2 and RFC 9101 section 10.5; and what that is in Keycloak's.
 */
import { z } from 'zod';
import { badInput } from '../../errors.ts';
import {
  AUTHENTICATORS,
  type Authenticator,
  isAuthenticator,
  KEYS,
  keysOf,
  SELF_SIGNED,
  SELF_SIGNED_METHOD,
} from '../../realms/client-credentials.ts';
import type { ClientRow } from '../../store/clients.ts';
import type { ClientFields } from '../resources/client-input.ts';

const text = z.string().max(2_000);

export const keyMetadata = {
  token_endpoint_auth_method: z
    .enum(['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'tls_client_auth', SELF_SIGNED_METHOD, 'none'])
    .optional(),
  jwks: z.looseObject({ keys: z.array(z.unknown()).max(50) }).optional(),
  jwks_uri: text.optional(),
};
type KeyMetadata = z.output<z.ZodObject<typeof keyMetadata>>;

/** Basic and by the form are one to us, as they are to Keycloak: either is taken. */
const OF_METHOD: Readonly<Record<string, Authenticator>> = {
  client_secret_post: 'client-secret',
  [SELF_SIGNED_METHOD]: 'client-x509',
  ...Object.fromEntries(Object.entries(AUTHENTICATORS).map(([name, method]) => [method, name])),
};

/**
 * @param client as it is now, whose method stays where none is named
 * @throws AppError 400 for a method without what it needs
 */
export function keyFields(
  { token_endpoint_auth_method: method, jwks, jwks_uri: uri }: KeyMetadata,
  client?: ClientRow,
): Pick<ClientFields, 'attributes' | 'kept'> {
  if (jwks !== undefined && uri !== undefined) throw badInput('jwks', 'jwks: is for clients without a jwks_uri (RFC 7591 section 2)');
  if ((method ?? methodOf(client)) === 'private_key_jwt' && jwks === undefined && uri === undefined)
    throw badInput('jwks', 'jwks: private_key_jwt needs the public keys, or a jwks_uri');
  if ((method ?? methodOf(client)) === SELF_SIGNED_METHOD && uri === undefined && !jwks?.keys.some(hasCertificate))
    throw badInput('jwks', `jwks: ${SELF_SIGNED_METHOD} needs the certificate of a key as its x5c, or a jwks_uri`);
  const authenticator = OF_METHOD[method ?? ''];
  return {
    attributes: {
      [KEYS.useUrl]: uri === undefined ? null : 'true',
      [KEYS.url]: uri ?? null,
      [KEYS.useSet]: jwks === undefined ? null : 'true',
      [KEYS.set]: jwks === undefined ? null : JSON.stringify(jwks),
      ...(method === undefined ? {} : { [SELF_SIGNED]: method === SELF_SIGNED_METHOD ? 'true' : null }),
    },
    ...(authenticator === undefined ? {} : { kept: { clientAuthenticatorType: authenticator } }),
  };
}

const hasCertificate = (key: unknown): boolean => typeof key === 'object' && key !== null && 'x5c' in key;

/** The same of a client that is there. */
export const keyMetadataOf = (client: ClientRow): Record<string, unknown> => ({ token_endpoint_auth_method: methodOf(client), ...keysOf(client) });

function methodOf(client: ClientRow | undefined): string | undefined {
  const type = client?.kept.clientAuthenticatorType ?? '';
  if (!client?.publicClient && type === 'client-x509' && client?.attributes[SELF_SIGNED] === 'true') return SELF_SIGNED_METHOD;
  return client?.publicClient ? 'none' : isAuthenticator(type) ? AUTHENTICATORS[type] : undefined;
}
