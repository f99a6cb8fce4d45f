/** Counters of attempts: what is counted by one statement is counted right, however many come at once. */
import { randomUUID } from 'node:crypto';
import { realmSettings } from '../../../src/realms/settings.ts';
import { pausesOf } from '../../../src/sessions/attempts.ts';
import { type Counters, countAttempt, countFailure, forgetAttempts, giveBack, pausedUntil } from '../../../src/store/attempts.ts';
import { type Database, openDatabase } from '../../../src/store/database.ts';
import { atEnd } from '../../support/cleanup.ts';
import { type EngineUnderTest, forEachEngine } from '../../support/databases.ts';
import { realmRow } from '../../support/rows.ts';

const pauses = pausesOf(realmSettings.parse({}).throttling);
const MINUTE = 60_000;
const NOW = 1_800_000_000_000;

const run = (perSignIn: number | null = null) => ({ subject: `run-${randomUUID()}`, pauses, perSignIn });
const rate = (failures: number, withinMs = 15 * MINUTE) => ({ subject: `rate-${randomUUID()}`, failures, withinMs });

/** Two connections' worth of processes where the engine has them. */
async function fixture(engine: EngineUnderTest): Promise<{ databases: Database[]; realmId: string; knex: Database['knex'] }> {
  const settings = await engine.settings();
  const open = async () => {
    const db = await openDatabase(settings);
    atEnd(() => db.close());
    return db;
  };
  const first = await open();
  const databases = engine.engine === 'postgres' ? [first, await open()] : [first];
  return { databases, realmId: await realmRow(first, NOW), knex: first.knex };
}

