/**
 * Keycloak's authentication flows over REST: read as a projection of the policy. What has no counterpart here is not
 * changed, and the answer says where the policy is; writing back what was read changes nothing and is taken.
 */
import { z } from 'zod';
import { notFound } from '../../errors.ts';
import { type Execution, executionOf, type Flow, flowOf, flowsOf, notByFlows } from '../resources/authentication-flows.ts';
import { ALL_PROVIDERS, AUTHENTICATORS, CLIENT_AUTHENTICATORS, FORM_ACTION_PROVIDERS, FORM_PROVIDERS } from '../resources/built-in-flows.ts';
import { id, inRealm, type ManagementRole, type Method, type Operation } from './operation.ts';

const tag = 'Authentication';
const path = '/realms/{realm}/authentication';
const VIEW: readonly ManagementRole[] = ['view-realm', 'manage-realm'];
const MANAGE: readonly ManagementRole[] = ['manage-realm'];

const flow = z.object({
  id: z.string(),
  alias: z.string(),
  description: z.string(),
  providerId: z.string(),
  topLevel: z.boolean(),
  builtIn: z.boolean(),
  authenticationExecutions: z.array(
    z.object({
      authenticator: z.string().optional(),
      flowAlias: z.string().optional(),
      authenticatorFlow: z.boolean(),
      /** As Keycloak spells it, too. */
      autheticatorFlow: z.boolean(),
      requirement: z.string(),
      priority: z.number().int(),
      userSetupAllowed: z.boolean(),
    }),
  ),
});

const PRIORITIES_APART = 10;
const priorityOf = ({ index }: Execution): number => (index + 1) * PRIORITIES_APART;

const represented = ({ executions, provider, ...shown }: Flow): z.output<typeof flow> => ({
  ...shown,
  providerId: provider,
  builtIn: true,
  authenticationExecutions: executions
    .filter(({ level }) => level === 0)
    .map((one) => ({
      ...(one.provider === undefined ? {} : { authenticator: one.provider }),
      ...(one.flow ? { flowAlias: one.flow.alias } : {}),
      authenticatorFlow: one.flow !== undefined,
      autheticatorFlow: one.flow !== undefined,
      requirement: one.requirement,
      priority: priorityOf(one),
      userSetupAllowed: false,
    })),
});

const execution = z.object({
  id: z.string(),
  requirement: z.string(),
  displayName: z.string(),
  description: z.string().optional(),
  requirementChoices: z.array(z.string()),
  configurable: z.boolean(),
  authenticationFlow: z.boolean().optional(),
  providerId: z.string().optional(),
  flowId: z.string().optional(),
  level: z.number().int(),
  index: z.number().int(),
  priority: z.number().int(),
});

const shownExecution = (one: Execution): z.output<typeof execution> => ({
  id: one.id,
  requirement: one.requirement,
  displayName: one.name,
  ...(one.description === undefined ? {} : { description: one.description }),
  requirementChoices: [...one.choices],
  configurable: one.configurable,
  ...(one.flow ? { authenticationFlow: true, flowId: one.flow.id } : {}),
  ...(one.provider === undefined ? {} : { providerId: one.provider }),
  level: one.level,
  index: one.index,
  priority: priorityOf(one),
});

