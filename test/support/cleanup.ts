/** What a test file sets up and must take down when all of its tests are over, whatever came of them. */
import test from 'ava';

const steps: (() => unknown)[] = [];

/**
 * Takes something down at the end of the test file. The last set up goes first, so that what uses a database is closed
 * before the database is dropped; ava would run several `after` hooks at once.
 */
export function atEnd(step: () => unknown): void {
  steps.push(step);
}

test.after.always('what the tests set up is taken down', async () => {
  const failures: unknown[] = [];
  for (const step of steps.reverse()) {
    try {
      await step();
    } catch (error) {
      // What is left is taken down all the same.
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures.length === 1 ? failures[0] : new AggregateError(failures);
});
