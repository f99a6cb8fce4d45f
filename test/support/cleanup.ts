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
  for (const step of steps.reverse()) await step();
});
