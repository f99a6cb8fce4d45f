/**
 * The factors of this product: one line each. Pages, policy and the command line find them here and nowhere else, and
 * the contract suite (test/contracts/factor.test.ts) runs against every one.
 */
import type { RealmSettings } from '../realms/settings.ts';
import { emailOtp } from './email-otp/email-otp.ts';
import { enrolmentPass } from './enrolment-pass/enrolment-pass.ts';
import type { Channels, Factor } from './factor.ts';
import { hotp } from './hotp/hotp.ts';
import { password } from './password/password.ts';
import { recoveryCodes } from './recovery-codes/recovery-codes.ts';
import { smsOtp } from './sms-otp/sms-otp.ts';
import { totp } from './totp/totp.ts';
import { passkey } from './webauthn/passkey.ts';
import { securityKey } from './webauthn/security-key.ts';

// biome-ignore format: one line a factor
export const builtIn: readonly Factor[] = [
  password,
  totp,
  securityKey,
  passkey,
  hotp,
  smsOtp,
  emailOtp,
  recoveryCodes,
  enrolmentPass,
];

/** Factors by id, the database value. */
export type FactorMap = ReadonlyMap<string, Factor>;

/** The factors of an installation: those of the product, and the custom ones of each realm. */
export interface Factors {
  /** What a realm uses. A credential of any other factor is not looked at. */
  in(settings: RealmSettings): FactorMap;
  /** What it can send codes by. */
  channels(settings: RealmSettings): Channels;
  /** Ours. */
  origin?: string;
}

/**
 * @param options.custom the custom factors of a realm (custom/factors.ts); none by default
 * @param options.channels what a realm can send by, as the delivery room says; nothing by default
 * @param options.origin ours; some factors are only for some addresses
 */
export function createFactors(
  options: { custom?: (settings: RealmSettings) => readonly Factor[]; channels?: (settings: RealmSettings) => Channels; origin?: string } = {},
): Factors {
  // Settings are read once a version of a realm, so that the same object is asked about again and again.
  const known = new WeakMap<RealmSettings, FactorMap>();
  return {
    in(settings) {
      const before = known.get(settings);
      if (before) return before;
      const off = new Set(settings.disabledFactors);
      const installed = [...builtIn, ...(options.custom?.(settings) ?? [])];
      const map: FactorMap = new Map(installed.filter(({ id, role }) => role === 'first' || !off.has(id)).map((factor) => [factor.id, factor]));
      known.set(settings, map);
      return map;
    },
    channels: options.channels ?? (() => ({ mail: false, sms: false })),
    origin: options.origin,
  };
}
