/** Client scopes over REST: of the realm, of new clients, and of each client. */
import { z } from 'zod';
import { realmScopes, scopesAssigned } from '../../store/client-scopes.ts';
import { type ClientScopeRow, clientScopes } from '../../store/clients.ts';
import { mappersOf, mappersOfScopes, type ProtocolMapperRow } from '../../store/protocol-mappers.ts';
import { directRoles } from '../../store/role-lists.ts';
import {
  type Assignment,
  assignToNewClients,
  changeClientScope,
  createClientScope,
  giveScope,
  removeClientScope,
  requireClientScope,
  takeScope,
  withholdFromNewClients,
} from '../resources/client-scopes.ts';
import { rolesSaid } from '../resources/protocol-mappers.ts';
import { yourClient } from './client-rights.ts';
import { requireGrantable } from './grantable.ts';
import { id, inRealm, type Operation } from './operation.ts';
import { mapperRepresentation, mappersIn, newMapperFields, representedMapper } from './protocol-mapper-representation.ts';
import { clientOfRealm } from './role-clients.ts';
import { MANAGE, VIEW } from './token-parents.ts';
import { emptied } from './user-representation.ts';

const tag = 'Client scopes';
const path = '/realms/{realm}/client-scopes';
const params = { id };

const scopeRepresentation = z.object({
  id: z.string(),
  name: z.string(),
  description: z.string().optional(),
  protocol: z.string(),
  attributes: z.record(z.string(), z.string()),
  protocolMappers: z.array(mapperRepresentation).optional(),
});

const represented = (scope: ClientScopeRow, mappers: readonly ProtocolMapperRow[]): z.output<typeof scopeRepresentation> => ({
  id: scope.id,
  name: scope.name,
  ...(scope.description === null ? {} : { description: scope.description }),
  protocol: scope.protocol,
  attributes: scope.attributes,
  ...(mappers.length === 0 ? {} : { protocolMappers: mappers.map(representedMapper) }),
});

/** How lists of who has which scope show one. */
const briefScope = z.object({ id: z.string(), name: z.string(), protocol: z.string() });
const brief = ({ id, name, protocol }: ClientScopeRow): z.output<typeof briefScope> => ({ id, name, protocol });

/** What is not there stays as it is; null is not there. */
const scopeIn = z.object({
  name: z.string().max(255).nullish(),
  description: z.string().max(1_000).nullish(),
  protocol: z.string().max(255).nullish(),
  attributes: z
    .record(z.string().max(255), z.union([z.string().max(4_000), z.number(), z.boolean(), z.null()]))
    .refine((attributes) => Object.keys(attributes).length <= 100, 'must not be more than 100')
    .nullish(),
  /** Of a new one; those of one that is there have operations of their own. */
  protocolMappers: mappersIn.nullish(),
  // What a representation shows and nobody changes.
  id: z.unknown().optional(),
});

function fieldsOf({ name, description, protocol, attributes }: z.output<typeof scopeIn>) {
  return {
    ...(name == null ? {} : { name }),
    ...(description == null ? {} : { description: emptied(description) ?? null }),
    ...(protocol == null ? {} : { protocol: protocol === 'saml' ? ('saml' as const) : ('openid-connect' as const) }),
    ...(attributes == null
      ? {}
      : { attributes: Object.fromEntries(Object.entries(attributes).flatMap(([key, value]) => (value === null ? [] : [[key, String(value)]]))) }),
  };
}

const ofRealm: readonly Operation[] = [
  inRealm({
    id: 'client-scopes.list',
    method: 'GET',
    path,
    tag,
    summary: 'Client scopes with their mappers, by name',
    roles: [...VIEW, 'query-clients'],
    status: 200,
    answer: z.array(scopeRepresentation),
    async run({ operator, realm }) {
      const { knex } = operator.db;
      const [scopes, mappers] = await Promise.all([clientScopes(knex, realm.id), mappersOfScopes(knex, realm.id)]);
      const byScope = Map.groupBy(mappers, ({ parent }) => ('scope' in parent ? parent.scope : ''));
      return { body: scopes.map((scope) => represented(scope, byScope.get(scope.id) ?? [])) };
    },
  }),
  inRealm({
    id: 'client-scopes.create',
    method: 'POST',
    path,
    tag,
    summary: 'Make a client scope',
    roles: MANAGE,
    status: 201,
    body: scopeIn,
    async run(call, { body }) {
      const { operator, realm } = call;
      const mappers = (body.protocolMappers ?? []).map(newMapperFields);
      await requireGrantable(call, await rolesSaid(operator, realm, mappers));
      return { created: (await createClientScope(operator, realm, { name: '', ...fieldsOf(body), mappers })).id };
    },
  }),
  inRealm({
    id: 'client-scopes.read',
    method: 'GET',
    path: `${path}/{id}`,
    tag,
    summary: 'One client scope',
    roles: VIEW,
    status: 200,
    params,
    answer: scopeRepresentation,
    async run({ operator, realm }, { params }) {
      const scope = await requireClientScope(operator, realm, params.id);
      return { body: represented(scope, await mappersOf(operator.db.knex, realm.id, { scope: scope.id })) };
    },
  }),
  inRealm({
    id: 'client-scopes.update',
    method: 'PUT',
    path: `${path}/{id}`,
    tag,
    summary: 'Change a client scope; what is not there stays',
    roles: MANAGE,
    status: 204,
    params,
    body: scopeIn,
    async run({ operator, realm }, { params, body }) {
      await changeClientScope(operator, realm, await requireClientScope(operator, realm, params.id), fieldsOf(body));
      return {};
    },
  }),
  inRealm({
    id: 'client-scopes.delete',
    method: 'DELETE',
    path: `${path}/{id}`,
    tag,
    summary: 'Delete a client scope; clients that had it have it no more',
    roles: MANAGE,
    status: 204,
    params,
    async run({ operator, realm }, { params }) {
      await removeClientScope(operator, realm, await requireClientScope(operator, realm, params.id));
      return {};
    },
  }),
];

