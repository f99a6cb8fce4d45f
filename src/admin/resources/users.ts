/** Users and their passwords. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Notices } from '../../delivery/notices.ts';
import { type AppError, badInput, conflict, notFound } from '../../errors.ts';
import { MOST_BYTES } from '../../factors/password/rules.ts';
import { defaultActionsOf } from '../../realms/keycloak-settings.ts';
import { newPasswordCredential, storePassword } from '../../sessions/credential-changes.ts';
import { type CredentialRow, insertCredential } from '../../store/credentials.ts';
import { isUniqueViolation } from '../../store/database.ts';
import { joinDefaultGroups } from '../../store/group-lists.ts';
import { insertMember } from '../../store/groups.ts';
import type { RealmRow } from '../../store/realms.ts';
import { assignRole } from '../../store/roles.ts';
import type { Queries } from '../../store/rows.ts';
import { addRequiredActions, replaceAttributes } from '../../store/user-changes.ts';
import { insertUser, listUsers, lockUser, type UserRow, userByUsername } from '../../store/users.ts';
import { audit, type Operator, plainText, requireRealmRole, validated } from './context.ts';
import { requireGroup } from './groups.ts';
import { credentialRows, type ImportedCredential } from './imported-credentials.ts';
import { defaultRoleName } from './realm-defaults.ts';

// Characters that nobody sees would make two names that look the same.
export const usernameInput = plainText(255).refine((name) => !/[\s\p{Cf}]/u.test(name), 'must not contain spaces or invisible characters');
export const emailInput = z.email('must be an email address').max(254);

/** All of a user's attributes; an empty list is none. */
export const userAttributesInput = z
  .record(plainText(255), z.array(z.string().max(10_000)).max(100))
  .refine((attributes) => Object.keys(attributes).length <= 200, 'must not be more than 200');

/** What somebody can be asked to do at the next sign-in, by Keycloak's names. */
export const REQUIRED_ACTIONS = [
  'TERMS_AND_CONDITIONS',
  'UPDATE_PASSWORD',
  'CONFIGURE_TOTP',
  'VERIFY_EMAIL',
  'UPDATE_PROFILE',
  'UPDATE_EMAIL',
  'webauthn-register',
  'webauthn-register-passwordless',
  'CONFIGURE_RECOVERY_AUTHN_CODES',
] as const;
export type RequiredAction = (typeof REQUIRED_ACTIONS)[number];

const newUser = z.object({
  username: usernameInput,
  email: emailInput.optional(),
  emailVerified: z.boolean().default(false),
  firstName: plainText(255).optional(),
  lastName: plainText(255).optional(),
  password: z.string().optional(),
  enabled: z.boolean().default(true),
  attributes: userAttributesInput.default({}),
  /** Paths of groups to be put into. */
  groups: z.array(z.string()).max(100).default([]),
  requiredActions: z.array(z.enum(REQUIRED_ACTIONS)).default([]),
  /** Realm roles to give, by name. */
  realmRoles: z.array(z.string()).default([]),
});
export type NewUser = z.input<typeof newUser>;

/** A user who is ready to be stored: what is looked up or hashed was, before any transaction is open. */
export interface PreparedUser {
  user: UserRow;
  store(trx: Queries): Promise<void>;
}

/** Where roles and groups are looked up; whoever makes many users remembers what was found. */
export interface UserLookUp {
  /** The id of a realm role, or a 400 on `realmRoles`. */
  realmRole(name: string): Promise<string>;
  /** The group at a path, or a 404. */
  group(path: string): Promise<{ id: string }>;
}

export const userLookUp = (operator: Pick<Operator, 'db'>, realm: RealmRow): UserLookUp => ({
  realmRole: (name) => requireRealmRole(operator, realm, name, 'realmRoles'),
  group: (path) => requireGroup(operator, realm, path),
});

