/**
 * The way into the store: one database, on PostgreSQL when DATABASE_URL names one and else on the SQLite that Node
 * brings. The other files of this folder hold the queries, one file an aggregate; they take a `Database`, or a knex so
 * that they can be part of a transaction, and are the same on both engines. What differs stands in engines.ts.
 *
 * Inside a transaction everything goes through its `trx`. On SQLite there is one connection, so that a query beside
 * the transaction would wait for it for ever; on PostgreSQL it would see another state and stay when the transaction
 * does not. It is refused, on both.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Knex } from 'knex';
import { migrationSource } from '../../migrations/index.ts';
import type { Changes } from './changes.ts';
import { type Engine, type EngineName, openPostgres, openSqlite } from './engines.ts';
import { withPlan } from './lastly.ts';
import { NodeSqliteClient } from './node-sqlite.ts';

export { isUniqueViolation } from './engines.ts';

export interface DatabaseConfig {
  /** PostgreSQL; absent: SQLite in the data folder. */
  databaseUrl?: string | undefined;
  dataDir: string;
}

export interface DatabaseOptions {
  /** Told, in a sentence, of what is worth a line in the log and is not thrown. */
  warn?: (message: string) => void;
  /** Another schema than the product's, for tests. */
  migrations?: Knex.MigrationSource<string>;
}

export interface Database {
  readonly knex: Knex;
  readonly engine: EngineName;
  readonly changes: Changes;
  /**
   * Runs `work` in a transaction, which commits when it resolves. On SQLite it holds the only connection and the only
   * write lock: await nothing in it but queries.
   */
  transaction<T>(work: (trx: Knex.Transaction) => Promise<T>): Promise<T>;
  /**
   * Brings the schema up to date; safe when several processes start at once. Takes no lock when there is nothing to do.
   * @returns the names of the migrations that it ran
   */
  migrate(): Promise<string[]>;
  /**
   * Runs `work` while nobody else holds the lock of this name, in this or another process. It is not re-entrant.
   *
   * @param name lower-case letters, digits and hyphens
   */
  withLock<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Waits for running queries; may be called more than once. */
  close(): Promise<void>;
}

const MIGRATIONS_TABLE = 'schema_migrations';

/** Opens the database, and makes an empty one when there is none; `migrate` gives it its tables. */
export async function openDatabase(config: DatabaseConfig, options: DatabaseOptions = {}): Promise<Database> {
  const warn = options.warn ?? (() => undefined);
  const engine = config.databaseUrl ? await openPostgres(config.databaseUrl, { warn }) : await openSqlite(config.dataDir, { warn });
  let closed: Promise<void> | undefined;
  return {
    knex: engine.knex,
    engine: engine.name,
    changes: engine.changes,
    transaction: guardedTransactions(engine.knex),
    migrate: async () => {
      const source = options.migrations ?? migrationSource;
      return (await isUpToDate(engine.knex, source)) ? [] : engine.withLock('migrate', () => migrate(engine, source));
    },
    withLock: engine.withLock,
    close: () => {
      closed ??= engine.close();
      return closed;
    },
  };
}

/** A migration's row is written in its own transaction, so what has a row is done. */
async function isUpToDate(knex: Knex, source: Knex.MigrationSource<string>): Promise<boolean> {
  if (!(await knex.schema.hasTable(MIGRATIONS_TABLE))) return false;
  const done = new Set(await knex(MIGRATIONS_TABLE).pluck('name'));
  return (await source.getMigrations([])).every((name) => done.has(source.getMigrationName(name)));
}

async function migrate(engine: Engine, source: Knex.MigrationSource<string>): Promise<string[]> {
  const ran: string[] = [];
  await engine.withMigrator(async (migrator, check) => {
    const [, names]: [number, string[]] = await migrator.migrate.latest({
      migrationSource: source,
      tableName: MIGRATIONS_TABLE,
      // An older release starts beside a newer one, whose migrations it does not know.
      disableMigrationsListValidation: true,
      afterAll: check,
    });
    ran.push(...names);
  });
  return ran;
}

/** Transactions inside which the pool hands out no other connection. */
function guardedTransactions(knex: Knex): Database['transaction'] {
  const within = new AsyncLocalStorage<{ open: boolean }>();
  const client: Knex.Client = knex.client;
  const acquire = client.acquireConnection.bind(client);
  const mayAsk = (): void => {
    if (within.getStore()?.open) throw new Error('Inside a transaction every query goes through its trx.');
  };
  client.acquireConnection = async () => {
    mayAsk();
    return acquire();
  };
  if (client instanceof NodeSqliteClient) client.mayAsk = mayAsk;
  return (work) =>
    knex.transaction(async (trx) => {
      const scope = { open: true };
      try {
        return await within.run(scope, () => withPlan(trx, () => work(trx)));
      } finally {
        scope.open = false;
      }
    });
}
