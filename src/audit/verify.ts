/**
 * Checks a realm's chain of administrators' rows (chain.ts), and says which row breaks it, and how.
 *
 * Each row names the hash of the one before and has a hash of its own content, so that a row that was changed is told
 * from one that was taken out, put in or moved. What was cut off at the end is seen by the end of the chain, which
 * nobody can make anew who can only write to the database.
 */
import { isDeepStrictEqual } from 'node:util';
import { safeEqual } from '../crypto/codes.ts';
import { AppError } from '../errors.ts';
import { type ChainedRow, type ChainHead, chainEnd, chainedRowOfHash, chainedRows } from '../store/audit.ts';
import type { Queries } from '../store/rows.ts';
import { digestsFrom, digestsOf, hashOf, headOf, numbersIn, rangesOf, splitDetails } from './chain.ts';

/** What is wrong, and with which row; rows are named by their number in the chain. */
export interface Break {
  row: number;
  kind: 'changed' | 'removed' | 'inserted' | 'moved' | 'truncated' | 'erased' | 'end';
  message: string;
}

/** A place in the chain: how many rows there are up to it, and the hash of the last of them. */
export interface ChainPlace {
  count: number;
  hash: string;
}

export interface Verdict {
  ok: boolean;
  /** How many rows were looked at. */
  rows: number;
  /** The end that was checked: what to write down, and to compare with one day. Null when there is none. */
  head: ChainPlace | null;
  /** From how many rows a person was erased, with a record of it. */
  erased: number;
  breaks: Break[];
}

const PAGE = 500;
/** A chain that was tampered with all over is not listed row by row. */
const MOST_BREAKS = 50;

/**
 * @param key under which the end of the chain is kept
 * @param options.known a place that was written down before: that row has to be there still
 * @param options.progress is told how many rows were looked at, and of how many
 */
export async function verifyChain(
  queries: Queries,
  key: Buffer,
  realmId: string,
  options: { known?: ChainPlace | undefined; progress?: (done: number, all: number) => void } = {},
): Promise<Verdict> {
  const { head, last } = await chainEnd(queries, realmId);
  const check = new ChainCheck(queries, realmId, { known: options.known, isComplete: head === undefined || last >= head.count });
  for (let after = 0; check.breaks.length < MOST_BREAKS; ) {
    const rows = await chainedRows(queries, realmId, { after, until: head?.count ?? last, limit: PAGE });
    for (const row of rows) await check.next(row);
    options.progress?.(check.rows, head?.count ?? last);
    if (rows.length < PAGE) break;
    after = rows.at(-1)?.seq ?? after;
  }
  if (check.breaks.length < MOST_BREAKS) await check.end(key, head);
  const { breaks, rows, erased } = check;
  return { ok: breaks.length === 0, rows, head: head ? { count: head.count, hash: head.hash } : null, erased, breaks };
}

/** Goes from row to row. */
class ChainCheck {
  readonly breaks: Break[] = [];
  rows = 0;
  /** Known once the end was reached: the record of an erasure comes after the rows. */
  erased = 0;
  readonly #queries: Queries;
  readonly #realmId: string;
  readonly #known: ChainPlace | undefined;
  readonly #isComplete: boolean;
  #last = { seq: 0, hash: '' };
  #areMoved = false;
  readonly #withoutPerson: number[] = [];
  readonly #onRecord = new Set<number>();

  /** @param options.isComplete the numbers go as far as the end says, so that a row that is missing was replaced */
  constructor(queries: Queries, realmId: string, options: { known: ChainPlace | undefined; isComplete: boolean }) {
    this.#queries = queries;
    this.#realmId = realmId;
    this.#known = options.known;
    this.#isComplete = options.isComplete;
  }

