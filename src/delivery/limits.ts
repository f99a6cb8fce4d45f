/**
 * How many codes may be sent: to a user, to an address or a number, and by a realm. All of it is taken at once, in the
 * transaction that records the sending, or nothing is.
 */
import { hmac } from '../crypto/codes.ts';
import { derive } from '../crypto/keyring.ts';
import type { RealmSettings } from '../realms/settings.ts';
import type { Database } from '../store/database.ts';
import { countSends, type SendLimits, type Subject, sendsPaused, spendBudget } from '../store/delivery-counts.ts';
import type { Queries } from '../store/rows.ts';
import { normalise } from '../store/rows.ts';
import type { Address } from './channel.ts';

export interface Sending {
  realm: { id: string; settings: RealmSettings; rootSecret: Buffer };
  userId: string;
  to: Address;
  now: number;
}

export type Taken =
  /** The next may be asked for after so long. */
  | { ok: true; nextAfterMs: number }
  /** `exhausted`: the hour or the day of the user or the address is used up, and not only the pause between two. */
  | { ok: false; reason: 'wait'; retryAfterMs: number; exhausted: boolean }
  | { ok: false; reason: 'budget' };

/** Ends the transaction without anything of it. */
class Refused extends Error {
  readonly why: 'subjects' | 'budget';

  constructor(why: Refused['why']) {
    super(why);
    this.why = why;
  }
}

/**
 * Takes one sending out of every limit, and stores what `record` does, in one transaction.
 */
export async function takeSending(db: Database, sending: Sending, record: (trx: Queries) => Promise<void>): Promise<Taken> {
  const { realm, to, now } = sending;
  const limits = limitsOf(realm.settings, to.kind);
  const subjects = subjectsOf(sending);
  try {
    return await db.transaction(async (trx) => {
      const next = await countSends(trx, realm.id, subjects, limits, now);
      if (next === undefined) throw new Refused('subjects');
      if (!(await spendBudget(trx, { realmId: realm.id, channel: to.kind, ...budgetOf(realm.settings, to.kind) }, now))) throw new Refused('budget');
      await record(trx);
      return { ok: true, nextAfterMs: Math.max(0, next - now) };
    });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.why === 'budget') return { ok: false, reason: 'budget' };
    const { ms, exhausted } = await sendsPaused(db.knex, realm.id, subjects, limits, now);
    // Between the refusal and this look the pause may have ended.
    return { ok: false, reason: 'wait', retryAfterMs: Math.max(1_000, ms), exhausted };
  }
}

/** What a realm's settings allow in an hour and a day. */
export function budgetOf(settings: RealmSettings, kind: Address['kind']): { perHour: number; perDay: number } {
  const { realmPerHour, realmPerDay } = sectionOf(settings, kind);
  return { perHour: realmPerHour, perDay: realmPerDay };
}

function limitsOf(settings: RealmSettings, kind: Address['kind']): SendLimits {
  const { perHour, perDay, resendAfter } = sectionOf(settings, kind);
  return { perHour, perDay, pausesMs: resendAfter.map((seconds) => seconds * 1_000) };
}

const sectionOf = (settings: RealmSettings, kind: Address['kind']) => (kind === 'mail' ? settings.emailOtp : settings.smsOtp);

/** By user and by address, whichever factor sends: two factors over one channel share its limits. */
function subjectsOf({ realm, userId, to }: Sending): Subject[] {
  const key = derive(realm.rootSecret, 'delivery-counts');
  return [
    { subject: hmac(key, to.kind, 'user', userId), userId },
    { subject: hmac(key, to.kind, 'address', normalise(to.value)), userId: null },
  ];
}
