/** Forgotten passwords under way. Every change is a compare-and-set on the version, and gives the browser another cookie where something was shown. */
import type { Knex } from 'knex';
import type { SealContext } from '../crypto/seal.ts';
import type { SealedColumn } from './sealed-columns.ts';

export interface RecoveryRow {
  realmId: string;
  id: string;
  /** Null until the name was looked up, and for a name that is nobody's. */
  userId: string | null;
  /** The state's `at`, so that it can be seen without opening the state. */
  at: string;
  /** Sealed RecoveryState. */
  state: string;
  version: number;
  /** SHA-256 of the cookie of the browser that asked. */
  cookieHash: string;
  /** SHA-256 of what the link in the mail holds; null before it was sent, and after it was used. */
  linkHash: string | null;
  createdAt: number;
  expiresAt: number;
}

export const recoverySeal = (row: { realmId: string; id: string }): SealContext => ({
  purpose: 'recovery',
  realm: row.realmId,
  row: row.id,
  column: 'state',
});

export const sealedRecoveries: SealedColumn = {
  table: 'recoveries',
  column: 'state',
  place: ({ realmId, key }) => recoverySeal({ realmId, id: key }),
};

export const recoveryByCookie = (knex: Knex, realmId: string, cookieHash: string): Promise<RecoveryRow | undefined> =>
  recoveryWhere(knex, { realm_id: realmId, cookie_hash: cookieHash });

export const recoveryById = (knex: Knex, realmId: string, id: string): Promise<RecoveryRow | undefined> =>
  recoveryWhere(knex, { realm_id: realmId, id });

async function recoveryWhere(
  knex: Knex,
  which: { realm_id: string; cookie_hash: string } | { realm_id: string; id: string },
): Promise<RecoveryRow | undefined> {
  const row = await knex('recoveries').where(which).first();
  return (
    row && {
      realmId: row.realm_id,
      id: row.id,
      userId: row.user_id,
      at: row.at,
      state: row.state,
      version: row.version,
      cookieHash: row.cookie_hash,
      linkHash: row.link_hash,
      createdAt: row.created_at,
      expiresAt: row.expires_at,
    }
  );
}

export async function insertRecovery(knex: Knex, row: RecoveryRow): Promise<void> {
  await knex('recoveries').insert({
    realm_id: row.realmId,
    id: row.id,
    user_id: row.userId,
    at: row.at,
    state: row.state,
    version: row.version,
    cookie_hash: row.cookieHash,
    link_hash: row.linkHash,
    created_at: row.createdAt,
    expires_at: row.expiresAt,
  });
}

/** Moves a recovery on from the version that was read; false when another request did so first, or it is gone. */
export async function advanceRecovery(
  knex: Knex,
  row: Pick<RecoveryRow, 'realmId' | 'id' | 'version'>,
  change: Pick<RecoveryRow, 'userId' | 'at' | 'state' | 'cookieHash' | 'linkHash' | 'expiresAt'>,
): Promise<boolean> {
  const changed = await knex('recoveries')
    .where({ realm_id: row.realmId, id: row.id, version: row.version })
    .update({
      user_id: change.userId,
      at: change.at,
      state: change.state,
      cookie_hash: change.cookieHash,
      link_hash: change.linkHash,
      expires_at: change.expiresAt,
      version: row.version + 1,
    });
  return changed === 1;
}

/** What `at` says of one that an administrator began, until its link is followed. */
export const INVITED = 'invited';

/** What `at` says of a recovery that leads nowhere any more, wherever it stood. */
export const VOID = 'void';

/**
 * Voids the user's other recoveries.
 *
 * @param which those that were asked for and whose link was not used yet, or all of them
 */
export async function voidRecoveries(knex: Knex, row: { realmId: string; userId: string; but: string }, which: 'sent' | 'all'): Promise<void> {
  const others = knex('recoveries').where({ realm_id: row.realmId, user_id: row.userId }).whereNot({ id: row.but });
  if (which === 'sent') others.whereNotNull('link_hash').whereNot({ at: INVITED });
  await others.update({ at: VOID, link_hash: null, version: knex.raw('version + 1') });
}
