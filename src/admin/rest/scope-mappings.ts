/** Scope mappings over REST: which roles the tokens of clients without the full scope may name. */
import type { RoleScope } from '../../store/effective-roles.ts';
import { rolesOfScope } from '../../store/role-lists.ts';
import { requireClientById } from '../resources/client-changes.ts';
import { mapRoles, unmapRoles } from '../resources/scope-mappings.ts';
import { requireGrantable } from './grantable.ts';
import type { Operation, RealmCall } from './operation.ts';
import { type RoleLists, roleListOperations } from './role-lists.ts';
import { MANAGE, type ParentKind, parentOf, VIEW } from './token-parents.ts';

/** What lets roles pass, by itself; undefined for a client that is told of all. */
async function scopeOf(call: RealmCall, kind: ParentKind, id: string): Promise<RoleScope | undefined> {
  if (kind === 'clients') {
    const client = await requireClientById(call.operator, call.realm, id);
    return client.fullScope ? undefined : { clientId: client.id, scopes: [] };
  }
  const { named } = await parentOf(call, kind, id, 'view');
  // No client has this id.
  return { clientId: '', scopes: 'scope' in named ? [named.scope] : [] };
}

const listsOf = (kind: ParentKind): RoleLists => ({
  key: `${kind}.scope-mappings`,
  path: `/realms/{realm}/${kind}/{id}/scope-mappings`,
  tag: 'Scope mappings',
  view: VIEW,
  manage: MANAGE,
  words: {
    all: () => 'Every role that is mapped',
    list: (roles) => `The ${roles} that are mapped`,
    available: (roles) => `The ${roles} that are not mapped`,
    composite: (roles) => `The ${roles} that tokens may name by it in the end, by other roles, too`,
    add: (roles) => `Map ${roles}; whoever maps them has what they manage`,
    remove: (roles) => `Take ${roles} away; without a list, all of them`,
  },
  holderOf: async (call, id) => (await parentOf(call, kind, id, 'view')).at,
  inTheEnd: async (call, id, owner) => rolesOfScope(call.operator.db.knex, call.realm.id, await scopeOf(call, kind, id), owner),
  async add(call, id, roles) {
    const parent = await parentOf(call, kind, id, 'manage');
    await requireGrantable(call, roles);
    await mapRoles(call.operator, call.realm, parent, roles);
  },
  async remove(call, id, roles) {
    await unmapRoles(call.operator, call.realm, await parentOf(call, kind, id, 'manage'), roles);
  },
});

export const scopeMappingOperations: readonly Operation[] = (['clients', 'client-scopes'] as const).flatMap((kind) =>
  roleListOperations(listsOf(kind)),
);
