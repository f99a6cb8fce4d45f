/** A user of the realm by id or by username, as people name them in requests of ours. */
import { notFound } from '../../errors.ts';
import type { Database } from '../../store/database.ts';
import type { RealmRow } from '../../store/realms.ts';
import { type UserRow, userById, userByUsername } from '../../store/users.ts';

/** @throws AppError 404 when there is none */
export async function userNamed({ db }: { db: Database }, realm: RealmRow, name: string): Promise<UserRow> {
  const user = (await userById(db.knex, realm.id, name)) ?? (await userByUsername(db.knex, realm.id, name));
  if (!user) throw notFound('User not found');
  return user;
}
