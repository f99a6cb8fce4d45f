/** Sessions at a client, the hosts that it runs on, and what its adapter is set up with. */
import { z } from 'zod';
import { AppError, notFound } from '../../errors.ts';
import { aliveIn } from '../../sessions/lifetimes.ts';
import { countSessionsAtClient, sessionsAtClient } from '../../store/client-sessions.ts';
import type { ClientRow } from '../../store/clients.ts';
import { findRoles } from '../../store/role-lists.ts';
import { changeClient, requireClientById } from '../resources/client-changes.ts';
import { yourClient } from './client-rights.ts';
import { representedWithSecret } from './clients.ts';
import { id, inRealm, type Method, type Operation, paging, type RealmCall } from './operation.ts';
import { representedSession, sessionRepresentation } from './user-sessions.ts';

const tag = 'Clients';
const path = '/realms/{realm}/clients/{id}';
const params = { id };
const VIEW = ['view-clients', 'manage-clients'] as const;
const MANAGE = ['manage-clients'] as const;

const DEFAULT_MAX = 100;

const sessions: readonly Operation[] = [
  { key: 'user-sessions', count: 'session-count', offline: false, of: 'sessions that stand' },
  { key: 'offline-sessions', count: 'offline-session-count', offline: true, of: 'sessions with an offline token' },
].flatMap(({ key, count, offline, of }) => [
  inRealm({
    id: `clients.${key}`,
    method: 'GET',
    path: `${path}/${key}`,
    tag,
    summary: `A client's ${of}, newest first`,
    roles: VIEW,
    status: 200,
    params,
    query: paging,
    answer: z.array(sessionRepresentation),
    async run({ operator, realm, access }, { params, query }) {
      const client = await requireClientById(operator, realm, params.id);
      // Whoever may not see users is told how many there are, and not who.
      if (!access.has('view-users', 'manage-users')) return { body: [] };
      const place = { first: query.first ?? 0, max: query.max ?? DEFAULT_MAX };
      const found = await sessionsAtClient(operator.db.knex, realm.id, client.id, { offline, alive: aliveIn(realm.settings, operator.now), place });
      return { body: found.map(representedSession) };
    },
  }),
  inRealm({
    id: `clients.${count}`,
    method: 'GET',
    path: `${path}/${count}`,
    tag,
    summary: `How many ${of} a client has`,
    roles: VIEW,
    status: 200,
    params,
    answer: z.object({ count: z.number().int() }),
    async run({ operator, realm }, { params }) {
      const client = await requireClientById(operator, realm, params.id);
      const counted = { offline, alive: aliveIn(realm.settings, operator.now) };
      return { body: { count: await countSessionsAtClient(operator.db.knex, realm.id, client.id, counted) } };
    },
  }),
]);

/** Keycloak's GlobalRequestResult. */
const told = z.object({ successRequests: z.array(z.string()).optional(), failedRequests: z.array(z.string()).optional() });

const nodes: readonly Operation[] = [
  inRealm({
    id: 'clients.push-revocation',
    method: 'POST',
    path: `${path}/push-revocation`,
    tag,
    summary: 'Nobody is told: what was revoked is refused wherever it is asked about',
    roles: MANAGE,
    status: 200,
    params,
    answer: told,
    async run({ operator, realm }, { params }) {
      await requireClientById(operator, realm, params.id);
      return { body: {} };
    },
  }),
  inRealm({
    id: 'clients.nodes.add',
    method: 'POST',
    path: `${path}/nodes`,
    tag,
    summary: 'Note a host that an application runs on',
    roles: MANAGE,
    status: 204,
    params,
    body: z.object({ node: z.string().min(1).max(255) }),
    async run(call, { params, body }) {
      const seconds = Math.floor(call.operator.now / 1000);
      await changeNodes(call, params, (before) => ({ ...before, [body.node]: seconds }));
      return {};
    },
  }),
  inRealm({
    id: 'clients.nodes.delete',
    method: 'DELETE',
    path: `${path}/nodes/{node}`,
    tag,
    summary: 'Forget a host',
    roles: MANAGE,
    status: 204,
    params: { id, node: id },
    async run(call, { params }) {
      await changeNodes(call, params, ({ [params.node]: known, ...others }) => {
        if (known === undefined) throw notFound('Client does not have node');
        return others;
      });
      return {};
    },
  }),
  inRealm({
    id: 'clients.nodes.test',
    method: 'GET',
    path: `${path}/test-nodes-available`,
    tag,
    summary: 'No host is called',
    roles: MANAGE,
    status: 200,
    params,
    answer: told,
    async run({ operator, realm }, { params }) {
      await requireClientById(operator, realm, params.id);
      return { body: {} };
    },
  }),
];

