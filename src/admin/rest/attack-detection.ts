/** Pauses after wrong passwords and codes over REST, as Keycloak's brute-force status. */
import { z } from 'zod';
import { attemptsAt, unlockEverybody, unlockUser } from '../resources/attempts.ts';
import { requireUserById } from '../resources/user-changes.ts';
import { id, inRealm, type Operation } from './operation.ts';

const tag = 'Attack detection';
const path = '/realms/{realm}/attack-detection/brute-force/users';

export const attackDetectionOperations: readonly Operation[] = [
  inRealm({
    id: 'attack-detection.read',
    method: 'GET',
    path: `${path}/{id}`,
    tag,
    summary: 'Wrong passwords and codes of a user, and whether there is a pause',
    roles: ['view-users', 'manage-users'],
    status: 200,
    params: { id },
    answer: z.object({
      numFailures: z.number().int(),
      /** Of these, the codes and other second steps. */
      numSecondaryAuthFailures: z.number().int(),
      numTemporaryLockouts: z.number().int(),
      disabled: z.boolean(),
      /** Addresses are not kept with attempts. */
      lastIPFailure: z.string(),
      lastFailure: z.number().int(),
      /** Milliseconds; 0 for no pause. */
      failedLoginNotBefore: z.number().int(),
    }),
    async run({ operator, realm }, { params }) {
      const user = await requireUserById(operator, realm, params.id);
      const { failures, ofFactors, pauses, pausedUntil, lastAt } = await attemptsAt(operator, realm, user);
      return {
        body: {
          numFailures: failures,
          numSecondaryAuthFailures: ofFactors,
          numTemporaryLockouts: pauses,
          disabled: pauses > 0,
          lastIPFailure: 'n/a',
          lastFailure: lastAt,
          failedLoginNotBefore: pausedUntil,
        },
      };
    },
  }),
  inRealm({
    id: 'attack-detection.clear',
    method: 'DELETE',
    path: `${path}/{id}`,
    tag,
    summary: 'Forget a user’s wrong passwords and codes, with the pauses that they brought',
    roles: ['manage-users'],
    status: 204,
    params: { id },
    async run({ operator, realm }, { params }) {
      await unlockUser(operator, realm, await requireUserById(operator, realm, params.id));
      return {};
    },
  }),
  inRealm({
    id: 'attack-detection.clear-all',
    method: 'DELETE',
    path,
    tag,
    summary: 'Forget everybody’s, and those of addresses',
    roles: ['manage-users'],
    status: 204,
    async run({ operator, realm }) {
      await unlockEverybody(operator, realm);
      return {};
    },
  }),
];
