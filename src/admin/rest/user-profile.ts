/**
 * The profile of a user as Keycloak's clients ask for it. It is fixed: what else is known of a user are attributes, which
 * administrators read and write. Who else might, in Keycloak's words, is kept with the realm and shown again.
 */
import { z } from 'zod';
import { AppError } from '../../errors.ts';
import type { RealmSettings } from '../../realms/settings.ts';

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
  unmanagedAttributePolicy: z.enum(['ADMIN_EDIT', 'ENABLED']),
});
type UserProfile = z.output<typeof userProfile>;

/** What may be said of a profile. Attributes and groups are taken as they come, and stay as they are. */
export const userProfileIn = z.looseObject({ unmanagedAttributePolicy: z.enum(['DISABLED', 'ADMIN_VIEW', 'ADMIN_EDIT', 'ENABLED']).nullish() });

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

/** Among what a realm keeps of Keycloak's words. */
const POLICY = 'unmanagedAttributePolicy';

const PROFILE: Omit<UserProfile, typeof POLICY> = {
  attributes: FIELDS.map(({ name, validations }) => ({
    name,
    // Keycloak's consoles look such keys up in their own words.
    displayName: `\${${name}}`,
    validations,
    permissions: name === 'username' ? { ...everybody, edit: ['admin'] } : everybody,
    multivalued: false,
  })),
  groups: [],
};

export const profileIn = ({ kept }: RealmSettings): UserProfile => ({ ...PROFILE, [POLICY]: kept[POLICY] === 'ENABLED' ? 'ENABLED' : 'ADMIN_EDIT' });

/**
 * A realm's settings with what was said of its profile.
 * @throws AppError 501 for a profile that would keep administrators from attributes
 */
export function settingsWithProfile(settings: RealmSettings, given: z.output<typeof userProfileIn>): RealmSettings {
  const { [POLICY]: policy } = given;
  if (policy == null) return settings;
  if (policy !== 'ENABLED' && policy !== 'ADMIN_EDIT')
    throw new AppError({
      code: 'not_implemented',
      status: 501,
      field: POLICY,
      message: `${POLICY}: administrators always read and write the attributes of users here.`,
    });
  const { [POLICY]: _, ...kept } = settings.kept;
  return { ...settings, kept: policy === 'ENABLED' ? { ...kept, [POLICY]: policy } : kept };
}

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
