/**
 * Requests a second of Cardea, on SQLite and on PostgreSQL, beside oidc-provider alone with its memory adapter (bare.ts);
 * and full sign-ins with password and authenticator app beside argon2id alone (argon2.ts), of which each needs one.
 *
 *     npm run bench:flows -- 3 3                            three rounds of three seconds each
 *     npm run bench:flows -- 3 3 introspection userinfo     of these alone
 *     DATABASE_URL=postgresql://… npm run bench:flows       with a PostgreSQL that waits for its disk, as production's does
 *
 * All servers stand beside one another and take turns inside every round: only ratios of one run mean anything. The
 * server has the first core to itself where that can be arranged; load and PostgreSQL have the others. Cardea runs in
 * production mode and writes its log, to nowhere.
 */
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { generateSecret, generateSync } from 'otplib';
import { createClient } from '../src/admin/resources/clients.ts';
import type { Operator } from '../src/admin/resources/context.ts';
import { createRealm } from '../src/admin/resources/realms.ts';
import { createUser } from '../src/admin/resources/users.ts';
import { loadConfig } from '../src/config.ts';
import { openInstallation, operatorOf } from '../src/installation.ts';
import { realmSettings } from '../src/realms/settings.ts';
import { credentialSeal, insertCredential } from '../src/store/credentials.ts';
import type { RealmRow } from '../src/store/realms.ts';
import { createLog } from '../src/telemetry/log.ts';
import { freePort } from '../test/support/ports.ts';
import { createDatabase, findPostgres, startPostgres } from '../test/support/postgres.ts';
import { Browser, text } from '../test/support/sign-in.ts';
import { machine, printTable, type Server, startServer, withSpread } from './measure.ts';

const [rounds = 3, seconds = 3] = process.argv.slice(2, 4).map(Number);
/** Words of the names of what alone is measured; none: everything. */
const chosen = process.argv.slice(4);
const CONNECTIONS = 16;
const random = (bytes: number): string => randomBytes(bytes).toString('base64url');
const redirect_uri = 'https://app.example/callback';
const [SECRET, code_verifier] = [random(24), random(32)];
const USER = { username: 'bench', password: random(9) };
/** A code is good once: so many users that none comes twice within one step of their app. */
const SIGNING_IN = 2_500;
const APP = { secret: generateSecret({ length: 20 }), digits: 6, period: 30, algorithm: 'sha1' } as const;
const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
/** What clients sign with: proofs of DPoP, and assertions of who they are. */
const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
const bareJwk = await exportJWK(publicKey);
const jwk = { ...bareJwk, kid: await calculateJwkThumbprint(bareJwk), alg: 'ES256', use: 'sig' };
const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });

/** One request, which must be answered with this status; answers the body, or where it leads. */
function send(expected: number, url: string, headers: Record<string, string>, form?: Record<string, string>): Promise<string> {
  return new Promise((resolve, reject) => {
    const body = form && new URLSearchParams(form).toString();
    const type = body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) };
    const sent = request(url, { agent, method: body === undefined ? 'GET' : 'POST', headers: { ...headers, ...type } }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
      response.on('end', () => {
        const text = response.headers.location ?? Buffer.concat(chunks).toString();
        if (response.statusCode === expected) resolve(text);
        else reject(new Error(`${response.statusCode} instead of ${expected} at ${url}: ${text.slice(0, 300)}`));
      });
    });
    sent.on('error', reject).end(body);
  });
}

interface Target {
  name: string;
  issuer: string;
  server: Server;
  /** Whose access tokens are JWTs, and whose are taken by userinfo and introspection. */
  clients: { tokens: string; es256: string; lookups: string; rotating: string; signed: string; exchanging: string };
  /** Has users with an authenticator app. */
  signsIn: boolean;
}

