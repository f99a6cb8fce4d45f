/** Keycloak's ClientRepresentation: what is shown of a client, and what is taken. */
import { z } from 'zod';
import { AUTHENTICATOR_TYPES } from '../../realms/client-credentials.ts';
import type { ScopesOfClient } from '../../store/client-changes.ts';
import type { ClientRow } from '../../store/clients.ts';
import { keptFields } from '../../store/kept-of-client.ts';
import type { ProtocolMapperRow } from '../../store/protocol-mappers.ts';
import type { ClientFields } from '../resources/client-input.ts';
import { mapperRepresentation, mappersIn, representedMapper } from './protocol-mapper-representation.ts';
import { emptied } from './user-representation.ts';

/** In the place of a secret, for whoever may not have it. */
const MASKED = '**********';

const POST_LOGOUT = 'post.logout.redirect.uris';
/** Shown among the attributes, as in Keycloak, and not kept there. */
const DERIVED: readonly string[] = [
  POST_LOGOUT,
  'client.secret.creation.time',
  'client.secret.rotated',
  'client.secret.rotated.creation.time',
  'client.secret.rotated.expiration.time',
];

export const clientRepresentation = z.object({
  id: z.string(),
  clientId: z.string(),
  name: z.string().optional(),
  description: z.string().optional(),
  rootUrl: z.string().optional(),
  adminUrl: z.string().optional(),
  baseUrl: z.string().optional(),
  surrogateAuthRequired: z.boolean(),
  enabled: z.boolean(),
  alwaysDisplayInConsole: z.boolean(),
  clientAuthenticatorType: z.string(),
  secret: z.string().optional(),
  redirectUris: z.array(z.string()),
  webOrigins: z.array(z.string()),
  /** Seconds. */
  notBefore: z.number().int(),
  bearerOnly: z.boolean(),
  consentRequired: z.boolean(),
  standardFlowEnabled: z.boolean(),
  implicitFlowEnabled: z.boolean(),
  directAccessGrantsEnabled: z.boolean(),
  serviceAccountsEnabled: z.boolean(),
  authorizationServicesEnabled: z.boolean().optional(),
  publicClient: z.boolean(),
  frontchannelLogout: z.boolean(),
  protocol: z.string(),
  attributes: z.record(z.string(), z.string()),
  authenticationFlowBindingOverrides: z.record(z.string(), z.string()),
  fullScopeAllowed: z.boolean(),
  nodeReRegistrationTimeout: z.number().int(),
  registeredNodes: z.record(z.string(), z.number().int()).optional(),
  defaultClientScopes: z.array(z.string()),
  optionalClientScopes: z.array(z.string()),
  protocolMappers: z.array(mapperRepresentation).optional(),
  registrationAccessToken: z.string().optional(),
  access: z.record(z.string(), z.boolean()),
});
export type ClientRepresentation = z.output<typeof clientRepresentation>;

/** For whoever may look for clients and not at them. */
export const briefClientRepresentation = z.object({ id: z.string(), clientId: z.string(), description: z.string().optional() });

export const briefClient = ({ id, clientId, description }: ClientRow): z.output<typeof briefClientRepresentation> => ({
  id,
  clientId,
  ...(description === null ? {} : { description }),
});

/** @param options.secret what is shown of a confidential client's: the secret itself, or a mask */
export function representedClient(
  client: ClientRow,
  scopes: ScopesOfClient,
  options: { manage: boolean; secret?: string | undefined; mappers?: readonly ProtocolMapperRow[] | undefined },
): ClientRepresentation {
  const { kept } = client;
  const secret = client.secret === null ? undefined : (options.secret ?? MASKED);
  return {
    id: client.id,
    clientId: client.clientId,
    ...(client.name === null ? {} : { name: client.name }),
    ...(client.description === null ? {} : { description: client.description }),
    ...(client.rootUrl === null ? {} : { rootUrl: client.rootUrl }),
    ...(kept.adminUrl === null ? {} : { adminUrl: kept.adminUrl }),
    ...(client.baseUrl === null ? {} : { baseUrl: client.baseUrl }),
    surrogateAuthRequired: kept.surrogateAuthRequired,
    enabled: client.enabled,
    alwaysDisplayInConsole: kept.alwaysDisplayInConsole,
    clientAuthenticatorType: kept.clientAuthenticatorType,
    ...(secret === undefined ? {} : { secret }),
    redirectUris: client.redirectUris,
    webOrigins: client.webOrigins,
    notBefore: kept.notBefore,
    bearerOnly: kept.bearerOnly,
    consentRequired: client.consentRequired,
    standardFlowEnabled: client.standardFlow,
    implicitFlowEnabled: kept.implicitFlowEnabled,
    directAccessGrantsEnabled: client.directAccess,
    serviceAccountsEnabled: client.serviceAccount,
    ...(kept.authorizationServicesEnabled ? { authorizationServicesEnabled: true } : {}),
    publicClient: client.publicClient,
    frontchannelLogout: kept.frontchannelLogout,
    protocol: 'openid-connect',
    attributes: shownAttributes(client),
    authenticationFlowBindingOverrides: kept.authenticationFlowBindingOverrides,
    fullScopeAllowed: client.fullScope,
    nodeReRegistrationTimeout: kept.nodeReRegistrationTimeout,
    ...(Object.keys(kept.registeredNodes).length === 0 ? {} : { registeredNodes: kept.registeredNodes }),
    ...(options.mappers && options.mappers.length > 0 ? { protocolMappers: options.mappers.map(representedMapper) } : {}),
    defaultClientScopes: scopes.defaults,
    optionalClientScopes: scopes.optional,
    access: { view: true, configure: options.manage, manage: options.manage },
  };
}

