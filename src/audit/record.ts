/**
 * Writes audit rows; pass the transaction of the change that is recorded.
 *
 * What administrators do goes through `recordInChain`: their rows hang together (chain.ts), and are appended right
 * before the commit, because the end of a chain is one row that all of a realm's administrators write.
 */
import { timeOrderedId } from '../crypto/codes.ts';
import { type AuditRow, insertAuditRows, insertChainedRows, lockChain, moveChain } from '../store/audit.ts';
import { isTransaction, lastly, onceCommitted } from '../store/lastly.ts';
import type { Queries } from '../store/rows.ts';
import { headOf, linked } from './chain.ts';
import type { AuditEvent, AuditOrigin } from './event.ts';

/** A header as long as anybody needs it; whatever else a browser sends is cut. */
const MAX_USER_AGENT = 300;

type Listener = (event: AuditEvent) => void;
const listeners = new Set<Listener>();

/** Tells `listener` of every event that was recorded in this process, once it is committed, for the metrics; answers how to stop it. */
export function onRecorded(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Records what users and their programs do. */
export async function record(queries: Queries, origin: AuditOrigin, event: AuditEvent): Promise<void> {
  await insertAuditRows(queries, [rowOf(origin, event)]);
  tell(queries, event);
}

/** Many at once, in one statement. */
export async function recordAll(queries: Queries, events: readonly { origin: AuditOrigin; event: AuditEvent }[]): Promise<void> {
  await insertAuditRows(
    queries,
    events.map(({ origin, event }) => rowOf(origin, event)),
  );
  for (const { event } of events) tell(queries, event);
}

/** What a transaction will append to the chains, by realm. */
const appended = new WeakMap<Queries, Map<string, AuditRow[]>>();

/**
 * Records what an administrator did, in the chain of the realm.
 * @param trx a transaction of the database
 * @param key under which the end of the chain is kept: `keyring.auditKey`
 */
export function recordInChain(trx: Queries, key: Buffer, origin: AuditOrigin, event: AuditEvent): void {
  const planned = appended.get(trx) ?? new Map<string, AuditRow[]>();
  if (!appended.has(trx)) {
    appended.set(trx, planned);
    lastly(trx, async () => {
      // In one order, should a transaction ever write to several chains.
      for (const [realmId, rows] of [...planned].sort(([a], [b]) => (a < b ? -1 : 1))) await append(trx, key, realmId, rows);
    });
  }
  planned.set(origin.realmId, [...(planned.get(origin.realmId) ?? []), rowOf(origin, event)]);
  tell(trx, event);
}

async function append(trx: Queries, key: Buffer, realmId: string, rows: readonly AuditRow[]): Promise<void> {
  let { count, hash } = await lockChain(trx, realmId, headOf(key, realmId, 0, ''));
  const chained = rows.map((row) => {
    count += 1;
    const link = linked(row, count, hash);
    hash = link.hash;
    return link;
  });
  await insertChainedRows(trx, chained);
  await moveChain(trx, realmId, headOf(key, realmId, count, hash));
}

function tell(queries: Queries, event: AuditEvent): void {
  if (listeners.size === 0) return;
  const now = (): void => {
    for (const listener of listeners) listener(event);
  };
  if (isTransaction(queries)) onceCommitted(queries, now);
  else now();
}

function rowOf(origin: AuditOrigin, event: AuditEvent): AuditRow {
  return {
    realmId: origin.realmId,
    id: timeOrderedId(origin.at),
    at: origin.at,
    type: event.type,
    actor: origin.actor ?? null,
    subject: origin.subject ?? null,
    clientId: origin.clientId ?? null,
    transactionId: origin.transactionId ?? null,
    ip: origin.ip ?? null,
    userAgent: origin.userAgent?.slice(0, MAX_USER_AGENT) ?? null,
    factor: 'factor' in event.details ? event.details.factor : null,
    details: JSON.stringify(event.details),
  };
}
