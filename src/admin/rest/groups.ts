/** Groups over REST: the tree, its members, and the groups that every new user is put into. */
import { z } from 'zod';
import { AppError, conflict } from '../../errors.ts';
import { countGroups, defaultGroups, findGroups, membersOf, type ShownGroup } from '../../store/group-lists.ts';
import { directRoles } from '../../store/role-lists.ts';
import { changeDefaultGroup, groupsAbove, requireGroupAt, requireGroupById, setGroupAttributes } from '../resources/group-changes.ts';
import { changeGroup, createGroup, removeGroup } from '../resources/groups.ts';
import { requireGrantableGroup, requireTakeableGroup } from './grantable.ts';
import { type GroupRepresentation, groupIn, groupRepresentation, namedGroup, representedGroup, shownName } from './group-representation.ts';
import { flag, id, inRealm, type ManagementRole, type Operation, paging, type RealmCall } from './operation.ts';
import { userRepresentation } from './user-representation.ts';
import { attributesOf, representedMembers } from './users.ts';

const tag = 'Groups';
const path = '/realms/{realm}/groups';
const params = { id };
const VIEW: readonly ManagementRole[] = ['view-users', 'manage-users'];
const LIST: readonly ManagementRole[] = [...VIEW, 'query-groups'];
const MANAGE: readonly ManagementRole[] = ['manage-users'];

const DEFAULT_MAX = 100;
const place = ({ first = 0, max = DEFAULT_MAX }: { first?: number | undefined; max?: number | undefined }) => ({ first, max });
const text = z.string().max(255).optional();

const list: readonly Operation[] = [
  inRealm({
    id: 'groups.list',
    method: 'GET',
    path,
    tag,
    summary: 'Groups at the top; or, looked for, those that are found, each below the groups that it is in',
    roles: LIST,
    status: 200,
    query: { search: text, exact: flag, q: text, ...paging, briefRepresentation: flag, populateHierarchy: flag, subGroupsCount: flag },
    answer: z.array(groupRepresentation),
    async run(call, { query }) {
      const { operator, realm, access } = call;
      // Whoever may only ask is shown none, as in Keycloak.
      if (!access.has(...VIEW)) return { body: [] };
      const brief = query.briefRepresentation !== false;
      const attributes = attributesOf(query.q ?? '');
      const isSearch = (query.search ?? '') !== '' || attributes.length > 0;
      const search = isSearch ? { search: query.search, exact: query.exact, attributes } : { parent: null };
      const found = await findGroups(operator.db.knex, realm.id, search, place(query));
      if (!isSearch || query.populateHierarchy === false) return { body: found.map((group) => representedGroup(group, access, { brief })) };
      return { body: asTree([...found, ...(await groupsAbove(operator, realm, found))].map((group) => representedGroup(group, access, { brief }))) };
    },
  }),
  inRealm({
    id: 'groups.count',
    method: 'GET',
    path: `${path}/count`,
    tag,
    summary: 'How many groups there are',
    roles: LIST,
    status: 200,
    query: { search: text, top: flag },
    answer: z.object({ count: z.number().int() }),
    async run({ operator, realm }, { query }) {
      const search = { search: query.search, ...(query.top === true ? { parent: null } : {}) };
      return { body: { count: await countGroups(operator.db.knex, realm.id, search) } };
    },
  }),
  inRealm({
    id: 'groups.by-path',
    method: 'GET',
    path: '/realms/{realm}/group-by-path/{path...}',
    tag,
    summary: 'The group at a path',
    roles: VIEW,
    status: 200,
    params: { path: z.string().min(1).max(2000) },
    answer: groupRepresentation,
    run: async (call, { params }) => ({ body: await whole(call, await requireGroupAt(call.operator, call.realm, params.path)) }),
  }),
];

/** Groups below one another, those at the top first. */
function asTree(groups: readonly GroupRepresentation[]): GroupRepresentation[] {
  const byId = new Map(groups.map((group) => [group.id, group]));
  const top: GroupRepresentation[] = [];
  for (const group of [...groups].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const parent = group.parentId === undefined ? undefined : byId.get(group.parentId);
    (parent?.subGroups ?? top).push(group);
  }
  return top;
}

async function whole(call: RealmCall, group: ShownGroup): Promise<GroupRepresentation> {
  const roles = await directRoles(call.operator.db.knex, call.realm.id, { group: group.id }, undefined);
  const ofClients = Map.groupBy(
    roles.filter(({ client }) => client !== null),
    ({ client }) => client ?? '',
  );
  return representedGroup(group, call.access, {
    brief: false,
    roles: {
      realmRoles: roles.flatMap(({ client, name }) => (client === null ? [name] : [])),
      clientRoles: Object.fromEntries([...ofClients].map(([client, mine]) => [client, mine.map(({ name }) => name)])),
    },
  });
}

/** Makes a group in a place, or moves one that is named by its id there. */
async function putAt(call: RealmCall, parent: ShownGroup | null, body: z.output<typeof groupIn>): Promise<{ status: 201 | 204; group: ShownGroup }> {
  const { operator, realm } = call;
  const refusal = (name: string): string =>
    parent ? `Sibling group named '${name}' already exists.` : `Top level group named '${name}' already exists.`;
  if (body.id != null) {
    const group = await requireGroupById(operator, realm, body.id);
    // Its members lose what those above it gave, and get what those above it give.
    await requireTakeableGroup(call, group);
    if (parent) await requireGrantableGroup(call, parent);
    await unlessTaken(refusal(group.name), () => changeGroup(operator, realm, group.path, { parent: parent?.path ?? null }));
    return { status: 204, group };
  }
  const { id: made } = await unlessTaken(refusal(body.name ?? ''), () =>
    createGroup(operator, realm, { name: body.name ?? '', ...(parent ? { parent: parent.path } : {}) }),
  );
  const group = await requireGroupById(operator, realm, made);
  if (body.attributes != null) await setGroupAttributes(operator, realm, group, body.attributes);
  return { status: 201, group: { ...group, attributes: body.attributes ?? {} } };
}

