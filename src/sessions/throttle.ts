/**
 * Attempts are counted before anything is compared, in one statement: by account and factor, and by address. The subjects
 * are HMACs of what was typed, so that names that do not exist are counted and paused like those that do (test/attacks,
 * D01), and the table tells nobody who was guessed at.
 *
 *     what is tried          counted by                                  too many
 *     a password             the account, or the name; the address       a pause; 429 for that address
 *     … on a known device    that device and user alone                  a pause for that device
 *     a code                 the factor of that user; the address        the sign-in ends; a pause; the factor is off
 *     all of a realm         failures of passwords, afterwards           slower, and an alarm
 *
 * A browser that its user has signed in with before has a counter of its own for that user's password: whoever guesses
 * from elsewhere pauses everybody else, and not the owner (A11). It has that counter only, and no other user's.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { record } from '../audit/record.ts';
import { hmac } from '../crypto/codes.ts';
import { derive } from '../crypto/keyring.ts';
import { tooMany } from '../errors.ts';
import { say } from '../languages/messages.ts';
import type { RealmSettings } from '../realms/settings.ts';
import { type Counters, countAttempt, countFailure, giveBack, pausedUntil, type Rate } from '../store/attempts.ts';
import type { Database } from '../store/database.ts';
import { normalise } from '../store/rows.ts';
import { addressOf } from './addresses.ts';
import { afterFailure, pausesOf } from './attempts.ts';

/** Mails that anybody may have sent to a name: more of them only fill a mailbox. */
const ASKED = { failures: 5, withinMs: 3_600_000 };
/** Nobody waits longer for an answer because others are guessing. */
const SLOWEST_MS = 3_000;
/** An alarm is given once in this time by each process. */
const ALARM_EVERY_MS = 15 * 60_000;

export interface Counted {
  /** The attempt failed: what follows from it. */
  failed(): Promise<{ endsTransaction: boolean; disables: boolean }>;
  /** It succeeded: the row of failures is broken, and the address gets back what it was counted. */
  succeeded(): Promise<void>;
  /** Nothing was compared, such as when the machine is too busy: it was no attempt. */
  undone(): Promise<void>;
  /** Runs what compares; when it throws, which is before it knew, the attempt was none. */
  comparing<T>(work: () => Promise<T>): Promise<T>;
}

/** Whose password is tried: a user's, whichever of the names was typed, or that of a name that nobody has. */
export type Whose =
  | {
      userId: string;
      /** The id of the device when the browser is one that this user has signed in with. */
      device?: string | null;
    }
  | { typed: string };

/** Where an attempt comes from. */
export interface AttemptOrigin {
  /** Null for a command line, which is counted by nothing but whom it is about. */
  ip: string | null;
  userAgent?: string | null;
  /** Where an alarm is told beside the audit rows. */
  log?: { warn(details: object, message: string): void };
}

export class Throttle {
  readonly #db: Database;
  readonly #realmId: string;
  readonly #subjects: Subjects;
  readonly #limits: RealmSettings['throttling'];
  readonly #from: AttemptOrigin;

  constructor(db: Database, realm: { id: string; rootSecret: Buffer; settings: Pick<RealmSettings, 'throttling'> }, from: AttemptOrigin) {
    this.#db = db;
    this.#realmId = realm.id;
    this.#subjects = subjectsOf(realm.rootSecret);
    this.#limits = realm.settings.throttling;
    this.#from = from;
  }

