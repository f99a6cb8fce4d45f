/** The secrets that a webhook of a realm shares with us, for whoever calls it and whoever changes them. */
import { z } from 'zod';
import type { Keyring } from '../crypto/keyring.ts';
import type { Database } from '../store/database.ts';
import { type FactorWebhookRow, factorWebhook, factorWebhookSeal } from '../store/factor-webhooks.ts';
import { fromJson } from '../store/rows.ts';

const list = z.array(z.string().min(32)).min(1).max(2);

/** Those that are accepted now, the newest first; none when there is no such webhook. */
export async function webhookSecrets({ db, keyring }: { db: Database; keyring: Keyring }, realmId: string, factor: string): Promise<string[]> {
  const row = await factorWebhook(db.knex, realmId, factor);
  return row ? webhookSecretsIn(keyring, row) : [];
}

/** The same, of a row that was read. */
export const webhookSecretsIn = async (keyring: Keyring, row: FactorWebhookRow): Promise<string[]> =>
  fromJson(list, await keyring.openText(factorWebhookSeal(row), row.secrets), 'a webhook');

/** Sealed for the row of that webhook. */
export const sealedWebhookSecrets = (keyring: Keyring, row: { realmId: string; id: string }, secrets: readonly string[]): Promise<string> =>
  keyring.seal(factorWebhookSeal(row), JSON.stringify(secrets));
