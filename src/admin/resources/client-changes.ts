/** Clients as whoever administers looks for them, changes and deletes them. */
import { isDeepStrictEqual } from 'node:util';
import type { z } from 'zod';
import type { AuditEvent } from '../../audit/event.ts';
import { randomToken } from '../../crypto/codes.ts';
import { badInput, conflict, notFound } from '../../errors.ts';
import { clientById, deleteClient, endGrantsOfClient, replaceClient } from '../../store/client-changes.ts';
import { orderLogo } from '../../store/client-logos.ts';
import { type ClientRow, clientByClientId, clientSeal, FOR_ADMINISTRATION } from '../../store/clients.ts';
import { isUniqueViolation } from '../../store/database.ts';
import type { KeptOfClient } from '../../store/kept-of-client.ts';
import type { RealmRow } from '../../store/realms.ts';
import type { Transaction } from '../../store/rows.ts';
import { deleteUser, updateUser } from '../../store/user-changes.ts';
import { serviceAccountUser } from '../../store/users.ts';
import { checkAuthentication } from './client-authentication.ts';
import { type ClientFields, checkAddresses, checkAttributes, checkName, clientFields, mergedAttributes } from './client-input.ts';
import { newServiceAccount, serviceAccountName } from './clients.ts';
import { audit, type Operator, validated } from './context.ts';
import { defaultClients } from './realm-defaults.ts';

/** The client of that row id, or a 404. */
export async function requireClientById({ db }: Pick<Operator, 'db'>, realm: RealmRow, id: string): Promise<ClientRow> {
  const client = await clientById(db.knex, realm.id, id);
  if (!client) throw notFound('Could not find client');
  return client;
}

/** The client of that client_id, or a 404. */
export async function requireClientNamed({ db }: Pick<Operator, 'db'>, realm: RealmRow, clientId: string): Promise<ClientRow> {
  const client = await clientByClientId(db.knex, realm.id, clientId);
  if (!client) throw notFound(`There is no client "${clientId}" in realm "${realm.name}".`);
  return client;
}

/** Clients that a realm comes with: what manages it, and our own consoles. */
export const isBuiltIn = (realm: RealmRow, { clientId }: Pick<ClientRow, 'clientId'>): boolean =>
  (realm.name === 'master' && clientId.endsWith('-realm')) || defaultClients(realm.name).some((one) => one.clientId === clientId);

/** Of a client, with what goes with it in the same transaction; undefined for nothing to do. */
export type Rewritten = { after: ClientRow; events: readonly AuditEvent[]; also?: (trx: Transaction) => Promise<void> } | undefined;

/** Two changes of one client at once are rare, and more than a few are a fault. */
const TRIES = 5;

/**
 * Changes a client as it is right now: what `rewrite` makes of it is written unless somebody else was faster, and then made
 * anew from what they left. `updatedAt` only ever grows, for caches compare it.
 */
export async function rewriteClient(
  operator: Operator,
  realm: RealmRow,
  id: string,
  rewrite: (before: ClientRow) => Promise<Rewritten>,
): Promise<ClientRow> {
  const { db, now } = operator;
  for (let tries = 0; tries < TRIES; tries += 1) {
    const before = await requireClientById(operator, realm, id);
    const made = await rewrite(before);
    if (!made) return before;
    const after = { ...made.after, updatedAt: Math.max(now, before.updatedAt + 1) };
    const written = await db.transaction(async (trx) => {
      if (!(await replaceClient(trx, before, after))) return false;
      await made.also?.(trx);
      await orderLogo(trx, after, now);
      for (const event of made.events) await audit(operator, { realmId: realm.id, clientId: after.clientId }, event, trx);
      await db.changes.announce(`client:${realm.id}`, trx);
      return true;
    });
    if (written) return after;
  }
  throw conflict('The client is being changed by others. Try again.');
}

/**
 * Changes what is named, and leaves the rest. A client that becomes confidential gets a secret, one that becomes public
 * has none; with its service account comes and goes the user.
 * @param options.limited whether somebody asks who does not manage all of the realm: then the client is not for
 *   administration any more, or the changed one could do what its users may
 * @throws AppError 400 on the field that is wrong, 404, 409 for a client_id that is taken
 */
