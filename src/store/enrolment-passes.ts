/**
 * Enrolment passes: who asked for one and why, who approved it, and how it ended. What a user types is a credential like
 * any other, of the same id, from the moment that it can be used until it is.
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { type CredentialRow, insertCredential } from './credentials.ts';
import { bool } from './rows.ts';

export interface EnrolmentPassRow {
  realmId: string;
  id: string;
  userId: string;
  reason: string;
  /** A user id, or the name of a command. */
  requestedBy: string;
  approvedBy: string | null;
  /** Somebody else has to approve it before there is anything to be used. */
  dual: boolean;
  lifetimeMs: number;
  requestedAt: number;
  approvedAt: number | null;
  /** Of the request until it is approved, and then of the pass. */
  expiresAt: number;
  endedAs: PassEnd | null;
  endedAt: number | null;
}

export type PassEnd = 'used' | 'revoked' | 'replaced';
const ends: z.ZodType<PassEnd | null> = z.enum(['used', 'revoked', 'replaced']).nullable();

interface PassRecord {
  realm_id: string;
  id: string;
  user_id: string;
  reason: string;
  requested_by: string;
  approved_by: string | null;
  dual: boolean | number;
  lifetime_ms: number;
  requested_at: number;
  approved_at: number | null;
  expires_at: number;
  ended_as: string | null;
  ended_at: number | null;
}

const fromRecord = (row: PassRecord): EnrolmentPassRow => ({
  realmId: row.realm_id,
  id: row.id,
  userId: row.user_id,
  reason: row.reason,
  requestedBy: row.requested_by,
  approvedBy: row.approved_by,
  dual: bool(row.dual),
  lifetimeMs: row.lifetime_ms,
  requestedAt: row.requested_at,
  approvedAt: row.approved_at,
  expiresAt: row.expires_at,
  endedAs: ends.parse(row.ended_as),
  endedAt: row.ended_at,
});

const keyOf = ({ realmId, id }: Pick<EnrolmentPassRow, 'realmId' | 'id'>) => ({ realm_id: realmId, id });

export async function enrolmentPass(knex: Knex, realmId: string, id: string): Promise<EnrolmentPassRow | undefined> {
  const row = await knex<PassRecord>('enrolment_passes').where({ realm_id: realmId, id }).first();
  return row && fromRecord(row);
}

/** Passes by when they were asked for, the newest first, one page. */
export async function listEnrolmentPasses(
  knex: Knex,
  realmId: string,
  page: { userId?: string | undefined; after?: Pick<EnrolmentPassRow, 'id' | 'requestedAt'> | undefined; limit: number },
): Promise<EnrolmentPassRow[]> {
  const rows = knex<PassRecord>('enrolment_passes').where({ realm_id: realmId });
  if (page.userId !== undefined) rows.where({ user_id: page.userId });
  const { after } = page;
  if (after) {
    rows.where((older) =>
      older
        .where('requested_at', '<', after.requestedAt)
        .orWhere((same) => same.where({ requested_at: after.requestedAt }).where('id', '<', after.id)),
    );
  }
  const order = [
    { column: 'requested_at', order: 'desc' },
    { column: 'id', order: 'desc' },
  ];
  return (await rows.orderBy(order).limit(page.limit)).map(fromRecord);
}

export async function insertEnrolmentPass(trx: Knex, row: EnrolmentPassRow): Promise<void> {
  await trx('enrolment_passes').insert({
    ...keyOf(row),
    user_id: row.userId,
    reason: row.reason,
    requested_by: row.requestedBy,
    approved_by: row.approvedBy,
    dual: row.dual,
    lifetime_ms: row.lifetimeMs,
    requested_at: row.requestedAt,
    approved_at: row.approvedAt,
    expires_at: row.expiresAt,
    ended_as: row.endedAs,
    ended_at: row.endedAt,
  });
}

/** Approves a request that waits for it: true for exactly one caller. */
export async function approveEnrolmentPass(
  trx: Knex,
  row: Pick<EnrolmentPassRow, 'realmId' | 'id'>,
  approval: { by: string; at: number; expiresAt: number },
): Promise<boolean> {
  const approved = await trx('enrolment_passes')
    .where({ ...keyOf(row), dual: true })
    .whereNull('approved_at')
    .whereNull('ended_at')
    .where('expires_at', '>', approval.at)
    .update({ approved_by: approval.by, approved_at: approval.at, expires_at: approval.expiresAt });
  return approved === 1;
}

/** Ends passes that had not ended, with the credentials that they are. Answers which. */
export async function endEnrolmentPasses(
  trx: Knex,
  which: { realmId: string; userId: string; id?: string },
  end: { as: PassEnd; at: number },
): Promise<string[]> {
  const mine = { realm_id: which.realmId, user_id: which.userId, ...(which.id === undefined ? {} : { id: which.id }) };
  const ended: { id: string }[] = await trx('enrolment_passes')
    .where(mine)
    .whereNull('ended_at')
    .update({ ended_as: end.as, ended_at: end.at })
    .returning('id');
  const ids = ended.map(({ id }) => id);
  await trx('credentials').where({ realm_id: which.realmId, user_id: which.userId }).whereIn('id', ids).delete();
  return ids;
}

/** Makes the pass something that can be typed, until it expires. */
export async function insertPassCredential(trx: Knex, row: CredentialRow, expiresAt: number): Promise<void> {
  await insertCredential(trx, row);
  await trx('credentials').where({ realm_id: row.realmId, id: row.id }).update({ expires_at: expiresAt });
}
