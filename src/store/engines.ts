/**
 * What the two engines do differently, side by side: how they connect, who runs migrations, how processes exclude one
 * another, how changes are heard, and which errors mean what. Everything else in the store is the same for both.
 *
 * | | SQLite | PostgreSQL |
 * |---|---|---|
 * | connection | one, to `cardea.db` in the data folder | a pool, to DATABASE_URL as it is |
 * | transaction | BEGIN IMMEDIATE: one writer at a time | read committed, row locks |
 * | migrations | on a connection without foreign keys, which are checked before the commit | in the pool |
 * | lock | a lock on a file in the data folder | an advisory lock |
 * | changes of others | PRAGMA data_version | LISTEN |
 */
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import library, { type Knex } from 'knex';
import pg from 'pg';
import { type Changes, PostgresChanges, SqliteChanges } from './changes.ts';
import { NodeSqliteClient, sqliteCode, whileBusy } from './node-sqlite.ts';

// A CommonJS module, whose names Node does not find.
const { knex } = library;

export type EngineName = 'sqlite' | 'postgres';

export interface Engine {
  readonly name: EngineName;
  readonly knex: Knex;
  readonly changes: Changes;
  /** Runs `work` while no other holder of the same name does, in any process. */
  withLock<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Hands a knex to migrate with, and the check that must hold before the migrations are committed. */
  withMigrator(work: (migrator: Knex, check: (trx: Knex) => Promise<void>) => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

export interface EngineOptions {
  /** Told, in a sentence, of what is not an error yet. */
  warn: (message: string) => void;
}

/** How long a lock is waited for, in milliseconds: as long as the longest migration of another process may take. */
const LOCK_PATIENCE = 600_000;
/** How long a query waits for a connection, in milliseconds, before it fails rather than pile up. */
const ACQUIRE_TIMEOUT = 30_000;
const POSTGRES_CONNECTIONS = 10;

const lockName = (name: string): string => {
  if (!/^[a-z0-9-]+$/.test(name)) throw new Error(`A lock cannot be called "${name}".`);
  return name;
};

/** What both say to knex. Errors must not carry the values that were bound, among which are secrets. */
const common = ({ warn }: EngineOptions): Knex.Config => ({
  compileSqlOnError: false,
  acquireConnectionTimeout: ACQUIRE_TIMEOUT,
  // Whatever knex has to say beside the errors that it throws.
  log: {
    warn,
    error: warn,
    deprecate: (method: string, alternative: string) => warn(`${method} is deprecated, use ${alternative}`),
    debug: () => undefined,
  },
});

/** @param dataDir made, for its owner alone, when it is not there */
export async function openSqlite(dataDir: string, options: EngineOptions): Promise<Engine> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const filename = join(dataDir, 'cardea.db');
  // SQLite gives its companion files the mode of this one.
  closeSync(openSync(filename, 'a', 0o600));

  let dataVersion: StatementSync | undefined;
  const settings = (foreignKeys: boolean): Knex.Config => {
    const connection = { filename, foreignKeys };
    return { ...common(options), client: NodeSqliteClient, useNullAsDefault: false, connection };
  };
  const main = knex({
    ...settings(true),
    pool: {
      min: 1,
      max: 1,
      afterCreate: (created: DatabaseSync, done: (error: Error | null, connection: DatabaseSync) => void) => {
        dataVersion = created.prepare('PRAGMA data_version');
        done(null, created);
      },
    },
  });
  await main.raw('SELECT 1');

  return {
    name: 'sqlite',
    knex: main,
    // Asked on the one connection: its counter stands still for the commits of this process.
    changes: new SqliteChanges(() => dataVersion?.get()?.data_version),
    withLock: async (name, work) => withFileLock(join(dataDir, `${lockName(name)}.lock`), work),
    async withMigrator(work) {
      // knex rebuilds a table to alter it, and dropping the old one deletes, by cascade, what refers to it. Foreign keys
      // can only be switched off outside a transaction, and nobody else may be using the connection meanwhile.
      const migrator = knex({ ...settings(false), pool: { min: 1, max: 1 } });
      try {
        await work(migrator, checkForeignKeys);
      } finally {
        await migrator.destroy();
      }
    },
    async close() {
      dataVersion = undefined;
      await main.destroy();
    },
  };
}

async function checkForeignKeys(trx: Knex): Promise<void> {
  const violations: { table: string; parent: string }[] = await trx.raw('PRAGMA foreign_key_check');
  const [first] = violations;
  if (first)
    throw new Error(
      `The migrations leave ${violations.length} broken references, the first from ${first.table} to ${first.parent}; nothing was changed.`,
    );
}

/**
 * An empty SQLite database serves as the lock file, because its lock is the operating system's: it ends with the
 * process that holds it, however that ends, and is right across containers, where process ids mean nothing.
 */
async function withFileLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  closeSync(openSync(file, 'a', 0o600));
  const lock = new DatabaseSync(file, { timeout: 0 });
  try {
    await whileBusy(() => lock.exec('BEGIN EXCLUSIVE'), LOCK_PATIENCE);
    return await work();
  } finally {
    lock.close();
  }
}

