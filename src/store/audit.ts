/** Audit rows, which share the transaction of the change that they record, and the ends of the chains of administrators' rows. */
import type { Knex } from 'knex';

/** The place of an administrator's row in the chain of its realm. */
export interface ChainLink {
  /** From 1, without a gap. */
  seq: number;
  /** The hash of the row before; empty for the first. */
  prev: string;
  hash: string;
  /** JSON: salted digests of what names a person. */
  digests: string;
  /** Null when the person was erased, or none is named. */
  actorSalt: string | null;
  subjectSalt: string | null;
}

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
  /** The one that the details name. */
  factor: string | null;
  /** JSON; never a code or a secret. */
  details: string;
}

export interface ChainedRow extends AuditRow, ChainLink {}

/** The end of a realm's chain. */
export interface ChainHead {
  count: number;
  hash: string;
  /** Under a key outside of the database. */
  mac: string;
}

interface AuditRecord {
  realm_id: string;
  id: string;
  at: number;
  type: string;
  actor: string | null;
  subject: string | null;
  client_id: string | null;
  transaction_id: string | null;
  ip: string | null;
  user_agent: string | null;
  factor: string | null;
  details: string;
  seq: number | null;
  prev: string | null;
  hash: string | null;
  digests: string | null;
  actor_salt: string | null;
  subject_salt: string | null;
}

const fromRecord = (row: AuditRecord): AuditRow & { seq: number | null; hash: string | null } => ({
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
  factor: row.factor,
  details: row.details,
  seq: row.seq,
  hash: row.hash,
});

const chainedFrom = (row: AuditRecord): ChainedRow => ({
  ...fromRecord(row),
  seq: row.seq ?? 0,
  prev: row.prev ?? '',
  hash: row.hash ?? '',
  digests: row.digests ?? '{}',
  actorSalt: row.actor_salt,
  subjectSalt: row.subject_salt,
});

const toRecord = (row: AuditRow) => ({
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
  factor: row.factor,
  details: row.details,
});

/** A list that grows in the order in which things happened; `seq` and `hash` are null for rows outside of the chain. */
export type ListedRow = ReturnType<typeof fromRecord>;

/** 1 where the realm has a webhook: the row is then told by whoever finds the mark (store/webhook-deliveries.ts). */
const untold = (knex: Knex, { realmId }: AuditRow): Knex.Raw =>
  knex.raw('(SELECT 1 FROM webhooks WHERE webhooks.realm_id = ? AND webhooks.enabled LIMIT 1)', [realmId]);

export async function insertAuditRows(knex: Knex, rows: readonly AuditRow[]): Promise<void> {
  await knex('audit_events').insert(rows.map((row) => ({ ...toRecord(row), untold: untold(knex, row) })));
}

export async function insertChainedRows(trx: Knex, rows: readonly ChainedRow[]): Promise<void> {
  await trx('audit_events').insert(
    rows.map((row) => ({
      ...toRecord(row),
      untold: untold(trx, row),
      seq: row.seq,
      prev: row.prev,
      hash: row.hash,
      digests: row.digests,
      actor_salt: row.actorSalt,
      subject_salt: row.subjectSalt,
    })),
  );
}

export interface AuditFilter {
  /** A type, or the beginning of several: `mfa.*`. */
  type?: string | undefined;
  subject?: string | undefined;
  actor?: string | undefined;
  /** client_id. */
  clientId?: string | undefined;
  /** From this moment on. */
  since?: number | undefined;
  /** Before this moment. */
  until?: number | undefined;
}

export interface AuditPage extends AuditFilter {
  after?: { at: number; id: string } | undefined;
  oldestFirst?: boolean;
  limit: number;
}

/** One page of a realm's events, newest first or oldest first; `after` is the last row of the page before. */
export async function auditEvents(knex: Knex, realmId: string, page: AuditPage): Promise<ListedRow[]> {
  return (await recordsOf(knex, realmId, page)).map(fromRecord);
}

/** The same with all that the chain is checked by; a number of 0 is that of a row outside of it. */
export async function auditEventsInFull(knex: Knex, realmId: string, page: AuditPage): Promise<ChainedRow[]> {
  return (await recordsOf(knex, realmId, page)).map(chainedFrom);
}

