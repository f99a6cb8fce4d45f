/**
 * What oidc-provider stores, one table for all its models. Ids are bearer secrets and are stored as their SHA-256;
 * using something up is one conditional UPDATE.
 */
import type { Knex } from 'knex';
import { holdNotices } from './logout-notices.ts';
import { prepared } from './prepared.ts';

export interface PayloadKey {
  realmId: string;
  model: string;
  /** SHA-256 of the library's id. */
  id: string;
}

export interface PayloadRow extends PayloadKey {
  /** JSON. */
  payload: string;
  grantId: string | null;
  uid: string | null;
  userCode: string | null;
  expiresAt: number | null;
  uses: number;
}

export interface PayloadRecord {
  realm_id: string;
  model: string;
  id: string;
  payload: string;
  grant_id: string | null;
  uid: string | null;
  user_code: string | null;
  expires_at: number | null;
  uses: number;
}

const where = (key: PayloadKey) => ({ realm_id: key.realmId, model: key.model, id: key.id });

export const payloadFromRecord = (row: PayloadRecord): PayloadRow => ({
  realmId: row.realm_id,
  model: row.model,
  id: row.id,
  payload: row.payload,
  grantId: row.grant_id,
  uid: row.uid,
  userCode: row.user_code,
  expiresAt: row.expires_at,
  uses: row.uses,
});

type Stored = Omit<PayloadRow, 'uses'>;

const toRecord = (row: Readonly<Record<keyof Stored, string | number | null>>) => ({
  realm_id: row.realmId,
  model: row.model,
  id: row.id,
  payload: row.payload,
  grant_id: row.grantId,
  uid: row.uid,
  user_code: row.userCode,
  expires_at: row.expiresAt,
});

const upserting = prepared<keyof Stored, { id: string }>((knex, row) =>
  knex('oidc_payloads')
    .insert(toRecord(row))
    .onConflict(['realm_id', 'model', 'id'])
    .merge(['payload', 'grant_id', 'uid', 'user_code', 'expires_at'])
    .returning('id'),
);

export async function upsertPayload(knex: Knex, row: Stored): Promise<void> {
  await upserting(knex, row);
}

/** Stores anew what is there; false when it is not, or not any more. */
export async function replacePayload(knex: Knex, row: Omit<PayloadRow, 'uses'>): Promise<boolean> {
  const { payload, expires_at } = toRecord(row);
  return (await knex('oidc_payloads').where(where(row)).update({ payload, expires_at })) === 1;
}

/** False when it is there already: what is unique was used before. */
export async function insertPayload(knex: Knex, row: Stored): Promise<boolean> {
  return (await inserting(knex, row)).length === 1;
}

const inserting = prepared<keyof Stored, { id: string }>((knex, row) =>
  knex('oidc_payloads').insert(toRecord(row)).onConflict(['realm_id', 'model', 'id']).ignore().returning('id'),
);

/**
 * Stores what anybody may have stored, such as a sign-in that begins, unless as many from that address are open: one
 * statement, so that it costs what it cost before. Of many at once a few may pass together; what is bounded is a table, not
 * a secret.
 *
 * @param from.address an HMAC, kept with the row
 * @returns false when there are too many, and also when it is there already
 */
export async function insertOpen(knex: Knex, row: Omit<PayloadRow, 'uses'>, from: { address: string; most: number; now: number }): Promise<boolean> {
  const result = await knex.raw(
    `INSERT INTO oidc_payloads (realm_id, model, id, payload, uid, user_code, expires_at, address)
     SELECT CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS TEXT)
     WHERE (SELECT COUNT(*) FROM (SELECT 1 FROM oidc_payloads WHERE realm_id = ? AND address = ? AND expires_at > ? LIMIT ?) AS begun) < ?
     ON CONFLICT DO NOTHING
     RETURNING id`,
    [
      row.realmId,
      row.model,
      row.id,
      row.payload,
      row.uid,
      row.userCode,
      row.expiresAt,
      from.address,
      row.realmId,
      from.address,
      from.now,
      from.most,
      from.most,
    ],
  );
  const stored: unknown[] = Array.isArray(result) ? result : result.rows;
  return stored.length === 1;
}

export async function findPayload(knex: Knex, { realmId, model, id }: PayloadKey): Promise<PayloadRow | undefined> {
  const [row] = await finding(knex, { realmId, model, id });
  return row && payloadFromRecord(row);
}

