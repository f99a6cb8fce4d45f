/**
 * Every column that holds sealed values, each described by the file of its aggregate and listed here: what the rotation
 * of a realm's data keys goes through. A column that is not listed keeps values of an old key for ever, so that the
 * key is lost to them when it is deleted; test/unit/store/sealed-columns.test.ts finds one.
 */
import type { Knex } from 'knex';
import type { SealContext } from '../crypto/seal.ts';
import { sealedClients, sealedRotated } from './clients.ts';
import { sealedComponents } from './components.ts';
import { sealedCredentials } from './credentials.ts';
import { sealedDeliveryAccounts } from './delivery-accounts.ts';
import { sealedFactorWebhooks } from './factor-webhooks.ts';
import { sealedHardwareTokens } from './hardware-tokens.ts';
import { sealedIdentityProviders } from './identity-providers.ts';
import { sealedLogins } from './logins.ts';
import { sealedOutbox } from './outbox.ts';
import { sealedRealms } from './realms.ts';
import { sealedRecoveries } from './recoveries.ts';
import { sealedSigningKeys } from './signing-keys.ts';
import { sealedWebhooks } from './webhooks.ts';

export interface SealedColumn {
  table: string;
  column: string;
  /** The column with the realm's id; `realm_id` when it is not said. */
  realm?: string;
  /** The column that tells a row from the others of its realm; `id` when it is not said. */
  key?: string;
  /** Further columns that `place` needs. */
  also?: readonly string[];
  /** What a row's value is bound to. */
  place(row: { realmId: string; key: string; also: Readonly<Record<string, string>> }): SealContext;
}

/** A sealed value in its row. */
export interface SealedValue {
  key: string;
  place: SealContext;
  sealed: string;
}

// biome-ignore format: one line a column
export const SEALED_COLUMNS: readonly SealedColumn[] = [
  sealedRealms,
  sealedSigningKeys,
  sealedComponents,
  sealedClients,
  sealedRotated,
  sealedCredentials,
  sealedHardwareTokens,
  sealedDeliveryAccounts,
  sealedFactorWebhooks,
  sealedWebhooks,
  sealedIdentityProviders,
  sealedLogins,
  sealedRecoveries,
  sealedOutbox,
];

export const columnName = ({ table, column }: SealedColumn): string => `${table}.${column}`;

const realmColumn = ({ realm = 'realm_id' }: SealedColumn): string => realm;
const keyColumn = ({ key = 'id' }: SealedColumn): string => key;

/** A realm's values that another key than this one sealed; an empty or missing value is none. */
function outdated(knex: Knex, one: SealedColumn, realmId: string, keyId: string): Knex.QueryBuilder {
  return knex(one.table).where(realmColumn(one), realmId).where(one.column, 'like', 'v1|%').whereNot(one.column, 'like', `v1|${keyId}|%`);
}

/** One page of them in the order of their rows: those after the row `after`, at most `limit`. */
export async function outdatedValues(
  knex: Knex,
  one: SealedColumn,
  realmId: string,
  keyId: string,
  page: { after: string | undefined; limit: number },
): Promise<SealedValue[]> {
  const query = outdated(knex, one, realmId, keyId)
    .orderBy(keyColumn(one))
    .limit(page.limit)
    .select({ key: keyColumn(one), sealed: one.column }, ...(one.also ?? []));
  if (page.after !== undefined) query.where(keyColumn(one), '>', page.after);
  const rows: Record<string, unknown>[] = await query;
  return rows.map((row) => {
    const key = String(row.key);
    const also = Object.fromEntries((one.also ?? []).map((name) => [name, String(row[name])]));
    return { key, sealed: String(row.sealed), place: one.place({ realmId, key, also }) };
  });
}

/** How many there are. */
export async function countOutdated(knex: Knex, one: SealedColumn, realmId: string, keyId: string): Promise<number> {
  const row = await outdated(knex, one, realmId, keyId).count({ n: '*' }).first();
  return Number(row?.n ?? 0);
}

/** Whether a value of this column was sealed with that key. */
export async function isKeyUsed(knex: Knex, one: SealedColumn, realmId: string, keyId: string): Promise<boolean> {
  const row = await knex(one.table).where(realmColumn(one), realmId).where(one.column, 'like', `v1|${keyId}|%`).first(keyColumn(one));
  return row !== undefined;
}

/**
 * Puts values in the place of those that they were made from. A row that somebody else holds is left for the next time,
 * and one with another value by now is left for good: that one is newer.
 * @returns how many were replaced
 */
export async function replaceValues(
  trx: Knex,
  one: SealedColumn,
  realmId: string,
  values: readonly (SealedValue & { renewed: string })[],
): Promise<number> {
  const rows: Record<string, unknown>[] = await trx(one.table)
    .where(realmColumn(one), realmId)
    .whereIn(
      keyColumn(one),
      values.map(({ key }) => key),
    )
    .orderBy(keyColumn(one))
    // Not as strong as FOR UPDATE: whoever adds a row that refers to this one holds it as well, and a busy realm always does.
    .forNoKeyUpdate()
    .skipLocked()
    .select({ key: keyColumn(one), sealed: one.column });
  const present = new Map(rows.map((row) => [String(row.key), String(row.sealed)]));
  let replaced = 0;
  for (const { key, sealed, renewed } of values) {
    if (present.get(key) !== sealed) continue;
    replaced += await trx(one.table)
      .where(realmColumn(one), realmId)
      .where(keyColumn(one), key)
      .where(one.column, sealed)
      .update({ [one.column]: renewed });
  }
  return replaced;
}
