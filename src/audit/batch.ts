/**
 * Rows of what happens all the time and changes nothing, such as a sign-in that a session answers: they are written many
 * at once, soon after, so that no request waits for them. What must not be lost is not recorded this way.
 */
import type { Queries } from '../store/rows.ts';
import type { AuditEvent, AuditOrigin } from './event.ts';
import { recordAll } from './record.ts';

/** Written when so many have come together, or so many milliseconds after the first. */
const MOST = 100;
const AFTER_MS = 500;
/** More than this wait only when the database does not keep up; then the oldest go. */
const MOST_WAITING = 10_000;

export class AuditBatch {
  readonly #queries: Queries;
  readonly #onFault: (error: unknown) => void;
  #waiting: { origin: AuditOrigin; event: AuditEvent }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(queries: Queries, onFault: (error: unknown) => void) {
    this.#queries = queries;
    this.#onFault = onFault;
  }

  add(origin: AuditOrigin, event: AuditEvent): void {
    this.#waiting.push({ origin, event });
    if (this.#waiting.length >= MOST_WAITING) this.#waiting.shift();
    if (this.#waiting.length >= MOST) void this.flush();
    else this.#timer ??= setTimeout(() => void this.flush(), AFTER_MS).unref();
  }

  /** Resolves when everything that was added is written. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    for (let batch = this.#waiting.splice(0, MOST); batch.length > 0; batch = this.#waiting.splice(0, MOST)) {
      try {
        await recordAll(this.#queries, batch);
      } catch (error) {
        this.#onFault(error);
      }
    }
  }
}
