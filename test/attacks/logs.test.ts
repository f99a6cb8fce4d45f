/**
 * F07: what real processes write to standard output and standard error at the level `trace`, while everything is used,
 * holds no secret; and D04: whatever is sent in, a line of the log is one line of JSON.
 *
 * The servers that other tests start within their own process are searched as well, at the end of each file
 * (support/secrets-seen.ts).
 */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { createClient } from '../../src/admin/resources/clients.ts';
import { createRealm } from '../../src/admin/resources/realms.ts';
import { createUser } from '../../src/admin/resources/users.ts';
import { loadConfig } from '../../src/config.ts';
import { openInstallation, operatorOf } from '../../src/installation.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { formsOf, unescapeHtml } from '../support/agent.ts';
import { codeAt } from '../support/attack.ts';
import { REDIRECT_URI, type TestClient } from '../support/cardea.ts';
import { atEnd } from '../support/cleanup.ts';
import { runCardea, settingsFor, startCommand } from '../support/command.ts';
import { onSqlite, temporaryFolder } from '../support/databases.ts';
import { freePort } from '../support/ports.ts';
import { Secrets, secretsIn, secretsSeen, watchFetch } from '../support/secrets-seen.ts';
import { authorizationRequest, Browser, exchange, keyOf, openid, type RelyingParty, relyingParty, signIn } from '../support/sign-in.ts';

const MASTER_KEY = `k1:${randomBytes(32).toString('base64url')}`;
const ADMIN = { username: 'root', password: `pw-${randomBytes(9).toString('base64url')}` };

interface Server {
  origin: string;
  realm: RealmRow;
  rp: RelyingParty;
  service: TestClient;
  user: { username: string; password: string; email: string };
  env: Record<string, string>;
  /** All that the process has written so far, line by line. */
  lines(): string[];
  stop(): Promise<void>;
}

/** A real server on a new database, with a realm, an application, a service and a user. */
async function start(more: Record<string, string>): Promise<Server> {
  const settings = await onSqlite.settings();
  const port = await freePort();
  const origin = `http://localhost:${port}`;
  const env = settingsFor(settings, {
    ...{ CARDEA_MASTER_KEY: MASTER_KEY, PORT: String(port), CARDEA_ORIGIN: origin, LOG_LEVEL: 'trace' },
    ...{ CARDEA_BOOTSTRAP_ADMIN_USERNAME: ADMIN.username, CARDEA_BOOTSTRAP_ADMIN_PASSWORD: ADMIN.password },
    ...more,
  });
  const installation = await openInstallation(loadConfig(env), createLog({ level: 'silent', production: true }));
  const operator = operatorOf(installation, 'test', Date.now());
  const realm = await createRealm(operator, { name: 'staff', mfa: 'required' });
  const row = { redirectUris: [REDIRECT_URI], name: 'Parts' };
  const application = await createClient(operator, realm, { ...row, clientId: 'parts' });
  const service = await createClient(operator, realm, { clientId: 'robot', serviceAccount: true });
  const user = { username: 'erin', password: `pw-${randomBytes(9).toString('base64url')}`, email: 'erin@example.com' };
  await createUser(operator, realm, { ...user, emailVerified: true });
  await installation.close();

  const server = startCommand(['serve'], env, '');
  let written = '';
  for (const stream of [server.process.stdout, server.process.stderr])
    stream?.on('data', (chunk) => {
      written += chunk;
    });
  atEnd(() => server.process.kill('SIGKILL'));
  for (
    let tries = 0;
    !(await fetch(`${origin}/health/ready`).then(
      ({ ok }) => ok,
      () => false,
    ));
    tries += 1
  ) {
    if (tries > 600) throw new Error(`The server does not start:\n${written}`);
    await pause(100);
  }
  const of = ({ client, secret }: typeof application): TestClient => ({ row: client, clientId: client.clientId, secret, redirectUri: REDIRECT_URI });
  const rp = await relyingParty({ origin }, realm, of(application));
  return {
    ...{ origin, realm, rp, service: of(service), user, env },
    lines: () => written.split('\n'),
    async stop() {
      server.process.kill('SIGTERM');
      await server.ended;
    },
  };
}

