/** Users and their passwords. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { badInput, conflict, notFound } from '../../errors.ts';
import { revokeTrust } from '../../sessions/devices.ts';
import { endSessionsIn } from '../../sessions/sessions.ts';
import { type CredentialRow, credentialSeal, deletePassword, insertCredential } from '../../store/credentials.ts';
import { isUniqueViolation } from '../../store/database.ts';
import type { RealmRow } from '../../store/realms.ts';
import { assignRole } from '../../store/roles.ts';
import { insertUser, listUsers, type UserRow, userByUsername } from '../../store/users.ts';
import { audit, type Operator, plainText, requireRealmRole, validated } from './context.ts';
import { defaultRoleName } from './realm-defaults.ts';

const newUser = z.object({
  // Characters that nobody sees would make two names that look the same.
  username: plainText(255).refine((name) => !/[\s\p{Cf}]/u.test(name), 'must not contain spaces or invisible characters'),
  email: z.email('must be an email address').max(254).optional(),
  emailVerified: z.boolean().default(false),
  firstName: plainText(255).optional(),
  lastName: plainText(255).optional(),
  password: z.string().optional(),
  /** Realm roles to give, by name. */
  realmRoles: z.array(z.string()).default([]),
});
export type NewUser = z.input<typeof newUser>;

/** Makes a user, with a password when one is given. 400 names the field that is wrong, 409 a username or address that is taken. */
export async function createUser(operator: Operator, realm: RealmRow, input: NewUser): Promise<UserRow> {
  const asked = validated(newUser, input);
  const { db, now } = operator;
  const user: UserRow = {
    realmId: realm.id,
    id: randomUUID(),
    username: asked.username,
    email: asked.email ?? null,
    emailVerified: asked.emailVerified,
    firstName: asked.firstName ?? null,
    lastName: asked.lastName ?? null,
    enabled: true,
    serviceAccountOf: null,
    notBefore: 0,
    createdAt: now,
    updatedAt: now,
  };
  const password = asked.password === undefined ? undefined : await passwordCredential(operator, realm, user.id, asked.password);
  const roles = await Promise.all(
    [defaultRoleName(realm.name), ...asked.realmRoles].map((name) => requireRealmRole(operator, realm, name, 'realmRoles')),
  );

  try {
    await db.transaction(async (trx) => {
      await insertUser(trx, user);
      if (password) await insertCredential(trx, password);
      for (const roleId of roles) await assignRole(trx, realm.id, user.id, roleId);
      await audit(operator, { realmId: realm.id, subject: user.id }, { type: 'user.created', details: { name: user.username } }, trx);
    });
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    const sameName = await userByUsername(db.knex, realm.id, asked.username);
    throw sameName
      ? conflict(`There is a user "${asked.username}" in realm "${realm.name}" already.`, 'username')
      : conflict(`Somebody in realm "${realm.name}" has the email address "${asked.email}" already.`, 'email');
  }
  return user;
}

/** Sets a password and ends every session of its user. */
export async function setPassword(operator: Operator, realm: RealmRow, username: string, password: string): Promise<UserRow> {
  const user = await requireUser(operator, realm, username);
  const credential = await passwordCredential(operator, realm, user.id, password);
  await operator.db.transaction(async (trx) => {
    await deletePassword(trx, realm.id, user.id);
    await insertCredential(trx, credential);
    await endSessionsIn(trx, realm.id, { userId: user.id }, operator.now);
    await revokeTrust(trx, { realmId: realm.id, userId: user.id }, {}, 'credentials', { realmId: realm.id, at: operator.now, actor: operator.actor });
    await audit(operator, { realmId: realm.id, subject: user.id }, { type: 'user.password-set', details: {} }, trx);
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

async function passwordCredential(operator: Operator, realm: RealmRow, userId: string, password: string): Promise<CredentialRow> {
  const shortest = realm.settings.passwordMinLength;
  if ([...password].length < shortest) throw badInput('password', `The password must have at least ${shortest} characters.`);
  if (Buffer.byteLength(password) > 1024) throw badInput('password', 'The password must not be longer than 1024 bytes.');
  const id = randomUUID();
  const key = { realmId: realm.id, userId, id };
  const secret = await operator.keyring.seal(credentialSeal(key), JSON.stringify({ phc: await operator.passwords.hash(password) }));
  return {
    ...key,
    factor: 'password',
    label: 'Password',
    secret,
    counter: null,
    enabled: true,
    level: null,
    lookup: null,
    createdAt: operator.now,
    lastUsedAt: null,
  };
}
