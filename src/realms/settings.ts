/**
 * What a realm's administrator can set, as one validated JSON document per realm.
 * Every field has a default, so that an older row stays readable after a release that adds one.
 */
import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { customFactorSettings } from './custom-factor-settings.ts';
import { deliverySettings } from './delivery-settings.ts';
import { keycloakSettings } from './keycloak-settings.ts';

const seconds = (fallback: number, floor = 1, ceiling = 10 * 365 * 86_400) => z.number().int().min(floor).max(ceiling).default(fallback);

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

/** What an authenticator that is bound anew has to say of itself. */
const authenticators = {
  /** `direct` asks it to say what model it is; by default it is not asked, and most browsers then tell nothing. */
  attestation: z.enum(['none', 'direct']).default('none'),
  /** The models that may be bound, by AAGUID; empty for any. With a list, a signed statement of the model is required. */
  aaguids: z.array(z.guid().toLowerCase()).max(1_000).default([]),
  /** Certificates in PEM that must stand behind such a statement. Without any nobody vouches for it, and it raises no level. */
  trustAnchors: z
    .array(z.string().max(10_000).refine(isCertificate, { error: 'not a certificate in PEM' }))
    .max(200)
    .default([]),
};

export const realmSettings = z.object({
  /** Ids of factors that this realm does not use: nobody is asked for them, and nobody can add one. */
  disabledFactors: z.array(z.string().max(100)).max(100).default([]),
  /** Where a code cannot be sent (no number, a failed provider), the next of these that the user has and that is enough is asked for. */
  fallback: z.array(z.string().max(100)).max(20).default(['sms-otp', 'email-otp']),

  ...customFactorSettings,

  ...deliverySettings,

  /** TOTP (RFC 6238) as new authenticator apps are enrolled; existing ones keep what they were made with. */
  totp: z
    .object({
      digits: z.literal([6, 8]).default(6),
      period: z.number().int().min(15).max(120).default(30),
      /** SHA-1 by default: several widespread apps ignore the parameter. */
      algorithm: z.enum(['sha1', 'sha256', 'sha512']).default('sha1'),
      /** Steps before and after the current one that are accepted (RFC 6238 section 5.2). */
      window: z.number().int().min(0).max(2).default(1),
    })
    .prefault({}),

  /** Security keys and passkeys (WebAuthn Level 3); existing ones keep what they were made with. */
  webauthn: z
    .object({
      /** A domain that our host belongs to, for keys that several of its hosts share; our host itself when null. To change it makes every existing key useless. */
      rpId: z
        .string()
        .max(253)
        .regex(/^(?!\d+(\.\d+){3}$)[a-z0-9-]+(\.[a-z0-9-]+)*$/)
        .nullable()
        .default(null),
      /** Names of COSE algorithms (RFC 9053), the preferred one first. */
      algorithms: z
        .array(z.enum(['EdDSA', 'ES256', 'ES384', 'ES512', 'PS256', 'RS256']))
        .min(1)
        .default(['EdDSA', 'ES256', 'RS256']),
      securityKey: z
        .object({
          /** Whether a key also asks for its PIN or a finger. A passkey always does. */
          userVerification: z.enum(['required', 'preferred', 'discouraged']).default('preferred'),
          ...authenticators,
        })
        .prefault({}),
      passkey: z
        .object({
          /** Whether a passkey may begin a sign-in, on its first page. */
          signIn: z.boolean().default(true),
          /** Whether users who signed in with an app are offered a passkey, once. */
          offer: z.boolean().default(true),
          ...authenticators,
        })
        .prefault({}),
    })
    .prefault({}),

  /** What bounds guessing (docs/throttling.md). A failure is counted before anything is compared; a success gives back what it was counted. */
  throttling: z
    .object({
      /** Wrong codes in a row that end a sign-in, and how far apart the pauses are. */
      attemptsPerSignIn: z.number().int().min(3).max(10).default(5),
      /** Failures in a row, of one account's password or one factor, that bring the first pause. */
      pauseAfter: z.number().int().min(5).max(50).default(10),
      firstPause: seconds(900, 60, 86_400),
      /** Pauses double up to this one; a longer one protects no better and is a way to lock somebody out. */
      longestPause: seconds(86_400, 60, 86_400),
      /** Wrong codes in a row that switch a factor off. NIST SP 800-63B-4 section 3.2.2 allows a hundred; half of that leaves room for the user's own slips. */
      disableAfter: z.number().int().min(10).max(100).default(50),
      /** One address: an IPv4 address or an IPv6 /64. A whole office may share one. */
      address: z
        .object({
          failures: z.number().int().min(10).max(10_000).default(100),
          within: seconds(900, 60, 86_400),
          /** Sign-ins that were begun and are not finished. */
          openSignIns: z.number().int().min(20).max(20_000).default(2_000),
        })
        .prefault({}),
      /** Wrong client secrets, of one client at one address. */
      client: z.object({ failures: z.number().int().min(5).max(1_000).default(30), within: seconds(300, 60, 86_400) }).prefault({}),
      /** Failed sign-ins of the whole realm: more of them are an alarm, and slow down whoever comes from a new device. */
      realm: z.object({ failures: z.number().int().min(50).max(1_000_000).default(1_000), within: seconds(60, 10, 3_600) }).prefault({}),
    })
    .prefault({}),

  /** HOTP (RFC 4226): hardware tokens out of the realm's stock. */
  hotp: z
    .object({
      /** Whether users may take a token that is nobody's, by its serial number and two codes. Otherwise administrators give them out. */
      claim: z.boolean().default(false),
    })
    .prefault({}),

  /** Lifetimes in seconds. Keycloak's names where it has one. */
  accessTokenLifespan: seconds(300, 30, 86_400),
  /** Of those that come with the answer to an authorization request. */
  accessTokenLifespanForImplicitFlow: seconds(900, 30, 86_400),
  accessCodeLifespan: seconds(60, 10, 600),
  /** How long the code that a device shows is good, and how long the device waits between its questions (RFC 8628 section 3.2). */
  oauth2DeviceCodeLifespan: seconds(600, 60, 86_400),
  oauth2DevicePollingInterval: seconds(5, 1, 600),
  ssoSessionIdleTimeout: seconds(30 * 86_400),
  ssoSessionMaxLifespan: seconds(30 * 86_400),
  /** Whether users may ask to stay signed in when the browser is closed. */
  rememberMe: z.boolean().default(false),
  /** The same two for who did; 0 for no others. */
  ssoSessionIdleTimeoutRememberMe: seconds(0, 0),
  ssoSessionMaxLifespanRememberMe: seconds(0, 0),
  offlineSessionIdleTimeout: seconds(30 * 86_400),
  offlineSessionMaxLifespan: seconds(60 * 86_400),
  /** How long a sign-in may take from its first page to its last. */
  accessCodeLifespanLogin: seconds(1_800, 60, 86_400),
  /** How long the link in a mail is good that an administrator has sent. */
  actionTokenGeneratedByAdminLifespan: seconds(12 * 3_600, 60, 30 * 86_400),

  /** Whether users may set a new password by a mail to their address. It is not offered where the realm cannot send mail. */
  resetPasswordAllowed: z.boolean().default(true),
  /** Whether everybody who signs in with an address that is not verified has to verify it. */
  verifyEmail: z.boolean().default(false),
  /** Whether a second administrator has to approve what lets somebody set up new factors in the place of those that are lost. */
  dualControl: z.boolean().default(false),
  passwordMinLength: z.number().int().min(8).max(128).default(8),

  ...keycloakSettings,
});

export type RealmSettings = z.infer<typeof realmSettings>;

/** The settings of a realm about which nothing was said. */
export const defaultRealmSettings = (): RealmSettings => realmSettings.parse({});
