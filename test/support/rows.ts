/** Rows for tests of the store: a realm without keys and a user without credentials, which is quick. */
import { randomUUID } from 'node:crypto';
import { defaultRealmSettings } from '../../src/realms/settings.ts';
import type { Database } from '../../src/store/database.ts';
import { insertRealm } from '../../src/store/realms.ts';
import { insertUser, type UserRow } from '../../src/store/users.ts';

/** The id of a new realm. Its root secret opens nothing. */
export async function realmRow({ knex }: Pick<Database, 'knex'>, now: number): Promise<string> {
  const id = randomUUID();
  const name = `r-${id.slice(0, 13)}`;
  await insertRealm(knex, {
    id,
    name,
    displayName: name,
    enabled: true,
    settings: defaultRealmSettings(),
    rootSecret: '',
    version: 1,
    createdAt: now,
    updatedAt: now,
  });
  return id;
}

export async function userRow({ knex }: Pick<Database, 'knex'>, realmId: string, now: number): Promise<UserRow> {
  const id = randomUUID();
  const user: UserRow = {
    realmId,
    id,
    username: `user-${id.slice(0, 13)}`,
    email: null,
    emailVerified: false,
    firstName: null,
    lastName: null,
    enabled: true,
    serviceAccountOf: null,
    notBefore: 0,
    createdAt: now,
    updatedAt: now,
  };
  await insertUser(knex, user);
  return user;
}
