/** The custom factors of a realm (src/factors/custom): a section of its settings. */
import { z } from 'zod';

/** The part of a factor's id that its author or administrator chooses. */
export const SLUG = /^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/;

/**
 * What a custom factor may be called in tokens. `mfa` is derived from what was proved, and the others are how this server
 * names what it has verified itself.
 */
export const amrName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$/, 'must be up to 64 letters, digits and . _ : / -')
  .refine((name) => !['mfa', 'pwd', 'recovery'].includes(name), 'must not be mfa, pwd or recovery');

/** What people read of a factor. */
export const factorText = (most: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(most)
    .refine((text) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text), 'must be one line of plain text');

export const customLevel = z.enum(['aal1', 'aal2']);

/** What a realm allows a custom factor, and who has it. */
export const factorTerms = z.object({
  /** All that it may claim. */
  amr: z.array(amrName).min(1).max(5),
  level: customLevel,
  /** Every user of the realm; otherwise those who enrolled it. */
  everyone: z.boolean().default(false),
});

const common = {
  name: factorText(60),
  strength: factorText(200),
  kind: z.enum(['knowledge', 'possession', 'inherence']),
  ...factorTerms.shape,
};

/** A module of the installation that this realm uses. */
const moduleEntry = z.object({ source: z.literal('module'), id: z.string().regex(/^custom-[a-z]/), ...common });

/** An HTTPS service of this realm. Its secrets are in a table of their own, sealed. */
export const webhookEntry = z.object({
  source: z.literal('webhook'),
  id: z.string().regex(/^webhook-[a-z]/),
  url: z.url({ protocol: /^https?$/ }).max(2_000),
  /** Which hooks it has; what is left out keeps its default. */
  events: z.array(z.enum(['init', 'check'])).min(1),
  ...common,
});

export type ModuleEntry = z.infer<typeof moduleEntry>;
export type WebhookEntry = z.infer<typeof webhookEntry>;
export type CustomFactorEntry = ModuleEntry | WebhookEntry;

export const customFactorSettings = {
  customFactors: z
    .array(z.discriminatedUnion('source', [moduleEntry, webhookEntry]))
    .max(20)
    .default([]),
};
