/** Initial access tokens over REST: how many clients may register, and until when. */
import { z } from 'zod';
import type { InitialAccessRow } from '../../store/client-initial-access.ts';
import { allInitialAccess, createInitialAccess, removeInitialAccess } from '../resources/client-registrations.ts';
import { id, inRealm, type Operation } from './operation.ts';

const tag = 'Initial access tokens';
const path = '/realms/{realm}/clients-initial-access';

/** Keycloak's ClientInitialAccessPresentation; times in seconds. */
const initialAccess = z.object({
  id: z.string(),
  token: z.string().optional(),
  timestamp: z.number().int(),
  expiration: z.number().int(),
  count: z.number().int(),
  remainingCount: z.number().int(),
});

const represented = (row: InitialAccessRow): z.output<typeof initialAccess> => ({
  id: row.id,
  timestamp: Math.floor(row.createdAt / 1000),
  expiration: row.expiresAt === null ? 0 : Math.round((row.expiresAt - row.createdAt) / 1000),
  count: row.total,
  remainingCount: row.remaining,
});

export const initialAccessOperations: readonly Operation[] = [
  inRealm({
    id: 'clients-initial-access.list',
    method: 'GET',
    path,
    tag,
    summary: 'Tokens by which clients may register, without the tokens themselves',
    roles: ['view-clients', 'manage-clients'],
    status: 200,
    answer: z.array(initialAccess),
    run: async ({ operator, realm }) => ({ body: (await allInitialAccess(operator, realm)).map(represented) }),
  }),
  inRealm({
    id: 'clients-initial-access.create',
    method: 'POST',
    path,
    tag,
    summary: 'Let some clients register; the token is shown this once',
    roles: ['create-client', 'manage-clients'],
    // Keycloak's status, though something is made: its clients take no other.
    status: 200,
    body: z.object({ count: z.number().int().nullish(), expiration: z.number().int().nullish() }),
    answer: initialAccess,
    async run({ operator, realm }, { body }) {
      const { row, token } = await createInitialAccess(operator, realm, {
        count: body.count ?? undefined,
        expiration: body.expiration ?? undefined,
      });
      return { created: row.id, body: { ...represented(row), token } };
    },
  }),
  inRealm({
    id: 'clients-initial-access.delete',
    method: 'DELETE',
    path: `${path}/{id}`,
    tag,
    summary: 'Let nobody in any more by a token',
    roles: ['manage-clients'],
    status: 204,
    params: { id },
    async run({ operator, realm }, { params }) {
      await removeInitialAccess(operator, realm, params.id);
      return {};
    },
  }),
];
