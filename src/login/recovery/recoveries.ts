/** Recoveries under way, as they are stored: moved by compare-and-set, and known to their browser by a cookie of which only the hash is kept. */
import { randomUUID } from 'node:crypto';
import { randomToken, safeEqual, sha256 } from '../../crypto/codes.ts';
import type { Keyring } from '../../crypto/keyring.ts';
import { corrupted } from '../../errors.ts';
import type { Database } from '../../store/database.ts';
import { advanceRecovery, INVITED, insertRecovery, type RecoveryRow, recoveryByCookie, recoveryById, recoverySeal } from '../../store/recoveries.ts';
import type { Queries, Transaction } from '../../store/rows.ts';
import type { RecoveryState } from './machine.ts';

export interface Recovery {
  row: RecoveryRow;
  state: RecoveryState;
}

/** What a move changes besides the state. */
interface Move {
  /** The browser gets another cookie, and the one of before is worth nothing: with everything that was shown. */
  renew?: boolean;
  /** What the link in the mail holds from now on; null when it was used. As it was when this is not said. */
  link?: string | null;
  /** When it ends from now on, if that is sooner. */
  endsBy?: number;
  /** What is to happen in the same transaction, only if the move does. */
  within?: (trx: Transaction) => Promise<void>;
}

export class Recoveries {
  readonly #db: Database;
  readonly #keyring: Keyring;

  constructor(db: Database, keyring: Keyring) {
    this.#db = db;
    this.#keyring = keyring;
  }

  /** The recovery of the browser that has this cookie, unless it has expired. */
  async load(realmId: string, cookie: string | undefined, now: number): Promise<Recovery | undefined> {
    if (cookie === undefined) return undefined;
    return this.#opened(await recoveryByCookie(this.#db.knex, realmId, sha256(cookie)), now);
  }

  /** The recovery of that id, for a link that names it. */
  async byId(realmId: string, id: string, now: number): Promise<Recovery | undefined> {
    return this.#opened(await recoveryById(this.#db.knex, realmId, id), now);
  }

  async #opened(row: RecoveryRow | undefined, now: number): Promise<Recovery | undefined> {
    if (!row || row.expiresAt <= now) return undefined;
    const state: unknown = JSON.parse(await this.#keyring.openText(recoverySeal(row), row.state));
    if (!isRecoveryState(state)) throw corrupted('A stored recovery is not one.');
    return { row, state };
  }

  /** Begins a recovery; answers it with its cookie. The same work for every name. */
  async begin(start: { realmId: string; state: RecoveryState; now: number; expiresAt: number }): Promise<{ cookie: string; recovery: Recovery }> {
    const { realmId, state, now, expiresAt } = start;
    const cookie = randomToken();
    const id = randomUUID();
    const row: RecoveryRow = {
      ...{ realmId, id, userId: null, at: state.at, state: await this.#seal({ realmId, id }, state), version: 1 },
      ...{ cookieHash: sha256(cookie), linkHash: null, createdAt: now, expiresAt },
    };
    await insertRecovery(this.#db.knex, row);
    return { cookie, recovery: { row, state } };
  }

  /** One that begins with its link, and in no browser. Whoever asks for a new password does not void it. */
  async prepare(start: { realmId: string; state: RecoveryState; link: string; now: number; expiresAt: number }): Promise<RecoveryRow> {
    const { realmId, state, link, now, expiresAt } = start;
    const id = randomUUID();
    return {
      ...{ realmId, id, userId: state.userId, at: INVITED, state: await this.#seal({ realmId, id }, state), version: 1 },
      // A cookie that nobody has.
      ...{ cookieHash: sha256(randomToken()), linkHash: sha256(link), createdAt: now, expiresAt },
    };
  }

  insert(queries: Queries, row: RecoveryRow): Promise<void> {
    return insertRecovery(queries, row);
  }

  /**
   * Moves a recovery to another state if nobody else moved it first.
   *
   * @returns undefined when somebody else was first; else the recovery as it is now, and its new cookie if it has one
   */
  async advance(
    { row }: Recovery,
    state: RecoveryState,
    { renew = false, link, endsBy, within }: Move = {},
  ): Promise<{ cookie?: string; recovery: Recovery } | undefined> {
    const cookie = renew ? randomToken() : undefined;
    const change = {
      userId: state.userId,
      at: state.at,
      state: await this.#seal(row, state),
      cookieHash: cookie === undefined ? row.cookieHash : sha256(cookie),
      linkHash: link === undefined ? row.linkHash : link === null ? null : sha256(link),
      expiresAt: Math.min(row.expiresAt, endsBy ?? row.expiresAt),
    };
    const moved = await this.#db.transaction(async (trx) => {
      if (!(await advanceRecovery(trx, row, change))) return false;
      await within?.(trx);
      return true;
    });
    if (!moved) return undefined;
    const recovery = { row: { ...row, ...change, version: row.version + 1 }, state };
    return cookie === undefined ? { recovery } : { cookie, recovery };
  }

  #seal(row: { realmId: string; id: string }, state: RecoveryState): Promise<string> {
    return this.#keyring.seal(recoverySeal(row), JSON.stringify(state));
  }
}

/** Whether this is what the link of the mail holds. */
export const isLink = ({ row }: Recovery, key: string): boolean => row.linkHash !== null && safeEqual(sha256(key), row.linkHash);

function isRecoveryState(value: unknown): value is RecoveryState {
  return typeof value === 'object' && value !== null && 'at' in value && 'userId' in value && 'challenges' in value && 'login' in value;
}