/** What Keycloak's clients look for in a conflict. */
async function unlessTaken<T>(message: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AppError && error.status === 409 && error.field === 'name') throw conflict(message, 'name');
    throw error;
  }
}

const single: readonly Operation[] = [
  inRealm({
    id: 'groups.create',
    method: 'POST',
    path,
    tag,
    summary: 'Make a group at the top, or with an id move one there',
    roles: MANAGE,
    status: 201,
    also: [204],
    body: groupIn,
    async run(call, { body }) {
      const { status, group } = await putAt(call, null, body);
      return status === 201 ? { created: group.id } : { status };
    },
  }),
  inRealm({
    id: 'groups.read',
    method: 'GET',
    path: `${path}/{id}`,
    tag,
    summary: 'One group',
    roles: VIEW,
    status: 200,
    params,
    answer: groupRepresentation,
    run: async (call, { params }) => ({ body: await whole(call, await requireGroupById(call.operator, call.realm, params.id)) }),
  }),
  inRealm({
    id: 'groups.update',
    method: 'PUT',
    path: `${path}/{id}`,
    tag,
    summary: 'Change a group; what is not there stays',
    roles: MANAGE,
    status: 204,
    params,
    body: groupIn,
    async run({ operator, realm }, { params, body }) {
      const group = await requireGroupById(operator, realm, params.id);
      const { name, attributes } = body;
      const moved =
        name == null || name === group.name
          ? group
          : await unlessTaken(`Sibling group named '${name}' already exists.`, () => changeGroup(operator, realm, group.path, { name }));
      if (attributes != null) await setGroupAttributes(operator, realm, { ...group, path: moved.path }, attributes);
      return {};
    },
  }),
  inRealm({
    id: 'groups.delete',
    method: 'DELETE',
    path: `${path}/{id}`,
    tag,
    summary: 'Delete a group with all below it',
    roles: MANAGE,
    status: 204,
    params,
    async run(call, { params }) {
      const { operator, realm } = call;
      const group = await requireGroupById(operator, realm, params.id);
      await requireTakeableGroup(call, group);
      await removeGroup(operator, realm, group.path);
      return {};
    },
  }),
  inRealm({
    id: 'groups.children.list',
    method: 'GET',
    path: `${path}/{id}/children`,
    tag,
    summary: 'Groups right below another',
    roles: VIEW,
    status: 200,
    params,
    query: { search: text, exact: flag, ...paging, briefRepresentation: flag, subGroupsCount: flag },
    answer: z.array(groupRepresentation),
    async run({ operator, realm, access }, { params, query }) {
      const { id: parent } = await requireGroupById(operator, realm, params.id);
      const found = await findGroups(operator.db.knex, realm.id, { parent, search: query.search, exact: query.exact }, place(query));
      return { body: found.map((group) => representedGroup(group, access, { brief: query.briefRepresentation === true })) };
    },
  }),
  inRealm({
    id: 'groups.children.add',
    method: 'POST',
    path: `${path}/{id}/children`,
    tag,
    summary: 'Make a group below another, or with an id move one there',
    roles: MANAGE,
    status: 201,
    also: [204],
    params,
    body: groupIn,
    answer: groupRepresentation,
    async run(call, { params, body }) {
      const { status, group } = await putAt(call, await requireGroupById(call.operator, call.realm, params.id), body);
      if (status === 204) return { status };
      return { created: `/realms/${encodeURIComponent(call.realm.name)}/groups/${group.id}`, body: await whole(call, group) };
    },
  }),
  inRealm({
    id: 'groups.members',
    method: 'GET',
    path: `${path}/{id}/members`,
    tag,
    summary: 'Members of the group itself, by username',
    roles: VIEW,
    status: 200,
    params,
    query: { ...paging, briefRepresentation: flag },
    answer: z.array(userRepresentation),
    async run(call, { params, query }) {
      const group = await requireGroupById(call.operator, call.realm, params.id);
      const users = await membersOf(call.operator.db.knex, call.realm.id, group.id, place(query));
      return { body: await representedMembers(call, users, query.briefRepresentation === true) };
    },
  }),
];

const defaults: readonly Operation[] = [
  inRealm({
    id: 'realms.default-groups.list',
    method: 'GET',
    path: '/realms/{realm}/default-groups',
    tag,
    summary: 'The groups that every new user is put into',
    roles: ['view-realm', 'manage-realm'],
    status: 200,
    answer: z.array(namedGroup),
    async run({ operator, realm }) {
      const groups = await defaultGroups(operator.db.knex, realm.id);
      return { body: groups.map(shownName) };
    },
  }),
  ...(['PUT', 'DELETE'] as const).map((method) =>
    inRealm({
      id: `realms.default-groups.${method === 'PUT' ? 'add' : 'remove'}`,
      method,
      path: '/realms/{realm}/default-groups/{id}',
      tag,
      summary: method === 'PUT' ? 'Put every new user into a group' : 'Put new users into it no longer',
      roles: ['manage-realm'],
      status: 204,
      params,
      async run(call, { params }) {
        const group = await requireGroupById(call.operator, call.realm, params.id);
        if (method === 'PUT') await requireGrantableGroup(call, group);
        await changeDefaultGroup(call.operator, call.realm, group, method === 'PUT' ? 'add' : 'remove');
        return {};
      },
    }),
  ),
];

export const groupOperations: readonly Operation[] = [...list, ...single, ...defaults];