/** Everything that is measured, each ready to be sent; signed in anew, because the memory adapter keeps a thousand things. */
async function casesOf({ issuer, clients, signsIn }: Target): Promise<Record<string, () => Promise<string>>> {
  const at: Record<string, string> = JSON.parse(await send(200, `${issuer}/.well-known/openid-configuration`, {}));
  const to = (endpoint: string): string => at[`${endpoint}_endpoint`] ?? '';
  const basic = (client: string) => ({ authorization: `Basic ${Buffer.from(`${client}:${SECRET}`).toString('base64')}` });
  const challenge = { code_challenge: createHash('sha256').update(code_verifier).digest('base64url'), code_challenge_method: 'S256' };
  const authorize = (client_id: string): string =>
    `${to('authorization')}?${new URLSearchParams({ client_id, redirect_uri, response_type: 'code', scope: 'openid profile email', ...challenge })}`;
  const token = (client: string, form: Record<string, string>) => send(200, to('token'), basic(client), form);
  const exchange = (client: string, location: string | null) =>
    token(client, { grant_type: 'authorization_code', code: new URL(location ?? '').searchParams.get('code') ?? '', redirect_uri, code_verifier });
  const browser = new Browser(new URL(issuer).origin);
  const signIn = async (client: string, by = browser): Promise<{ access_token: string; refresh_token: string }> => {
    const page = await by.visit(authorize(client));
    const back = page.status === 200 ? await by.send(page, USER) : page;
    return JSON.parse(await exchange(client, back.headers.get('location')));
  };
  /** What a client signs anew for every request. */
  const signed = (header: object, claims: object) =>
    new SignJWT({ ...claims, jti: randomUUID() })
      .setProtectedHeader({ ...header, alg: 'ES256' })
      .setIssuedAt()
      .setExpirationTime('1m')
      .sign(privateKey);
  const assertion = () => signed({ kid: jwk.kid }, { iss: clients.signed, sub: clients.signed, aud: issuer });
  const proof = () => signed({ typ: 'dpop+jwt', jwk: bareJwk }, { htm: 'POST', htu: to('token') });
  const { refresh_token } = await signIn(clients.tokens);
  // Each is used up by a refresh, which brings the next.
  const rotating: string[] = [];
  while (rotating.length < CONNECTIONS) rotating.push((await signIn(clients.rotating)).refresh_token);
  const rotate = async () => {
    const answer = await token(clients.rotating, { grant_type: 'refresh_token', refresh_token: rotating.shift() ?? '' });
    rotating.push(JSON.parse(answer).refresh_token);
    return answer;
  };
  const exchanged = await signIn(clients.exchanging);
  // The pages of one browser follow upon one another; so many people approve devices at once.
  const gather = async (): Promise<Browser[]> => {
    const all = Array.from({ length: CONNECTIONS }, () => new Browser(new URL(issuer).origin));
    for (const person of all) await signIn(clients.tokens, person);
    return all;
  };
  const people = (signsIn ? gathered.get(issuer) : undefined) ?? (await gather());
  gathered.set(issuer, people);
  const device = async () => {
    const asked = JSON.parse(await send(200, to('device_authorization'), basic(clients.tokens), { scope: 'openid profile email' }));
    const person = people.shift();
    if (!person) throw new Error('There are fewer people than connections.');
    const question = await person.send(await person.visit(asked.verification_uri_complete), {});
    const done = await person.send(question, { confirm: 'yes' });
    people.push(person);
    if (done.status !== 200) throw new Error(`A device was approved with ${done.status}: ${text(done)}`);
    return token(clients.tokens, { grant_type: DEVICE, device_code: asked.device_code });
  };
  const { access_token } = await signIn(clients.lookups);
  const cookies = Object.entries(browser.cookies('localhost')).map((cookie) => cookie.join('='));
  return {
    'client_credentials, RS256': () => token(clients.tokens, { grant_type: 'client_credentials' }),
    'client_credentials, ES256': () => token(clients.es256, { grant_type: 'client_credentials' }),
    'client_credentials, private_key_jwt': async () =>
      send(200, to('token'), {}, { grant_type: 'client_credentials', client_assertion_type: ASSERTION, client_assertion: await assertion() }),
    'client_credentials, DPoP': async () =>
      send(200, to('token'), { ...basic(clients.tokens), dpop: await proof() }, { grant_type: 'client_credentials' }),
    'refresh, with rotation': rotate,
    'token exchange': () =>
      token(clients.exchanging, { grant_type: EXCHANGE, subject_token: exchanged.access_token, subject_token_type: ACCESS_TOKEN }),
    'pushed authorization request': () =>
      send(201, to('pushed_authorization_request'), basic(clients.tokens), Object.fromEntries(new URL(authorize(clients.tokens)).searchParams)),
    'refresh, without rotation': () => token(clients.tokens, { grant_type: 'refresh_token', refresh_token }),
    introspection: () => send(200, to('introspection'), basic(clients.lookups), { token: access_token }),
    userinfo: () => send(200, to('userinfo'), { authorization: `Bearer ${access_token}` }),
    'code flow with a session (2 requests)': async () =>
      exchange(clients.tokens, await send(303, authorize(clients.tokens), { cookie: cookies.join('; ') })),
    'device authorization with a session (5 requests)': device,
    ...(signsIn
      ? {
          [PASSWORD]: () => token(clients.tokens, { grant_type: 'password', username: nextUser(), password: USER.password, totp: generateSync(APP) }),
        }
      : {}),
    ...(signsIn ? { [FULL]: async () => exchange(clients.tokens, await fullSignIn(issuer, authorize(clients.tokens))) } : {}),
  };
}

