/**
 * Fields of Keycloak's RealmRepresentation that are settings of ours by another name: where each stands, and how its values
 * are put into the other's words. What has no counterpart stands in realm-kept.ts.
 *
 * Where two values of Keycloak's mean one of ours, the one that was given is kept beside the setting, and shown for as long
 * as the setting says the same: whoever manages a realm by a file reads what they wrote.
 */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { badInput } from '../../errors.ts';
import { defaultRealmSettings } from '../../realms/settings.ts';
import { minLengthOf, passwordPolicyOf } from './realm-password-policy.ts';

export interface RealmField {
  readonly name: string;
  /** Where it stands in a realm's document (realm-document.ts), such as `totp.digits`. */
  readonly at: string;
  readonly schema: z.ZodType;
  /** Our value in Keycloak's words. */
  show(value: unknown): unknown;
  /** Keycloak's value in our words. @throws AppError 400 naming the field */
  take(value: unknown): unknown;
}

const field = <T>(
  name: string,
  at: string,
  schema: z.ZodType<T>,
  ways: { show?: (value: unknown) => unknown; take?: (value: T) => unknown } = {},
): RealmField => ({
  name,
  at,
  schema,
  show: ways.show ?? ((value) => value),
  take: (value) => {
    const parsed = schema.parse(value);
    return ways.take ? ways.take(parsed) : parsed;
  },
});

/** A value of Keycloak's for each of ours; further ones of Keycloak's that mean the same. */
function words(name: string, at: string, ours: Readonly<Record<string, string>>, more: Readonly<Record<string, string>> = {}): RealmField {
  const theirs = new Map([...Object.entries(more), ...Object.entries(ours).map(([own, their]): [string, string] => [their, own])]);
  return field(name, at, z.enum([...theirs.keys()]), { show: (value) => ours[String(value)] ?? value, take: (value) => theirs.get(value) });
}

const whole = z.number().int().min(-2_147_483_648).max(2_147_483_647);
const flag = z.boolean();
const text = (longest: number) => z.string().max(longest);
const list = z.array(z.string().max(255)).max(1_000);
const { webauthn } = defaultRealmSettings();

const ATTESTATION = { none: 'none', direct: 'direct' };
/** Whoever asks for more than to be told nothing is told what model it is. */
const MORE_ATTESTATION = { 'not specified': 'none', indirect: 'direct', enterprise: 'direct' };

/** Both of Keycloak's policies are about the same host and the same algorithms here. */
const webAuthn = (prefix: string, section: string): RealmField[] => [
  field(`${prefix}SignatureAlgorithms`, 'webauthn.algorithms', list, {
    take: (names) => (names.length === 0 ? webauthn.algorithms : names),
  }),
  field(`${prefix}RpId`, 'webauthn.rpId', text(253), { show: (value) => value ?? '', take: (value) => (value === '' ? null : value) }),
  words(`${prefix}AttestationConveyancePreference`, `${section}.attestation`, ATTESTATION, MORE_ATTESTATION),
  field(`${prefix}AcceptableAaguids`, `${section}.aaguids`, list, { take: (ids) => ids.filter((id) => id !== '') }),
];

/** In the order in which they are read and written. */
export const REALM_FIELDS: readonly RealmField[] = [
  ...[
    'accessTokenLifespan',
    'accessTokenLifespanForImplicitFlow',
    'accessCodeLifespan',
    'accessCodeLifespanLogin',
    'oauth2DeviceCodeLifespan',
    'oauth2DevicePollingInterval',
    'actionTokenGeneratedByAdminLifespan',
    'ssoSessionIdleTimeout',
    'ssoSessionMaxLifespan',
    'ssoSessionIdleTimeoutRememberMe',
    'ssoSessionMaxLifespanRememberMe',
    'offlineSessionIdleTimeout',
    'offlineSessionMaxLifespan',
    'clientSessionIdleTimeout',
    'clientSessionMaxLifespan',
    'clientOfflineSessionIdleTimeout',
    'clientOfflineSessionMaxLifespan',
    'refreshTokenMaxReuse',
  ].map((name) => field(name, name, whole)),
  field('revokeRefreshToken', 'revokeRefreshToken', flag),
  field('offlineSessionMaxLifespanEnabled', 'offlineSessionMaxLifespanEnabled', flag),
  field('rememberMe', 'rememberMe', flag),
  field('defaultSignatureAlgorithm', 'defaultSignatureAlgorithm', text(255)),
  field('resetPasswordAllowed', 'resetPasswordAllowed', flag),
  field('verifyEmail', 'verifyEmail', flag),
  field('passwordPolicy', 'passwordMinLength', text(4_000), { show: passwordPolicyOf, take: minLengthOf }),

  // Guessing is always bounded here; these are the numbers that mean the same.
  field('failureFactor', 'throttling.pauseAfter', whole),
  field('waitIncrementSeconds', 'throttling.firstPause', whole),
  field('maxFailureWaitSeconds', 'throttling.longestPause', whole),

  words('otpPolicyAlgorithm', 'totp.algorithm', { sha1: 'HmacSHA1', sha256: 'HmacSHA256', sha512: 'HmacSHA512' }),
  field('otpPolicyDigits', 'totp.digits', whole),
  field('otpPolicyPeriod', 'totp.period', whole),
  field('otpPolicyLookAheadWindow', 'totp.window', whole),

  ...webAuthn('webAuthnPolicy', 'webauthn.securityKey'),
  words(
    'webAuthnPolicyUserVerificationRequirement',
    'webauthn.securityKey.userVerification',
    { required: 'required', preferred: 'preferred', discouraged: 'discouraged' },
    { 'not specified': 'preferred' },
  ),
  ...webAuthn('webAuthnPolicyPasswordless', 'webauthn.passkey'),
  field('webAuthnPolicyPasswordlessPasskeysEnabled', 'webauthn.passkey.signIn', flag),
];

/** The value at a path such as `totp.digits`. */
export function valueAt(document: unknown, path: string): unknown {
  return path.split('.').reduce((value, key) => (isSection(value) && Object.hasOwn(value, key) ? value[key] : undefined), document);
}

/** The same document with another value at a path. */
export function withValueAt(document: unknown, path: string, value: unknown): Record<string, unknown> {
  const [key = '', ...rest] = path.split('.');
  const section = isSection(document) ? document : {};
  return { ...section, [key]: rest.length === 0 ? value : withValueAt(section[key], rest.join('.'), value) };
}

const isSection = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whatever the order in which the names of an object came. */
export const sameJson = (one: unknown, other: unknown): boolean => isDeepStrictEqual(one, other);

/** What is wrong with a value of ours, said with Keycloak's name of it. */
export function refusalOf(issue: { path: PropertyKey[]; message: string }, given: ReadonlySet<string>): Error {
  const path = issue.path.join('.');
  const found = REALM_FIELDS.find(({ name, at }) => given.has(name) && (path === at || path.startsWith(`${at}.`)));
  const name = found?.name ?? path.replace(/^kept\./, '');
  return badInput(name, `${name}: ${issue.message}`);
}
