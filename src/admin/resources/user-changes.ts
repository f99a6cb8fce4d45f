/** Users as whoever administers looks for them, changes and deletes them. */
import { z } from 'zod';
import { badInput, conflict, notFound } from '../../errors.ts';
import { endSessionsIn } from '../../sessions/sessions.ts';
import { isUniqueViolation } from '../../store/database.ts';
import { deleteGrants } from '../../store/oidc-payloads.ts';
import type { RealmRow } from '../../store/realms.ts';
import { normalise, type Transaction } from '../../store/rows.ts';
import { grantsOfUser } from '../../store/sessions.ts';
import {
  attributesOfUsers,
  deleteUser,
  replaceAttributes,
  replaceRequiredActions,
  requiredActionsOfUsers,
  updateUser,
  usersWithFactor,
} from '../../store/user-changes.ts';
import { lockUser, type UserRow, userById, userByUsername } from '../../store/users.ts';
import { audit, type Operator, plainText, validated } from './context.ts';
import { emailInput, REQUIRED_ACTIONS, userAttributesInput, usernameInput } from './users.ts';

/** The user of that id, or a 404. */
export async function requireUserById(operator: Pick<Operator, 'db'>, realm: RealmRow, id: string): Promise<UserRow> {
  const user = await userById(operator.db.knex, realm.id, id);
  if (!user) throw notFound('User not found');
  return user;
}

/** What lists show besides the rows: three queries for however many users. */
export interface UserDetails {
  attributes: Record<string, string[]>;
  requiredActions: string[];
  /** Whether there is an app with codes, or a token. */
  otp: boolean;
}

const OTP = ['totp', 'hotp'];

export async function detailsOfUsers(
  { db }: Pick<Operator, 'db'>,
  realm: RealmRow,
  users: readonly UserRow[],
): Promise<(user: UserRow) => UserDetails> {
  const ids = users.map(({ id }) => id);
  const [attributes, actions, otp] = await Promise.all([
    attributesOfUsers(db.knex, realm.id, ids),
    requiredActionsOfUsers(db.knex, realm.id, ids),
    usersWithFactor(db.knex, realm.id, ids, OTP),
  ]);
  return ({ id }) => ({ attributes: attributes.get(id) ?? {}, requiredActions: actions.get(id) ?? [], otp: otp.has(id) });
}

const changedUser = z.object({
  username: usernameInput.optional(),
  email: emailInput.nullable().optional(),
  /** An address that changes is not verified, unless this says so. */
  emailVerified: z.boolean().optional(),
  firstName: plainText(255).nullable().optional(),
  lastName: plainText(255).nullable().optional(),
  enabled: z.boolean().optional(),
  /** All of them: those that are missing go. */
  attributes: userAttributesInput.optional(),
  requiredActions: z.array(z.enum(REQUIRED_ACTIONS)).optional(),
});
export type ChangedUser = z.input<typeof changedUser>;

/**
 * Changes what is named, and leaves the rest. Who is switched off is signed out.
 * @throws AppError 400 on the field that is wrong, 404, 409 on `username` or `email` when it is somebody else's
 */
export async function changeUser(operator: Operator, realm: RealmRow, id: string, input: ChangedUser): Promise<UserRow> {
  const asked = validated(changedUser, input);
  const { db } = operator;
  try {
    return (await db.transaction((trx) => changeUserWithin(trx, operator, realm, id, asked))).user;
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    const namesake = asked.username === undefined ? undefined : await userByUsername(db.knex, realm.id, asked.username);
    throw namesake && namesake.id !== id ? conflict('User exists with same username', 'username') : conflict('User exists with same email', 'email');
  }
}

/** The same within a transaction, with what came of it: the user as it is now and the fields that are other. */
export async function changeUserWithin(
  trx: Transaction,
  operator: Operator,
  realm: RealmRow,
  id: string,
  { attributes, requiredActions, ...profile }: z.output<typeof changedUser>,
): Promise<{ user: UserRow; fields: string[] }> {
  const { now } = operator;
  await lockUser(trx, realm.id, id);
  const user = await userById(trx, realm.id, id);
  if (!user) throw notFound('User not found');
  if (user.serviceAccountOf !== null && profile.username !== undefined && profile.username !== user.username)
    throw badInput('username', 'username: a service account is named after its client.');
  const changes = changesOf(user, profile);
  if (Object.keys(changes).length > 0) await updateUser(trx, user, changes, now);
  if (attributes) await replaceAttributes(trx, user, attributes);
  if (requiredActions) await replaceRequiredActions(trx, user, requiredActions, now);
  if (changes.enabled === false) await endSessionsIn(trx, realm.id, { userId: id }, now);
  const fields = [...Object.keys(changes), ...(attributes ? ['attributes'] : []), ...(requiredActions ? ['requiredActions'] : [])];
  if (fields.length > 0) await audit(operator, { realmId: realm.id, subject: id }, { type: 'user.updated', details: { fields } }, trx);
  return { user: { ...user, ...changes }, fields };
}

type Profile = Pick<UserRow, 'username' | 'email' | 'emailVerified' | 'firstName' | 'lastName' | 'enabled'>;
type AskedProfile = { [Field in keyof Profile]?: Profile[Field] | undefined };

/** What is asked for and is not so already. */
function changesOf(user: UserRow, asked: AskedProfile): Partial<Profile> {
  const { username, email, firstName, lastName, enabled } = asked;
  const moved = email !== undefined && normalise(email ?? '') !== normalise(user.email ?? '');
  const emailVerified = asked.emailVerified ?? (moved ? false : user.emailVerified);
  return {
    ...(username === undefined || username === user.username ? {} : { username }),
    ...(email === undefined || email === user.email ? {} : { email }),
    ...(emailVerified === user.emailVerified ? {} : { emailVerified }),
    ...(firstName === undefined || firstName === user.firstName ? {} : { firstName }),
    ...(lastName === undefined || lastName === user.lastName ? {} : { lastName }),
    ...(enabled === undefined || enabled === user.enabled ? {} : { enabled }),
  };
}

/** Deletes a user with sessions, grants and all else of the user. */
export async function removeUser(operator: Operator, realm: RealmRow, id: string): Promise<void> {
  const { db, now } = operator;
  await db.transaction(async (trx) => {
    await lockUser(trx, realm.id, id);
    const user = await userById(trx, realm.id, id);
    if (!user) throw notFound('User not found');
    if (user.serviceAccountOf !== null) throw badInput('id', 'A service account goes with its client.');
    const grants = await grantsOfUser(trx, realm.id, id);
    await endSessionsIn(trx, realm.id, { userId: id }, now);
    // Those of offline tokens outlive a session, and not their user.
    await deleteGrants(trx, realm.id, grants);
    await deleteUser(trx, realm.id, id);
    await audit(operator, { realmId: realm.id, subject: id }, { type: 'user.deleted', details: {} }, trx);
  });
}