const flows: readonly Operation[] = [
  inRealm({
    id: 'authentication.flows.list',
    method: 'GET',
    path: `${path}/flows`,
    tag,
    summary: 'The flows of the realm',
    roles: VIEW,
    status: 200,
    answer: z.array(flow),
    run: async ({ operator, realm }) => ({ body: (await flowsOf(operator, realm)).filter(({ topLevel }) => topLevel).map(represented) }),
  }),
  inRealm({
    id: 'authentication.flows.read',
    method: 'GET',
    path: `${path}/flows/{id}`,
    tag,
    summary: 'One flow',
    roles: VIEW,
    status: 200,
    params: { id },
    answer: flow,
    run: async ({ operator, realm }, { params }) => ({ body: represented(await flowOf(operator, realm, { id: params.id })) }),
  }),
  inRealm({
    id: 'authentication.flows.update',
    method: 'PUT',
    path: `${path}/flows/{id}`,
    tag,
    summary: 'Nothing about a flow can be changed; what was read is taken',
    roles: MANAGE,
    status: 202,
    params: { id },
    body: z.object({ alias: z.string().max(255).nullish(), description: z.string().max(2_000).nullish() }),
    answer: flow,
    async run({ operator, realm }, { params, body }) {
      const found = await flowOf(operator, realm, { id: params.id });
      if ((body.alias ?? found.alias) !== found.alias || (body.description ?? found.description) !== found.description) throw notByFlows(realm);
      return { body: represented(found) };
    },
  }),
  inRealm({
    id: 'authentication.flows.executions',
    method: 'GET',
    path: `${path}/flows/{alias}/executions`,
    tag,
    summary: 'The steps of a flow, with those of the flows in it',
    roles: VIEW,
    status: 200,
    params: { alias: id },
    answer: z.array(execution),
    run: async ({ operator, realm }, { params }) => ({
      body: (await flowOf(operator, realm, { alias: params.alias })).executions.map(shownExecution),
    }),
  }),
  inRealm({
    id: 'authentication.flows.executions.update',
    method: 'PUT',
    path: `${path}/flows/{alias}/executions`,
    tag,
    summary: 'What a step requires follows from the policy; what was read is taken',
    roles: MANAGE,
    status: 202,
    params: { alias: id },
    body: z.object({ id, requirement: z.string().max(30).nullish(), priority: z.number().int().nullish() }),
    answer: execution,
    async run({ operator, realm }, { params, body }) {
      const { executions } = await flowOf(operator, realm, { alias: params.alias });
      const found = executions.find((one) => one.id === body.id);
      if (!found) throw notFound('Illegal execution');
      if ((body.requirement ?? found.requirement) !== found.requirement || (body.priority ?? priorityOf(found)) !== priorityOf(found))
        throw notByFlows(realm);
      return { body: shownExecution(found) };
    },
  }),
  inRealm({
    id: 'authentication.executions.read',
    method: 'GET',
    path: `${path}/executions/{id}`,
    tag,
    summary: 'One step of a flow',
    roles: VIEW,
    status: 200,
    params: { id },
    answer: z.object({
      id: z.string(),
      authenticator: z.string().optional(),
      requirement: z.string(),
      priority: z.number().int(),
      parentFlow: z.string(),
      flowId: z.string().optional(),
      authenticatorFlow: z.boolean(),
      autheticatorFlow: z.boolean(),
    }),
    async run({ operator, realm }, { params }) {
      const one = await executionOf(operator, realm, params.id);
      return {
        body: {
          id: one.id,
          ...(one.provider === undefined ? {} : { authenticator: one.provider }),
          requirement: one.requirement,
          priority: priorityOf(one),
          parentFlow: one.parent.id,
          ...(one.flow ? { flowId: one.flow.id } : {}),
          authenticatorFlow: one.flow !== undefined,
          autheticatorFlow: one.flow !== undefined,
        },
      };
    },
  }),
];

/** An operation of Keycloak's that is left out: 404 for what is not there, and else 501 with the way to the policy. */
function leftOut(name: string, method: Method, rest: string, summary: string): Operation {
  const named = /\{(id|alias)\}/.exec(rest)?.[1];
  return inRealm({
    id: `authentication.${name}`,
    method,
    path: `${path}${rest}`,
    tag,
    summary: `Not offered: ${summary}`,
    roles: MANAGE,
    status: 204,
    params: named === undefined ? {} : { [named]: id },
    async run({ operator, realm }, { params }) {
      const [value = ''] = Object.values(params).map(String);
      if (rest.startsWith('/executions/')) await executionOf(operator, realm, value);
      else if (rest.startsWith('/flows/')) await flowOf(operator, realm, named === 'id' ? { id: value } : { alias: value });
      throw notByFlows(realm);
    },
  });
}

