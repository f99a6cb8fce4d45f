/**
 * Codes by mail, to the address of the account. Something one has, as far as a mailbox is: aal1, because NIST SP 800-63B-4
 * accepts no mail as an authenticator, unless the realm counts it as aal2.
 *
 * The address is proved before it counts: enrolling sends a code there, and typing it also confirms the address of the
 * account. A code goes nowhere else than to that address: when the account gets another one, it has to be proved anew,
 * or whoever changes an address could sign in with it.
 */
import { z } from 'zod';
import { corrupted } from '../../errors.ts';
import type { Level } from '../../policy/assurance.ts';
import type { RealmSettings } from '../../realms/settings.ts';
import type { Begun, Credential, Enroller, Enrolment, Factor, FactorContext, Form, Page, Verdict } from '../factor.ts';
import { checkCode, type SentCode, sendCode, shownOf } from '../sent-code.ts';

const ID = 'email-otp';

const stored = z.strictObject({ address: z.string().min(3).max(254) });
export type EmailSecret = z.infer<typeof stored>;

/** A challenge: which credential it is of, and what was sent. */
export interface EmailChallenge extends SentCode {
  credential: string;
}

/** An enrolment: the address that the code was sent to. */
export interface EmailEnrolment extends SentCode {
  address: string;
}

export const emailOtp: Factor<EmailSecret, EmailChallenge, EmailEnrolment> = {
  id: ID,
  role: 'second',
  kinds: ['possession'],
  name: 'Code by email',
  strength: 'A code is sent to your email address. Whoever can read your mail can read it too.',
  byMail: true,

  levelIn: ({ emailOtp: { level } }: RealmSettings) => level,
  amrIn: (settings: RealmSettings) => shows(settings).amr,

  parseSecret(value: unknown): EmailSecret {
    const parsed = stored.safeParse(value);
    // The issues of zod would quote the address.
    if (!parsed.success) throw corrupted('A stored address for codes is not what it must be.');
    return parsed.data;
  },

  enrol: {
    available: ({ user, channels }: Enroller) => channels.mail && user?.email != null,

    async begin(cx: FactorContext): Promise<Begun<EmailEnrolment>> {
      const address = cx.user?.email;
      return address ? sendTo(cx, address) : { ok: false, reason: 'no-address' };
    },

    async show(cx: FactorContext, state: EmailEnrolment): Promise<Page> {
      return { view: 'factors/email-otp/enrol', model: { ...shownOf(cx, state), address: maskedAddress(state.address) } };
    },

    /** Form field `code`. */
    async finish(cx: FactorContext, state: EmailEnrolment, input: Form): Promise<Enrolment<EmailSecret, EmailEnrolment>> {
      const checked = await checkCode(cx, state, { factor: ID, purpose: 'enrol' }, input.code);
      if (checked !== 'ok') return { ok: false, reason: checked };
      const { address } = state;
      return {
        ...{ ok: true, secret: { address }, counter: null, label: maskedAddress(address) },
        // There is one address on file, and so one of these.
        ...{ replaces: true, provesEmail: address },
        ...shows(cx.settings),
      };
    },

    resend: (cx: FactorContext, { address }: EmailEnrolment) => sendTo(cx, address),
  },

  begin: (cx: FactorContext, held: Credential<EmailSecret>[]) => challenge(cx, held),
  resend: (cx: FactorContext, _state: EmailChallenge, held: Credential<EmailSecret>[]) => challenge(cx, held),

  async show(cx: FactorContext, state: EmailChallenge, held: Credential<EmailSecret>[]): Promise<Page> {
    const address = held.find(({ id }) => id === state.credential)?.secret.address ?? '';
    return { view: 'factors/email-otp/challenge', model: { ...shownOf(cx, state), address: maskedAddress(address) } };
  },

  /** Form field `code`. */
  async verify(cx: FactorContext, state: EmailChallenge, input: Form, held: Credential<EmailSecret>[]): Promise<Verdict<EmailSecret>> {
    const credential = held.find(({ id }) => id === state.credential);
    if (credential === undefined) return { ok: false, reason: 'wrong' };
    const checked = await checkCode(cx, state, { factor: ID, purpose: 'sign-in' }, input.code);
    if (checked !== 'ok') return { ok: false, reason: checked, credentialId: credential.id };
    return { ok: true, credentialId: credential.id, ...shows(cx.settings) };
  },
};

const shows = ({ emailOtp: { level, amr } }: RealmSettings): { kinds: ['possession']; level: Level; amr: string[] } => ({
  kinds: ['possession'],
  level,
  amr: [amr],
});

async function challenge(cx: FactorContext, held: readonly Credential<EmailSecret>[]): Promise<Begun<EmailChallenge>> {
  const credential = held.find(({ secret }) => isSame(secret.address, cx.user?.email));
  if (credential === undefined) return { ok: false, reason: 'no-address' };
  const sent = await send(cx, credential.secret.address, 'sign-in');
  return sent.ok ? { ok: true, state: { ...sent.state, credential: credential.id } } : sent;
}

async function sendTo(cx: FactorContext, address: string): Promise<Begun<EmailEnrolment>> {
  if (!isSame(address, cx.user?.email)) return { ok: false, reason: 'no-address' };
  const sent = await send(cx, address, 'enrol');
  return sent.ok ? { ok: true, state: { ...sent.state, address } } : sent;
}

const send = (cx: FactorContext, to: string, purpose: 'sign-in' | 'enrol'): Promise<Begun<SentCode>> => {
  const { digits, lifetime } = cx.settings.emailOtp;
  return sendCode(cx, { factor: ID, channel: 'mail', to, purpose, digits, lifetime });
};

/** As addresses are compared everywhere here (store/rows.ts). */
export const isSame = (a: string, b: string | null | undefined): boolean => b != null && canonical(a) === canonical(b);
const canonical = (address: string): string => address.normalize('NFKC').trim().toLowerCase();

/** The first letter and the domain, for whoever knows the rest. */
export function maskedAddress(address: string): string {
  const at = address.lastIndexOf('@');
  return at < 1 ? '•••' : `${[...address][0]}•••${address.slice(at)}`;
}
