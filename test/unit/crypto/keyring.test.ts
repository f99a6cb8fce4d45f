import { randomBytes } from 'node:crypto';
import test from 'ava';
import { type DataKeyRow, derive, type KeyProvider, Keyring, masterKeyProvider } from '../../../src/crypto/keyring.ts';
import { keyIdOf, type SealContext } from '../../../src/crypto/seal.ts';
import { AUDIT_KEY } from '../../support/keyring.ts';

const place = (realm: string): SealContext => ({ purpose: 'p', realm, row: 'r', column: 'c' });

/** A table of data keys that several processes share. */
function table() {
  const rows: DataKeyRow[] = [];
  const reads: string[] = [];
  const provider = masterKeyProvider([{ id: 'm1', bytes: randomBytes(32) }]);
  const load = async (realmId: string): Promise<DataKeyRow[]> => {
    reads.push(realmId);
    return rows.filter((row) => row.realmId === realmId);
  };
  return { rows, reads, provider, process: (other: KeyProvider = provider) => new Keyring(other, load, AUDIT_KEY) };
}

test('a new realm seals before its key is stored, and another process opens it afterwards', async (t) => {
  const shared = table();
  const here = shared.process();
  const { row } = await here.mint('a', 1_000);
  t.like(row, { realmId: 'a', createdAt: 1_000 });
  const sealed = await here.seal(place('a'), 'secret');
  t.is(shared.reads.length, 0, 'no query: the caller is inside a transaction');
  t.is(await here.openText(place('a'), sealed), 'secret');

  shared.rows.push(row);
  here.forget('a');
  t.is(await shared.process().openText(place('a'), sealed), 'secret');
  t.is(await here.openText(place('a'), sealed), 'secret');
});

