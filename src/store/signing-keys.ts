/** A realm's signing keys; their order follows from their times (realms/keys.ts). */
import type { Knex } from 'knex';
import type { SealContext } from '../crypto/seal.ts';
import type { Algorithm } from '../realms/algorithms.ts';
import type { SealedColumn } from './sealed-columns.ts';

export interface SigningKeyRow {
  realmId: string;
  /** The kid. */
  id: string;
  algorithm: Algorithm;
  /** JSON of the public JWK. */
  publicJwk: string;
  /** Sealed JSON of the private JWK. */
  privateJwk: string;
  publishAt: number;
  signFrom: number;
  retireAt: number | null;
  createdAt: number;
}

/** What a private key is bound to. */
export const signingKeySeal = (row: { realmId: string; id: string }): SealContext => ({
  purpose: 'signing-key',
  realm: row.realmId,
  row: row.id,
  column: 'private_jwk',
});

export const sealedSigningKeys: SealedColumn = {
  table: 'signing_keys',
  column: 'private_jwk',
  place: ({ realmId, key }) => signingKeySeal({ realmId, id: key }),
};

export async function signingKeys(knex: Knex, realmId: string): Promise<SigningKeyRow[]> {
  const rows = await knex('signing_keys').where({ realm_id: realmId }).orderBy('sign_from', 'desc');
  return rows.map((row) => ({
    realmId: row.realm_id,
    id: row.id,
    algorithm: row.algorithm,
    publicJwk: row.public_jwk,
    privateJwk: row.private_jwk,
    publishAt: row.publish_at,
    signFrom: row.sign_from,
    retireAt: row.retire_at,
    createdAt: row.created_at,
  }));
}

export async function insertSigningKey(trx: Knex, key: SigningKeyRow): Promise<void> {
  await trx('signing_keys').insert({
    realm_id: key.realmId,
    id: key.id,
    algorithm: key.algorithm,
    public_jwk: key.publicJwk,
    private_jwk: key.privateJwk,
    publish_at: key.publishAt,
    sign_from: key.signFrom,
    retire_at: key.retireAt,
    created_at: key.createdAt,
  });
}

/** When it is published, signs and ends. */
export async function updateSigningKeyTimes(trx: Knex, key: SigningKeyRow): Promise<void> {
  await trx('signing_keys')
    .where({ realm_id: key.realmId, id: key.id })
    .update({ publish_at: key.publishAt, sign_from: key.signFrom, retire_at: key.retireAt });
}

/** False when it was not there. */
export async function deleteSigningKey(trx: Knex, realmId: string, id: string): Promise<boolean> {
  return (await trx('signing_keys').where({ realm_id: realmId, id }).delete()) === 1;
}

/** Gives every older key of an algorithm its end, unless it has an earlier one. */
export async function retireOlderKeys(trx: Knex, key: SigningKeyRow, retireAt: number): Promise<void> {
  await trx('signing_keys')
    .where({ realm_id: key.realmId, algorithm: key.algorithm })
    .whereNot({ id: key.id })
    .where((older) => older.whereNull('retire_at').orWhere('retire_at', '>', retireAt))
    .update({ retire_at: retireAt });
}

/** Forgets keys that ended long ago. */
export async function deleteRetiredKeys(trx: Knex, realmId: string, before: number): Promise<void> {
  await trx('signing_keys').where({ realm_id: realmId }).where('retire_at', '<', before).delete();
}
