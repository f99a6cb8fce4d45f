/** Clients: applications that send their users here, and services that speak for themselves. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { randomToken } from '../../crypto/codes.ts';
import { badInput, conflict } from '../../errors.ts';
import { assignScopes } from '../../store/client-changes.ts';
import { orderLogo } from '../../store/client-logos.ts';
import { assignRealmScopes, type ClientRow, clientSeal, insertClient, LIGHTWEIGHT, listClients } from '../../store/clients.ts';
import { isUniqueViolation } from '../../store/database.ts';
import { keptOfClient } from '../../store/kept-of-client.ts';
import type { RealmRow } from '../../store/realms.ts';
import { assignRole } from '../../store/roles.ts';
import type { Queries } from '../../store/rows.ts';
import { insertUser, type UserRow } from '../../store/users.ts';
import { checkAuthentication } from './client-authentication.ts';
import { checkAddresses, checkAttributes, checkName, clientFields, clientIdInput, mergedAttributes } from './client-input.ts';
import { audit, type Operator, requireRealmRole, validated } from './context.ts';
import { type DefaultClient, defaultRoleName } from './realm-defaults.ts';

const scopeNames = z.array(z.string().max(255)).max(500);

const newClient = clientFields.extend({
  clientId: clientIdInput,
  /** The row id, made when none is given. */
  id: z.guid().toLowerCase().optional(),
  /** First-party clients are trusted by the company: their users are not asked for consent. */
  firstParty: z.boolean().default(false),
  /** Realm roles of the service account, by name. */
  serviceAccountRoles: z.array(z.string()).default([]),
  /** By name; without, those that the realm gives to new clients. */
  scopes: z.object({ defaults: scopeNames, optional: scopeNames }).optional(),
});
export type NewClient = z.input<typeof newClient>;

/**
 * Makes a client and, for a confidential one, its secret. 400 names the field that is wrong, 409 a client_id that is taken.
 * @param also what is made with it, in the same transaction
 */
