/** Roles over REST: of the realm and of its clients by their names, and each by its id; what they contain and who was given them. */
import { z } from 'zod';
import { notFound } from '../../errors.ts';
import { clientByClientId } from '../../store/clients.ts';
import { groupsWithRole } from '../../store/group-lists.ts';
import { containedRoles, findRoles, type ShownRole, usersWithRole } from '../../store/role-lists.ts';
import {
  addContained,
  changeRole,
  removeContained,
  removeRoleById,
  requireRoleById,
  requireRoleByName,
  rolesMeant,
} from '../resources/role-changes.ts';
import { createRole } from '../resources/roles.ts';
import { requireGrantable, requireTakeable } from './grantable.ts';
import { namedOrWhole, representedGroup, shownName } from './group-representation.ts';
import { flag, id, inRealm, type ManagementRole, type Operation, paging, type RealmCall } from './operation.ts';
import { clientOfRealm } from './role-clients.ts';
import { representedRole, roleIn, roleRepresentation, rolesIn } from './role-representation.ts';
import { emptied, userRepresentation } from './user-representation.ts';
import { representedMembers } from './users.ts';

/** A role is reached by a name below the realm or a client, or by its id. */
interface Door {
  key: string;
  path: string;
  tag: string;
  view: readonly ManagementRole[];
  manage: readonly ManagementRole[];
}

const REALM: Door = { key: 'roles', path: '/realms/{realm}/roles', tag: 'Roles', view: ['view-realm', 'manage-realm'], manage: ['manage-realm'] };
const CLIENT: Door = {
  key: 'clients.roles',
  path: '/realms/{realm}/clients/{id}/roles',
  tag: 'Client roles',
  view: ['view-clients', 'manage-clients'],
  manage: ['manage-clients'],
};
const BY_ID: Door = {
  key: 'roles-by-id',
  path: '/realms/{realm}/roles-by-id',
  tag: 'Roles by id',
  view: [...REALM.view, ...CLIENT.view],
  manage: [...REALM.manage, ...CLIENT.manage],
};

/** Whoever maps roles has to see which there are. */
const LISTERS: readonly ManagementRole[] = ['view-users', 'manage-users', 'query-users', 'query-groups', 'query-clients'];

/** Keycloak answers all of them unless asked otherwise; this is more than anybody reads. */
const MOST = 10_000;
const everything = { first: 0, max: MOST };
const place = ({ first = 0, max = MOST }: { first?: number | undefined; max?: number | undefined }) => ({ first, max });

type Named = { id?: string | undefined; name?: string | undefined };
const byName = { id: id.optional(), name: id };
const byId = { id };

/** The row id of the client in a path; null for the realm. */
async function ownerOf({ operator, realm }: RealmCall, door: Door, { id: client }: Named): Promise<string | null> {
  return door === CLIENT ? (await clientOfRealm(operator, realm, client ?? '')).id : null;
}

/** The role of a path. By id it may be of either kind, and needs that kind's roles. */
async function roleOf(call: RealmCall, door: Door, params: Named, purpose: 'view' | 'manage'): Promise<ShownRole> {
  const { operator, realm, access } = call;
  if (door !== BY_ID) return requireRoleByName(operator, realm, await ownerOf(call, door, params), params.name ?? '');
  const role = await requireRoleById(operator, realm, params.id ?? '');
  access.require(...(role.clientId === null ? REALM : CLIENT)[purpose]);
  return role;
}

