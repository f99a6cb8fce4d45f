/** Stores of users elsewhere, which are kept as components and never asked: no user comes from one, and none is to be taken away. */
import { z } from 'zod';
import { notFound, notOffered } from '../../errors.ts';
import { type Component, requireComponent } from '../resources/components.ts';
import { id, inRealm, type Operation, type RealmCall } from './operation.ts';

const tag = 'User storage';
const path = '/realms/{realm}/user-storage/{id}';
const params = { id };
const PROVIDER_TYPE = 'org.keycloak.storage.UserStorageProvider';

async function requireStorage({ operator, realm }: RealmCall, wanted: string): Promise<Component> {
  const component = await requireComponent(operator, realm, wanted);
  if (component.providerType !== PROVIDER_TYPE) throw notFound('Could not find component');
  return component;
}

export const userStorageOperations: readonly Operation[] = [
  inRealm({
    id: 'user-storage.name',
    method: 'GET',
    path: `${path}/name`,
    tag,
    summary: 'What a store of users is called',
    roles: ['view-users', 'manage-users', 'query-users'],
    status: 200,
    params,
    answer: z.object({ id: z.string(), name: z.string() }),
    async run(call, { params }) {
      const { id, name } = await requireStorage(call, params.id);
      return { body: { id, name } };
    },
  }),
  ...(['remove-imported-users', 'unlink-users'] as const).map((what) =>
    inRealm({
      id: `user-storage.${what}`,
      method: 'POST',
      path: `${path}/${what}`,
      tag,
      summary: 'Nothing to do: no user comes from there',
      roles: ['manage-users'],
      status: 204,
      params,
      async run(call, { params }) {
        await requireStorage(call, params.id);
        return {};
      },
    }),
  ),
  inRealm({
    id: 'user-storage.sync',
    method: 'POST',
    path: `${path}/sync`,
    tag,
    summary: 'Not offered: users are in the database of this server',
    roles: ['manage-users'],
    status: 200,
    params,
    query: { action: z.string().max(100).optional() },
    async run(call, { params }) {
      await requireStorage(call, params.id);
      throw notOffered('Users are not read from elsewhere here. Import them with the command cardea, or over REST.');
    },
  }),
];
