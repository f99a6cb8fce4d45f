/**
 * How many codes were sent: by user, by address and by realm, each counted and compared in one statement, so that neither
 * a hundred requests at once nor several processes send one too many.
 *
 * For a user and an address the times of the newest are kept, so that "five an hour" holds for any sixty minutes. They are
 * written one behind the other, 13 digits each, newest first: that many digits compare like the numbers until the year
 * 2286, and both engines cut and join texts in the same way. A realm's budget is two counters, by the hour and the day.
 */
import type { Knex } from 'knex';
import type { Queries } from './rows.ts';

const DIGITS = 13;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Who is counted: a user, for whom there are also pauses, or an address. */
export interface Subject {
  /** An HMAC. */
  subject: string;
  userId: string | null;
}

export interface SendLimits {
  perHour: number;
  perDay: number;
  /** How long to wait after the first, the second, … that was sent and not used, in milliseconds; the last holds for all after it. */
  pausesMs: readonly number[];
}

interface Counted {
  subject: string;
  next_at: number;
}

/**
 * Counts one more for each of the subjects.
 * @returns when the next may be sent; undefined, and then nothing must be kept, when a limit of one of them is reached
 */
export async function countSends(
  trx: Knex,
  realmId: string,
  subjects: readonly Subject[],
  limits: SendLimits,
  now: number,
): Promise<number | undefined> {
  // Always in the same order: of two statements that lock the same rows neither waits for the other in a circle.
  const sorted = [...subjects].sort((a, b) => (a.subject < b.subject ? -1 : 1));
  const [first = 0, ...later] = limits.pausesMs;
  const inARow = 'CASE WHEN delivery_counts.updated_at <= ? THEN 1 ELSE delivery_counts.in_a_row + 1 END';
  const pause = `CASE ${later.map(() => `WHEN ${inARow} <= ? THEN CAST(? AS bigint)`).join(' ')} ELSE CAST(? AS bigint) END`;
  const steps = [first, ...later];
  const hourAgo = now - HOUR_MS;
  const result = await trx.raw(
    `INSERT INTO delivery_counts (realm_id, subject, user_id, sent, in_a_row, next_at, updated_at)
     VALUES ${sorted.map(() => '(?, ?, ?, ?, 1, ?, ?)').join(', ')}
     ON CONFLICT (realm_id, subject) DO UPDATE SET sent = substr(excluded.sent || delivery_counts.sent, 1, ?), in_a_row = ${inARow},
       next_at = CASE WHEN delivery_counts.user_id IS NULL THEN 0 ELSE CAST(? AS bigint) + ${later.length > 0 ? pause : 'CAST(? AS bigint)'} END, updated_at = excluded.updated_at
     WHERE delivery_counts.next_at <= ? AND substr(delivery_counts.sent, ?, ${DIGITS}) <= ? AND substr(delivery_counts.sent, ?, ${DIGITS}) <= ?
     RETURNING subject, next_at`,
    [
      ...sorted.flatMap(({ subject, userId }) => [realmId, subject, userId, written(now), userId === null ? 0 : now + first, now]),
      ...[Math.max(limits.perHour, limits.perDay) * DIGITS, hourAgo, now],
      ...later.flatMap((_, index) => [hourAgo, index + 1, steps[index] ?? 0]),
      ...[steps.at(-1) ?? 0, now],
      ...[place(limits.perHour), written(hourAgo), place(limits.perDay), written(now - DAY_MS)],
    ],
  );
  const rows: Counted[] = Array.isArray(result) ? result : result.rows;
  if (rows.length < sorted.length) return undefined;
  return Math.max(...rows.map((row) => Number(row.next_at)));
}

/** How long a subject has to wait now, and whether that is because of its hour or its day; 0 when it need not. */
export async function sendsPaused(
  knex: Knex,
  realmId: string,
  subjects: readonly Subject[],
  limits: SendLimits,
  now: number,
): Promise<{ ms: number; exhausted: boolean }> {
  const rows = await knex('delivery_counts')
    .where({ realm_id: realmId })
    .whereIn(
      'subject',
      subjects.map(({ subject }) => subject),
    )
    .select('sent', 'next_at');
  const until = (sent: string, most: number, window: number): number => Number(sent.slice(place(most) - 1, most * DIGITS) || -window) + window - now;
  const limited = Math.max(0, ...rows.flatMap(({ sent }) => [until(sent, limits.perHour, HOUR_MS), until(sent, limits.perDay, DAY_MS)]));
  const paused = Math.max(0, ...rows.map((row) => Number(row.next_at) - now));
  return { ms: Math.max(limited, paused), exhausted: limited > 0 };
}

/** A code was right: the next one may be sent at once. What counts by the hour and the day stays. */
export async function endPauses(knex: Queries, realmId: string, userId: string): Promise<void> {
  await knex('delivery_counts').where({ realm_id: realmId, user_id: userId }).update({ next_at: 0, in_a_row: 0 });
}

/** Takes one out of a realm's budget; false when its hour or its day has nothing left. */
export async function spendBudget(
  trx: Knex,
  budget: { realmId: string; channel: 'mail' | 'sms'; perHour: number; perDay: number },
  now: number,
): Promise<boolean> {
  const [hour, day] = [Math.floor(now / HOUR_MS), Math.floor(now / DAY_MS)];
  // A node whose clock is a little behind counts in the hour that another one has begun.
  const result = await trx.raw(
    `INSERT INTO delivery_budgets (realm_id, channel, hour, hour_spent, day, day_spent) VALUES (?, ?, ?, 1, ?, 1)
     ON CONFLICT (realm_id, channel) DO UPDATE SET
       hour_spent = CASE WHEN delivery_budgets.hour >= excluded.hour THEN delivery_budgets.hour_spent + 1 ELSE 1 END,
       hour = CASE WHEN delivery_budgets.hour >= excluded.hour THEN delivery_budgets.hour ELSE excluded.hour END,
       day_spent = CASE WHEN delivery_budgets.day >= excluded.day THEN delivery_budgets.day_spent + 1 ELSE 1 END,
       day = CASE WHEN delivery_budgets.day >= excluded.day THEN delivery_budgets.day ELSE excluded.day END
     WHERE (delivery_budgets.hour < excluded.hour OR delivery_budgets.hour_spent < ?)
       AND (delivery_budgets.day < excluded.day OR delivery_budgets.day_spent < ?)
     RETURNING hour_spent`,
    [budget.realmId, budget.channel, hour, day, budget.perHour, budget.perDay],
  );
  const rows: unknown[] = Array.isArray(result) ? result : result.rows;
  return rows.length === 1;
}

const written = (at: number): string => String(Math.max(0, at)).padStart(DIGITS, '0');
/** Where in the text the time stands of which there may be `most` at the most; SQL counts from 1. */
const place = (most: number): number => (most - 1) * DIGITS + 1;