/** Everything about a new user but storing it. 400 names the field that is wrong. */
export async function prepareUser(
  operator: Operator,
  realm: RealmRow,
  input: NewUser,
  lookUp = userLookUp(operator, realm),
  imported: readonly ImportedCredential[] = [],
): Promise<PreparedUser> {
  const asked = validated(newUser, input);
  const { now } = operator;
  const user: UserRow = {
    realmId: realm.id,
    id: randomUUID(),
    username: asked.username,
    email: asked.email ?? null,
    emailVerified: asked.emailVerified,
    firstName: asked.firstName ?? null,
    lastName: asked.lastName ?? null,
    enabled: asked.enabled,
    serviceAccountOf: null,
    notBefore: 0,
    createdAt: now,
    updatedAt: now,
  };
  const password = asked.password === undefined ? undefined : await passwordCredential(operator, realm, user.id, asked.password);
  const held = await credentialRows(operator, { realmId: realm.id, userId: user.id }, imported);
  const roles = await Promise.all([defaultRoleName(realm.name), ...asked.realmRoles].map(lookUp.realmRole));
  const groups = await Promise.all(asked.groups.map(lookUp.group));
  return {
    user,
    async store(trx) {
      await insertUser(trx, user);
      await replaceAttributes(trx, user, asked.attributes);
      await addRequiredActions(trx, user, [...new Set([...asked.requiredActions, ...defaultActionsOf(realm.settings)])], now);
      await joinDefaultGroups(trx, realm.id, user.id);
      for (const { id } of groups) await insertMember(trx, realm.id, id, user.id);
      for (const credential of [...(password ? [password] : []), ...held]) await insertCredential(trx, credential);
      for (const roleId of roles) await assignRole(trx, realm.id, user.id, roleId);
      await audit(operator, { realmId: realm.id, subject: user.id }, { type: 'user.created', details: { name: user.username } }, trx);
    },
  };
}

/**
 * Makes a user, with a password when one is given, or with credentials from elsewhere.
 * @throws AppError 400 naming the field that is wrong, 409 for a username or address that is taken
 */
export async function createUser(
  operator: Operator,
  realm: RealmRow,
  input: NewUser,
  imported: readonly ImportedCredential[] = [],
): Promise<UserRow> {
  const { db } = operator;
  const { user, store } = await prepareUser(operator, realm, input, userLookUp(operator, realm), imported);
  try {
    await db.transaction(store);
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    throw await takenBy(operator, realm, user);
  }
  return user;
}

/** What of a user is somebody else's already. */
export async function takenBy(
  { db }: Pick<Operator, 'db'>,
  realm: RealmRow,
  { username, email }: Pick<UserRow, 'username' | 'email'>,
): Promise<AppError> {
  return (await userByUsername(db.knex, realm.id, username))
    ? conflict(`There is a user "${username}" in realm "${realm.name}" already.`, 'username')
    : conflict(`Somebody in realm "${realm.name}" has the email address "${email}" already.`, 'email');
}

/** Sets a password and ends every session of its user, who is told where the operator can tell. */
export async function setPassword(
  operator: Operator & { notices?: Pick<Notices, 'tell'> },
  realm: RealmRow,
  username: string,
  password: string,
): Promise<UserRow> {
  const { db, notices, actor, now } = operator;
  const user = await requireUser(operator, realm, username);
  const credential = await passwordCredential(operator, realm, user.id, password);
  const tell = await notices?.tell(user, { kind: 'passwordChanged' }, now);
  await db.transaction(async (trx) => {
    await lockUser(trx, realm.id, user.id);
    await storePassword(trx, credential, { realmId: realm.id, at: now, actor });
    await audit(operator, { realmId: realm.id, subject: user.id }, { type: 'user.password-set', details: {} }, trx);
    await tell?.(trx);
  });
  return user;
}

/** The user of that name, or a 404. */
export async function requireUser(operator: Pick<Operator, 'db'>, realm: RealmRow, username: string): Promise<UserRow> {
  const user = await userByUsername(operator.db.knex, realm.id, username);
  if (!user) throw notFound(`There is no user "${username}" in realm "${realm.name}".`);
  return user;
}

/** Every user of a realm, page by page; service accounts are not among them. */
export async function* allUsers(operator: Pick<Operator, 'db'>, realm: RealmRow): AsyncGenerator<UserRow> {
  const limit = 500;
  for (let after: string | undefined; ; ) {
    const page = await listUsers(operator.db.knex, realm.id, { after, limit });
    yield* page;
    if (page.length < limit) return;
    after = page.at(-1)?.username;
  }
}

/** Whether a password fits the realm's rules; 400 where it does not. */
export function checkPassword(realm: RealmRow, password: string): void {
  const shortest = realm.settings.passwordMinLength;
  if ([...password].length < shortest) throw badInput('password', `The password must have at least ${shortest} characters.`);
  if (Buffer.byteLength(password) > MOST_BYTES) throw badInput('password', `The password must not be longer than ${MOST_BYTES} bytes.`);
}

/** A password that fits the realm's rules, sealed. */
export async function passwordCredential(operator: Operator, realm: RealmRow, userId: string, password: string): Promise<CredentialRow> {
  checkPassword(realm, password);
  return newPasswordCredential(operator, { realmId: realm.id, userId }, password, operator.now);
}
