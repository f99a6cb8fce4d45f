/**
 * The first start: realm master with its first administrator, and the demo. Run at every start, under a lock: it makes
 * what is missing, and of several processes that start at once exactly one makes it.
 */

import { changeClient } from './admin/resources/client-changes.ts';
import { createClient } from './admin/resources/clients.ts';
import type { Operator } from './admin/resources/context.ts';
import { createRealm } from './admin/resources/realms.ts';
import { createUser } from './admin/resources/users.ts';
import { readablePassword } from './crypto/codes.ts';
import { conflict } from './errors.ts';
import { allowedWithDemo, type Installation, operatorOf } from './installation.ts';
import { type ClientRow, clientByClientId, clientSeal, updateClientUris } from './store/clients.ts';
import { isHeldByUser } from './store/effective-roles.ts';
import { LOGOUT_URL } from './store/logout-notices.ts';
import { type RealmRow, realmByName } from './store/realms.ts';
import { userByUsername } from './store/users.ts';

export interface Credentials {
  username: string;
  password: string;
}

export interface FirstRun {
  /** Generated and stored in this run, and never to be seen again. */
  adminCredentials?: Credentials;
  demoCredentials?: Credentials;
  /** What the demo application signs its users in with; absent without the demo. */
  demoClient?: { clientId: string; secret: string };
  /** Whether anybody is an administrator by now. */
  hasAdministrator: boolean;
}

export const DEMO_REALM = 'demo';
const MASTER = 'master';
const ADMIN_ROLES = ['admin', 'create-realm'];
const DEMO_CLIENT = 'demo-app';
const DEMO_USER = { username: 'alice', email: 'alice@demo.example', emailVerified: true, firstName: 'Alice', lastName: 'Example' };

/** Makes what the settings ask for and is not there. */
export async function bootstrap(installation: Installation, now: number): Promise<FirstRun> {
  const { config, db } = installation;
  const operator = operatorOf(installation, 'first start', now);
  return db.withLock('bootstrap', async () => {
    const master = await requireMaster(operator);
    const administrator = await firstAdministrator(operator, master, config);
    await firstServiceAccount(operator, master, config.bootstrap.client);
    return { ...administrator, ...(config.demo ? await demo({ ...operator, outboundAllow: allowedWithDemo(config) }, config.demoPort) : {}) };
  });
}

/** Realm master alone, for commands that run before the first start of a server. */
export async function ensureMaster(installation: Installation, now: number): Promise<void> {
  const { db } = installation;
  if (await realmByName(db.knex, MASTER)) return;
  await db.withLock('bootstrap', () => requireMaster(operatorOf(installation, 'first start', now)));
}

const requireMaster = (operator: Operator): Promise<RealmRow> => requireOrMake(operator, MASTER, 'Cardea');

async function requireOrMake(operator: Operator, name: string, displayName: string): Promise<RealmRow> {
  return (await realmByName(operator.db.knex, name)) ?? createRealm(operator, { name, displayName, mfa: 'required' });
}

/** The one that the settings name; with the demo, else, one with a password made here. Nobody where somebody is already. */
async function firstAdministrator(
  operator: Operator,
  master: RealmRow,
  config: Installation['config'],
): Promise<Pick<FirstRun, 'adminCredentials' | 'hasAdministrator'>> {
  const { knex } = operator.db;
  if (await isHeldByUser(knex, master.id, 'admin')) return { hasAdministrator: true };
  const given = config.bootstrap.admin;
  const wanted = given ?? (config.demo ? { username: 'admin', password: readablePassword() } : undefined);
  if (wanted === undefined) return { hasAdministrator: false };
  if (await userByUsername(knex, master.id, wanted.username)) {
    // Whoever has that name was not made an administrator, and a start is no reason to make them one.
    if (!given) return { hasAdministrator: false };
    throw conflict(`CARDEA_BOOTSTRAP_ADMIN_USERNAME is "${wanted.username}", a user of realm master who is no administrator. Choose another name.`);
  }
  await createUser(operator, master, { ...wanted, realmRoles: ADMIN_ROLES });
  // A password that was given is known already, and is not repeated.
  return { hasAdministrator: true, ...(given ? {} : { adminCredentials: wanted }) };
}

async function firstServiceAccount(operator: Operator, master: RealmRow, client: Installation['config']['bootstrap']['client']): Promise<void> {
  if (!client || (await clientByClientId(operator.db.knex, master.id, client.clientId))) return;
  await createClient(operator, master, {
    ...client,
    name: 'First service account',
    serviceAccount: true,
    serviceAccountRoles: ['admin'],
    postLogoutRedirectUris: [],
  });
}

async function demo(operator: Operator, port: number): Promise<Pick<FirstRun, 'demoCredentials' | 'demoClient'>> {
  const realm = await requireOrMake(operator, DEMO_REALM, 'Demo');
  const demoClient = await demoApplication(operator, realm, port);
  if (await userByUsername(operator.db.knex, realm.id, DEMO_USER.username)) return { demoClient };
  const password = readablePassword();
  await createUser(operator, realm, { ...DEMO_USER, password });
  return { demoClient, demoCredentials: { username: DEMO_USER.username, password } };
}

/** The demo application's client, at the address where it listens this time. */
async function demoApplication(operator: Operator, realm: RealmRow, port: number): Promise<FirstRun['demoClient']> {
  const { db, keyring } = operator;
  const home = `http://localhost:${port === 0 ? '*' : port}`;
  const uris = { redirectUris: [`${home}/callback`], postLogoutRedirectUris: [`${home}/`] };
  const attributes: Record<string, string> = port === 0 ? {} : { [LOGOUT_URL]: `${home}/backchannel-logout` };
  const client = await clientByClientId(db.knex, realm.id, DEMO_CLIENT);
  if (!client) {
    const asked = { clientId: DEMO_CLIENT, name: 'Demo application', firstParty: true, ...uris, attributes };
    const { secret } = await createClient(operator, realm, asked);
    return secret === null ? undefined : { clientId: DEMO_CLIENT, secret };
  }
  await moveDemo(operator, client, uris);
  await changeClient(operator, realm, client.id, { attributes });
  return client.secret === null ? undefined : { clientId: DEMO_CLIENT, secret: await keyring.openText(clientSeal(client), client.secret) };
}

/** Where the port is another than at the first start, the new address takes the place of the old one; others stay. */
async function moveDemo(operator: Operator, client: ClientRow, wanted: Pick<ClientRow, 'redirectUris' | 'postLogoutRedirectUris'>): Promise<void> {
  const registered = [...client.redirectUris, ...client.postLogoutRedirectUris];
  if ([...wanted.redirectUris, ...wanted.postLogoutRedirectUris].every((uri) => registered.includes(uri))) return;
  const others = (uris: string[]): string[] => uris.filter((uri) => !/^http:\/\/localhost:(\d+|\*)\/(callback)?$/.test(uri));
  const moved = {
    redirectUris: [...wanted.redirectUris, ...others(client.redirectUris)],
    postLogoutRedirectUris: [...wanted.postLogoutRedirectUris, ...others(client.postLogoutRedirectUris)],
  };
  await operator.db.transaction(async (trx) => {
    await updateClientUris(trx, client, moved, operator.now);
    await operator.db.changes.announce(`client:${client.realmId}`, trx);
  });
}
