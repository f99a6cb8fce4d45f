/**
 * A knex client over node:sqlite: knex's own better-sqlite3 dialect writes the SQL, and what is here runs it on the
 * SQLite that Node brings, so that nothing is compiled or downloaded.
 *
 * There is one connection, and Node waits while SQLite works. Another process may hold the write lock (the command
 * line beside the server); SQLite's own waiting would stop the event loop, so it is cut short and the statement is
 * tried again after an awaited pause. That happens in one place, `_query`, and only outside a transaction: BEGIN
 * IMMEDIATE takes the write lock at once, so that nothing inside one can be refused for it.
 *
 * knex makes the client of a transaction from the prototype alone: state lives with the connection, never in fields.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import BetterSqlite3Client from 'knex/lib/dialects/better-sqlite3/index.js';
import SqliteTransaction from 'knex/lib/dialects/sqlite3/execution/sqlite-transaction.js';
import SqliteQueryCompiler from 'knex/lib/dialects/sqlite3/query/sqlite-querycompiler.js';
import { LRUCache } from 'lru-cache';

/** How long SQLite itself waits for a lock, in milliseconds: the event loop stands still meanwhile. */
const BLOCKING_WAIT = 20;
/** For how long a statement is tried again, in milliseconds. Writers hold the lock for milliseconds, bulk commands for one small batch. */
const PATIENCE = 15_000;
/** Preparing costs seven times what running a small statement does. Larger than the number of statements that the hot paths use. */
const KEPT_STATEMENTS = 300;

/** Primary result codes, in the low byte of the extended code that node:sqlite reports. https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5;

interface Query {
  sql: string;
  bindings?: unknown[];
  method?: string;
  returning?: unknown;
  output?: unknown;
  response?: unknown;
  context?: { lastID: number | bigint; changes: number | bigint };
}

interface Prepared {
  statement: StatementSync;
  /** Whether it answers rows. */
  reads: boolean;
}

const statementsOf = new WeakMap<DatabaseSync, LRUCache<string, Prepared>>();

/** The extended result code of an error of node:sqlite, undefined for any other. https://sqlite.org/rescode.html */
export function sqliteCode(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode : undefined;
}

/** Whether another connection held the lock that was needed. */
function isSqliteBusy(error: unknown): boolean {
  const code = sqliteCode(error);
  return code !== undefined && (code & 0xff) === SQLITE_BUSY;
}

/**
 * Runs `attempt` again, with growing and uneven pauses, while SQLite answers that it is busy.
 *
 * @param patience milliseconds after which the error is thrown
 */
export async function whileBusy<T>(attempt: () => T, patience: number, mayRetry: () => boolean = () => true): Promise<T> {
  const giveUp = performance.now() + patience;
  for (let longest = 4; ; longest = Math.min(longest * 2, 100)) {
    try {
      return attempt();
    } catch (error) {
      if (!isSqliteBusy(error) || !mayRetry() || performance.now() > giveUp) throw error;
    }
    await pause(longest * (0.5 + Math.random() / 2));
  }
}

