import test from 'ava';
import fc from 'fast-check';
import { afterFailure } from '../../../src/sessions/attempts.ts';

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
