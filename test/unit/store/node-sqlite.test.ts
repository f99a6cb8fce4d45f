import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import library, { type Knex } from 'knex';
import { openDatabase } from '../../../src/store/database.ts';
import { NodeSqliteClient } from '../../../src/store/node-sqlite.ts';
import { startChild } from '../../support/children.ts';
import { temporaryFolder } from '../../support/databases.ts';

/** A knex of its own on a file of its own, or on `filename`. */
function connect(t: ExecutionContext, settings: { filename?: string; patience?: number } = {}): { knex: Knex; filename: string } {
  const filename = settings.filename ?? join(temporaryFolder(), 'test.db');
  const connection = { ...settings, filename };
  const knex = library.knex({ client: NodeSqliteClient, useNullAsDefault: false, compileSqlOnError: false, connection });
  t.teardown(() => knex.destroy());
  return { knex, filename };
}

async function withNumbers(t: ExecutionContext, settings?: { patience?: number }) {
  const connected = connect(t, settings);
  await connected.knex.schema.createTable('numbers', (table) => {
    table.integer('n').primary();
  });
  return connected;
}

test('the data folder and the database are for their owner alone', async (t) => {
  const dataDir = join(temporaryFolder(), 'new', 'data');
  const db = await openDatabase({ dataDir });
  await db.migrate();
  t.is(statSync(dataDir).mode & 0o777, 0o700);
  for (const name of ['cardea.db', 'cardea.db-wal', 'migrate.lock']) t.is(statSync(join(dataDir, name)).mode & 0o777, 0o600, name);
  await db.close();
});

test('the connection is durable, keeps references and does not stop the event loop for long', async (t) => {
  const { knex } = connect(t);
  const setting = async (name: string) => Object.values((await knex.raw(`PRAGMA ${name}`))[0])[0];
  t.is(await setting('journal_mode'), 'wal');
  t.is(await setting('synchronous'), 2);
  t.is(await setting('foreign_keys'), 1);
  t.true(Number(await setting('busy_timeout')) <= 50);
});

test('while another process holds the write lock a write waits, and the event loop goes on', async (t) => {
  const dataDir = temporaryFolder();
  const db = await openDatabase({ dataDir });
  t.teardown(() => db.close());
  await db.migrate();
  const child = startChild('./store-child.ts', { config: { dataDir }, do: 'block' });
  await child.said('blocking');
  let written = 0;
  const count = () => {
    written += 1;
  };
  const writing = [
    db.knex('installation').insert({ name: 'alone', value: '1' }).then(count),
    db.transaction((trx) => trx('installation').insert({ name: 'in a transaction', value: '1' })).then(count),
  ];
  for (let turns = 0; turns < 30; turns += 1) await pause(10);
  t.is(written, 0, 'the event loop went on, and nothing was written');
  child.process.kill('SIGKILL');
  await child.ended;
  await Promise.all(writing);
  t.is(written, 2);
});

test('a transaction that cannot begin does not run its work', async (t) => {
  const { knex, filename } = await withNumbers(t);
  const { knex: other } = connect(t, { filename, patience: 50 });
  let ran = false;
  await knex.transaction(async () => {
    const refused = other.transaction(async () => {
      ran = true;
    });
    await t.throwsAsync(refused, { message: /database is locked/ });
  });
  t.false(ran);
  await other('numbers').insert({ n: 1 });
});

test('a commit that fails leaves no transaction open', async (t) => {
  const { knex } = await withNumbers(t);
  await knex.raw('CREATE TABLE halves (n INTEGER REFERENCES numbers (n) DEFERRABLE INITIALLY DEFERRED)');
  const failing = knex.transaction((trx) => trx('halves').insert({ n: 5 }));
  await t.throwsAsync(failing, { message: /FOREIGN KEY/ });
  await knex('numbers').insert({ n: 1 });
  t.deepEqual(await knex('halves'), []);
  await knex.transaction((trx) => trx('numbers').insert({ n: 2 }));
  t.deepEqual(await knex('numbers').pluck('n'), [1, 2]);
});

test('nothing more runs in a transaction that SQLite has rolled back by itself', async (t) => {
  const { knex } = await withNumbers(t);
  const failing = knex.transaction(async (trx) => {
    await trx('numbers').insert({ n: 1 });
    // As a full disk would.
    await trx.raw('ROLLBACK');
    await trx('numbers').insert({ n: 2 });
  });
  await t.throwsAsync(failing, { message: /has rolled this transaction back/ });
  t.deepEqual(await knex('numbers'), []);
});

test('a nested transaction is rolled back alone', async (t) => {
  const { knex } = await withNumbers(t);
  await knex.transaction(async (trx) => {
    await trx('numbers').insert({ n: 1 });
    const nested = trx.transaction(async (inner) => {
      await inner('numbers').insert({ n: 2 });
      throw new Error('no');
    });
    await t.throwsAsync(nested, { message: 'no' });
    await trx('numbers').insert({ n: 3 });
  });
  t.deepEqual(await knex('numbers').pluck('n'), [1, 3]);
});

test('only one statement is run at a time, and only values are bound', async (t) => {
  const { knex } = await withNumbers(t);
  await t.throwsAsync(async () => await knex.raw('INSERT INTO numbers VALUES (1); INSERT INTO numbers VALUES (2)'), { message: /one statement/ });
  await t.throwsAsync(async () => await knex.raw('SELECT ?', [{ an: 'object' }]), { message: /write JSON as text/ });
  t.deepEqual(await knex('numbers'), []);
  t.deepEqual(await knex.raw('SELECT ? AS yes, ? AS no, ? AS at', [true, false, new Date(5)]), [{ yes: 1, no: 0, at: 5 }]);
});

test('a statement that was prepared before sees a column that another connection has added', async (t) => {
  const { knex, filename } = await withNumbers(t);
  await knex('numbers').insert({ n: 1 });
  t.deepEqual(await knex('numbers').select('*'), [{ n: 1 }]);
  const { knex: other } = connect(t, { filename });
  await other.raw('ALTER TABLE numbers ADD COLUMN more INTEGER DEFAULT 7');
  t.deepEqual(await knex('numbers').select('*'), [{ n: 1, more: 7 }]);
});

test('the commits of its own process are no unknown change', async (t) => {
  const db = await openDatabase({ dataDir: temporaryFolder() });
  t.teardown(() => db.close());
  await db.migrate();
  db.changes.poll();
  const heard: string[] = [];
  db.changes.onChange((topic) => heard.push(topic));
  await db.knex('installation').insert({ name: 'a', value: '1' });
  await db.transaction(async (trx) => {
    await trx('installation').insert({ name: 'b', value: '1' });
    db.changes.poll();
  });
  db.changes.poll();
  await pause(10);
  t.deepEqual(heard, []);
});
