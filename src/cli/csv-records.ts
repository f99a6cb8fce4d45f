/**
 * The records of a CSV file, read bit by bit: a quotation mark that is never closed costs one record, and not all that
 * stand behind it.
 */
import { CsvError, parse } from 'csv-parse/sync';
import { badInput } from '../errors.ts';

/** A longer line is nobody's. */
const MAX_LINE = 256 * 1024;
/** A cell goes on over so many lines at most. */
const MAX_LINES = 20;

interface Line {
  line: number;
  text: string;
}

export interface CsvRecord {
  /** Where it begins. */
  line: number;
  /** Undefined for one that cannot be read. */
  fields: string[] | undefined;
}

/** @throws AppError on `file` for a line that is too long */
export async function* recordsOf(chunks: AsyncIterable<string>, delimiter: string): AsyncGenerator<CsvRecord> {
  const records = new Records(delimiter);
  for await (const line of linesOf(chunks)) yield* records.add(line);
  yield* records.end();
}

class Records {
  readonly #delimiter: string;
  /** How many cells the first record has. */
  #width: number | undefined;
  /** Lines of a record whose quotation marks are not closed yet. */
  #open: Line[] = [];

  constructor(delimiter: string) {
    this.#delimiter = delimiter;
  }

  *add(line: Line): Generator<CsvRecord> {
    if (this.#open.length === 0 && line.text.trim() === '') return;
    this.#open.push(line);
    const text = this.#open.map((one) => one.text).join('\n');
    if (quotesIn(text) % 2 === 0) {
      const fields = this.#fieldsOf(text);
      const [first = line, ...rest] = this.#open;
      this.#open = [];
      yield { line: first.line, fields };
      // What stood between two marks that are out of place are records of their own.
      if (!fields) for (const one of rest) yield* this.add(one);
    } else if (this.#open.length > MAX_LINES) yield* this.#giveUp();
  }

  *end(): Generator<CsvRecord> {
    while (this.#open.length > 0) yield* this.#giveUp();
  }

  *#giveUp(): Generator<CsvRecord> {
    const [first, ...rest] = this.#open;
    this.#open = [];
    if (first) yield { line: first.line, fields: undefined };
    for (const one of rest) yield* this.add(one);
  }

  #fieldsOf(text: string): string[] | undefined {
    const fields = text.includes('"') ? this.#quoted(text) : text.split(this.#delimiter).map((cell) => cell.trim());
    this.#width ??= fields?.length;
    return fields && fields.length <= (this.#width ?? 0) ? fields : undefined;
  }

  #quoted(text: string): string[] | undefined {
    try {
      const read: unknown[] = parse(text, { delimiter: this.#delimiter, trim: true, relax_column_count: true });
      const [fields] = read;
      return read.length === 1 && Array.isArray(fields) ? fields.map(String) : undefined;
    } catch (error) {
      if (error instanceof CsvError) return undefined;
      throw error;
    }
  }
}

const quotesIn = (text: string): number => text.split('"').length - 1;

async function* linesOf(chunks: AsyncIterable<string>): AsyncGenerator<Line> {
  let held = '';
  let line = 0;
  for await (const chunk of chunks) {
    const lines = (held + (line === 0 && held === '' ? chunk.replace(/^\ufeff/, '') : chunk)).split('\n');
    held = lines.pop() ?? '';
    for (const text of lines) {
      line += 1;
      yield { line, text: text.replace(/\r$/, '') };
    }
    if (held.length > MAX_LINE) throw badInput('file', `Line ${line + 1} is longer than ${MAX_LINE / 1024} KiB.`);
  }
  if (held !== '') yield { line: line + 1, text: held };
}
