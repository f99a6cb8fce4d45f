/**
 * TOTP (RFC 6238): codes of an authenticator app. Something one has, aal2 beside a password.
 *
 * A time step is spent like a coin: a code is accepted only when its step is later than the last one used, and only once
 * the step was spent by the conditional UPDATE behind `cx.spend` (RFC 6238 section 5.2: the verifier must not accept the
 * second attempt). The code that confirms an enrolment spends its step too.
 *
 * otplib does the arithmetic, the base32 and the comparison (constant time); what is here is which step may be used.
 */
import { generateSecret, verifySync } from 'otplib';
import { z } from 'zod';
import { corrupted } from '../../errors.ts';
import type { Begun, Credential, Enrolment, Factor, FactorContext, Form, Page, Verdict } from '../factor.ts';
import { type OtpSecret, otpSecret, shownByCode } from '../otp.ts';
import { codeOf, labelOf } from '../typed.ts';
import { otpauthUri, qrSvg } from './enrolment-qr.ts';

/** What is stored, sealed. An app keeps the parameters it was enrolled with when the realm's change. */
export interface TotpSecret extends OtpSecret {
  /** Seconds a step. */
  period: number;
}

/** Bytes: as long as the hash (RFC 6238 section 5.1), which for SHA-1 are the 160 bits that RFC 4226 section 4, R6 recommends. */
const SECRET_BYTES = { sha1: 20, sha256: 32, sha512: 64 } as const;

const stored = otpSecret.extend({ period: z.number().int().min(1).max(3600) });

export const totp: Factor<TotpSecret, null, TotpSecret> = {
  id: 'totp',
  role: 'second',
  kinds: ['possession'],
  name: 'Authenticator app',
  strength: 'A new code every few seconds, from your phone. Works offline. A convincing fake page can still ask for it.',

  levelIn: () => 'aal2',
  amrIn: () => shownByCode().amr,

  parseSecret(value: unknown): TotpSecret {
    const parsed = stored.safeParse(value);
    // The issues of zod would quote the secret.
    if (!parsed.success) throw corrupted('A stored authenticator app is not what it must be.');
    return parsed.data;
  },

  enrol: {
    async begin(cx: FactorContext): Promise<Begun<TotpSecret>> {
      const { digits, period, algorithm } = cx.settings.totp;
      return { ok: true, state: { secret: generateSecret({ length: SECRET_BYTES[algorithm] }), digits, period, algorithm } };
    },

    show: enrolmentPage,

    /** Form fields `code`, and `label` for the user's own name of the app. */
    async finish(cx: FactorContext, state: TotpSecret, input: Form): Promise<Enrolment<TotpSecret, TotpSecret>> {
      const code = codeOf(input.code, [state.digits]);
      if (code === undefined) return { ok: false, reason: 'malformed' };
      const step = matchedStep(cx, state, code, null);
      if (step === undefined) return { ok: false, reason: 'wrong' };
      return { ok: true, secret: state, counter: step, label: labelOf(input.label), ...shownByCode() };
    },
  },

  async show(_cx: FactorContext, _state: unknown, held: Credential<TotpSecret>[]): Promise<Page> {
    const [first, ...others] = held;
    const digits = Math.max(...held.map((credential) => credential.secret.digits), 6);
    return { view: 'factors/totp/challenge', model: { digits, label: others.length === 0 ? (first?.label ?? null) : null } };
  },

  /** Form field `code`. Every app that is held is compared, each once. */
  async verify(cx: FactorContext, _state: unknown, input: Form, held: Credential<TotpSecret>[]): Promise<Verdict<TotpSecret>> {
    const code = codeOf(input.code, held.length > 0 ? held.map((credential) => credential.secret.digits) : [6, 8]);
    if (code === undefined) return { ok: false, reason: 'malformed' };

    const candidates = held.filter((credential) => credential.secret.digits === code.length);
    const matches = candidates.map((credential) => ({ credential, step: matchedStep(cx, credential.secret, code, credential.counter) }));
    for (const { credential, step } of matches) {
      if (step !== undefined && (await cx.spend(credential.id, step))) return { ok: true, credentialId: credential.id, ...shownByCode() };
    }

    // Right, but its step was spent before: a replay, or the loser of a race.
    const used = candidates.find((credential) => matchedStep(cx, credential.secret, code, null) !== undefined);
    if (used !== undefined) return { ok: false, reason: 'replayed', credentialId: used.id };
    const [only, ...others] = held;
    return { ok: false, reason: 'wrong', ...(only !== undefined && others.length === 0 && { credentialId: only.id }) };
  },
};

/**
 * The time step that a code belongs to, within the realm's window around now (RFC 6238 section 5.2).
 *
 * @param last the last used step: it and earlier ones do not match
 * @returns undefined when the code belongs to none
 */
function matchedStep(cx: FactorContext, secret: TotpSecret, code: string, last: number | null): number | undefined {
  const window = cx.settings.totp.window;
  const epoch = Math.floor(cx.now / 1000);
  // otplib refuses a last step beyond its window as a mistake. To us it means that all the window's steps are used.
  if (last !== null && last >= Math.floor(epoch / secret.period) + window) return undefined;
  const result = verifySync({
    ...secret,
    token: code,
    epoch,
    epochTolerance: window * secret.period,
    ...(last !== null && { afterTimeStep: last }),
  });
  return result.valid && 'timeStep' in result ? result.timeStep : undefined;
}

async function enrolmentPage(cx: FactorContext, state: TotpSecret): Promise<Page> {
  if (cx.user === undefined) throw new Error('an authenticator app is enrolled for a user who is known');
  const issuer = cx.realm.displayName || cx.realm.name;
  const account = cx.user.username;
  const { secret, digits, period } = state;
  const otpauth = otpauthUri({ ...state, issuer, account });
  // In groups of four, as it is easier typed; apps take the spaces.
  const key = secret.replace(/(.{4})(?=.)/g, '$1 ');
  const algorithm = state.algorithm.toUpperCase().replace('SHA', 'SHA-');
  return { view: 'factors/totp/enrol', model: { qr: await qrSvg(otpauth), key, otpauth, digits, period, algorithm, issuer, account } };
}
