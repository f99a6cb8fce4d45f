/** Roles of users and of groups over REST: what they were given, what could be given, and what they have in the end. */
import { heldRoles, type RoleBearer } from '../../store/role-lists.ts';
import { requireGroupById } from '../resources/group-changes.ts';
import { giveRolesTo, type RoleHolder, takeRolesOf } from '../resources/role-changes.ts';
import { requireUserById } from '../resources/user-changes.ts';
import { requireGrantable, requireNoMore, requireTakeable } from './grantable.ts';
import type { Operation, RealmCall } from './operation.ts';
import { type RoleLists, roleListOperations } from './role-lists.ts';

type Kind = 'users' | 'groups';

async function holderOf({ operator, realm }: RealmCall, kind: Kind, id: string): Promise<RoleHolder> {
  return kind === 'users' ? { user: await requireUserById(operator, realm, id) } : { group: await requireGroupById(operator, realm, id) };
}

const keyOf = (holder: RoleHolder): RoleBearer => ('user' in holder ? { user: holder.user.id } : { group: holder.group.id });

const listsOf = (kind: Kind): RoleLists => ({
  key: `${kind}.role-mappings`,
  path: `/realms/{realm}/${kind}/{id}/role-mappings`,
  tag: 'Role mappings',
  view: ['view-users', 'manage-users'],
  manage: ['manage-users'],
  words: {
    all: () => 'Everything that was given',
    list: (roles) => `The ${roles} that were given`,
    available: (roles) => `The ${roles} that were not given`,
    composite: (roles) => `The ${roles} that are had in the end, by other roles and groups, too`,
    add: (roles) => `Give ${roles}; whoever gives them has what they manage`,
    remove: (roles) => `Take ${roles}; without a list, all of them`,
  },
  holderOf: async (call, id) => keyOf(await holderOf(call, kind, id)),
  inTheEnd: async (call, id, owner) => heldRoles(call.operator.db.knex, call.realm.id, keyOf(await holderOf(call, kind, id)), owner),
  async add(call, id, roles) {
    await requireGrantable(call, roles);
    await giveRolesTo(call.operator, call.realm, await holderOf(call, kind, id), roles);
  },
  async remove(call, id, roles) {
    const holder = await holderOf(call, kind, id);
    if ('user' in holder) await requireNoMore(call, holder.user);
    await requireTakeable(call, roles);
    await takeRolesOf(call.operator, call.realm, holder, roles);
  },
});

export const roleMappingOperations: readonly Operation[] = (['users', 'groups'] as const).flatMap((kind) => roleListOperations(listsOf(kind)));
