/**
 * Statements that a request costs the database, BEGIN and COMMIT included, on SQLite and on PostgreSQL: per flow, and per
 * factor of a full sign-in. Counted, not timed: one run says it all.
 *
 *     npm run bench:round-trips
 *
 * The server runs in this process, so that its statements can be counted; what it does besides requests (sweeping, the
 * outbox) is counted too where it falls into one, and so each flow is run several times and its least is shown.
 */
import { randomUUID } from 'node:crypto';
import { generateSecret, generateSync } from 'otplib';
import { createClient } from '../src/admin/resources/clients.ts';
import { createRealm } from '../src/admin/resources/realms.ts';
import { createUser } from '../src/admin/resources/users.ts';
import { loadConfig } from '../src/config.ts';
import { readInbox } from '../src/delivery/inbox.ts';
import { type Installation, openInstallation, operatorOf } from '../src/installation.ts';
import { startServer } from '../src/server.ts';
import { credentialSeal, insertCredential } from '../src/store/credentials.ts';
import type { RealmRow } from '../src/store/realms.ts';
import type { UserRow } from '../src/store/users.ts';
import { createLog } from '../src/telemetry/log.ts';
import { freePort } from '../test/support/ports.ts';
import { authorizationRequest, Browser, exchange, openid, type RelyingParty } from '../test/support/sign-in.ts';
import { onEngines } from './engines.ts';
import { machine, printTable } from './measure.ts';

const TIMES = 3;
const redirectUri = 'https://app.example/callback';
const PASSWORD = 'correct horse battery staple';

/** A server in this process, with one realm, one client, and a count of its statements. */
interface World {
  installation: Installation;
  realm: RealmRow;
  rp: RelyingParty;
  statements: { count: number };
}

type Flow = (world: World) => Promise<() => Promise<unknown>>;

/** Each prepares, and answers what is to be counted. */
const FLOWS: Record<string, Flow> = {
  client_credentials:
    async ({ rp }) =>
    () =>
      openid.clientCredentialsGrant(rp.configuration, {}),
  'full sign-in: password': async (world) => {
    const user = await userOf(world);
    return () => signIn(world, user, async () => undefined);
  },
  'full sign-in: password and authenticator app': async (world) => {
    const user = await userOf(world);
    const secret = generateSecret({ length: 20 });
    await give(world, user, 'totp', { secret, digits: 6, period: 30, algorithm: 'sha1' });
    return () => signIn(world, user, async () => ({ code: generateSync({ secret }) }));
  },
  'full sign-in: password and code by mail': async (world) => {
    const user = await userOf(world);
    await give(world, user, 'email-otp', { address: user.email });
    return () =>
      signIn(world, user, async () => {
        const [newest] = await readInbox(world.installation);
        return { code: /\b\d{8}\b/.exec(newest?.text ?? '')?.[0] ?? '' };
      });
  },
  'the same application again, signed in (code flow)': async (world) => {
    const user = await userOf(world);
    const browser = new Browser(world.installation.config.origin);
    await signIn(world, user, async () => undefined, browser);
    return () => signIn(world, user, async () => undefined, browser);
  },
  refresh: async (world) => {
    const { refresh_token = '' } = await signIn(world, await userOf(world), async () => undefined);
    return () => openid.refreshTokenGrant(world.rp.configuration, refresh_token);
  },
  'token exchange, of its own token': async (world) => {
    const { access_token } = await signIn(world, await userOf(world), async () => undefined);
    return () => tokenExchange(world, access_token);
  },
  'introspection of an exchanged token': async (world) => {
    const { access_token } = await signIn(world, await userOf(world), async () => undefined);
    const exchanged = await tokenExchange(world, access_token);
    return () => openid.tokenIntrospection(world.rp.configuration, exchanged.access_token);
  },
  introspection: async (world) => {
    const { access_token } = await signIn(world, await userOf(world), async () => undefined);
    return () => openid.tokenIntrospection(world.rp.configuration, access_token);
  },
  userinfo: async (world) => {
    const tokens = await signIn(world, await userOf(world), async () => undefined);
    return () => openid.fetchUserInfo(world.rp.configuration, tokens.access_token, tokens.claims()?.sub ?? '');
  },
};

