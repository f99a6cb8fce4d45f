/** A realm written down, as Keycloak's partial export: its settings, and where it is asked for its clients, groups and roles. Secrets are masked. */
import { z } from 'zod';
import { findClients } from '../../store/client-changes.ts';
import { findGroups, type ShownGroup } from '../../store/group-lists.ts';
import { containedInRoles, givenToGroups, type RoleWithin, rolesOfRealm } from '../../store/realm-export.ts';
import { realmRoleId } from '../../store/roles.ts';
import { defaultRoleName } from '../resources/realm-defaults.ts';
import { clientRepresentation } from './client-representation.ts';
import { representedClients } from './clients.ts';
import { flag, inRealm, type Operation, type RealmCall } from './operation.ts';
import { realmRepresentation, representedRealm, stateOf } from './realm-representation.ts';
import { representedRole, roleRepresentation } from './role-representation.ts';

/** More than anybody reads; what a realm has beyond it is exported by its own lists, page by page. */
const MOST = 10_000;
const everything = { first: 0, max: MOST };

const names = z.object({ realmRoles: z.array(z.string()).optional(), clientRoles: z.record(z.string(), z.array(z.string())).optional() });
const composites = z.object({ realm: z.array(z.string()).optional(), client: z.record(z.string(), z.array(z.string())).optional() });
const exportedRole = roleRepresentation.extend({ composites: composites.optional() });

interface ExportedGroup extends z.output<typeof names> {
  id: string;
  name: string;
  path: string;
  attributes: Record<string, string[]>;
  subGroups: ExportedGroup[];
}
const exportedGroup: z.ZodType<ExportedGroup> = names.extend({
  ...{ id: z.string(), name: z.string(), path: z.string(), attributes: z.record(z.string(), z.array(z.string())) },
  get subGroups() {
    return z.array(exportedGroup);
  },
});

const exportedRealm = realmRepresentation.extend({
  clients: z.array(clientRepresentation).optional(),
  roles: z.object({ realm: z.array(exportedRole), client: z.record(z.string(), z.array(exportedRole)) }).optional(),
  groups: z.array(exportedGroup).optional(),
});

export const partialExportOperations: readonly Operation[] = [
  inRealm({
    id: 'realms.partial-export',
    method: 'POST',
    path: '/realms/{realm}/partial-export',
    tag: 'Realms',
    summary: 'The realm written down, without secrets; with its clients, and with its groups and roles, for whoever may see them',
    roles: ['manage-realm'],
    status: 200,
    query: { exportClients: flag, exportGroupsAndRoles: flag },
    answer: exportedRealm,
    async run(call, { query }) {
      const { operator, realm, access } = call;
      if (query.exportClients === true) access.require('view-clients', 'manage-clients');
      if (query.exportGroupsAndRoles === true) access.require('view-users', 'manage-users');
      const role = await realmRoleId(operator.db.knex, realm.id, defaultRoleName(realm.name));
      return {
        body: {
          ...representedRealm(await stateOf(operator, realm, role)),
          ...(query.exportClients === true ? { clients: await clientsOf(call) } : {}),
          ...(query.exportGroupsAndRoles === true ? await rolesAndGroupsOf(call) : {}),
        },
      };
    },
  }),
];

const clientsOf = async (call: RealmCall) => representedClients(call, await findClients(call.operator.db.knex, call.realm.id, {}, everything));

async function rolesAndGroupsOf({ operator, realm }: RealmCall) {
  const { knex } = operator.db;
  const roles = await rolesOfRealm(knex, realm.id, MOST);
  const contained = Map.groupBy(await containedInRoles(knex, realm.id, MOST), ({ of }) => of);
  const written = (role: (typeof roles)[number]): z.output<typeof exportedRole> => {
    const within = byOwner(contained.get(role.id) ?? []);
    const shown = representedRole(role, false);
    return role.composite ? { ...shown, composites: { realm: within.realmRoles, client: within.clientRoles } } : shown;
  };
  const ofClients = Map.groupBy(
    roles.filter(({ client }) => client !== null),
    ({ client }) => client ?? '',
  );
  return {
    roles: {
      realm: roles.filter(({ client }) => client === null).map(written),
      client: Object.fromEntries([...ofClients].map(([client, own]) => [client, own.map(written)])),
    },
    groups: await groupsOf(operator.db.knex, realm.id),
  };
}

async function groupsOf(knex: RealmCall['operator']['db']['knex'], realmId: string): Promise<ExportedGroup[]> {
  const groups = await findGroups(knex, realmId, {}, everything);
  const given = Map.groupBy(await givenToGroups(knex, realmId, MOST), ({ of }) => of);
  const below = Map.groupBy(groups, ({ parentId }) => parentId);
  const written = (group: ShownGroup): ExportedGroup => ({
    ...{ id: group.id, name: group.name, path: group.path, attributes: group.attributes },
    ...byOwner(given.get(group.id) ?? []),
    subGroups: (below.get(group.id) ?? []).map(written),
  });
  return (below.get(null) ?? []).map(written);
}

/** Names of realm roles, and of those of each client. */
function byOwner(roles: readonly RoleWithin[]): { realmRoles: string[]; clientRoles: Record<string, string[]> } {
  const ofClients = Map.groupBy(
    roles.filter(({ client }) => client !== null),
    ({ client }) => client ?? '',
  );
  return {
    realmRoles: roles.flatMap(({ client, name }) => (client === null ? [name] : [])),
    clientRoles: Object.fromEntries([...ofClients].map(([client, own]) => [client, own.map(({ name }) => name)])),
  };
}
