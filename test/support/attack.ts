/**
 * What the attack suites share: a server with realms that the tests of a file have in common, users at a chosen point of
 * their sign-in, and what an attacker does that no browser would.
 *
 * An attacker here sends whatever it likes: cookies of somebody else, many requests at once, and to several processes of
 * one installation. What it met is read in the store and in the audit rows, never only from the answer.
 */
import { randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import type { ExecutionContext } from 'ava';
import { generateSecret } from 'otplib';
import type { NewClient } from '../../src/admin/resources/clients.ts';
import { realmSettings } from '../../src/realms/settings.ts';
import { type AuditRow, auditEvents } from '../../src/store/audit.ts';
import { credentialSeal, insertCredential } from '../../src/store/credentials.ts';
import { openDatabase } from '../../src/store/database.ts';
import { type LoginRow, loginById } from '../../src/store/logins.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import type { UserRow } from '../../src/store/users.ts';
import type { Page } from './agent.ts';
import { type Cardea, type RealmInput, startCardea } from './cardea.ts';
import { atEnd } from './cleanup.ts';
import type { EngineUnderTest } from './databases.ts';
import { authorizationRequest, Browser, codeOf, type RelyingParty, type Request, relyingParty, text } from './sign-in.ts';

export type TestUser = UserRow & { password: string };

/** One application in one realm. */
export interface Scene {
  server: Cardea;
  realm: RealmRow;
  rp: RelyingParty;
}

/** The attackers of all tests of a file sit at one address; those about it say so. */
const FROM_ONE_ADDRESS = realmSettings.parse({ throttling: { address: { failures: 10_000, openSignIns: 20_000 } } }).throttling;

export interface Arena {
  server(): Promise<Cardea>;
  /** The processes of one installation: two where the engine is made for it, under one origin and on one database. */
  nodes(): Promise<Cardea[]>;
  /** A client of its own, in a realm that the tests with the same settings share: making keys takes its time. */
  scene(settings?: RealmInput, client?: Partial<NewClient>): Promise<Scene>;
}

/** @param env settings of every process */
export function arena(engine: EngineUnderTest, env: Record<string, string> = {}): Arena {
  let started: Promise<Cardea[]> | undefined;
  const realms = new Map<string, Promise<RealmRow>>();
  const start = async (): Promise<Cardea[]> => {
    const settings = await engine.settings();
    const open = async () => {
      const db = await openDatabase(settings);
      atEnd(() => db.close());
      return db;
    };
    const first = await startCardea(await open(), env);
    if (engine.engine === 'sqlite') return [first];
    return [first, await startCardea(await open(), { ...env, CARDEA_ORIGIN: first.origin })];
  };
  const nodes = () => {
    started ??= start();
    return started;
  };
  const server = async () => {
    const [first] = await nodes();
    if (!first) throw new Error('No server was started.');
    return first;
  };
  return {
    server,
    nodes,
    async scene(settings = {}, client = {}) {
      const first = await server();
      const key = JSON.stringify(settings);
      const making = realms.get(key) ?? first.realm({ throttling: FROM_ONE_ADDRESS, ...settings });
      realms.set(key, making);
      const realm = await making;
      return { server: first, realm, rp: await relyingParty(first, realm, await first.client(realm, client)) };
    },
  };
}

/** The same work many times at once. */
export function parallel<T>(times: number, work: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: times }, (_, index) => work(index)));
}

