/** Roles of users and of groups over REST: what they were given, what could be given, and what they have in the end. */
import { z } from 'zod';
import { availableRoles, directRoles, heldRoles, type RoleBearer, type ShownRole } from '../../store/role-lists.ts';
import { requireGroupById } from '../resources/group-changes.ts';
import { giveRolesTo, type RoleHolder, rolesMeant, takeRolesOf } from '../resources/role-changes.ts';
import { requireUserById } from '../resources/user-changes.ts';
import { requireGrantable, requireNoMore, requireTakeable } from './grantable.ts';
import { flag, id, inRealm, type Operation, type RealmCall } from './operation.ts';
import { clientOfRealm } from './role-clients.ts';
import { representedRole, roleRepresentation, rolesIn } from './role-representation.ts';

type Kind = 'users' | 'groups';

const VIEW = ['view-users', 'manage-users'] as const;
const MANAGE = ['manage-users'] as const;

const roleList = z.array(roleRepresentation);
/** Keycloak's MappingsRepresentation. */
export const mappings = z.object({
  realmMappings: roleList.optional(),
  clientMappings: z.record(z.string(), z.object({ id: z.string(), client: z.string(), mappings: roleList })).optional(),
});

interface Params {
  id: string;
  client?: string | undefined;
}

async function holderOf({ operator, realm }: RealmCall, kind: Kind, { id: holder }: Params): Promise<RoleHolder> {
  return kind === 'users' ? { user: await requireUserById(operator, realm, holder) } : { group: await requireGroupById(operator, realm, holder) };
}

const keyOf = (holder: RoleHolder): RoleBearer => ('user' in holder ? { user: holder.user.id } : { group: holder.group.id });

/** The row id of the client in a path; null where the path is about the realm's roles. */
const ownerOf = async ({ operator, realm }: RealmCall, { client }: Params): Promise<string | null> =>
  client === undefined ? null : (await clientOfRealm(operator, realm, client)).id;

const shown = (roles: readonly ShownRole[], brief = true) => roles.map((role) => representedRole(role, brief));

/** Roles of the realm and of its clients, each for itself. */
export function givenMappings(roles: readonly ShownRole[]): z.output<typeof mappings> {
  const ofClients = Map.groupBy(
    roles.filter(({ client }) => client !== null),
    ({ client }) => client ?? '',
  );
  const ofRealm = roles.filter(({ client }) => client === null);
  const byClient = [...ofClients].map(([client, mine]) => [client, { id: mine[0]?.clientId ?? '', client, mappings: shown(mine) }] as const);
  return {
    ...(ofRealm.length > 0 ? { realmMappings: shown(ofRealm) } : {}),
    ...(byClient.length > 0 ? { clientMappings: Object.fromEntries(byClient) } : {}),
  };
}

function all(kind: Kind): Operation {
  return inRealm({
    id: `${kind}.role-mappings`,
    method: 'GET',
    path: `/realms/{realm}/${kind}/{id}/role-mappings`,
    tag: 'Role mappings',
    summary: 'Everything that was given',
    roles: VIEW,
    status: 200,
    params: { id },
    answer: mappings,
    async run(call, { params }) {
      const holder = keyOf(await holderOf(call, kind, params));
      return { body: givenMappings(await directRoles(call.operator.db.knex, call.realm.id, holder, undefined)) };
    },
  });
}

function about(kind: Kind, what: 'realm' | 'client'): readonly Operation[] {
  const path = `/realms/{realm}/${kind}/{id}/role-mappings/${what === 'realm' ? 'realm' : 'clients/{client}'}`;
  const key = `${kind}.role-mappings.${what}`;
  const of = what === 'realm' ? 'realm roles' : 'roles of a client';
  const common = { tag: 'Role mappings', params: { id, client: id.optional() } };
  return [
    inRealm({
      ...common,
      id: `${key}.list`,
      method: 'GET',
      path,
      summary: `The ${of} that were given`,
      roles: VIEW,
      status: 200,
      answer: roleList,
      async run(call, { params }) {
        const holder = keyOf(await holderOf(call, kind, params));
        return { body: shown(await directRoles(call.operator.db.knex, call.realm.id, holder, await ownerOf(call, params))) };
      },
    }),
    inRealm({
      ...common,
      id: `${key}.available`,
      method: 'GET',
      path: `${path}/available`,
      summary: `The ${of} that were not given`,
      roles: VIEW,
      status: 200,
      answer: roleList,
      async run(call, { params }) {
        const holder = keyOf(await holderOf(call, kind, params));
        return { body: shown(await availableRoles(call.operator.db.knex, call.realm.id, holder, await ownerOf(call, params))) };
      },
    }),
    inRealm({
      ...common,
      id: `${key}.composite`,
      method: 'GET',
      path: `${path}/composite`,
      summary: `The ${of} that are had in the end, by other roles and groups, too`,
      roles: VIEW,
      status: 200,
      query: { briefRepresentation: flag },
      answer: roleList,
      async run(call, { params, query }) {
        const holder = keyOf(await holderOf(call, kind, params));
        const roles = await heldRoles(call.operator.db.knex, call.realm.id, holder, await ownerOf(call, params));
        return { body: shown(roles, query.briefRepresentation !== false) };
      },
    }),
    inRealm({
      ...common,
      id: `${key}.add`,
      method: 'POST',
      path,
      summary: `Give ${of}; whoever gives them has what they manage`,
      roles: MANAGE,
      status: 204,
      body: rolesIn,
      async run(call, { params, body }) {
        const holder = await holderOf(call, kind, params);
        const roles = await rolesMeant(call.operator, call.realm, await ownerOf(call, params), body);
        await requireGrantable(call, roles);
        await giveRolesTo(call.operator, call.realm, holder, roles);
        return {};
      },
    }),
    inRealm({
      ...common,
      id: `${key}.remove`,
      method: 'DELETE',
      path,
      summary: `Take ${of}; without a list, all of them`,
      roles: MANAGE,
      status: 204,
      body: rolesIn.nullish(),
      async run(call, { params, body }) {
        const { operator, realm } = call;
        const holder = await holderOf(call, kind, params);
        if ('user' in holder) await requireNoMore(call, holder.user);
        const owner = await ownerOf(call, params);
        const roles =
          body == null ? await directRoles(operator.db.knex, realm.id, keyOf(holder), owner) : await rolesMeant(operator, realm, owner, body);
        await requireTakeable(call, roles);
        await takeRolesOf(operator, realm, holder, roles);
        return {};
      },
    }),
  ];
}

export const roleMappingOperations: readonly Operation[] = (['users', 'groups'] as const).flatMap((kind) => [
  all(kind),
  ...about(kind, 'realm'),
  ...about(kind, 'client'),
]);
