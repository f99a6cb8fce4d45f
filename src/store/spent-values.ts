/** What may happen once, known by a hash: whoever inserts it first, did it. */
import type { Knex } from 'knex';

/** True for exactly one caller of that id. */
export async function spendValue(knex: Knex, row: { realmId: string; id: string; expiresAt: number }): Promise<boolean> {
  const inserted = await knex('spent_values')
    .insert({ realm_id: row.realmId, id: row.id, expires_at: row.expiresAt })
    .onConflict(['realm_id', 'id'])
    .ignore()
    .returning('id');
  return inserted.length === 1;
}
