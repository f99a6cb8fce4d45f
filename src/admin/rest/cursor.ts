/**
 * Where a page begins, in lists of ours: after the last row of the page before, as its answer named it in `next`. Opaque,
 * so that a list may be ordered otherwise one day.
 */
import { z } from 'zod';
import { badInput } from '../../errors.ts';

const DEFAULT_MAX = 100;

/** What a list takes in its query. */
export const cursorPaging = {
  after: z.string().max(500).optional(),
  max: z.coerce.number().int().min(1).max(1_000).default(DEFAULT_MAX),
};

/** What it answers besides its rows: null on the last page. */
export const next = z.string().nullable();

export const cursorOf = (...place: (string | number)[]): string => Buffer.from(JSON.stringify(place), 'utf8').toString('base64url');

/** @throws AppError 400 on `after`, for what no page of this list has named */
export function placeOf<T>(schema: z.ZodType<T>, cursor: string | undefined): T | undefined {
  if (cursor === undefined) return undefined;
  try {
    const found = schema.safeParse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
    if (found.success) return found.data;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw badInput('after', 'after: is not what a page before has named as `next`');
}

/** A page out of one row more than was asked for. */
export function pageOf<Row>(rows: readonly Row[], max: number, place: (row: Row) => string): { rows: readonly Row[]; next: string | null } {
  const page = rows.slice(0, max);
  const last = page.at(-1);
  return { rows: page, next: rows.length > max && last ? place(last) : null };
}
