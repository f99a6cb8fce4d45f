/**
 * Users, groups, clients, roles and identity providers out of a realm's representation, as Keycloak's partial import. Each
 * goes through the operation that makes or changes one by itself, with its schema and its rights: whoever imports gains
 * nothing that they could not make one by one.
 *
 * With FAIL nothing is begun when anything is there already. Past that each resource is a transaction of its own, and the
 * answer says what became of it.
 */
import { z } from 'zod';
import { AppError, badInput, conflict, notOffered } from '../../errors.ts';
import { inRealm, type Method, type Operation, type RealmCall } from './operation.ts';
import { operations } from './operations.ts';

const MOST = 5_000;
const POLICIES = ['FAIL', 'SKIP', 'OVERWRITE'] as const;
const MASKED = '**********';

const thing = z.looseObject({});
type Thing = z.output<typeof thing>;
const things = z.array(thing).max(MOST).nullish();

/** What is taken of a realm's representation besides its settings. */
export const importable = {
  users: things,
  groups: things,
  clients: things,
  identityProviders: things,
  identityProviderMappers: z.unknown().optional(),
  roles: z.object({ realm: things, client: z.record(z.string().max(255), things).nullish() }).nullish(),
};
export type Importable = z.output<z.ZodObject<typeof importable>>;

const importIn = z.object({ ...importable, ifResourceExists: z.enum(POLICIES).nullish(), policy: z.enum(POLICIES).nullish() });

const result = z.object({ action: z.enum(['ADDED', 'OVERWRITTEN', 'SKIPPED']), resourceType: z.string(), resourceName: z.string(), id: z.string() });
type Result = z.output<typeof result>;

export const partialImportOperations: readonly Operation[] = [
  inRealm({
    id: 'realms.partial-import',
    method: 'POST',
    path: '/realms/{realm}/partialImport',
    tag: 'Realms',
    summary: 'Make many users, groups, clients, roles and identity providers; what is there already is refused, skipped or changed',
    roles: ['manage-realm'],
    status: 200,
    maxBodyKiB: 16_384,
    body: importIn,
    answer: z.object({ overwritten: z.number().int(), added: z.number().int(), skipped: z.number().int(), results: z.array(result) }),
    async run(call, { body }) {
      const results = await importInto(call, body, body.ifResourceExists ?? body.policy ?? 'FAIL');
      const count = (action: Result['action']): number => results.filter((one) => one.action === action).length;
      return { body: { overwritten: count('OVERWRITTEN'), added: count('ADDED'), skipped: count('SKIPPED'), results } };
    },
  }),
];

/** @throws AppError 409 for `FAIL` when anything is there already, and whatever the operations throw */
export async function importInto(call: RealmCall, body: Importable, policy: (typeof POLICIES)[number]): Promise<Result[]> {
  const found: { item: Item; id: string | undefined }[] = [];
  for (const item of plannedOf(body)) found.push({ item, id: await item.find(call) });
  const there = found.find(({ id }) => id !== undefined);
  if (policy === 'FAIL' && there) throw conflict(`${there.item.type} '${there.item.name}' already exists`);

  const results: Result[] = [];
  for (const { item, id } of found) {
    const [action, made] = id === undefined ? (['ADDED', await item.make(call)] as const) : await overwritten(call, item, id, policy);
    results.push({ action, resourceType: item.type, resourceName: item.name, id: made });
  }
  for (const { item, id } of found) if (id === undefined || policy === 'OVERWRITE') await item.connect?.(call);
  return results;
}

async function overwritten(call: RealmCall, item: Item, id: string, policy: (typeof POLICIES)[number]): Promise<readonly [Result['action'], string]> {
  if (policy !== 'OVERWRITE') return ['SKIPPED', id];
  await item.change(call, id);
  return ['OVERWRITTEN', id];
}

interface Item {
  type: string;
  name: string;
  /** The id of the one that is there. */
  find(call: RealmCall): Promise<string | undefined>;
  /** @returns its id */
  make(call: RealmCall): Promise<string>;
  change(call: RealmCall, id: string): Promise<unknown>;
  /** Once everything is there: what refers to others. */
  connect?(call: RealmCall): Promise<unknown>;
}

/** In the order in which they stand on each other. */
const plannedOf = ({ roles, groups, clients, identityProviders, users }: Importable): Item[] => [
  ...(clients ?? []).map(clientItem),
  ...(roles?.realm ?? []).map((role) => roleItem(role)),
  ...Object.entries(roles?.client ?? {}).flatMap(([client, own]) => (own ?? []).map((role) => roleItem(role, client))),
  ...(identityProviders ?? []).map(providerItem),
  ...(groups ?? []).map(groupItem),
  ...(users ?? []).map(userItem),
];

