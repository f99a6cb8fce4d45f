/** Other processes for a test, on the Node that runs it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface Child {
  process: ChildProcess;
  /** Resolves when it has printed `text`, and rejects when it ends without. */
  said(text: string): Promise<void>;
  /** Resolves to its status and what it printed. */
  ended: Promise<{ status: number | null; output: string }>;
}

/**
 * Starts `file`, a name beside this one, with `input` as JSON in its last argument.
 * It inherits the environment without what would name another database.
 */
export function startChild(file: string, input: object): Child {
  const { DATABASE_URL: _, ...env } = process.env;
  const child = spawn(process.execPath, [fileURLToPath(new URL(file, import.meta.url)), JSON.stringify(input)], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const collect = (chunk: Buffer) => {
    output += chunk.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const ended = once(child, 'close').then(() => ({ status: child.exitCode, output }));
  const said = async (text: string) => {
    let over = false;
    void ended.then(() => {
      over = true;
    });
    while (!output.includes(text)) {
      if (over) throw new Error(`The process ended without saying "${text}":\n${output}`);
      await Promise.race([once(child.stdout, 'data'), ended]);
    }
  };
  return { process: child, said, ended };
}
