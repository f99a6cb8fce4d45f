/** The part of knex's better-sqlite3 dialect that node-sqlite.ts builds upon; knex ships no types for its dialects. */
declare module 'knex/lib/dialects/better-sqlite3/index.js' {
  import type { DatabaseSync } from 'node:sqlite';
  import { Knex } from 'knex';

  export default class BetterSqlite3Client extends Knex.Client {
    /** Set on the client of a transaction. */
    transacting?: boolean;
    _driver(): unknown;
    _query(connection: DatabaseSync, query: object): Promise<object>;
    processResponse(query: object, runner: unknown): unknown;
  }
}

declare module 'knex/lib/dialects/sqlite3/query/sqlite-querycompiler.js' {
  export default class SqliteQueryCompiler {
    constructor(client: unknown, builder: unknown, bindings: unknown);
    /** What the builder collected: the row or rows to insert, the columns to return. */
    single: { insert?: unknown; returning?: unknown };
    insert(): unknown;
    del(): unknown;
    _returning(columns: unknown): string;
  }
}

declare module 'knex/lib/dialects/sqlite3/execution/sqlite-transaction.js' {
  import type { DatabaseSync } from 'node:sqlite';
  import { Knex } from 'knex';

  // knex's own types call this what a transaction's work is given, which it is not quite.
  interface SqliteTransaction extends Knex.Transaction {
    trxClient: { query(connection: DatabaseSync, sql: string): Promise<unknown> };
    begin(connection: DatabaseSync): Promise<unknown>;
  }

  const SqliteTransaction: new (client: unknown, container: unknown, config: unknown, outer: unknown) => SqliteTransaction;
  export default SqliteTransaction;
}
