import * as argon2 from '@node-rs/argon2';
import test from 'ava';
import { type Argon2, Argon2Hasher, type Argon2Options } from '../../../src/crypto/passwords.ts';
import type { PasswordHasher } from '../../../src/factors/factor.ts';

/** Weak on purpose: the tests are about what is called, not about how long it takes. */
const options: Argon2Options = { memoryKiB: 64, passes: 1, parallelism: 1 };

/** The real library, and what was asked of it. */
function counted(overrides: Partial<Argon2Options> = {}) {
  const calls = { hash: 0, verified: [] as string[] };
  const library: Argon2 = {
    hash: (password, parameters) => {
      calls.hash += 1;
      return argon2.hash(password, parameters);
    },
    verify: (phc, password) => {
      calls.verified.push(phc);
      return argon2.verify(phc, password);
    },
  };
  return { calls, hasher: new Argon2Hasher({ ...options, ...overrides }, library) };
}

/** A library whose work ends when the test says so. */
function held() {
  const ends: (() => void)[] = [];
  const seen: string[] = [];
  const work = async (password: string): Promise<void> => {
    seen.push(password);
    await new Promise<void>((resolve) => ends.push(resolve));
  };
  const library: Argon2 = {
    hash: async (password) => {
      await work(password);
      if (password === 'fails') throw new Error('out of memory');
      return password;
    },
    verify: async (_, password) => {
      await work(password);
      return true;
    },
  };
  return { ends, seen, library };
}

const parametersOf = (phc: string | undefined): string => (phc ?? '').split('$').slice(0, 4).join('$');
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a hash verifies its password and no other', async (t) => {
  const hasher: PasswordHasher = new Argon2Hasher(options);
  const phc = await hasher.hash('correct horse battery staple');
  t.regex(phc, /^\$argon2id\$v=19\$m=64,t=1,p=1\$/);
  t.true(await hasher.verify(phc, 'correct horse battery staple'));
  t.false(await hasher.verify(phc, 'Correct horse battery staple'));
  t.false(await hasher.verify(phc, ''));
  t.not(await hasher.hash('correct horse battery staple'), phc, 'salted');
});

test('the default parameters are those of the settings', async (t) => {
  const hasher = new Argon2Hasher({ memoryKiB: 7168, passes: 5, parallelism: 1 });
  t.regex(await hasher.hash('x'), /^\$argon2id\$v=19\$m=7168,t=5,p=1\$/);
});

test('one password typed on two keyboards is the same (NFKC)', async (t) => {
  const hasher = new Argon2Hasher(options);
  t.true(await hasher.verify(await hasher.hash('Ångström ﬁ'), 'A\u030angstro\u0308m fi'));
});

test('hashes made with other parameters verify, and are noticed', async (t) => {
  const hasher = new Argon2Hasher(options);
  const imported = await argon2.hash('x', { memoryCost: 128, timeCost: 2, parallelism: 2 });
  t.true(await hasher.verify(imported, 'x'));
  t.false(await hasher.verify(imported, 'y'));
  t.true(hasher.needsRehash(imported));
  t.false(hasher.needsRehash(await hasher.hash('x')));
  for (const changed of [{ memoryKiB: 65 }, { passes: 2 }, { parallelism: 2, memoryKiB: 64 }]) {
    t.true(hasher.needsRehash(await new Argon2Hasher({ ...options, ...changed }).hash('x')), JSON.stringify(changed));
  }
  t.true(hasher.needsRehash(await argon2.hash('x', { memoryCost: 64, timeCost: 1, parallelism: 1, outputLen: 16 })), 'a shorter hash');
  t.true(hasher.needsRehash(await argon2.hash('x', { memoryCost: 64, timeCost: 1, parallelism: 1, salt: Buffer.alloc(8, 1) })), 'a shorter salt');
  t.true(hasher.needsRehash('$2b$10$abcdefghijklmnopqrstuv'));
  t.true(hasher.needsRehash(''));
});

test('D01 an unknown user costs exactly the verification that a known one costs', async (t) => {
  const { calls, hasher } = counted();
  const phc = await hasher.hash('x');
  calls.hash = 0;

  t.false(await hasher.verify(undefined, 'x'));
  t.is(calls.hash, 0, 'the decoy is not hashed for the occasion');
  t.is(calls.verified.length, 1);
  await hasher.verify(phc, 'x');
  t.is(calls.verified.length, 2);
  t.is(parametersOf(calls.verified[0]), parametersOf(phc), 'with the parameters of a fresh hash');
});