const R = '/realms/{realm}';

function userItem(user: Thing): Item {
  const name = nameOf(user, 'username');
  const { credentials, realmRoles, clientRoles, ...profile } = user;
  const find = (call: RealmCall): Promise<string | undefined> => firstId(call, `${R}/users`, { username: name, exact: 'true' });
  return {
    ...{ type: 'USER', name, find },
    make: (call) => perform(call, 'POST', `${R}/users`, { body: { enabled: true, ...profile, credentials } }),
    change: (call, id) => perform(call, 'PUT', `${R}/users/{id}`, { params: { id }, body: profile }),
    connect: async (call) => giveRoles(call, `${R}/users/{id}`, await find(call), { realmRoles, clientRoles }),
  };
}

function clientItem(client: Thing): Item {
  const name = nameOf(client, 'clientId');
  const { secret, ...rest } = client;
  const body = secret === MASKED || secret == null ? rest : client;
  return {
    ...{ type: 'CLIENT', name },
    find: (call) => firstId(call, `${R}/clients`, { clientId: name }),
    make: (call) => perform(call, 'POST', `${R}/clients`, { body }),
    change: (call, id) => perform(call, 'PUT', `${R}/clients/{id}`, { params: { id }, body }),
  };
}

function roleItem(role: Thing, clientId?: string): Item {
  const name = nameOf(role, 'name');
  const { composites, ...plain } = role;
  const path = clientId === undefined ? `${R}/roles` : `${R}/clients/{id}/roles`;
  const params = async (call: RealmCall) => (clientId === undefined ? {} : { id: await clientNamed(call, clientId) });
  return {
    ...{ type: clientId === undefined ? 'REALM_ROLE' : 'CLIENT_ROLE', name: clientId === undefined ? name : `${clientId}-->${name}` },
    async find(call) {
      // A client of the same import is not there yet, and so none of its roles.
      const client = clientId === undefined ? undefined : await firstId(call, `${R}/clients`, { clientId });
      if (clientId !== undefined && client === undefined) return undefined;
      return idOf(await reading(call, `${path}/{name}`, { ...(client === undefined ? {} : { id: client }), name }));
    },
    async make(call) {
      await perform(call, 'POST', path, { params: await params(call), body: plain });
      return idOf(await reading(call, `${path}/{name}`, { ...(await params(call)), name })) ?? '';
    },
    change: async (call) => perform(call, 'PUT', `${path}/{name}`, { params: { ...(await params(call)), name }, body: plain }),
    async connect(call) {
      const { realm, client } = z
        .object({ realm: z.unknown(), client: z.unknown() })
        .partial()
        .parse(composites ?? {});
      const body = await rolesNamed(call, { realmRoles: realm, clientRoles: client });
      if (body.length > 0) await perform(call, 'POST', `${path}/{name}/composites`, { params: { ...(await params(call)), name }, body });
    },
  };
}

function groupItem(group: Thing): Item {
  const name = nameOf(group, 'name');
  return {
    ...{ type: 'GROUP', name },
    find: (call) => groupAt(call, name),
    make: async (call) => makeGroups(call, group, undefined, ''),
    change: async (call) => makeGroups(call, group, undefined, ''),
    connect: (call) => giveToGroups(call, group, ''),
  };
}

const groupAt = async (call: RealmCall, path: string): Promise<string | undefined> =>
  idOf(await reading(call, `${R}/group-by-path/{path...}`, { path }));

/** A group with those below it: what is there is changed, and the rest made. */
async function makeGroups(call: RealmCall, group: Thing, parent: string | undefined, above: string): Promise<string> {
  const { subGroups, id: _id, ...plain } = group;
  const path = `${above}${nameOf(group, 'name')}`;
  let id = await groupAt(call, path);
  if (id === undefined && parent === undefined) id = await perform(call, 'POST', `${R}/groups`, { body: plain });
  else if (id === undefined) id = await perform(call, 'POST', `${R}/groups/{id}/children`, { params: { id: parent }, body: plain });
  else await perform(call, 'PUT', `${R}/groups/{id}`, { params: { id }, body: plain });
  for (const child of below(subGroups)) await makeGroups(call, child, id, `${path}/`);
  return id;
}

async function giveToGroups(call: RealmCall, group: Thing, above: string): Promise<void> {
  const path = `${above}${nameOf(group, 'name')}`;
  await giveRoles(call, `${R}/groups/{id}`, await groupAt(call, path), group);
  for (const child of below(group.subGroups)) await giveToGroups(call, child, `${path}/`);
}

const below = (subGroups: unknown): Thing[] => z.array(thing).max(MOST).nullish().parse(subGroups) ?? [];

