/**
 * What a factor is handed, the same at every door: the sign-in, the recovery, the account console, the command line.
 * Here the promises of the contract become statements of the store.
 */
import { hmac, safeEqual, sha256 } from '../crypto/codes.ts';
import { derive, type Keyring } from '../crypto/keyring.ts';
import { credentialsOf, spendCounter } from '../store/credentials.ts';
import type { Database } from '../store/database.ts';
import { endPauses } from '../store/delivery-counts.ts';
import { hardwareTokenBySerial, hardwareTokenSeal } from '../store/hardware-tokens.ts';
import { type CodeKey, countTry, spendCode, spentCode, storeCode } from '../store/one-time-codes.ts';
import { proveNumber } from '../store/proved-numbers.ts';
import type { RealmRow } from '../store/realms.ts';
import { spendValue } from '../store/spent-values.ts';
import type { UserRow } from '../store/users.ts';
import type { Delivered, Delivery, FactorContext, OneTimeCodes, PasswordHasher, TokenStock } from './factor.ts';

/** What somebody guesses at a code before it is worth nothing. */
const TRIES_A_CODE = 5;
const HOUR_MS = 3_600_000;
/** The longest that a WebAuthn user handle may be (WebAuthn section 14.6.1). */
const HANDLE_BYTES = 64;

export interface ContextDeps {
  db: Database;
  keyring: Keyring;
  passwords: PasswordHasher;
  origin: string;
  /** Sends codes by mail and text message. */
  sendCode: SendCode;
}

/** The delivery room's side of `FactorContext.deliver`. */
export type SendCode = (about: Occasion, delivery: Delivery) => Promise<Delivered>;

/** Whose factor it is, where and when. */
export interface Occasion {
  realm: RealmRow;
  rootSecret: Buffer;
  user: UserRow | undefined;
  administrator: boolean;
  /** The sign-in, recovery or command that codes and challenges are bound to. */
  transaction: string;
  /** The language of the page that asks, such as `de`; undefined where there is none. */
  language?: string;
  now: number;
}

export function factorContext(deps: ContextDeps, occasion: Occasion): FactorContext {
  const { realm, user, now, transaction } = occasion;
  return {
    realm: { id: realm.id, name: realm.name, displayName: realm.displayName },
    ...(user
      ? {
          user: {
            id: user.id,
            username: user.username,
            email: user.email,
            emailVerified: user.emailVerified,
            administrator: occasion.administrator,
          },
        }
      : {}),
    now,
    origin: deps.origin,
    transaction,
    ...(occasion.language === undefined ? {} : { language: occasion.language }),
    settings: realm.settings,
    passwords: deps.passwords,
    spend: (credentialId, counter) =>
      user ? spendCounter(deps.db.knex, { realmId: realm.id, userId: user.id, id: credentialId }, counter, now) : Promise.resolve(false),
    once: (value, until) => spendValue(deps.db.knex, { realmId: realm.id, id: sha256(value), expiresAt: until }),
    lookups: async (factors) => {
      const rows = user ? await credentialsOf(deps.db.knex, realm.id, user.id) : [];
      return rows.flatMap((row) => (row.lookup !== null && factors.includes(row.factor) ? [row.lookup] : []));
    },
    handle() {
      if (!user) throw new Error('a handle is for a user who is known');
      return derive(occasion.rootSecret, `user-handle ${realm.id} ${user.id}`, HANDLE_BYTES);
    },
    codes: codesOf(deps, occasion),
    stock: stockOf(deps, realm),
    deliver: (delivery) => deps.sendCode(occasion, delivery),
    proveNumber(number) {
      if (!user) throw new Error('a number is proved by a user who is known');
      const proved = { realmId: realm.id, userId: user.id, number: hmac(derive(occasion.rootSecret, 'proved-numbers'), number) };
      return proveNumber(deps.db.knex, proved, { now, waitMs: realm.settings.smsOtp.changeWaitHours * HOUR_MS });
    },
  };
}

function codesOf({ db }: ContextDeps, { realm, rootSecret, user, transaction, now }: Occasion): OneTimeCodes {
  const keyOf = (purpose: string) => {
    if (!user) throw new Error('a code is for a user who is known');
    return { realmId: realm.id, userId: user.id, purpose };
  };
  const macOf = (purpose: string, code: string): string =>
    hmac(derive(rootSecret, 'one-time-codes'), realm.id, keyOf(purpose).userId, transaction, purpose, code);
  const wasUsed = async (key: CodeKey, code: string): Promise<'replayed' | 'expired'> => {
    const spent = await spentCode(db.knex, key, transaction);
    return spent !== undefined && safeEqual(spent, macOf(key.purpose, code)) ? 'replayed' : 'expired';
  };
  return {
    issue: (purpose, code, lifetimeMs) =>
      storeCode(db.knex, keyOf(purpose), { transactionId: transaction, mac: macOf(purpose, code), expiresAt: now + lifetimeMs }),
    async check(purpose, code) {
      const key = keyOf(purpose);
      const mac = await countTry(db.knex, key, { transactionId: transaction, most: TRIES_A_CODE, now });
      if (mac === undefined) return wasUsed(key, code);
      if (!safeEqual(mac, macOf(purpose, code))) return 'wrong';
      if (!(await spendCode(db.knex, key, mac))) return 'replayed';
      // Whoever has used a code need not wait for the next one.
      await endPauses(db.knex, realm.id, key.userId);
      return 'ok';
    },
  };
}

function stockOf({ db, keyring }: ContextDeps, realm: RealmRow): TokenStock {
  return {
    async find(serial) {
      const token = await hardwareTokenBySerial(db.knex, realm.id, serial);
      if (token?.factor !== 'hotp' || token.credentialId !== null) return undefined;
      const { id, serial: printed, model, digits, algorithm, counter } = token;
      const secret = await keyring.openText(hardwareTokenSeal(token), token.secret);
      return { id, serial: printed, model, secret: { secret, digits, algorithm }, counter };
    },
  };
}