type Nodes = ClientRow['kept']['registeredNodes'];

async function changeNodes(call: RealmCall, params: { id: string }, change: (before: Nodes) => Nodes): Promise<void> {
  const client = await yourClient(call, params.id);
  await changeClient(call.operator, call.realm, client.id, { kept: { registeredNodes: change(client.kept.registeredNodes) } });
}

const installation = inRealm({
  id: 'clients.installation',
  method: 'GET',
  path: `${path}/installation/providers/{provider}`,
  tag,
  summary: 'What an application is set up with: keycloak-oidc-keycloak-json, or keycloak-oidc-jboss-subsystem',
  roles: VIEW,
  status: 200,
  params: { id, provider: id },
  answer: z.union([z.record(z.string(), z.unknown()), z.string()]),
  async run(call, { params }) {
    const client = await requireClientById(call.operator, call.realm, params.id);
    const adapter = await adapterOf(call, client);
    if (params.provider === 'keycloak-oidc-keycloak-json') return { body: { ...adapter } };
    if (params.provider === 'keycloak-oidc-jboss-subsystem') return { body: subsystemOf(adapter), type: 'text/plain' };
    throw notFound('Unknown Provider');
  },
});

interface Adapter {
  realm: string;
  'auth-server-url': string;
  'ssl-required': string;
  resource: string;
  'bearer-only'?: true;
  'public-client'?: true;
  credentials?: { secret: string };
  'use-resource-role-mappings'?: true;
  'confidential-port': number;
}

/** Keycloak's keycloak.json. */
async function adapterOf(call: RealmCall, client: ClientRow): Promise<Adapter> {
  const { secret } = await representedWithSecret(call, client);
  const roles = await findRoles(call.operator.db.knex, call.realm.id, client.id, undefined, { first: 0, max: 1 });
  return {
    realm: call.realm.name,
    'auth-server-url': `${call.origin}/`,
    'ssl-required': 'external',
    resource: client.clientId,
    ...(client.kept.bearerOnly ? { 'bearer-only': true } : {}),
    ...(client.publicClient ? { 'public-client': true } : {}),
    ...(secret === undefined ? {} : { credentials: { secret } }),
    ...(roles.length === 0 ? {} : { 'use-resource-role-mappings': true }),
    'confidential-port': 0,
  };
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

function subsystemOf(adapter: Adapter): string {
  const { realm, 'auth-server-url': url, resource, 'public-client': isPublic, credentials } = adapter;
  return [
    '<secure-deployment name="WAR MODULE NAME.war">',
    `    <realm>${escaped(realm)}</realm>`,
    `    <auth-server-url>${escaped(url)}</auth-server-url>`,
    '    <ssl-required>EXTERNAL</ssl-required>',
    `    <resource>${escaped(resource)}</resource>`,
    ...(isPublic ? ['    <public-client>true</public-client>'] : []),
    ...(credentials ? [`    <credential name="secret">${escaped(credentials.secret)}</credential>`] : []),
    '</secure-deployment>',
    '',
  ].join('\n');
}

interface LeftOut {
  methods: readonly Method[];
  path: string;
  key: string;
  says: string;
}

const LEFT_OUT: readonly LeftOut[] = [
  { methods: ['GET', 'PUT'], path: '/management/permissions', key: 'permissions', says: 'Fine-grained permissions are not offered.' },
  {
    methods: ['GET', 'POST', 'PUT', 'DELETE'],
    path: '/authz/{rest...}',
    key: 'authz',
    says: 'Authorization services (UMA) are not offered.',
  },
];

const leftOut: readonly Operation[] = LEFT_OUT.flatMap(({ methods, path: below, key, says }) =>
  methods.map((method) =>
    inRealm({
      id: `clients.${key}.${method.toLowerCase()}`,
      method,
      path: `${path}${below}`,
      tag,
      summary: `Not offered: ${says}`,
      roles: method === 'GET' ? VIEW : MANAGE,
      status: 200,
      params: { id, ...(below.includes('{rest...}') ? { rest: z.string() } : {}) },
      async run({ operator, realm }, { params }) {
        await requireClientById(operator, realm, params.id);
        throw new AppError({ code: 'not_implemented', status: 501, message: says });
      },
    }),
  ),
);

export const clientSessionOperations: readonly Operation[] = [...sessions, ...nodes, installation, ...leftOut];
