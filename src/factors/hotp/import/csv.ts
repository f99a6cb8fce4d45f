/**
 * Tokens from a CSV file (RFC 4180; commas, semicolons or tabs). The first line names the columns:
 *
 * | serial | required | as printed on the token |
 * | secret | required | the key, in hexadecimal or base32: `encoding` says which, as a column or for the whole file |
 * | type | hotp | `hotp` or `totp` |
 * | digits | 6 | 6 or 8 |
 * | algorithm | sha1 | sha1, sha256 or sha512 |
 * | counter | 0 | hotp: the counter of the next code |
 * | period | 30 | totp: seconds |
 * | model, username | | what it is called, and whose it is to be |
 */
import { CsvError, parse } from 'csv-parse/sync';
import { type Entry, entryOf, keyBytes, MAX_TOKENS, type TokenFile, textOf, wrongFile } from './entry.ts';

export type Encoding = 'hex' | 'base32';

const COLUMNS = ['serial', 'secret', 'encoding', 'type', 'digits', 'algorithm', 'counter', 'period', 'model', 'username'] as const;
type Column = (typeof COLUMNS)[number];

/** A longer line is no token. */
const MAX_LINE = 4_096;

/**
 * @param encoding how secrets are written, where no column says it
 * @throws AppError `bad_input` (field `file`) when the file as a whole is not one of tokens
 */
export function readCsv(bytes: Uint8Array, encoding?: Encoding): TokenFile {
  const [header, ...rows] = recordsOf(textOf(bytes));
  if (header === undefined) throw wrongFile('The file is empty.');
  const columns = columnsOf(header.fields);
  if (encoding === undefined && !columns.includes('encoding'))
    throw wrongFile('How are the secrets written? Name it with --encoding hex or --encoding base32, or in a column "encoding".');
  if (rows.length > MAX_TOKENS) throw wrongFile(`The file has more than ${MAX_TOKENS} tokens. Import it in parts.`);
  return { counts: 'line', entries: rows.map(({ line, fields }) => entryOfRow(line, columns, fields, encoding)) };
}

interface Row {
  line: number;
  fields: string[];
}

function recordsOf(text: string): Row[] {
  const [first = ''] = text.split(/\r?\n/, 1);
  const delimiter = [',', ';', '\t'].find((one) => first.includes(one)) ?? ',';
  try {
    const read: unknown[] = parse(text, {
      bom: true,
      delimiter,
      info: true,
      trim: true,
      skip_empty_lines: true,
      relax_column_count: true,
      max_record_size: MAX_LINE,
    });
    return read.map(rowOf);
  } catch (error) {
    // The library's message quotes the line.
    const line = error instanceof CsvError && typeof error.lines === 'number' ? ` near line ${error.lines}` : '';
    throw wrongFile(`The file is not CSV${line}: a quotation mark is out of place, or a line is longer than ${MAX_LINE} characters.`);
  }
}

function rowOf(read: unknown): Row {
  if (typeof read !== 'object' || read === null || !('info' in read) || !('record' in read)) throw wrongFile('The file cannot be read.');
  const { info, record } = read;
  const line = typeof info === 'object' && info !== null && 'lines' in info ? Number(info.lines) : 0;
  return { line, fields: Array.isArray(record) ? record.map(String) : [] };
}

/** Unknown columns are refused rather than passed over: a typing error in "counter" would only show when codes are refused. */
function columnsOf(header: string[]): Column[] {
  const needs = 'The first line must name the columns, at least serial and secret.';
  const columns = header.map((name, index) => {
    const column = COLUMNS.find((one) => one === name.toLowerCase());
    // Not quoted: without a header this is the first token.
    if (column === undefined) throw wrongFile(`${needs} Column ${index + 1} is none of ${COLUMNS.join(', ')}.`);
    return column;
  });
  if (!columns.includes('serial') || !columns.includes('secret')) throw wrongFile(needs);
  if (new Set(columns).size !== columns.length) throw wrongFile('The first line names a column twice.');
  return columns;
}

function entryOfRow(line: number, columns: Column[], fields: string[], encoding: Encoding | undefined): Entry {
  const of = (column: Column): string | undefined => fields[columns.indexOf(column)] || undefined;
  if (fields.length !== columns.length)
    return { place: line, serial: null, problem: `the line has ${fields.length} fields, and the first line names ${columns.length}` };
  const written = of('encoding')?.toLowerCase() ?? encoding;
  return entryOf(line, {
    serial: of('serial'),
    model: of('model'),
    factor: of('type'),
    key: written === 'hex' || written === 'base32' ? keyBytes(of('secret') ?? '', written) : undefined,
    digits: of('digits'),
    algorithm: of('algorithm'),
    period: of('period'),
    counter: of('counter'),
    username: of('username'),
  });
}
