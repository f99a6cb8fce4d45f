/** Scope mappings over REST: which roles the tokens of clients without the full scope may name. */
import { z } from 'zod';
import type { RoleScope } from '../../store/effective-roles.ts';
import { availableRoles, directRoles, rolesOfScope, type ShownRole } from '../../store/role-lists.ts';
import { requireClientById } from '../resources/client-changes.ts';
import { rolesMeant } from '../resources/role-changes.ts';
import { mapRoles, unmapRoles } from '../resources/scope-mappings.ts';
import { requireGrantable } from './grantable.ts';
import { flag, id, inRealm, type Operation, type RealmCall } from './operation.ts';
import { clientOfRealm } from './role-clients.ts';
import { givenMappings, mappings } from './role-mappings.ts';
import { representedRole, roleRepresentation, rolesIn } from './role-representation.ts';
import { MANAGE, type ParentKind, parentOf, VIEW } from './token-parents.ts';

const roleList = z.array(roleRepresentation);

interface Params {
  id: string;
  client?: string | undefined;
}

/** The row id of the client whose roles the path is about; null where it is about the realm's. */
const ownerOf = async ({ operator, realm }: RealmCall, { client }: Params): Promise<string | null> =>
  client === undefined ? null : (await clientOfRealm(operator, realm, client)).id;

const shown = (roles: readonly ShownRole[], brief = true) => roles.map((role) => representedRole(role, brief));

/** What lets roles pass, by itself; undefined for a client that is told of all. */
async function scopeOf(call: RealmCall, kind: ParentKind, parent: string): Promise<RoleScope | undefined> {
  const { operator, realm } = call;
  if (kind === 'clients') {
    const client = await requireClientById(operator, realm, parent);
    return client.fullScope ? undefined : { clientId: client.id, scopes: [] };
  }
  const { named } = await parentOf(call, kind, parent, 'view');
  return { clientId: '', scopes: 'scope' in named ? [named.scope] : [] };
}

function all(kind: ParentKind): Operation {
  return inRealm({
    id: `${kind}.scope-mappings`,
    method: 'GET',
    path: `/realms/{realm}/${kind}/{id}/scope-mappings`,
    tag: 'Scope mappings',
    summary: 'Every role that is mapped',
    roles: VIEW,
    status: 200,
    params: { id },
    answer: mappings,
    async run(call, { params }) {
      const { at } = await parentOf(call, kind, params.id, 'view');
      return { body: givenMappings(await directRoles(call.operator.db.knex, call.realm.id, at, undefined)) };
    },
  });
}

function about(kind: ParentKind, what: 'realm' | 'client'): readonly Operation[] {
  const path = `/realms/{realm}/${kind}/{id}/scope-mappings/${what === 'realm' ? 'realm' : 'clients/{client}'}`;
  const key = `${kind}.scope-mappings.${what}`;
  const of = what === 'realm' ? 'realm roles' : 'roles of a client';
  const common = { tag: 'Scope mappings', params: { id, client: id.optional() } };
  return [
    inRealm({
      ...common,
      id: `${key}.list`,
      method: 'GET',
      path,
      summary: `The ${of} that are mapped`,
      roles: VIEW,
      status: 200,
      answer: roleList,
      async run(call, { params }) {
        const { at } = await parentOf(call, kind, params.id, 'view');
        return { body: shown(await directRoles(call.operator.db.knex, call.realm.id, at, await ownerOf(call, params))) };
      },
    }),
    inRealm({
      ...common,
      id: `${key}.available`,
      method: 'GET',
      path: `${path}/available`,
      summary: `The ${of} that are not mapped`,
      roles: VIEW,
      status: 200,
      answer: roleList,
      async run(call, { params }) {
        const { at } = await parentOf(call, kind, params.id, 'view');
        return { body: shown(await availableRoles(call.operator.db.knex, call.realm.id, at, await ownerOf(call, params))) };
      },
    }),
    inRealm({
      ...common,
      id: `${key}.composite`,
      method: 'GET',
      path: `${path}/composite`,
      summary: `The ${of} that tokens may name by it in the end, by other roles, too`,
      roles: VIEW,
      status: 200,
      query: { briefRepresentation: flag },
      answer: roleList,
      async run(call, { params, query }) {
        const scope = await scopeOf(call, kind, params.id);
        const roles = await rolesOfScope(call.operator.db.knex, call.realm.id, scope, await ownerOf(call, params));
        return { body: shown(roles, query.briefRepresentation !== false) };
      },
    }),
    inRealm({
      ...common,
      id: `${key}.add`,
      method: 'POST',
      path,
      summary: `Map ${of}; whoever maps them has what they manage`,
      roles: MANAGE,
      status: 204,
      body: rolesIn,
      async run(call, { params, body }) {
        const parent = await parentOf(call, kind, params.id, 'manage');
        const roles = await rolesMeant(call.operator, call.realm, await ownerOf(call, params), body);
        await requireGrantable(call, roles);
        await mapRoles(call.operator, call.realm, parent, roles);
        return {};
      },
    }),
    inRealm({
      ...common,
      id: `${key}.remove`,
      method: 'DELETE',
      path,
      summary: `Take ${of} away; without a list, all of them`,
      roles: MANAGE,
      status: 204,
      body: rolesIn.nullish(),
      async run(call, { params, body }) {
        const { operator, realm } = call;
        const parent = await parentOf(call, kind, params.id, 'manage');
        const owner = await ownerOf(call, params);
        const roles = body == null ? await directRoles(operator.db.knex, realm.id, parent.at, owner) : await rolesMeant(operator, realm, owner, body);
        await unmapRoles(operator, realm, parent, roles);
        return {};
      },
    }),
  ];
}

export const scopeMappingOperations: readonly Operation[] = (['clients', 'client-scopes'] as const).flatMap((kind) => [
  all(kind),
  ...about(kind, 'realm'),
  ...about(kind, 'client'),
]);
