/**
 * A realm's policy as an administrator writes it: one JSON document, strict and bounded.
 *
 *     { useOwned, acr: { name: level }, floors: { administrator }, rules: [{ id, when, need }] }
 *
 * Strict, because a misspelt `need` would silently ask for nothing. Bounded, because every sign-in reads all of it.
 */
import { z } from 'zod';
import { LEVELS } from './assurance.ts';

/** What can be unusual about a sign-in. */
export const RISKS = ['new-device', 'new-network', 'new-country', 'breached-password', 'after-reset'] as const;
export type Risk = (typeof RISKS)[number];

const level = z.enum(LEVELS);
const names = z.array(z.string().trim().min(1).max(255)).min(1).max(100);
/** Ten years: longer is no limit but a mistake. */
const seconds = z
  .number()
  .int()
  .min(0)
  .max(10 * 365 * 86_400);

const when = z.strictObject({
  client: names.optional(),
  role: names.optional(),
  group: names.optional(),
  user: names.optional(),
  action: names.optional(),
  risk: z.array(z.enum(RISKS)).min(1).optional(),
});

const need = z.strictObject({
  level: level.optional(),
  factors: z.array(z.string().min(1).max(60)).min(1).max(20).optional(),
  maxAge: seconds.optional(),
  remember: seconds.optional(),
  enrolBy: z.iso.datetime({ offset: true }).optional(),
  graceLogins: z.number().int().min(0).max(1_000).optional(),
  deny: z.literal(true).optional(),
});

const rule = z.strictObject({
  id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,59}$/),
  description: z.string().trim().min(1).max(500).optional(),
  when,
  need,
});

export const policyDocument = z.strictObject({
  /** Whoever owns a second factor is asked for it. */
  useOwned: z.boolean().default(true),
  /** The realm's own names of levels, as applications ask for them (Keycloak's `acr.loa.map`). */
  acr: z.record(z.string().min(1).max(255), level).default({}),
  floors: z
    .strictObject({
      /** What everybody with a role that administers anything has to reach. */
      administrator: level.default('aal2'),
    })
    .prefault({}),
  rules: z.array(rule).max(500).default([]),
});

export type PolicyDocument = z.infer<typeof policyDocument>;
export type PolicyRule = PolicyDocument['rules'][number];

/** The three policies that have a name. */
export const SHORTHANDS = ['off', 'optional', 'required'] as const;
export type Shorthand = (typeof SHORTHANDS)[number];

/** Nobody, whoever owns a second factor, or everybody is asked for one. */
export function policyOf(shorthand: Shorthand): PolicyDocument {
  return policyDocument.parse({
    useOwned: shorthand !== 'off',
    rules: shorthand === 'required' ? [{ id: 'realm', when: {}, need: { level: 'aal2' } }] : [],
  });
}
