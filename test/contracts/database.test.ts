/** What the rest of the store relies on, and what both engines must keep. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Knex } from 'knex';
import { type Database, isUniqueViolation, openDatabase } from '../../src/store/database.ts';
import { startChild } from '../support/children.ts';
import { atEnd } from '../support/cleanup.ts';
import { type EngineUnderTest, forEachEngine } from '../support/databases.ts';
import { altered, broken, original } from '../support/schema.ts';
import { until } from '../support/until.ts';

/** A database with the small schema of the tests. */
async function fixture(engine: EngineUnderTest, migrations: Knex.MigrationSource<string> = original) {
  const settings = await engine.settings({ empty: true });
  const open = async (source: Knex.MigrationSource<string>) => {
    const opened = await openDatabase(settings, { migrations: source });
    atEnd(() => opened.close());
    await opened.migrate();
    return opened;
  };
  return { settings, open, db: await open(migrations) };
}

const parent = (id: string) => ({ realm_id: 'r', id, name: `parent ${id}` });

forEachEngine((engine) => {
  engine.test('a transaction keeps all of its work or none of it', async (t) => {
    const { db } = await fixture(engine);
    t.is(await db.transaction(async (trx) => (await trx('parents').insert(parent('kept')).returning('id'))[0].id), 'kept');
    const failure = db.transaction(async (trx) => {
      await trx('parents').insert(parent('lost'));
      throw new Error('changed my mind');
    });
    await t.throwsAsync(failure, { message: 'changed my mind' });
    t.deepEqual(await db.knex('parents').pluck('id'), ['kept']);
  });

  engine.test('inside a transaction a query beside it is refused', async (t) => {
    const { db } = await fixture(engine);
    const refused = { message: /every query goes through its trx/ };
    await db.transaction(async (trx) => {
      await t.throwsAsync(async () => await db.knex('parents'), refused);
      await t.throwsAsync(
        db.transaction(async () => undefined),
        refused,
      );
      await trx('parents').insert(parent('inside'));
    });
    t.is((await db.knex('parents')).length, 1);
  });

  engine.test('what is spent once is spent once, whoever races for it', async (t) => {
    const { db, open } = await fixture(engine);
    const other = await open(original);
    await db.knex('parents').insert({ ...parent('code'), enabled: true });
    const spend = (knex: Knex) => knex('parents').where({ id: 'code', enabled: true }).update({ enabled: false });
    const spent = await Promise.all(Array.from({ length: 20 }, (_, i) => spend(i % 2 === 0 ? db.knex : other.knex)));
    t.is(
      spent.reduce((sum, rows) => sum + rows),
      1,
    );
  });

  engine.test('writers in several processes wait for one another', async (t) => {
    const { db, open } = await fixture(engine);
    const other = await open(original);
    await db.knex('parents').insert(parent('counter'));
    const add = (one: typeof db) =>
      one.transaction(async (trx) => {
        const row = await trx('parents').where({ id: 'counter' }).forUpdate().first();
        await trx('parents')
          .where({ id: 'counter' })
          .update({ at: row.at + 1 });
      });
    await Promise.all(Array.from({ length: 100 }, (_, i) => add(i % 2 === 0 ? db : other)));
    t.is((await db.knex('parents').first('at')).at, 100);
  });

  engine.test('values come back as they went in', async (t) => {
    const { db } = await fixture(engine);
    const at = 1_795_000_000_123;
    await db.knex('parents').insert({ ...parent('one'), nickname: null, enabled: false, at });
    const row = await db.knex('parents').where({ enabled: false, at }).first();
    t.deepEqual(Object.keys(row).sort(), ['at', 'enabled', 'id', 'name', 'nickname', 'realm_id']);
    t.is(row.at, at);
    t.is(row.nickname, null);
    t.false(Boolean(row.enabled));
    t.deepEqual(await db.knex('parents').count({ n: '*' }), [{ n: 1 }]);
  });

  engine.test('a property that is undefined takes the default of its column', async (t) => {
    const { db } = await fixture(engine);
    await db.knex('parents').insert({ ...parent('one'), enabled: undefined, nickname: undefined });
    t.true(Boolean((await db.knex('parents').first('enabled')).enabled));
    await db.knex('parents').update({ nickname: 'n', name: undefined });
    t.is((await db.knex('parents').first('name')).name, 'parent one');
  });

  engine.test('every way of writing can answer the rows that it touched', async (t) => {
    const { db } = await fixture(engine);
    t.deepEqual(
      await db
        .knex('parents')
        .insert([parent('a'), parent('b')])
        .returning('id'),
      [{ id: 'a' }, { id: 'b' }],
    );
    t.deepEqual(await db.knex('parents').insert(parent('a')).onConflict().ignore().returning('id'), []);
    t.deepEqual(await db.knex('parents').where({ id: 'a' }).update({ at: 5 }).returning(['id', 'at']), [{ id: 'a', at: 5 }]);
    t.deepEqual(await db.knex('parents').where({ id: 'a' }).delete().returning('id'), [{ id: 'a' }]);
    t.is(await db.knex('parents').where({ id: 'a' }).delete(), 0);
    t.is(await db.knex('parents').where({ id: 'b' }).delete(), 1);
  });

  engine.test('rows can be claimed with SKIP LOCKED', async (t) => {
    const { db } = await fixture(engine);
    await db.knex('parents').insert([parent('a'), parent('b')]);
    const claimed = await db.transaction((trx) => trx('parents').orderBy('id').limit(1).forUpdate().skipLocked().pluck('id'));
    t.deepEqual(claimed, ['a']);
  });

  engine.test('a row that is there already is told from other failures', async (t) => {
    const { db } = await fixture(engine);
    await db.knex('parents').insert(parent('a'));
    const failure = async (row: object, table = 'parents'): Promise<unknown> => {
      try {
        await db.knex(table).insert(row);
      } catch (error) {
        return error;
      }
    };
    t.true(isUniqueViolation(await failure(parent('a'))), 'the primary key');
    t.true(isUniqueViolation(await failure({ ...parent('b'), name: 'parent a' })), 'another unique index');
    t.false(isUniqueViolation(await failure({ realm_id: 'r', id: 'c' })), 'a missing value');
    t.false(isUniqueViolation(await failure({ realm_id: 'r', id: 'c', parent_id: 'nobody' }, 'children')), 'a missing parent');
    t.false(isUniqueViolation(new Error('23505')));
  });

  engine.test('the message of an error does not carry the values', async (t) => {
    const { db } = await fixture(engine);
    await db.knex('parents').insert({ ...parent('a'), nickname: 'a secret' });
    const error = await t.throwsAsync(async () => await db.knex('parents').insert({ ...parent('a'), nickname: 'a secret' }));
    t.false(error?.message.includes('a secret'));
    t.false(error?.stack?.includes('a secret'));
  });

  engine.test('what refers to a row goes with it, and to nothing is refused', async (t) => {
    const { db } = await fixture(engine);
    await db.knex('parents').insert(parent('p'));
    await db.knex('children').insert({ realm_id: 'r', id: 'c', parent_id: 'p' });
    await t.throwsAsync(async () => await db.knex('children').insert({ realm_id: 'other realm', id: 'c', parent_id: 'p' }));
    await db.knex('parents').where({ id: 'p' }).delete();
    t.deepEqual(await db.knex('children'), []);
  });

  engine.test('altering a table keeps what refers to it', async (t) => {
    const { db, open } = await fixture(engine);
    await db.knex('parents').insert([parent('a'), parent('b')]);
    await db.knex('children').insert(['a', 'b', 'b'].map((parent_id) => ({ realm_id: 'r', id: randomUUID(), parent_id })));
    const newer = await open(altered);
    t.is((await newer.knex('children')).length, 3);
    t.false('nickname' in (await newer.knex('parents').first()));
    t.deepEqual(await newer.knex('parents').insert({ realm_id: 'r', id: 'c' }).returning('name'), [{ name: 'nobody' }]);
    await t.throwsAsync(
      async () => await newer.knex('children').insert({ realm_id: 'r', id: 'x', parent_id: 'gone' }),
      undefined,
      'references still hold',
    );
    await newer.knex('parents').where({ id: 'b' }).delete();
    t.is((await newer.knex('children')).length, 1);
    t.is((await db.knex('children')).length, 1, 'the older release sees the same');
  });

  engine.test('a migration that breaks references changes nothing', async (t) => {
    const { db, settings } = await fixture(engine);
    await db.knex('parents').insert(parent('a'));
    await db.knex('children').insert({ realm_id: 'r', id: 'c', parent_id: 'a' });
    const newer = await openDatabase(settings, { migrations: broken });
    atEnd(() => newer.close());
    await t.throwsAsync(newer.migrate());
    t.deepEqual(await db.knex('parents').pluck('id'), ['a']);
    t.deepEqual(await db.knex('children').pluck('parent_id'), ['a']);
    await newer.knex('parents').insert(parent('still working'));
  });

  engine.test('an older release starts beside a newer one', async (t) => {
    const { db, open } = await fixture(engine, altered);
    const older = await open(original);
    await older.knex('parents').insert(parent('a'));
    t.is((await db.knex('parents')).length, 1);
  });

  engine.test('migrations run once and go forward only', async (t) => {
    const { db, open } = await fixture(engine);
    await db.migrate();
    await (await open(original)).migrate();
    t.deepEqual(await db.knex('schema_migrations').pluck('name'), ['0001_first']);
    for (const source of [original, altered]) {
      const migrations = await Promise.all((await source.getMigrations([])).map((name) => source.getMigration(name)));
      for (const { down } of migrations) await t.throwsAsync(async () => await down?.(db.knex), { message: /forward only/ });
    }
  });

  engine.test('processes that start at once against an empty database all come up', async (t) => {
    const config = await engine.settings({ empty: true });
    const children = Array.from({ length: 4 }, () => startChild('./store-child.ts', { config, do: 'migrate' }));
    const ends = await Promise.all(children.map((child) => child.ended));
    t.deepEqual(ends, Array(4).fill({ status: 0, output: 'realms: 0\n' }));
  });

  engine.test('a lock is held by one at a time, across processes, and ends with its holder', async (t) => {
    const config = await engine.settings({ empty: true });
    const db = await openDatabase(config);
    atEnd(() => db.close());
    const child = startChild('./store-child.ts', { config, do: 'hold', lock: 'a-job' });
    await child.said('held');
    let held = false;
    const taken = db.withLock('a-job', async () => {
      held = true;
      return 'mine';
    });
    t.is(await db.withLock('another-job', async () => 'free'), 'free');
    await pause(300);
    t.false(held);
    child.process.kill('SIGKILL');
    t.is(await taken, 'mine');
    await t.throwsAsync(
      db.withLock('a-job', () => Promise.reject(new Error('the work failed'))),
      { message: 'the work failed' },
    );
    t.is(await db.withLock('a-job', async () => 'free again'), 'free again');
    await t.throwsAsync(db.withLock('../elsewhere', async () => undefined));
  });

  engine.test('a change is told when it is committed, and never when it is not', async (t) => {
    const { db } = await fixture(engine);
    const heard: string[] = [];
    db.changes.onChange((topic) => heard.push(topic));
    await db.transaction(async (trx) => {
      await db.changes.announce('realm:committed', trx);
      await trx.transaction((nested) => db.changes.announce('realm:nested', nested));
      await pause(50);
      t.deepEqual(heard, []);
    });
    t.deepEqual(heard.slice(0, 2), ['realm:committed', 'realm:nested'], 'its own process has heard when the transaction is over');
    const failure = db.transaction(async (trx) => {
      await db.changes.announce('realm:rolled back', trx);
      throw new Error('no');
    });
    await t.throwsAsync(failure);
    await db.changes.announce('realm:without a transaction');
    t.true(heard.includes('realm:without a transaction'));
    await pause(100);
    t.false(heard.includes('realm:rolled back'));
  });

  engine.test('a change by another process is heard', async (t) => {
    const { db, settings, open } = await fixture(engine);
    const other = await open(original);
    const heard: string[] = [];
    other.changes.onChange((topic) => heard.push(topic));
    other.changes.poll();
    heard.length = 0;
    await db.transaction(async (trx) => {
      await trx('parents').insert(parent('a'));
      await db.changes.announce('realm:a', trx);
    });
    await until(() => {
      other.changes.poll();
      return heard.length > 0;
    });
    t.deepEqual(heard, [engine.engine === 'sqlite' ? '*' : 'realm:a']);
    const statement = engine.engine === 'sqlite' ? "UPDATE parents SET name = 'other'" : "SELECT pg_notify('cardea', 'realm:b')";
    t.is((await startChild('./store-child.ts', { config: settings, do: 'write', statement }).ended).status, 0);
    await until(() => {
      other.changes.poll();
      return heard.length > 1;
    });
    t.is(heard.length, 2);
  });

  engine.test('closing waits for what runs, and may be asked twice', async (t) => {
    const { db, open } = await fixture(engine);
    const other = await open(original);
    const running = db.transaction(async (trx) => {
      await trx('parents').insert(parent('last'));
      await pause(100);
    });
    await pause(20);
    await Promise.all([db.close(), db.close()]);
    await running;
    t.is((await other.knex('parents')).length, 1);
    await t.throwsAsync(async () => await db.knex('parents'));
    t.notThrows(() => db.changes.poll());
  });

  engine.test('every table that belongs to realms has a key that begins with the realm', async (t) => {
    const db = await engine.database();
    const keys = await primaryKeys(db);
    t.true(keys.size > 20);
    for (const [table, columns] of keys) t.is(columns[0], 'realm_id', table);
    await db.migrate();
  });
});