const containers = (door: Door): readonly Operation[] => [
  inRealm({
    id: `${door.key}.list`,
    method: 'GET',
    path: door.path,
    tag: door.tag,
    summary: 'Roles, by name',
    roles: [...door.view, ...LISTERS],
    status: 200,
    params: { id: id.optional() },
    query: { search: z.string().max(255).optional(), ...paging, briefRepresentation: flag },
    answer: z.array(roleRepresentation),
    async run(call, { params, query }) {
      const owner = await ownerOf(call, door, params);
      const roles = await findRoles(call.operator.db.knex, call.realm.id, owner, query.search, place(query));
      return { body: roles.map((role) => representedRole(role, query.briefRepresentation !== false)) };
    },
  }),
  inRealm({
    id: `${door.key}.create`,
    method: 'POST',
    path: door.path,
    tag: door.tag,
    summary: 'Make a role; the Location ends in its name',
    roles: door.manage,
    status: 201,
    params: { id: id.optional() },
    body: roleIn,
    async run(call, { params, body }) {
      const { operator, realm } = call;
      const client = door === CLIENT ? (await clientOfRealm(operator, realm, params.id ?? '')).clientId : undefined;
      const children = await compositesIn(call, body.composites);
      await requireGrantable(call, children);
      const made = await createRole(operator, realm, {
        name: body.name ?? '',
        client,
        description: emptied(body.description) ?? undefined,
        attributes: body.attributes ?? {},
      });
      if (children.length > 0) await addContained(operator, realm, await requireRoleById(operator, realm, made.id), children);
      return { created: made.name };
    },
  }),
];

/** Roles that a new one is to contain, by their names. */
async function compositesIn(call: RealmCall, composites: z.output<typeof roleIn>['composites']): Promise<ShownRole[]> {
  const { operator, realm } = call;
  const meant = (names: readonly string[]) => names.map((name) => ({ name }));
  const found = await rolesMeant(operator, realm, null, meant(composites?.realm ?? []));
  for (const [clientId, names] of Object.entries(composites?.client ?? {})) {
    const client = await clientByClientId(operator.db.knex, realm.id, clientId);
    if (!client) throw notFound(`There is no client "${clientId}" in realm "${realm.name}".`);
    found.push(...(await rolesMeant(operator, realm, client.id, meant(names))));
  }
  return found;
}

const single = (door: Door): readonly Operation[] => {
  const { key, tag } = door;
  const path = door === BY_ID ? `${door.path}/{id}` : `${door.path}/{name}`;
  const params = door === BY_ID ? { ...byId, name: id.optional() } : byName;
  const common = { tag, params };
  return [
    inRealm({
      ...common,
      id: `${key}.read`,
      method: 'GET',
      path,
      summary: 'One role',
      roles: door.view,
      status: 200,
      answer: roleRepresentation,
      run: async (call, { params }) => ({ body: representedRole(await roleOf(call, door, params, 'view'), false) }),
    }),
    inRealm({
      ...common,
      id: `${key}.update`,
      method: 'PUT',
      path,
      summary: 'Change a role; what is not there stays',
      roles: door.manage,
      status: 204,
      body: roleIn,
      async run(call, { params, body }) {
        const role = await roleOf(call, door, params, 'manage');
        const { name, description, attributes } = body;
        const changes = { name: name ?? undefined, description: emptied(description), attributes: attributes ?? undefined };
        await changeRole(call.operator, call.realm, role, changes);
        return {};
      },
    }),
    inRealm({
      ...common,
      id: `${key}.delete`,
      method: 'DELETE',
      path,
      summary: 'Delete a role',
      roles: door.manage,
      status: 204,
      async run(call, { params }) {
        const role = await roleOf(call, door, params, 'manage');
        await requireTakeable(call, [role]);
        await removeRoleById(call.operator, call.realm, role);
        return {};
      },
    }),
    ...composites(door, path, common),
  ];
};

