/** Our own consoles' side of a session: a relying party's session row, which is checked on every request. */
import type { Knex } from 'knex';

export interface ConsoleSessionRow {
  realmId: string;
  /** SHA-256 of the cookie. */
  id: string;
  console: string;
  userId: string;
  /** The sid in the console's ID token. */
  sid: string;
  /** Kept for id_token_hint at sign-out. */
  idToken: string;
  createdAt: number;
  expiresAt: number;
}

export async function insertConsoleSession(knex: Knex, row: ConsoleSessionRow): Promise<void> {
  await knex('console_sessions').insert({
    realm_id: row.realmId,
    id: row.id,
    console: row.console,
    user_id: row.userId,
    sid: row.sid,
    id_token: row.idToken,
    created_at: row.createdAt,
    expires_at: row.expiresAt,
  });
}

export async function consoleSession(knex: Knex, realmId: string, id: string, console: string, now: number): Promise<ConsoleSessionRow | undefined> {
  const row = await knex('console_sessions').where({ realm_id: realmId, id, console }).where('expires_at', '>', now).first();
  return (
    row && {
      realmId: row.realm_id,
      id: row.id,
      console: row.console,
      userId: row.user_id,
      sid: row.sid,
      idToken: row.id_token,
      createdAt: row.created_at,
      expiresAt: row.expires_at,
    }
  );
}

export async function deleteConsoleSession(knex: Knex, realmId: string, id: string): Promise<void> {
  await knex('console_sessions').where({ realm_id: realmId, id }).delete();
}
