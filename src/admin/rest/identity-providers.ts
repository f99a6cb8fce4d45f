/** Identity providers elsewhere over REST, with Keycloak's representations. */
import { z } from 'zod';
import { notFound } from '../../errors.ts';
import { type IdentityProviderRow, listIdentityProviders } from '../../store/identity-providers.ts';
import {
  changeProvider,
  createProvider,
  importedConfig,
  PROVIDER_KINDS,
  type ProviderInput,
  providerOf,
  removeProvider,
  shownConfig,
} from '../resources/identity-providers.ts';
import { config, MANAGE, path, tag, text, textsOf, VIEW } from './identity-provider-input.ts';
import { flag, id, inRealm, type Operation, paging } from './operation.ts';

const ALIAS = /^[^\s/\\?#%;<>"'`\p{Cc}\p{Cf}]+$/u;
const truth = z.boolean().nullish();

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

export const identityProviderOperations: readonly Operation[] = [
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
