/** What requests about identity providers elsewhere share: where they are, who may, and how a configuration is taken. */
import { z } from 'zod';
import type { ManagementRole } from './operation.ts';

export const tag = 'Identity providers';
export const path = '/realms/{realm}/identity-provider';
export const VIEW: readonly ManagementRole[] = ['view-identity-providers', 'manage-identity-providers'];
export const MANAGE: readonly ManagementRole[] = ['manage-identity-providers'];

export const text = z.string().max(255).nullish();
/** Certificates and the like stand in it. */
const LONGEST_VALUE = 20_000;
const value = z.union([z.string().max(LONGEST_VALUE), z.number(), z.boolean()]).nullable();
export const config = z
  .record(z.string().min(1).max(255), value)
  .refine((entries) => Object.keys(entries).length <= 200, 'must have at most 200 names')
  .nullish();

/** As Keycloak keeps them: everything is a text. */
export const textsOf = (entries: Readonly<Record<string, z.output<typeof value>>>): Record<string, string | null> =>
  Object.fromEntries(Object.entries(entries).map(([name, said]) => [name, said === null ? null : String(said)]));
