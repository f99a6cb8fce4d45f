/** The profile of a user as Keycloak's clients ask for it. It is fixed: what else is known of a user are attributes, which administrators read and write. */
import { z } from 'zod';

const field = z.object({
  name: z.string(),
  displayName: z.string(),
  validations: z.record(z.string(), z.unknown()),
  permissions: z.object({ view: z.array(z.string()), edit: z.array(z.string()) }),
  multivalued: z.boolean(),
});

export const userProfile = z.object({
  attributes: z.array(field),
  groups: z.array(z.unknown()),
  unmanagedAttributePolicy: z.literal('ADMIN_EDIT'),
});

export const userProfileMetadata = z.object({
  attributes: z.array(
    z.object({
      name: z.string(),
      displayName: z.string(),
      required: z.boolean(),
      readOnly: z.boolean(),
      validators: z.record(z.string(), z.unknown()),
      multivalued: z.boolean(),
    }),
  ),
  groups: z.array(z.unknown()),
});

const length = { length: { max: 255 } };
const FIELDS: readonly { name: string; validations: Record<string, unknown> }[] = [
  { name: 'username', validations: { length: { min: 1, max: 255 } } },
  { name: 'email', validations: { email: {}, length: { max: 254 } } },
  { name: 'firstName', validations: length },
  { name: 'lastName', validations: length },
];

const everybody = { view: ['admin', 'user'], edit: ['admin', 'user'] };

export const USER_PROFILE: z.output<typeof userProfile> = {
  attributes: FIELDS.map(({ name, validations }) => ({
    name,
    // Keycloak's consoles look such keys up in their own words.
    displayName: `\${${name}}`,
    validations,
    permissions: name === 'username' ? { ...everybody, edit: ['admin'] } : everybody,
    multivalued: false,
  })),
  groups: [],
  unmanagedAttributePolicy: 'ADMIN_EDIT',
};

export const USER_PROFILE_METADATA: z.output<typeof userProfileMetadata> = {
  attributes: FIELDS.map(({ name, validations }) => ({
    name,
    displayName: `\${${name}}`,
    required: name === 'username',
    readOnly: false,
    validators: validations,
    multivalued: false,
  })),
  groups: [],
};
