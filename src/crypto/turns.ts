/**
 * Work that only so much of may run at once: the rest waits in lanes, one for each address that it comes from, and each
 * lane gets its turn. Who sends a thousand passwords waits behind himself.
 *
 * While there is room in the queue any lane may have all of it: an office behind one address is not held up for nothing.
 * When it is full, whoever comes takes the place of the last in the longest lane, unless that is his own.
 */
import { busy } from '../errors.ts';
import { say } from '../languages/messages.ts';

/** How long to wait before trying again, in seconds. */
const RETRY_AFTER = 2;

interface Waiting {
  begin(): void;
  turnAway(): void;
}

export class Turns {
  readonly #concurrency: number;
  readonly #limit: number;
  /** The first lane is next; one that had its turn goes to the end. */
  readonly #lanes = new Map<string, Waiting[]>();
  #running = 0;
  #waiting = 0;
  /** Told how long somebody has waited for a turn, in milliseconds. */
  onWait: (ms: number) => void = () => undefined;

  /** @param options.limit how many may wait */
  constructor(options: { concurrency: number; limit: number }) {
    this.#concurrency = options.concurrency;
    this.#limit = options.limit;
  }

  get load(): { running: number; waiting: number } {
    return { running: this.#running, waiting: this.#waiting };
  }

  /** @throws AppError `busy` when there is no room, or somebody else needs it more */
  async take<T>(lane: string, work: () => Promise<T>): Promise<T> {
    const came = performance.now();
    if (this.#running >= this.#concurrency) await this.#wait(lane);
    else this.#running += 1;
    this.onWait(performance.now() - came);
    try {
      return await work();
    } finally {
      const next = this.#next();
      // Whoever ends hands over the place without lowering the count, so that nobody slips in between.
      if (next === undefined) this.#running -= 1;
      else next.begin();
    }
  }

  #wait(lane: string): Promise<void> {
    if (this.#waiting >= this.#limit && !this.#makeRoom(lane)) throw busy(say('error.busy'), RETRY_AFTER);
    return new Promise<void>((resolve, reject) => {
      const waiting = { begin: resolve, turnAway: () => reject(busy(say('error.busy'), RETRY_AFTER)) };
      const queue = this.#lanes.get(lane);
      if (queue) queue.push(waiting);
      else this.#lanes.set(lane, [waiting]);
      this.#waiting += 1;
    });
  }

  /** Turns the last of the longest lane away, if that is longer than this one would be. */
  #makeRoom(lane: string): boolean {
    let longest: Waiting[] = [];
    for (const queue of this.#lanes.values()) if (queue.length > longest.length) longest = queue;
    if (longest.length <= (this.#lanes.get(lane)?.length ?? 0) + 1) return false;
    longest.pop()?.turnAway();
    this.#waiting -= 1;
    return true;
  }

  #next(): Waiting | undefined {
    const [first] = this.#lanes;
    if (first === undefined) return undefined;
    const [lane, queue] = first;
    const next = queue.shift();
    this.#lanes.delete(lane);
    if (queue.length > 0) this.#lanes.set(lane, queue);
    this.#waiting -= 1;
    return next;
  }
}
