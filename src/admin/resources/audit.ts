/** What was recorded: looked at page by page, its chain of administrators' rows checked, and a person taken out of it. */
import { rangesOf } from '../../audit/chain.ts';
import { eraseBatch } from '../../audit/erase.ts';
import { type ChainPlace, type Verdict, verifyChain } from '../../audit/verify.ts';
import { type AuditFilter, auditEvents, type ListedRow } from '../../store/audit.ts';
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
