/**
 * Takes notices out of the outbox and sends them: woken when a row was committed, on any node, and looking for what is due
 * every few seconds.
 *
 * Of several processes each row goes to one, for as long as its claim lasts; a process that is killed leaves claims that run
 * out, and another one sends. What failed is tried again, ever later, for about a day; what can never arrive is given up at
 * once. A mail may so arrive twice, when a process is killed between the server's answer and our note of it; both have
 * the same Message-ID.
 */
import { record } from '../audit/record.ts';
import type { Keyring } from '../crypto/keyring.ts';
import { AppError } from '../errors.ts';
import type { Database } from '../store/database.ts';
import { claimDue, giveUpInterrupted, markDelivered, markFailed, OUTBOX_TOPIC, type OutboxRow, putOff } from '../store/outbox.ts';
import { type RealmRow, realmById } from '../store/realms.ts';
import { type Address, type Channel, DeliveryError, reasonOf } from './channel.ts';
import type { ChannelMap } from './channels.ts';
import { openMessage } from './outbox.ts';

export interface PostmanDeps {
  db: Database;
  keyring: Keyring;
  channels: ChannelMap;
  now(): number;
  log: { warn(details: object, message: string): void; error(details: object, message: string): void };
}

const LOOK_EVERY_MS = 5_000;
/** How many rows are claimed and sent at a time. */
const ROUND = 10;
/** A server may take its time here: nobody waits for it. Milliseconds. */
const PATIENCE_MS = 20_000;
/** Longer than a round takes, so that a claim only runs out when its process is gone. */
const CLAIM_MS = 2 * 60_000;
const MINUTE = 60_000;
/** When it is tried again after the first, the second, … failure. After the last it is given up. */
const PAUSES_MS = [MINUTE / 2, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, 60 * MINUTE, 3 * 60 * MINUTE, 6 * 60 * MINUTE, 12 * 60 * MINUTE];
/** What a row keeps of a reason. */
const MAX_REASON = 200;

export class Postman {
  readonly #deps: PostmanDeps;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;
  #again = false;
  #closed = false;

  constructor(deps: PostmanDeps) {
    this.#deps = deps;
    deps.db.changes.onChange((topic) => {
      if (this.#timer !== undefined && (topic === OUTBOX_TOPIC || topic === '*')) this.wake();
    });
  }

  /** Begins to look, until `close`. */
  start(): void {
    this.#timer = setInterval(() => this.wake(), LOOK_EVERY_MS);
    this.#timer.unref();
    this.wake();
  }

  /** There may be something to send. */
  wake(): void {
    void this.deliverDue();
  }

  /** Sends everything that is due, and resolves when that is done. */
  deliverDue(): Promise<void> {
    this.#again = true;
    this.#round ??= this.#run().finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  /** Finishes what is being sent, and begins nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#round;
  }

  async #run(): Promise<void> {
    const { db, log, now } = this.#deps;
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        await giveUpInterrupted(db.knex, now());
        for (let claimed = ROUND; claimed === ROUND && !this.#closed; ) {
          const rows = await claimDue(db.knex, { kinds: ['mail', 'sms'], now: now(), until: now() + CLAIM_MS, limit: ROUND });
          claimed = rows.length;
          await Promise.all(rows.map((row) => this.#deliver(row)));
        }
      }
    } catch (err) {
      // The database was gone for a moment, or a row is not what it must be. There is a next round.
      log.error({ err }, 'the outbox could not be worked off');
    }
  }

  async #deliver(row: OutboxRow): Promise<void> {
    const { db } = this.#deps;
    const realm = await realmById(db.knex, row.realmId);
    if (!realm) return;
    let channel: Channel | undefined;
    let failure: unknown;
    try {
      channel = await this.#send(realm, row);
    } catch (error) {
      failure = error;
    }
    await (channel === undefined ? this.#failed(row, failure) : this.#arrived(row, channel.keeps));
  }

  async #send(realm: RealmRow, row: OutboxRow): Promise<Channel> {
    const to = row.kind === 'sms' ? 'sms' : 'mail';
    const channel = await this.#deps.channels.of(realm, to);
    if (!channel) throw new DeliveryError('not-configured', { permanent: false });
    const { to: value, ...message } = await openMessage(this.#deps.keyring, row);
    const address: Address = { kind: to, value };
    await channel.deliver(address, { id: row.id, ...message, validMs: null }, AbortSignal.timeout(PATIENCE_MS));
    return channel;
  }

  async #arrived(row: OutboxRow, keep: boolean): Promise<void> {
    const { db, now } = this.#deps;
    const at = now();
    await db.transaction(async (trx) => {
      if (await markDelivered(trx, row, at, keep)) await record(trx, originOf(row, at), { type: 'delivery.sent', details: detailsOf(row) });
    });
  }

  async #failed(row: OutboxRow, error: unknown): Promise<void> {
    const { db, now, log } = this.#deps;
    const at = now();
    const reason = reasonOf(error).slice(0, MAX_REASON);
    // A payload that does not open will not open tomorrow either.
    const unreadable = error instanceof AppError && error.code === 'corrupted';
    const pause = unreadable || (error instanceof DeliveryError && error.permanent) ? undefined : PAUSES_MS[row.attempts - 1];
    if (unreadable || !(error instanceof DeliveryError)) log.error({ err: error, row: row.id }, 'a message could not be sent');
    else log.warn({ row: row.id, kind: row.kind, reason, again: pause !== undefined }, 'a message could not be sent');
    await db.transaction(async (trx) => {
      if (pause !== undefined) {
        await putOff(trx, row, reason, at + pause);
        return;
      }
      if (!(await markFailed(trx, row, reason, at))) return;
      await record(trx, originOf(row, at), { type: 'delivery.failed', details: { ...detailsOf(row), reason } });
      if (unreadable) await record(trx, originOf(row, at), { type: 'crypto.unreadable', details: { what: 'outbox' } });
    });
  }
}

const originOf = (row: OutboxRow, at: number) => ({ realmId: row.realmId, at, subject: row.userId });
const detailsOf = (row: OutboxRow) => ({ channel: row.kind === 'sms' ? ('sms' as const) : ('mail' as const), purpose: row.purpose });