test('the rows hold the key wrapped', async (t) => {
  const { row } = await table().process().mint('a', 1);
  t.regex(row.wrapped, /^v1\|m1\|/);
  t.regex(row.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test('the rows are read once, however many ask at the same time', async (t) => {
  const shared = table();
  shared.rows.push((await shared.process().mint('a', 1)).row);
  const here = shared.process();
  await Promise.all(Array.from({ length: 20 }, () => here.seal(place('a'), 'x')));
  await here.seal(place('a'), 'x');
  t.deepEqual(shared.reads, ['a']);
});

test('the newest key seals and the older ones open', async (t) => {
  const shared = table();
  const first = shared.process();
  shared.rows.push((await first.mint('a', 1)).row);
  const old = await first.seal(place('a'), 'old');
  const row = await shared.process().mintNext('a', 2);
  shared.rows.unshift(row);

  const later = shared.process();
  t.is(keyIdOf(await later.seal(place('a'), 'new')), row.id);
  t.is(await later.openText(place('a'), old), 'old');
});

test('a key that another process made a moment ago is found by reading once more', async (t) => {
  const shared = table();
  const here = shared.process();
  shared.rows.push((await here.mint('a', 1)).row);
  await here.seal(place('a'), 'x');

  const there = shared.process();
  await there.seal(place('a'), 'x');
  shared.rows.push(await there.mintNext('a', 2));
  there.changed('realm:a');
  const sealed = await there.seal(place('a'), 'new');

  const before = shared.reads.length;
  t.is(await here.openText(place('a'), sealed), 'new');
  t.is(shared.reads.length, before + 1);
  await here.openText(place('a'), sealed);
  t.is(shared.reads.length, before + 1);
});

test('an unknown key is read for once and then refused', async (t) => {
  const shared = table();
  shared.rows.push((await shared.process().mint('a', 1)).row);
  const here = shared.process();
  const sealed = await here.seal(place('a'), 'x');
  const before = shared.reads.length;
  await t.throwsAsync(here.open(place('a'), sealed.replace(keyIdOf(sealed), 'gone')), { code: 'corrupted' });
  t.is(shared.reads.length, before + 1);
  t.is(await here.openText(place('a'), sealed), 'x', 'nothing is lost by it');
});

test('a further key does not seal before it is stored, and then from the next sealing on', async (t) => {
  for (const topic of ['realm:a', '*']) {
    const shared = table();
    shared.rows.push((await shared.process().mint('a', 1)).row);
    const here = shared.process();
    const there = shared.process();
    await Promise.all([here, there].map((process) => process.seal(place('a'), 'x')));
    const row = await here.mintNext('a', 2);
    t.not(keyIdOf(await here.seal(place('a'), 'x')), row.id);
    shared.rows.push(row);
    t.not(keyIdOf(await there.seal(place('a'), 'x')), row.id, 'nobody has told');
    there.changed('realm:b');
    t.not(keyIdOf(await there.seal(place('a'), 'x')), row.id);
    there.changed(topic);
    const reads = shared.reads.length;
    const sealed = await Promise.all(Array.from({ length: 10 }, () => there.seal(place('a'), 'x')));
    t.true(sealed.every((value) => keyIdOf(value) === row.id));
    t.is(shared.reads.length, reads + 1, 'one look for all');
  }
});

test.serial('where the notice of a newer key is lost, it is found within a minute', async (t) => {
  const shared = table();
  shared.rows.push((await shared.process().mint('a', 1)).row);
  const here = shared.process();
  await here.seal(place('a'), 'x');
  const row = await here.mintNext('a', 2);
  shared.rows.push(row);
  const realNow = performance.now.bind(performance);
  performance.now = () => realNow() + 61_000;
  try {
    t.is(keyIdOf(await here.seal(place('a'), 'x')), row.id);
  } finally {
    performance.now = realNow;
  }
});

test('a change elsewhere does not take the key of a realm that is just being made', async (t) => {
  const here = table().process();
  await here.mint('a', 1);
  here.changed('*');
  await t.notThrowsAsync(here.seal(place('a'), 'x'));
});

test('a minted key that was not stored is forgotten', async (t) => {
  const shared = table();
  const here = shared.process();
  await here.mint('a', 1);
  here.forget('a');
  await t.throwsAsync(here.seal(place('a'), 'x'), { code: 'corrupted', message: /no data key/ });
});

test('what was being read when the realm was forgotten is not kept', async (t) => {
  const shared = table();
  shared.rows.push((await shared.process().mint('a', 1)).row);
  const here = shared.process();
  const reading = here.seal(place('a'), 'x');
  here.forget('a');
  await reading;
  await here.seal(place('a'), 'x');
  t.is(shared.reads.length, 2);
});

test('a realm without a key is an alarm, and asked for again the next time', async (t) => {
  const shared = table();
  const here = shared.process();
  await t.throwsAsync(here.seal(place('a'), 'x'), { code: 'corrupted' });
  shared.rows.push((await shared.process().mint('a', 1)).row);
  t.is(await here.openText(place('a'), await here.seal(place('a'), 'x')), 'x');
});

test('a database that fails once does not fail for ever', async (t) => {
  const shared = table();
  const { row } = await shared.process().mint('a', 1);
  let fail = true;
  const here = new Keyring(
    shared.provider,
    async () => {
      if (fail) throw new Error('no connection');
      return [row];
    },
    AUDIT_KEY,
  );
  await t.throwsAsync(here.seal(place('a'), 'x'), { message: 'no connection' });
  fail = false;
  t.is(await here.openText(place('a'), await here.seal(place('a'), 'x')), 'x');
});

test('F02 a value sealed in one realm does not open in another, nor does a data key that was moved there', async (t) => {
  const shared = table();
  const here = shared.process();
  const { row } = await here.mint('a', 1);
  shared.rows.push(row, (await here.mint('b', 1)).row);
  const sealed = await here.seal(place('a'), 'x');
  await t.throwsAsync(here.open(place('b'), sealed), { code: 'corrupted' });

  shared.rows.push({ ...row, realmId: 'b' });
  await t.throwsAsync(shared.process().open(place('b'), sealed), { code: 'corrupted' });
});

test('the wrong master key opens nothing', async (t) => {
  const shared = table();
  shared.rows.push((await shared.process().mint('a', 1)).row);
  await t.throwsAsync(shared.process(masterKeyProvider([{ id: 'm1', bytes: randomBytes(32) }])).seal(place('a'), 'x'), { code: 'corrupted' });
});

test('derived keys depend on secret and purpose, and are stable', (t) => {
  const secret = Buffer.alloc(32, 7);
  t.deepEqual(derive(secret, 'cookies'), derive(secret, 'cookies'));
  t.notDeepEqual(derive(secret, 'cookies'), derive(secret, 'throttle'));
  t.notDeepEqual(derive(secret, 'cookies'), derive(Buffer.alloc(32, 8), 'cookies'));
  t.is(derive(secret, 'cookies').length, 32);
  t.is(derive(secret, 'cookies', 64).length, 64);
});

test('derive is HKDF-SHA-256', (t) => {
  // RFC 5869 appendix A.3: no salt, no info.
  t.is(
    derive(Buffer.alloc(22, 0x0b), '', 42).toString('hex'),
    '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
  );
});
