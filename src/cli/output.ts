/**
 * What a command prints. With `--json` standard output holds exactly one JSON document and nothing else; without, text
 * for people. Values are printed without the characters that a terminal would act on.
 */
import { once } from 'node:events';
import type { Terminal } from './terminal.ts';

export interface Column<Row> {
  title: string;
  value(row: Row): string;
}

/** Control, format (direction, zero width) and line-separating characters, as escapes. */
export const printable = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);

/** A time as JSON carries it. */
export const isoTime = (at: number): string => new Date(at).toISOString();

/** A time for people, to the second. */
export const shownTime = (at: number | null): string => (at === null ? '-' : `${isoTime(at).slice(0, 19).replace('T', ' ')} UTC`);

/** The end of a help text. */
export const examples = (...lines: string[]): string => `\nExamples:\n${lines.map((line) => `  $ ${line}\n`).join('')}`;

/** How many rows are lined up at a time: a long list must not wait for its end. */
const ROWS_ALIGNED = 200;

export class Output {
  readonly #terminal: Terminal;
  /** What the command ends with when nothing is thrown. */
  exitCode = 0;
  /** Whether something stands on standard output already, so that a failure adds no second document. */
  answered = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Text on standard output; waits where the reader is slower. */
  async write(text: string): Promise<void> {
    this.answered = true;
    if (!this.#terminal.stdout.write(text)) await once(this.#terminal.stdout, 'drain');
  }

  /** A line for whoever watches, never for a script. */
  note(line: string): void {
    this.#terminal.stderr.write(`${line}\n`);
  }

  /** One thing: its document, or lines about it. */
  async answer(asJson: boolean | undefined, document: unknown, lines: () => string[]): Promise<void> {
    await this.write(
      asJson
        ? `${JSON.stringify(document, null, 2)}\n`
        : lines()
            .map((line) => `${line}\n`)
            .join(''),
    );
  }

  /** Many things: an array written as it comes, or a table. */
  async list<Row>(
    asJson: boolean | undefined,
    rows: AsyncIterable<Row> | Iterable<Row>,
    shape: { document(row: Row): unknown; columns: Column<Row>[]; none: string },
  ): Promise<void> {
    if (asJson) {
      let separator = '[';
      for await (const row of rows) {
        await this.write(`${separator}\n  ${JSON.stringify(shape.document(row))}`);
        separator = ',';
      }
      return this.write(separator === '[' ? '[]\n' : '\n]\n');
    }
    let held: string[][] = [shape.columns.map(({ title }) => title)];
    for await (const row of rows) {
      held.push(shape.columns.map(({ value }) => printable(value(row))));
      if (held.length < ROWS_ALIGNED) continue;
      await this.write(aligned(held));
      held = [];
    }
    if (held.length === 1 && !this.answered) return this.write(`${shape.none}\n`);
    if (held.length > 0) await this.write(aligned(held));
  }
}

/** Rows as lines, each column as wide as its widest value. */
export function aligned(rows: string[][]): string {
  const widths: number[] = [];
  for (const row of rows) for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, index) => cell.padEnd(widths[index] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