  /**
   * An attempt at a password.
   * @param by the sign-in
   * @throws 429 while the account, the name or the address is paused
   */
  async password(whose: Whose, by: string, now: number): Promise<Counted> {
    const device = 'userId' in whose ? (whose.device ?? null) : null;
    const subject =
      'userId' in whose
        ? device === null
          ? this.#subjects.password(whose.userId)
          : this.#subjects.device(device)
        : this.#subjects.name(whose.typed);
    const run = { subject, pauses: pausesOf(this.#limits), perSignIn: null };
    // The known device is let pass by the address, too: whoever guesses may sit in the same office.
    if (device !== null) return this.#count('password', { run, rate: null }, by, now);
    const slowness = slownessOf(this.#db, this.#realmId, now);
    if (slowness > 0) await sleep(slowness);
    return this.#count('password', { run, rate: this.#address() }, by, now);
  }

  /**
   * An attempt at a second factor of a user, or at confirming a new one (`enrol-totp`).
   * @param by the sign-in, recovery or enrolment, which ends after five in a row
   * @throws 429 while the factor or the address is paused, and when the sign-in has used up its attempts
   */
  factor(factor: string, userId: string, by: string, now: number): Promise<Counted> {
    const run = { subject: this.#subjects.factor(factor, userId), pauses: pausesOf(this.#limits), perSignIn: this.#limits.attemptsPerSignIn };
    return this.#count('factor', { run, rate: this.#address() }, by, now);
  }

  /** An attempt at a door that knows nobody yet, such as a link or a code without a name: counted by the address alone. */
  door(by: string, now: number): Promise<Counted> {
    return this.#count('password', { run: null, rate: this.#address() }, by, now);
  }

  /**
   * A code that a device shows, typed by anybody (RFC 8628 section 5.1): counted by the address, and by the whole realm, in
   * which as many may be wrong as sign-ins may fail before it is an alarm. Many addresses together guess no faster.
   * @throws 429 while the address or the realm is paused
   */
  async userCode(by: string, now: number): Promise<Counted> {
    const { failures, within } = this.#limits.realm;
    const address = await this.door(by, now);
    const rate = { subject: this.#subjects.userCode(), failures, withinMs: within * 1000 };
    const ofAll = await address.comparing(() => this.#count('factor', { run: null, rate }, by, now));
    return {
      failed: () => address.failed(),
      succeeded: async () => {
        await ofAll.succeeded();
        await address.succeeded();
      },
      undone: async () => {
        await ofAll.undone();
        await address.undone();
      },
      comparing: (work) => ofAll.comparing(() => address.comparing(work)),
    };
  }

  /**
   * Something is to be sent to a name, whoever's it is: counted by the name and by the address, whatever comes of it.
   * @throws 429 when it was asked for too often
   */
  async asking(typed: string, by: string, now: number): Promise<void> {
    await this.door(by, now);
    const counters: Counters = { run: null, rate: { subject: this.#subjects.asked(typed), ...ASKED } };
    if ((await countAttempt(this.#db.knex, counters, { realmId: this.#realmId, now, by })) !== undefined) return;
    const until = await pausedUntil(this.#db.knex, this.#realmId, counters);
    const wait = Math.max(1, Math.ceil((until.rate - now) / 1000));
    throw tooMany(say('error.paused', { wait }), wait);
  }

  #address(): Rate | null {
    if (this.#from.ip === null) return null;
    const { failures, within } = this.#limits.address;
    return { subject: this.#subjects.address(this.#from.ip), failures, withinMs: within * 1000 };
  }

  async #count(kind: 'password' | 'factor', counters: Counters, by: string, now: number): Promise<Counted> {
    const { knex } = this.#db;
    const where = { realmId: this.#realmId, now };
    const failures = counters.run === null && counters.rate === null ? 0 : await countAttempt(knex, counters, { ...where, by });
    if (failures === undefined) throw await this.#refusal(counters, now);
    const consequence = afterFailure(kind, failures, this.#limits);
    const undone = () => giveBack(knex, counters, { ...where, undo: { broughtPause: consequence.pauseMs > 0 } });
    return {
      failed: async () => {
        if (kind === 'password' && counters.rate !== null) await this.#noteFailure(now);
        return consequence;
      },
      succeeded: () => giveBack(knex, counters, where),
      undone,
      async comparing(work) {
        try {
          return await work();
        } catch (error) {
          await undone();
          throw error;
        }
      },
    };
  }

  async #refusal(counters: Counters, now: number) {
    const until = await pausedUntil(this.#db.knex, this.#realmId, counters);
    const wait = Math.max(1, Math.ceil((Math.max(until.run, until.rate) - now) / 1000));
    if (until.run > now) return tooMany(say('error.paused', { wait }), wait);
    if (until.rate > now) return tooMany(say('error.pausedAddress', { wait }), wait);
    // What refused is free again by now, unless it is the sign-in that has used up what it may try.
    return tooMany(counters.run === null || counters.run.perSignIn === null ? say('error.paused', { wait }) : say('error.usedUp'), wait);
  }

  /** One more failure of the realm. Above its ceiling nobody is refused, but everybody from a new device waits, and it is an alarm. */
  async #noteFailure(now: number): Promise<void> {
    const { failures, within } = this.#limits.realm;
    const rate = { subject: this.#subjects.realm(), failures, withinMs: within * 1000 };
    const freeAt = await countFailure(this.#db.knex, rate, { realmId: this.#realmId, now });
    const realms = floodsOf(this.#db);
    if (freeAt <= now) return;
    const alarmedAt = realms.get(this.#realmId)?.alarmedAt ?? Number.NEGATIVE_INFINITY;
    const isAlarm = now - alarmedAt >= ALARM_EVERY_MS;
    realms.set(this.#realmId, { freeAt, alarmedAt: isAlarm ? now : alarmedAt });
    if (!isAlarm) return;
    const { ip, userAgent = null, log } = this.#from;
    log?.warn({ realmId: this.#realmId, failures, within }, 'more sign-ins fail in this realm than its ceiling: new devices are slowed down');
    await record(this.#db.knex, { realmId: this.#realmId, at: now, ip, userAgent }, { type: 'login.flood', details: { failures, within } });
  }
}

type Subjects = ReturnType<typeof subjectsBy>;
/** To derive a key is more work than to use it. */
const subjects = new WeakMap<Buffer, Subjects>();

/** What is counted, without a name in it. */
export function subjectsOf(rootSecret: Buffer): Subjects {
  const known = subjects.get(rootSecret) ?? subjectsBy(derive(rootSecret, 'attempts'));
  subjects.set(rootSecret, known);
  return known;
}

function subjectsBy(key: Buffer) {
  return {
    password: (userId: string) => hmac(key, 'password', 'user', userId),
    name: (typed: string) => hmac(key, 'password', 'name', normalise(typed)),
    device: (deviceId: string) => hmac(key, 'password', 'device', deviceId),
    factor: (factor: string, userId: string) => hmac(key, 'factor', factor, userId),
    address: (ip: string) => hmac(key, 'address', addressOf(ip)),
    client: (clientId: string, ip: string) => hmac(key, 'client', clientId, addressOf(ip)),
    asked: (typed: string) => hmac(key, 'asked', normalise(typed)),
    /** Requests that are answered elsewhere: by whom, for whom, or whose name was guessed. */
    ciba: (what: 'client' | 'guess' | 'user' | 'waiting', of: string) => hmac(key, 'ciba', what, of),
    userCode: () => hmac(key, 'user code'),
    realm: () => hmac(key, 'realm'),
  };
}

interface Flood {
  /** Until when there are too many failures in this realm. */
  freeAt: number;
  alarmedAt: number;
}

/**
 * What this process knows of floods, so that it need not ask before every attempt; each of its own failures tells it anew.
 * A process that meets none has nothing to slow down.
 */
const floods = new WeakMap<Database, Map<string, Flood>>();

function floodsOf(db: Database): Map<string, Flood> {
  const known = floods.get(db) ?? new Map<string, Flood>();
  if (!floods.has(db)) floods.set(db, known);
  return known;
}

/** How long an attempt from a new device waits: as long as the excess takes to leak out, and never long. */
function slownessOf(db: Database, realmId: string, now: number): number {
  const freeAt = floods.get(db)?.get(realmId)?.freeAt ?? 0;
  return Math.max(0, Math.min(freeAt - now, SLOWEST_MS));
}