/** Nothing has a configuration, since nothing can be given one. */
const config: readonly Operation[] = (['GET', 'PUT', 'DELETE'] as const).map((method) =>
  inRealm({
    id: `authentication.config.${method.toLowerCase()}`,
    method,
    path: `${path}/config/{id}`,
    tag,
    summary: 'The configuration of a step: none has one',
    roles: method === 'GET' ? VIEW : MANAGE,
    status: method === 'GET' ? 200 : 204,
    params: { id },
    run: async () => {
      throw notFound('Could not find authenticator config');
    },
  }),
);

const changes: readonly Operation[] = [
  leftOut('flows.create', 'POST', '/flows', 'flows of one’s own'),
  leftOut('flows.delete', 'DELETE', '/flows/{id}', 'deleting a flow'),
  leftOut('flows.copy', 'POST', '/flows/{alias}/copy', 'copying a flow'),
  leftOut('flows.executions.add', 'POST', '/flows/{alias}/executions/execution', 'adding a step'),
  leftOut('flows.executions.add-flow', 'POST', '/flows/{alias}/executions/flow', 'adding a flow to a flow'),
  leftOut('executions.create', 'POST', '/executions', 'adding a step'),
  leftOut('executions.delete', 'DELETE', '/executions/{id}', 'deleting a step'),
  leftOut('executions.raise', 'POST', '/executions/{id}/raise-priority', 'moving a step'),
  leftOut('executions.lower', 'POST', '/executions/{id}/lower-priority', 'moving a step'),
  leftOut('executions.config', 'POST', '/executions/{id}/config', 'configuring a step'),
];

const provider = z.object({ id: z.string(), displayName: z.string(), description: z.string(), supportsSecret: z.boolean().optional() });

const list = (name: string, providers: readonly z.output<typeof provider>[], summary: string): Operation =>
  inRealm({
    id: `authentication.${name}`,
    method: 'GET',
    path: `${path}/${name}`,
    tag,
    summary,
    roles: VIEW,
    status: 200,
    answer: z.array(provider),
    run: async () => ({ body: providers.map((one) => ({ ...one })) }),
  });

const providers: readonly Operation[] = [
  list('authenticator-providers', AUTHENTICATORS, 'What flows are made of'),
  list('client-authenticator-providers', CLIENT_AUTHENTICATORS, 'How clients can show who they are'),
  list('form-providers', FORM_PROVIDERS, 'Forms'),
  list('form-action-providers', FORM_ACTION_PROVIDERS, 'What forms are made of'),
  inRealm({
    id: 'authentication.config-description',
    method: 'GET',
    path: `${path}/config-description/{provider}`,
    tag,
    summary: 'Which settings a step can have: none',
    roles: VIEW,
    status: 200,
    params: { provider: id },
    answer: z.object({ name: z.string(), providerId: z.string(), helpText: z.string(), properties: z.array(z.unknown()) }),
    async run(_call, { params }) {
      const found = ALL_PROVIDERS.find((one) => one.id === params.provider);
      if (!found) throw notFound('Could not find authenticator provider');
      return { body: { name: found.displayName, providerId: found.id, helpText: found.description, properties: [] } };
    },
  }),
  inRealm({
    id: 'authentication.per-client-config-description',
    method: 'GET',
    path: `${path}/per-client-config-description`,
    tag,
    summary: 'Which settings clients have for how they show who they are',
    roles: VIEW,
    status: 200,
    answer: z.record(z.string(), z.array(z.unknown())),
    run: async () => ({ body: Object.fromEntries(CLIENT_AUTHENTICATORS.map((one) => [one.id, []])) }),
  }),
];

export const authenticationOperations: readonly Operation[] = [...flows, ...changes, ...config, ...providers];
