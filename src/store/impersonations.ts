/** Links by which an administrator may begin to act as a user: only their hashes are stored, and each is spent once. */
import type { Knex } from 'knex';
import { fromJson } from './rows.ts';
import { type Impersonator, impersonator } from './sessions.ts';

export interface ImpersonationRow {
  realmId: string;
  /** SHA-256 of what the link holds. */
  id: string;
  userId: string;
  impersonator: Impersonator;
  expiresAt: number;
}

interface ImpersonationRecord {
  realm_id: string;
  id: string;
  user_id: string;
  impersonator: string;
  expires_at: number;
}

const fromRecord = (row: ImpersonationRecord): ImpersonationRow => ({
  realmId: row.realm_id,
  id: row.id,
  userId: row.user_id,
  impersonator: fromJson(impersonator, row.impersonator, 'an impersonation'),
  expiresAt: row.expires_at,
});

export async function insertImpersonation(trx: Knex, row: ImpersonationRow): Promise<void> {
  await trx('impersonations').insert({
    realm_id: row.realmId,
    id: row.id,
    user_id: row.userId,
    impersonator: JSON.stringify(row.impersonator),
    expires_at: row.expiresAt,
  });
}

/** What a link is good for, while it is. */
export async function openImpersonation(knex: Knex, realmId: string, id: string, now: number): Promise<ImpersonationRow | undefined> {
  const row: ImpersonationRecord | undefined = await knex('impersonations').where({ realm_id: realmId, id }).where('expires_at', '>', now).first();
  return row && fromRecord(row);
}

/** Spends a link: of many at once, one gets it. */
export async function spendImpersonation(trx: Knex, realmId: string, id: string, now: number): Promise<ImpersonationRow | undefined> {
  const [row]: ImpersonationRecord[] = await trx('impersonations')
    .where({ realm_id: realmId, id })
    .where('expires_at', '>', now)
    .delete()
    .returning(['realm_id', 'id', 'user_id', 'impersonator', 'expires_at']);
  return row && fromRecord(row);
}
