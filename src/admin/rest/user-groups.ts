/** The groups of a user over REST. */
import { z } from 'zod';
import { countGroupsOfUser, shownGroupsOfUser } from '../../store/group-lists.ts';
import { joinGroup, leaveGroup, requireGroupById } from '../resources/group-changes.ts';
import { requireUserById } from '../resources/user-changes.ts';
import { requireGrantableGroup, requireNoMore } from './grantable.ts';
import { namedOrWhole, representedGroup, shownName } from './group-representation.ts';
import { flag, id, inRealm, type Operation, paging } from './operation.ts';

const tag = 'Users';
const path = '/realms/{realm}/users/{id}/groups';
const text = z.string().max(255).optional();

export const userGroupOperations: readonly Operation[] = [
  inRealm({
    id: 'users.groups.list',
    method: 'GET',
    path,
    tag,
    summary: 'The groups that a user was put into, by name',
    roles: ['view-users', 'manage-users'],
    status: 200,
    params: { id },
    query: { search: text, ...paging, briefRepresentation: flag },
    answer: z.array(namedOrWhole),
    async run({ operator, realm, access }, { params, query }) {
      const user = await requireUserById(operator, realm, params.id);
      const place = { first: query.first ?? 0, max: query.max ?? 100 };
      const groups = await shownGroupsOfUser(operator.db.knex, realm.id, user.id, { search: query.search }, place);
      return {
        body: groups.map((group) => (query.briefRepresentation === false ? representedGroup(group, access, { brief: false }) : shownName(group))),
      };
    },
  }),
  inRealm({
    id: 'users.groups.count',
    method: 'GET',
    path: `${path}/count`,
    tag,
    summary: 'How many groups a user was put into',
    roles: ['view-users', 'manage-users'],
    status: 200,
    params: { id },
    query: { search: text },
    answer: z.object({ count: z.number().int() }),
    async run({ operator, realm }, { params, query }) {
      const user = await requireUserById(operator, realm, params.id);
      return { body: { count: await countGroupsOfUser(operator.db.knex, realm.id, user.id, query) } };
    },
  }),
  ...(['PUT', 'DELETE'] as const).map((method) =>
    inRealm({
      id: `users.groups.${method === 'PUT' ? 'join' : 'leave'}`,
      method,
      path: `${path}/{group}`,
      tag,
      summary: method === 'PUT' ? 'Put a user into a group' : 'Take a user out of a group',
      roles: ['manage-users'],
      status: 204,
      params: { id, group: id },
      async run(call, { params }) {
        const { operator, realm } = call;
        const user = await requireUserById(operator, realm, params.id);
        const group = await requireGroupById(operator, realm, params.group);
        if (method === 'PUT') {
          await requireGrantableGroup(call, group);
          await joinGroup(operator, realm, group, user);
        } else {
          await requireNoMore(call, user);
          await leaveGroup(operator, realm, group, user);
        }
        return {};
      },
    }),
  ),
];
