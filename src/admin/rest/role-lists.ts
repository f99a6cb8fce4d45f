/**
 * Lists of roles over REST, of the realm and of clients, that something has: users and groups were given them, to clients
 * and client scopes they are mapped. Keycloak has the same operations below each.
 */
import { z } from 'zod';
import { availableRoles, directRoles, type Holder, type ShownRole } from '../../store/role-lists.ts';
import { rolesMeant } from '../resources/role-changes.ts';
import { flag, id, inRealm, type ManagementRole, type Operation, type RealmCall } from './operation.ts';
import { clientOfRealm } from './role-clients.ts';
import { representedRole, roleRepresentation, rolesIn } from './role-representation.ts';

/** One kind of thing that has roles. */
export interface RoleLists {
  /** Such as `users.role-mappings`. */
  key: string;
  /** Such as `/realms/{realm}/users/{id}/role-mappings`. */
  path: string;
  tag: string;
  view: readonly ManagementRole[];
  manage: readonly ManagementRole[];
  /** What the operations do, of which `roles` stands in the middle. */
  words: Record<'all' | 'list' | 'available' | 'composite' | 'add' | 'remove', (roles: string) => string>;
  /** What has them, or a 404. */
  holderOf(call: RealmCall, id: string): Promise<Holder>;
  /** What it comes to in the end, of one owner. */
  inTheEnd(call: RealmCall, id: string, owner: string | null): Promise<ShownRole[]>;
  /** Refuses first what the caller may not do. */
  add(call: RealmCall, id: string, roles: readonly ShownRole[]): Promise<void>;
  remove(call: RealmCall, id: string, roles: readonly ShownRole[]): Promise<void>;
}

const roleList = z.array(roleRepresentation);
/** Keycloak's MappingsRepresentation. */
const mappings = z.object({
  realmMappings: roleList.optional(),
  clientMappings: z.record(z.string(), z.object({ id: z.string(), client: z.string(), mappings: roleList })).optional(),
});

/** The row id of the client in a path; null where the path is about the realm's roles. */
const ownerOf = async ({ operator, realm }: RealmCall, { client }: { client?: string | undefined }): Promise<string | null> =>
  client === undefined ? null : (await clientOfRealm(operator, realm, client)).id;

const shown = (roles: readonly ShownRole[], brief = true) => roles.map((role) => representedRole(role, brief));

/** Roles of the realm and of its clients, each for itself. */
function grouped(roles: readonly ShownRole[]): z.output<typeof mappings> {
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

export const roleListOperations = (lists: RoleLists): readonly Operation[] => [all(lists), ...about(lists, 'realm'), ...about(lists, 'client')];

function all({ key, path, tag, view, words, holderOf }: RoleLists): Operation {
  return inRealm({
    id: key,
    method: 'GET',
    path,
    tag,
    summary: words.all('role'),
    roles: view,
    status: 200,
    params: { id },
    answer: mappings,
    async run(call, { params }) {
      const holder = await holderOf(call, params.id);
      return { body: grouped(await directRoles(call.operator.db.knex, call.realm.id, holder, undefined)) };
    },
  });
}

function about(lists: RoleLists, what: 'realm' | 'client'): readonly Operation[] {
  const { tag, view, manage, words, holderOf } = lists;
  const path = `${lists.path}/${what === 'realm' ? 'realm' : 'clients/{client}'}`;
  const key = `${lists.key}.${what}`;
  const of = what === 'realm' ? 'realm roles' : 'roles of a client';
  const common = { tag, params: { id, client: id.optional() } };
  const reads = { ...common, method: 'GET', roles: view, status: 200, answer: roleList } as const;
  return [
    inRealm({
      ...reads,
      id: `${key}.list`,
      path,
      summary: words.list(of),
      async run(call, { params }) {
        const holder = await holderOf(call, params.id);
        return { body: shown(await directRoles(call.operator.db.knex, call.realm.id, holder, await ownerOf(call, params))) };
      },
    }),
    inRealm({
      ...reads,
      id: `${key}.available`,
      path: `${path}/available`,
      summary: words.available(of),
      async run(call, { params }) {
        const holder = await holderOf(call, params.id);
        return { body: shown(await availableRoles(call.operator.db.knex, call.realm.id, holder, await ownerOf(call, params))) };
      },
    }),
    inRealm({
      ...reads,
      id: `${key}.composite`,
      path: `${path}/composite`,
      summary: words.composite(of),
      query: { briefRepresentation: flag },
      async run(call, { params, query }) {
        return { body: shown(await lists.inTheEnd(call, params.id, await ownerOf(call, params)), query.briefRepresentation !== false) };
      },
    }),
    inRealm({
      ...common,
      id: `${key}.add`,
      method: 'POST',
      path,
      summary: words.add(of),
      roles: manage,
      status: 204,
      body: rolesIn,
      async run(call, { params, body }) {
        await holderOf(call, params.id);
        await lists.add(call, params.id, await rolesMeant(call.operator, call.realm, await ownerOf(call, params), body));
        return {};
      },
    }),
    inRealm({
      ...common,
      id: `${key}.remove`,
      method: 'DELETE',
      path,
      summary: words.remove(of),
      roles: manage,
      status: 204,
      body: rolesIn.nullish(),
      async run(call, { params, body }) {
        const { operator, realm } = call;
        const holder = await holderOf(call, params.id);
        const owner = await ownerOf(call, params);
        const roles = body == null ? await directRoles(operator.db.knex, realm.id, holder, owner) : await rolesMeant(operator, realm, owner, body);
        await lists.remove(call, params.id, roles);
        return {};
      },
    }),
  ];
}
