/**
 * Secrets come from standard input or from a prompt that does not echo them, never from an argument: arguments are
 * shown to everybody on the machine and kept in histories.
 */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { badInput } from '../errors.ts';
import { Interrupted } from './failures.ts';
import type { Terminal } from './terminal.ts';

/** Longer than any password or code; what is longer is a mistake, such as a file. */
const MAX_INPUT_BYTES = 64 * 1024;

/** Whether a secret would be asked for at the terminal. */
export const isInteractive = (terminal: Terminal, fromStdin: boolean | undefined): boolean => !fromStdin && terminal.stdin.isTTY === true;

/**
 * A new password: all of standard input without its last line break, or typed twice.
 * @param fromStdin whether `--password-stdin` was given
 */
export async function readNewPassword(terminal: Terminal, fromStdin: boolean | undefined): Promise<string> {
  if (!isInteractive(terminal, fromStdin)) {
    const password = (await readAll(terminal)).replace(/\r?\n$/, '');
    if (password === '') throw badInput('password', 'There is no password on standard input.');
    if (/[\r\n]/.test(password)) throw badInput('password', 'The password on standard input has more than one line.');
    return password;
  }
  const password = await prompt(terminal, 'Password: ');
  if (password === '') throw badInput('password', 'No password was typed.');
  if (password !== (await prompt(terminal, 'The same again: '))) throw badInput('password', 'The two were not the same.');
  return password;
}

/**
 * A secret that somebody else has given, such as the password of a mail account: all of standard input without its last
 * line break, or typed once.
 * @param what it is called, such as `Password`
 */
export async function readSecret(terminal: Terminal, fromStdin: boolean | undefined, what: string): Promise<string> {
  const secret = isInteractive(terminal, fromStdin) ? await prompt(terminal, `${what}: `) : (await readAll(terminal)).replace(/\r?\n$/, '');
  if (secret === '') throw badInput('', `${what}: nothing was typed, and nothing is on standard input.`);
  if (/[\r\n]/.test(secret)) throw badInput('', `${what}: standard input has more than one line.`);
  return secret;
}

/** A code: the first line of standard input, whose end is not waited for, or typed. */
export async function readCode(terminal: Terminal, fromStdin: boolean | undefined): Promise<string> {
  const code = isInteractive(terminal, fromStdin) ? await prompt(terminal, 'Code: ') : await readLine(terminal);
  if (code.trim() === '') throw badInput('code', 'There is no code. Type the one that the app shows, or give it on standard input.');
  return code.trim();
}

/**
 * All of standard input, such as a document that is piped.
 * @param most bytes that it may have
 */
export async function readDocument(terminal: Terminal, most: number): Promise<string> {
  const text = decoded(await collect(terminal, () => false, { most, instead: `Standard input is larger than ${most / 1024} KiB.` }));
  if (text.trim() === '') throw badInput('', 'There is nothing on standard input.');
  return text;
}

/** Whether somebody at the terminal types `yes`. */
export const confirmed = async (terminal: Terminal, question: string): Promise<boolean> =>
  (await prompt(terminal, `${question} Type yes to go on: `)).trim().toLowerCase() === 'yes';

async function readAll(terminal: Terminal): Promise<string> {
  return decoded(await collect(terminal, () => false));
}

async function readLine(terminal: Terminal): Promise<string> {
  const bytes = await collect(terminal, (chunk) => chunk.includes(0x0a));
  return decoded(bytes).split(/\r?\n/, 1)[0] ?? '';
}

/** Reads up to the end, or up to the chunk that is enough. */
function collect(
  terminal: Terminal,
  enough: (chunk: Buffer) => boolean,
  { most, instead }: { most: number; instead: string } = { most: MAX_INPUT_BYTES, instead: 'Standard input holds more than a password or a code.' },
): Promise<Buffer> {
  const { stdin } = terminal;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const finish = (settle: () => void): void => {
      stdin.off('data', onData).off('end', onEnd).off('close', onEnd).off('error', onError);
      stdin.pause();
      settle();
    };
    const onEnd = (): void => finish(() => resolve(Buffer.concat(chunks)));
    const onError = (error: Error): void => finish(() => reject(error));
    const onData = (data: Buffer | string): void => {
      const chunk = Buffer.from(data);
      chunks.push(chunk);
      size += chunk.length;
      if (size > most) finish(() => reject(badInput('', instead)));
      else if (enough(chunk)) onEnd();
    };
    if (stdin.readableEnded || stdin.destroyed) return onEnd();
    stdin.on('data', onData).once('end', onEnd).once('close', onEnd).once('error', onError);
  });
}

function decoded(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw badInput('', 'Standard input is not text in UTF-8.');
  }
}

/** One line from the terminal, of which nothing is shown. The question goes to standard error: standard output is for the answer. */
function prompt(terminal: Terminal, question: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: terminal.stdin, output: nowhere, terminal: true, historySize: 0 });
  return new Promise((resolve, reject) => {
    let typed: string | undefined;
    lines.once('line', (line) => {
      typed = line;
      lines.close();
    });
    lines.once('SIGINT', () => lines.close());
    lines.once('close', () => {
      terminal.stderr.write('\n');
      if (typed === undefined) reject(new Interrupted());
      else resolve(typed);
    });
    // Only now that nothing is echoed any more: whoever sees the question may type.
    terminal.stderr.write(question);
  });
}
