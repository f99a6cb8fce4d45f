/** Mails that ask users to do something, as Keycloak's administrators send them. */
import { z } from 'zod';
import { type AskedByMail, askByMail } from '../resources/user-actions.ts';
import { requireUserById } from '../resources/user-changes.ts';
import { requireNoMore } from './grantable.ts';
import { id, inRealm, type Operation, type RealmCall } from './operation.ts';

const tag = 'Users';
const path = '/realms/{realm}/users/{id}';
const sent = { tag, roles: ['manage-users'], status: 204, params: { id }, method: 'PUT' } as const;
const query = {
  client_id: z.string().max(255).optional(),
  redirect_uri: z.string().max(2_000).optional(),
  /** Seconds. */
  lifespan: z.coerce
    .number()
    .int()
    .min(60)
    .max(30 * 86_400)
    .optional(),
};
type Query = z.output<z.ZodObject<typeof query>>;

async function send(call: RealmCall, userId: string, actions: AskedByMail['actions'], asked: Query): Promise<Record<string, never>> {
  const { operator, realm, invite } = call;
  const user = await requireUserById(operator, realm, userId);
  await requireNoMore(call, user);
  const { client_id: clientId, redirect_uri: redirectUri, lifespan: lifetime } = asked;
  await askByMail(operator, realm, user, { actions, clientId, redirectUri, lifetime }, invite);
  return {};
}

export const userActionOperations: readonly Operation[] = [
  inRealm({
    ...sent,
    id: 'users.execute-actions-email',
    path: `${path}/execute-actions-email`,
    summary: 'Ask a user by mail to do something: a link, good once, that signs nobody in',
    query,
    body: z.array(z.string().max(255)).max(50),
    run: (call, { params, query: asked, body }) => send(call, params.id, body, asked),
  }),
  inRealm({
    ...sent,
    id: 'users.send-verify-email',
    path: `${path}/send-verify-email`,
    summary: 'Ask a user by mail to verify the address',
    query,
    run: (call, { params, query: asked }) => send(call, params.id, ['VERIFY_EMAIL'], asked),
  }),
  inRealm({
    ...sent,
    id: 'users.reset-password-email',
    path: `${path}/reset-password-email`,
    summary: 'Ask a user by mail to choose a new password; of before execute-actions-email',
    query,
    run: (call, { params, query: asked }) => send(call, params.id, ['UPDATE_PASSWORD'], asked),
  }),
];