  async next(row: ChainedRow): Promise<void> {
    const { seq } = this.#last;
    this.rows += 1;
    if (row.seq === seq) this.#found(seq, 'inserted', `Row ${seq} is there twice.`);
    else if (row.seq > seq + 1) this.#found(seq + 1, 'removed', `${stretch(seq + 1, row.seq - 1)} not there any more.`);
    else if (row.prev !== this.#last.hash) await this.#outOfOrder(row);
    this.#checkContent(row);
    if (row.seq === this.#known?.count && row.hash !== this.#known.hash)
      this.#found(row.seq, 'changed', `Row ${row.seq} is not the one that was written down.`);
    this.#last = { seq: row.seq, hash: row.hash };
  }

  /** Compares with the end of the chain, and looks behind it. */
  async end(key: Buffer, head: ChainHead | undefined): Promise<void> {
    const { seq, hash } = this.#last;
    const silently = this.#withoutPerson.filter((row) => !this.#onRecord.has(row));
    this.erased = this.#withoutPerson.length - silently.length;
    if (silently[0] !== undefined)
      this.#found(silently[0], 'erased', `A person was taken out of rows ${rangesOf(silently)}, and there is no record of it.`);
    if (this.#known && this.#known.count > seq)
      this.#found(this.#known.count, 'truncated', `Row ${this.#known.count}, which was written down, is not there any more.`);

    if (!head) return this.#found(seq, 'end', 'The end of the chain is not there: nothing tells how many rows there should be.');
    if (!safeEqual(headOf(key, this.#realmId, head.count, head.hash).mac, head.mac))
      return this.#found(seq, 'end', 'The end of the chain was not written by Cardea, or under another audit key.');
    // What was appended meanwhile has moved the end.
    const now = await chainEnd(this.#queries, this.#realmId);
    const end = Math.max(now.head?.count ?? 0, head.count);
    if (now.last > end) this.#found(end + 1, 'inserted', `${stretch(end + 1, now.last)} behind the end of the chain.`);
    else if (seq < head.count) this.#found(seq + 1, 'truncated', `${stretch(seq + 1, head.count)} not there any more: the chain was cut off.`);
    else if (hash !== head.hash)
      this.#found(seq, 'changed', `Row ${seq} is not the one that the chain ends with: it was replaced, or all rows from an earlier one on were.`);
  }

  /** The row's own content: against its hash, and what names a person against the digests. */
  #checkContent(row: ChainedRow): void {
    try {
      const { withoutPerson, isWhole } = contentOf(row);
      if (withoutPerson) this.#withoutPerson.push(row.seq);
      if (!isWhole) this.#found(row.seq, 'changed', `Row ${row.seq} was changed.`);
      if (row.type === 'audit.erased') for (const erased of numbersIn(String(splitDetails(row).open.rows))) this.#onRecord.add(erased);
    } catch (error) {
      if (!(error instanceof AppError || error instanceof SyntaxError)) throw error;
      this.#found(row.seq, 'changed', `Row ${row.seq} was changed: it cannot be read.`);
    }
  }

  /** The row names another one than the row before it. */
  async #outOfOrder(row: ChainedRow): Promise<void> {
    const { seq } = this.#last;
    const before = row.prev === '' ? 0 : await chainedRowOfHash(this.#queries, this.#realmId, row.prev);
    if (before === undefined && this.#isComplete) this.#found(seq, 'changed', `Row ${seq} was replaced: row ${row.seq} follows another one.`);
    else if (before === undefined) this.#found(row.seq, 'removed', `Before row ${row.seq} a row is not there any more, or row ${seq} was replaced.`);
    else if (before > row.seq || this.#areMoved) {
      // The rows that it changed places with are out of order too.
      this.#areMoved = true;
      this.#found(row.seq, 'moved', `Row ${row.seq} was moved: it belongs behind row ${before}.`);
    } else this.#found(before + 1, 'inserted', `${stretch(before + 1, seq)} put in before row ${row.seq}.`);
  }

  #found(row: number, kind: Break['kind'], message: string): void {
    if (this.breaks.length < MOST_BREAKS) this.breaks.push({ row, kind, message });
  }
}

function contentOf(row: ChainedRow): { withoutPerson: boolean; isWhole: boolean } {
  const stored = digestsOf(row);
  const withoutActor = row.actorSalt === null && (stored.actor ?? stored.ip ?? stored.userAgent) !== null;
  const withoutSubject = row.subjectSalt === null && (stored.subject ?? stored.details) !== null;
  const expected = {
    ...stored,
    ...(withoutActor && { actor: null, ip: null, userAgent: null }),
    ...(withoutSubject && { subject: null, details: null }),
  };
  const unsalted =
    (row.actorSalt === null && (row.actor ?? row.ip ?? row.userAgent) !== null) ||
    (row.subjectSalt === null && (row.subject !== null || Object.keys(splitDetails(row).personal).length > 0));
  return {
    withoutPerson: withoutActor || withoutSubject,
    isWhole: hashOf(row) === row.hash && !unsalted && isDeepStrictEqual(digestsFrom(row), expected),
  };
}

const stretch = (first: number, last: number): string => (first === last ? `Row ${first} is` : `Rows ${first}-${last} are`);
