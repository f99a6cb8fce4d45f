/** A bar on standard error while something long is done: for whoever watches at a terminal, and for nobody else. */
import { printable } from './output.ts';
import type { Terminal } from './terminal.ts';

/** Told how much is done, and of how much. */
export type Progress = (done: number, all: number) => void;

const WIDTH = 24;
/** More often nobody sees it. */
const REDRAWN_EVERY_MS = 100;

/** Runs `work` under a bar with that label, which is gone when the work is over. */
export async function withProgress<T>(terminal: Terminal, label: string, work: (progress: Progress) => Promise<T>): Promise<T> {
  if (terminal.stderr.isTTY !== true) return work(() => undefined);
  let drawn = Number.NEGATIVE_INFINITY;
  try {
    return await work((done, all) => {
      const now = performance.now();
      if (now - drawn < REDRAWN_EVERY_MS && done < all) return;
      drawn = now;
      terminal.stderr.write(`\r\u001b[K${bar(label, done, all)}`);
    });
  } finally {
    terminal.stderr.write('\r\u001b[K');
  }
}

/** `Re-encrypting staff  ████░░░░  12 of 48`; the whole is never less than what is done. */
function bar(label: string, done: number, all: number): string {
  const whole = Math.max(done, all, 1);
  const full = Math.floor((done / whole) * WIDTH);
  return `${printable(label)}  ${'█'.repeat(full)}${'░'.repeat(WIDTH - full)}  ${done} of ${Math.max(done, all)}`;
}
