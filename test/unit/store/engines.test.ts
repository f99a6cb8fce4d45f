import test from 'ava';
import { openDatabase } from '../../../src/store/database.ts';
import { atEnd } from '../../support/cleanup.ts';
import { onPostgres, temporaryFolder } from '../../support/databases.ts';
import { until } from '../../support/until.ts';

onPostgres.test('the connection that hears of changes comes back, and says that something may have been missed', async (t) => {
  const warnings: string[] = [];
  const db = await openDatabase(await onPostgres.settings(), { warn: (message) => warnings.push(message) });
  atEnd(() => db.close());
  const heard: string[] = [];
  db.changes.onChange((topic) => heard.push(topic));
  const end = () => db.knex.raw("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'");
  for (const times of [1, 2]) {
    await end();
    await until(() => heard.length >= times);
    t.deepEqual(heard, Array(times).fill('*'));
  }
  t.is(warnings.length, 2);
  heard.length = 0;
  await db.knex.raw("SELECT pg_notify('cardea', 'realm:a')");
  await until(() => heard.length >= 1);
  t.deepEqual(heard, ['realm:a']);
  // Closing while it is away must end its tries.
  await end();
  await db.close();
  t.pass();
});

onPostgres.test('times and counts arrive as numbers', async (t) => {
  const db = await onPostgres.database();
  const { rows } = await db.knex.raw('SELECT 1795000000123::bigint AS at, count(*) AS n FROM realms');
  t.deepEqual(rows, [{ at: 1_795_000_000_123, n: 0 }]);
});

test('a database that cannot be reached is said so, without the password', async (t) => {
  const dataDir = temporaryFolder();
  const error = await t.throwsAsync(openDatabase({ databaseUrl: 'postgresql://someone:secret-word@127.0.0.1:1/cardea', dataDir }));
  t.regex(error?.message ?? '', /DATABASE_URL.*ECONNREFUSED/);
  t.false(error?.message.includes('secret-word'));
});
