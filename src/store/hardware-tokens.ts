/**
 * A realm's stock of hardware tokens. One that is given to a user becomes a credential of theirs, which has a copy of its
 * key and, from then on, its counter; when that credential goes, the token is back in stock and keeps the counter, so
 * that a code that was used once is good for nobody after.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import type { SealContext } from '../crypto/seal.ts';
import type { SealedColumn } from './sealed-columns.ts';

export interface HardwareTokenRow {
  realmId: string;
  id: string;
  /** As it is printed on the token; compared by `serialKey`. */
  serial: string;
  model: string | null;
  /** Which factor a credential of it is of. */
  factor: 'hotp' | 'totp';
  digits: 6 | 8;
  algorithm: 'sha1' | 'sha256' | 'sha512';
  /** Seconds; null where a counter counts. */
  period: number | null;
  /** The last used counter; null before the first. Of a token in stock: that of an assigned one is its credential's. */
  counter: number | null;
  /** The key in base32, sealed. */
  secret: string;
  /** Null in stock. */
  credentialId: string | null;
  userId: string | null;
  assignedAt: number | null;
  importedAt: number;
}

const record = z.object({
  realm_id: z.string(),
  id: z.string(),
  serial_shown: z.string(),
  model: z.string().nullable(),
  factor: z.enum(['hotp', 'totp']),
  digits: z.union([z.literal(6), z.literal(8)]),
  algorithm: z.enum(['sha1', 'sha256', 'sha512']),
  period: z.number().nullable(),
  counter: z.number().nullable(),
  secret: z.string(),
  credential_id: z.string().nullable(),
  user_id: z.string().nullable(),
  assigned_at: z.number().nullable(),
  imported_at: z.number(),
});

function fromRecord(row: unknown): HardwareTokenRow {
  const { realm_id, serial_shown, credential_id, user_id, assigned_at, imported_at, ...same } = record.parse(row);
  return {
    ...same,
    realmId: realm_id,
    serial: serial_shown,
    credentialId: credential_id,
    userId: user_id,
    assignedAt: assigned_at,
    importedAt: imported_at,
  };
}

/** What serial numbers are compared by: people leave out the hyphens and spaces between the groups, and type small letters. */
export const serialKey = (serial: string): string => serial.normalize('NFKC').replace(/[\s-]/g, '').toUpperCase();

/** What a token's key is bound to. */
export const hardwareTokenSeal = (row: { realmId: string; id: string }): SealContext => ({
  purpose: 'hardware-token',
  realm: row.realmId,
  row: row.id,
  column: 'secret',
});

export const sealedHardwareTokens: SealedColumn = {
  table: 'hardware_tokens',
  column: 'secret',
  place: ({ realmId, key }) => hardwareTokenSeal({ realmId, id: key }),
};

export async function insertHardwareTokens(trx: Knex, rows: readonly HardwareTokenRow[]): Promise<void> {
  await trx('hardware_tokens').insert(
    rows.map((row) => ({
      realm_id: row.realmId,
      id: row.id,
      serial: serialKey(row.serial),
      serial_shown: row.serial,
      model: row.model,
      factor: row.factor,
      digits: row.digits,
      algorithm: row.algorithm,
      period: row.period,
      counter: row.counter,
      secret: row.secret,
      credential_id: row.credentialId,
      user_id: row.userId,
      assigned_at: row.assignedAt,
      imported_at: row.importedAt,
    })),
  );
}

/** Which of these serial numbers are in the realm already, as `serialKey` has them. */
export async function knownSerials(knex: Knex, realmId: string, serials: readonly string[]): Promise<Set<string>> {
  const rows = await knex('hardware_tokens').where({ realm_id: realmId }).whereIn('serial', serials.map(serialKey)).select('serial');
  return new Set(rows.map((row) => String(row.serial)));
}

export async function hardwareTokenBySerial(knex: Knex, realmId: string, serial: string): Promise<HardwareTokenRow | undefined> {
  const row = await knex('hardware_tokens')
    .where({ realm_id: realmId, serial: serialKey(serial) })
    .first();
  return row && fromRecord(row);
}

/** Tokens by serial number with the name of whose they are, one page: those after the serial `after`, at most `limit`. */
export async function listHardwareTokens(
  knex: Knex,
  realmId: string,
  page: { after?: string | undefined; limit: number; only?: 'assigned' | 'in-stock' | undefined },
): Promise<(HardwareTokenRow & { username: string | null })[]> {
  const query = knex('hardware_tokens')
    .leftJoin('users', (on) => on.on('users.realm_id', 'hardware_tokens.realm_id').andOn('users.id', 'hardware_tokens.user_id'))
    .where('hardware_tokens.realm_id', realmId)
    .orderBy('hardware_tokens.serial')
    .limit(page.limit)
    .select('hardware_tokens.*', 'users.username_shown as username_shown');
  if (page.after !== undefined) query.where('hardware_tokens.serial', '>', serialKey(page.after));
  if (page.only === 'assigned') query.whereNotNull('hardware_tokens.credential_id');
  if (page.only === 'in-stock') query.whereNull('hardware_tokens.credential_id');
  return (await query).map((row) => ({ ...fromRecord(row), username: typeof row.username_shown === 'string' ? row.username_shown : null }));
}

/** Takes a token out of stock for a credential. True for exactly one caller. */
export async function takeHardwareToken(
  trx: Knex,
  token: { realmId: string; id: string },
  given: { credentialId: string; userId: string; at: number },
): Promise<boolean> {
  const taken = await trx('hardware_tokens')
    .where({ realm_id: token.realmId, id: token.id })
    .whereNull('credential_id')
    .update({ credential_id: given.credentialId, user_id: given.userId, assigned_at: given.at });
  return taken === 1;
}

/**
 * Puts tokens back into stock, with the counter as it stands. To be done before their credentials are deleted, in the same
 * transaction; nothing happens for credentials that are no tokens.
 */
export async function returnHardwareTokens(
  trx: Knex,
  realmId: string,
  of: { credentialId: string } | { userId: string; factor?: string },
): Promise<void> {
  const tokens = trx('hardware_tokens').where({ realm_id: realmId });
  if ('credentialId' in of) tokens.where({ credential_id: of.credentialId });
  else tokens.where({ user_id: of.userId, ...(of.factor === undefined ? {} : { factor: of.factor }) });
  await tokens.update({
    // What was spent since is read by the statement that lets go of it.
    counter: trx.raw(
      `CASE WHEN factor = 'totp' THEN NULL ELSE COALESCE((SELECT credentials.counter FROM credentials
       WHERE credentials.realm_id = hardware_tokens.realm_id AND credentials.id = hardware_tokens.credential_id), counter) END`,
    ),
    credential_id: null,
    user_id: null,
    assigned_at: null,
  });
}

/** Removes a token that is in stock; false when it is somebody's. */
export async function deleteHardwareToken(trx: Knex, { realmId, id }: { realmId: string; id: string }): Promise<boolean> {
  return (await trx('hardware_tokens').where({ realm_id: realmId, id }).whereNull('credential_id').delete()) === 1;
}