/** How often each status came. */
export function tally(answers: readonly { status: number }[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** Gives a user an authenticator app, or a hardware token, without the pages; answers its key and its row. */
export async function giveApp(
  server: Pick<Cardea, 'db' | 'keyring'>,
  user: UserRow,
  options: { label?: string; secret?: string; factor?: 'totp' | 'hotp' } = {},
): Promise<{ id: string; secret: string }> {
  const key = { realmId: user.realmId, userId: user.id, id: randomUUID() };
  const secret = options.secret ?? generateSecret({ length: 20 });
  const { factor = 'totp' } = options;
  const stored = JSON.stringify({ secret, digits: 6, algorithm: 'sha1', ...(factor === 'totp' ? { period: 30 } : {}) });
  const now = Date.now();
  await insertCredential(server.db.knex, {
    ...key,
    factor,
    label: options.label ?? 'Phone',
    secret: await server.keyring.seal(credentialSeal(key), stored),
    counter: null,
    enabled: true,
    level: null,
    lookup: null,
    createdAt: now,
    lastUsedAt: null,
  });
  return { id: key.id, secret };
}

/** The code of a step before or after the present one. */
export const codeAt = (secret: string, steps = 0): string => codeOf(secret, () => Math.floor(Date.now() / 1000) + steps * 30);

/** Codes that are wrong now and will be for a while, each different. */
export function wrongCodes(secret: string, count: number): string[] {
  const right = new Set([-3, -2, -1, 0, 1, 2, 3].map((step) => codeAt(secret, step)));
  const wrong: string[] = [];
  for (let code = 314_159; wrong.length < count; code += 1) if (!right.has(String(code))) wrong.push(String(code));
  return wrong;
}

/** A sign-in at some point: the browser it is in, what the application asked, and the page that is shown. */
export interface Underway {
  browser: Browser;
  request: Request;
  page: Page;
}

/** The first page of a sign-in. */
export async function begin({ server, rp }: Scene, options: { browser?: Browser; parameters?: Record<string, string> } = {}): Promise<Underway> {
  const browser = options.browser ?? new Browser(server.origin);
  const request = await authorizationRequest(rp, options.parameters);
  return { browser, request, page: await browser.visit(request.url) };
}

/** A sign-in whose password was accepted. */
export async function afterPassword(
  scene: Scene,
  user: TestUser,
  options: { browser?: Browser; parameters?: Record<string, string> } = {},
): Promise<Underway> {
  const underway = await begin(scene, options);
  const page = await underway.browser.send(underway.page, { username: user.username, password: user.password });
  return { ...underway, page };
}

/** A user with an authenticator app, whose password was accepted. */
export async function atCode(scene: Scene): Promise<Underway & { user: TestUser; secret: string }> {
  const user = await scene.server.user(scene.realm);
  const { secret } = await giveApp(scene.server, user);
  const underway = await afterPassword(scene, user);
  if (!underway.page.html.includes('name="code"')) throw new Error(`No code is asked: ${text(underway.page)}`);
  return { ...underway, user, secret };
}

/** The id of the sign-in whose transaction cookie a browser got last. */
export function transactionOf(browser: Browser): string {
  const cookie = browser.jar.findLast(({ name }) => name.startsWith('cardea_tx_'));
  if (!cookie) throw new Error('The browser has no sign-in under way.');
  return cookie.name.slice('cardea_tx_'.length);
}

/** What is stored of a browser's sign-in. */
export async function storedLogin({ server, realm }: Scene, id: string): Promise<LoginRow> {
  const row = await loginById(server.db.knex, realm.id, id);
  if (!row) throw new Error(`There is no sign-in ${id}.`);
  return row;
}

/** Audit rows of one type that belong to a sign-in or are about a user. */
export async function audited(
  { server, realm }: Scene,
  type: string,
  about: { transaction?: string; user?: string; client?: string } = {},
): Promise<AuditRow[]> {
  const rows = await auditEvents(server.db.knex, realm.id, { type, limit: 5_000 });
  return rows.filter(
    (row) =>
      (about.transaction === undefined || row.transactionId === about.transaction) &&
      (about.user === undefined || row.subject === about.user) &&
      (about.client === undefined || row.clientId === about.client),
  );
}

/** The sessions that a user has. */
export async function sessionsOf({ server, realm }: Scene, user: UserRow): Promise<{ id: string; uid: string; proofs: string }[]> {
  return server.db.knex('sessions').where({ realm_id: realm.id, user_id: user.id }).whereNull('ended_at').select('id', 'uid', 'proofs');
}

/** A browser with everything that another one keeps. */
export function copyOf(browser: Browser): Browser {
  const copy = new Browser(browser.origin);
  copy.plant(browser.jar);
  return copy;
}

/** The Cookie header that a browser would send. */
export function cookiesFor(browser: Browser, url: string): string {
  const { hostname, pathname } = new URL(url);
  const sent = browser.jar.filter(({ host, path }) => host === hostname && `${pathname}/`.startsWith(path.endsWith('/') ? path : `${path}/`));
  return sent.map(({ name, value }) => `${name}=${value}`).join('; ');
}

/** One POST of a page's form to a process of our choice, with the browser's cookies and without keeping any. */
export async function postTo(
  node: Cardea,
  browser: Browser,
  url: string,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Page> {
  const { pathname, search } = new URL(url);
  return answerOf(
    await fetch(`${node.url}${pathname}${search}`, {
      method: 'POST',
      body: new URLSearchParams(fields),
      redirect: 'manual',
      headers: { ...headers, accept: 'text/html', cookie: cookiesFor(browser, url), origin: node.origin, 'sec-fetch-site': 'same-origin' },
    }),
  );
}

/** The same for a GET. */
export async function getFrom(node: Cardea, browser: Browser, url: string): Promise<Page> {
  const { pathname, search } = new URL(url);
  return answerOf(
    await fetch(`${node.url}${pathname}${search}`, { redirect: 'manual', headers: { accept: 'text/html', cookie: cookiesFor(browser, url) } }),
  );
}

async function answerOf(response: Response): Promise<Page> {
  return { url: response.url, status: response.status, headers: response.headers, html: await response.text() };
}

/** A call of a back-channel endpoint as a program makes it. */
export async function call(
  node: Cardea,
  realm: RealmRow,
  endpoint: string,
  fields: Record<string, string> | URLSearchParams,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Record<string, unknown>; headers: Headers }> {
  const response = await fetch(`${node.url}/realms/${realm.name}/protocol/openid-connect/${endpoint}`, {
    method: 'POST',
    body: new URLSearchParams(fields),
    headers: { accept: 'application/json', ...headers },
  });
  const answer = await response.text();
  const parsed: unknown = answer.startsWith('{') ? JSON.parse(answer) : {};
  return { status: response.status, body: isRecord(parsed) ? parsed : {}, headers: response.headers };
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** HTTP Basic authentication of a client. */
export function basic(client: { clientId: string; secret: string | null }): Record<string, string> {
  const pair = [client.clientId, client.secret ?? ''].map(encodeURIComponent).join(':');
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

/** The parameters of the redirect that leads back to the application; undefined when the answer is none. */
export function backAtApplication(page: Page, redirectUri: string): URLSearchParams | undefined {
  const location = page.headers.get('location');
  if (!location?.startsWith(redirectUri)) return undefined;
  return new URL(location).searchParams;
}

/** The code that an answer hands to the application; undefined when it hands none. */
export const codeFrom = (page: Page, rp: RelyingParty): string | undefined =>
  backAtApplication(page, rp.client.redirectUri)?.get('code') ?? undefined;

/** What a code is exchanged with. */
export function codeExchange(rp: RelyingParty, request: Request, code: string): Record<string, string> {
  return {
    grant_type: 'authorization_code',
    code,
    redirect_uri: rp.client.redirectUri,
    code_verifier: request.verifier,
    ...(rp.client.secret === null ? { client_id: rp.client.clientId } : {}),
  };
}

/** The headers by which a client authenticates; none for a public one. */
export const credentialsOf = (rp: RelyingParty): Record<string, string> => (rp.client.secret === null ? {} : basic(rp.client));

/** One request exactly as it is written here: no URL parser tidies the target, and every header may be chosen, Host too. */
export function rawRequest(
  node: Cardea,
  options: { method?: string; target: string; headers?: Record<string, string | string[]>; body?: string },
): Promise<{ status: number; headers: Record<string, string | string[] | undefined>; body: string }> {
  const { hostname, port } = new URL(node.url);
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname, port, method: options.method ?? 'GET', path: options.target, headers: options.headers ?? {} }, (answer) => {
      let body = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        body += chunk;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }));
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(options.body);
  });
}

