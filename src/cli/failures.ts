/** How a command ends when it does not succeed. */
import { randomBytes } from 'node:crypto';
import { CommanderError } from 'commander';
import { ConfigError } from '../config.ts';
import { AppError } from '../errors.ts';
import { createLog } from '../telemetry/log.ts';
import { type Output, printable } from './output.ts';
import type { Terminal } from './terminal.ts';

export const EXIT = { done: 0, refused: 1, usage: 2, fault: 70, interrupted: 130 } as const;

/** Ctrl-C at a prompt. */
export class Interrupted extends Error {}

/** Used wrongly, in a way that the description of the command cannot say. */
export const wrongUsage = (message: string): CommanderError => new CommanderError(EXIT.usage, 'cardea.usage', message);

interface Failure {
  exitCode: number;
  code: string;
  lines: string[];
  field?: string;
  reference?: string;
}

/**
 * Says what went wrong on standard error, and with `--json` as a document too, where none was written yet.
 * @returns the exit code
 */
export function reportFailure(error: unknown, cx: { terminal: Terminal; output: Output; asJson: boolean }): number {
  if (error instanceof Interrupted) return EXIT.interrupted;
  const failure = failureOf(error);
  // Help that was shown for want of a command has said what there is to say.
  if (!(error instanceof CommanderError && error.code === 'commander.help')) {
    for (const line of failure.lines) cx.terminal.stderr.write(`cardea: ${printable(line)}\n`);
  }
  logFault(error, failure, cx.terminal);
  if (cx.asJson && !cx.output.answered) {
    const { code, field, reference, lines } = failure;
    cx.terminal.stdout.write(`${JSON.stringify({ error: { code, message: lines.join('\n'), field, reference } }, null, 2)}\n`);
  }
  return failure.exitCode;
}

function failureOf(error: unknown): Failure {
  if (error instanceof CommanderError) return { exitCode: EXIT.usage, code: 'usage', lines: [`${usageMessage(error)} (see --help)`] };
  if (error instanceof ConfigError) return { exitCode: EXIT.refused, code: 'settings', lines: error.problems };
  if (error instanceof AppError) {
    const { code, field, message } = error;
    // Some messages name their field themselves.
    const line = field && !message.startsWith(`${field}:`) ? `${field}: ${message}` : message;
    return { exitCode: EXIT.refused, code, lines: [line], ...(field && { field }) };
  }
  const reference = randomBytes(6).toString('hex');
  return {
    exitCode: EXIT.fault,
    code: 'fault',
    lines: [`Something went wrong inside Cardea (reference ${reference}). Run it again with LOG_LEVEL=debug to see what.`],
    reference,
  };
}

/** On one line, and without the value of an option that is none: it may have been meant as a secret. */
const usageMessage = ({ message }: CommanderError): string =>
  message
    .replace(/^error: /, '')
    .replace(/^(unknown option '[^=']*)=.*?'(\n|$)/s, "$1'$2")
    .replaceAll('\n', ' ');

/** What a message does not tell, for whoever asked for it. */
function logFault(error: unknown, failure: Failure, terminal: Terminal): void {
  if (error instanceof CommanderError || error instanceof ConfigError) return;
  try {
    const { logLevel, production } = terminal.settings();
    const log = createLog({ level: logLevel, production, write: (line) => terminal.stderr.write(line) });
    log.debug({ err: error, reference: failure.reference }, 'the command failed');
  } catch {
    // Settings that cannot be read are no reason to hide the first failure.
  }
}
