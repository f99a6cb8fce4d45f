/** What options are read by, and how a command asks whether something is meant. */
import { InvalidArgumentError } from 'commander';
import { badInput } from '../errors.ts';
import { wrongUsage } from './failures.ts';
import { confirmed, isInteractive } from './input.ts';
import { printable } from './output.ts';
import type { Terminal } from './terminal.ts';

/** A parser of whole numbers from 0, for an option of that name. */
export const wholeNumber =
  (option: string) =>
  (text: string): number => {
    if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError(`${option} takes a whole number.`);
    return Number(text);
  };

/** `name=value` as often as it is given: all values by name, in their order. */
export function assignments(option: string, given: readonly string[]): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const one of given) {
    const equals = one.indexOf('=');
    if (equals < 1) throw wrongUsage(`${option} takes name=value, and not "${printable(one)}"`);
    const name = one.slice(0, equals);
    values.set(name, [...(values.get(name) ?? []), one.slice(equals + 1)]);
  }
  return values;
}

/** The option of commands that delete. */
export const YES = ['--yes', 'do not ask whether that is meant'] as const;

/**
 * Goes on where `--yes` was given or somebody at the terminal types yes.
 * @param what would be done, as a sentence
 */
export async function requireYes(terminal: Terminal, yes: boolean | undefined, what: string): Promise<void> {
  if (yes) return;
  if (!isInteractive(terminal, false)) throw badInput('yes', `${what} Say --yes if that is meant.`);
  if (!(await confirmed(terminal, printable(what)))) throw badInput('', 'Nothing was done.');
}

const PAGE = 500;

/** All rows of a list that is asked for page by page. */
export async function* everyPage<Row>(page: (place: { first: number; max: number }) => Promise<Row[]>): AsyncGenerator<Row> {
  for (let first = 0; ; first += PAGE) {
    const rows = await page({ first, max: PAGE });
    yield* rows;
    if (rows.length < PAGE) return;
  }
}
