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
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { findChromium } from './browser.ts';
import { databasePrefix, dropDatabases, dropTemplate, ensureTemplate, findPostgres, type PostgresServer, startPostgres } from './postgres.ts';

interface Tally {
  passed: number;
  failed: number;
  skipped: string[];
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
  if (directive !== undefined) {
    tally.skipped.push(title);
    console.log(`  - ${title}`);
  } else if (verdict === 'ok') {
    tally.passed += 1;
    console.log(`  ✔ ${title}`);
  } else if (verdict === 'not ok') {
    tally.failed += 1;
    console.log(`  ✘ ${title}`);
  } else if (/^ |^# {3}/.test(line)) {
    console.log(line);
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
const tally: Tally = { passed: 0, failed: 0, skipped: [] };
const status = await runAll(tally).catch((error: unknown) => {
  console.error(error);
  return 1;
});
// ava fails for more than tests: a file that does not load, an argument that it does not know.
if (status !== 0 && tally.failed === 0) tally.failed = 1;
const { passed, failed, skipped } = tally;
if (skipped.length > 0) console.log(`\nSkipped:\n${skipped.map((title) => `  - ${title}`).join('\n')}`);
console.log(`\n${passed} passed, ${failed} failed, ${skipped.length} skipped`);
process.exitCode = status === 0 && failed > 0 ? 1 : status;
