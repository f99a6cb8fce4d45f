/** The order in which a user's credentials are listed. */
import type { Knex } from 'knex';
import { type CredentialRecord, type CredentialRow, credentialFrom } from './credentials.ts';

/** In their order; new ones come last. */
export async function orderedCredentials(knex: Knex, realmId: string, userId: string): Promise<CredentialRow[]> {
  const rows: CredentialRecord[] = await knex('credentials').where({ realm_id: realmId, user_id: userId }).orderBy(['priority', 'created_at', 'id']);
  return rows.map(credentialFrom);
}

/** Keeps the order of these ids; to be done under the user's lock. */
export async function orderCredentials(trx: Knex, realmId: string, userId: string, ids: readonly string[]): Promise<void> {
  for (const [index, id] of ids.entries())
    await trx('credentials')
      .where({ realm_id: realmId, user_id: userId, id })
      .update({ priority: index + 1 });
}
