/** Components of a realm over REST, and its keys, with Keycloak's representations. */
import { createPublicKey } from 'node:crypto';
import { z } from 'zod';
import type { Algorithm } from '../../realms/algorithms.ts';
import { keyUses } from '../../realms/keys.ts';
import { signingKeys } from '../../store/signing-keys.ts';
import {
  type Component,
  createComponent,
  findComponents,
  parentsOf,
  removeComponent,
  requireComponent,
  updateComponent,
} from '../resources/components.ts';
import { keyComponents } from '../resources/key-components.ts';
import { id, inRealm, type Operation } from './operation.ts';

const tag = 'Components';
const path = '/realms/{realm}/components';
const VIEW = ['view-realm', 'manage-realm'] as const;
const MANAGE = ['manage-realm'] as const;

const componentRepresentation = z.object({
  id: z.string(),
  name: z.string(),
  providerId: z.string(),
  providerType: z.string(),
  parentId: z.string(),
  subType: z.string().optional(),
  config: z.record(z.string(), z.array(z.string())),
});

const represented = ({ subType, ...component }: Component): z.output<typeof componentRepresentation> => ({
  ...component,
  ...(subType === null ? {} : { subType }),
});

const text = z.string().max(255).nullish();
const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const values = (given: z.output<typeof scalar> | z.output<typeof scalar>[]): string[] =>
  (Array.isArray(given) ? given : [given]).filter((one) => one !== null).map(String);

/** What is not there stays as it is; null is not there. A value is a list of itself. */
const componentIn = z.object({
  id: z.unknown().optional(),
  name: text,
  providerId: text,
  providerType: text,
  parentId: text,
  subType: text,
  config: z.record(z.string().max(255), z.union([scalar, z.array(scalar).max(200)]).transform(values)).nullish(),
});

const given = ({ name, providerId, providerType, parentId, subType, config }: z.output<typeof componentIn>) => ({
  name: name ?? undefined,
  providerId: providerId ?? undefined,
  providerType: providerType ?? undefined,
  parentId: parentId ?? undefined,
  subType: subType ?? undefined,
  config: config ?? undefined,
});

const keyMetadata = z.object({
  kid: z.string(),
  providerId: z.string(),
  providerPriority: z.number().int(),
  status: z.enum(['ACTIVE', 'PASSIVE', 'DISABLED']),
  type: z.string(),
  algorithm: z.string(),
  /** SubjectPublicKeyInfo in base64. */
  publicKey: z.string(),
  use: z.string(),
});

const KINDS: Readonly<Record<Algorithm, string>> = { RS256: 'RSA', ES256: 'EC', EdDSA: 'OKP' };
const filter = z.string().max(255).optional();

export const componentOperations: readonly Operation[] = [
  inRealm({
    id: 'keys.list',
    method: 'GET',
    path: '/realms/{realm}/keys',
    tag,
    summary: 'The keys that tokens are signed with, and which of them signs',
    roles: VIEW,
    status: 200,
    answer: z.object({ active: z.record(z.string(), z.string()), keys: z.array(keyMetadata) }),
    async run({ operator, realm }) {
      const rows = await signingKeys(operator.db.knex, realm.id);
      const uses = keyUses(rows, operator.now);
      const components = new Map((await keyComponents(operator, realm)).map((component) => [component.id, component]));
      const keys = rows.flatMap((row): z.output<typeof keyMetadata>[] => {
        const component = components.get(row.id);
        if (!component) return [];
        const use = uses.get(row.id) ?? 'gone';
        const status = use === 'signing' ? 'ACTIVE' : use === 'gone' ? 'DISABLED' : 'PASSIVE';
        const publicKey = createPublicKey({ key: JSON.parse(row.publicJwk), format: 'jwk' }).export({ type: 'spki', format: 'der' });
        return [
          {
            ...{ kid: row.id, providerId: row.id, providerPriority: Number(component.config.priority?.[0] ?? 0), status },
            ...{ type: KINDS[row.algorithm], algorithm: row.algorithm, publicKey: publicKey.toString('base64'), use: 'SIG' },
          },
        ];
      });
      const active = Object.fromEntries(keys.flatMap(({ status, algorithm, kid }) => (status === 'ACTIVE' ? [[algorithm, kid]] : [])));
      return { body: { active, keys } };
    },
  }),
  inRealm({
    id: 'components.list',
    method: 'GET',
    path,
    tag,
    summary: 'Keys and everything else that is kept as a component',
    roles: VIEW,
    status: 200,
    query: { name: filter, parent: filter, type: filter },
    answer: z.array(componentRepresentation),
    async run({ operator, realm }, { query: { parent, ...filter } }) {
      const parents = parent === undefined ? undefined : parentsOf(realm, parent);
      return { body: (await findComponents(operator, realm, { ...filter, parents })).map(represented) };
    },
  }),
  inRealm({
    id: 'components.create',
    method: 'POST',
    path,
    tag,
    summary: 'Make a component; one of a provider of keys is a new key',
    roles: MANAGE,
    status: 201,
    body: componentIn,
    async run({ operator, realm }, { body }) {
      const { providerId = '', providerType = '', config = {}, ...more } = given(body);
      return { created: await createComponent(operator, realm, { ...more, providerId, providerType, config }) };
    },
  }),
  inRealm({
    id: 'components.read',
    method: 'GET',
    path: `${path}/{id}`,
    tag,
    summary: 'One component, without what is secret in it',
    roles: VIEW,
    status: 200,
    params: { id },
    answer: componentRepresentation,
    run: async ({ operator, realm }, { params }) => ({ body: represented(await requireComponent(operator, realm, params.id)) }),
  }),
  inRealm({
    id: 'components.update',
    method: 'PUT',
    path: `${path}/{id}`,
    tag,
    summary: 'Change a component; of a key its priority, and whether it is active and enabled',
    roles: MANAGE,
    status: 204,
    params: { id },
    body: componentIn,
    async run({ operator, realm }, { params, body }) {
      await updateComponent(operator, realm, params.id, given(body));
      return {};
    },
  }),
  inRealm({
    id: 'components.delete',
    method: 'DELETE',
    path: `${path}/{id}`,
    tag,
    summary: 'Delete a component; what a key has signed does not verify any longer',
    roles: MANAGE,
    status: 204,
    params: { id },
    async run({ operator, realm }, { params }) {
      await removeComponent(operator, realm, params.id);
      return {};
    },
  }),
  inRealm({
    id: 'components.sub-types',
    method: 'GET',
    path: `${path}/{id}/sub-component-types`,
    tag,
    summary: 'Kinds of components below one: there are none',
    roles: VIEW,
    status: 200,
    params: { id },
    query: { type: filter },
    answer: z.array(z.looseObject({ id: z.string() })),
    async run({ operator, realm }, { params }) {
      await requireComponent(operator, realm, params.id);
      return { body: [] };
    },
  }),
];
