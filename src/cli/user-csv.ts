/**
 * Users from a CSV file (RFC 4180; commas, semicolons or tabs), line by line. The first line names the columns, whatever
 * their case:
 *
 * | username | required |
 * | email, firstName, lastName | |
 * | emailVerified, enabled, temporary | true or false, yes or no, 1 or 0 |
 * | password | of new users; `temporary` says whether another one is chosen at the first sign-in |
 * | groups, realmRoles, requiredActions | several with semicolons |
 * | clientRoles | client:role, several with semicolons |
 * | attributes.NAME | several values with semicolons |
 */
import { createReadStream } from 'node:fs';
import type { ImportEntry } from '../admin/resources/import-entry.ts';
import { AppError, badInput } from '../errors.ts';
import { recordsOf } from './csv-records.ts';
import { reasonOf } from './files.ts';
import type { UserFile } from './user-file.ts';

const COLUMNS = ['username', 'email', 'firstName', 'lastName', 'emailVerified', 'enabled', 'temporary', 'password'] as const;
const LISTS = ['groups', 'realmRoles', 'requiredActions', 'clientRoles'] as const;
const FLAGS: readonly string[] = ['emailVerified', 'enabled', 'temporary'];
const FLAG_WORDS = new Map([
  ...['true', 'yes', '1'].map((word) => [word, true] as const),
  ...['false', 'no', '0'].map((word) => [word, false] as const),
]);

/** @param delimiter as found in the first line */
export async function* csvUsers(file: UserFile, delimiter: string): AsyncGenerator<ImportEntry> {
  const source = createReadStream(file.path, { encoding: 'utf8' });
  source.on('data', (chunk) => file.read(Buffer.byteLength(chunk)));
  let columns: Column[] | undefined;
  try {
    for await (const { line, fields } of recordsOf(source, delimiter)) {
      if (!columns) columns = columnsOf(fields ?? [], file);
      else if (fields) yield { at: `line ${line}`, ...entryOf(columns, fields) };
      else
        yield {
          at: `line ${line}`,
          wrong: { field: '', reason: 'is not CSV: a quotation mark is out of place, or there are other cells than columns' },
        };
    }
  } catch (error) {
    throw error instanceof AppError ? error : badInput('file', `The file cannot be read: ${reasonOf(error)}.`);
  }
  if (!columns) throw badInput('file', 'The file is empty.');
}

/** What is done with a column; undefined for one that is left out. */
type Column = ((row: Row, cell: string) => void) | undefined;

interface Row {
  user: Record<string, unknown>;
  wrong?: { field: string; reason: string };
}

function columnsOf(header: readonly string[], file: UserFile): Column[] {
  const columns = header.map((title): Column => {
    const attribute = /^attributes?[.:](.+)$/i.exec(title)?.[1];
    if (attribute !== undefined) return (row, cell) => inSection(row.user, 'attributes', attribute, listed(cell));
    const plain = title.toLowerCase().replaceAll(/[\s_-]/g, '');
    const name = [...COLUMNS, ...LISTS].find((one) => one.toLowerCase() === plain || (one === 'realmRoles' && plain === 'roles'));
    if (name === undefined) file.leaveOut(title);
    return name === undefined ? undefined : (row, cell) => put(row, name, cell);
  });
  if (!header.some((title) => title.toLowerCase() === 'username'))
    throw badInput('file', 'The first line has to name the columns, and "username" among them.');
  return columns;
}

function put(row: Row, name: (typeof COLUMNS | typeof LISTS)[number], cell: string): void {
  if (name === 'clientRoles') {
    for (const one of listed(cell)) {
      const colon = one.indexOf(':');
      if (colon < 1) row.wrong = { field: name, reason: 'must be client:role' };
      else inSection(row.user, name, one.slice(0, colon), [one.slice(colon + 1)]);
    }
  } else if (FLAGS.includes(name)) {
    const flag = FLAG_WORDS.get(cell.toLowerCase());
    if (flag === undefined) row.wrong = { field: name, reason: 'must be true or false' };
    row.user[name] = flag;
  } else row.user[name] = LISTS.some((one) => one === name) ? listed(cell) : cell;
}

function inSection(user: Record<string, unknown>, section: string, key: string, values: readonly string[]): void {
  const kept = new Map<string, unknown>(Object.entries(Object(user[section] ?? {})));
  const before: unknown = kept.get(key);
  kept.set(key, [...(Array.isArray(before) ? before : []), ...values]);
  user[section] = Object.fromEntries(kept);
}

const listed = (cell: string): string[] =>
  cell
    .split(';')
    .map((one) => one.trim())
    .filter((one) => one !== '');

function entryOf(columns: readonly Column[], fields: readonly string[]): Omit<ImportEntry, 'at'> {
  const row: Row = { user: {} };
  for (const [index, cell] of fields.entries()) {
    if (cell.includes('\ufffd')) row.wrong = { field: '', reason: 'is not text in UTF-8' };
    // An empty cell says nothing.
    if (cell !== '') columns[index]?.(row, cell);
  }
  return row;
}