function composites(
  door: Door,
  path: string,
  common: { tag: string; params: { id: z.ZodOptional<z.ZodString> | z.ZodString; name: z.ZodOptional<z.ZodString> | z.ZodString } },
): readonly Operation[] {
  const { key } = door;
  const query = { ...paging, search: z.string().max(255).optional() };
  return [
    inRealm({
      ...common,
      id: `${key}.composites.list`,
      method: 'GET',
      path: `${path}/composites`,
      summary: 'What a role contains',
      roles: door.view,
      status: 200,
      query,
      answer: z.array(roleRepresentation),
      async run(call, { params, query }) {
        const role = await roleOf(call, door, params, 'view');
        const found = await containedRoles(call.operator.db.knex, call.realm.id, role.id, undefined, place(query), query.search);
        return { body: found.map((one) => representedRole(one, true)) };
      },
    }),
    inRealm({
      ...common,
      id: `${key}.composites.add`,
      method: 'POST',
      path: `${path}/composites`,
      summary: 'Make a role contain others, named by their ids',
      roles: door.manage,
      status: 204,
      body: rolesIn,
      async run(call, { params, body }) {
        const role = await roleOf(call, door, params, 'manage');
        const children = await rolesMeant(call.operator, call.realm, undefined, body);
        await requireGrantable(call, children);
        await addContained(call.operator, call.realm, role, children);
        return {};
      },
    }),
    inRealm({
      ...common,
      id: `${key}.composites.remove`,
      method: 'DELETE',
      path: `${path}/composites`,
      summary: 'Take roles out of another, named by their ids',
      roles: door.manage,
      status: 204,
      body: rolesIn,
      async run(call, { params, body }) {
        const role = await roleOf(call, door, params, 'manage');
        const children = await rolesMeant(call.operator, call.realm, undefined, body);
        await requireTakeable(call, children);
        await removeContained(call.operator, call.realm, role, children);
        return {};
      },
    }),
    inRealm({
      ...common,
      id: `${key}.composites.realm`,
      method: 'GET',
      path: `${path}/composites/realm`,
      summary: 'Realm roles that a role contains',
      roles: door.view,
      status: 200,
      answer: z.array(roleRepresentation),
      async run(call, { params }) {
        const role = await roleOf(call, door, params, 'view');
        const found = await containedRoles(call.operator.db.knex, call.realm.id, role.id, null, everything);
        return { body: found.map((one) => representedRole(one, true)) };
      },
    }),
    inRealm({
      ...common,
      params: { ...common.params, client: id },
      id: `${key}.composites.client`,
      method: 'GET',
      path: `${path}/composites/clients/{client}`,
      summary: 'Roles of a client that a role contains',
      roles: door.view,
      status: 200,
      answer: z.array(roleRepresentation),
      async run(call, { params }) {
        const { operator, realm } = call;
        const role = await roleOf(call, door, params, 'view');
        const client = await clientOfRealm(operator, realm, params.client);
        const found = await containedRoles(operator.db.knex, realm.id, role.id, client.id, everything);
        return { body: found.map((one) => representedRole(one, true)) };
      },
    }),
  ];
}

const holders = (door: Door): readonly Operation[] => [
  inRealm({
    id: `${door.key}.users`,
    method: 'GET',
    path: `${door.path}/{name}/users`,
    tag: door.tag,
    summary: 'Users that a role was given to',
    roles: ['view-users', 'manage-users'],
    status: 200,
    params: byName,
    query: { ...paging, briefRepresentation: flag },
    answer: z.array(userRepresentation),
    async run(call, { params, query }) {
      const role = await roleOf(call, door, params, 'view');
      const users = await usersWithRole(call.operator.db.knex, call.realm.id, role.id, { first: query.first ?? 0, max: query.max ?? 100 });
      return { body: await representedMembers(call, users, query.briefRepresentation === true) };
    },
  }),
  inRealm({
    id: `${door.key}.groups`,
    method: 'GET',
    path: `${door.path}/{name}/groups`,
    tag: door.tag,
    summary: 'Groups that a role was given to',
    roles: ['view-users', 'manage-users'],
    status: 200,
    params: byName,
    query: { ...paging, briefRepresentation: flag },
    answer: z.array(namedOrWhole),
    async run(call, { params, query }) {
      const role = await roleOf(call, door, params, 'view');
      const groups = await groupsWithRole(call.operator.db.knex, call.realm.id, role.id, { first: query.first ?? 0, max: query.max ?? 100 });
      return {
        body: groups.map((group) =>
          query.briefRepresentation === false ? representedGroup(group, call.access, { brief: false }) : shownName(group),
        ),
      };
    },
  }),
];

export const roleOperations: readonly Operation[] = [
  ...[REALM, CLIENT].flatMap((door) => [...containers(door), ...single(door), ...holders(door)]),
  ...single(BY_ID),
];
