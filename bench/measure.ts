/** What the benchmarks share: servers as processes of their own, medians with their spread, and the machine that they ran on. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';

export interface Server {
  /** From its start to its first answer, in milliseconds. */
  startedIn: number;
  /** Resident memory at this moment, in MB. */
  memory(): number;
  stop(): Promise<void>;
}

/**
 * Starts a server and waits for the first 200 at `url`.
 * @param core the one to run on, with `taskset`
 */
export async function startServer(args: string[], env: Record<string, string>, url: string, core?: number): Promise<Server> {
  const { DATABASE_URL: _, ...inherited } = process.env;
  const [program = '', ...rest] = [...(core === undefined ? [] : ['taskset', '-c', String(core)]), process.execPath, ...args];
  const begun = performance.now();
  const child = spawn(program, rest, { env: { ...inherited, ...env }, stdio: ['ignore', 'ignore', 'inherit'] });
  while (!(await answers(url))) {
    if (child.exitCode !== null) throw new Error(`${args.join(' ')} has ended before its first answer.`);
    await pause(5);
  }
  return {
    startedIn: performance.now() - begun,
    // In KiB, on Linux and macOS alike.
    memory: () => Number(execFileSync('ps', ['-o', 'rss=', '-p', String(child.pid)], { encoding: 'utf8' })) / 1024,
    async stop() {
      child.kill('SIGTERM');
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

const answers = (url: string): Promise<boolean> =>
  fetch(url).then(
    async (answer) => (await answer.text()) !== '' && answer.ok,
    () => false,
  );

/** The median, and the least and the most beside it: `612 (590–633)`. */
export function withSpread(values: readonly number[], digits = 0): string {
  const sorted = values.toSorted((a, b) => a - b);
  const shown = (index: number): string => (sorted[index] ?? Number.NaN).toFixed(digits);
  return `${shown(Math.floor((sorted.length - 1) / 2))} (${shown(0)}–${shown(sorted.length - 1)})`;
}

/** What the figures hold for. */
export function machine(): string {
  const linux = process.platform === 'linux' ? /^PRETTY_NAME="(.+)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] : undefined;
  const commit = execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
  const cores = `${cpus().length} cores (${cpus()[0]?.model.trim()})`;
  return `${new Date().toISOString().slice(0, 10)}, commit ${commit}, Node ${process.versions.node}, ${cores}, ${linux ?? `${process.platform} ${release()}`}`;
}

/** A Markdown table, its first column in words and the others in figures. */
export function printTable(head: string[], rows: string[][]): void {
  for (const row of [head, head.map((_, index) => (index === 0 ? '---' : '---:')), ...rows]) console.log(`| ${row.join(' | ')} |`);
}
