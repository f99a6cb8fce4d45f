/**
 * HOTP (RFC 4226): codes of a hardware token that counts how often its button was pressed. Something one has, aal2 beside
 * a password.
 *
 * A counter is spent like a coin: a code is accepted only when its counter is later than the last one used, and only once
 * the conditional UPDATE behind `cx.spend` has set it. A button that was pressed in a pocket is looked ahead for; a token
 * that is further ahead is found again by two codes in a row (section 7.4), never by one.
 *
 * Tokens come from the realm's stock, which is imported (import/): an administrator gives one to a user, or the user takes
 * one that is nobody's by its serial number and two codes.
 *
 * otplib does the arithmetic, the base32 and the comparison (constant time); what is here is which counter may be used.
 */
import { verifySync } from 'otplib';
import { corrupted } from '../../errors.ts';
import type { Begun, Credential, Enroller, Enrolment, Factor, FactorContext, Form, Page, Verdict } from '../factor.ts';
import { type OtpSecret, otpSecret, shownByCode } from '../otp.ts';
import { codeOf, labelOf } from '../typed.ts';

/** The codes after the last used one that are looked at (RFC 4226 section 7.4, the look-ahead window s). */
const LOOK_AHEAD = 10;
/** The same where two codes in a row are given: a pair is a million times harder to guess. */
const RESYNC_WITHIN = 100;
/** A code that was right so many codes ago is told from one that never was. */
const LOOK_BACK = 10;
const DIGITS = [6, 8] as const;
const MAX_SERIAL = 64;

/** Of no token: compared with where there is none, so that a serial number that exists takes no longer than another. */
const NO_TOKEN: OtpSecret = { secret: 'A'.repeat(32), digits: 6, algorithm: 'sha1' };

/** All that an enrolment needs is typed at once; null would be one that was not begun. */
type NothingKept = Record<string, never>;

export const hotp: Factor<OtpSecret, null, NothingKept> = {
  id: 'hotp',
  role: 'second',
  kinds: ['possession'],
  name: 'Hardware token',
  strength: 'A new code each time you press its button. Needs no phone. A convincing fake page can still ask for it.',

  levelIn: () => 'aal2',
  amrIn: () => shownByCode().amr,

  parseSecret(value: unknown): OtpSecret {
    const parsed = otpSecret.safeParse(value);
    // The issues of zod would quote the secret.
    if (!parsed.success) throw corrupted('A stored hardware token is not what it must be.');
    return parsed.data;
  },

  enrol: {
    available: ({ settings }: Enroller) => settings.hotp.claim,

    async begin(): Promise<Begun<NothingKept>> {
      return { ok: true, state: {} };
    },

    async show(): Promise<Page> {
      return { view: 'factors/hotp/enrol', model: {} };
    },

    /**
     * Form fields `serial`, `code` and `next_code`, and `label` for the user's own name of the token. Which of them is
     * wrong is not said: serial numbers are in a row, and who has which is nobody's business.
     */
    async finish(cx: FactorContext, _state: NothingKept, input: Form): Promise<Enrolment<OtpSecret, NothingKept>> {
      const serial = serialOf(input.serial);
      if (serial === undefined) return { ok: false, reason: 'malformed', field: 'serial' };
      const pair = pairOf(input);
      if ('field' in pair) return { ok: false, reason: 'malformed', field: pair.field };
      const token = await cx.stock.find(serial);
      const secret = token === undefined ? NO_TOKEN : hotp.parseSecret(token.secret);
      const counter = matchedPair(secret, pair, token?.counter ?? null);
      if (token === undefined || counter === undefined) return { ok: false, reason: 'wrong' };
      const label = labelOf(input.label) || [token.model, token.serial].filter(Boolean).join(' ');
      return { ok: true, secret, counter, label, takes: token.id, ...shownByCode() };
    },
  },

  async show(_cx: FactorContext, _state: unknown, held: Credential<OtpSecret>[]): Promise<Page> {
    const [first, ...others] = held;
    const digits = Math.max(...held.map((credential) => credential.secret.digits), 6);
    return { view: 'factors/hotp/challenge', model: { digits, label: others.length === 0 ? (first?.label ?? null) : null } };
  },

  /** Form field `code`. Every token that is held is compared. */
  async verify(cx: FactorContext, _state: unknown, input: Form, held: Credential<OtpSecret>[]): Promise<Verdict<OtpSecret>> {
    const code = codeOf(input.code, held.length > 0 ? held.map((credential) => credential.secret.digits) : DIGITS);
    if (code === undefined) return { ok: false, reason: 'malformed' };

    const candidates = held.filter((credential) => credential.secret.digits === code.length);
    const matches = candidates.map((credential) => ({ credential, counter: matched(credential, code) }));
    for (const { credential, counter } of matches) {
      if (counter !== undefined && (await cx.spend(credential.id, counter))) return { ok: true, credentialId: credential.id, ...shownByCode() };
    }

    // Right, but spent before: a replay, or the loser of a race.
    const used = matches.find(({ credential, counter }) => counter !== undefined || wasUsed(credential, code));
    if (used !== undefined) return { ok: false, reason: 'replayed', credentialId: used.credential.id };
    return { ok: false, reason: 'wrong', ...only(held) };
  },

  /** Form fields `code` and `next_code`: two codes in a row, within the next hundred. */
  async resync(cx: FactorContext, input: Form, held: Credential<OtpSecret>[]): Promise<Verdict<OtpSecret>> {
    const pair = pairOf(input);
    if ('field' in pair) return { ok: false, reason: 'malformed' };
    for (const credential of held) {
      const counter = matchedPair(credential.secret, pair, credential.counter);
      if (counter === undefined) continue;
      if (await cx.spend(credential.id, counter)) return { ok: true, credentialId: credential.id, ...shownByCode() };
      return { ok: false, reason: 'replayed', credentialId: credential.id };
    }
    const used = held.find(
      (credential) => pair.code.length === credential.secret.digits && wasUsed(credential, pair.code) && wasUsed(credential, pair.next),
    );
    if (used !== undefined) return { ok: false, reason: 'replayed', credentialId: used.id };
    return { ok: false, reason: 'wrong', ...only(held) };
  },
};

