/** Identity providers elsewhere over REST, with Keycloak's representations. */
import { z } from 'zod';
import { notFound } from '../../errors.ts';
import { type IdentityProviderRow, listIdentityProviders, mappersOfProvider, type ProviderMapperRow } from '../../store/identity-providers.ts';
import {
  addMapper,
  changeMapper,
  changeProvider,
  createProvider,
  importedConfig,
  mapperOf,
  PROVIDER_KINDS,
  type ProviderInput,
  providerOf,
  removeMapper,
  removeProvider,
  shownConfig,
} from '../resources/identity-providers.ts';
import { flag, id, inRealm, type ManagementRole, type Operation, paging } from './operation.ts';

const tag = 'Identity providers';
const path = '/realms/{realm}/identity-provider';
const VIEW: readonly ManagementRole[] = ['view-identity-providers', 'manage-identity-providers'];
const MANAGE: readonly ManagementRole[] = ['manage-identity-providers'];

const ALIAS = /^[^\s/\\?#%;<>"'`\p{Cc}\p{Cf}]+$/u;
const text = z.string().max(255).nullish();
const truth = z.boolean().nullish();
/** Certificates and the like stand in it. */
const LONGEST_VALUE = 20_000;
const value = z.union([z.string().max(LONGEST_VALUE), z.number(), z.boolean()]).nullable();
const config = z
  .record(z.string().min(1).max(255), value)
  .refine((entries) => Object.keys(entries).length <= 200, 'must have at most 200 names')
  .nullish();

const provider = z.object({
  alias: z.string(),
  internalId: z.string(),
  providerId: z.string(),
  displayName: z.string().optional(),
  enabled: z.boolean(),
  trustEmail: z.boolean(),
  storeToken: z.boolean(),
  addReadTokenRoleOnCreate: z.boolean(),
  authenticateByDefault: z.boolean(),
  linkOnly: z.boolean(),
  hideOnLogin: z.boolean(),
  updateProfileFirstLoginMode: z.string(),
  firstBrokerLoginFlowAlias: z.string().optional(),
  postBrokerLoginFlowAlias: z.string().optional(),
  organizationId: z.string().optional(),
  config: z.record(z.string(), z.string()).optional(),
});

const taken = z.object({
  alias: z.string().min(1).max(255).regex(ALIAS, 'must not have spaces or special characters').nullish(),
  internalId: text,
  providerId: z.string().max(100).nullish(),
  displayName: text,
  enabled: truth,
  trustEmail: truth,
  storeToken: truth,
  addReadTokenRoleOnCreate: truth,
  authenticateByDefault: truth,
  linkOnly: truth,
  hideOnLogin: truth,
  updateProfileFirstLoginMode: z.string().max(30).nullish(),
  firstBrokerLoginFlowAlias: text,
  postBrokerLoginFlowAlias: text,
  organizationId: text,
  config,
});

function represented(row: IdentityProviderRow, brief = false): z.output<typeof provider> {
  const { alias, id, providerId, terms } = row;
  const { displayName, firstBrokerLoginFlowAlias, postBrokerLoginFlowAlias, organizationId, ...rest } = terms;
  return {
    alias,
    internalId: id,
    providerId,
    ...rest,
    ...(displayName === null ? {} : { displayName }),
    ...(firstBrokerLoginFlowAlias === null ? {} : { firstBrokerLoginFlowAlias }),
    ...(postBrokerLoginFlowAlias === null ? {} : { postBrokerLoginFlowAlias }),
    ...(organizationId === null ? {} : { organizationId }),
    ...(brief ? {} : { config: shownConfig(row) }),
  };
}

/** What is not there, and null, stay as they are. */
function inputOf({ alias, providerId, internalId: _ours, config, ...terms }: z.output<typeof taken>): ProviderInput {
  const given = Object.fromEntries(Object.entries(terms).filter(([, said]) => said !== null));
  return {
    alias: alias ?? undefined,
    providerId: providerId ?? undefined,
    terms: given,
    config: config == null ? undefined : textsOf(config),
  };
}

const textsOf = (entries: Readonly<Record<string, z.output<typeof value>>>): Record<string, string | null> =>
  Object.fromEntries(Object.entries(entries).map(([name, said]) => [name, said === null ? null : String(said)]));

const instances: readonly Operation[] = [
  inRealm({
    id: 'identity-providers.list',
    method: 'GET',
    path: `${path}/instances`,
    tag,
    summary: 'The identity providers of the realm, by alias',
    roles: VIEW,
    status: 200,
    query: { search: z.string().max(255).optional(), briefRepresentation: flag, realmOnly: flag, ...paging },
    answer: z.array(provider),
    async run({ operator, realm }, { query }) {
      const { search, first = 0, max = 100 } = query;
      const rows = await listIdentityProviders(operator.db.knex, realm.id, { search, first, max });
      return { body: rows.map((row) => represented(row, query.briefRepresentation === true)) };
    },
  }),
  inRealm({
    id: 'identity-providers.create',
    method: 'POST',
    path: `${path}/instances`,
    tag,
    summary: 'Describe an identity provider; nobody signs in by it yet',
    roles: MANAGE,
    status: 201,
    body: taken,
    run: async ({ operator, realm }, { body }) => ({ created: (await createProvider(operator, realm, inputOf(body))).alias }),
  }),
  inRealm({
    id: 'identity-providers.read',
    method: 'GET',
    path: `${path}/instances/{alias}`,
    tag,
    summary: 'One identity provider, without its secret',
    roles: VIEW,
    status: 200,
    params: { alias: id },
    answer: provider,
    run: async ({ operator, realm }, { params }) => ({ body: represented(await providerOf(operator, realm, params.alias)) }),
  }),
  inRealm({
    id: 'identity-providers.update',
    method: 'PUT',
    path: `${path}/instances/{alias}`,
    tag,
    summary: 'Change one; what is not there stays, and so does the secret as it is shown',
    roles: MANAGE,
    status: 204,
    params: { alias: id },
    body: taken,
    async run({ operator, realm }, { params, body }) {
      await changeProvider(operator, realm, params.alias, inputOf(body));
      return {};
    },
  }),
  inRealm({
    id: 'identity-providers.delete',
    method: 'DELETE',
    path: `${path}/instances/{alias}`,
    tag,
    summary: 'Delete one, with what users are there',
    roles: MANAGE,
    status: 204,
    params: { alias: id },
    async run({ operator, realm }, { params }) {
      await removeProvider(operator, realm, params.alias);
      return {};
    },
  }),
  inRealm({
    id: 'identity-providers.kind',
    method: 'GET',
    path: `${path}/providers/{provider}`,
    tag,
    summary: 'A kind of identity provider',
    roles: VIEW,
    status: 200,
    params: { provider: id },
    answer: z.object({ id: z.string(), name: z.string() }),
    async run(_call, { params }) {
      const name = Object.hasOwn(PROVIDER_KINDS, params.provider) ? PROVIDER_KINDS[params.provider] : undefined;
      if (name === undefined) throw notFound('There is no such kind of identity provider.');
      return { body: { id: params.provider, name } };
    },
  }),
  inRealm({
    id: 'identity-providers.import-config',
    method: 'POST',
    path: `${path}/import-config`,
    tag,
    summary: 'The configuration that an OpenID provider publishes at an address; nothing is stored',
    roles: MANAGE,
    status: 200,
    body: z.object({ providerId: z.string().min(1).max(100), fromUrl: z.string().min(1).max(2_000) }),
    answer: z.record(z.string(), z.string()),
    run: async ({ outbound }, { body }) => ({ body: await importedConfig((url) => outbound.fetch(url), body) }),
  }),
];

const mapper = z.object({
  id: z.string(),
  name: z.string(),
  identityProviderAlias: z.string(),
  identityProviderMapper: z.string(),
  config: z.record(z.string(), z.string()),
});

const takenMapper = z.object({
  id: text,
  name: text,
  identityProviderAlias: text,
  identityProviderMapper: text,
  config,
});

const shownMapper = ({ id, name, mapper: kind, config }: ProviderMapperRow, alias: string): z.output<typeof mapper> => ({
  id,
  name,
  identityProviderAlias: alias,
  identityProviderMapper: kind,
  config,
});

const mapperInput = ({ name, identityProviderMapper, config }: z.output<typeof takenMapper>) => ({
  name: name ?? undefined,
  mapper: identityProviderMapper ?? undefined,
  config: config == null ? undefined : Object.fromEntries(Object.entries(textsOf(config)).map(([key, said]) => [key, said ?? ''])),
});

/** What can be taken over from each kind of provider, as Keycloak's clients ask for it. */
const MAPPER_KINDS: readonly (readonly [id: string, name: string, category: string])[] = [
  ['user-attribute-idp-mapper', 'Attribute Importer', 'Attribute Importer'],
  ['username-idp-mapper', 'Username Template Importer', 'Preprocessor'],
  ['role-idp-mapper', 'External Role to Role', 'Role Importer'],
  ['advanced-group-idp-mapper', 'Advanced Claim to Group', 'Group Importer'],
  ['advanced-role-idp-mapper', 'Advanced Claim to Role', 'Role Importer'],
];
const COMMON_KINDS: typeof MAPPER_KINDS = [
  ['hardcoded-attribute-idp-mapper', 'Hardcoded Attribute', 'Attribute Importer'],
  ['oidc-hardcoded-role-idp-mapper', 'Hardcoded Role', 'Role Importer'],
  ['oidc-hardcoded-group-idp-mapper', 'Hardcoded Group', 'Group Importer'],
  ['hardcoded-user-session-attribute-idp-mapper', 'Hardcoded User Session Attribute', 'Preprocessor'],
];

const mappers: readonly Operation[] = [
  inRealm({
    id: 'identity-providers.mapper-types',
    method: 'GET',
    path: `${path}/instances/{alias}/mapper-types`,
    tag,
    summary: 'What can be taken over from a provider, as Keycloak names it',
    roles: VIEW,
    status: 200,
    params: { alias: id },
    answer: z.record(
      z.string(),
      z.object({ id: z.string(), name: z.string(), category: z.string(), helpText: z.string(), properties: z.array(z.unknown()) }),
    ),
    async run({ operator, realm }, { params }) {
      const { providerId } = await providerOf(operator, realm, params.alias);
      const prefix = providerId === 'saml' ? 'saml' : 'oidc';
      const kinds = [...MAPPER_KINDS.map(([kind, ...rest]) => [`${prefix}-${kind}`, ...rest] as const), ...COMMON_KINDS];
      return { body: Object.fromEntries(kinds.map(([kind, name, category]) => [kind, { id: kind, name, category, helpText: '', properties: [] }])) };
    },
  }),
  inRealm({
    id: 'identity-providers.mappers.list',
    method: 'GET',
    path: `${path}/instances/{alias}/mappers`,
    tag,
    summary: 'What is to be taken over from a provider',
    roles: VIEW,
    status: 200,
    params: { alias: id },
    answer: z.array(mapper),
    async run({ operator, realm }, { params }) {
      const { id: provider, alias } = await providerOf(operator, realm, params.alias);
      return { body: (await mappersOfProvider(operator.db.knex, realm.id, provider)).map((row) => shownMapper(row, alias)) };
    },
  }),
  inRealm({
    id: 'identity-providers.mappers.create',
    method: 'POST',
    path: `${path}/instances/{alias}/mappers`,
    tag,
    summary: 'Add something to be taken over; nothing is, yet',
    roles: MANAGE,
    status: 201,
    params: { alias: id },
    body: takenMapper,
    run: async ({ operator, realm }, { params, body }) => ({ created: (await addMapper(operator, realm, params.alias, mapperInput(body))).id }),
  }),
  inRealm({
    id: 'identity-providers.mappers.read',
    method: 'GET',
    path: `${path}/instances/{alias}/mappers/{id}`,
    tag,
    summary: 'One of them',
    roles: VIEW,
    status: 200,
    params: { alias: id, id },
    answer: mapper,
    run: async ({ operator, realm }, { params }) => ({ body: shownMapper(await mapperOf(operator, realm, params.alias, params.id), params.alias) }),
  }),
  inRealm({
    id: 'identity-providers.mappers.update',
    method: 'PUT',
    path: `${path}/instances/{alias}/mappers/{id}`,
    tag,
    summary: 'Change one; what is not there stays',
    roles: MANAGE,
    status: 204,
    params: { alias: id, id },
    body: takenMapper,
    async run({ operator, realm }, { params, body }) {
      await changeMapper(operator, realm, params.alias, params.id, mapperInput(body));
      return {};
    },
  }),
  inRealm({
    id: 'identity-providers.mappers.delete',
    method: 'DELETE',
    path: `${path}/instances/{alias}/mappers/{id}`,
    tag,
    summary: 'Delete one',
    roles: MANAGE,
    status: 204,
    params: { alias: id, id },
    async run({ operator, realm }, { params }) {
      await removeMapper(operator, realm, params.alias, params.id);
      return {};
    },
  }),
];

export const identityProviderOperations: readonly Operation[] = [...instances, ...mappers];
