/**
 * Tells webhooks what happened.
 *
 *     audit row, marked ─► a delivery for each webhook that wants it ─► sent ─► delivered
 *                                                                     └► again, ever later, for a day ─► failed
 *
 * The mark is written by the statement that writes the row, so nothing that was committed is forgotten, and a sign-in does
 * nothing more for it. Any number of processes work at once: each delivery is taken by a conditional update for as long as
 * a claim lasts, and a process that is killed leaves claims that run out. A message may so arrive twice, with the same
 * `webhook-id`. One webhook, and one realm, have so many under way at a time, so that whoever answers slowly keeps nobody
 * else waiting; and so many may wait for one webhook: what is beyond that is counted and dropped.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { timeOrderedId } from '../../crypto/codes.ts';
import type { Keyring } from '../../crypto/keyring.ts';
import { isCorrupted } from '../../errors.ts';
import type { Database } from '../../store/database.ts';
import {
  claimDeliveries,
  countDropped,
  type DeliveryRow,
  dispatchOf,
  finishDelivery,
  insertDeliveries,
  isAnythingUntold,
  type Listener,
  listenersIn,
  lockUntold,
  markTold,
  type NewDelivery,
  putOffDelivery,
  type UntoldEvent,
} from '../../store/webhook-deliveries.ts';
import { messageOf, type Send, type Sent, secretsIn, sendMessage } from './message.ts';
import { wants } from './patterns.ts';

export interface CourierDeps {
  db: Database;
  keyring: Keyring;
  send: Send;
  now(): number;
  log: { warn(details: object, message: string): void; error(details: object, message: string): void };
  /** Told of every attempt, and of what was dropped. */
  report(what: { result: 'delivered' | 'again' | 'failed'; ms: number } | { result: 'dropped'; count: number }): void;
}

const LOOK_EVERY_MS = 1_000;
/** Rows that are told of in one transaction. */
const EVENTS_AT_ONCE = 200;
const MOST_SENDING = 24;
const MOST_OF_WEBHOOK = 4;
const MOST_OF_REALM = 8;
/** As much waits for one webhook, and no more: about a day of a realm with seven events a minute. */
export const MOST_WAITING = 10_000;
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

export class Courier {
  readonly #deps: CourierDeps;
  /** What is under way, by the delivery's id. */
  readonly #sending = new Map<string, { row: DeliveryRow; done: Promise<void> }>();
  #timer: NodeJS.Timeout | undefined;
  #work: Promise<void> | undefined;
  #closed = false;

  constructor(deps: CourierDeps) {
    this.#deps = deps;
  }