const finding = prepared<keyof PayloadKey, PayloadRecord>((knex, key) =>
  knex('oidc_payloads').where(where(key)).select(['realm_id', 'model', 'id', 'payload', 'grant_id', 'uid', 'user_code', 'expires_at', 'uses']),
);

export async function findPayloadByUid(knex: Knex, realmId: string, model: string, uid: string): Promise<PayloadRow | undefined> {
  const row = await knex<PayloadRecord>('oidc_payloads').where({ realm_id: realmId, model, uid }).first();
  return row && payloadFromRecord(row);
}

export async function findPayloadByUserCode(knex: Knex, realmId: string, model: string, userCode: string): Promise<PayloadRow | undefined> {
  const row = await knex<PayloadRecord>('oidc_payloads').where({ realm_id: realmId, model, user_code: userCode }).first();
  return row && payloadFromRecord(row);
}

/** Uses it once more than the `allowance` of earlier uses lets; false when it is used up, or gone. */
export async function usePayload(knex: Knex, { realmId, model, id }: PayloadKey, allowance: number): Promise<boolean> {
  return (await using(knex, { realmId, model, id, allowance })).length === 1;
}

const using = prepared<keyof PayloadKey | 'allowance', { id: string }>((knex, at) =>
  knex('oidc_payloads')
    .where(where(at))
    .where('uses', '<=', at.allowance)
    .update({ uses: knex.raw('uses + 1') })
    .returning('id'),
);

/** False when somebody else has deleted it before. */
export async function deletePayload(knex: Knex, { realmId, model, id }: PayloadKey): Promise<boolean> {
  return (await deleting(knex, { realmId, model, id })).length === 1;
}

const deleting = prepared<keyof PayloadKey, { id: string }>((knex, key) => knex('oidc_payloads').where(where(key)).delete().returning('id'));

export async function deletePayloadsOfGrant(knex: Knex, realmId: string, model: string, grantId: string): Promise<void> {
  await knex('oidc_payloads').where({ realm_id: realmId, model, grant_id: grantId }).delete();
}

/**
 * Ends grants: everything issued under them, the grants themselves, and their place in their sessions, so that a new one
 * gets a new sid. Clients that listen for the end of their session still hear of it.
 */
export async function deleteGrants(trx: Knex.Transaction, realmId: string, grantIds: string[]): Promise<void> {
  if (grantIds.length === 0) return;
  const told = await holdNotices(trx, realmId, grantIds);
  // Should they run out, somebody has to see it; whoever looks says when next.
  if (told.length > 0) await trx('sessions').where({ realm_id: realmId }).whereIn('id', told).whereNull('look_at').update({ look_at: 0 });
  await trx('oidc_payloads').where({ realm_id: realmId }).whereIn('grant_id', grantIds).delete();
  await trx('session_clients').where({ realm_id: realmId }).whereIn('grant_id', grantIds).delete();
}

/**
 * Stores a new Session; false when there is one of that uid already, which is then merged with.
 * @param code of the same request, which is stored in any case
 */
export async function insertSessionPayload(knex: Knex, row: Omit<PayloadRow, 'uses'>, code: Omit<PayloadRow, 'uses'> | undefined): Promise<boolean> {
  const rows = [row, ...(code ? [code] : [])].map(toRecord);
  const inserted: { model: string }[] = await knex('oidc_payloads').insert(rows).onConflict().ignore().returning('model');
  return inserted.some(({ model }) => model === row.model);
}

/** A Session's payload is merged under a lock: its row as it is now, held until the transaction ends. */
export async function lockSessionPayload(trx: Knex.Transaction, realmId: string, uid: string): Promise<PayloadRow | undefined> {
  const row = await trx<PayloadRecord>('oidc_payloads').where({ realm_id: realmId, model: 'Session', uid }).first().forUpdate();
  return row && payloadFromRecord(row);
}

/**
 * Replaces a Session's row, whose id changes when it is renewed.
 * @param isOpen nobody is signed in to it, so that its address is counted (`insertOpen`)
 */
export async function replaceSessionPayload(trx: Knex, row: Omit<PayloadRow, 'uses'>, isOpen: boolean): Promise<void> {
  await trx('oidc_payloads')
    .where({ realm_id: row.realmId, model: 'Session', uid: row.uid })
    .update({ id: row.id, payload: row.payload, expires_at: row.expiresAt, ...(isOpen ? {} : { address: null }) });
}
