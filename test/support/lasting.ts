/** How long something lasts, where the clock runs on while the test does. */
import type { ExecutionContext } from 'ava';

/** What a slow machine may take between the moment that counts and the answer that tells of it, in seconds. */
const SLACK_SECONDS = 60;

/** Asserts that what was answered as the seconds that are left is so many, or a little less. */
export function lasts(t: ExecutionContext, answered: unknown, seconds: number, message = 'seconds left'): void {
  const left = Number(answered);
  t.true(left <= seconds && left > seconds - SLACK_SECONDS, `${message}: ${left}, of ${seconds}`);
}
