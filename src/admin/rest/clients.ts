/** Clients over REST: looked for, made, read, changed and deleted, with Keycloak's ClientRepresentation. */
import { z } from 'zod';
import { AppError, badInput, conflict } from '../../errors.ts';
import { findClients, scopesOfClients } from '../../store/client-changes.ts';
import { type ClientRow, FOR_ADMINISTRATION } from '../../store/clients.ts';
import { mappersOfClients } from '../../store/protocol-mappers.ts';
import { changeClient, removeClient, requireClientById } from '../resources/client-changes.ts';
import { insertMappers, replaceMappers, validMappers } from '../resources/client-mappers.ts';
import { secretOf } from '../resources/client-secrets.ts';
import { createClient } from '../resources/clients.ts';
import {
  briefClient,
  briefClientRepresentation,
  type ClientIn,
  type ClientRepresentation,
  clientIn,
  clientRepresentation,
  fieldsOf,
  representedClient,
} from './client-representation.ts';
import { requireYours, requireYoursToDelete, yourClient } from './client-rights.ts';
import { managesEverything } from './grantable.ts';
import { flag, id, inRealm, type Operation, paging, type RealmCall } from './operation.ts';
import { newMapperFields } from './protocol-mapper-representation.ts';
import { requireSayable } from './protocol-mappers.ts';
import { attributesOf } from './users.ts';

const tag = 'Clients';
const path = '/realms/{realm}/clients';
const params = { id };
const VIEW = ['view-clients', 'manage-clients'] as const;
const MANAGE = ['manage-clients'] as const;

/** Keycloak answers all of them unless asked otherwise; this is more than anybody reads. */
const MOST = 10_000;

export const clientOperations: readonly Operation[] = [
  inRealm({
    id: 'clients.list',
    method: 'GET',
    path,
    tag,
    summary: 'Clients, by client_id, without their secrets unless one is asked for by name; whoever may only look for them is told their names',
    roles: ['query-clients', ...VIEW],
    status: 200,
    query: {
      clientId: z.string().max(255).optional(),
      /** Whether `clientId` is a part of it. */
      search: flag,
      viewableOnly: flag,
      q: z.string().max(500).optional(),
      ...paging,
    },
    answer: z.array(z.union([clientRepresentation, briefClientRepresentation])),
    async run(call, { query }) {
      const { operator, realm, access } = call;
      const mayView = access.has(...VIEW);
      if (!mayView && query.viewableOnly === true) return { body: [] };
      const search = { clientId: query.clientId, part: query.search === true, attributes: attributesOf(query.q ?? '') };
      const found = await findClients(operator.db.knex, realm.id, search, { first: query.first ?? 0, max: query.max ?? MOST });
      if (!mayView) return { body: found.map(briefClient) };
      // Who is asked for by name is one, and shown as it is by id: scripts compare it with what they want.
      const [one] = found;
      if (query.clientId !== undefined && query.search !== true && one) return { body: [await representedWithSecret(call, one)] };
      return { body: await representedClients(call, found) };
    },
  }),
  inRealm({
    id: 'clients.create',
    method: 'POST',
    path,
    tag,
    summary: 'Make a client',
    roles: ['create-client', ...MANAGE],
    status: 201,
    body: clientIn,
    run: (call, { body }) => created(call, body),
  }),
  inRealm({
    id: 'clients.read',
    method: 'GET',
    path: `${path}/{id}`,
    tag,
    summary: 'One client, with its secret for whoever may change it',
    roles: VIEW,
    status: 200,
    params,
    answer: clientRepresentation,
    run: async (call, { params }) => ({ body: await representedWithSecret(call, await requireClientById(call.operator, call.realm, params.id)) }),
  }),
  inRealm({
    id: 'clients.update',
    method: 'PUT',
    path: `${path}/{id}`,
    tag,
    summary: 'Change a client; what is not there stays, and scopes are changed by their own operations',
    roles: MANAGE,
    status: 204,
    params,
    body: clientIn,
    async run(call, { params, body }) {
      const { operator, realm } = call;
      const client = await yourClient(call, params.id);
      checkProtocol(body);
      const mappers = await mappersAsked(call, body);
      const limited = !(await managesEverything(call));
      await asInKeycloak(body, () => changeClient(operator, realm, client.id, fieldsOf(body), { limited }));
      if (mappers) await replaceMappers(operator, realm, client, mappers);
      return {};
    },
  }),
  inRealm({
    id: 'clients.delete',
    method: 'DELETE',
    path: `${path}/{id}`,
    tag,
    summary: 'Delete a client with its roles, its service account and all that was issued to it',
    roles: MANAGE,
    status: 204,
    params,
    async run(call, { params }) {
      const client = await requireClientById(call.operator, call.realm, params.id);
      await requireYoursToDelete(call, client);
      await removeClient(call.operator, call.realm, client.id);
      return {};
    },
  }),
];

