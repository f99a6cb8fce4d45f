/** What is remembered about a user besides their profile. */
import type { Knex } from 'knex';

/** When the password was last set by mail: the time of the note itself. */
export const RESET_NOTE = 'password-reset';

/** The factor that is offered first; its id is the value. */
export const PREFERRED_NOTE = 'preferred-factor';

export async function userNotes(knex: Knex, realmId: string, userId: string): Promise<Map<string, string>> {
  const rows: { name: string; value: string }[] = await knex('user_notes').where({ realm_id: realmId, user_id: userId }).select('name', 'value');
  return new Map(rows.map(({ name, value }) => [name, value]));
}

export async function setUserNote(
  knex: Knex,
  user: { realmId: string; userId: string },
  note: { name: string; value: string; now: number },
): Promise<void> {
  await knex('user_notes')
    .insert({ realm_id: user.realmId, user_id: user.userId, name: note.name, value: note.value, updated_at: note.now })
    .onConflict(['realm_id', 'user_id', 'name'])
    .merge();
}
