/**
 * Attempts, counted before anything is compared. Two kinds of counter share a table and one question, "is it free now?":
 *
 * - a **run** is failures in a row of one account, one factor or one device; from some length on it pauses;
 * - a **rate** is failures of one address in a time, as a bucket that leaks (the generic cell rate algorithm): a full one
 *   is free again as soon as one failure has leaked out.
 *
 * `paused_until` says of both from when on the next attempt is let through. A run and a rate are counted by one statement.
 */
import type { Knex } from 'knex';

/** Failures in a row. */
export interface Run {
  subject: string;
  pauses: Pauses;
  /** After how many attempts a sign-in has used up what it may try; null where that is not counted. */
  perSignIn: number | null;
}

/** Which failures bring a pause of how long: the `first`, and every so many after it; the last step holds for all after it. */
export interface Pauses {
  first: number;
  every: number;
  steps: readonly { failures: number; pauseMs: number }[];
}

/** So many failures within a time. */
export interface Rate {
  subject: string;
  failures: number;
  withinMs: number;
}

export interface Counters {
  run: Run | null;
  rate: Rate | null;
}

interface Where {
  realmId: string;
  now: number;
}

/** What one failure fills of a bucket. */
const costOf = ({ failures, withinMs }: Rate): number => Math.max(1, Math.floor(withinMs / failures));

const subjectsOf = ({ run, rate }: Counters): string[] => [run, rate].flatMap((counter) => (counter === null ? [] : [counter.subject]));

/** Rows of subjects, one SELECT each; always in one order, or two statements would wait for each other's rows. */
const listed = (subjects: readonly string[], columns: string): string =>
  `SELECT CAST(? AS TEXT), counted.subject, ${columns} FROM (${subjects.map(() => 'SELECT CAST(? AS TEXT) AS subject').join(' UNION ALL ')}) AS counted`;

/** The next `paused_until` of a rate; see `fillOf` for its values. */
const FILLED = 'CASE WHEN attempts.paused_until > ? THEN ? WHEN attempts.paused_until > ? THEN attempts.paused_until ELSE ? END + ?';

/** What fills a bucket further (the values of FILLED), and what an empty one holds after its first failure. */
function fillOf(rate: Rate, now: number): { values: number[]; first: number } {
  const cost = costOf(rate);
  // Before this time it would be empty: nothing older than `withinMs` counts.
  const empty = now - rate.withinMs + cost;
  const full = now + rate.withinMs;
  return { values: [full, full, empty, empty, cost], first: empty + cost };
}

/**
 * Counts an attempt by a run, a rate or both, in one statement. Nothing is counted, and undefined answered, while one of
 * them is paused, or when the sign-in `by` has used up its attempts: the newest was its own, and a multiple of what it may.
 *
 * The pause begins with the attempt that would bring it and not with its failure: a hundred attempts at once would all
 * be let through while the tenth is still being compared. Should that one succeed, the pause goes with the run.
 *
 * Each row is looked at under its lock, so that no counter lets one more through. That neither is counted when the other
 * refuses holds for attempts one after another; of many at once the loser may have counted one of the two.
 */
export async function countAttempt(knex: Knex, counters: Counters, { realmId, by, now }: Where & { by: string }): Promise<number | undefined> {
  const { run, rate } = counters;
  const subjects = subjectsOf(counters);
  const fill = rate && fillOf(rate, now);
  const isRate = 'attempts.subject = ?';
  const steps = run?.pauses.steps.map((_, index, all) => `WHEN attempts.failures + 1 ${index === all.length - 1 ? '>=' : '='} ? THEN ?`) ?? [];
  const onRun = run
    ? `CASE WHEN attempts.failures + 1 < ? OR (attempts.failures + 1 - ?) % ? <> 0 THEN attempts.paused_until ${steps.join(' ')} ELSE attempts.paused_until END`
    : 'attempts.paused_until';
  const exhausted =
    run && run.perSignIn !== null
      ? ' AND NOT (attempts.subject = ? AND attempts.failures > 0 AND attempts.failures % ? = 0 AND attempts.last_by = ?)'
      : '';
  const result = await knex.raw(
    `INSERT INTO attempts (realm_id, subject, failures, paused_until, last_by, updated_at)
     ${listed(subjects, `1, ${rate ? 'CASE WHEN counted.subject = ? THEN CAST(? AS BIGINT) ELSE 0 END' : '0'}, CAST(? AS TEXT), CAST(? AS BIGINT)`)}
     WHERE NOT EXISTS (SELECT 1 FROM attempts AS standing WHERE standing.realm_id = ? AND standing.subject IN (${subjects.map(() => '?').join(', ')}) AND standing.paused_until > ?)
     ORDER BY counted.subject
     ON CONFLICT (realm_id, subject) DO UPDATE SET failures = attempts.failures + 1, last_by = excluded.last_by, updated_at = excluded.updated_at,
       paused_until = ${rate ? `CASE WHEN ${isRate} THEN ${FILLED} ELSE ${onRun} END` : onRun}
     WHERE attempts.paused_until <= ?${exhausted}
     RETURNING subject, failures`,
    [
      realmId,
      ...(rate && fill ? [rate.subject, fill.first] : []),
      ...[by, now, ...subjects],
      ...[realmId, ...subjects, now],
      ...(rate && fill ? [rate.subject, ...fill.values] : []),
      ...(run
        ? [run.pauses.first, run.pauses.first, run.pauses.every, ...run.pauses.steps.flatMap(({ failures, pauseMs }) => [failures, now + pauseMs])]
        : []),
      now,
      ...(run && run.perSignIn !== null ? [run.subject, run.perSignIn, by] : []),
    ],
  );
  const counted: { subject: string; failures: number }[] = Array.isArray(result) ? result : result.rows;
  if (counted.length === subjects.length) return Number(counted.find((row) => row.subject === run?.subject)?.failures ?? 0);
  // Of many at once this one was counted by the rate alone, and then met the pause.
  if (rate && counted.some((row) => row.subject === rate.subject)) await giveBack(knex, { run: null, rate }, { realmId, now });
  return undefined;
}