forEachEngine((engine) => {
  engine.test('a run pauses at the tenth, and a success ends it', async (t) => {
    const { knex, realmId } = await fixture(engine);
    const counters: Counters = { run: run(), rate: null };
    for (let failures = 1; failures <= 10; failures += 1) t.is(await countAttempt(knex, counters, { realmId, by: 'a', now: NOW }), failures);
    t.is(await countAttempt(knex, counters, { realmId, by: 'a', now: NOW }), undefined);
    t.is((await pausedUntil(knex, realmId, counters)).run, NOW + 15 * MINUTE);
    t.is(await countAttempt(knex, counters, { realmId, by: 'a', now: NOW + 15 * MINUTE }), 11, 'after the pause it goes on counting');
    await giveBack(knex, counters, { realmId, now: NOW });
    t.is(await countAttempt(knex, counters, { realmId, by: 'a', now: NOW }), 1);
  });

  engine.test('a sign-in has five attempts, another one goes on from there', async (t) => {
    const { knex, realmId } = await fixture(engine);
    const counters: Counters = { run: run(5), rate: null };
    const count = (by: string) => countAttempt(knex, counters, { realmId, by, now: NOW });
    for (let failures = 1; failures <= 5; failures += 1) t.is(await count('one'), failures);
    t.is(await count('one'), undefined);
    t.is(await count('other'), 6);
    t.is(await count('one'), 7);
  });

  engine.test('a rate lets so many through, and one more when one has leaked out', async (t) => {
    const { knex, realmId } = await fixture(engine);
    const counters: Counters = { run: null, rate: rate(10, 10_000) };
    const count = (now: number) => countAttempt(knex, counters, { realmId, by: 'a', now });
    for (let times = 0; times < 10; times += 1) t.is(await count(NOW), 0);
    t.is(await count(NOW), undefined);
    t.is((await pausedUntil(knex, realmId, counters)).rate, NOW + 1_000);
    t.is(await count(NOW + 999), undefined);
    t.is(await count(NOW + 1_000), 0);
    t.is(await count(NOW + 1_000), undefined);
    for (let times = 0; times < 10; times += 1) t.is(await count(NOW + 60_000), 0, 'after a while it is empty');
    t.is(await count(NOW + 60_000), undefined);
  });

  engine.test('a success gives back what it was counted, and nothing of the failures before', async (t) => {
    const { knex, realmId } = await fixture(engine);
    const counters: Counters = { run: null, rate: rate(10, 10_000) };
    for (let times = 0; times < 9; times += 1) await countAttempt(knex, counters, { realmId, by: 'a', now: NOW });
    for (let times = 0; times < 50; times += 1) {
      t.is(await countAttempt(knex, counters, { realmId, by: 'a', now: NOW }), 0);
      await giveBack(knex, counters, { realmId, now: NOW });
    }
    t.is(await countAttempt(knex, counters, { realmId, by: 'a', now: NOW }), 0, 'the tenth failure');
    t.is(await countAttempt(knex, counters, { realmId, by: 'a', now: NOW }), undefined);
  });

  engine.test('where one of two refuses, neither is counted', async (t) => {
    const { knex, realmId } = await fixture(engine);
    const [account, address] = [run(), rate(20)];
    const both: Counters = { run: account, rate: address };
    for (let times = 0; times < 10; times += 1) await countAttempt(knex, both, { realmId, by: 'a', now: NOW });
    for (let times = 0; times < 50; times += 1)
      t.is(await countAttempt(knex, both, { realmId, by: 'a', now: NOW }), undefined, 'the account is paused');
    for (let times = 0; times < 10; times += 1) {
      t.is(await countAttempt(knex, { run: run(), rate: address }, { realmId, by: 'a', now: NOW }), 1, 'which costs the address nothing');
    }
    const other = run();
    for (let times = 0; times < 50; times += 1)
      t.is(await countAttempt(knex, { run: other, rate: address }, { realmId, by: 'a', now: NOW }), undefined);
    t.is(await countAttempt(knex, { run: other, rate: null }, { realmId, by: 'a', now: NOW }), 1, 'nor a full address the account');
  });

  engine.test('an attempt that was none is taken back, with the pause that it brought', async (t) => {
    const { knex, realmId } = await fixture(engine);
    const counters: Counters = { run: run(5), rate: rate(20) };
    const count = (by: string) => countAttempt(knex, counters, { realmId, by, now: NOW });
    for (let times = 0; times < 4; times += 1) await count('one');
    t.is(await count('other'), 5);
    await giveBack(knex, counters, { realmId, now: NOW, undo: { broughtPause: false } });
    t.is(await count('other'), 5, 'it is not used up');
    for (let times = 6; times <= 10; times += 1) t.is(await count(`by ${times}`), times);
    t.is(await count('late'), undefined);
    await giveBack(knex, counters, { realmId, now: NOW, undo: { broughtPause: true } });
    t.is(await count('late'), 10);
  });

  engine.test('a hundred at once, from two processes: neither lets one more through', async (t) => {
    const { databases, realmId } = await fixture(engine);
    const at = (index: number) => (databases[index % databases.length] ?? databases[0])?.knex;
    const account = run();
    const address = rate(30);
    const many = (count: (index: number) => Counters) =>
      Promise.all(
        Array.from({ length: 100 }, async (_, index) => {
          const knex = at(index);
          return knex && (await countAttempt(knex, count(index), { realmId, by: `by ${index}`, now: NOW })) !== undefined;
        }),
      );
    t.is((await many(() => ({ run: account, rate: null }))).filter(Boolean).length, 10);
    t.is((await many(() => ({ run: run(), rate: address }))).filter(Boolean).length, 30);
    // The same two rows, counted and given back by many at once: no deadlock, and nothing is left over.
    const [shared, lane] = [{ ...run(), pauses: { ...pauses, first: 1_000_000 } }, rate(10_000)];
    await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const knex = at(index);
        if (!knex) return;
        await countAttempt(knex, { run: shared, rate: lane }, { realmId, by: `by ${index}`, now: NOW });
        await giveBack(knex, { run: index % 2 ? shared : run(), rate: lane }, { realmId, now: NOW });
      }),
    );
    const [first] = databases;
    const row = await first?.knex('attempts').where({ realm_id: realmId, subject: lane.subject }).first('failures');
    t.is(row?.failures, 0);
  });

  engine.test('a rate that refuses nobody says when there are too many, and never fills without an end', async (t) => {
    const { knex, realmId } = await fixture(engine);
    const failures = rate(10, 10_000);
    const free: number[] = [];
    for (let times = 0; times < 100; times += 1) free.push(await countFailure(knex, failures, { realmId, now: NOW }));
    t.true(free.slice(0, 9).every((at) => at <= NOW));
    t.true(free.slice(10).every((at) => at > NOW));
    t.is(free.at(-1), NOW + 11_000, 'an end of the flood is an end of its consequences');
    t.true((await countFailure(knex, failures, { realmId, now: NOW + 30_000 })) <= NOW + 30_000);
  });

  engine.test('what is forgotten begins anew', async (t) => {
    const { knex, realmId } = await fixture(engine);
    const [one, other] = [run(), run()];
    for (let times = 0; times < 10; times += 1) await countAttempt(knex, { run: one, rate: null }, { realmId, by: 'a', now: NOW });
    await countAttempt(knex, { run: other, rate: null }, { realmId, by: 'a', now: NOW });
    t.is(await forgetAttempts(knex, realmId, [one.subject, other.subject, 'never counted'], NOW), 1);
    t.is(await countAttempt(knex, { run: one, rate: null }, { realmId, by: 'a', now: NOW }), 1);
  });
});
