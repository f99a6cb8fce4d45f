/**
 * Codes by text message, to a number that the user has proved. Something one has, aal2 beside a password, and a restricted
 * authenticator (NIST SP 800-63B-4): it can be redirected by a phone company that was lied to, so that the
 * pages say so and offer another.
 *
 * Enrolling has two pages, the number and its code. A number that takes the place of another is good for signing in only
 * after some days: whoever takes over an account would begin there, and the number from before is told of it.
 */
import type { Begun, Credential, Enroller, Enrolment, Factor, FactorContext, Form, Page, Verdict } from '../factor.ts';
import { checkCode, type SentCode, sendCode, shownOf } from '../sent-code.ts';
import { maskedNumber, readNumber } from './numbers.ts';
import { parseSmsSecret, SMS_OTP, type SmsSecret } from './stored.ts';

export interface SmsChallenge extends SentCode {
  credential: string;
}

/** The first page asks for the number, the second for the code that was sent there. */
export type SmsEnrolment = { at: 'number' } | ({ at: 'code'; number: string } & SentCode);

export const smsOtp: Factor<SmsSecret, SmsChallenge, SmsEnrolment> = {
  id: SMS_OTP,
  role: 'second',
  kinds: ['possession'],
  name: 'Text message',
  strength: 'A code is sent to your phone. Text messages can be redirected to somebody else: an app or a passkey is safer.',

  levelIn: () => 'aal2',
  amrIn: () => shows().amr,
  parseSecret: parseSmsSecret,

  enrol: {
    available: ({ channels }: Enroller) => channels.sms,

    async begin(): Promise<Begun<SmsEnrolment>> {
      return { ok: true, state: { at: 'number' } };
    },

    async show(cx: FactorContext, state: SmsEnrolment): Promise<Page> {
      if (state.at === 'number') return { view: 'factors/sms-otp/enrol', model: { changeWait: cx.settings.smsOtp.changeWaitHours * 3_600 } };
      return { view: 'factors/sms-otp/confirm', model: { ...shownOf(cx, state), masked: maskedNumber(state.number) } };
    },

    /** Form field `number`, and then `code`; `number` once more where it was wrong. */
    async finish(cx: FactorContext, state: SmsEnrolment, input: Form): Promise<Enrolment<SmsSecret, SmsEnrolment>> {
      if (state.at === 'number' || input.number !== undefined) return takeNumber(cx, input.number);
      const checked = await checkCode(cx, state, { factor: SMS_OTP, purpose: 'enrol' }, input.code);
      if (checked !== 'ok') return { ok: false, reason: checked };
      const { number } = state;
      const usableFrom = await cx.proveNumber(number);
      return {
        ...{ ok: true, secret: { number, usableFrom }, counter: null, label: maskedNumber(number), replaces: true },
        ...(usableFrom > cx.now ? { usableFrom } : {}),
        ...shows(),
      };
    },

    async resend(cx: FactorContext, state: SmsEnrolment): Promise<Begun<SmsEnrolment>> {
      return state.at === 'number' ? { ok: true, state } : sendTo(cx, state.number);
    },
  },

  begin: (cx: FactorContext, held: Credential<SmsSecret>[]) => challenge(cx, held),
  resend: (cx: FactorContext, _state: SmsChallenge, held: Credential<SmsSecret>[]) => challenge(cx, held),

  async show(cx: FactorContext, state: SmsChallenge, held: Credential<SmsSecret>[]): Promise<Page> {
    const number = held.find(({ id }) => id === state.credential)?.secret.number ?? '';
    return { view: 'factors/sms-otp/challenge', model: { ...shownOf(cx, state), masked: maskedNumber(number) } };
  },

  /** Form field `code`. */
  async verify(cx: FactorContext, state: SmsChallenge, input: Form, held: Credential<SmsSecret>[]): Promise<Verdict<SmsSecret>> {
    const credential = held.find(({ id, secret }) => id === state.credential && secret.usableFrom <= cx.now);
    if (credential === undefined) return { ok: false, reason: 'wrong' };
    const checked = await checkCode(cx, state, { factor: SMS_OTP, purpose: 'sign-in' }, input.code);
    if (checked !== 'ok') return { ok: false, reason: checked, credentialId: credential.id };
    return { ok: true, credentialId: credential.id, ...shows() };
  },
};

/** RFC 8176 section 2: a text message to a registered number, over another channel than the browser's. */
const shows = (): { kinds: ['possession']; level: 'aal2'; amr: string[] } => ({ kinds: ['possession'], level: 'aal2', amr: ['sms', 'mca'] });

async function challenge(cx: FactorContext, held: readonly Credential<SmsSecret>[]): Promise<Begun<SmsChallenge>> {
  const credential = held.find(({ secret }) => secret.usableFrom <= cx.now);
  if (credential === undefined) return { ok: false, reason: held.length === 0 ? 'no-address' : 'too-new' };
  const sent = await send(cx, credential.secret.number, 'sign-in');
  return sent.ok ? { ok: true, state: { ...sent.state, credential: credential.id } } : sent;
}

/** The number as it was typed: read, looked at, and sent a code. */
async function takeNumber(cx: FactorContext, typed: unknown): Promise<Enrolment<SmsSecret, SmsEnrolment>> {
  const read = readNumber(typed, cx.settings.smsOtp.countries);
  if (!read.ok) return { ok: false, reason: read.reason === 'malformed' ? 'no-address' : 'not-allowed', field: 'number' };
  const sent = await sendTo(cx, read.number);
  return sent.ok ? { ok: 'next', state: sent.state } : sent;
}

async function sendTo(cx: FactorContext, number: string): Promise<Begun<SmsEnrolment>> {
  const sent = await send(cx, number, 'enrol');
  return sent.ok ? { ok: true, state: { at: 'code', number, ...sent.state } } : sent;
}

const send = (cx: FactorContext, to: string, purpose: 'sign-in' | 'enrol'): Promise<Begun<SentCode>> => {
  const { digits, lifetime } = cx.settings.smsOtp;
  return sendCode(cx, { factor: SMS_OTP, channel: 'sms', to, purpose, digits, lifetime });
};