/** @param url handed to pg as it is */
export async function openPostgres(url: string, options: EngineOptions): Promise<Engine> {
  // bigint arrives as text unless it is parsed; ours are times in milliseconds and counts, far below 2^53.
  pg.types.setTypeParser(pg.types.builtins.INT8, Number);
  const pool = knex({
    ...common(options),
    client: 'pg',
    connection: { connectionString: url, keepAlive: true },
    pool: { min: 0, max: POSTGRES_CONNECTIONS },
  });
  const changes = new PostgresChanges({ knex: pool, url, warn: options.warn });
  try {
    await changes.listen();
  } catch (cause) {
    await pool.destroy();
    throw new Error(`The database that DATABASE_URL names cannot be used: ${reason(cause)}`, { cause });
  }

  return {
    name: 'postgres',
    knex: pool,
    changes,
    withLock: async (name, work) => withAdvisoryLock(url, lockName(name), work),
    withMigrator: (work) => work(pool, async () => undefined),
    async close() {
      await changes.close();
      await pool.destroy();
    },
  };
}

/** The message of an error; that of a refused connection to several addresses is empty, its code is not. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || ('code' in error ? String(error.code) : error.name);
}

/** The lock belongs to a connection of its own: it ends with the process, and holds whatever the pool does. */
async function withAdvisoryLock<T>(url: string, name: string, work: () => Promise<T>): Promise<T> {
  const holder = new pg.Client({ connectionString: url, keepAlive: true });
  // Without a listener an error of the idle connection would end the process.
  holder.on('error', () => undefined);
  await holder.connect();
  try {
    await holder.query(`SET lock_timeout = ${LOCK_PATIENCE}`);
    await holder.query('SELECT pg_advisory_lock($1)', [advisoryKey(name)]);
    return await work();
  } finally {
    await holder.end().catch(() => undefined);
  }
}

/** Advisory locks are named by 64 bits, which are shared with whatever else uses the database. */
const advisoryKey = (name: string): string => createHash('sha256').update(`cardea:${name}`).digest().readBigInt64BE().toString();

const UNIQUE_VIOLATION = {
  /** unique_violation: https://www.postgresql.org/docs/current/errcodes-appendix.html */
  postgres: '23505',
  /** SQLITE_CONSTRAINT_PRIMARYKEY, _UNIQUE and _ROWID. */
  sqlite: new Set([1555, 2067, 2579]),
};

/**
 * Whether a statement failed because a row with the same key is there already. On PostgreSQL that has ended the
 * transaction, if it ran in one: where it is to be expected inside one, use `onConflict(…).ignore()` and count the rows.
 */
export function isUniqueViolation(error: unknown): boolean {
  const code = sqliteCode(error);
  if (code !== undefined) return UNIQUE_VIOLATION.sqlite.has(code);
  return error instanceof Error && 'code' in error && error.code === UNIQUE_VIOLATION.postgres;
}