const tokenExchange = ({ rp }: World, subject_token: string) =>
  openid.genericGrantRequest(rp.configuration, 'urn:ietf:params:oauth:grant-type:token-exchange', {
    subject_token,
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  });

let users = 0;
function userOf({ installation, realm }: World): Promise<UserRow> {
  users += 1;
  const username = `bench-${users}`;
  return createUser(operatorOf(installation, 'benchmark', Date.now()), realm, { username, email: `${username}@example.com`, password: PASSWORD });
}

async function give({ installation: { db, keyring } }: World, user: UserRow, factor: string, secret: unknown): Promise<void> {
  const key = { realmId: user.realmId, userId: user.id, id: randomUUID() };
  const now = Date.now();
  await insertCredential(db.knex, {
    ...key,
    factor,
    label: 'Mine',
    secret: await keyring.seal(credentialSeal(key), JSON.stringify(secret)),
    counter: null,
    enabled: true,
    level: null,
    lookup: null,
    createdAt: now,
    lastUsedAt: null,
  });
}

/** The whole way of a browser, from the authorization request to the tokens. */
async function signIn(
  { installation, rp }: World,
  user: UserRow,
  answer: () => Promise<Record<string, string> | undefined>,
  browser = new Browser(installation.config.origin),
) {
  const request = await authorizationRequest(rp);
  let page = await browser.visit(request.url);
  if (page.status === 200) page = await browser.send(page, { username: user.username, password: PASSWORD });
  const second = page.status === 200 ? await answer() : undefined;
  if (second) page = await browser.send(page, second);
  return exchange(rp, request, page);
}

async function worldOn(database: Record<string, string>, dataDir: string): Promise<World & { close(): Promise<void> }> {
  const port = String(await freePort());
  const config = loadConfig({ ...database, CARDEA_DEMO: 'off', CARDEA_ORIGIN: `http://localhost:${port}`, PORT: port, CARDEA_DATA_DIR: dataDir });
  const log = createLog({ level: 'error', production: true });
  const installation = await openInstallation(config, log);
  const operator = operatorOf(installation, 'benchmark', Date.now());
  const realm = await createRealm(operator, { name: 'bench', settings: { disabledFactors: ['recovery-codes'] } });
  const { client, secret } = await createClient(operator, realm, {
    clientId: 'bench',
    firstParty: true,
    serviceAccount: true,
    attributes: { 'standard.token.exchange.enabled': 'true' },
    redirectUris: [redirectUri],
  });
  const server = await startServer({ installation, log });
  const issuer = new URL(`${config.origin}/realms/bench`);
  const configuration = await openid.discovery(issuer, client.clientId, secret ?? '', openid.ClientSecretBasic(secret ?? ''), {
    execute: [openid.allowInsecureRequests],
  });
  const statements = { count: 0 };
  installation.db.knex.on('query', () => {
    statements.count += 1;
  });
  return {
    installation,
    realm,
    rp: { configuration, client: { row: client, clientId: client.clientId, secret, redirectUri } },
    statements,
    close: async () => {
      await server.close();
      await installation.close();
    },
  };
}

const columns = await onEngines(async ({ settings, dataDir }) => {
  const world = await worldOn(settings, dataDir);
  const counts = new Map<string, number>();
  for (const [name, prepare] of Object.entries(FLOWS)) {
    let least = Number.POSITIVE_INFINITY;
    for (let time = 0; time < TIMES; time += 1) {
      const work = await prepare(world);
      world.statements.count = 0;
      await work();
      least = Math.min(least, world.statements.count);
    }
    counts.set(name, least);
  }
  await world.close();
  return counts;
});
console.log(`${machine()}\n`);
printTable(
  ['statements', ...columns.map(({ name }) => name)],
  Object.keys(FLOWS).map((name) => [name, ...columns.map(({ result }) => String(result.get(name)))]),
);
