/** Credentials of users over REST, with Keycloak's CredentialRepresentation, never a secret. */
import { z } from 'zod';
import { badInput } from '../../errors.ts';
import type { ShownCredential } from '../resources/factor-operator.ts';
import { requireUserById } from '../resources/user-changes.ts';
import {
  disableFactors,
  labelCredential,
  listCredentials,
  moveCredential,
  removeUserCredential,
  resetPassword,
} from '../resources/user-credentials.ts';
import { requireNoMore } from './grantable.ts';
import { id, inRealm, type Operation, type RealmCall } from './operation.ts';
import { passwordIn } from './user-representation.ts';

const tag = 'Credentials';
const path = '/realms/{realm}/users/{id}';

/** Keycloak's names; the others go by their own. */
const TYPES: Readonly<Record<string, string>> = {
  totp: 'otp',
  hotp: 'otp',
  'security-key': 'webauthn',
  passkey: 'webauthn-passwordless',
  'recovery-codes': 'recovery-authn-codes',
};
const typeOf = (factor: string): string => TYPES[factor] ?? factor;

const credentialRepresentation = z.object({
  id: z.string(),
  type: z.string(),
  userLabel: z.string().optional(),
  createdDate: z.number().int(),
  /** JSON as text, as in Keycloak. */
  credentialData: z.string(),
});

function represented({ id, factor, label, createdAt, counter, lastUsedAt, enabled }: ShownCredential): z.output<typeof credentialRepresentation> {
  const otp = factor === 'totp' || factor === 'hotp' ? { subType: factor, ...(factor === 'hotp' ? { counter: counter ?? 0 } : {}) } : {};
  return {
    id,
    type: typeOf(factor),
    // A password has no name in Keycloak.
    ...(factor === 'password' && label === 'Password' ? {} : { userLabel: label }),
    createdDate: createdAt,
    credentialData: JSON.stringify({ ...otp, enabled, lastUsed: lastUsedAt }),
  };
}

/** Whose credentials the caller may change. */
async function userToChange(call: RealmCall, userId: string) {
  const user = await requireUserById(call.operator, call.realm, userId);
  await requireNoMore(call, user);
  return user;
}

const manage = { tag, roles: ['manage-users'], status: 204 } as const;
const one = { id, credential: id };

export const credentialOperations: readonly Operation[] = [
  inRealm({
    id: 'users.credentials.list',
    method: 'GET',
    path: `${path}/credentials`,
    tag,
    summary: 'What a user signs in with',
    roles: ['view-users', 'manage-users'],
    status: 200,
    params: { id },
    answer: z.array(credentialRepresentation),
    async run({ operator, realm }, { params }) {
      return { body: (await listCredentials(operator, await requireUserById(operator, realm, params.id))).map(represented) };
    },
  }),
  inRealm({
    ...manage,
    id: 'users.credentials.delete',
    method: 'DELETE',
    path: `${path}/credentials/{credential}`,
    summary: 'Remove a credential; the user is told',
    params: one,
    async run(call, { params }) {
      await removeUserCredential(call.operator, call.realm, await userToChange(call, params.id), params.credential);
      return {};
    },
  }),
  inRealm({
    ...manage,
    id: 'users.credentials.label',
    method: 'PUT',
    path: `${path}/credentials/{credential}/userLabel`,
    summary: 'Give a credential another name',
    params: one,
    plainText: true,
    body: z.string().min(1),
    async run(call, { params, body }) {
      await labelCredential(call.operator, call.realm, await userToChange(call, params.id), params.credential, body);
      return {};
    },
  }),
  inRealm({
    ...manage,
    id: 'users.credentials.first',
    method: 'POST',
    path: `${path}/credentials/{credential}/moveToFirst`,
    summary: 'Put a credential before all others',
    params: one,
    async run(call, { params }) {
      await moveCredential(call.operator, call.realm, await userToChange(call, params.id), params.credential, null);
      return {};
    },
  }),
  inRealm({
    ...manage,
    id: 'users.credentials.after',
    method: 'POST',
    path: `${path}/credentials/{credential}/moveAfter/{previous}`,
    summary: 'Put a credential behind another',
    params: { ...one, previous: id },
    async run(call, { params }) {
      await moveCredential(call.operator, call.realm, await userToChange(call, params.id), params.credential, params.previous);
      return {};
    },
  }),
  inRealm({
    ...manage,
    id: 'users.disable-credential-types',
    method: 'PUT',
    path: `${path}/disable-credential-types`,
    summary: 'Switch second factors off, as too many wrong codes do',
    params: { id },
    body: z.array(z.string().max(255)).max(50),
    async run(call, { params, body }) {
      const user = await userToChange(call, params.id);
      const held = await listCredentials(call.operator, user);
      const factors = new Set(held.flatMap(({ factor }) => (body.includes(typeOf(factor)) ? [factor] : [])));
      await disableFactors(call.operator, call.realm, user, [...factors]);
      return {};
    },
  }),
  inRealm({
    id: 'users.storage-credential-types',
    method: 'GET',
    path: `${path}/configured-user-storage-credential-types`,
    tag,
    summary: 'Credentials that are kept elsewhere: there are none',
    roles: ['view-users', 'manage-users'],
    status: 200,
    params: { id },
    answer: z.array(z.string()),
    async run({ operator, realm }, { params }) {
      await requireUserById(operator, realm, params.id);
      return { body: [] };
    },
  }),
  inRealm({
    ...manage,
    id: 'users.reset-password',
    method: 'PUT',
    path: `${path}/reset-password`,
    summary: 'Give a user another password, for good or until the next sign-in; the user is told',
    params: { id },
    body: passwordIn,
    async run(call, { params, body }) {
      const user = await userToChange(call, params.id);
      if (body.type != null && body.type !== 'password') throw badInput('type', 'type: only a password can be set');
      if (body.value == null || body.value === '') throw badInput('value', 'No password provided');
      await resetPassword(call.operator, call.realm, user, { value: body.value, temporary: body.temporary === true });
      return {};
    },
  }),
];
