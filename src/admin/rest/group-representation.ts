/** Keycloak's GroupRepresentation: what is shown of a group, and what is taken. */
import { z } from 'zod';
import type { ShownGroup } from '../../store/group-lists.ts';
import type { Access } from './access.ts';
import { attributesIn } from './user-representation.ts';

/** A group where others refer to it: which one it is, and where it stands. */
export const namedGroup = z.object({ id: z.string(), name: z.string(), path: z.string(), parentId: z.string().optional() });
export type NamedGroup = z.output<typeof namedGroup>;

export interface GroupRepresentation extends NamedGroup {
  subGroupCount: number;
  subGroups: GroupRepresentation[];
  attributes?: Record<string, string[]> | undefined;
  realmRoles?: string[] | undefined;
  clientRoles?: Record<string, string[]> | undefined;
  access: Record<string, boolean>;
}

export const groupRepresentation: z.ZodType<GroupRepresentation> = namedGroup.extend({
  subGroupCount: z.number().int(),
  get subGroups() {
    return z.array(groupRepresentation);
  },
  attributes: z.record(z.string(), z.array(z.string())).optional(),
  realmRoles: z.array(z.string()).optional(),
  clientRoles: z.record(z.string(), z.array(z.string())).optional(),
  access: z.record(z.string(), z.boolean()),
});

/** What was given to a group, by names. */
export type GroupRoles = Pick<GroupRepresentation, 'realmRoles' | 'clientRoles'>;

export const shownName = ({ id, name, path, parentId }: ShownGroup): NamedGroup => ({ id, name, path, ...(parentId === null ? {} : { parentId }) });

/** Named, or whole for whoever asks for that. */
export const namedOrWhole = z.union([groupRepresentation, namedGroup]);

/** @param options.brief without attributes and roles */
export function representedGroup(group: ShownGroup, access: Access, options: { brief: boolean; roles?: GroupRoles }): GroupRepresentation {
  const manage = access.has('manage-users');
  return {
    ...shownName(group),
    subGroupCount: group.children,
    subGroups: [],
    ...(options.brief ? {} : { attributes: group.attributes, realmRoles: [], clientRoles: {}, ...options.roles }),
    access: { view: true, viewMembers: manage || access.has('view-users'), manageMembers: manage, manage, manageMembership: manage },
  };
}

/** What is not there stays as it is; null is not there. */
export const groupIn = z.object({
  id: z.string().nullish(),
  name: z.string().nullish(),
  attributes: attributesIn,
  // What a representation shows and nobody changes here.
  path: z.unknown().optional(),
  parentId: z.unknown().optional(),
  subGroupCount: z.unknown().optional(),
  subGroups: z.unknown().optional(),
  realmRoles: z.unknown().optional(),
  clientRoles: z.unknown().optional(),
  access: z.unknown().optional(),
});