export async function changeClient(
  operator: Operator,
  realm: RealmRow,
  id: string,
  input: ClientFields,
  { limited = false }: { limited?: boolean } = {},
): Promise<ClientRow> {
  const asked = validated(clientFields, input);
  const rewrite = async (before: ClientRow): Promise<Rewritten> => {
    const made = await changed(operator, realm, before, asked);
    if (!made || !limited) return made;
    return { ...made, after: { ...made.after, attributes: { ...made.after.attributes, [FOR_ADMINISTRATION]: 'false' } } };
  };
  try {
    return await rewriteClient(operator, realm, id, rewrite);
  } catch (error) {
    if (isUniqueViolation(error)) throw conflict(`Client ${asked.clientId} already exists`, 'clientId');
    throw error;
  }
}

async function changed(operator: Operator, realm: RealmRow, before: ClientRow, asked: z.output<typeof clientFields>): Promise<Rewritten> {
  const fields = fieldsOf(before, asked);
  if (fields.publicClient && asked.serviceAccount === true)
    throw badInput('serviceAccount', 'A public client cannot keep a secret, so it cannot have a service account.');
  if (fields.clientId !== before.clientId && isBuiltIn(realm, before))
    throw badInput('clientId', `clientId: client "${before.clientId}" comes with the realm, and keeps its name.`);
  if (fields.clientId !== before.clientId) checkName(realm, fields.clientId);
  const after: ClientRow = { ...fields, ...(await secretOf(operator, before, fields, asked.secret)) };
  const names = Object.entries(after).flatMap(([name, value]) => (isDeepStrictEqual(value, Object(before)[name]) ? [] : [name]));
  if (names.length === 0) return undefined;
  if (asked.redirectUris || asked.postLogoutRedirectUris || asked.webOrigins || asked.rootUrl) checkAddresses(after);
  checkAttributes(otherThan(before.attributes, asked.attributes ?? {}), operator.outboundAllow);
  if (asked.attributes || asked.kept?.clientAuthenticatorType) checkAuthentication(operator, after, asked.attributes ?? {});
  return {
    after,
    events: [{ type: 'client.updated', details: { name: before.clientId, fields: names } }],
    also: await accountChange(operator, realm, before, after),
  };
}

/** What stays as it is is not looked at: it may have been set where more was allowed. */
const otherThan = (before: Readonly<Record<string, string>>, given: Readonly<Record<string, string | null>>): Record<string, string | null> =>
  Object.fromEntries(Object.entries(given).filter(([name, value]) => value !== before[name]));

/** The row with what was asked for, but for its secret. */
function fieldsOf(before: ClientRow, asked: z.output<typeof clientFields>): ClientRow {
  const publicClient = asked.publicClient ?? before.publicClient;
  return {
    ...before,
    clientId: asked.clientId ?? before.clientId,
    name: nullable(asked.name, before.name),
    description: nullable(asked.description, before.description),
    enabled: asked.enabled ?? before.enabled,
    publicClient,
    consentRequired: asked.consentRequired ?? before.consentRequired,
    standardFlow: asked.standardFlow ?? before.standardFlow,
    directAccess: asked.directAccess ?? before.directAccess,
    serviceAccount: !publicClient && (asked.serviceAccount ?? before.serviceAccount),
    fullScope: asked.fullScope ?? before.fullScope,
    rootUrl: nullable(asked.rootUrl, before.rootUrl),
    baseUrl: nullable(asked.baseUrl, before.baseUrl),
    redirectUris: asked.redirectUris ?? before.redirectUris,
    postLogoutRedirectUris: asked.postLogoutRedirectUris ?? before.postLogoutRedirectUris,
    webOrigins: asked.webOrigins ?? before.webOrigins,
    attributes: mergedAttributes(before.attributes, asked.attributes),
    kept: keptOf(before.kept, asked.kept ?? {}),
  };
}

/** Null is a value; undefined is none. */
const nullable = <T>(given: T | undefined, stored: T): T => (given === undefined ? stored : given);

