/** What is to be taken over from identity providers elsewhere, over REST, with Keycloak's representations. */
import { z } from 'zod';
import { mappersOfProvider, type ProviderMapperRow } from '../../store/identity-providers.ts';
import { addMapper, changeMapper, mapperOf, providerOf, removeMapper } from '../resources/identity-providers.ts';
import { config, MANAGE, path, tag, text, textsOf, VIEW } from './identity-provider-input.ts';
import { id, inRealm, type Operation } from './operation.ts';

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

export const identityProviderMapperOperations: readonly Operation[] = [
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