/** The columns of each primary key, by table, of the tables with a realm. */
async function primaryKeys({ knex, engine }: Database): Promise<Map<string, string[]>> {
  const sqlite = `
    SELECT t.name AS table_name, k.name AS column_name FROM sqlite_schema t, pragma_table_info(t.name) r, pragma_table_info(t.name) k
    WHERE t.type = 'table' AND r.name = 'realm_id' AND k.pk > 0 ORDER BY t.name, k.pk`;
  const postgres = `
    SELECT k.table_name, k.column_name FROM information_schema.key_column_usage k
    JOIN information_schema.table_constraints c USING (constraint_schema, constraint_name)
    JOIN information_schema.columns r ON r.table_schema = k.table_schema AND r.table_name = k.table_name AND r.column_name = 'realm_id'
    WHERE c.constraint_type = 'PRIMARY KEY' ORDER BY k.table_name, k.ordinal_position`;
  const rows: { table_name: string; column_name: string }[] =
    engine === 'sqlite' ? await knex.raw(sqlite) : (await knex.raw<{ rows: { table_name: string; column_name: string }[] }>(postgres)).rows;
  const keys = new Map<string, string[]>();
  for (const { table_name: table, column_name: column } of rows) keys.set(table, [...(keys.get(table) ?? []), column]);
  return keys;
}