async function created(call: RealmCall, body: ClientIn) {
  const { operator, realm } = call;
  checkProtocol(body);
  const fields = fieldsOf(body);
  const rowId = body.id == null || body.id === '' ? undefined : body.id;
  const { defaultClientScopes, optionalClientScopes } = body;
  const named = defaultClientScopes != null || optionalClientScopes != null;
  const attributes = { ...fields.attributes, ...((await managesEverything(call)) ? {} : { [FOR_ADMINISTRATION]: 'false' }) };
  const mappers = await mappersAsked(call, body);
  const made = await asInKeycloak(body, () =>
    createClient(
      operator,
      realm,
      {
        ...fields,
        attributes,
        ...(rowId === undefined ? {} : { id: rowId }),
        clientId: fields.clientId ?? rowId ?? crypto.randomUUID(),
        name: fields.name ?? undefined,
        consentRequired: fields.consentRequired ?? false,
        standardFlow: fields.standardFlow ?? true,
        // Keycloak's default for new ones: none, which stands for the redirect URIs.
        postLogoutRedirectUris: fields.postLogoutRedirectUris ?? [],
        ...(named ? { scopes: { defaults: defaultClientScopes ?? [], optional: optionalClientScopes ?? [] } } : {}),
      },
      async (trx, client) => {
        if (mappers) await insertMappers(trx, realm, client, mappers);
      },
    ),
  );
  return { created: made.client.id };
}

/** The mappers that a representation holds, valid and the caller's to give; undefined where it says nothing of them. */
async function mappersAsked(call: RealmCall, { protocolMappers }: ClientIn) {
  if (protocolMappers == null) return undefined;
  const mappers = validMappers(protocolMappers.map(newMapperFields));
  await requireSayable(call, mappers);
  return mappers;
}

/** However many there are, it takes the same number of queries. Secrets are masked: they are read one at a time. */
export async function representedClients({ operator, realm, access }: RealmCall, clients: readonly ClientRow[]): Promise<ClientRepresentation[]> {
  const ids = clients.map((client) => client.id);
  const [scopes, mappers] = await Promise.all([scopesOfClients(operator.db.knex, realm.id, ids), mappersOfClients(operator.db.knex, realm.id, ids)]);
  const manage = access.has(...MANAGE);
  return clients.map((client) =>
    representedClient(client, scopes.get(client.id) ?? { defaults: [], optional: [] }, { manage, mappers: mappers.get(client.id) }),
  );
}

/** One client with its secret, for whoever may have it. */
export async function representedWithSecret(call: RealmCall, client: ClientRow): Promise<ClientRepresentation> {
  const [shown] = await representedClients(call, [client]);
  if (!shown) throw new Error('A client that is there is shown.');
  const secret = (await maySee(call, client)) ? await secretOf(call.operator, client) : null;
  return secret === null ? shown : { ...shown, secret };
}

async function maySee(call: RealmCall, client: ClientRow): Promise<boolean> {
  if (!call.access.has(...MANAGE) || client.secret === null) return false;
  try {
    await requireYours(call, client);
    return true;
  } catch (error) {
    if (error instanceof AppError && error.status === 403) return false;
    throw error;
  }
}

function checkProtocol({ protocol }: ClientIn): void {
  if (protocol === 'saml' || protocol === 'docker-v2')
    throw new AppError({
      code: 'not_implemented',
      status: 501,
      field: 'protocol',
      message: `protocol: ${protocol} is not offered; clients speak openid-connect.`,
    });
  if (protocol != null && protocol !== '' && protocol !== 'openid-connect') throw badInput('protocol', 'protocol: must be openid-connect');
}

/** Fields that the representation calls otherwise. */
const FIELDS: Readonly<Record<string, string>> = {
  serviceAccount: 'serviceAccountsEnabled',
  postLogoutRedirectUris: 'attributes.post.logout.redirect.uris',
};

/** What Keycloak's clients look for in a conflict, and its names of fields. */
async function asInKeycloak<T>({ clientId }: ClientIn, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    if (error.status === 409 && error.field === 'clientId') throw conflict(`Client ${clientId ?? ''} already exists`, 'clientId');
    const named = FIELDS[error.field ?? ''];
    throw named === undefined ? error : badInput(named, `${named}: ${error.message.replace(/^\w+: /, '')}`);
  }
}
