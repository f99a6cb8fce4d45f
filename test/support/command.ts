/** The command `cardea`, as a process of its own or within this one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../../src/cli/cli.ts';
import { loadConfig } from '../../src/config.ts';
import type { DatabaseConfig } from '../../src/store/database.ts';

export interface Ended {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface Running {
  process: ChildProcess;
  ended: Promise<Ended>;
  /** Resolves to all of standard output once `text` stands in it, and rejects when the process ends without. */
  printed(text: string | RegExp): Promise<string>;
  type(text: string): void;
}

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Settings for a database of a test: cheap hashes, no demo, nothing of the machine's own. */
export const settingsFor = (config: DatabaseConfig, more: Record<string, string> = {}): Record<string, string> => ({
  CARDEA_DATA_DIR: config.dataDir,
  ...(config.databaseUrl && { DATABASE_URL: config.databaseUrl }),
  CARDEA_DEMO: 'off',
  CARDEA_ARGON2_MEMORY_KIB: '8',
  CARDEA_ARGON2_PASSES: '1',
  LOG_LEVEL: 'warn',
  ...more,
});

/** Starts `cardea ARGS`; its standard input stays open until `type` or `input` has closed it. */
export function startCommand(args: string[], env: Record<string, string>, input?: string): Running {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { PATH: process.env.PATH, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    said.stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    said.stderr += chunk;
  });
  // A process that refuses before it reads has closed the pipe.
  child.stdin.on('error', () => undefined);
  if (input !== undefined) child.stdin.end(input);
  const ended = once(child, 'close').then(() => ({ status: child.exitCode, signal: child.signalCode, ...said }));
  return {
    process: child,
    ended,
    type: (text) => child.stdin.write(text),
    async printed(text) {
      let over = false;
      void ended.then(() => {
        over = true;
      });
      while (typeof text === 'string' ? !said.stdout.includes(text) : !text.test(said.stdout)) {
        if (over) throw new Error(`cardea ${args.join(' ')} ended without printing ${text}:\n${said.stdout}\n${said.stderr}`);
        await Promise.race([once(child.stdout, 'data'), ended]);
      }
      return said.stdout;
    },
  };
}

/** Runs `cardea ARGS` to its end. */
export const runCardea = (args: string[], env: Record<string, string>, input = ''): Promise<Ended> => startCommand(args, env, input).ended;

/** The same within this process, which is quicker. `typed` are lines at a terminal. */
export async function runHere(
  args: string[],
  env: Record<string, string>,
  given: { input?: string | Buffer; typed?: string[] } = {},
): Promise<Ended> {
  const stdin = Object.assign(new PassThrough(), { isTTY: given.typed !== undefined });
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const said = { stdout: '', stderr: '' };
  const answers = [...(given.typed ?? [])];
  stdout.on('data', (chunk) => {
    said.stdout += chunk;
  });
  stderr.on('data', (chunk) => {
    said.stderr += chunk;
    // A question ends without a line break.
    if (String(chunk).endsWith(': ')) stdin.write(`${answers.shift() ?? '\u0004'}\r`);
  });
  if (given.typed === undefined) stdin.end(given.input ?? '');
  const status = await runCommand(args, { stdin, stdout, stderr, settings: () => loadConfig(env) });
  // The streams hand on what was written in the next turns.
  await new Promise((resolve) => setTimeout(resolve, 10));
  return { status, signal: null, ...said };
}
