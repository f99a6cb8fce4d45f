/** Keycloak's RoleRepresentation: what is shown of a role, and what is taken. */
import { z } from 'zod';
import type { ShownRole } from '../../store/role-lists.ts';
import { attributesIn } from './user-representation.ts';

export const roleRepresentation = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string().optional(),
  composite: z.boolean(),
  clientRole: z.boolean(),
  /** The id of the realm or of the client. */
  containerId: z.string(),
  attributes: z.record(z.string(), z.array(z.string())).optional(),
});

/** @param brief without attributes */
export function representedRole(role: ShownRole, brief: boolean): z.output<typeof roleRepresentation> {
  return {
    id: role.id,
    name: role.name,
    ...(role.description === null ? {} : { description: role.description }),
    composite: role.composite,
    clientRole: role.clientId !== null,
    containerId: role.clientId ?? role.realmId,
    ...(brief ? {} : { attributes: role.attributes }),
  };
}

/** What is not there stays as it is; null is not there. */
export const roleIn = z.object({
  name: z.string().nullish(),
  description: z.string().nullish(),
  attributes: attributesIn,
  composites: z
    .object({
      realm: z.array(z.string()).max(500).nullish(),
      client: z.record(z.string(), z.array(z.string()).max(500)).nullish(),
    })
    .nullish(),
  // What a representation shows and nobody changes.
  id: z.unknown().optional(),
  composite: z.unknown().optional(),
  clientRole: z.unknown().optional(),
  containerId: z.unknown().optional(),
  scopeParamRequired: z.unknown().optional(),
});

/** Roles in a list that are meant by their ids, or by their names. */
export const rolesIn = z
  .array(
    z.object({ id: z.string().nullish(), name: z.string().nullish() }).refine(({ id, name }) => id != null || name != null, 'needs an id or a name'),
  )
  .max(1000);
