/** Statements whose text is kept: they answer what a query answers, on both engines. */
import test from 'ava';
import type { Knex } from 'knex';
import { openDatabase } from '../../src/store/database.ts';
import { prepared, rounded } from '../../src/store/prepared.ts';
import { atEnd } from '../support/cleanup.ts';
import { type EngineUnderTest, forEachEngine } from '../support/databases.ts';
import { original } from '../support/schema.ts';

async function fixture(engine: EngineUnderTest) {
  const db = await openDatabase(await engine.settings({ empty: true }), { migrations: original });
  atEnd(() => db.close());
  await db.migrate();
  return db;
}

const parent = (id: string, realm = 'r') => ({ realm_id: realm, id, name: `parent ${id}` });
const named = prepared<'realm' | 'id', { name: string; kind: string }>((knex, { realm, id }) =>
  knex('parents')
    .where({ realm_id: realm, id })
    .select('name', knex.raw('? as kind', ['constant'])),
);

test('lists are filled up with what they have already, so that they come in few lengths', (t) => {
  const lengths = Array.from({ length: 10 }, (_, count) => rounded(Array.from({ length: count }, (_one, index) => index)).length);
  t.deepEqual(lengths, [0, 1, 2, 4, 4, 8, 8, 8, 8, 16]);
  t.deepEqual(rounded(['a', 'b', 'c']), ['a', 'b', 'c', 'c']);
});

forEachEngine((engine) => {
  engine.test('a prepared statement answers for the values that it is given, each time', async (t) => {
    const { knex } = await fixture(engine);
    await knex('parents').insert([parent('a'), parent('b'), parent('a', 'other')]);
    for (const id of ['a', 'b', 'a']) t.deepEqual(await named(knex, { realm: 'r', id }), [{ name: `parent ${id}`, kind: 'constant' }]);
    t.deepEqual(await named(knex, { realm: 'r', id: "' OR '1'='1" }), []);
    t.deepEqual(await Promise.all(['a', 'b'].map(async (id) => (await named(knex, { realm: 'r', id })).length)), [1, 1]);
  });

  engine.test('its text is written once for each shape', async (t) => {
    const { knex } = await fixture(engine);
    await knex('parents').insert([parent('a'), parent('b')]);
    const written: number[] = [];
    const first = prepared<'realm', { id: string }, number>((queries, { realm }, many) => {
      written.push(many);
      return queries('parents').where({ realm_id: realm }).orderBy('id').limit(many).select('id');
    });
    for (const many of [1, 2, 1, 2]) t.is((await first(knex, { realm: 'r' }, many)).length, many);
    t.deepEqual(written, [1, 2]);
  });

  engine.test('it writes too, and answers what RETURNING says', async (t) => {
    const { knex } = await fixture(engine);
    await knex('parents').insert({ ...parent('code'), enabled: true });
    const spend = prepared<'id', { id: string }>((queries, { id }) => {
      const unspent = queries('parents').where({ id, enabled: true });
      return unspent.update({ enabled: false }).returning('id');
    });
    const answers = await Promise.all(Array.from({ length: 8 }, () => spend(knex, { id: 'code' })));
    t.deepEqual(answers.flat(), [{ id: 'code' }]);
  });

  engine.test('in a transaction it sees what that did, and beside one it waits for the end or sees nothing of it', async (t) => {
    const db = await fixture(engine);
    const begun = Promise.withResolvers<void>();
    const seen = Promise.withResolvers<number>();
    const running = db.transaction(async (trx) => {
      await trx('parents').insert(parent('a'));
      t.is((await named(trx, { realm: 'r', id: 'a' })).length, 1);
      await t.throwsAsync(named(db.knex, { realm: 'r', id: 'a' }), { message: /every query goes through its trx/ });
      begun.resolve();
      await trx('parents').where({ id: 'a' }).delete();
      if (engine.engine === 'postgres') t.is(await seen.promise, 0);
    });
    await begun.promise;
    const rows = await named(db.knex, { realm: 'r', id: 'a' });
    seen.resolve(rows.length);
    t.is(rows.length, 0, 'what was there for a moment is seen by nobody else');
    await running;
  });

  engine.test('it goes on when a migration adds a column', async (t) => {
    const { knex } = await fixture(engine);
    await knex('parents').insert(parent('a'));
    t.is((await named(knex, { realm: 'r', id: 'a' })).length, 1);
    await knex.schema.alterTable('parents', (table) => table.string('added'));
    t.deepEqual(await named(knex, { realm: 'r', id: 'a' }), [{ name: 'parent a', kind: 'constant' }]);
  });

  engine.test('one that does not name its columns, or misses a value, is refused', async (t) => {
    const { knex } = await fixture(engine);
    const unnamed = (write: (queries: Knex) => Knex.QueryBuilder) => prepared<never, unknown>(write);
    for (const write of [(queries: Knex) => queries('parents'), (queries: Knex) => queries('parents').select('parents.*', 'id')])
      await t.throwsAsync(async () => unnamed(write)(knex, {}), { message: /names its columns/ });
    const byId = prepared<string, unknown>((queries, { id = '' }) => queries('parents').where({ id }).select('id'));
    await t.throwsAsync(async () => byId(knex, {}), { message: /misses its value id/ });
  });
});