function providerItem(provider: Thing): Item {
  const alias = nameOf(provider, 'alias');
  const path = `${R}/identity-provider/instances`;
  return {
    ...{ type: 'IDP', name: alias },
    find: async (call) => idOf(await reading(call, `${path}/{alias}`, { alias }), 'internalId'),
    make: (call) => perform(call, 'POST', path, { body: provider }),
    change: (call) => perform(call, 'PUT', `${path}/{alias}`, { params: { alias }, body: provider }),
  };
}

const namesIn = z.array(z.string().max(255)).max(1_000).nullish();
const namesByClient = z.record(z.string().max(255), namesIn).nullish();

interface NamedRoles {
  realmRoles?: unknown;
  clientRoles?: unknown;
}

/** Roles by their names, as others refer to them. */
async function rolesNamed(call: RealmCall, named: NamedRoles, of?: string): Promise<{ id: string; name: string }[]> {
  const found: { id: string; name: string }[] = [];
  const add = async (path: string, params: Thing, name: string): Promise<void> => {
    const id = idOf(await reading(call, path, { ...params, name }));
    if (id === undefined) throw badInput('roles', `roles: there is no role "${name}"`);
    found.push({ id, name });
  };
  if (of === undefined || of === 'realm') for (const name of namesIn.parse(named.realmRoles) ?? []) await add(`${R}/roles/{name}`, {}, name);
  for (const [clientId, names] of Object.entries(namesByClient.parse(named.clientRoles) ?? {})) {
    if (of !== undefined && of !== clientId) continue;
    const id = await clientNamed(call, clientId);
    for (const name of names ?? []) await add(`${R}/clients/{id}/roles/{name}`, { id }, name);
  }
  return found;
}

async function giveRoles(call: RealmCall, holder: string, id: string | undefined, named: NamedRoles): Promise<void> {
  if (id === undefined) return;
  const ofRealm = await rolesNamed(call, named, 'realm');
  if (ofRealm.length > 0) await perform(call, 'POST', `${holder}/role-mappings/realm`, { params: { id }, body: ofRealm });
  for (const clientId of Object.keys(namesByClient.parse(named.clientRoles) ?? {})) {
    const body = await rolesNamed(call, named, clientId);
    const params = { id, client: await clientNamed(call, clientId) };
    if (body.length > 0) await perform(call, 'POST', `${holder}/role-mappings/clients/{client}`, { params, body });
  }
}

async function clientNamed(call: RealmCall, clientId: string): Promise<string> {
  const id = await firstId(call, `${R}/clients`, { clientId });
  if (id === undefined) throw badInput('roles', `roles: there is no client "${clientId}"`);
  return id;
}

function nameOf(one: Thing, field: string): string {
  const name = one[field];
  if (typeof name !== 'string' || name === '') throw badInput(field, `${field}: is needed of everything that is imported`);
  return name;
}

interface Input {
  params?: Thing;
  query?: Thing;
  body?: unknown;
}

/** Runs another operation as the same caller. @returns the end of its Location: the id of what was made */
async function perform(call: RealmCall, method: Method, path: string, input: Input): Promise<string> {
  const { created = '' } = await run(call, method, path, input);
  return created.split('/').at(-1) ?? '';
}

/** What is there; undefined for a 404. */
async function reading(call: RealmCall, path: string, params: Thing): Promise<unknown> {
  try {
    return (await run(call, 'GET', path, { params })).body;
  } catch (error) {
    if (error instanceof AppError && error.status === 404) return undefined;
    throw error;
  }
}

const withId = z.looseObject({ id: z.string().optional(), internalId: z.string().optional() });

const idOf = (body: unknown, name: 'id' | 'internalId' = 'id'): string | undefined => withId.optional().parse(body)?.[name];

/** The first of a list. */
async function firstId(call: RealmCall, path: string, query: Thing): Promise<string | undefined> {
  const { body } = await run(call, 'GET', path, { query });
  return idOf(z.array(z.unknown()).parse(body)[0]);
}

function run(call: RealmCall, method: Method, path: string, { params = {}, query = {}, body }: Input) {
  const operation = operations.find((one) => one.method === method && one.path === path);
  if (!operation) throw notOffered(`Nothing of that kind is kept here: ${path.split('/')[3] ?? path}.`);
  if (operation.roles.length > 0) call.access.require(...operation.roles);
  return operation.run(call, {
    params: parsed(operation.params, params),
    query: parsed(operation.query, query),
    body: operation.body && parsed(operation.body, body),
  });
}

function parsed(schema: z.ZodType, value: unknown): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = issue?.path.join('.') ?? '';
  throw badInput(field, `${field}: ${issue?.message ?? 'is not valid'}`);
}