async function recordsOf(knex: Knex, realmId: string, page: AuditPage): Promise<AuditRecord[]> {
  const { type, subject, actor, clientId, since, until, after } = page;
  const [order, beyond] = page.oldestFirst ? (['asc', '>'] as const) : (['desc', '<'] as const);
  const query = knex<AuditRecord>('audit_events')
    .where({ realm_id: realmId })
    .orderBy([
      { column: 'at', order },
      { column: 'id', order },
    ])
    .limit(page.limit);
  if (type?.endsWith('*')) query.whereRaw("type LIKE ? ESCAPE '\\'", [`${type.slice(0, -1).replaceAll(/[\\%_]/g, '\\$&')}%`]);
  else if (type !== undefined) query.where({ type });
  if (subject !== undefined) query.where({ subject });
  if (actor !== undefined) query.where({ actor });
  if (clientId !== undefined) query.where({ client_id: clientId });
  if (since !== undefined) query.where('at', '>=', since);
  if (until !== undefined) query.where('at', '<', until);
  if (after) query.where((rows) => rows.where('at', beyond, after.at).orWhere((same) => same.where('at', after.at).where('id', beyond, after.id)));
  return query;
}

/**
 * The end of a realm's chain, locked until the transaction ends: whoever appends next waits. Made when there is none.
 * @param made the end of a chain without rows
 */
export async function lockChain(trx: Knex, realmId: string, made: ChainHead): Promise<ChainHead> {
  const locked = async (): Promise<ChainHead | undefined> =>
    trx('audit_chains').where({ realm_id: realmId }).forUpdate().first('count', 'hash', 'mac');
  const found = await locked();
  if (found) return found;
  await trx('audit_chains')
    .insert({ realm_id: realmId, ...made })
    .onConflict('realm_id')
    .ignore();
  return (await locked()) ?? made;
}

export async function moveChain(trx: Knex, realmId: string, head: ChainHead): Promise<void> {
  await trx('audit_chains').where({ realm_id: realmId }).update(head);
}

/** The end of a realm's chain as it is stored and the highest number among its rows, both of one moment. */
export async function chainEnd(knex: Knex, realmId: string): Promise<{ head: ChainHead | undefined; last: number }> {
  const highest = knex('audit_events').where({ realm_id: realmId }).whereNotNull('seq').max('seq');
  const row = await knex('realms')
    .leftJoin('audit_chains', 'audit_chains.realm_id', 'realms.id')
    .where('realms.id', realmId)
    .first('audit_chains.count', 'audit_chains.hash', 'audit_chains.mac', highest.as('last'));
  const head = row && row.count !== null ? { count: row.count, hash: row.hash, mac: row.mac } : undefined;
  return { head, last: row?.last ?? 0 };
}

/** Rows of the chain in their order, one page: those after `after`, up to `until`. */
export async function chainedRows(knex: Knex, realmId: string, page: { after: number; until: number; limit: number }): Promise<ChainedRow[]> {
  const rows = await knex<AuditRecord>('audit_events')
    .where({ realm_id: realmId })
    .where('seq', '>', page.after)
    .where('seq', '<=', page.until)
    .orderBy(['seq', 'id'])
    .limit(page.limit);
  return rows.map(chainedFrom);
}

/** The number of the row with this hash, wherever it stands. */
export async function chainedRowOfHash(knex: Knex, realmId: string, hash: string): Promise<number | undefined> {
  const row = await knex<AuditRecord>('audit_events').where({ realm_id: realmId, hash }).whereNotNull('seq').first('seq');
  return row?.seq ?? undefined;
}

/** Rows that name a person: those of the chain that the person wrote or is the subject of, and all others that are about them. */
export async function lockRowsNaming(trx: Knex, realmId: string, person: string, limit: number): Promise<ListedRow[]> {
  const about = trx<AuditRecord>('audit_events').where({ realm_id: realmId, subject: person });
  const by = trx<AuditRecord>('audit_events').where({ realm_id: realmId, actor: person }).whereNotNull('seq');
  for (const rows of [by, about]) {
    const found = await rows.orderBy(['at', 'id']).limit(limit).forUpdate();
    if (found.length > 0) return found.map(fromRecord);
  }
  return [];
}

/** Takes out of a row what named a person. */
export async function eraseFromRow(
  trx: Knex,
  row: { realmId: string; id: string },
  erased: { actor: boolean; subject: boolean; details: string },
): Promise<void> {
  await trx('audit_events')
    .where({ realm_id: row.realmId, id: row.id })
    .update({
      details: erased.details,
      ...(erased.actor && { actor: null, ip: null, user_agent: null, actor_salt: null }),
      ...(erased.subject && { subject: null, subject_salt: null }),
    });
}