/** People who are signed in, by issuer: where that takes a password, they stay so. */
const gathered = new Map<string, Browser[]>();
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
/** All of it comes from one address here. */
const FROM_ONE_ADDRESS = realmSettings.parse({ throttling: { address: { failures: 10_000, openSignIns: 20_000 } } }).throttling;
/** Measured against argon2id alone, of which each needs one. */
const PASSWORD = 'password grant, with a code';
const FULL = 'full sign-in: password, app, code (7 requests)';
let signingIn = 0;

function nextUser(): string {
  signingIn = (signingIn + 1) % SIGNING_IN;
  return `bench-${signingIn}`;
}

/** The way of a browser that has never been here; answers where it leads. */
async function fullSignIn(issuer: string, address: string): Promise<string | null> {
  const browser = new Browser(new URL(issuer).origin);
  const challenge = await browser.send(await browser.visit(address), { username: nextUser(), password: USER.password });
  const back = await browser.send(challenge, { code: generateSync(APP) });
  if (!back.headers.has('location')) throw new Error(`A sign-in ended with ${challenge.status} and ${back.status}: ${text(back)}`);
  return back.headers.get('location');
}

/** How often a second `work` is done, by as many at a time as there are connections. */
async function rateOf(work: () => Promise<unknown>, forSeconds: number): Promise<number> {
  const begun = performance.now();
  let done = 0;
  const loop = async (): Promise<void> => {
    for (; performance.now() - begun < forSeconds * 1000; done += 1) await work();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, loop));
  return (done / (performance.now() - begun)) * 1000;
}

const others = availableParallelism() - 1;
const core = process.platform === 'linux' && others > 0 ? 0 : undefined;
if (core === 0) execFileSync('taskset', ['-a', '-cp', `1-${others}`, String(process.pid)], { stdio: 'ignore' });
const folder = mkdtempSync(join(tmpdir(), 'cardea-bench-'));
const targets: Target[] = [];

const BARE = { tokens: 'jwt', es256: 'es256', lookups: 'opaque', rotating: 'rotating', signed: 'signed', exchanging: 'opaque' };
const OURS = {
  ...{ tokens: 'bench', es256: 'bench-es256', lookups: 'bench' },
  ...{ rotating: 'bench-rotating', signed: 'bench-signed', exchanging: 'bench-exchange' },
};

async function bare(): Promise<Target> {
  const issuer = `http://localhost:${await freePort()}`;
  const server = await startServer(
    [path('bare.ts'), new URL(issuer).port, SECRET, JSON.stringify(jwk)],
    {},
    `${issuer}/.well-known/openid-configuration`,
    core,
  );
  return { name: 'oidc-provider in memory', issuer, server, clients: BARE, signsIn: false };
}

async function cardea(name: string, database: Record<string, string>): Promise<Target> {
  const port = String(await freePort());
  const own = { NODE_ENV: 'production', CARDEA_MASTER_KEY: `bench:${random(32)}`, CARDEA_ORIGIN: `http://localhost:${port}`, PORT: port };
  const env = { ...database, ...own, CARDEA_DATA_DIR: join(folder, 'data') };
  const installation = await openInstallation(loadConfig(env), createLog({ level: 'error', production: true }));
  const operator = operatorOf(installation, 'benchmark', Date.now());
  const realm = await createRealm(operator, { name: 'bench', settings: { accessTokenLifespan: 3_600, throttling: FROM_ONE_ADDRESS } });
  const client = { secret: SECRET, firstParty: true, serviceAccount: true, redirectUris: [redirect_uri] };
  for (const clientId of new Set(Object.values(OURS))) await createClient(operator, realm, { ...client, clientId });
  const change = (client_id: string, changes: object) => installation.db.knex('clients').where({ realm_id: realm.id, client_id }).update(changes);
  const attributes = (client_id: string, given: object) => change(client_id, { attributes: JSON.stringify(given) });
  await attributes(OURS.es256, { 'access.token.signed.response.alg': 'ES256' });
  await attributes(OURS.tokens, { 'oauth2.device.authorization.grant.enabled': 'true' });
  await attributes(OURS.exchanging, { 'standard.token.exchange.enabled': 'true' });
  await attributes(OURS.signed, { 'use.jwks.string': 'true', 'jwks.string': JSON.stringify({ keys: [jwk] }) });
  await change(OURS.signed, { kept: JSON.stringify({ clientAuthenticatorType: 'client-jwt' }) });
  await change(OURS.rotating, { revoke_refresh_token: true });
  await change(OURS.tokens, { direct_access: true });
  await createUser(operator, realm, { ...USER, firstName: 'Bench', lastName: 'User', email: 'bench@example.com', emailVerified: true });
  await usersWithApps(operator, realm);
  await installation.close();
  const issuer = `${own.CARDEA_ORIGIN}/realms/bench`;
  const server = await startServer([path('../src/main.ts'), 'serve'], env, `${issuer}/.well-known/openid-configuration`, core);
  return { name, issuer, server, clients: OURS, signsIn: true };
}

