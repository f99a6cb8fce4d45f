/**
 * Keycloak's client policies, with the profiles that they apply. Nothing here enforces them, so only what would do nothing
 * in Keycloak either is taken: policies that are switched off, and profiles without executors. They are kept with the realm.
 */
import { z } from 'zod';
import { AppError } from '../../errors.ts';
import { changeRealm } from '../resources/realm-changes.ts';
import { inRealm, type ManagementRole, type Operation, type RealmCall } from './operation.ts';
import { settingsFrom, shownSettings } from './realm-document.ts';

const tag = 'Client policies';
const path = '/realms/{realm}/client-policies';
const VIEW: readonly ManagementRole[] = ['view-realm', 'manage-realm'];

const text = z.string().min(1).max(255);
const description = z.string().max(2_000).nullish();
/** A condition or an executor: which one it is, and how it is set. */
const step = z.looseObject({});

const profile = z.object({ name: text, description, executors: z.array(step).max(100).nullish() });
const policy = z.object({
  name: text,
  description,
  enabled: z.boolean().nullish(),
  mode: z.string().max(255).nullish(),
  conditions: z.array(step).max(100).nullish(),
  profiles: z.array(text).max(100).nullish(),
});
const listOf = <Item extends z.ZodType>(item: Item) => z.array(item).max(100).nullish();

interface Kind {
  /** Its name in paths and in representations. */
  name: 'profiles' | 'policies';
  /** What Keycloak calls those that every realm has. */
  global: 'globalProfiles' | 'globalPolicies';
  /** Where the realm's representation has them. */
  kept: 'clientProfiles' | 'clientPolicies';
  item: z.ZodType;
  /** The field of one that asks for something. */
  asks(item: unknown): string | undefined;
}

const KINDS: readonly Kind[] = [
  {
    name: 'profiles',
    global: 'globalProfiles',
    kept: 'clientProfiles',
    item: profile,
    asks: (item) => ((profile.parse(item).executors ?? []).length > 0 ? 'executors' : undefined),
  },
  {
    name: 'policies',
    global: 'globalPolicies',
    kept: 'clientPolicies',
    item: policy,
    asks: (item) => (policy.parse(item).enabled === true ? 'enabled' : undefined),
  },
];

export const clientPolicyOperations: readonly Operation[] = KINDS.flatMap(({ name, global, kept, item, asks }) => [
  inRealm({
    id: `client-policies.${name}.read`,
    method: 'GET',
    path: `${path}/${name}`,
    tag,
    summary: `The ${name} that are kept; there are none that every realm has`,
    roles: VIEW,
    status: 200,
    query: { [`include-global-${name}`]: z.enum(['true', 'false', '']).optional() },
    answer: z.object({ [name]: z.array(item), [global]: z.array(item).optional() }),
    async run({ realm }, { query }) {
      const { [name]: list = [] } = Object(shownSettings(realm.settings)[kept]);
      return { body: { [name]: list, ...(query[`include-global-${name}`] === 'true' ? { [global]: [] } : {}) } };
    },
  }),
  inRealm({
    id: `client-policies.${name}.update`,
    method: 'PUT',
    path: `${path}/${name}`,
    tag,
    summary: `Put others in the place of the ${name}; none may ask for anything, for nothing here enforces it`,
    roles: ['manage-realm'],
    status: 204,
    body: z.object({ [name]: listOf(item), [global]: listOf(z.unknown()) }),
    async run(call, { body }) {
      const list: unknown[] = body[name] ?? [];
      for (const [index, one] of list.entries()) {
        const field = asks(one);
        if (field !== undefined) throw notEnforced(`${name}.${index}.${field}`);
      }
      await keep(call, { [kept]: { [name]: list } });
      return {};
    },
  }),
]);

function notEnforced(field: string): AppError {
  const message = `${field}: client policies are not enforced here. What clients must do is set at each client, and by the realm's policy.`;
  return new AppError({ code: 'not_implemented', status: 501, field, message });
}

async function keep({ operator, realm }: RealmCall, given: Record<string, unknown>): Promise<void> {
  const { displayName, enabled } = realm;
  await changeRealm(operator, realm, { displayName, enabled, settings: settingsFrom(realm.settings, given).settings });
}
