import test from 'ava';
import { realmSettings } from '../../../src/realms/settings.ts';
import { afterFailure as consequence, pausesOf } from '../../../src/sessions/attempts.ts';
import fc from '../../support/property.ts';

const { throttling } = realmSettings.parse({});
const afterFailure = (of: 'password' | 'factor', failures: number) => consequence(of, failures, throttling);

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

test('five failures in a row at a factor end the sign-in', (t) => {
  const ends = Array.from({ length: 20 }, (_, index) => index + 1).filter((failures) => afterFailure('factor', failures).endsTransaction);
  t.deepEqual(ends, [5, 10, 15, 20]);
});

test('from the tenth on, every fifth failure brings a pause twice as long, up to a day', (t) => {
  for (const what of ['password', 'factor'] as const) {
    const pauses = [1, 4, 5, 9, 10, 11, 14, 15, 20, 25, 30, 35, 40, 45, 50, 1000].map((failures) => afterFailure(what, failures).pauseMs / MINUTE);
    t.deepEqual(pauses, [0, 0, 0, 0, 15, 0, 0, 30, 60, 120, 240, 480, 960, 1440, 1440, 1440], what);
  }
});

test('fifty failures disable a factor, and never a password', (t) => {
  t.false(afterFailure('factor', 49).disables);
  t.true(afterFailure('factor', 50).disables);
  t.true(afterFailure('factor', 51).disables);
  t.deepEqual(afterFailure('password', 50), { endsTransaction: false, pauseMs: DAY, disables: false });
});

test('no failure has no consequence', (t) => {
  for (const what of ['password', 'factor'] as const) t.deepEqual(afterFailure(what, 0), { endsTransaction: false, pauseMs: 0, disables: false });
});

test('pauses only grow, and a password never ends or disables anything', (t) => {
  fc.assert(
    fc.property(fc.nat(500), (n) => {
      const [a, b] = [afterFailure('factor', 5 * n), afterFailure('factor', 5 * (n + 1))];
      const password = afterFailure('password', n);
      return b.pauseMs >= a.pauseMs && b.pauseMs <= DAY && !password.endsTransaction && !password.disables;
    }),
  );
  t.pass();
});

test('what the store counts by is the same as what follows from a failure, whatever the numbers', (t) => {
  const limits = fc.record({
    attemptsPerSignIn: fc.integer({ min: 3, max: 10 }),
    pauseAfter: fc.integer({ min: 5, max: 50 }),
    firstPause: fc.integer({ min: 60, max: 86_400 }),
    longestPause: fc.integer({ min: 60, max: 86_400 }),
    disableAfter: fc.integer({ min: 10, max: 100 }),
  });
  fc.assert(
    fc.property(limits, fc.integer({ min: 1, max: 300 }), (numbers, failures) => {
      const { first, every, steps } = pausesOf(numbers);
      const expected = consequence('factor', failures, numbers).pauseMs;
      const isPause = failures >= first && (failures - first) % every === 0;
      const step = steps.find((one) => one.failures === failures) ?? (failures > (steps.at(-1)?.failures ?? 0) ? steps.at(-1) : undefined);
      return (isPause ? (step?.pauseMs ?? -1) : 0) === expected;
    }),
  );
  t.pass();
});

test('the settings have floors: no realm can let guess without an end', (t) => {
  const tries: object[] = [
    { disableAfter: 101 },
    { pauseAfter: 51 },
    { attemptsPerSignIn: 11 },
    { firstPause: 59 },
    { address: { failures: 10_001 } },
  ];
  for (const throttling of tries) t.false(realmSettings.safeParse({ throttling }).success, JSON.stringify(throttling));
});