test('the decoy fits no password and is a different one in every process', async (t) => {
  const [a, b] = [counted(), counted()];
  for (const password of ['', 'x', 'password', a.calls.verified[0] ?? '']) t.false(await a.hasher.verify(undefined, password));
  await b.hasher.verify(undefined, '');
  t.not(a.calls.verified[0], b.calls.verified[0]);
  t.is(new Set(a.calls.verified).size, 1, 'one decoy for all');
  t.false(a.hasher.needsRehash(a.calls.verified[0] ?? ''));
});

test('a password that is too long is no text to hash, and costs the same as a wrong one', async (t) => {
  const { calls, hasher } = counted();
  const phc = await hasher.hash('x'.repeat(1024));
  t.true(await hasher.verify(phc, 'x'.repeat(1024)));
  const bad = ['x'.repeat(1025), 'ü'.repeat(513), 'ﷺ'.repeat(100), 'x'.repeat(10_000_000), 'half \ud800'];
  for (const password of bad) {
    t.like(await t.throwsAsync(hasher.hash(password)), { code: 'bad_input', field: 'password' });
    const before = calls.verified.length;
    t.false(await hasher.verify(phc, password));
    t.false(await hasher.verify(undefined, password));
    t.is(calls.verified.length, before + 2);
  }
});

test('a stored value that is no argon2id hash is an alarm, not a wrong password', async (t) => {
  const { calls, hasher } = counted();
  const broken = [
    '',
    'x',
    '$argon2id$',
    '$argon2id$v=19$m=64,t=1,p=1$AAAA',
    '$2b$10$abcdefghijklmnopqrstuv',
    (await argon2.hash('x', { memoryCost: 64, timeCost: 1 })).replace('argon2id', 'argon2i'),
  ];
  for (const phc of broken) await t.throwsAsync(hasher.verify(phc, 'x'), { code: 'corrupted' }, phc);
  t.is(calls.verified.length, 0);
});

test('an imported hash cannot ask for all the memory or for minutes', async (t) => {
  const { calls, hasher } = counted();
  const phc = await hasher.hash('x');
  for (const parameters of ['m=4194304,t=1,p=1', 'm=64,t=100000,p=1', 'm=2048,t=1,p=255']) {
    await t.throwsAsync(hasher.verify(phc.replace('m=64,t=1,p=1', parameters), 'x'), { code: 'corrupted' }, parameters);
  }
  t.is(calls.verified.length, 0);
});

test('no more run at once than allowed; the rest wait in order, and beyond the queue it is busy', async (t) => {
  const { ends, seen, library } = held();
  const hasher = new Argon2Hasher({ ...options, concurrency: 2, queueLimit: 2 }, library);
  const results = ['a', 'b', 'c', 'd'].map((password) => hasher.hash(password));
  t.deepEqual(hasher.load, { running: 2, waiting: 2 });
  t.like(await t.throwsAsync(hasher.hash('e')), { code: 'busy', status: 503, retryAfter: 2 });
  await t.throwsAsync(hasher.verify(undefined, 'e'), { code: 'busy' });
  t.deepEqual(seen, ['a', 'b']);

  ends.shift()?.();
  await results[0];
  await settled();
  t.deepEqual(seen, ['a', 'b', 'c']);
  t.deepEqual(hasher.load, { running: 2, waiting: 1 });

  const late = hasher.hash('f');
  while (hasher.load.running > 0) {
    ends.shift()?.();
    await settled();
  }
  t.deepEqual(await Promise.all([...results, late]), ['a', 'b', 'c', 'd', 'f']);
  t.deepEqual(hasher.load, { running: 0, waiting: 0 });
});

test('a hash that fails gives its place to the next', async (t) => {
  const { ends, seen, library } = held();
  const hasher = new Argon2Hasher({ ...options, concurrency: 1, queueLimit: 1 }, library);
  const failing = hasher.hash('fails');
  const next = hasher.hash('next');
  ends.shift()?.();
  await t.throwsAsync(failing, { message: 'out of memory' });
  await settled();
  t.deepEqual(seen, ['fails', 'next']);
  ends.shift()?.();
  t.is(await next, 'next');
  t.deepEqual(hasher.load, { running: 0, waiting: 0 });
});

test('by default fifty at once are all answered', async (t) => {
  const hasher = new Argon2Hasher(options);
  const phc = await hasher.hash('x');
  const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => hasher.verify(phc, index % 2 === 0 ? 'x' : 'y')));
  t.is(answers.filter(Boolean).length, 25);
});
