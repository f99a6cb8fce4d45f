/**
 * Takes a person out of the audit: the rows stay, without what names them. In the chain of administrators' rows only
 * digests are left whose salts are gone, so that the chain still holds; which rows they were is itself recorded there.
 */
import { eraseFromRow, lockRowsNaming } from '../store/audit.ts';
import type { Transaction } from '../store/rows.ts';
import { splitDetails } from './chain.ts';

/**
 * One batch, in the caller's transaction.
 * @returns how many rows there were, and the numbers of those of the chain; no rows: nothing names the person any more
 */
export async function eraseBatch(trx: Transaction, realmId: string, person: string, limit: number): Promise<{ rows: number; chained: number[] }> {
  const rows = await lockRowsNaming(trx, realmId, person, limit);
  for (const row of rows) {
    const isAbout = row.subject === person;
    await eraseFromRow(trx, row, {
      actor: row.actor === person,
      subject: isAbout,
      details: isAbout ? JSON.stringify(splitDetails(row).open) : row.details,
    });
  }
  return { rows: rows.length, chained: rows.flatMap((row) => (row.seq === null ? [] : [row.seq])) };
}
