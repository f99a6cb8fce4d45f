/**
 * What comes from Keycloak's realms: rotation of refresh tokens, and everything that has no counterpart here and is kept,
 * so that whoever manages realms by files (Terraform, Ansible) reads what they wrote. Sections of a realm's settings.
 */
import { z } from 'zod';
import { ALGORITHMS } from './algorithms.ts';

/** All of it is read with the realm. */
const MOST_KEPT = 200;
const LONGEST_KEPT = 32_768;

/** In seconds. */
const TEN_YEARS = 10 * 365 * 86_400;

const texts = (longestName: number) =>
  z
    .record(z.string().min(1).max(longestName), z.string().max(LONGEST_KEPT))
    .refine((kept) => Object.keys(kept).length <= MOST_KEPT, `must have at most ${MOST_KEPT} names`)
    .refine((kept) => Object.values(kept).reduce((sum, { length }) => sum + length, 0) <= 4 * LONGEST_KEPT, 'are too long together')
    .default({});

/** What a realm's administrator says of something that users can be asked to do at their next sign-in; what is not said is as it comes. */
const requiredAction = z.object({
  registered: z.boolean().default(true),
  enabled: z.boolean().optional(),
  /** Every new user is asked. */
  defaultAction: z.boolean().optional(),
  name: z.string().min(1).max(255).optional(),
  priority: z.number().int().min(0).max(1_000_000).optional(),
  config: z
    .record(z.string().min(1).max(100), z.string().max(1_000))
    .refine((config) => Object.keys(config).length <= 20, 'must have at most 20 names')
    .optional(),
});

export const keycloakSettings = {
  /** By Keycloak's aliases. */
  requiredActions: z
    .record(z.string().min(1).max(100), requiredAction)
    .refine((actions) => Object.keys(actions).length <= 50, 'must be 50 at most')
    .default({}),
  /** Whether refresh tokens of every client are replaced with each use; those of public clients always are. */
  revokeRefreshToken: z.boolean().default(false),
  /** How often a refresh token may be used again after it was replaced. */
  refreshTokenMaxReuse: z.number().int().min(0).max(10).default(0),
  /** Seconds after which a client's refresh tokens of a session end, unused and in all; 0 for as long as the session. */
  clientSessionIdleTimeout: z.number().int().min(0).max(TEN_YEARS).default(0),
  clientSessionMaxLifespan: z.number().int().min(0).max(TEN_YEARS).default(0),
  /** The same of offline tokens; 0 for the realm's own. */
  clientOfflineSessionIdleTimeout: z.number().int().min(0).max(TEN_YEARS).default(0),
  clientOfflineSessionMaxLifespan: z.number().int().min(0).max(TEN_YEARS).default(0),
  /** Without it offline tokens that are used do not end by themselves. */
  offlineSessionMaxLifespanEnabled: z.boolean().default(true),
  /** What tokens are signed with for clients that say nothing of it. */
  defaultSignatureAlgorithm: z.enum(ALGORITHMS).default('RS256'),
  /** Keycloak's free-form attributes of a realm. */
  attributes: texts(255),
  /** Fields of Keycloak's realms that have no effect here, or that say the same in other words: each as JSON. */
  kept: texts(100),
};

/** Seconds since the epoch: every token of the realm from before is void (Keycloak's revocation); 0 for none. */
export const notBeforeOf = ({ kept }: { kept: Readonly<Record<string, string>> }): number => Number(kept.notBefore ?? 0);

type Said = z.output<typeof requiredAction>;

/** What needs something of the realm first: as in Keycloak a new realm does not ask it. */
const OFF_AS_MADE: ReadonlySet<string> = new Set(['TERMS_AND_CONDITIONS']);

/** Whether users of the realm are asked to do this; a realm about which nothing was said asks for most. */
export const isActionEnabled = ({ requiredActions }: { requiredActions: Readonly<Record<string, Said>> }, alias: string): boolean => {
  const said = Object.hasOwn(requiredActions, alias) ? requiredActions[alias] : undefined;
  return said?.registered !== false && (said?.enabled ?? !OFF_AS_MADE.has(alias));
};

/** What every new user of the realm is asked to do. */
export const defaultActionsOf = (settings: { requiredActions: Readonly<Record<string, Said>> }): string[] =>
  Object.entries(settings.requiredActions).flatMap(([alias, said]) =>
    said.defaultAction === true && isActionEnabled(settings, alias) ? [alias] : [],
  );