/** A page without the scripts that are files of ours: what is left of scripts should not be there. */
export const withoutOwnScripts = (html: string): string =>
  html.replaceAll(/<script type="module" src="\/resources\/[0-9a-f]{16}\/[a-z-]+\.js"><\/script>/g, '');

const realNow = Date.now.bind(Date);
const STEP_MS = 30_000;

/**
 * Registers tests that run alone and in one step of the codes: the clock of this process, and of every server in it, stands before
 * the step would be over. What is a code now is that code until the test is over, however long a busy machine takes.
 */
export const inOneStep =
  (engine: EngineUnderTest) =>
  (title: string, body: (t: ExecutionContext) => Promise<void>): void =>
    engine.serial(title, async (t) => {
      const before = Date.now;
      const last = (Math.floor(realNow() / STEP_MS) + 1) * STEP_MS - 1;
      Date.now = () => Math.min(realNow(), last);
      try {
        await body(t);
      } finally {
        Date.now = before;
      }
    });

/** Moves this process, and every server in it, along in time; for tests that run alone. Back again when the work is over. */
export async function at<T>(offsetMs: number, work: () => Promise<T>): Promise<T> {
  const before = Date.now;
  Date.now = () => realNow() + offsetMs;
  try {
    return await work();
  } finally {
    Date.now = before;
  }
}