const only = (held: readonly Credential[]): { credentialId?: string } => (held.length === 1 && held[0] ? { credentialId: held[0].id } : {});

/** Two codes in a row, as they were typed. */
interface Pair {
  code: string;
  next: string;
}

function pairOf(input: Form): Pair | { field: string } {
  const code = codeOf(input.code, DIGITS);
  if (code === undefined) return { field: 'code' };
  const next = codeOf(input.next_code, [code.length]);
  return next === undefined ? { field: 'next_code' } : { code, next };
}

/** The counter after the last used one that a code belongs to; undefined when it belongs to none that is looked at. */
function matched({ secret, counter }: Credential<OtpSecret>, code: string): number | undefined {
  return counters(counter, LOOK_AHEAD).find((one) => isCodeAt(secret, one, code));
}

function wasUsed({ secret, counter }: Credential<OtpSecret>, code: string): boolean {
  if (counter === null) return false;
  return Array.from({ length: Math.min(LOOK_BACK, counter + 1) }, (_, back) => counter - back).some((one) => isCodeAt(secret, one, code));
}

/** The counter of the second of two codes in a row; undefined when they are none within reach. */
function matchedPair(secret: OtpSecret, { code, next }: Pair, last: number | null): number | undefined {
  if (code.length !== secret.digits) return undefined;
  return counters(last, RESYNC_WITHIN).find((one, index) => index > 0 && isCodeAt(secret, one, next) && isCodeAt(secret, one - 1, code));
}

const counters = (last: number | null, ahead: number): number[] => Array.from({ length: ahead }, (_, index) => (last ?? -1) + 1 + index);

const isCodeAt = (secret: OtpSecret, counter: number, code: string): boolean =>
  verifySync({ ...secret, strategy: 'hotp', counter, token: code }).valid;

function serialOf(typed: unknown): string | undefined {
  if (typeof typed !== 'string' || typed.length > MAX_SERIAL || !typed.isWellFormed()) return undefined;
  const serial = typed.trim();
  return /[\p{L}\p{N}]/u.test(serial) && !/[\p{Cc}\p{Cf}]/u.test(serial) ? serial : undefined;
}
