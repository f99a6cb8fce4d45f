/**
 * What a gate asks for the paths of its host, as an administrator writes it: a list of rules, of which the first that fits
 * a path holds.
 *
 *     [{ path: '/healthz', access: 'public' }, { path: '/admin/**', level: 'phr', roles: ['wiki-admin'] }]
 *
 * What no rule names is for whoever is signed in. Strict, because a misspelt condition would silently let everybody in;
 * bounded, because every request of the site reads all of it.
 */
import { z } from 'zod';
import { LEVELS } from './assurance.ts';

const MAX_RULES = 200;
const MAX_NAMES = 50;

/** Whether nobody has to be signed in, somebody has to be, or nobody gets in. */
export const GATE_ACCESS = ['public', 'signed-in', 'denied'] as const;

const names = (item: z.ZodType<string>) => z.array(item).min(1).max(MAX_NAMES);

/** What a proxy never passes on as the one spelling of a path has no place in a rule either. */
const PLAIN = /^\/(?!\/)(?:(?!\/\/)[^\p{Cc}\\%?#;*])*(?:\/\*\*)?$|^\/\*\*$/u;
const DOTS = /(?:^|\/)\.{1,2}(?:\/|$)/;

const gateRule = z
  .strictObject({
    /** One path, or `/x/**` for a path and everything below it; `/**` for all. As the site spells it, not encoded. */
    path: z
      .string()
      .max(500)
      .refine((path) => PLAIN.test(path) && !DOTS.test(path), 'must be a path such as /admin, or /admin/** for all that is below it'),
    access: z.enum(GATE_ACCESS).default('signed-in'),
    /** The least that somebody has to have shown. */
    level: z.enum(LEVELS).optional(),
    /** Any one of these: the name of a realm role, `client:role` for a client's. */
    roles: names(z.string().trim().min(1).max(255)).optional(),
    /** Any one of these, by their paths; whoever is in a group below is in it. */
    groups: names(z.string().regex(/^\/.{0,1999}[^/]$/, 'must be a path, such as /sales/north')).optional(),
  })
  .refine(({ access, level, roles, groups }) => access === 'signed-in' || (level ?? roles ?? groups) === undefined, {
    path: ['access'],
    message: 'asks nothing of anybody: leave out level, roles and groups',
  });

export const gateRules = z.array(gateRule).max(MAX_RULES);

export type GateRule = z.output<typeof gateRule>;
export type GateRuleInput = z.input<typeof gateRule>;
