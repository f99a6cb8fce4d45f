/**
 * What a realm's administrator can set, as one validated JSON document per realm.
 * Every field has a default, so that an older row stays readable after a release that adds one.
 */
import { z } from 'zod';

const seconds = (fallback: number, floor = 1, ceiling = 10 * 365 * 86_400) => z.number().int().min(floor).max(ceiling).default(fallback);

export const realmSettings = z.object({
  /** Who must prove a second factor: nobody, whoever owns one, everybody. */
  mfa: z.enum(['off', 'optional', 'required']).default('optional'),

  /** Ids of factors that this realm does not use: nobody is asked for them, and nobody can add one. */
  disabledFactors: z.array(z.string().max(100)).max(100).default([]),
  /** Where a code cannot be sent (no number, a failed provider), the next of these that the user has and that is enough is asked for. */
  fallback: z.array(z.string().max(100)).max(20).default(['sms-otp', 'email-otp']),

  /** TOTP (RFC 6238) as new authenticator apps are enrolled; existing ones keep what they were made with. */
  totp: z
    .object({
      digits: z.union([z.literal(6), z.literal(8)]).default(6),
      period: z.number().int().min(15).max(120).default(30),
      /** SHA-1 by default: several widespread apps ignore the parameter. */
      algorithm: z.enum(['sha1', 'sha256', 'sha512']).default('sha1'),
      /** Steps before and after the current one that are accepted (RFC 6238 section 5.2). */
      window: z.number().int().min(0).max(2).default(1),
    })
    .prefault({}),

  /** Lifetimes in seconds. Keycloak's names where it has one. */
  accessTokenLifespan: seconds(300, 30, 86_400),
  accessCodeLifespan: seconds(60, 10, 600),
  ssoSessionIdleTimeout: seconds(30 * 86_400),
  ssoSessionMaxLifespan: seconds(30 * 86_400),
  offlineSessionIdleTimeout: seconds(30 * 86_400),
  offlineSessionMaxLifespan: seconds(60 * 86_400),
  /** How long a sign-in may take from its first page to its last. */
  accessCodeLifespanLogin: seconds(1_800, 60, 86_400),

  passwordMinLength: z.number().int().min(8).max(128).default(8),
});

export type RealmSettings = z.infer<typeof realmSettings>;

/** The settings of a realm about which nothing was said. */
export const defaultRealmSettings = (): RealmSettings => realmSettings.parse({});