/** Which scopes new clients get. */
const ofNewClients = (as: Assignment): readonly Operation[] => {
  const key = `realms.default-${as}-client-scopes`;
  const list = `/realms/{realm}/default-${as}-client-scopes`;
  return [
    inRealm({
      id: `${key}.list`,
      method: 'GET',
      path: list,
      tag,
      summary: `Client scopes that new clients have ${as === 'default' ? 'by default' : 'to ask for'}`,
      roles: VIEW,
      status: 200,
      answer: z.array(briefScope),
      run: async ({ operator, realm }) => ({ body: (await realmScopes(operator.db.knex, realm.id, as)).map(brief) }),
    }),
    inRealm({
      id: `${key}.add`,
      method: 'PUT',
      path: `${list}/{clientScopeId}`,
      tag,
      summary: 'Add one; clients that are there stay as they are',
      roles: MANAGE,
      status: 204,
      params: { clientScopeId: id },
      async run({ operator, realm }, { params }) {
        await assignToNewClients(operator, realm, params.clientScopeId, as);
        return {};
      },
    }),
    inRealm({
      id: `${key}.remove`,
      method: 'DELETE',
      path: `${list}/{clientScopeId}`,
      tag,
      summary: 'Take one away; clients that are there stay as they are',
      roles: MANAGE,
      status: 204,
      params: { clientScopeId: id },
      async run({ operator, realm }, { params }) {
        await withholdFromNewClients(operator, realm, params.clientScopeId, as);
        return {};
      },
    }),
  ];
};

/** Which scopes a client has. */
const ofClients = (as: Assignment): readonly Operation[] => {
  const key = `clients.${as}-client-scopes`;
  const list = `/realms/{realm}/clients/{id}/${as}-client-scopes`;
  return [
    inRealm({
      id: `${key}.list`,
      method: 'GET',
      path: list,
      tag,
      summary: `Client scopes that the client has ${as === 'default' ? 'by default' : 'to ask for'}`,
      roles: VIEW,
      status: 200,
      params,
      answer: z.array(briefScope),
      async run({ operator, realm }, { params }) {
        const client = await clientOfRealm(operator, realm, params.id);
        const scopes = await scopesAssigned(operator.db.knex, realm.id, client.id);
        return { body: scopes.filter(({ isDefault }) => isDefault === (as === 'default')).map(brief) };
      },
    }),
    inRealm({
      id: `${key}.add`,
      method: 'PUT',
      path: `${list}/{clientScopeId}`,
      tag,
      summary: 'Give the client a scope; one that it has in the other way changes',
      roles: MANAGE,
      status: 204,
      params: { id, clientScopeId: id },
      async run(call, { params }) {
        const { operator, realm } = call;
        const client = await yourClient(call, params.id);
        const scope = await requireClientScope(operator, realm, params.clientScopeId);
        // A client without the full scope may use by it what is mapped to it.
        await requireGrantable(call, await directRoles(operator.db.knex, realm.id, { scope: scope.id }, undefined));
        await giveScope(operator, realm, client, scope, as);
        return {};
      },
    }),
    inRealm({
      id: `${key}.remove`,
      method: 'DELETE',
      path: `${list}/{clientScopeId}`,
      tag,
      summary: 'Take a scope from the client',
      roles: MANAGE,
      status: 204,
      params: { id, clientScopeId: id },
      async run(call, { params }) {
        const { operator, realm } = call;
        const client = await yourClient(call, params.id);
        await takeScope(operator, realm, client, await requireClientScope(operator, realm, params.clientScopeId), as);
        return {};
      },
    }),
  ];
};

export const clientScopeOperations: readonly Operation[] = [
  ...ofRealm,
  ...(['default', 'optional'] as const).flatMap((as) => [...ofNewClients(as), ...ofClients(as)]),
];
