/** What a realm sends by, and the limits of its codes by mail and text message: sections of its settings. */
import { z } from 'zod';

const whole = (fallback: number, floor: number, ceiling: number) => z.number().int().min(floor).max(ceiling).default(fallback);

/** What every code that is sent has, with the numbers of its channel. */
const sentCodes = (of: {
  digits: number;
  fewest: number;
  pauses: number[];
  perHour: number;
  perDay: number;
  realm: { hour: number; day: number };
}) => ({
  digits: whole(of.digits, of.fewest, 10),
  /** Seconds for which a code is good. */
  lifetime: whole(300, 60, 600),
  /** Seconds until another may be asked for, after the first, the second, …; the last holds for all after it. */
  resendAfter: z.array(z.number().int().min(15).max(3_600)).min(1).max(5).default(of.pauses),
  /** How many a user, and an address or a number, is sent within any sixty minutes and any twenty-four hours. */
  perHour: whole(of.perHour, 1, 20),
  perDay: whole(of.perDay, 1, 50),
  /** What the whole realm may send in an hour and a day (of UTC). */
  realmPerHour: whole(of.realm.hour, 1, 1_000_000),
  realmPerDay: whole(of.realm.day, 1, 10_000_000),
});

/**
 * Where text messages go unless the realm lists other countries: the European Economic Area, Switzerland, the United
 * Kingdom, the United States and Canada. Messages to most other places cost several times as much and are what toll
 * fraud is paid by; a realm with users there names them.
 */
export const DEFAULT_COUNTRIES = [
  ...['AT', 'BE', 'BG', 'CY', 'CZ', 'DE', 'DK', 'EE', 'ES', 'FI', 'FR', 'GR', 'HR', 'HU', 'IE', 'IS', 'IT', 'LI', 'LT', 'LU', 'LV', 'MT', 'NL', 'NO'],
  ...['PL', 'PT', 'RO', 'SE', 'SI', 'SK', 'CH', 'GB', 'US', 'CA'],
];

const source = z.enum(['installation', 'realm', 'off']).default('installation');

export const deliverySettings = {
  /** By which account the realm sends: that of the installation, one of its own (`cardea mail set`), or none. */
  channels: z.object({ mail: source, sms: source }).prefault({}),

  /** Codes by mail (src/factors/email-otp). */
  emailOtp: z
    .object({
      ...sentCodes({ digits: 8, fewest: 6, pauses: [30, 60, 120], perHour: 5, perDay: 10, realm: { hour: 10_000, day: 100_000 } }),
      /** NIST SP 800-63B-4 accepts no mail as an authenticator: aal2 gives that up. */
      level: z.enum(['aal1', 'aal2']).default('aal1'),
      /** RFC 8176 has no value for it. */
      amr: z
        .string()
        .regex(/^(?!mfa$)[\x21-\x7e]{1,30}$/)
        .default('email'),
    })
    .prefault({}),

  /** Codes by text message (src/factors/sms-otp). */
  smsOtp: z
    .object({
      ...sentCodes({ digits: 6, fewest: 6, pauses: [60, 120, 300], perHour: 5, perDay: 5, realm: { hour: 200, day: 1_000 } }),
      /** The countries whose mobile numbers are sent to, as ISO 3166-1 alpha-2 has them. */
      countries: z
        .array(z.string().regex(/^[A-Z]{2}$/))
        .max(250)
        .default(DEFAULT_COUNTRIES),
      /** Hours that a number waits which takes the place of another, before anybody can sign in with it. */
      changeWaitHours: whole(72, 24, 720),
    })
    .prefault({}),
};
