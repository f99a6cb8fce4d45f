/**
 * Attempts are counted before anything is compared, in one statement, per account and factor. The subject is an HMAC of
 * what was typed, so that names that do not exist are counted and paused like those that do (security-tests D01).
 */

import { hmac } from '../crypto/codes.ts';
import { derive } from '../crypto/keyring.ts';
import { tooMany } from '../errors.ts';
import { say } from '../languages/messages.ts';
import { clearAttempts, countAttempt, pausedUntil } from '../store/attempts.ts';
import type { Database } from '../store/database.ts';
import { normalise } from '../store/rows.ts';
import { ATTEMPTS_PER_SIGN_IN, afterFailure, PAUSES } from './attempts.ts';

export interface Counted {
  /** The attempt failed: what follows from it. */
  failed(): Promise<{ endsTransaction: boolean; disables: boolean }>;
  /** It succeeded: the row of failures is broken. */
  succeeded(): Promise<void>;
}

export class Throttle {
  readonly #db: Database;
  readonly #realmId: string;
  readonly #key: Buffer;

  constructor(db: Database, realm: { id: string; rootSecret: Buffer }) {
    this.#db = db;
    this.#realmId = realm.id;
    this.#key = derive(realm.rootSecret, 'attempts');
  }

  /** An attempt at a password: of a user, whichever of the names was typed, or of a name that nobody has. */
  password(who: { userId: string } | { typed: string }, by: string, now: number): Promise<Counted> {
    return this.#count(
      'password',
      'userId' in who ? hmac(this.#key, 'password', 'user', who.userId) : hmac(this.#key, 'password', 'name', normalise(who.typed)),
      by,
      now,
    );
  }

  /** An attempt at a second factor of a user, or at confirming a new one. */
  factor(factor: string, userId: string, by: string, now: number): Promise<Counted> {
    return this.#count('factor', hmac(this.#key, 'factor', factor, userId), by, now);
  }

  /** @throws 429 while the subject is paused, and when the sign-in has used up its attempts */
  async #count(kind: 'password' | 'factor', subject: string, by: string, now: number): Promise<Counted> {
    const { knex } = this.#db;
    const perSignIn = kind === 'factor' ? ATTEMPTS_PER_SIGN_IN : null;
    const attempt = await countAttempt(knex, { realmId: this.#realmId, subject, by, now, perSignIn, pauses: PAUSES });
    if (!attempt) {
      const until = await pausedUntil(knex, this.#realmId, subject);
      const seconds = Math.max(1, Math.ceil((until - now) / 1000));
      throw tooMany(until > now ? say('error.paused', { wait: seconds }) : say('error.usedUp'), seconds);
    }
    return {
      failed: async () => afterFailure(kind, attempt.failures),
      succeeded: () => clearAttempts(knex, this.#realmId, subject),
    };
  }
}
