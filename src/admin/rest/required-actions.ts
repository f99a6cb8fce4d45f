/** What users can be asked to do at their next sign-in, over REST: Keycloak's RequiredActionProviderRepresentation. */
import { z } from 'zod';
import type { RealmRow } from '../../store/realms.ts';
import {
  changeRequiredAction,
  configOfAction,
  configureRequiredAction,
  moveRequiredAction,
  registerRequiredAction,
  removeRequiredAction,
  requiredActionOf,
  requiredActionsOf,
  type ShownAction,
  unregisteredActionsOf,
} from '../resources/required-actions.ts';
import { id, inRealm, type ManagementRole, type Operation } from './operation.ts';

const tag = 'Required actions';
const path = '/realms/{realm}/authentication';
const VIEW: readonly ManagementRole[] = ['view-realm', 'manage-realm'];
const MANAGE: readonly ManagementRole[] = ['manage-realm'];
const params = { alias: id };

const config = z.record(z.string().min(1).max(100), z.string().max(1_000));
const action = z.object({
  alias: z.string(),
  name: z.string(),
  providerId: z.string(),
  enabled: z.boolean(),
  defaultAction: z.boolean(),
  priority: z.number().int(),
  config,
});

const represented = (one: ShownAction): z.output<typeof action> => ({
  alias: one.alias,
  name: one.name,
  providerId: one.alias,
  enabled: one.enabled,
  defaultAction: one.defaultAction,
  priority: one.priority,
  config: one.config,
});

const taken = z.object({
  name: z.string().min(1).max(255).nullish(),
  enabled: z.boolean().nullish(),
  defaultAction: z.boolean().nullish(),
  priority: z.number().int().min(0).max(1_000_000).nullish(),
  config: config.nullish(),
});

/** What is not there, and null, stay as they are. */
const given = <T>(value: T | null | undefined): T | undefined => value ?? undefined;

const actions: readonly Operation[] = [
  inRealm({
    id: 'required-actions.list',
    method: 'GET',
    path: `${path}/required-actions`,
    tag,
    summary: 'Those of the realm, by priority',
    roles: [...VIEW, 'view-users', 'manage-users'],
    status: 200,
    answer: z.array(action),
    run: async ({ realm }) => ({ body: requiredActionsOf(realm).map(represented) }),
  }),
  inRealm({
    id: 'required-actions.read',
    method: 'GET',
    path: `${path}/required-actions/{alias}`,
    tag,
    summary: 'One of them',
    roles: VIEW,
    status: 200,
    params,
    answer: action,
    run: async ({ realm }, { params }) => ({ body: represented(requiredActionOf(realm, params.alias)) }),
  }),
  inRealm({
    id: 'required-actions.update',
    method: 'PUT',
    path: `${path}/required-actions/{alias}`,
    tag,
    summary: 'Say whether users are asked, whether every new one is, and how it is called; what is not there stays',
    roles: MANAGE,
    status: 204,
    params,
    body: taken,
    async run({ operator, realm }, { params, body }) {
      const { name, enabled, defaultAction, priority, config } = body;
      const before = requiredActionOf(realm, params.alias);
      await changeRequiredAction(operator, realm, params.alias, {
        name: name ?? before.name,
        enabled: enabled ?? before.enabled,
        defaultAction: defaultAction ?? before.defaultAction,
        priority: priority ?? before.priority,
        ...(given(config) === undefined ? {} : { config: config ?? {} }),
      });
      return {};
    },
  }),
  inRealm({
    id: 'required-actions.delete',
    method: 'DELETE',
    path: `${path}/required-actions/{alias}`,
    tag,
    summary: 'Take one out: nobody is asked any more',
    roles: MANAGE,
    status: 204,
    params,
    async run({ operator, realm }, { params }) {
      await removeRequiredAction(operator, realm, params.alias);
      return {};
    },
  }),
  ...(['raise', 'lower'] as const).map((direction) =>
    inRealm({
      id: `required-actions.${direction}`,
      method: 'POST',
      path: `${path}/required-actions/{alias}/${direction}-priority`,
      tag,
      summary: direction === 'raise' ? 'Put it before the one before it' : 'Put it behind the one behind it',
      roles: MANAGE,
      status: 204,
      params,
      async run({ operator, realm }, { params }) {
        await moveRequiredAction(operator, realm, params.alias, direction === 'raise' ? 'before' : 'behind');
        return {};
      },
    }),
  ),
  inRealm({
    id: 'required-actions.register',
    method: 'POST',
    path: `${path}/register-required-action`,
    tag,
    summary: 'Put one back that was taken out',
    roles: MANAGE,
    status: 204,
    body: z.object({ providerId: id, name: z.string().min(1).max(255).nullish() }),
    async run({ operator, realm }, { body }) {
      await registerRequiredAction(operator, realm, body.providerId, given(body.name));
      return {};
    },
  }),
  inRealm({
    id: 'required-actions.unregistered',
    method: 'GET',
    path: `${path}/unregistered-required-actions`,
    tag,
    summary: 'Those that were taken out',
    roles: VIEW,
    status: 200,
    answer: z.array(z.object({ name: z.string(), providerId: z.string() })),
    run: async ({ realm }) => ({ body: unregisteredActionsOf(realm).map(({ alias, name }) => ({ name, providerId: alias })) }),
  }),
];

