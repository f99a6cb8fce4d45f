/** What is changed about users and what lists show besides their rows: attributes and required actions, for many at once. */
import type { Knex } from 'knex';
import { returnHardwareTokens } from './hardware-tokens.ts';
import { normalise } from './rows.ts';
import type { UserRow } from './users.ts';

/** What attributes are found by: lower-case, and short enough for an index of PostgreSQL. */
export const attributeKey = (value: string): string => [...value].slice(0, 200).join('').toLowerCase();

export type UserChanges = Partial<Pick<UserRow, 'username' | 'email' | 'emailVerified' | 'firstName' | 'lastName' | 'enabled' | 'notBefore'>>;

/** Writes what is there, and leaves the rest; false when there is no such user. */
export async function updateUser(trx: Knex, user: { realmId: string; id: string }, changes: UserChanges, now: number): Promise<boolean> {
  const { username, email, emailVerified, firstName, lastName, enabled, notBefore } = changes;
  const changed = await trx('users')
    .where({ realm_id: user.realmId, id: user.id })
    .update({
      ...(username === undefined ? {} : { username: normalise(username), username_shown: username }),
      ...(email === undefined ? {} : { email: email === null ? null : normalise(email), email_shown: email }),
      ...(emailVerified === undefined ? {} : { email_verified: emailVerified }),
      ...(firstName === undefined ? {} : { first_name: firstName }),
      ...(lastName === undefined ? {} : { last_name: lastName }),
      ...(enabled === undefined ? {} : { enabled }),
      ...(notBefore === undefined ? {} : { not_before: notBefore }),
      updated_at: now,
    });
  return changed === 1;
}

/** Deletes a user with all that is the user's; hardware tokens go back into stock. False when there is none of that id. */
export async function deleteUser(trx: Knex, realmId: string, id: string): Promise<boolean> {
  await returnHardwareTokens(trx, realmId, { userId: id });
  return (await trx('users').where({ realm_id: realmId, id }).delete()) === 1;
}

/** Puts these attributes in the place of all that a user has. */
export async function replaceAttributes(
  trx: Knex,
  user: { realmId: string; id: string },
  attributes: Readonly<Record<string, readonly string[]>>,
): Promise<void> {
  await trx('user_attributes').where({ realm_id: user.realmId, user_id: user.id }).delete();
  await insertAttributes(trx, user, attributes);
}

/** Puts these values in the place of one attribute's; none takes it away. The others stay. */
export async function replaceAttribute(trx: Knex, user: { realmId: string; id: string }, name: string, values: readonly string[]): Promise<void> {
  await trx('user_attributes').where({ realm_id: user.realmId, user_id: user.id, name }).delete();
  await insertAttributes(trx, user, { [name]: values });
}

async function insertAttributes(
  trx: Knex,
  user: { realmId: string; id: string },
  attributes: Readonly<Record<string, readonly string[]>>,
): Promise<void> {
  const rows = Object.entries(attributes).flatMap(([name, values]) =>
    values.map((value, position) => ({
      realm_id: user.realmId,
      user_id: user.id,
      name,
      position,
      value,
      value_key: attributeKey(value),
    })),
  );
  // SQLite takes 32,766 values in one statement.
  for (let from = 0; from < rows.length; from += 1000) await trx('user_attributes').insert(rows.slice(from, from + 1000));
}

/** Attributes in their order, by user id and name. */
export async function attributesOfUsers(knex: Knex, realmId: string, userIds: readonly string[]): Promise<Map<string, Record<string, string[]>>> {
  const rows: { user_id: string; name: string; value: string }[] = await knex('user_attributes')
    .where('realm_id', realmId)
    .whereIn('user_id', [...userIds])
    .orderBy(['user_id', 'name', 'position'])
    .select('user_id', 'name', 'value');
  return new Map(
    [...Map.groupBy(rows, ({ user_id }) => user_id)].map(([userId, mine]) => [
      userId,
      Object.fromEntries([...Map.groupBy(mine, ({ name }) => name)].map(([name, values]) => [name, values.map(({ value }) => value)])),
    ]),
  );
}

/** What users are to do at their next sign-in, by user id. */
export async function requiredActionsOfUsers(knex: Knex, realmId: string, userIds: readonly string[]): Promise<Map<string, string[]>> {
  const rows: { user_id: string; action: string }[] = await knex('required_actions')
    .where('realm_id', realmId)
    .whereIn('user_id', [...userIds])
    .orderBy(['user_id', 'created_at', 'action'])
    .select('user_id', 'action');
  return new Map([...Map.groupBy(rows, ({ user_id }) => user_id)].map(([userId, mine]) => [userId, mine.map(({ action }) => action)]));
}

/** Which of these users have a credential of one of these factors. */
export async function usersWithFactor(knex: Knex, realmId: string, userIds: readonly string[], factors: readonly string[]): Promise<Set<string>> {
  const rows: string[] = await knex('credentials')
    .where('realm_id', realmId)
    .whereIn('user_id', [...userIds])
    .whereIn('factor', [...factors])
    .distinct()
    .pluck('user_id');
  return new Set(rows);
}

/** Asks a user for these actions, and for no others. */
export async function replaceRequiredActions(
  trx: Knex,
  user: { realmId: string; id: string },
  actions: readonly string[],
  now: number,
): Promise<void> {
  const of = { realm_id: user.realmId, user_id: user.id };
  await trx('required_actions')
    .where(of)
    .whereNotIn('action', [...actions])
    .delete();
  await addRequiredActions(trx, user, actions, now);
}

/** Asks a user for actions, besides what is asked already. */
export async function addRequiredActions(trx: Knex, user: { realmId: string; id: string }, actions: readonly string[], now: number): Promise<void> {
  if (actions.length === 0) return;
  await trx('required_actions')
    .insert([...new Set(actions)].map((action) => ({ realm_id: user.realmId, user_id: user.id, action, created_at: now })))
    .onConflict(['realm_id', 'user_id', 'action'])
    .ignore();
}

/** False when it was not asked for. */
export async function removeRequiredAction(trx: Knex, user: { realmId: string; id: string }, action: string): Promise<boolean> {
  return (await trx('required_actions').where({ realm_id: user.realmId, user_id: user.id, action }).delete()) === 1;
}