/** Opens the file as the product needs it. Turning WAL on takes an exclusive lock, which processes that start together contend for. */
async function connect({ filename, foreignKeys = true, patience = PATIENCE }: SqliteSettings): Promise<DatabaseSync> {
  const connection = new DatabaseSync(filename, { timeout: BLOCKING_WAIT, enableForeignKeyConstraints: foreignKeys });
  try {
    await whileBusy(() => connection.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF'), patience);
    // SQLite's own knows only ASCII; PostgreSQL's knows every letter.
    connection.function('lower', { deterministic: true }, (text) => (typeof text === 'string' ? text.toLowerCase() : text));
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

function prepare(connection: DatabaseSync, sql: string): Prepared {
  const cached = statementsOf.get(connection);
  const found = cached?.get(sql);
  if (found) return found;
  const statement = connection.prepare(sql);
  // SQLite prepares the first statement and is silent about the rest, PostgreSQL runs them all.
  if (sql.slice(statement.sourceSQL.length).trim() !== '') throw new Error('Only one statement may be run at a time.');
  const prepared = { statement, reads: statement.columns().length > 0 };
  const statements = cached ?? new LRUCache<string, Prepared>({ max: KEPT_STATEMENTS });
  statements.set(sql, prepared);
  statementsOf.set(connection, statements);
  return prepared;
}

/** As pg binds them: booleans (0 and 1 here), dates as milliseconds, undefined as NULL. */
function toInput(binding: unknown): SQLInputValue {
  if (binding === undefined || binding === null) return null;
  if (typeof binding === 'boolean') return binding ? 1 : 0;
  if (binding instanceof Date) return binding.getTime();
  if (typeof binding === 'string' || typeof binding === 'number' || typeof binding === 'bigint' || binding instanceof Uint8Array) return binding;
  throw new TypeError(`A ${typeof binding} cannot be stored: write JSON as text.`);
}

function run(connection: DatabaseSync, query: Query): Query {
  const { statement, reads } = prepare(connection, query.sql);
  const inputs = (query.bindings ?? []).map(toInput);
  if (reads) {
    // node:sqlite's rows have no prototype; everything that compares or prints rows expects plain objects, as from pg.
    query.response = statement.all(...inputs).map((row) => ({ ...row }));
    return query;
  }
  const { lastInsertRowid, changes } = statement.run(...inputs);
  query.response = [];
  query.context = { lastID: lastInsertRowid, changes };
  return query;
}

class ImmediateTransaction extends SqliteTransaction {
  /** Takes the write lock first. Straight through the client: knex's own way swallows an error here and runs the work all the same. */
  override async begin(connection: DatabaseSync): Promise<void> {
    await this.trxClient.query(connection, 'BEGIN IMMEDIATE');
  }
}

class QueryCompiler extends SqliteQueryCompiler {
  /** A property that is undefined takes the column's default, as on PostgreSQL; SQLite has no word for that inside VALUES. */
  override insert(): unknown {
    const rows = this.single.insert;
    const given = (row: unknown) => (isRow(row) ? Object.fromEntries(Object.entries(row).filter(([, value]) => value !== undefined)) : row);
    this.single.insert = Array.isArray(rows) ? rows.map(given) : given(rows);
    return super.insert();
  }

  /** SQLite can answer what it deleted; knex does not know. */
  override del(): unknown {
    const { returning } = this.single;
    return returning ? { sql: `${super.del()}${this._returning(returning)}`, returning } : super.del();
  }

  /** One writer at a time: there is nobody whose rows could be locked. */
  skipLocked(): string {
    return '';
  }

  noWait(): string {
    return '';
  }
}

const isRow = (value: unknown): value is object => typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;

/** What knex gets as `connection`. */
export interface SqliteSettings {
  filename: string;
  foreignKeys?: boolean;
  /** Milliseconds for which a statement is tried again while another connection holds the lock. */
  patience?: number;
}

export class NodeSqliteClient extends BetterSqlite3Client {
  declare connectionSettings: SqliteSettings;
  /** The one connection; the client of a transaction, which is made from the prototype alone, has none here. */
  declare kept?: DatabaseSync | undefined;

  override _driver(): unknown {
    return DatabaseSync;
  }

  override async acquireRawConnection(): Promise<DatabaseSync> {
    this.kept = await connect(this.connectionSettings);
    return this.kept;
  }

  override async destroyRawConnection(connection: DatabaseSync): Promise<void> {
    if (this.kept === connection) this.kept = undefined;
    statementsOf.delete(connection);
    connection.close();
  }

  /** Throws where nothing may be asked beside a transaction; database.ts says where that is. */
  mayAsk(): void {}

  /**
   * Reads at once, without a turn in the pool: Node waits for SQLite, so that nothing can come in between. Undefined where
   * that cannot be: in a transaction, while somebody else's is open, and while another process holds a lock.
   */
  readNow(sql: string, bindings: unknown[]): unknown {
    const connection = this.kept;
    if (!connection?.isOpen || connection.isTransaction) return undefined;
    this.mayAsk();
    const query: Query = { sql, bindings, method: 'select' };
    try {
      run(connection, query);
      this.emit('query', query);
      return query.response;
    } catch (error) {
      if (isSqliteBusy(error)) return undefined;
      throw error;
    }
  }

  override async validateConnection(connection: DatabaseSync): Promise<boolean> {
    return connection.isOpen;
  }

  /** The one connection must not come back with a transaction that a failed COMMIT left open: all that follows would be part of it. */
  override releaseConnection(connection: DatabaseSync): Promise<void> {
    if (connection.isOpen && connection.isTransaction) connection.exec('ROLLBACK');
    return super.releaseConnection(connection);
  }

  override transaction(container: unknown, config: unknown, outer: unknown): ImmediateTransaction {
    return new ImmediateTransaction(this, container, config, outer);
  }

  override queryCompiler(builder: unknown, bindings?: unknown): QueryCompiler {
    return new QueryCompiler(this, builder, bindings);
  }

  override async _query(connection: DatabaseSync, query: Query): Promise<Query> {
    if (this.transacting && !connection.isTransaction && !query.sql.startsWith('BEGIN')) {
      // A full disk, for one, makes SQLite roll back by itself. What follows would run, and stay, one by one.
      if (query.sql.startsWith('ROLLBACK')) return Object.assign(query, { response: [] });
      throw new Error('SQLite has rolled this transaction back; nothing more can run in it.');
    }
    return whileBusy(
      () => run(connection, query),
      this.connectionSettings.patience ?? PATIENCE,
      () => !connection.isTransaction,
    );
  }

  override processResponse(query: Query, runner: unknown): unknown {
    if (query.method === 'del' && query.returning && !query.output) return query.response;
    return super.processResponse(query, runner);
  }
}
