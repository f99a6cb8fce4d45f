/** Keycloak's UserRepresentation: what is shown of a user, and what is taken. */
import { z } from 'zod';
import { badInput } from '../../errors.ts';
import type { UserRow } from '../../store/users.ts';
import { type ImportedCredential, importedCredential, isKnownType } from '../resources/imported-credentials.ts';
import type { UserDetails } from '../resources/user-changes.ts';
import { REQUIRED_ACTIONS, type RequiredAction } from '../resources/users.ts';
import type { Access } from './access.ts';

export const userRepresentation = z.object({
  id: z.string(),
  username: z.string(),
  firstName: z.string().optional(),
  lastName: z.string().optional(),
  email: z.string().optional(),
  emailVerified: z.boolean(),
  enabled: z.boolean(),
  createdTimestamp: z.number().int(),
  serviceAccountClientId: z.string().optional(),
  attributes: z.record(z.string(), z.array(z.string())).optional(),
  totp: z.boolean().optional(),
  disableableCredentialTypes: z.array(z.string()).optional(),
  requiredActions: z.array(z.string()).optional(),
  /** Seconds. */
  notBefore: z.number().int().optional(),
  /** What the caller may do to the user. */
  access: z.record(z.string(), z.boolean()).optional(),
});
export type UserRepresentation = z.output<typeof userRepresentation>;

/** @param details none for the brief form */
export function representedUser(user: UserRow, access: Access, details?: UserDetails): UserRepresentation {
  const manage = access.has('manage-users');
  return {
    id: user.id,
    username: user.username,
    ...(user.firstName === null ? {} : { firstName: user.firstName }),
    ...(user.lastName === null ? {} : { lastName: user.lastName }),
    ...(user.email === null ? {} : { email: user.email }),
    emailVerified: user.emailVerified,
    enabled: user.enabled,
    createdTimestamp: user.createdAt,
    ...(details
      ? {
          ...(Object.keys(details.attributes).length > 0 ? { attributes: details.attributes } : {}),
          totp: details.otp,
          disableableCredentialTypes: [],
          requiredActions: details.requiredActions,
          notBefore: Math.floor(user.notBefore / 1000),
        }
      : {}),
    access: {
      manageGroupMembership: manage,
      resetPassword: manage,
      view: manage || access.has('view-users'),
      mapRoles: manage,
      impersonate: access.has('impersonation'),
      manage,
    },
  };
}

const text = z.string().nullish();

/** A value is a list of itself, as in Keycloak. */
export const attributesIn = z
  .record(
    z.string(),
    z.union([z.array(z.union([z.string(), z.number(), z.boolean(), z.null()])), z.string(), z.number(), z.boolean(), z.null()]).transform(listed),
  )
  .nullish();

function listed(value: unknown): string[] {
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return values.filter((one) => one !== null).map(String);
}

export const passwordIn = z.object({
  type: z.string().nullish(),
  value: z.string().nullish(),
  temporary: z.boolean().nullish(),
});

/** A password, or what Keycloak exports of a credential. */
const credentialIn = passwordIn.extend({
  secretData: z.string().max(10_000).nullish(),
  credentialData: z.string().max(10_000).nullish(),
  userLabel: z.string().max(255).nullish(),
});

/** What is not there stays as it is; null is not there. */
export const userIn = z.object({
  username: text,
  firstName: text,
  lastName: text,
  email: text,
  emailVerified: z.boolean().nullish(),
  enabled: z.boolean().nullish(),
  attributes: attributesIn,
  requiredActions: z.array(z.string()).nullish(),
  credentials: z.array(credentialIn).max(50).nullish(),
  groups: z.array(z.string()).nullish(),
  // Keycloak takes these and does nothing with them: roles are mapped by their own operations.
  realmRoles: z.unknown().optional(),
  clientRoles: z.unknown().optional(),
  // What a representation shows and nobody changes.
  id: z.unknown().optional(),
  access: z.unknown().optional(),
  createdTimestamp: z.unknown().optional(),
  totp: z.unknown().optional(),
  disableableCredentialTypes: z.unknown().optional(),
  notBefore: z.unknown().optional(),
  userProfileMetadata: z.unknown().optional(),
  self: z.unknown().optional(),
});
type UserIn = z.output<typeof userIn>;

/** What both a new and a changed user take of a representation. An empty text takes a value away. */
export function profileOf(body: UserIn) {
  const { emailVerified, enabled, attributes, requiredActions } = body;
  return {
    ...(emailVerified == null ? {} : { emailVerified }),
    ...(enabled == null ? {} : { enabled }),
    ...(attributes == null ? {} : { attributes }),
    ...(requiredActions == null ? {} : { requiredActions: knownActions(requiredActions) }),
  };
}

/** Null for what is emptied, undefined for what is not there. */
export const emptied = (value: string | null | undefined): string | null | undefined =>
  value == null ? undefined : value.trim() === '' ? null : value;

/** Others are ignored, as in Keycloak where they are switched off. */
const knownActions = (actions: readonly string[]): RequiredAction[] => REQUIRED_ACTIONS.filter((action) => actions.includes(action));

/** What a user is given to sign in with. */
export interface GivenCredentials {
  password: { value: string } | undefined;
  /** The password is replaced at the next sign-in. */
  temporary: boolean;
  /** From elsewhere, ready to be stored. */
  imported: ImportedCredential[];
  /** Types that cannot be taken over. */
  left: string[];
}

/** @throws AppError 400 naming the field */
export function credentialsOf(credentials: UserIn['credentials']): GivenCredentials {
  const all = (credentials ?? []).map((given, index) => ({ given, at: `credentials.${index}`, type: given.type ?? 'password' }));
  const [password, ...more] = all.filter(({ type }) => type === 'password');
  if (more.length > 0) throw badInput('credentials', 'credentials: a user has one password at most');
  const { value, secretData, temporary } = password?.given ?? {};
  const isImported = secretData != null && value == null;
  if (password && !isImported && (value == null || value === '')) throw badInput(`${password.at}.value`, `${password.at}.value: must not be empty`);
  const others = all.filter(({ type }) => type !== 'password' && isKnownType(type));
  return {
    password: value == null || isImported ? undefined : { value },
    temporary: temporary === true,
    imported: [...(password && isImported ? [password] : []), ...others].map(({ given, at }) => importedCredential(given, at)),
    left: all.filter(({ type }) => !isKnownType(type)).map(({ type }) => type),
  };
}
