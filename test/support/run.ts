/**
 * `npm test`: starts PostgreSQL where it is installed and none is named, runs ava with the arguments given, says what was
 * skipped and why, and ends with one line that counts: `N passed, N failed, N skipped`.
 *
 *     npm test                                         everything
 *     npm test -- test/unit/store --match='*lock*'     some of it
 *
 * ava is read through its TAP output: one `ok` or `not ok` line a test, with the details of a failure indented below.
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { findChromium } from './browser.ts';
import { databasePrefix, dropDatabases, dropTemplate, ensureTemplate, findPostgres, type PostgresServer, startPostgres } from './postgres.ts';

/** What a failed test says of itself at the end, in lines: whoever has only the end of a long output needs no more. */
const DETAIL_LINES = 40;

interface Tally {
  passed: number;
  failed: string[];
  skipped: string[];
  /** The failed tests with what ava said of each, for the end. */
  failures: string[];
  /** The lines of details that may still be kept of the test that was told last; none of one that passed. */
  detailsLeft: number;
}

/** Where the tests find PostgreSQL, and how it is left as it was found. */
async function preparePostgres(): Promise<{ url: string; restore(): Promise<void> } | undefined> {
  const named = process.env.TEST_DATABASE_URL || process.env.DATABASE_URL;
  if (named) {
    return {
      url: named,
      restore: async () => {
        await dropDatabases(named, databasePrefix());
        await dropTemplate(named);
      },
    };
  }
  const bin = findPostgres();
  if (bin === undefined) return undefined;
  const server: PostgresServer = await startPostgres(bin);
  return { url: server.url, restore: server.stop };
}

/** Runs ava and prints a line for each test as it ends. */
async function runAva(args: string[], environment: NodeJS.ProcessEnv, tally: Tally): Promise<number> {
  const ava = fileURLToPath(new URL('../../node_modules/ava/entrypoints/cli.mjs', import.meta.url));
  const child = spawn(process.execPath, [ava, '--tap', ...args], { env: environment, stdio: ['inherit', 'pipe', 'inherit'] });
  const status = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? 1)));
  // Ctrl-C reaches ava by itself; it ends, and everything is put back afterwards.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  for await (const line of createInterface({ input: child.stdout })) report(line, tally);
  return status;
}

function report(line: string, tally: Tally): void {
  const [, verdict, title = '', directive] = /^(ok|not ok) \d+ - (.*?)(?: # (SKIP|TODO))?$/.exec(line) ?? [];
  if (verdict !== undefined) {
    tally.detailsLeft = 0;
    tell(verdict, title, directive, tally);
  } else if (/^ |^# {3}/.test(line)) {
    console.log(line);
    if (tally.detailsLeft > 0) tally.failures.push(line);
    tally.detailsLeft -= 1;
  }
}

function tell(verdict: string, title: string, directive: string | undefined, tally: Tally): void {
  if (directive !== undefined) {
    tally.skipped.push(title);
    console.log(`  - ${title}`);
  } else if (verdict === 'ok') {
    tally.passed += 1;
    console.log(`  ✔ ${title}`);
  } else {
    tally.failed.push(title);
    tally.failures.push(`  ✘ ${title}`);
    tally.detailsLeft = DETAIL_LINES;
    console.log(`  ✘ ${title}`);
  }
}

/** Everything between finding a database and putting it back; answers ava's status. */
async function runAll(tally: Tally): Promise<number> {
  const postgres = await preparePostgres();
  try {
    if (postgres) await ensureTemplate(postgres.url);
    console.log(`PostgreSQL: ${postgres ? 'yes' : 'none found'}. Chromium: ${findChromium() ?? 'none found'}.\n`);
    const { DATABASE_URL: _, ...environment } = process.env;
    // Under another name, so that a product which a test starts does not take it for its own.
    return await runAva(process.argv.slice(2), { ...environment, ...(postgres && { TEST_DATABASE_URL: postgres.url }) }, tally);
  } finally {
    await postgres?.restore();
  }
}

process.env.CARDEA_TEST_RUN = String(process.pid);
process.env.PROPERTY_SEED ||= String(randomInt(2 ** 31));
const tally: Tally = { passed: 0, failed: [], skipped: [], failures: [], detailsLeft: 0 };
const status = await runAll(tally).catch((error: unknown) => {
  console.error(error);
  return 1;
});
// ava fails for more than tests: a file that does not load, an argument that it does not know.
if (status !== 0 && tally.failed.length === 0) tally.failed.push('ava itself');
const { passed, failed, skipped, failures } = tally;
if (skipped.length > 0) console.log(`\nSkipped:\n${skipped.map((title) => `  - ${title}`).join('\n')}`);
if (failures.length > 0) {
  console.log(`\nFailed, once more:\n${failures.join('\n')}`);
  console.log(`\nThe properties were tried with PROPERTY_SEED=${process.env.PROPERTY_SEED}`);
}
console.log(`\n${passed} passed, ${failed.length} failed, ${skipped.length} skipped`);
process.exitCode = status === 0 && failed.length > 0 ? 1 : status;
