/** Audit rows; they share the transaction of the change that they record. */
import type { Knex } from 'knex';

export interface AuditRow {
  realmId: string;
  id: string;
  at: number;
  type: string;
  actor: string | null;
  subject: string | null;
  clientId: string | null;
  transactionId: string | null;
  ip: string | null;
  userAgent: string | null;
  /** JSON; never a code or a secret. */
  details: string;
}

export async function insertAuditRow(knex: Knex, row: AuditRow): Promise<void> {
  await knex('audit_events').insert({
    realm_id: row.realmId,
    id: row.id,
    at: row.at,
    type: row.type,
    actor: row.actor,
    subject: row.subject,
    client_id: row.clientId,
    transaction_id: row.transactionId,
    ip: row.ip,
    user_agent: row.userAgent,
    details: row.details,
  });
}

/** The newest events of a realm, newest first. */
export async function auditEvents(knex: Knex, realmId: string, filter: { type?: string; subject?: string; limit: number }): Promise<AuditRow[]> {
  const query = knex('audit_events').where({ realm_id: realmId }).orderBy('at', 'desc').limit(filter.limit);
  if (filter.type !== undefined) query.where({ type: filter.type });
  if (filter.subject !== undefined) query.where({ subject: filter.subject });
  return (await query).map((row) => ({
    realmId: row.realm_id,
    id: row.id,
    at: row.at,
    type: row.type,
    actor: row.actor,
    subject: row.subject,
    clientId: row.client_id,
    transactionId: row.transaction_id,
    ip: row.ip,
    userAgent: row.user_agent,
    details: row.details,
  }));
}