/**
 * A success: the run is broken, and the rate gets back what this attempt was counted.
 *
 * @param options.undo nothing was compared: the run gets back no more than this attempt, and the pause that it brought
 */
export async function giveBack(
  knex: Knex,
  counters: Counters,
  { realmId, now, undo }: Where & { undo?: { broughtPause: boolean } | undefined },
): Promise<void> {
  const { rate } = counters;
  const subjects = subjectsOf(counters);
  if (subjects.length === 0) return;
  const rated = rate?.subject ?? '';
  const run = {
    failures: undo ? 'attempts.failures - 1' : '0',
    pausedUntil: undo && !undo.broughtPause ? 'attempts.paused_until' : '0',
    // A broken run, of the year 1970, is swept next.
    updatedAt: undo ? 'attempts.updated_at' : '0',
  };
  // Not an UPDATE, which would lock two rows in an order of its own.
  await knex.raw(
    `INSERT INTO attempts (realm_id, subject, failures, paused_until, updated_at) ${listed(subjects, '0, 0, 0')} WHERE true ORDER BY counted.subject
     ON CONFLICT (realm_id, subject) DO UPDATE SET last_by = NULL,
       failures = CASE WHEN attempts.subject = ? THEN attempts.failures - 1 ELSE ${run.failures} END,
       paused_until = CASE WHEN attempts.subject = ? THEN attempts.paused_until - ? ELSE ${run.pausedUntil} END,
       updated_at = CASE WHEN attempts.subject = ? THEN CAST(? AS BIGINT) ELSE ${run.updatedAt} END`,
    [realmId, ...subjects, rated, rated, rate ? costOf(rate) : 0, rated, now],
  );
}

/**
 * Counts a failure that has happened by a rate that refuses nobody. Answers from when on the rate is free again, which is
 * later than `now` while there are too many; it fills up to twice its time and no further.
 */
export async function countFailure(knex: Knex, rate: Rate, { realmId, now }: Where): Promise<number> {
  const { first, values } = fillOf(rate, now);
  const result = await knex.raw(
    `INSERT INTO attempts (realm_id, subject, failures, paused_until, updated_at) VALUES (?, ?, 1, ?, ?)
     ON CONFLICT (realm_id, subject) DO UPDATE SET failures = attempts.failures + 1, paused_until = ${FILLED}, updated_at = excluded.updated_at
     RETURNING paused_until`,
    [realmId, rate.subject, first, now, ...values],
  );
  const rows: { paused_until: number }[] = Array.isArray(result) ? result : result.rows;
  return Number(rows[0]?.paused_until ?? 0);
}

/** Until when each of two counters is paused; 0 for never. */
export async function pausedUntil(knex: Knex, realmId: string, counters: Counters): Promise<{ run: number; rate: number }> {
  const rows = await knex('attempts').where({ realm_id: realmId }).whereIn('subject', subjectsOf(counters)).select('subject', 'paused_until');
  const until = (subject: string | undefined): number => rows.find((row) => row.subject === subject)?.paused_until ?? 0;
  return { run: until(counters.run?.subject), rate: until(counters.rate?.subject) };
}

/** Forgets counters; answers how many of them were paused. */
export async function forgetAttempts(knex: Knex, realmId: string, subjects: readonly string[], now: number): Promise<number> {
  const gone = await knex('attempts').where({ realm_id: realmId }).whereIn('subject', subjects).delete().returning('paused_until');
  return gone.filter((row) => row.paused_until > now).length;
}

/** The same of a whole realm. */
export async function forgetAllAttempts(knex: Knex, realmId: string, now: number): Promise<number> {
  const paused = await knex('attempts').where({ realm_id: realmId }).where('paused_until', '>', now).count({ rows: '*' }).first();
  await knex('attempts').where({ realm_id: realmId }).delete();
  return Number(paused?.rows ?? 0);
}

/** What was counted of subjects; those of which nothing was are missing. */
export async function attemptsOf(
  knex: Knex,
  realmId: string,
  subjects: readonly string[],
): Promise<{ subject: string; failures: number; pausedUntil: number; updatedAt: number }[]> {
  return knex('attempts')
    .where({ realm_id: realmId })
    .whereIn('subject', [...subjects])
    .select('subject', 'failures', { pausedUntil: 'paused_until', updatedAt: 'updated_at' });
}