/** Every way in and through, right and wrong. */
async function useEverything(t: ExecutionContext, server: Server): Promise<void> {
  const { origin, realm, rp, user } = server;
  const { browser, tokens, totpSecret } = await signIn(server, rp, user);
  const wrong = new Browser(origin);
  await wrong.send(await wrong.visit((await authorizationRequest(rp)).url), { username: user.username, password: `${user.password}-not` });

  // A second sign-in: a wrong code, the right one, and that one again.
  const second = new Browser(origin);
  const request = await authorizationRequest(rp, { prompt: 'login' });
  const asked = await second.send(await second.visit(request.url), { username: user.username, password: user.password });
  await second.send(asked, { code: '314159' });
  const code = codeAt(totpSecret ?? '', 1);
  const answered = await second.send(asked, { code });
  const again = await exchange(rp, request, answered);
  await second.send(asked, { code });
  await t.throwsAsync(exchange(rp, request, answered));

  const isDevelopment = server.env.NODE_ENV === undefined;
  t.is(await forgetPassword(server), isDevelopment, 'there is an inbox in development, and no mail without an account in production');
  const { access_token: access, refresh_token: refresh = '' } = tokens;
  await openid.fetchUserInfo(rp.configuration, access, openid.skipSubjectCheck);
  await fetch(`${origin}/realms/${realm.name}/protocol/openid-connect/userinfo?access_token=${again.access_token}`);
  await openid.tokenIntrospection(rp.configuration, access);
  const refreshed = await openid.refreshTokenGrant(rp.configuration, refresh);
  await openid.tokenRevocation(rp.configuration, refreshed.refresh_token ?? '');
  await t.throwsAsync(openid.refreshTokenGrant(rp.configuration, refreshed.refresh_token ?? ''));
  const robot = await relyingParty(server, realm, server.service);
  const { access_token: service } = await openid.clientCredentialsGrant(robot.configuration);
  for (const path of ['users', 'clients', ''])
    await fetch(`${origin}/admin/realms/${realm.name}/${path}`, { headers: { authorization: `Bearer ${service}` } });
  const bad = await relyingParty(server, realm, { ...server.service, secret: `not-${server.service.secret}` });
  await t.throwsAsync(openid.clientCredentialsGrant(bad.configuration));

  // Our own consoles, by the session that is there, and as an administrator who has yet to set up an app.
  for (const path of ['account/', 'account/?x=1']) await browser.visit(`${origin}/realms/${realm.name}/${path}`);
  const admin = new Browser(origin);
  const entry = await admin.visit(`${origin}/admin/master/console/`);
  const enrol = await admin.send(entry, ADMIN);
  if (enrol.html.includes('class="key"')) await admin.send(enrol, { code: codeAt(keyOf(enrol)) });
  await admin.visit(`${origin}/admin/master/console/`);
  await browser.visit(`${origin}/realms/${realm.name}/protocol/openid-connect/logout?id_token_hint=${tokens.id_token}`);
  await browser.visit(`${origin}/realms/${realm.name}/protocol/openid-connect/auth?client_id=nobody&code=${tokens.refresh_token}`);
}

/** A new password by a link in a mail, as far as the mail can be read; answers whether it could. */
async function forgetPassword({ origin, rp, user }: Server): Promise<boolean> {
  const browser = new Browser(origin);
  const page = await browser.visit((await authorizationRequest(rp)).url);
  const ask = /href="([^"]*\/login-actions\/reset-credentials[^"]*)"/.exec(page.html)?.[1];
  if (ask === undefined) return false;
  const form = await browser.visit(new URL(unescapeHtml(ask), page.url).href);
  await browser.send(form, { username: user.username });
  for (let tries = 0; tries < 600; tries += 1, await pause(50)) {
    const inbox = await (await fetch(`${origin}/inbox`)).text();
    const link = /https?:\/\/[^\s"<]*action-token\?key=[\w.-]+/.exec(unescapeHtml(inbox))?.[0];
    if (link === undefined) continue;
    secretsSeen.add(new URL(link).searchParams.get('key') ?? '');
    const opened = await browser.visit(link);
    const next = formsOf(opened).length === 0 ? opened : await browser.send(opened, {});
    if (formsOf(next)[0]?.names.includes('code')) await browser.send(next, { code: '271828' });
    return true;
  }
  return false;
}

for (const [what, more] of [
  ['in production', { NODE_ENV: 'production', CARDEA_ARGON2_MEMORY_KIB: '7168', CARDEA_ARGON2_PASSES: '5' }],
  ['for people at a terminal', {}],
] as const) {
  test.serial(`F07 everything is used, and no secret stands in what the process writes ${what}`, async (t) => {
    t.timeout(120_000);
    watchFetch();
    const server = await start(more);
    const before = secretsSeen.size;
    await useEverything(t, server);
    const commands = [
      runCardea(['user', 'set-password', '--realm', 'staff', '--username', 'erin', '--password-stdin'], server.env, `${server.user.password}-next`),
      runCardea(['client', 'create', '--realm', 'staff', '--client-id', 'other', '--json'], server.env),
      runCardea(['keys', 'rotate-data', '--realm', 'staff'], server.env),
      runCardea(['mfa', 'list', '--realm', 'staff', '--user', 'erin'], server.env),
    ];
    secretsSeen.add(`${server.user.password}-next`);
    for (const word of [ADMIN.password, server.user.password, MASTER_KEY.slice(3), server.rp.client.secret ?? '', server.service.secret ?? ''])
      secretsSeen.add(word);
    const made = JSON.parse((await commands[1])?.stdout ?? '{}');
    if (typeof made.secret === 'string') secretsSeen.add(made.secret);
    const errors = (await Promise.all(commands)).map(({ stderr }) => stderr);
    await server.stop();
    const lines = server.lines();
    t.true(lines.length > 60, `${lines.length} lines`);
    t.true(
      lines.some((line) => line.includes('a request was refused') || line.includes('"debug"') || line.includes('DEBUG')),
      'details are logged',
    );
    t.true(secretsSeen.size - before > 40, `${secretsSeen.size - before} secrets`);
    t.deepEqual(secretsIn([...lines, ...errors.join('\n').split('\n')]), []);
  });
}

test.serial('F07 the search finds a secret: a server that writes down the cookies that it gets is caught', async (t) => {
  watchFetch();
  const canary = join(temporaryFolder(), 'canary.mjs');
  writeFileSync(
    canary,
    `import { Server } from 'node:http';
const { emit } = Server.prototype;
Server.prototype.emit = function (event, request, ...rest) {
  if (event === 'request' && request.headers.cookie) console.error('debugging', request.method, request.headers.cookie);
  return emit.call(this, event, request, ...rest);
};`,
  );
  const server = await start({ NODE_OPTIONS: `--import=${canary}` });
  await signIn(server, server.rp, server.user);
  await server.stop();
  const found = secretsIn(server.lines());
  t.true(found.length > 0);
  t.true(
    found.every(({ line }) => line.startsWith('debugging')),
    'and nothing else is',
  );
});

test('F07 a secret is found wherever it stands in a line of the log', (t) => {
  const secrets = new Secrets();
  const token = randomBytes(32).toString('base64url');
  const jwt = `eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJlcmluIn0.${randomBytes(64).toString('base64url')}`;
  for (const secret of [token, jwt, 'correct horse battery', '314159', 'ABCD EFGH IJKL MNOP']) secrets.add(secret);
  const lines: string[] = [];
  const log = createLog({ level: 'trace', production: true, write: (line) => lines.push(line) });
  log.trace({ note: token }, 'a field');
  log.debug(`in a message ${token}.`);
  log.info({ nested: { list: [`x=${token}&y`] } }, 'deep');
  log.warn({ err: new Error(`no such row: ${token}`) }, 'an error');
  log.error({ note: `typed correct horse battery staple` }, 'a phrase');
  log.error({ note: ['314159'] }, 'a code');
  log.error({ note: 'ABCDEFGHIJKLMNOP' }, 'a key without its groups');
  t.is(secrets.in(lines).length, 7, JSON.stringify(secrets.in(lines)));
  log.info({ password: token, authorization: `Bearer ${token}`, note: jwt, code: '314159' }, `token=${token}`);
  t.is(secrets.in(lines.slice(7)).length, 0, 'the log strikes out what it knows');
  log.info({ at: 13141590, note: 'battery horse' }, 'what is like one is none');
  t.is(secrets.in(lines.slice(7)).length, 0);
});

/** One request as it is written here, byte for byte. */
function sendRaw(origin: string, text: string): Promise<void> {
  const { port } = new URL(origin);
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port: Number(port) }, () => socket.end(text));
    socket.on('data', () => undefined).on('error', () => resolve());
    socket.on('close', () => resolve());
  });
}

