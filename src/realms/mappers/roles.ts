/** Mappers of roles: which ones tokens name, by what names, and where. */
import type { EffectiveRole } from '../../store/effective-roles.ts';
import { claimPath, claimProblem, inJson } from './claim.ts';
import { CLAIM_NAME, type Claim, type Config, type Facts, JSON_TYPE, type MapperType, MULTIVALUED, type Problem, text, type Use } from './mapper.ts';

/** Names of roles. */
export interface Roles {
  realm: readonly string[];
  /** By client_id. */
  clients: ReadonlyMap<string, readonly string[]>;
}

export const NO_ROLES: Roles = { realm: [], clients: new Map() };

export function rolesOf(effective: readonly EffectiveRole[]): Roles {
  const clients = new Map<string, string[]>();
  for (const { client, name } of effective) if (client !== null) clients.set(client, [...(clients.get(client) ?? []), name]);
  return { realm: effective.filter(({ client }) => client === null).map(({ name }) => name), clients };
}

const EVERYWHERE: readonly Use[] = ['access', 'id', 'userinfo', 'introspection'];

/** `role`, or `client.role`: the last dot parts them. */
export function roleNamed(name: string): { client: string | null; name: string } {
  const dot = name.lastIndexOf('.');
  return dot < 0 ? { client: null, name } : { client: name.slice(0, dot), name: name.slice(dot + 1) };
}

function withRole(roles: Roles, { client, name }: { client: string | null; name: string }): Roles {
  const added = (names: readonly string[] = []): readonly string[] => [...new Set([...names, name])];
  return client === null
    ? { ...roles, realm: added(roles.realm) }
    : { ...roles, clients: new Map([...roles.clients, [client, added(roles.clients.get(client))]]) };
}

function withoutRole(roles: Roles, { client, name }: { client: string | null; name: string }): Roles | undefined {
  const names = client === null ? roles.realm : roles.clients.get(client);
  if (!names?.includes(name)) return undefined;
  const left = names.filter((one) => one !== name);
  return client === null ? { ...roles, realm: left } : { ...roles, clients: new Map([...roles.clients, [client, left]]) };
}

function roleProblem(config: Config, field: string): Problem | undefined {
  const { client, name } = roleNamed(config[field] ?? '');
  return name === '' || client === '' ? { field, message: 'must be a role, or a client_id, a dot and a role of that client' } : undefined;
}

const roleName: MapperType = {
  id: 'oidc-role-name-mapper',
  name: 'Role Name Mapper',
  category: 'Role mapper',
  help: 'Names a role otherwise in tokens.',
  uses: [],
  properties: [
    text('role', 'Role', 'The role, with its client before a dot where it is a client’s.', { type: 'Role', required: true }),
    text('new.role.name', 'New Role Name', 'What tokens call it: a name, or a client_id, a dot and a name.', { required: true }),
  ],
  check: (config) => roleProblem(config, 'role') ?? roleProblem(config, 'new.role.name'),
  roles(config, roles) {
    const left = withoutRole(roles, roleNamed(config.role ?? ''));
    const { client } = roleNamed(config.role ?? '');
    const renamed = config['new.role.name'] ?? '';
    // A new name without a client stays with the client of the old one, as in Keycloak.
    return left ? withRole(left, renamed.includes('.') ? roleNamed(renamed) : { client, name: renamed }) : roles;
  },
};

const hardcodedRole: MapperType = {
  id: 'oidc-hardcoded-role-mapper',
  name: 'Hardcoded Role',
  category: 'Role mapper',
  help: 'Adds a role to every token.',
  uses: [],
  properties: [text('role', 'Role', 'The role, with its client before a dot where it is a client’s.', { type: 'Role', required: true })],
  check: (config) => roleProblem(config, 'role'),
  roles: (config, roles) => withRole(roles, roleNamed(config.role ?? '')),
};

/** Roles as one claim: a list, and where only one is wanted the first. */
function named(config: Config, names: readonly string[], prefix: string | undefined): unknown {
  const all = [...names].sort().flatMap((name) => inJson(`${prefix ?? ''}${name}`, config['jsonType.label']) ?? []);
  return config.multivalued === 'false' ? all[0] : all;
}

const realmRoles: MapperType = {
  id: 'oidc-usermodel-realm-role-mapper',
  name: 'User Realm Role',
  category: 'Token mapper',
  help: 'Maps the user’s realm roles to a claim.',
  uses: EVERYWHERE,
  properties: [
    text('usermodel.realmRoleMapping.rolePrefix', 'Realm Role prefix', 'Put before each name.'),
    { ...MULTIVALUED, defaultValue: 'true' },
    CLAIM_NAME,
    JSON_TYPE,
  ],
  needs: () => ['roles'],
  check: (config) => claimProblem(config, ['realm_access']),
  claims(config, { roles }) {
    const value = roles.realm.length === 0 ? undefined : named(config, roles.realm, config['usermodel.realmRoleMapping.rolePrefix']);
    return value === undefined ? [] : [{ path: claimPath(config['claim.name'] ?? ''), value }];
  },
};

// biome-ignore lint/suspicious/noTemplateCurlyInString: Keycloak's word for it in configs
const CLIENT = '${client_id}';
/** Where roles of every client stand by default. */
export const ROLES_OF_CLIENTS = `resource_access.${CLIENT}.roles`;

const clientRoles: MapperType = {
  id: 'oidc-usermodel-client-role-mapper',
  name: 'User Client Role',
  category: 'Token mapper',
  help: 'Maps the user’s roles of a client, or of each client, to a claim.',
  uses: EVERYWHERE,
  properties: [
    text('usermodel.clientRoleMapping.clientId', 'Client ID', 'The client whose roles they are; without, every client.', { type: 'ClientList' }),
    text('usermodel.clientRoleMapping.rolePrefix', 'Client Role prefix', 'Put before each name.'),
    { ...MULTIVALUED, defaultValue: 'true' },
    { ...CLAIM_NAME, defaultValue: ROLES_OF_CLIENTS },
    JSON_TYPE,
  ],
  needs: () => ['roles'],
  check: (config) => claimProblem(config, ['resource_access']) ?? clientProblem(config),
  claims: (config, facts) => ofClients(config, facts),
};

/** Roles of one client are not shown as those of another. */
function clientProblem(config: Config): Problem | undefined {
  const [first, client] = claimPath(config['claim.name'] ?? '');
  if (first !== 'resource_access' || client === CLIENT || (client !== undefined && client === config['usermodel.clientRoleMapping.clientId']))
    return undefined;
  return { field: 'claim.name', message: `below resource_access has to be ${CLIENT}, or the client whose roles they are` };
}

function ofClients(config: Config, { roles }: Facts): readonly Claim[] {
  const only = config['usermodel.clientRoleMapping.clientId'];
  const path = claimPath(config['claim.name'] ?? '');
  return [...roles.clients].flatMap(([client, names]) => {
    if ((only && client !== only) || names.length === 0) return [];
    const value = named(config, names, config['usermodel.clientRoleMapping.rolePrefix']);
    return value === undefined ? [] : [{ path: path.map((segment) => segment.replaceAll(CLIENT, () => client)), value }];
  });
}

/** In the order in which they change what the ones behind them see: renamed, then added, then named. */
export const roleMappers: readonly MapperType[] = [roleName, hardcodedRole, realmRoles, clientRoles];
