/** Live codes, one a user and purpose. A try is counted before the code is compared; the right code is spent by one update. */
import type { Knex } from 'knex';

export interface CodeKey {
  realmId: string;
  userId: string;
  purpose: string;
}

/** Makes this the one live code of the user and purpose. */
export async function storeCode(knex: Knex, key: CodeKey, code: { transactionId: string; mac: string; expiresAt: number }): Promise<void> {
  await knex('one_time_codes')
    .insert({
      realm_id: key.realmId,
      user_id: key.userId,
      purpose: key.purpose,
      transaction_id: code.transactionId,
      mac: code.mac,
      tries: 0,
      expires_at: code.expiresAt,
    })
    .onConflict(['realm_id', 'user_id', 'purpose'])
    .merge();
}

/** Counts a try; the HMAC to compare with, or undefined when there is nothing to try any more. */
export async function countTry(knex: Knex, key: CodeKey, attempt: { transactionId: string; most: number; now: number }): Promise<string | undefined> {
  const rows: { mac: string }[] = await knex('one_time_codes')
    .where({ realm_id: key.realmId, user_id: key.userId, purpose: key.purpose, transaction_id: attempt.transactionId })
    .where('tries', '<', attempt.most)
    .where('expires_at', '>', attempt.now)
    .increment('tries', 1)
    .returning('mac');
  return rows[0]?.mac;
}

/** More tries than any code has: it was right once. */
const SPENT = 1_000;

/** True for exactly one caller. The row stays until it expires, to tell a code that was used from one that never was right. */
export async function spendCode(knex: Knex, key: CodeKey, mac: string): Promise<boolean> {
  const row = { realm_id: key.realmId, user_id: key.userId, purpose: key.purpose, mac };
  return (await knex('one_time_codes').where(row).where('tries', '<', SPENT).update({ tries: SPENT })) === 1;
}

/** The HMAC of the code that was used in this transaction; undefined when none was. */
export async function spentCode(knex: Knex, key: CodeKey, transactionId: string): Promise<string | undefined> {
  const row = { realm_id: key.realmId, user_id: key.userId, purpose: key.purpose, transaction_id: transactionId, tries: SPENT };
  return (await knex('one_time_codes').where(row).first('mac'))?.mac;
}
