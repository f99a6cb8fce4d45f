/** A user as it stands in a file that is imported. */
import { z } from 'zod';
import { plainText } from './context.ts';
import { emailInput, REQUIRED_ACTIONS, userAttributesInput, usernameInput } from './users.ts';

/** An empty text takes a name away. */
const nameOrNone = z.union([z.literal(''), plainText(255)]);

const keptCredential = z.object({
  type: z.string(),
  secretData: z.string().max(10_000),
  credentialData: z.string().max(10_000).nullish(),
  userLabel: z.string().nullish(),
});

/** One user of a file. What is not there stays as it is. */
export const importedUser = z.object({
  username: usernameInput,
  email: emailInput.optional(),
  emailVerified: z.boolean().optional(),
  firstName: nameOrNone.optional(),
  lastName: nameOrNone.optional(),
  enabled: z.boolean().optional(),
  attributes: userAttributesInput.optional(),
  /** Paths; who is in others stays in them. */
  groups: z.array(z.string()).max(100).default([]),
  realmRoles: z.array(z.string()).max(100).default([]),
  /** By client_id. */
  clientRoles: z.record(z.string(), z.array(z.string()).max(100)).default({}),
  /** These four are for new users alone: who is there has done what was asked, and has a password. */
  requiredActions: z.array(z.enum(REQUIRED_ACTIONS)).default([]),
  password: z.string().optional(),
  temporary: z.boolean().default(false),
  /** Hashes and second factors, as Keycloak exports them. */
  credentials: z.array(keptCredential).max(50).default([]),
});
export type ImportedUser = z.output<typeof importedUser>;

/** A user as it stands in a file, or why it cannot be read. */
export interface ImportEntry {
  /** Where, such as `line 3`. */
  at: string;
  /** Shaped like `z.input<importedUser>`, and not looked at yet. */
  user?: unknown;
  /** What cannot be read: a field and why. */
  wrong?: { field: string; reason: string };
  /** Why it is not meant to be imported. */
  passed?: string;
}