/** They share a password, which is hashed once, and the key of their apps. */
async function usersWithApps(operator: Operator, realm: RealmRow): Promise<void> {
  const phc = await operator.passwords.hash(USER.password);
  const passwords = { ...operator.passwords, hash: async () => phc };
  for (let number = 0; number < SIGNING_IN; number += 1) {
    const user = await createUser({ ...operator, passwords }, realm, { username: `bench-${number}`, password: USER.password });
    const key = { realmId: realm.id, userId: user.id, id: randomUUID() };
    await insertCredential(operator.db.knex, {
      ...key,
      factor: 'totp',
      label: 'App',
      secret: await operator.keyring.seal(credentialSeal(key), JSON.stringify(APP)),
      counter: null,
      enabled: true,
      level: null,
      lookup: null,
      createdAt: operator.now,
      lastUsedAt: null,
    });
  }
}

/** The rate that a full sign-in is measured against. */
async function argon2(): Promise<{ server: Server; work: () => Promise<string> }> {
  const url = `http://localhost:${await freePort()}/`;
  return { server: await startServer([path('argon2.ts'), new URL(url).port], {}, url, core), work: () => send(200, url, {}) };
}

const given = process.env.DATABASE_URL;
const bin = given ? undefined : findPostgres();
const postgres = bin === undefined ? undefined : await startPostgres(bin);
const admin = given ?? postgres?.url;
const database = admin ? await createDatabase(admin, { empty: true }) : undefined;
let hasher: Awaited<ReturnType<typeof argon2>> | undefined;
try {
  const reference = await bare();
  const hashing = await argon2();
  hasher = hashing;
  targets.push(reference);
  targets.push(await cardea('Cardea on SQLite', {}));
  if (database) targets.push(await cardea('Cardea on PostgreSQL', { DATABASE_URL: database.url }));
  const rates = new Map<string, number[]>();
  const ratesOf = (name: string, target: Target): number[] => rates.get(`${name} ${target.name}`) ?? [];
  const names = [...Object.keys(await casesOf(reference)), PASSWORD, FULL].filter(
    (name) => chosen.length === 0 || chosen.some((word) => name.includes(word)),
  );
  for (let round = 0; round <= rounds; round += 1) {
    for (const name of names) {
      for (const target of targets) {
        const work = (name === FULL || name === PASSWORD) && target === reference ? hashing.work : (await casesOf(target))[name];
        if (!work) throw new Error(`${target.name} has no ${name}.`);
        const rate = await rateOf(work, round === 0 ? 1 : seconds);
        // The first round only warms up.
        if (round > 0) rates.set(`${name} ${target.name}`, [...ratesOf(name, target), rate]);
      }
    }
  }
  const disk = given ? 'PostgreSQL of DATABASE_URL' : database ? 'PostgreSQL without fsync' : 'no PostgreSQL';
  console.log(`${machine()}; ${CONNECTIONS} connections, ${rounds} rounds of ${seconds} s; ${disk}\n`);
  const share = (name: string, target: Target) => ratesOf(name, target).map((rate, round) => rate / (ratesOf(name, reference)[round] ?? 0));
  const others = targets.filter((target) => target !== reference);
  printTable(
    ['a second: median (least–most)', 'oidc-provider in memory, or argon2id', ...others.flatMap(({ name }) => [name, 'share'])],
    names.map((name) => [
      name,
      withSpread(ratesOf(name, reference)),
      ...others.flatMap((target) => [withSpread(ratesOf(name, target)), withSpread(share(name, target), 2)]),
    ]),
  );
  console.log(`\nMemory after it: ${targets.map(({ name, server }) => `${name} ${server.memory().toFixed(0)} MB`).join(', ')}.`);
} finally {
  for (const { server } of targets) await server.stop();
  await hasher?.server.stop();
  agent.destroy();
  await database?.drop();
  await postgres?.stop();
  rmSync(folder, { recursive: true, force: true });
}