  /** Begins to look, until `close`. */
  start(): void {
    this.#timer = setInterval(() => void this.deliverDue(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** Sends everything that is due, and resolves when that is done. */
  deliverDue(): Promise<void> {
    this.#work ??= this.#run()
      .catch((err: unknown) => {
        // The database was gone for a moment, or a row is not what it must be. There is a next time.
        this.#deps.log.error({ err }, 'webhooks could not be told');
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
    await this.#work;
    await Promise.all([...this.#sending.values()].map(({ done }) => done));
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const told = await this.#tell();
      // Whoever had as much under way as they may can have come to an end with all of it meanwhile.
      const wasBusy = this.#sending.size > 0;
      const begun = await this.#begin();
      if (told > 0 || begun > 0 || (wasBusy && this.#sending.size === 0)) continue;
      if (this.#sending.size === 0) return;
      // What happens meanwhile waits for no slow answer.
      await Promise.race([...[...this.#sending.values()].map(({ done }) => done), pause(LOOK_EVERY_MS, undefined, { ref: false })]);
    }
  }

  /** Turns marked rows into deliveries; answers how many there were. */
  async #tell(): Promise<number> {
    const { db, now, log, report } = this.#deps;
    if (!(await isAnythingUntold(db.knex))) return 0;
    const { events, dropped } = await db.transaction(async (trx) => {
      const taken = await lockUntold(trx, EVENTS_AT_ONCE);
      const listeners = await listenersIn(trx, [...new Set(taken.map(({ realmId }) => realmId))]);
      const planned = plannedFor(taken, listeners, now());
      if (planned.deliveries.length > 0) await insertDeliveries(trx, planned.deliveries);
      for (const { listener, count } of planned.dropped) await countDropped(trx, listener, count);
      if (taken.length > 0) await markTold(trx, taken);
      return { events: taken.length, dropped: planned.dropped };
    });
    for (const { listener, count } of dropped) {
      log.warn({ realm: listener.realmId, webhook: listener.id, dropped: count }, 'too much waits for a webhook; it is not told');
      report({ result: 'dropped', count });
    }
    return events;
  }

  /** Begins what is due, as far as there is room; answers how much that is. */
  async #begin(): Promise<number> {
    const { db, now } = this.#deps;
    const limit = MOST_SENDING - this.#sending.size;
    if (limit <= 0) return 0;
    const at = now();
    const rows = await claimDeliveries(db.knex, {
      now: at,
      until: at + CLAIM_MS,
      limit,
      mostOfWebhook: MOST_OF_WEBHOOK,
      mostOfRealm: MOST_OF_REALM,
      busyWebhooks: this.#busy((row) => row.webhookId, MOST_OF_WEBHOOK),
      busyRealms: this.#busy((row) => row.realmId, MOST_OF_REALM),
    });
    for (const row of rows) {
      const done = this.#deliver(row)
        .catch((err: unknown) => this.#deps.log.error({ err, delivery: row.id }, 'what became of a message to a webhook could not be noted'))
        .finally(() => this.#sending.delete(row.id));
      this.#sending.set(row.id, { row, done });
    }
    return rows.length;
  }

  #busy(by: (row: DeliveryRow) => string, most: number): string[] {
    const counts = Map.groupBy([...this.#sending.values()], ({ row }) => by(row));
    return [...counts].flatMap(([key, rows]) => (rows.length >= most ? [key] : []));
  }

  async #deliver(row: DeliveryRow): Promise<void> {
    const { db, now, log, report } = this.#deps;
    const begun = performance.now();
    const sent = await this.#send(row);
    const ms = performance.now() - begun;
    const pauseMs = sent.ok || sent.gone ? undefined : PAUSES_MS[row.attempts - 1];
    if (pauseMs === undefined) {
      if (await finishDelivery(db.knex, row, sent.ok ? 'delivered' : 'failed', sent, now())) report({ result: sent.ok ? 'delivered' : 'failed', ms });
    } else if (await putOffDelivery(db.knex, row, now() + Math.round(pauseMs * (1 + Math.random() * SPREAD)), sent)) report({ result: 'again', ms });
    if (!sent.ok)
      log.warn({ realm: row.realmId, webhook: row.webhookId, reason: sent.error, again: pauseMs !== undefined }, 'a webhook was not told');
  }

  async #send(row: DeliveryRow): Promise<Sent> {
    const { db, keyring, send, now, log } = this.#deps;
    try {
      const dispatch = await dispatchOf(db.knex, row);
      if (!dispatch?.enabled) return { ok: false, status: null, error: 'the event is not there any more', gone: true };
      const secrets = await secretsIn(keyring, { realmId: row.realmId, id: row.webhookId, secrets: dispatch.secrets });
      return await sendMessage(send, { url: dispatch.url, secrets }, messageOf(dispatch), now());
    } catch (err) {
      log.error({ err, delivery: row.id }, 'a message to a webhook could not be made');
      // What does not open now will not open tomorrow either.
      return { ok: false, status: null, error: 'a fault of ours', gone: isCorrupted(err) };
    }
  }
}

/** Who is told what, and what there is no room for. */
function plannedFor(events: readonly UntoldEvent[], listeners: readonly Listener[], now: number) {
  const deliveries: NewDelivery[] = [];
  const dropped: { listener: Listener; count: number }[] = [];
  for (const listener of listeners) {
    const wanted = events.filter((event) => event.realmId === listener.realmId && wants(listener.events, event.type));
    const room = Math.max(0, MOST_WAITING - listener.waiting);
    for (const event of wanted.slice(0, room)) {
      const { realmId, id: eventId, type } = event;
      deliveries.push({ realmId, id: timeOrderedId(now), webhookId: listener.id, eventId, type, dueAt: now, createdAt: now });
    }
    if (wanted.length > room) dropped.push({ listener, count: wanted.length - room });
  }
  return { deliveries, dropped };
}
