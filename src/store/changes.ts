/**
 * How caches learn that what they hold was changed, by this process or by another one.
 *
 * On PostgreSQL a change is announced with NOTIFY and heard on a connection of its own. On SQLite there is nobody to
 * tell: the process itself knows its own changes, and another one (the command line) is noticed by a counter that
 * SQLite keeps, so that all caches are dropped. A listener runs before the announcing transaction's caller continues.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Knex } from 'knex';
import pg from 'pg';
import { onceCommitted } from './lastly.ts';

/** The topic that says that something unknown changed: drop all caches. */
const EVERYTHING = '*';

export interface Changes {
  /**
   * Tells every process that what `topic` names was changed. With a transaction it is told when that commits, and
   * never when it does not. Topics are `realm:<realm id>`, `realm-name:<name>` and `client:<realm id>`.
   */
  announce(topic: string, trx?: Knex.Transaction): Promise<void>;
  /** Calls `listener` with each topic, and with `*` when something unknown changed. */
  onChange(listener: (topic: string) => void): void;
  /** Looks for changes that nobody announces. Cheap; called before every cached read. */
  poll(): void;
}

type Listener = (topic: string) => void;

/** The changes of this process, told to this process. */
class LocalChanges implements Changes {
  readonly #listeners: Listener[] = [];

  async announce(topic: string, trx?: Knex.Transaction): Promise<void> {
    if (trx) onceCommitted(trx, () => this.tell(topic));
    else this.tell(topic);
  }

  onChange(listener: Listener): void {
    this.#listeners.push(listener);
  }

  poll(): void {}

  tell(topic: string): void {
    for (const listener of this.#listeners) listener(topic);
  }
}

/** @param version the counter of SQLite, which moves when another connection commits; undefined while there is no connection */
export class SqliteChanges extends LocalChanges {
  readonly #version: () => unknown;
  #seen: unknown;
  #asked = false;

  constructor(version: () => unknown) {
    super();
    this.#version = version;
    this.#seen = version();
  }

  override poll(): void {
    // A request polls several times, and the counter costs a statement: once in a turn of the event loop is often enough.
    if (this.#asked) return;
    this.#asked = true;
    setImmediate(() => {
      this.#asked = false;
    }).unref();
    const version = this.#version();
    if (version === this.#seen) return;
    this.#seen = version;
    this.tell(EVERYTHING);
  }
}

const CHANNEL = 'cardea';
/** Milliseconds between tries to listen again, at first and at most. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5_000;

/** Listens until it is closed. A notice may be lost while the connection is gone, so that coming back tells `*`. */
export class PostgresChanges extends LocalChanges {
  readonly #knex: Knex;
  readonly #url: string;
  readonly #warn: (message: string) => void;
  readonly #closing = new AbortController();
  #connection: pg.Client | undefined;

  constructor(options: { knex: Knex; url: string; warn: (message: string) => void }) {
    super();
    this.#knex = options.knex;
    this.#url = options.url;
    this.#warn = options.warn;
  }

  /** Its own process hears at once and then once more, by the notice: dropping a cache twice does no harm. */
  override async announce(topic: string, trx?: Knex.Transaction): Promise<void> {
    await (trx ?? this.#knex).raw('SELECT pg_notify(?, ?)', [CHANNEL, topic]);
    await super.announce(topic, trx);
  }

  /** Rejects when the first connection cannot be made; later ones are tried until it works. */
  async listen(): Promise<void> {
    const lost = await this.#connect();
    void this.#stayConnected(lost);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#connection?.end();
  }

  /** Resolves, when it listens, to a promise of the loss of that connection. */
  async #connect(): Promise<{ lost: Promise<void> }> {
    const connection = new pg.Client({ connectionString: this.#url, keepAlive: true });
    const lost = new Promise<void>((resolve) => connection.once('end', resolve));
    // Without a listener an error would end the process; `end` follows it.
    connection.on('error', () => undefined);
    connection.on('notification', (notice) => this.tell(notice.payload ?? EVERYTHING));
    this.#connection = connection;
    try {
      await connection.connect();
      await connection.query(`LISTEN ${CHANNEL}`);
    } catch (error) {
      await connection.end().catch(() => undefined);
      throw error;
    }
    return { lost };
  }

  async #stayConnected(first: { lost: Promise<void> }): Promise<void> {
    const { signal } = this.#closing;
    let current = first;
    for (;;) {
      await current.lost;
      if (signal.aborted) return;
      this.#warn('The connection that hears of changes was lost; connecting again.');
      const next = await this.#reconnect();
      if (!next) return;
      current = next;
      this.tell(EVERYTHING);
    }
  }

  async #reconnect(): Promise<{ lost: Promise<void> } | undefined> {
    const { signal } = this.#closing;
    for (let longest = FIRST_PAUSE; ; longest = Math.min(longest * 2, LONGEST_PAUSE)) {
      await pause(longest * (0.5 + Math.random() / 2), undefined, { signal, ref: false }).catch(() => undefined);
      if (signal.aborted) return undefined;
      const connected = await this.#connect().catch(() => undefined);
      if (!connected) continue;
      if (signal.aborted) await this.#connection?.end();
      return connected;
    }
  }
}