export async function createClient(
  operator: Operator,
  realm: RealmRow,
  input: NewClient,
  also?: (trx: Queries, client: ClientRow) => Promise<void>,
): Promise<{ client: ClientRow; secret: string | null }> {
  const asked = validated(newClient, input);
  if (asked.publicClient && asked.serviceAccount)
    throw badInput('serviceAccount', 'A public client cannot keep a secret, so it cannot have a service account.');
  if (asked.serviceAccountRoles.length > 0 && !asked.serviceAccount)
    throw badInput('serviceAccountRoles', 'Only a client with a service account can be given roles.');
  const { db, now } = operator;
  const { client, secret } = await newRow(operator, realm, asked);
  checkName(realm, client.clientId);
  checkAddresses(client);
  checkAttributes(client.attributes, operator.outboundAllow);
  checkAuthentication(operator, client, client.attributes);
  const account = client.serviceAccount ? await newServiceAccount(operator, realm, client, asked.serviceAccountRoles) : undefined;

  try {
    await db.transaction(async (trx) => {
      await insertClient(trx, { ...client, createdAt: now });
      if (asked.scopes) await assignScopes(trx, client, asked.scopes);
      else await assignRealmScopes(trx, realm.id, client.id);
      await account?.store(trx);
      await orderLogo(trx, client, now);
      await also?.(trx, client);
      await audit(operator, { realmId: realm.id, clientId: asked.clientId }, { type: 'client.created', details: { name: asked.clientId } }, trx);
      await db.changes.announce(`client:${realm.id}`, trx);
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw conflict(`There is a client "${asked.clientId}" in realm "${realm.name}" already.`, 'clientId');
    throw error;
  }
  return { client, secret };
}

async function newRow(
  { keyring, now }: Operator,
  realm: RealmRow,
  asked: z.output<typeof newClient>,
): Promise<{ client: ClientRow; secret: string | null }> {
  const blank = blankClient(realm.id, asked.id ?? randomUUID(), now);
  const publicClient = asked.publicClient ?? false;
  const secret = publicClient ? null : (asked.secret ?? randomToken(32));
  const redirectUris = asked.redirectUris ?? [];
  const client: ClientRow = {
    ...blank,
    clientId: asked.clientId,
    name: asked.name ?? null,
    description: asked.description ?? null,
    enabled: asked.enabled ?? true,
    publicClient,
    consentRequired: asked.consentRequired ?? !asked.firstParty,
    standardFlow: asked.standardFlow ?? redirectUris.length > 0,
    directAccess: asked.directAccess ?? false,
    serviceAccount: asked.serviceAccount ?? false,
    fullScope: asked.fullScope ?? true,
    secret: secret === null ? null : await keyring.seal(clientSeal(blank), secret),
    secretAt: secret === null ? null : now,
    rootUrl: asked.rootUrl ?? null,
    baseUrl: asked.baseUrl ?? null,
    redirectUris,
    postLogoutRedirectUris: asked.postLogoutRedirectUris ?? ['+'],
    webOrigins: asked.webOrigins ?? [],
    attributes: mergedAttributes({}, asked.attributes),
    kept: keptOfClient.parse(asked.kept ?? {}),
  };
  return { client, secret };
}

/** Every client of a realm, page by page. */
export async function* allClients(operator: Pick<Operator, 'db'>, realm: RealmRow): AsyncGenerator<ClientRow> {
  const limit = 200;
  for (let after: string | undefined; ; ) {
    const page = await listClients(operator.db.knex, realm.id, { after, limit });
    yield* page;
    if (page.length < limit) return;
    after = page.at(-1)?.clientId;
  }
}

/** A row of a client that a realm comes with. */
export function builtInClient(realmId: string, client: DefaultClient, now: number): ClientRow {
  return {
    ...blankClient(realmId, randomUUID(), now),
    clientId: client.clientId,
    name: client.name,
    publicClient: client.publicClient,
    standardFlow: client.standardFlow,
    directAccess: client.directAccess,
    // Relative to our own origin, which may change.
    redirectUris: client.redirectPath === null ? [] : [client.redirectPath],
    attributes: client.lightweight ? { [LIGHTWEIGHT]: 'true' } : {},
    postLogoutRedirectUris: client.redirectPath === null ? [] : [client.redirectPath.replace(/callback$/, '')],
  };
}

function blankClient(realmId: string, id: string, now: number): ClientRow {
  return {
    realmId,
    id,
    clientId: id,
    name: null,
    description: null,
    enabled: true,
    publicClient: false,
    consentRequired: false,
    standardFlow: false,
    directAccess: false,
    serviceAccount: false,
    fullScope: true,
    secret: null,
    secretAt: null,
    rotatedSecret: null,
    rotatedUntil: null,
    registrationToken: null,
    rootUrl: null,
    baseUrl: null,
    redirectUris: [],
    postLogoutRedirectUris: [],
    webOrigins: [],
    attributes: {},
    kept: keptOfClient.parse({}),
    revokeRefreshToken: null,
    refreshTokenMaxReuse: 0,
    createdAt: now,
    updatedAt: now,
  };
}

export const serviceAccountName = (clientId: string): string => `service-account-${clientId}`;

/**
 * The user that a service account's tokens are about; it has no credentials and never signs in. As in Keycloak it is a
 * user like any other in what it has by default.
 * @param roles of the realm, by name
 */
export async function newServiceAccount(
  operator: Operator,
  realm: RealmRow,
  client: Pick<ClientRow, 'id' | 'clientId'>,
  roles: readonly string[] = [],
): Promise<{ store: (trx: Queries) => Promise<void> }> {
  const { now } = operator;
  const user: UserRow = {
    realmId: realm.id,
    id: randomUUID(),
    username: serviceAccountName(client.clientId),
    email: null,
    emailVerified: false,
    firstName: null,
    lastName: null,
    enabled: true,
    serviceAccountOf: client.id,
    notBefore: 0,
    createdAt: now,
    updatedAt: now,
  };
  const names = [defaultRoleName(realm.name), ...roles];
  const ids = await Promise.all(names.map((name) => requireRealmRole(operator, realm, name, 'serviceAccountRoles')));
  const store = async (trx: Queries): Promise<void> => {
    await insertUser(trx, user);
    for (const id of ids) await assignRole(trx, realm.id, user.id, id);
  };
  return { store };
}
