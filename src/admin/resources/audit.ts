/** What was recorded: looked at page by page, its chain of administrators' rows checked, and a person taken out of it. */
import { digestsOf, rangesOf, splitDetails } from '../../audit/chain.ts';
import { eraseBatch } from '../../audit/erase.ts';
import { type ChainPlace, type Verdict, verifyChain } from '../../audit/verify.ts';
import { type AuditFilter, auditEvents, auditEventsInFull, type ChainedRow, chainEnd, chainedRows, type ListedRow } from '../../store/audit.ts';
import type { RealmRow } from '../../store/realms.ts';
import { audit, type Operator } from './context.ts';

const PAGE = 200;
/** Rows that a person is taken out of in one transaction: on SQLite everybody else waits for it. */
const ERASED_AT_ONCE = 200;

/** A realm's events page by page, the newest first unless told otherwise; all of them, or as many as `limit` says. */
export async function* auditRows(
  operator: Pick<Operator, 'db'>,
  realm: Pick<RealmRow, 'id'>,
  filter: AuditFilter & { limit?: number | undefined; oldestFirst?: boolean },
): AsyncGenerator<ListedRow> {
  let left = filter.limit ?? Number.POSITIVE_INFINITY;
  for (let after: ListedRow | undefined; left > 0; ) {
    const limit = Math.min(PAGE, left);
    const page = await auditEvents(operator.db.knex, realm.id, { ...filter, after, limit });
    yield* page;
    left -= page.length;
    after = page.at(-1);
    if (page.length < limit) return;
  }
}

/** A row as it is shown and exported. */
export const auditDocument = (row: ListedRow) => ({
  at: new Date(row.at).toISOString(),
  id: row.id,
  type: row.type,
  actor: row.actor,
  subject: row.subject,
  client: row.clientId,
  transaction: row.transactionId,
  ip: row.ip,
  userAgent: row.userAgent,
  factor: row.factor,
  details: readable(row.details),
  // Of administrators' rows: their number in the chain, and their hash.
  row: row.seq,
  hash: row.hash,
});

/** As text where somebody has made something else of them: that is for `verify` to say. */
function readable(details: string): unknown {
  try {
    return JSON.parse(details);
  } catch {
    return details;
  }
}

/** A row with everything by which its hash can be computed anew without us (docs/operations.md). */
const exportedDocument = ({ seq, hash, ...row }: ChainedRow) => {
  if (seq === 0) return { ...auditDocument({ ...row, seq: null, hash: null }), chain: null };
  const { prev, actorSalt, subjectSalt } = row;
  const personal = Object.keys(splitDetails(row).personal);
  return { ...auditDocument({ ...row, seq, hash }), chain: { prev, digests: digestsOf({ ...row, seq, hash }), personal, actorSalt, subjectSalt } };
};

/**
 * All of a realm's events as lines of JSON (NDJSON), a page in memory at a time: the oldest first; or with `chained` the
 * rows of the chain alone, in its order, and the end that they lead to.
 */
export async function* exportedAudit(
  { db }: Pick<Operator, 'db'>,
  realm: Pick<RealmRow, 'id' | 'name'>,
  filter: AuditFilter & { chained?: boolean },
): AsyncGenerator<string> {
  const line = (row: ChainedRow): string => `${JSON.stringify({ realm: realm.id, ...exportedDocument(row) })}\n`;
  if (filter.chained === true) {
    const { head } = await chainEnd(db.knex, realm.id);
    for (let after = 0; ; ) {
      const rows = await chainedRows(db.knex, realm.id, { after, until: head?.count ?? 0, limit: PAGE });
      yield rows.map(line).join('');
      after = rows.at(-1)?.seq ?? after;
      if (rows.length < PAGE) break;
    }
    yield `${JSON.stringify({ realm: realm.id, end: head ? { row: head.count, hash: head.hash } : null })}\n`;
    return;
  }
  for (let after: ChainedRow | undefined; ; ) {
    const page: ChainedRow[] = await auditEventsInFull(db.knex, realm.id, { ...filter, after, oldestFirst: true, limit: PAGE });
    yield page.map(line).join('');
    after = page.at(-1);
    if (page.length < PAGE) return;
  }
}

/** Checks the chain of a realm's administrators' rows. */
export function verifyAudit(
  { db, keyring }: Pick<Operator, 'db' | 'keyring'>,
  realm: Pick<RealmRow, 'id'>,
  options: { known?: ChainPlace | undefined; progress?: (done: number, all: number) => void } = {},
): Promise<Verdict> {
  return verifyChain(db.knex, keyring.auditKey, realm.id, options);
}

/**
 * Takes a person out of a realm's audit, whether the user is there still or not. Runs in batches and may be run again:
 * what is done already is passed over.
 * @param person the id of the user
 * @returns how many rows named the person
 */
export async function forgetPerson(operator: Operator, realm: Pick<RealmRow, 'id'>, person: string): Promise<number> {
  // Whoever takes themselves out would otherwise be named anew by the record of it.
  const by = operator.actor === person ? { ...operator, actor: 'the person' } : operator;
  let forgotten = 0;
  for (let batch = ERASED_AT_ONCE; batch > 0; forgotten += batch) {
    batch = await operator.db.transaction(async (trx) => {
      const { rows, chained } = await eraseBatch(trx, realm.id, person, ERASED_AT_ONCE);
      if (chained.length > 0) await audit(by, { realmId: realm.id }, { type: 'audit.erased', details: { rows: rangesOf(chained) } }, trx);
      return rows;
    });
  }
  return forgotten;
}
