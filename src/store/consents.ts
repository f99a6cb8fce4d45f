/** What users allowed clients to see. */
import type { Knex } from 'knex';
import { fromJson, stringList } from './rows.ts';

export async function consentedScopes(knex: Knex, realmId: string, userId: string, clientRowId: string): Promise<string[]> {
  const row = await knex('consents').where({ realm_id: realmId, user_id: userId, client_id: clientRowId }).first('scopes');
  return row ? fromJson(stringList, row.scopes, 'a consent') : [];
}

/** Adds scopes to what was allowed before. Two pages at once: the later one wins, and the other's scopes are asked again. */
export async function allowScopes(
  knex: Knex,
  row: { realmId: string; userId: string; clientRowId: string; scopes: string[]; now: number },
): Promise<void> {
  const before = await consentedScopes(knex, row.realmId, row.userId, row.clientRowId);
  const scopes = JSON.stringify([...new Set([...before, ...row.scopes])].sort());
  await knex('consents')
    .insert({ realm_id: row.realmId, user_id: row.userId, client_id: row.clientRowId, scopes, created_at: row.now, updated_at: row.now })
    .onConflict(['realm_id', 'user_id', 'client_id'])
    .merge(['scopes', 'updated_at']);
}
