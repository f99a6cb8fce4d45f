/**
 * Programs of the system that tests run a Cardea against: nginx, Apache, Caddy. `programTest` gives a `test` that is skipped,
 * with a title that says what it needs, where the program is not found, and that fails instead where REQUIRE_…=1 says that it
 * must be there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { atEnd } from './cleanup.ts';
import type { EngineUnderTest } from './databases.ts';

export interface Program {
  /** As people call it. */
  name: string;
  /** Of `NAME_PATH` and `REQUIRE_NAME` in the environment. */
  variable: string;
  /** Where it usually is. */
  places: readonly string[];
  /** What it cannot do without, such as a module: files that have to be there too. */
  needs?: readonly string[];
}

export type Body = (t: ExecutionContext) => Promise<void>;

/** The path of a program: NAME_PATH, or one of the usual places. */
export const findProgram = ({ variable, places }: Program): string | undefined =>
  [process.env[`${variable}_PATH`], ...places].find((path) => path !== undefined && path !== '' && existsSync(path));

/** What is missing of a program, or undefined where all of it is there. */
const missing = (program: Program): string | undefined =>
  findProgram(program) === undefined ? program.name : program.needs?.find((path) => !existsSync(path));

export function programTest(engine: EngineUnderTest, program: Program): (title: string, body: Body) => void {
  const lacks = missing(program);
  const { name, variable } = program;
  if (lacks === undefined) return (title, body) => engine.test(title, body);
  const advice = `install it or set ${variable}_PATH`;
  if (process.env[`REQUIRE_${variable}`] === '1')
    return (title) => test(`${title} [${engine.engine}]`, (t) => t.fail(`REQUIRE_${variable}=1, but ${lacks} was not found; ${advice}`));
  return (title, body) => test.skip(`${title} [${engine.engine}] (needs ${name}: ${lacks} was not found; ${advice})`, body);
}

/** Runs a server until the last test of the file is over. @param at where it has to listen before this resolves */
export async function runProgram(program: Program, args: readonly string[], at: string, env: Record<string, string> = {}): Promise<ChildProcess> {
  const binary = findProgram(program);
  if (binary === undefined) throw new Error(`no ${program.name} was found; set ${program.variable}_PATH`);
  const child = spawn(binary, args, { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = `${said}${chunk.toString()}`.slice(-4_000);
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  atEnd(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  const [host = '', port = ''] = at.split(':');
  for (let tries = 0; !(await answers(host, Number(port))); tries += 1) {
    if (tries > 1_200 || child.exitCode !== null) throw new Error(`${program.name} does not listen: ${said}`);
    await pause(50);
  }
  return child;
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** An example of ours with these places in it; what it does not hold any more is a mistake of the test. */
export function exampleWith(file: string, changes: readonly (readonly [from: string | RegExp, to: string])[]): string {
  return changes.reduce(
    (text, [from, to]) => {
      const changed = typeof from === 'string' ? text.replaceAll(from, () => to) : text.replace(from, () => to);
      if (changed === text) throw new Error(`${file} has no ${from} any more.`);
      return changed;
    },
    readFileSync(new URL(`../../examples/${file}`, import.meta.url), 'utf8'),
  );
}
