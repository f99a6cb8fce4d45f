import test from 'ava';
import { Turns } from '../../../src/crypto/turns.ts';
import { AppError } from '../../../src/errors.ts';

/** Work that ends when it is told to. */
function bench(options: { concurrency: number; limit: number }) {
  const turns = new Turns(options);
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const refused: string[] = [];
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return {
    turns,
    begun,
    refused,
    async come(lane: string, name: string): Promise<void> {
      turns
        .take(lane, () => {
          begun.push(name);
          return new Promise<void>((resolve) => ends.push(resolve));
        })
        .catch((error: unknown) => {
          if (!(error instanceof AppError) || error.code !== 'busy' || error.retryAfter === undefined) throw error;
          refused.push(name);
        });
      await settle();
    },
    async end(): Promise<void> {
      ends.shift()?.();
      await settle();
    },
  };
}

test('lanes take turns, and each keeps its order', async (t) => {
  const { turns, begun, come, end } = bench({ concurrency: 1, limit: 100 });
  for (const name of ['a0', 'a1', 'a2', 'a3', 'b1', 'b2', 'c1']) await come(name[0] ?? '', name);
  t.deepEqual(turns.load, { running: 1, waiting: 6 });
  for (let times = 0; times < 7; times += 1) await end();
  t.deepEqual(begun, ['a0', 'a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  t.deepEqual(turns.load, { running: 0, waiting: 0 });
});

test('one address may have the whole queue while nobody else wants it, and loses it to whoever comes', async (t) => {
  const { turns, begun, refused, come, end } = bench({ concurrency: 1, limit: 4 });
  for (const name of ['a0', 'a1', 'a2', 'a3', 'a4', 'a5']) await come('a', name);
  t.deepEqual(refused, ['a5']);
  await come('b', 'b1');
  await come('b', 'b2');
  t.deepEqual(refused, ['a5', 'a4', 'a3'], 'its last ones make room');
  await come('b', 'b3');
  await come('a', 'a6');
  t.deepEqual(refused, ['a5', 'a4', 'a3', 'b3', 'a6'], 'until both have as many');
  await come('c', 'c1');
  t.is(refused.length, 6);
  for (let times = 0; times < 5; times += 1) await end();
  t.is(begun.length, 5);
  t.true(begun.includes('c1'));
  t.deepEqual(turns.load, { running: 0, waiting: 0 });
});

test('what fails hands over its place as well', async (t) => {
  const turns = new Turns({ concurrency: 1, limit: 10 });
  const failing = t.throwsAsync(
    turns.take('a', () => Promise.reject(new Error('broken'))),
    { message: 'broken' },
  );
  t.is(await turns.take('b', async () => 'done'), 'done');
  await failing;
  t.deepEqual(turns.load, { running: 0, waiting: 0 });
});
