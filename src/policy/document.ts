/**
 * A realm's policy as an administrator writes it: one JSON document, strict and bounded.
 *
 *     { useOwned, acr: { name: level }, floors: { administrator }, rules: [{ id, description?, when, need }] }
 *
 * A rule holds where all the conditions of `when` do, each by any of its values; `{}` is the whole realm. All rules that
 * hold apply, and the strictest wins in each part of `need` (policy.ts).
 *
 * Strict, because a misspelt `need` would silently ask for nothing. Bounded, because every sign-in reads all of it.
 */
import { z } from 'zod';
import { isLevel, LEVELS } from './assurance.ts';

/** What can be unusual about a sign-in. */
export const RISKS = ['new-device', 'new-network', 'new-country', 'breached-password', 'after-reset'] as const;
export type Risk = (typeof RISKS)[number];

/** What somebody may be about to do besides signing in. */
export const ACTIONS = ['enrol'] as const;

const MAX_RULES = 200;
const MAX_NAMES = 100;
/** Each is looked for at every sign-in. */
const MAX_ROLES = 200;
/** In JSON; every sign-in of the realm goes through all of it. */
const MAX_CHARACTERS = 200_000;
/** Ten years: longer is no limit but a mistake. */
const MAX_SECONDS = 10 * 365 * 86_400;

/** What user names are compared by: NFKC, trimmed, lower-case. */
export const comparableName = (name: string): string => name.normalize('NFKC').trim().toLowerCase();

const level = z.enum(LEVELS);
const name = z.string().trim().min(1).max(255);
const listOf = <T extends z.ZodType>(item: T) => z.array(item).min(1).max(MAX_NAMES);
const seconds = z.number().int().min(0).max(MAX_SECONDS);

const when = z.strictObject({
  /** client_ids. */
  client: listOf(name).optional(),
  /** Names of realm roles, and `client:role` for a client's; also those that come by groups and other roles. */
  role: listOf(name).optional(),
  /** Paths; whoever is in a group below is in it. */
  group: listOf(z.string().regex(/^\/.{0,1999}[^/]$/, 'must be a path, such as /sales/north')).optional(),
  /** User names, or ids. */
  user: listOf(name.transform(comparableName)).optional(),
  action: listOf(z.enum(ACTIONS)).optional(),
  risk: listOf(z.enum(RISKS)).optional(),
});

const need = z
  .strictObject({
    level: level.optional(),
    /** Only these count besides the password, and one of them is shown. */
    factors: z
      .array(z.string().min(1).max(60))
      .min(1)
      .max(30)
      .refine((ids) => !ids.includes('password'), 'a password begins every sign-in that has one; name what is asked after it')
      .optional(),
    /** Proofs count for so many seconds. */
    maxAge: seconds.optional(),
    /** A device may be trusted for so many seconds; 0 for never. */
    remember: seconds.optional(),
    /** Until then the enrolment of what the rule asks for may be put off. */
    enrolBy: z.iso.datetime({ offset: true, error: 'must be a time such as 2030-01-31T00:00:00Z' }).optional(),
    /** So many sign-ins may put it off. */
    graceLogins: z.number().int().min(0).max(1_000).optional(),
    /** Nobody gets in. */
    deny: z.literal(true).optional(),
  })
  .refine((value) => Object.values(value).some((part) => part !== undefined), 'asks for nothing; name at least one need');

const rule = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,59}$/, 'must be lower-case letters, digits and hyphens')
    .refine((id) => id !== 'default', 'is a name of ours; choose another'),
  /** Why the rule is there, for whoever reads an explanation. */
  description: z.string().trim().min(1).max(300).optional(),
  when,
  need,
});

export const policyDocument = z
  .strictObject({
    /** Whoever owns a second factor is asked for it. */
    useOwned: z.boolean().default(true),
    /** The realm's own names of levels, as applications ask for them (Keycloak's `acr.loa.map`). */
    acr: z
      .record(z.string().regex(/^[\x21-\x7e]{1,255}$/, 'must be visible ASCII without spaces'), level)
      .refine((map) => Object.keys(map).length <= MAX_NAMES, `must have at most ${MAX_NAMES} names`)
      .refine((map) => !Object.keys(map).some(isLevel), `must not give ${LEVELS.join(', ')} another meaning`)
      .default({}),
    floors: z
      .strictObject({
        /** What everybody with a role that administers anything has to reach. */
        administrator: level.default('aal2'),
      })
      .prefault({}),
    rules: z.array(rule).max(MAX_RULES).default([]),
  })
  .superRefine((document, context) => {
    const seen = new Set<string>();
    for (const [index, { id }] of document.rules.entries()) {
      if (seen.has(id)) context.addIssue({ code: 'custom', path: ['rules', index, 'id'], message: `there is a rule "${id}" already` });
      seen.add(id);
    }
    if (rolesNamed(document).length > MAX_ROLES) context.addIssue({ code: 'custom', path: ['rules'], message: `name more than ${MAX_ROLES} roles` });
    if (JSON.stringify(document).length > MAX_CHARACTERS)
      context.addIssue({ code: 'custom', message: `is longer than ${MAX_CHARACTERS} characters` });
  });

export type PolicyDocument = z.infer<typeof policyDocument>;
export type PolicyInput = z.input<typeof policyDocument>;
export type PolicyRule = PolicyDocument['rules'][number];

/** The three policies that have a name: nobody, whoever owns one, or everybody is asked for a second factor. */
export const SHORTHANDS = ['off', 'optional', 'required'] as const;
export type Shorthand = (typeof SHORTHANDS)[number];

export function policyOf(shorthand: Shorthand): PolicyDocument {
  return policyDocument.parse({
    useOwned: shorthand !== 'off',
    rules: shorthand === 'required' ? [{ id: 'realm', when: {}, need: { level: 'aal2' } }] : [],
  });
}

/** The name of a policy that has one, for lists; `custom` for any other. */
export function nameOf(document: PolicyDocument): Shorthand | 'custom' {
  const text = JSON.stringify(policyDocument.parse(document));
  return SHORTHANDS.find((shorthand) => JSON.stringify(policyOf(shorthand)) === text) ?? 'custom';
}

/** Roles that any rule names: what has to be known of a user. */
export const rolesNamed = ({ rules }: Pick<PolicyDocument, 'rules'>): string[] => [...new Set(rules.flatMap((one) => one.when.role ?? []))];
