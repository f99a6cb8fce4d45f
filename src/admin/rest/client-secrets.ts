/** Secrets of clients and their service accounts over REST. */
import { z } from 'zod';
import { badInput, notFound } from '../../errors.ts';
import { serviceAccountUser } from '../../store/users.ts';
import { requireClientById } from '../resources/client-changes.ts';
import {
  endRotatedSecret,
  LONGEST_OVERLAP_MS,
  makeRegistrationToken,
  regenerateSecret,
  rotatedSecretOf,
  secretOf,
} from '../resources/client-secrets.ts';
import { clientRepresentation } from './client-representation.ts';
import { yourClient } from './client-rights.ts';
import { representedWithSecret } from './clients.ts';
import { id, inRealm, type Operation } from './operation.ts';
import { userRepresentation } from './user-representation.ts';
import { representedUsers } from './users.ts';

const tag = 'Client secrets';
const path = '/realms/{realm}/clients/{id}';
const params = { id };
const MANAGE = ['manage-clients'] as const;

/** Keycloak's CredentialRepresentation. */
const credential = z.object({ type: z.string(), value: z.string().optional() });

export const clientSecretOperations: readonly Operation[] = [
  inRealm({
    id: 'clients.secret.read',
    method: 'GET',
    path: `${path}/client-secret`,
    tag,
    summary: 'The secret of a client; of one that has none, nothing',
    roles: MANAGE,
    status: 200,
    params,
    answer: credential,
    async run(call, { params }) {
      const value = await secretOf(call.operator, await yourClient(call, params.id));
      return { body: { type: 'secret', ...(value === null ? {} : { value }) } };
    },
  }),
  inRealm({
    id: 'clients.secret.regenerate',
    method: 'POST',
    path: `${path}/client-secret`,
    tag,
    summary: 'Make a new secret; the one of before stays good for `overlap` seconds, a day by default',
    roles: MANAGE,
    status: 200,
    params,
    query: {
      overlap: z.coerce
        .number()
        .int()
        .min(0)
        .max(LONGEST_OVERLAP_MS / 1000)
        .optional(),
    },
    answer: credential,
    async run(call, { params, query }) {
      const client = await yourClient(call, params.id);
      const overlap = query.overlap === undefined ? undefined : query.overlap * 1000;
      const { secret } = await regenerateSecret(call.operator, call.realm, client.id, overlap);
      return { body: { type: 'secret', value: secret } };
    },
  }),
  inRealm({
    id: 'clients.secret.rotated.read',
    method: 'GET',
    path: `${path}/client-secret/rotated`,
    tag,
    summary: 'The secret of before, while it is good',
    roles: MANAGE,
    status: 200,
    params,
    answer: credential,
    async run(call, { params }) {
      const value = await rotatedSecretOf(call.operator, await yourClient(call, params.id));
      if (value === null) throw notFound('Client does not have a rotated secret');
      return { body: { type: 'secret', value } };
    },
  }),
  inRealm({
    id: 'clients.secret.rotated.delete',
    method: 'DELETE',
    path: `${path}/client-secret/rotated`,
    tag,
    summary: 'End the secret of before',
    roles: MANAGE,
    status: 204,
    params,
    async run(call, { params }) {
      const client = await yourClient(call, params.id);
      await endRotatedSecret(call.operator, call.realm, client.id);
      return {};
    },
  }),
  inRealm({
    id: 'clients.service-account-user',
    method: 'GET',
    path: `${path}/service-account-user`,
    tag,
    summary: 'The user that a client is when it speaks for itself',
    roles: ['view-clients', ...MANAGE],
    status: 200,
    params,
    answer: userRepresentation,
    async run(call, { params }) {
      const { operator, realm } = call;
      const client = await requireClientById(operator, realm, params.id);
      const user = await serviceAccountUser(operator.db.knex, realm.id, client.id);
      if (!user) throw badInput('id', `Service account not enabled for the client '${client.clientId}'`);
      const [shown] = await representedUsers(call, [user], false);
      if (!shown) throw new Error('A user that is there is shown.');
      return { body: { ...shown, serviceAccountClientId: client.clientId } };
    },
  }),
  inRealm({
    id: 'clients.registration-access-token',
    method: 'POST',
    path: `${path}/registration-access-token`,
    tag,
    summary: 'Make a token by which the client is read, changed and deleted at its registration (RFC 7592)',
    roles: MANAGE,
    status: 200,
    params,
    answer: clientRepresentation,
    async run(call, { params }) {
      const client = await yourClient(call, params.id);
      const { client: made, token } = await makeRegistrationToken(call.operator, call.realm, client.id);
      return { body: { ...(await representedWithSecret(call, made)), registrationAccessToken: token } };
    },
  }),
];
