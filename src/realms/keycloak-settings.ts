/**
 * What comes from Keycloak's realms: rotation of refresh tokens, and everything that has no counterpart here and is kept,
 * so that whoever manages realms by files (Terraform, Ansible) reads what they wrote. Sections of a realm's settings.
 */
import { z } from 'zod';

/** All of it is read with the realm. */
const MOST_KEPT = 200;
const LONGEST_KEPT = 32_768;

const texts = (longestName: number) =>
  z
    .record(z.string().min(1).max(longestName), z.string().max(LONGEST_KEPT))
    .refine((kept) => Object.keys(kept).length <= MOST_KEPT, `must have at most ${MOST_KEPT} names`)
    .refine((kept) => Object.values(kept).reduce((sum, { length }) => sum + length, 0) <= 4 * LONGEST_KEPT, 'are too long together')
    .default({});

export const keycloakSettings = {
  /** Whether refresh tokens of every client are replaced with each use; those of public clients always are. */
  revokeRefreshToken: z.boolean().default(false),
  /** How often a refresh token may be used again after it was replaced. */
  refreshTokenMaxReuse: z.number().int().min(0).max(10).default(0),
  /** Keycloak's free-form attributes of a realm. */
  attributes: texts(255),
  /** Fields of Keycloak's realms that have no effect here, or that say the same in other words: each as JSON. */
  kept: texts(100),
};