function shownAttributes(client: ClientRow): Record<string, string> {
  const seconds = (at: number): string => String(Math.floor(at / 1000));
  const { postLogoutRedirectUris: uris, secretAt, rotatedUntil } = client;
  return {
    ...client.attributes,
    ...(uris.length === 0 ? {} : { [POST_LOGOUT]: uris.join('##') }),
    ...(secretAt === null ? {} : { 'client.secret.creation.time': seconds(secretAt) }),
    ...(rotatedUntil === null ? {} : { 'client.secret.rotated.expiration.time': seconds(rotatedUntil) }),
  };
}

const text = z.string().nullish();
const flag = z.boolean().nullish();
const texts = z.array(z.string().max(2_000)).max(500).nullish();

/** Keycloak writes all of them as texts. */
const attributesIn = z
  .record(
    z.string().min(1).max(255),
    z.union([z.string().max(10_000), z.number(), z.boolean(), z.null()]).transform((value) => (value === null ? null : String(value))),
  )
  .nullish();

/** What is not there stays as it is; null is not there, and an empty text takes a value away. */
export const clientIn = z.object({
  clientId: text,
  name: text,
  description: text,
  rootUrl: text,
  adminUrl: keptFields.adminUrl.optional(),
  baseUrl: text,
  surrogateAuthRequired: flag,
  enabled: flag,
  alwaysDisplayInConsole: flag,
  clientAuthenticatorType: z.enum([...AUTHENTICATOR_TYPES, '']).nullish(),
  secret: text,
  redirectUris: texts,
  webOrigins: texts,
  notBefore: keptFields.notBefore.nullish(),
  bearerOnly: flag,
  consentRequired: flag,
  standardFlowEnabled: flag,
  implicitFlowEnabled: flag,
  directAccessGrantsEnabled: flag,
  serviceAccountsEnabled: flag,
  authorizationServicesEnabled: flag,
  publicClient: flag,
  frontchannelLogout: flag,
  protocol: text,
  attributes: attributesIn,
  authenticationFlowBindingOverrides: keptFields.authenticationFlowBindingOverrides.nullish(),
  fullScopeAllowed: flag,
  nodeReRegistrationTimeout: keptFields.nodeReRegistrationTimeout.nullish(),
  registeredNodes: keptFields.registeredNodes.nullish(),
  defaultClientScopes: z.array(z.string().max(255)).max(500).nullish(),
  optionalClientScopes: z.array(z.string().max(255)).max(500).nullish(),
  protocolMappers: mappersIn.nullish(),
  id: text,
  // What a representation shows and nobody changes.
  access: z.unknown().optional(),
  registrationAccessToken: z.unknown().optional(),
  origin: z.unknown().optional(),
});
export type ClientIn = z.output<typeof clientIn>;

/** Nulls are not there. */
const given = <T>(value: T | null | undefined): T | undefined => value ?? undefined;

/** What the resource takes, of a representation. */
export function fieldsOf(body: ClientIn): ClientFields {
  const { attributes } = body;
  const uris = attributes?.[POST_LOGOUT];
  return {
    clientId: given(body.clientId),
    name: emptied(body.name),
    description: emptied(body.description),
    rootUrl: emptied(body.rootUrl),
    baseUrl: emptied(body.baseUrl),
    enabled: given(body.enabled),
    publicClient: given(body.publicClient),
    consentRequired: given(body.consentRequired),
    standardFlow: given(body.standardFlowEnabled),
    directAccess: given(body.directAccessGrantsEnabled),
    serviceAccount: given(body.serviceAccountsEnabled),
    fullScope: given(body.fullScopeAllowed),
    redirectUris: given(body.redirectUris),
    postLogoutRedirectUris: uris === undefined ? undefined : (uris ?? '').split('##').filter((uri) => uri !== ''),
    webOrigins: given(body.webOrigins)?.map((origin) => origin.replace(/\/$/, '')),
    attributes: attributes == null ? undefined : Object.fromEntries(Object.entries(attributes).filter(([name]) => !DERIVED.includes(name))),
    // Keycloak's clients send an empty one for none.
    secret: body.secret === MASKED || body.secret === '' ? undefined : given(body.secret),
    kept: {
      bearerOnly: given(body.bearerOnly),
      notBefore: given(body.notBefore),
      surrogateAuthRequired: given(body.surrogateAuthRequired),
      frontchannelLogout: given(body.frontchannelLogout),
      alwaysDisplayInConsole: given(body.alwaysDisplayInConsole),
      implicitFlowEnabled: given(body.implicitFlowEnabled),
      authorizationServicesEnabled: given(body.authorizationServicesEnabled),
      clientAuthenticatorType: given(emptied(body.clientAuthenticatorType)),
      nodeReRegistrationTimeout: given(body.nodeReRegistrationTimeout),
      adminUrl: emptied(body.adminUrl),
      authenticationFlowBindingOverrides: given(body.authenticationFlowBindingOverrides),
      registeredNodes: given(body.registeredNodes),
    },
  };
}
