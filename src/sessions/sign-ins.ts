/**
 * Sign-ins under way, as they are stored: the login room moves them, the oidc room trusts only what is here.
 *
 * The browser that is signing in is known by a transaction cookie on the realm's path, renewed with every accepted proof,
 * of which only the hash is kept. Without the newest one nobody goes on, and nobody gets the code.
 */
import { randomToken, safeEqual, sha256 } from '../crypto/codes.ts';
import type { Keyring } from '../crypto/keyring.ts';
import { corrupted } from '../errors.ts';
import type { Proof } from '../policy/assurance.ts';
import type { Decision, Facts } from '../policy/decide.ts';
import type { Database } from '../store/database.ts';
import { advanceLogin, claimLogin, insertLogin, type LoginRow, loginById, loginSeal } from '../store/logins.ts';
import type { Queries, Transaction } from '../store/rows.ts';
import type { UserRow } from '../store/users.ts';
import { cookieNames } from './cookies.ts';
import type { KnownUser } from './facts.ts';

/** What every state of the machine has; the rest is the login room's. */
export interface SignInState {
  at: string;
  userId: string | null;
  proofs: Proof[];
  remember: boolean;
  /** An enrolment that was due was put off. */
  skipped: boolean;
  /** The user asked that this device be remembered. */
  rememberDevice: boolean;
  action: 'pending' | 'done' | 'cancelled' | null;
}

export interface SignIn<State extends SignInState> {
  row: LoginRow;
  state: State;
}

/** The name of the transaction cookie of a sign-in: its cid, which stays the same from the first page to the code. */
export const transactionCookie = (id: string): string => `${TRANSACTION}${id}`;
const TRANSACTION = 'cardea_tx_';

/** More sign-ins than anybody has open in one browser; of what is beyond, each is looked for by itself. */
const MOST_OPEN = 10;

/** The ids of the sign-ins that a browser has cookies of, worth something or not. */
export const signInsOf = (cookies: string | undefined): string[] =>
  cookieNames(cookies)
    .flatMap((name) => (name.startsWith(TRANSACTION) ? [name.slice(TRANSACTION.length)] : []))
    .slice(0, MOST_OPEN);

/** A sign-in in one request: what a program sends in the place of a person in front of a page. */
export interface DirectSignIn {
  /** client_id. */
  clientId: string;
  username: string;
  password: string;
  code: string | undefined;
}

export type DirectAnswer =
  | {
      ok: true;
      user: UserRow;
      known: KnownUser;
      proofs: Proof[];
      /** What was decided, and from what. */
      facts: Facts;
      decision: Extract<Decision, { ask: 'nothing' }>;
      /** What its audit rows belong to. */
      transaction: string;
    }
  /** Safe to show: it says more than that something was wrong only to whoever has the password. */
  | { ok: false; status: 400 | 401; reason: string };

export class SignIns<State extends SignInState> {
  readonly #db: Database;
  readonly #keyring: Keyring;

  constructor(db: Database, keyring: Keyring) {
    this.#db = db;
    this.#keyring = keyring;
  }

  /** The sign-in of that cid, unless it has expired. */
  async load(realmId: string, id: string, now: number): Promise<SignIn<State> | undefined> {
    return this.open(await loginById(this.#db.knex, realmId, id), now);
  }

  /** The sign-in of a row that was read together with something else. */
  async open(row: LoginRow | undefined, now: number): Promise<SignIn<State> | undefined> {
    if (!row || row.expiresAt <= now) return undefined;
    const state: unknown = JSON.parse(await this.#keyring.openText(loginSeal(row), row.state));
    if (!isSignInState<State>(state)) throw corrupted('A stored sign-in is not one.');
    return { row, state };
  }

  /** Begins a sign-in; answers it with its cookie, or undefined when another request has begun it already. */
  async begin(start: {
    realmId: string;
    id: string;
    uid: string;
    state: State;
    now: number;
    expiresAt: number;
  }): Promise<{ cookie: string; signIn: SignIn<State> } | undefined> {
    const cookie = randomToken();
    const row: LoginRow = {
      realmId: start.realmId,
      id: start.id,
      uid: start.uid,
      at: start.state.at,
      state: await this.#seal(start, start.state),
      version: 1,
      cookieHash: sha256(cookie),
      sessionId: null,
      createdAt: start.now,
      expiresAt: start.expiresAt,
    };
    return (await insertLogin(this.#db.knex, row)) ? { cookie, signIn: { row, state: start.state } } : undefined;
  }

  /**
   * Moves a sign-in to another state if nobody else moved it first.
   *
   * @param options.renew true with every accepted proof: the cookie of before is worth nothing from then on
   * @param options.within what is to happen in the same transaction, only if the move does
   * @returns undefined when somebody else was first; else the new cookie, if it was renewed
   */
  async advance(
    signIn: SignIn<State>,
    state: State,
    options: { renew: boolean; uid?: string; within?: (trx: Transaction) => Promise<void> },
  ): Promise<{ cookie?: string } | undefined> {
    const cookie = options.renew ? randomToken() : undefined;
    const change = {
      uid: options.uid ?? signIn.row.uid,
      at: state.at,
      state: await this.#seal(signIn.row, state),
      cookieHash: cookie === undefined ? signIn.row.cookieHash : sha256(cookie),
      // A sign-in that starts over (another question after consent) will have to be claimed again.
      sessionId: options.uid === undefined ? signIn.row.sessionId : null,
    };
    const { within } = options;
    const moved = within
      ? await this.#db.transaction(async (trx) => {
          if (!(await advanceLogin(trx, signIn.row, change))) return false;
          await within(trx);
          return true;
        })
      : await advanceLogin(this.#db.knex, signIn.row, change);
    if (!moved) return undefined;
    return cookie === undefined ? {} : { cookie };
  }

  /** Claims a finished sign-in for a session, once. */
  claim(queries: Queries, row: LoginRow, sessionId: string): Promise<boolean> {
    return claimLogin(queries, row, sessionId);
  }

  async #seal(row: { realmId: string; id: string }, state: State): Promise<string> {
    return this.#keyring.seal(loginSeal(row), JSON.stringify(state));
  }
}

/** Whether the browser that sent this cookie is the one that made the newest proof. */
export function isNewestCookie(row: LoginRow, cookie: string | undefined): boolean {
  return cookie !== undefined && safeEqual(sha256(cookie), row.cookieHash);
}

function isSignInState<State extends SignInState>(value: unknown): value is State {
  return typeof value === 'object' && value !== null && 'at' in value && 'userId' in value && 'proofs' in value && Array.isArray(value.proofs);
}
