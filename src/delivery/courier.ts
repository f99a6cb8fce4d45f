/**
 * What goes to other people's servers, later and again: webhooks (webhooks/courier.ts), back-channel logouts
 * (logouts/courier.ts), and for logos of applications (logos/courier.ts).
 *
 *     rows that are due ─► claimed ─► sent ─► delivered
 *                                         └► again, ever later, for a day ─► failed
 *
 * Any number of processes work at once: each row is taken by a conditional update for as long as a claim lasts, and a
 * process that is killed leaves claims that run out. A message may so arrive twice, and says by an id that it is the same.
 * One receiver, and one realm, have so many under way at a time, so that whoever answers slowly keeps nobody else waiting.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Claim, Claimed } from '../store/deliveries.ts';
import type { Sent } from './post.ts';

export interface CourierLog {
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

export interface Limits {
  readonly all: number;
  readonly ofReceiver: number;
  readonly ofRealm: number;
}

/** What is brought, and how. */
export interface Errand<Row extends Claimed> {
  /** What they are, for the log: `webhooks`. */
  readonly name: string;
  /** How many may be under way at a time. */
  readonly limits?: Limits;
  log: CourierLog;
  now(): number;
  /** Calls `wake` when this process has made rows: nobody waits for the next look. Answers how to stop it. */
  onNews?(wake: () => void): () => void;
  /** Makes rows of what has happened; answers how much that was. */
  prepare?(): Promise<number>;
  claim(claim: Claim): Promise<Row[]>;
  receiverOf(row: Row): string;
  /** Never throws for what the other side does. */
  send(row: Row): Promise<Sent>;
  /** False, like `putOff`, when the claim had run out: another process has it now. */
  finish(row: Row, state: 'delivered' | 'failed', sent: Sent): Promise<boolean>;
  putOff(row: Row, dueAt: number, sent: Sent): Promise<boolean>;
  /** Told of every attempt whose end could be noted. */
  report(result: 'delivered' | 'again' | 'failed', ms: number): void;
}

const LOOK_EVERY_MS = 1_000;
const LIMITS: Limits = { all: 24, ofReceiver: 4, ofRealm: 8 };
/** Longer than an attempt takes, so that a claim only runs out when its process is gone. */
const CLAIM_MS = 60_000;
const MINUTE = 60_000;
/** When it is tried again after the first, the second, … failure; after the last, about a day later, it is given up. */
const PAUSES_MS = [
  5_000,
  30_000,
  2 * MINUTE,
  10 * MINUTE,
  30 * MINUTE,
  60 * MINUTE,
  2 * 60 * MINUTE,
  4 * 60 * MINUTE,
  6 * 60 * MINUTE,
  10 * 60 * MINUTE,
];
/** So much of a pause, at random, is added to it: what failed together does not come back together. */
const SPREAD = 0.1;

export class Courier<Row extends Claimed> {
  readonly #errand: Errand<Row>;
  /** What is under way, by the row's id. */
  readonly #sending = new Map<string, { row: Row; done: Promise<void> }>();
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> | undefined;
  #stopListening: (() => void) | undefined;
  #closed = false;

  constructor(errand: Errand<Row>) {
    this.#errand = errand;
  }

  /** Begins to look, until `close`. */
  start(): void {
    this.#timer = setInterval(() => void this.deliverDue(), LOOK_EVERY_MS);
    this.#timer.unref();
    this.#stopListening = this.#errand.onNews?.(() => void this.deliverDue());
  }

  /** Sends everything that is due, and resolves when that is done. */
  deliverDue(): Promise<void> {
    this.#work ??= this.#run()
      .catch((err: unknown) => {
        // The database was gone for a moment, or a row is not what it must be. There is a next time.
        this.#errand.log.error({ err }, `${this.#errand.name}: what is due could not be looked for`);
      })
      .finally(() => {
        this.#work = undefined;
      });
    return this.#work;
  }

  /** Finishes what is being sent, and begins nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#stopListening?.();
    await this.#work;
    await Promise.all([...this.#sending.values()].map(({ done }) => done));
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const prepared = (await this.#errand.prepare?.()) ?? 0;
      // Whoever had as much under way as they may can have come to an end with all of it meanwhile.
      const wasBusy = this.#sending.size > 0;
      const begun = await this.#begin();
      if (prepared > 0 || begun > 0 || (wasBusy && this.#sending.size === 0)) continue;
      if (this.#sending.size === 0) return;
      // What happens meanwhile waits for no slow answer.
      await Promise.race([...[...this.#sending.values()].map(({ done }) => done), pause(LOOK_EVERY_MS, undefined, { ref: false })]);
    }
  }

  /** Begins what is due, as far as there is room; answers how much that is. */
  async #begin(): Promise<number> {
    const { name, now, log, claim, receiverOf } = this.#errand;
    const most = this.#errand.limits ?? LIMITS;
    const limit = most.all - this.#sending.size;
    if (limit <= 0) return 0;
    const at = now();
    const rows = await claim({
      now: at,
      until: at + CLAIM_MS,
      limit,
      mostOfReceiver: most.ofReceiver,
      mostOfRealm: most.ofRealm,
      busyReceivers: this.#busy(receiverOf, most.ofReceiver),
      busyRealms: this.#busy((row) => row.realmId, most.ofRealm),
    });
    for (const row of rows) {
      const done = this.#deliver(row)
        .catch((err: unknown) => log.error({ err, delivery: row.id }, `${name}: what became of an attempt could not be noted`))
        .finally(() => this.#sending.delete(row.id));
      this.#sending.set(row.id, { row, done });
    }
    return rows.length;
  }

  #busy(by: (row: Row) => string, most: number): string[] {
    const counts = Map.groupBy([...this.#sending.values()], ({ row }) => by(row));
    return [...counts].flatMap(([key, rows]) => (rows.length >= most ? [key] : []));
  }

  async #deliver(row: Row): Promise<void> {
    const { name, now, log, send, finish, putOff, receiverOf, report } = this.#errand;
    const begun = performance.now();
    const sent = await send(row);
    const ms = performance.now() - begun;
    const pauseMs = sent.ok || sent.gone ? undefined : PAUSES_MS[row.attempts - 1];
    const result = sent.ok ? 'delivered' : pauseMs === undefined ? 'failed' : 'again';
    const noted =
      pauseMs === undefined
        ? await finish(row, sent.ok ? 'delivered' : 'failed', sent)
        : await putOff(row, now() + Math.round(pauseMs * (1 + Math.random() * SPREAD)), sent);
    if (noted) report(result, ms);
    const about = { realm: row.realmId, to: receiverOf(row), reason: sent.error, again: result === 'again' };
    if (!sent.ok) log.warn(about, `${name}: an attempt failed`);
  }
}