/** Keycloak answers numbers where it was given texts. */
const numberOrText = (text: string): string | number => (/^\d{1,15}$/.test(text) ? Number(text) : text);
const shownConfig = (realm: RealmRow, alias: string): Record<string, string | number> =>
  Object.fromEntries(Object.entries(requiredActionOf(realm, alias).config).map(([name, value]) => [name, numberOrText(value)]));

const configs: readonly Operation[] = [
  inRealm({
    id: 'required-actions.config-description',
    method: 'GET',
    path: `${path}/required-actions/{alias}/config-description`,
    tag,
    summary: 'Which settings it has',
    roles: VIEW,
    status: 200,
    params,
    answer: z.object({ properties: z.array(z.object({ name: z.string(), label: z.string(), type: z.string(), defaultValue: z.string() })) }),
    async run({ realm }, { params }) {
      requiredActionOf(realm, params.alias);
      const properties = Object.entries(configOfAction(params.alias)).map(([name, value]) => ({
        name,
        label: name,
        type: 'String',
        defaultValue: value,
      }));
      return { body: { properties } };
    },
  }),
  inRealm({
    id: 'required-actions.config.read',
    method: 'GET',
    path: `${path}/required-actions/{alias}/config`,
    tag,
    summary: 'Its settings',
    roles: VIEW,
    status: 200,
    params,
    answer: z.object({ config: z.record(z.string(), z.union([z.string(), z.number()])) }),
    run: async ({ realm }, { params }) => ({ body: { config: shownConfig(realm, params.alias) } }),
  }),
  inRealm({
    id: 'required-actions.config.update',
    method: 'PUT',
    path: `${path}/required-actions/{alias}/config`,
    tag,
    summary: 'Keep settings for it; they have no effect here',
    roles: MANAGE,
    status: 204,
    params,
    body: z.object({ config: z.record(z.string().min(1).max(100), z.union([z.string().max(1_000), z.number()])).nullish() }),
    async run({ operator, realm }, { params, body }) {
      const config = Object.fromEntries(Object.entries(body.config ?? {}).map(([name, value]) => [name, String(value)]));
      await configureRequiredAction(operator, realm, params.alias, config);
      return {};
    },
  }),
  inRealm({
    id: 'required-actions.config.delete',
    method: 'DELETE',
    path: `${path}/required-actions/{alias}/config`,
    tag,
    summary: 'Its settings as they come',
    roles: MANAGE,
    status: 204,
    params,
    async run({ operator, realm }, { params }) {
      await configureRequiredAction(operator, realm, params.alias, null);
      return {};
    },
  }),
];

export const requiredActionOperations: readonly Operation[] = [...actions, ...configs];
