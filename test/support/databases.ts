/**
 * One suite, both engines.
 *
 * A test that stores something is written once and runs on SQLite and on PostgreSQL. SQLite needs nothing. PostgreSQL is
 * the server that TEST_DATABASE_URL (or DATABASE_URL) names, in which each test file gets databases of its own; the one
 * that is named is left alone. `npm test` starts a server where PostgreSQL is installed. Where there is none the test is
 * skipped, with a title that says what it needs, and fails instead when REQUIRE_POSTGRES=1 says that one must be there.
 *
 * The tests of a file share its database and run side by side: let each make a realm of its own.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Database, type DatabaseConfig, openDatabase } from '../../src/store/database.ts';
import { atEnd } from './cleanup.ts';
import { createDatabase } from './postgres.ts';

type Body = (t: ExecutionContext) => Promise<void> | void;

export interface EngineUnderTest {
  readonly engine: Database['engine'];
  /** Registers a test of this engine. */
  test(title: string, body: Body): void;
  /** The same for a test that must not run beside others of its file. */
  serial(title: string, body: Body): void;
  /** The database of this test file, with the product's tables; opened once and closed at the end. */
  database(): Promise<Database>;
  /** Where a new database is, with the product's tables or empty; it is gone after the last test of the file. */
  settings(options?: { empty?: boolean }): Promise<DatabaseConfig>;
  /** A new database, opened; closed at the end. */
  open(options?: { empty?: boolean }): Promise<Database>;
}

const postgresUrl = process.env.TEST_DATABASE_URL || process.env.DATABASE_URL || undefined;

/** A folder that is removed after the last test of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cardea-test-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function settingsOf(engine: Database['engine'], empty: boolean): Promise<DatabaseConfig> {
  const dataDir = join(temporaryFolder(), 'data');
  if (engine === 'sqlite') {
    if (!empty) await migrated({ dataDir });
    return { dataDir };
  }
  if (postgresUrl === undefined) throw new Error('There is no PostgreSQL to test on.');
  const { url, drop } = await createDatabase(postgresUrl, { empty });
  atEnd(drop);
  return { databaseUrl: url, dataDir };
}

async function migrated(config: DatabaseConfig): Promise<void> {
  const db = await openDatabase(config);
  await db.migrate();
  await db.close();
}

async function opened(engine: Database['engine'], empty: boolean): Promise<Database> {
  const db = await openDatabase(await settingsOf(engine, empty));
  atEnd(() => db.close());
  return db;
}

function register(engine: Database['engine'], run: (title: string, body: Body) => void): (title: string, body: Body) => void {
  if (engine === 'sqlite' || postgresUrl !== undefined) return (title, body) => run(`${title} [${engine}]`, body);
  if (process.env.REQUIRE_POSTGRES === '1') {
    return (title) =>
      run(`${title} [postgres]`, (t) => t.fail('REQUIRE_POSTGRES=1, but there is no PostgreSQL: set DATABASE_URL, or install it and run npm test.'));
  }
  return (title, body) => test.skip(`${title} [postgres] (needs PostgreSQL: set DATABASE_URL, or install it and run npm test)`, body);
}

function underTest(engine: Database['engine']): EngineUnderTest {
  let shared: Promise<Database> | undefined;
  return {
    engine,
    test: register(engine, (title, body) => test(title, body)),
    serial: register(engine, (title, body) => test.serial(title, body)),
    database: () => {
      shared ??= opened(engine, false);
      return shared;
    },
    settings: (options) => settingsOf(engine, options?.empty ?? false),
    open: (options) => opened(engine, options?.empty ?? false),
  };
}

export const onSqlite: EngineUnderTest = underTest('sqlite');
export const onPostgres: EngineUnderTest = underTest('postgres');

/** Registers a suite once for each engine. */
export function forEachEngine(suite: (engine: EngineUnderTest) => void): void {
  for (const engine of [onSqlite, onPostgres]) suite(engine);
}

/** Registers one test for each engine, with the database of its file. */
export function testOnEngines(title: string, body: (t: ExecutionContext, db: Database) => Promise<void>): void {
  forEachEngine((engine) => engine.test(title, async (t) => body(t, await engine.database())));
}