function keptOf(before: KeptOfClient, asked: Partial<{ [Field in keyof KeptOfClient]: KeptOfClient[Field] | undefined }>): KeptOfClient {
  return {
    bearerOnly: asked.bearerOnly ?? before.bearerOnly,
    notBefore: asked.notBefore ?? before.notBefore,
    surrogateAuthRequired: asked.surrogateAuthRequired ?? before.surrogateAuthRequired,
    frontchannelLogout: asked.frontchannelLogout ?? before.frontchannelLogout,
    alwaysDisplayInConsole: asked.alwaysDisplayInConsole ?? before.alwaysDisplayInConsole,
    implicitFlowEnabled: asked.implicitFlowEnabled ?? before.implicitFlowEnabled,
    authorizationServicesEnabled: asked.authorizationServicesEnabled ?? before.authorizationServicesEnabled,
    clientAuthenticatorType: asked.clientAuthenticatorType ?? before.clientAuthenticatorType,
    nodeReRegistrationTimeout: asked.nodeReRegistrationTimeout ?? before.nodeReRegistrationTimeout,
    adminUrl: nullable(asked.adminUrl, before.adminUrl),
    authenticationFlowBindingOverrides: asked.authenticationFlowBindingOverrides ?? before.authenticationFlowBindingOverrides,
    registeredNodes: asked.registeredNodes ?? before.registeredNodes,
  };
}

type Secret = Pick<ClientRow, 'secret' | 'secretAt' | 'rotatedSecret' | 'rotatedUntil'>;

/** The secret that the changed client has: none, the one it had, the one that is asked for, or a new one. */
async function secretOf(
  { keyring, now }: Operator,
  before: ClientRow,
  { publicClient }: Pick<ClientRow, 'publicClient'>,
  asked: string | undefined,
): Promise<Secret> {
  if (publicClient) return { secret: null, secretAt: null, rotatedSecret: null, rotatedUntil: null };
  const { secret, secretAt, rotatedSecret, rotatedUntil } = before;
  const stays = { secret, secretAt, rotatedSecret, rotatedUntil };
  if (asked === undefined && !before.publicClient) return stays;
  if (asked !== undefined && secret !== null && (await keyring.openText(clientSeal(before), secret)) === asked) return stays;
  return {
    secret: await keyring.seal(clientSeal(before), asked ?? randomToken(32)),
    secretAt: now,
    // Whoever says which one it is means that it is no other.
    rotatedSecret: null,
    rotatedUntil: null,
  };
}

/** What happens to the service account's user, and to tokens that name the client. */
async function accountChange(operator: Operator, realm: RealmRow, before: ClientRow, after: ClientRow): Promise<(trx: Transaction) => Promise<void>> {
  const made = after.serviceAccount && !before.serviceAccount ? await newServiceAccount(operator, realm, after) : undefined;
  const renamed = after.clientId !== before.clientId;
  return async (trx) => {
    // Tokens carry the name: they would be good for whoever is called so next.
    if (renamed) await endGrantsOfClient(trx, realm.id, before.id);
    if (made) return made.store(trx);
    if (after.serviceAccount && !renamed) return;
    const user = await serviceAccountUser(trx, realm.id, before.id);
    if (!user) return;
    if (!after.serviceAccount) await deleteUser(trx, realm.id, user.id);
    else await updateUser(trx, user, { username: serviceAccountName(after.clientId) }, operator.now);
  };
}

/**
 * Deletes a client with its roles, its service account and all that was issued to it.
 * @param also what goes with it, in the same transaction
 * @throws AppError 400 for one that the realm cannot do without, 404
 */
export async function removeClient(operator: Operator, realm: RealmRow, id: string, also?: (trx: Transaction) => Promise<void>): Promise<void> {
  const client = await requireClientById(operator, realm, id);
  if (isBuiltIn(realm, client)) throw badInput('id', `Client "${client.clientId}" comes with the realm, which cannot do without it.`);
  const { db } = operator;
  await db.transaction(async (trx) => {
    await also?.(trx);
    await endGrantsOfClient(trx, realm.id, id);
    const user = await serviceAccountUser(trx, realm.id, id);
    if (user) await deleteUser(trx, realm.id, user.id);
    if (!(await deleteClient(trx, realm.id, id))) throw notFound('Could not find client');
    const about = { realmId: realm.id, clientId: client.clientId };
    await audit(operator, about, { type: 'client.deleted', details: { name: client.clientId } }, trx);
    await db.changes.announce(`client:${realm.id}`, trx);
  });
}
