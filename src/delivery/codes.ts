/**
 * Codes by mail and text message: sent at once, by the request that asks for one, which waits a bounded time. Whoever asked
 * then knows whether the code is on its way, and falls back to another factor when it is not.
 *
 *     is there a channel? ─► does the realm send there? ─► one of every limit, and a row of the outbox ─► sent, or not ─► said
 *
 * The row tells that something was sent, when, and how it went; the code is not in it, unless the development inbox is to
 * show it. A code is never sent twice: one that comes late is worth nothing, and a newer one may have taken its place.
 */
import { record } from '../audit/record.ts';
import type { Keyring } from '../crypto/keyring.ts';
import type { Occasion, SendCode } from '../factors/context.ts';
import type { Delivered, Delivery } from '../factors/factor.ts';
import { readNumber } from '../factors/sms-otp/numbers.ts';
import { ENGLISH, isLanguage, type Language } from '../languages/languages.ts';
import { say, translatorFor, type Words } from '../languages/messages.ts';
import type { Database } from '../store/database.ts';
import type { UserRow } from '../store/users.ts';
import { atOnceKey, insertAtOnce, type SentAudit, type SentFacts, sendAtOnce } from './at-once.ts';
import { type Address, isMailAddress, oneLine } from './channel.ts';
import type { ChannelMap } from './channels.ts';
import { type LetterHtml, sayPlainly, write } from './letter.ts';
import { type Taken, takeSending } from './limits.ts';
import { type Payload, sealPayload } from './outbox.ts';

export interface CodeDeliveryDeps {
  db: Database;
  keyring: Keyring;
  channels: ChannelMap;
  html: LetterHtml;
  /** Ours: codes are for this origin alone, and say so. */
  origin: string;
  log: { warn(details: object, message: string): void };
}

export function createCodeDelivery(deps: CodeDeliveryDeps): SendCode {
  return async (about, delivery) => {
    const { realm, user, now } = about;
    if (!user) throw new Error('a code is sent to a user who is known');
    const channel = await deps.channels.of(realm, delivery.channel);
    if (!channel) return { ok: false, reason: 'not-configured' };
    const checked = addressOf(about, delivery);
    const facts: SentFacts = { channel: delivery.channel, purpose: delivery.purpose, ...(checked.country ? { country: checked.country } : {}) };
    const audit: SentAudit = (event, queries = deps.db.knex) =>
      record(queries, { realmId: realm.id, at: now, actor: user.id, subject: user.id, transactionId: about.transaction }, event);
    if (!checked.ok) {
      if (checked.reason === 'not-allowed') await audit({ type: 'delivery.budget', details: { ...limited(facts), limit: 'country' } });
      return { ok: false, reason: checked.reason };
    }

    const { to } = checked;
    const key = atOnceKey(realm.id, now);
    const message = { to: to.value, ...(await inWordsOf(deps, about, delivery)) };
    const payload = channel.keeps ? await sealPayload(deps.keyring, key, message) : '';
    const taken = await takeSending(deps.db, { realm: { ...realm, rootSecret: about.rootSecret }, userId: user.id, to, now }, (trx) =>
      insertAtOnce(trx, key, { kind: to.kind, purpose: 'code', userId: user.id, payload }, now),
    );
    if (!taken.ok) return refused(taken, facts, audit);
    const failed = await sendAtOnce(deps, { key, channel, to, message, validMs: delivery.validMs, now, facts, audit });
    return failed === undefined ? { ok: true, nextAfterMs: taken.nextAfterMs } : { ok: false, reason: 'failed' };
  };
}

async function refused(taken: Extract<Taken, { ok: false }>, facts: SentFacts, audit: SentAudit): Promise<Delivered> {
  if (taken.reason === 'budget') {
    await audit({ type: 'delivery.budget', details: { ...limited(facts), limit: 'realm' } });
    return { ok: false, reason: 'budget' };
  }
  if (taken.exhausted) await audit({ type: 'delivery.budget', details: { ...limited(facts), limit: 'user' } });
  return { ok: false, reason: 'wait', retryAfterMs: taken.retryAfterMs };
}

const limited = ({ channel, purpose }: SentFacts) => ({ channel, purpose });

type Checked = { ok: true; to: Address; country?: string } | { ok: false; reason: 'no-address' | 'not-allowed'; country?: string };

/** Asked each time: the list of countries may have changed since the number was enrolled. */
function addressOf({ realm }: Occasion, { channel, to }: Delivery): Checked {
  if (channel === 'mail') return isMailAddress(to) ? { ok: true, to: { kind: 'mail', value: to } } : { ok: false, reason: 'no-address' };
  const read = readNumber(to, realm.settings.smsOtp.countries);
  if (read.ok) return { ok: true, to: { kind: 'sms', value: read.number }, country: read.country };
  if (read.reason === 'malformed') return { ok: false, reason: 'no-address' };
  return { ok: false, reason: 'not-allowed', ...(read.country ? { country: read.country } : {}) };
}

/** The most of a realm's name that a text message holds. */
const SMS_NAME = 40;

/** In the language of the page that asks. */
async function inWordsOf({ origin, html }: CodeDeliveryDeps, about: Occasion, delivery: Delivery): Promise<Omit<Payload, 'to'>> {
  const { realm, user } = about;
  const language: Language = isLanguage(about.language) ? about.language : ENGLISH;
  const { hostname, host } = new URL(origin);
  if (delivery.channel === 'sms') {
    const name = [...oneLine(realm.displayName)].slice(0, SMS_NAME).join('');
    const said = translatorFor(language)('mail.code.sms', { code: delivery.code, realm: name });
    // The last line tells a phone for which site the code is, and it offers it there alone (https://wicg.github.io/sms-one-time-codes/).
    return { from: name, subject: '', text: `${said}\n\n@${hostname} #${delivery.code}`, html: null };
  }
  const signingIn = delivery.purpose === 'sign-in';
  const text = (words: Words) => ({ kind: 'text', words }) as const;
  return write(
    {
      language,
      realm: realm.displayName,
      name: nameOf(user),
      subject: sayPlainly('mail.code.subject', { realm: realm.displayName }),
      parts: [
        text(signingIn ? sayPlainly('mail.code.signIn', { realm: realm.displayName }) : sayPlainly('mail.code.enrol', { realm: realm.displayName })),
        { kind: 'code', code: delivery.code },
        text(sayPlainly('mail.code.valid', { valid: Math.floor(delivery.validMs / 1_000), host })),
        text(sayPlainly('mail.code.never', { realm: realm.displayName })),
        text(say(signingIn ? 'mail.code.notYou' : 'mail.code.notYouEnrol')),
      ],
    },
    html,
  );
}

const nameOf = (user: UserRow | undefined): string => user?.firstName ?? user?.username ?? '';