test.serial('D04 whatever is sent in, every line of the log is one line of JSON without a character that a terminal acts on', async (t) => {
  const server = await start({ NODE_ENV: 'production', CARDEA_ARGON2_MEMORY_KIB: '7168', CARDEA_ARGON2_PASSES: '5' });
  const { origin, realm, rp } = server;
  const nasty = [
    '\r\n{"level":"info","msg":"forged"}',
    '\u001b[31mred\u001b[0m',
    '\u202egnp.exe',
    '\u2028\u2029',
    '\u0000\u0007\u0008',
    '\u009b31m',
    '","msg":"forged',
  ];
  for (const text of nasty) {
    const escaped = encodeURIComponent(text);
    const browser = new Browser(origin);
    await browser.send(await browser.visit((await authorizationRequest(rp, { login_hint: text, state: text })).url), {
      username: text,
      password: `${text}-password`,
    });
    for (const path of [`realms/${escaped}`, `realms/${realm.name}/login/${escaped}`, `admin/realms/${escaped}/users?search=${escaped}`, escaped])
      await fetch(`${origin}/${path}`, { headers: { 'x-request-id': 'forged-1234' } });
    await fetch(`${origin}/realms/${realm.name}/protocol/openid-connect/token`, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: text, client_id: text, client_secret: text, code: text }),
    });
    const bytes = Buffer.from(text.replaceAll(/[\r\n\0]/g, ' '), 'utf8').toString('latin1');
    await sendRaw(
      origin,
      `GET /realms/${realm.name} HTTP/1.1\r\nhost: x\r\nuser-agent: ${bytes}\r\nx-request-id: ${bytes}\r\nx-forwarded-for: ${bytes}\r\nconnection: close\r\n\r\n`,
    );
    await sendRaw(origin, `${bytes} /${bytes} HTTP/1.1\r\nhost: ${bytes}\r\n\r\n`);
    await sendRaw(origin, `GET /${bytes} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);
  }
  await server.stop();
  const lines = server.lines().filter((line) => line !== '');
  t.true(lines.length > nasty.length * 6, `${lines.length} lines`);
  for (const line of lines) {
    t.notThrows(() => JSON.parse(line), line);
    t.not(JSON.parse(line).msg, 'forged');
    t.notRegex(line, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  }
});
