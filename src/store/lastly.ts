/**
 * What a transaction does last, right before it commits, and what is done once it has.
 *
 * Rows that every writer of a realm wants, such as the end of the audit chain, are locked here: whoever holds one waits
 * for nothing else any more, so that two transactions can never wait for each other.
 */
import type { Knex } from 'knex';

const plans = new WeakMap<Knex, (() => Promise<void>)[]>();

/** Runs `work` at the end of the transaction; nothing runs when the transaction fails before. */
export function lastly(trx: Knex, work: () => Promise<void>): void {
  const plan = plans.get(trx);
  if (!plan) throw new Error('Only a transaction of the database does something last.');
  plan.push(work);
}

/** Runs a transaction's work and then what it does last. */
export async function withPlan<T>(trx: Knex, work: () => Promise<T>): Promise<T> {
  const plan: (() => Promise<void>)[] = [];
  plans.set(trx, plan);
  const result = await work();
  for (let next = plan.shift(); next; next = plan.shift()) await next();
  return result;
}

/** Calls `then` once the outermost transaction around `trx` has committed, and never when it does not. */
export function onceCommitted(trx: Knex.Transaction, then: () => void): void {
  let outermost = trx;
  while (outermost.parentTransaction) outermost = outermost.parentTransaction;
  outermost.executionPromise.then(then, () => undefined);
}

/** Whether these queries are those of a transaction. */
export const isTransaction = (queries: Knex): queries is Knex.Transaction => queries.isTransaction === true;
