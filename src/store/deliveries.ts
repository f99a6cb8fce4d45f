/**
 * What is to arrive somewhere, row by row, in a table of its kind: taken by one worker at a time, for as long as a claim
 * lasts, and finished or put off by whoever holds the claim. Any number of processes work on one table; a row that a killed
 * process held is free again when its claim has run out.
 */
import type { Knex } from 'knex';

/** A table of such rows, and the column that says to whom each goes. */
export interface DeliveryTable {
  readonly table: 'webhook_deliveries' | 'logout_notices' | 'client_logos';
  readonly receiver: 'webhook_id' | 'client_id' | 'host';
}

/** What the worker needs to know of a row (delivery/courier.ts). */
export interface Claimed {
  realmId: string;
  id: string;
  /** This one counted. */
  attempts: number;
  claimedUntil: number | null;
}

export interface Claim {
  now: number;
  until: number;
  limit: number;
  /** Of one receiver, and of one realm, at a time: whoever answers slowly keeps no others waiting. */
  mostOfReceiver: number;
  mostOfRealm: number;
  /** Those that have as many under way as they may. */
  busyReceivers: readonly string[];
  busyRealms: readonly string[];
}

/** As many of the oldest are looked at in one turn, however many wait. */
const LOOKED_AT = 1_000;

/** Whether anything is due and free; cheap, so that it can be asked often. */
export async function isAnythingDue(knex: Knex, { table }: DeliveryTable, now: number): Promise<boolean> {
  return (await free(knex(table), table, now).where(`${table}.due_at`, '<=', now).first(`${table}.id`)) !== undefined;
}

/**
 * Takes rows that are due for as long as `until`, and counts an attempt of each. Of several workers each goes to one.
 *
 * @param only leaves out rows that are not to be sent now
 * @returns the records, as the table has them
 */
export async function claimRows<Row>(
  knex: Knex,
  { table, receiver }: DeliveryTable,
  claim: Claim,
  only: (rows: Knex.QueryBuilder) => void = () => undefined,
): Promise<Row[]> {
  const oldest = free(knex(table), table, claim.now)
    .where(`${table}.due_at`, '<=', claim.now)
    .whereNotIn(`${table}.${receiver}`, [...claim.busyReceivers])
    .whereNotIn(`${table}.realm_id`, [...claim.busyRealms])
    .modify(only)
    .orderBy(`${table}.due_at`)
    .limit(LOOKED_AT)
    .select({ realm_id: `${table}.realm_id`, id: `${table}.id`, receiver: `${table}.${receiver}`, due_at: `${table}.due_at` });
  const ranked = knex
    .from(oldest.as('oldest'))
    .select('realm_id', 'id', 'due_at')
    .select(
      knex.raw('row_number() OVER (PARTITION BY realm_id, receiver ORDER BY due_at, id) AS of_receiver'),
      knex.raw('row_number() OVER (PARTITION BY realm_id ORDER BY due_at, id) AS of_realm'),
    );
  const due = knex
    .from(ranked.as('ranked'))
    .where('of_receiver', '<=', claim.mostOfReceiver)
    .where('of_realm', '<=', claim.mostOfRealm)
    .orderBy(['of_receiver', 'due_at'])
    .limit(claim.limit)
    .select('realm_id', 'id');
  return free(knex(table).whereIn(['realm_id', 'id'], due), table, claim.now)
    .update({ claimed_until: claim.until, attempts: knex.raw('attempts + 1') })
    .returning('*');
}

/** The state is said in so many words, or SQLite does not use the index of those that wait. */
const free = (rows: Knex.QueryBuilder, table: string, now: number): Knex.QueryBuilder =>
  rows
    .whereRaw("??.state = 'waiting'", [table])
    .where((unclaimed) => unclaimed.whereNull(`${table}.claimed_until`).orWhere(`${table}.claimed_until`, '<=', now));

/** What an attempt came to. */
export interface Attempted {
  status: number | null;
  error: string | null;
}

/** Still claimed as it was taken: an older claim changes nothing any more. */
const claimed = (knex: Knex, { table }: DeliveryTable, row: Claimed): Knex.QueryBuilder =>
  knex(table).where({ realm_id: row.realmId, id: row.id, claimed_until: row.claimedUntil, state: 'waiting' });

/**
 * It arrived, or is given up; false when the claim had run out.
 * @param also what else the table keeps of how that ended
 */
export async function finishClaimed(
  knex: Knex,
  table: DeliveryTable,
  row: Claimed,
  state: 'delivered' | 'failed',
  { status, error }: Attempted,
  now: number,
  also: Readonly<Record<string, Buffer | string | number | null>> = {},
): Promise<boolean> {
  const ended = { state, claimed_until: null, last_status: status, last_error: error, finished_at: now };
  return (await claimed(knex, table, row).update({ ...ended, ...also })) === 1;
}

/** It will be tried again at `dueAt`; false when the claim had run out. */
export async function putOffClaimed(knex: Knex, table: DeliveryTable, row: Claimed, dueAt: number, { status, error }: Attempted): Promise<boolean> {
  return (await claimed(knex, table, row).update({ due_at: dueAt, claimed_until: null, last_status: status, last_error: error })) === 1;
}
