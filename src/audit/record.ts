/** Writes audit rows; pass the transaction of the change that is recorded. */
import { randomUUID } from 'node:crypto';
import { insertAuditRow } from '../store/audit.ts';
import type { Queries } from '../store/rows.ts';
import type { AuditEvent, AuditOrigin } from './event.ts';

/** A header as long as anybody needs it; whatever else a browser sends is cut. */
const MAX_USER_AGENT = 300;

export async function record(queries: Queries, origin: AuditOrigin, event: AuditEvent): Promise<void> {
  await insertAuditRow(queries, {
    realmId: origin.realmId,
    id: randomUUID(),
    at: origin.at,
    type: event.type,
    actor: origin.actor ?? null,
    subject: origin.subject ?? null,
    clientId: origin.clientId ?? null,
    transactionId: origin.transactionId ?? null,
    ip: origin.ip ?? null,
    userAgent: origin.userAgent?.slice(0, MAX_USER_AGENT) ?? null,
    details: JSON.stringify(event.details),
  });
}
