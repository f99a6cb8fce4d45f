/** Roles over REST: of the realm and of its clients by their names, and each by its id; who was given them. What they contain: role-composites.ts. */
import { z } from 'zod';
import { notFound } from '../../errors.ts';
import { clientByClientId } from '../../store/clients.ts';
import { groupsWithRole } from '../../store/group-lists.ts';
import { findRoles, type ShownRole, usersWithRole } from '../../store/role-lists.ts';
import { addContained, changeRole, removeRoleById, requireRoleById, rolesMeant } from '../resources/role-changes.ts';
import { createRole } from '../resources/roles.ts';
import { requireGrantable, requireTakeable } from './grantable.ts';
import { namedOrWhole, representedGroup, shownName } from './group-representation.ts';
import { flag, id, inRealm, type ManagementRole, type Operation, paging, type RealmCall } from './operation.ts';
import { clientOfRealm } from './role-clients.ts';
import { composites } from './role-composites.ts';
import { BY_ID, byId, byName, CLIENT, type Door, ownerOf, place, REALM, roleOf } from './role-doors.ts';
import { representedRole, roleIn, roleRepresentation } from './role-representation.ts';
import { emptied, userRepresentation } from './user-representation.ts';
import { representedMembers } from './users.ts';

/** Whoever maps roles has to see which there are. */
const LISTERS: readonly ManagementRole[] = ['view-users', 'manage-users', 'query-users', 'query-groups', 'query-clients'];

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
