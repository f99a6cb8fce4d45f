/** Waiting for what comes about by itself soon, and later on a machine that is busy. */
import { setTimeout as pause } from 'node:timers/promises';

/** Far more than anything takes, in milliseconds: whoever waits so long has found a mistake. */
const PATIENCE_MS = 60_000;

/** Answers whether it holds, as soon as it does. By a clock that no test moves. */
export async function until(holds: () => Promise<boolean> | boolean): Promise<boolean> {
  for (const begun = performance.now(); performance.now() - begun < PATIENCE_MS; await pause(20)) if (await holds()) return true;
  return holds();
}
