/** How often something is asked of somebody by this process. */
import { LRUCache } from 'lru-cache';

/** Of whom a process remembers how often they were asked. */
const REMEMBERED = 2_000;

export interface PaceOptions {
  most: number;
  withinMs: number;
  now(): number;
}

/** Counts by key, before anything is asked. */
export class Pace {
  readonly #options: PaceOptions;
  readonly #counted = new LRUCache<string, { since: number; times: number }>({ max: REMEMBERED });

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** Counts one more. @returns whether it is one that may be asked */
  take(key: string): boolean {
    const { most, withinMs, now } = this.#options;
    const at = now();
    const known = this.#counted.get(key);
    const counted = known && at - known.since < withinMs ? known : { since: at, times: 0 };
    this.#counted.set(key, { ...counted, times: counted.times + 1 });
    return counted.times < most;
  }
}
