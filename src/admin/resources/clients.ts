/** Clients: applications that send their users here, and services that speak for themselves. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { randomToken } from '../../crypto/codes.ts';
import { badInput, conflict } from '../../errors.ts';
import { validRedirectUri } from '../../realms/redirect-uris.ts';
import { assignRealmScopes, type ClientRow, clientSeal, insertClient, LIGHTWEIGHT, listClients } from '../../store/clients.ts';
import { isUniqueViolation } from '../../store/database.ts';
import type { RealmRow } from '../../store/realms.ts';
import { assignRole } from '../../store/roles.ts';
import { insertUser } from '../../store/users.ts';
import { audit, type Operator, requireRealmRole, validated } from './context.ts';
import { type DefaultClient, defaultRoleName } from './realm-defaults.ts';

const newClient = z.object({
  /** RFC 6749 appendix A.1 allows any visible character; a colon would not survive Basic authentication unescaped, but clients escape it. */
  clientId: z.string().regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters without spaces'),
  name: z.string().trim().min(1).max(255).optional(),
  publicClient: z.boolean().default(false),
  /** First-party clients are trusted by the company: their users are not asked for consent. */
  firstParty: z.boolean().default(false),
  redirectUris: z.array(z.string()).default([]),
  /** `+` stands for the redirect URIs. */
  postLogoutRedirectUris: z.array(z.string()).default(['+']),
  webOrigins: z.array(z.string()).default([]),
  serviceAccount: z.boolean().default(false),
  /** Realm roles of the service account, by name. */
  serviceAccountRoles: z.array(z.string()).default([]),
  /** Made when none is given. */
  secret: z
    .string()
    .regex(/^[\x20-\x7e]{16,255}$/, 'must be 16 to 255 characters of visible ASCII (RFC 6749 appendix A.2)')
    .optional(),
  baseUrl: z.url({ protocol: /^https?$/, error: 'must be an http or https address' }).optional(),
});
export type NewClient = z.input<typeof newClient>;

/** Makes a client and, for a confidential one, its secret. 400 names the field that is wrong, 409 a client_id that is taken. */
export async function createClient(operator: Operator, realm: RealmRow, input: NewClient): Promise<{ client: ClientRow; secret: string | null }> {
  const asked = validated(newClient, input);
  if (asked.publicClient && asked.serviceAccount)
    throw badInput('serviceAccount', 'A public client cannot keep a secret, so it cannot have a service account.');
  if (asked.serviceAccountRoles.length > 0 && !asked.serviceAccount)
    throw badInput('serviceAccountRoles', 'Only a client with a service account can be given roles.');
  checkUris('redirectUris', asked.redirectUris);
  checkUris(
    'postLogoutRedirectUris',
    asked.postLogoutRedirectUris.filter((uri) => uri !== '+'),
  );

  const { db, keyring, now } = operator;
  const id = randomUUID();
  const secret = asked.publicClient ? null : (asked.secret ?? randomToken(32));
  const client: ClientRow = {
    ...blankClient(realm.id, id, now),
    clientId: asked.clientId,
    name: asked.name ?? null,
    publicClient: asked.publicClient,
    consentRequired: !asked.firstParty,
    standardFlow: asked.redirectUris.length > 0,
    serviceAccount: asked.serviceAccount,
    secret: secret === null ? null : await keyring.seal(clientSeal({ realmId: realm.id, id }), secret),
    baseUrl: asked.baseUrl ?? null,
    redirectUris: asked.redirectUris,
    postLogoutRedirectUris: asked.postLogoutRedirectUris,
    webOrigins: asked.webOrigins,
  };

  const account = asked.serviceAccount ? serviceAccount(client, now) : undefined;
  // As in Keycloak, a service account is a user like any other in what it has by default.
  const names = asked.serviceAccount ? [defaultRoleName(realm.name), ...asked.serviceAccountRoles] : [];
  const roles = await Promise.all(names.map((name) => requireRealmRole(operator, realm, name, 'serviceAccountRoles')));

  try {
    await db.transaction(async (trx) => {
      await insertClient(trx, client);
      await assignRealmScopes(trx, realm.id, id);
      if (account) await insertUser(trx, account);
      if (account) for (const role of roles) await assignRole(trx, realm.id, account.id, role);
      await audit(operator, { realmId: realm.id, clientId: asked.clientId }, { type: 'client.created', details: { name: asked.clientId } }, trx);
      await db.changes.announce(`client:${realm.id}`, trx);
    });
  } catch (error) {
    if (isUniqueViolation(error)) throw conflict(`There is a client "${asked.clientId}" in realm "${realm.name}" already.`, 'clientId');
    throw error;
  }
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
    rootUrl: null,
    baseUrl: null,
    redirectUris: [],
    postLogoutRedirectUris: [],
    webOrigins: [],
    attributes: {},
    revokeRefreshToken: null,
    refreshTokenMaxReuse: 0,
    createdAt: now,
    updatedAt: now,
  };
}

/** The user that a service account's tokens are about; it has no credentials and never signs in. */
function serviceAccount(client: ClientRow, now: number) {
  return {
    realmId: client.realmId,
    id: randomUUID(),
    username: `service-account-${client.clientId}`,
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
}

function checkUris(field: string, uris: string[]): void {
  for (const uri of uris) {
    const problem = validRedirectUri(uri);
    if (problem !== undefined) throw badInput(field, `${uri}: ${problem}`);
  }
}
