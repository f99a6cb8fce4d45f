/** The command in processes of its own, on both engines, beside a running server and beside itself. */
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import type { DatabaseConfig } from '../../src/store/database.ts';
import { atEnd } from '../support/cleanup.ts';
import { type Ended, type Running, runCardea, settingsFor, startCommand } from '../support/command.ts';
import { forEachEngine, onSqlite, temporaryFolder } from '../support/databases.ts';
import { totpCode } from '../support/factors.ts';
import { freePort } from '../support/ports.ts';

type Env = Record<string, string>;

/** The document of a command that must succeed. */
async function ok(t: ExecutionContext, env: Env, args: string[], input?: string) {
  const { status, stdout, stderr } = await runCardea([...args, '--json'], env, input);
  t.is(status, 0, `cardea ${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout);
}

async function refused(t: ExecutionContext, env: Env, args: string[], says: RegExp, input?: string): Promise<Ended> {
  const ended = await runCardea(args, env, input);
  t.is(ended.status, 1, ended.stderr);
  t.is(ended.stdout, '');
  t.regex(ended.stderr, says);
  t.is(ended.stderr.trimEnd().split('\n').length, 1, ended.stderr);
  return ended;
}

/** Settings of a server on free ports; `demo` starts the application beside it. */
async function serverSettings(config: DatabaseConfig, more: Env = {}): Promise<Env> {
  return settingsFor(config, { PORT: String(await freePort()), CARDEA_DEMO_PORT: String(await freePort()), ...more });
}

function serve(env: Env): Running {
  const server = startCommand(['serve'], env);
  atEnd(async () => {
    if (server.process.exitCode === null) server.process.kill('SIGKILL');
    await server.ended;
  });
  return server;
}

const originOf = (env: Env): string => `http://localhost:${env.PORT}`;
const appOf = (key: string) => ({ secret: key, digits: 6, period: 30, algorithm: 'sha1' }) as const;

/** Enrols an app, typing the code that its link leads to. */
async function enrol(env: Env, realm: string, user: string, more: string[] = []): Promise<Ended & { key: string; code: string }> {
  const args = [
    'mfa',
    'enroll',
    '--realm',
    realm,
    '--user',
    user,
    '--account',
    `${user}@example.com`,
    '--issuer',
    'Example',
    '--code-stdin',
    ...more,
  ];
  const command = startCommand(args, env);
  const [, key = ''] = /secret=([A-Z2-7]+)/.exec(await command.printed(/secret=[A-Z2-7]+.*\n/)) ?? [];
  const code = totpCode(appOf(key), Date.now());
  command.type(`${code}\n`);
  return { ...(await command.ended), key, code };
}

forEachEngine((engine) => {
  engine.test('realms, clients and users are made, listed, and refused when they are there already', async (t) => {
    const env = settingsFor(await engine.settings({ empty: true }));
    const realm = await ok(t, env, ['realm', 'create', 'staff', '--mfa', 'required', '--display-name', 'The Staff']);
    t.is(realm.issuer, 'http://localhost:8080/realms/staff');
    t.is(realm.mfa, 'required');
    await refused(t, env, ['realm', 'create', 'staff'], /^cardea: name: /);
    t.deepEqual(
      (await ok(t, env, ['realm', 'list'])).map((one: { name: string }) => one.name),
      ['master', 'staff'],
    );

    const uris = ['--redirect-uri', 'https://wiki.example/a', '--redirect-uri', 'https://wiki.example/b', '--first-party'];
    const client = await ok(t, env, ['client', 'create', '--realm', 'staff', '--client-id', 'wiki', ...uris]);
    t.deepEqual(client.redirectUris, ['https://wiki.example/a', 'https://wiki.example/b']);
    t.like(client, { clientId: 'wiki', public: false, firstParty: true, serviceAccount: true });
    t.regex(client.secret, /^[\w-]{43}$/);
    await refused(t, env, ['client', 'create', '--realm', 'staff', '--client-id', 'wiki'], /^cardea: clientId: /);
    t.like(await ok(t, env, ['client', 'create', '--realm', 'staff', '--client-id', 'app', '--public']), { public: true, serviceAccount: false });
    t.like(await ok(t, env, ['client', 'create', '--realm', 'staff', '--client-id', 'web', '--no-service-account']), { serviceAccount: false });
    t.true((await ok(t, env, ['client', 'list', '--realm', 'staff'])).some((one: { clientId: string }) => one.clientId === 'wiki'));

    const create = (username: string, email: string) => [
      'user',
      'create',
      '--realm',
      'staff',
      '--username',
      username,
      '--email',
      email,
      '--password-stdin',
    ];
    const user = await ok(
      t,
      env,
      [...create('erin', 'erin@example.com'), '--first-name', 'Erin', '--last-name', 'Example', '--email-verified'],
      'correct horse\n',
    );
    t.like(user, { username: 'erin', email: 'erin@example.com', emailVerified: true, firstName: 'Erin', lastName: 'Example' });
    await refused(t, env, create('ERIN', 'other@example.com'), /^cardea: username: /, 'correct horse');
    await refused(t, env, create('other', 'Erin@Example.com'), /^cardea: email: /, 'correct horse');
    t.is((await ok(t, env, ['user', 'list', '--realm', 'staff'])).length, 1);
    await ok(t, env, ['user', 'set-password', '--realm', 'staff', '--username', 'erin', '--password-stdin'], 'another horse');
    await ok(
      t,
      env,
      ['user', 'create', '--realm', 'master', '--username', 'root', '--role', 'admin', '--role', 'create-realm', '--password-stdin'],
      'correct horse',
    );
  });

  engine.test('roles and groups are made, listed, given and taken', async (t) => {
    const env = settingsFor(await engine.settings({ empty: true }));
    await ok(t, env, ['realm', 'create', 'staff']);
    await ok(t, env, ['client', 'create', '--realm', 'staff', '--client-id', 'wiki']);
    await ok(t, env, ['user', 'create', '--realm', 'staff', '--username', 'erin', '--no-password']);
    const inStaff = (...args: string[]) => ok(t, env, [...args, '--realm', 'staff']);
    t.like(await inStaff('role', 'create', '--name', 'seller', '--description', 'Sells'), { name: 'seller', client: null, description: 'Sells' });
    t.like(await inStaff('role', 'create', '--client', 'wiki', '--name', 'editor'), { name: 'editor', client: 'wiki' });
    await refused(t, env, ['role', 'create', '--realm', 'staff', '--name', 'seller'], /^cardea: name: .*already/);
    t.like(await inStaff('group', 'create', '--name', 'sales', '--role', 'seller'), { path: '/sales' });
    t.like(await inStaff('group', 'create', '--name', 'emea', '--parent', '/sales'), { path: '/sales/emea' });
    t.deepEqual(
      (await inStaff('group', 'list')).map(({ path }: { path: string }) => path),
      ['/sales', '/sales/emea'],
    );
    t.deepEqual(await inStaff('user', 'add-role', '--username', 'erin', '--client', 'wiki', '--role', 'editor'), {
      realm: 'staff',
      username: 'erin',
      client: 'wiki',
      roles: ['editor'],
    });
    t.like(await inStaff('group', 'add-member', '--group', '/sales/emea', '--user', 'erin'), { group: '/sales/emea', username: 'erin' });
    const listed = async (...args: string[]) =>
      (await inStaff('role', 'list', ...args)).map(({ client, name }: { client: string | null; name: string }) => `${client ?? ''}/${name}`);
    t.deepEqual(await listed(), ['/default-roles-staff', '/offline_access', '/seller', '/uma_authorization']);
    t.deepEqual(await listed('--client', 'wiki'), ['wiki/editor']);
    t.deepEqual(await listed('--user', 'erin', '--client', 'wiki'), ['wiki/editor']);
    t.true((await listed('--user', 'erin')).includes('/seller'));

    await inStaff('group', 'remove-role', '--group', '/sales', '--role', 'seller');
    t.false((await listed('--user', 'erin')).includes('/seller'));
    await inStaff('group', 'add-role', '--group', '/sales/emea', '--client', 'wiki', '--role', 'editor');
    await inStaff('user', 'remove-role', '--username', 'erin', '--client', 'wiki', '--role', 'editor');
    t.true((await listed('--user', 'erin')).includes('wiki/editor'));
    await inStaff('group', 'remove-member', '--group', '/sales/emea', '--user', 'erin');
    t.false((await listed('--user', 'erin')).includes('wiki/editor'));
    await refused(t, env, ['group', 'remove-member', '--realm', 'staff', '--group', '/sales', '--user', 'erin'], /no member/);
    await refused(t, env, ['group', 'add-member', '--realm', 'staff', '--group', '/nope', '--user', 'erin'], /no group "\/nope"/);
    await refused(t, env, ['user', 'add-role', '--realm', 'staff', '--username', 'erin', '--role', 'nope'], /no role "nope"/);
  });

  engine.test('new keys are published, then sign, and the old ones retire, by their times', async (t) => {
    const env = settingsFor(await engine.settings({ empty: true }));
    await ok(t, env, ['realm', 'create', 'keys']);
    await ok(t, env, ['realm', 'create', 'soon']);
    type Key = { kid: string; algorithm: string; use: string; signFrom: string; publishAt: string; retireAt: string | null };
    const list = (realm: string): Promise<Key[]> => ok(t, env, ['keys', 'list', '--realm', realm]);
    const rotate = async (realm: string, ...times: string[]): Promise<Key[]> =>
      (await ok(t, env, ['keys', 'rotate', '--realm', realm, ...times])).keys;
    const seconds = (from: string, to: string | null | undefined): number => Math.round((Date.parse(to ?? '') - Date.parse(from)) / 1000);
    const uses = async (realm: string, keys: Key[]) =>
      new Set((await list(realm)).filter(({ kid }) => keys.some((key) => key.kid === kid)).map(({ use }) => use));

    const old = await list('keys');
    const next = await rotate('keys', '--keep', '100');
    t.deepEqual(await uses('keys', next), new Set(['next']));
    t.deepEqual(await uses('keys', old), new Set(['signing']));
    t.is(seconds(next[0]?.publishAt ?? '', next[0]?.signFrom), 600);
    const retiring = (await list('keys')).find(({ kid }) => kid === old[0]?.kid);
    t.is(seconds(next[0]?.signFrom ?? '', retiring?.retireAt), 100);

    const made = await rotate('keys', '--algorithm', 'RS256', '--publish-ahead', '0');
    t.is(made.length, 1);
    t.deepEqual(await uses('keys', made), new Set(['signing']));
    t.deepEqual(
      await uses(
        'keys',
        old.filter(({ algorithm }) => algorithm !== 'RS256'),
      ),
      new Set(['signing']),
      'the others go on as they did',
    );

    const first = await list('soon');
    const second = await rotate('soon', '--publish-ahead', '0', '--keep', '3600');
    t.deepEqual(await uses('soon', second), new Set(['signing']));
    t.deepEqual(await uses('soon', first), new Set(['retired']));
    const third = await rotate('soon', '--publish-ahead', '0', '--keep', '0');
    t.deepEqual(await uses('soon', third), new Set(['signing']));
    t.deepEqual(await uses('soon', second), new Set(['gone']));
    t.is(new Set([...first, ...second, ...third].map(({ kid }) => kid)).size, 9);
  });

  engine.test('an authenticator app is enrolled by a code, and each code is right once', async (t) => {
    const env = settingsFor(await engine.settings({ empty: true }));
    await ok(t, env, ['realm', 'create', 'apps']);
    await ok(t, env, ['user', 'create', '--realm', 'apps', '--username', 'erin', '--email', 'erin@example.com', '--no-password']);
    const forErin = ['--realm', 'apps', '--user', 'erin'];
    t.deepEqual(await ok(t, env, ['mfa', 'list', ...forErin]), []);

    const enrolled = await enrol(env, 'apps', 'erin', ['--json']);
    t.is(enrolled.status, 0, enrolled.stderr);
    const document = JSON.parse(enrolled.stdout);
    t.like(document, { account: 'erin@example.com', issuer: 'Example', label: 'erin@example.com', key: enrolled.key });
    const link = new URL(document.otpauth);
    t.is(decodeURIComponent(link.pathname), '/Example:erin@example.com');
    t.is(link.searchParams.get('issuer'), 'Example');
    const listed = await ok(t, env, ['mfa', 'list', ...forErin]);
    t.like(listed[0], { id: document.id, label: 'erin@example.com', factor: 'totp', enabled: true });
    t.false(JSON.stringify(listed).includes(enrolled.key));

    const verify = ['mfa', 'verify', ...forErin, '--code-stdin'];
    await refused(t, env, verify, /used before/, `${enrolled.code}\n`);
    const next = totpCode(appOf(enrolled.key), Date.now() + 30_000);
    const right = await runCardea(verify, env, next);
    t.is(right.status, 0, right.stderr);
    t.false((right.stdout + right.stderr).includes(next));
    t.false((right.stdout + right.stderr).includes(enrolled.key));
    await refused(t, env, verify, /used before/, next);
    const wrong = await runCardea([...verify, '--json'], env, 'abc');
    t.is(wrong.status, 1);
    t.like(JSON.parse(wrong.stdout), { ok: false, reason: 'wrong' });
  });

  engine.test('wrong codes are counted as those of the sign-in page, until they must wait', async (t) => {
    const env = settingsFor(await engine.settings({ empty: true }));
    await ok(t, env, ['user', 'create', '--realm', 'master', '--username', 'erin', '--no-password']);
    const { key } = await enrol(env, 'master', 'erin');
    const verify = ['mfa', 'verify', '--realm', 'master', '--user', 'erin'];
    for (let failure = 1; failure <= 10; failure += 1) await refused(t, env, verify, /not right/, 'abc');
    await refused(t, env, verify, /Too many attempts/, totpCode(appOf(key), Date.now() + 30_000));
  });

  engine.serial('of several servers that start at once on a new database, one makes what the first start makes', async (t) => {
    const config = await engine.settings({ empty: true });
    // The ports are free ones, the keys are the same: on PostgreSQL each process may have a data folder of its own.
    const key = `k:${Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString('base64url')}`;
    const common = { CARDEA_DEMO: 'on', CARDEA_MASTER_KEY: key };
    const servers = await Promise.all([1, 2, 3].map(async () => serve(await serverSettings(config, common))));
    const banners = await Promise.all(servers.map((server) => server.printed(/Administrator.*\n/)));
    const credentials = /Demo user +alice \/ \S{23}\n +Administrator +admin \/ \S{23}\n/;
    t.is(banners.filter((text) => credentials.test(text)).length, 1);
    t.is(banners.filter((text) => /Demo user +as shown.*\n +Administrator +as shown/.test(text)).length, 2);
    for (const server of servers) server.process.kill('SIGTERM');
    for (const server of servers) t.is((await server.ended).status, 0);
    t.deepEqual(
      (await ok(t, settingsFor(config, common), ['realm', 'list'])).map((one: { name: string }) => one.name),
      ['demo', 'master'],
    );
  });

  engine.serial('commands work beside a running server, which sees at once what they changed', async (t) => {
    const env = await serverSettings(await engine.settings({ empty: true }));
    const server = serve(env);
    await server.printed('Cardea is running');
    const status = async (): Promise<number> => (await fetch(`${originOf(env)}/realms/beside`)).status;
    t.is(await status(), 404);
    await ok(t, env, ['realm', 'create', 'beside']);
    t.is(await status(), 200);
    const jwks = async (): Promise<string[]> => {
      const answer: unknown = await (await fetch(`${originOf(env)}/realms/beside/protocol/openid-connect/certs`)).json();
      return JSON.stringify(answer).match(/"kid":"[^"]+"/g) ?? [];
    };
    t.is((await jwks()).length, 3);
    await ok(t, env, ['keys', 'rotate', '--realm', 'beside']);
    t.is((await jwks()).length, 6);
    server.process.kill('SIGTERM');
    t.is((await server.ended).status, 0);
  });

  engine.test('a master key that is not the database’s refuses to start, and changes nothing', async (t) => {
    const config = await engine.settings({ empty: true });
    const env = settingsFor(config);
    await ok(t, env, ['realm', 'create', 'sealed']);
    const file = join(config.dataDir, 'master.key');
    const rightKey = readFileSync(file, 'utf8');
    t.is(statSync(file).mode & 0o777, 0o600);

    const wrong = `${rightKey.split(':')[0]}:${Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString('base64url')}`;
    const starts = [['serve'], ['realm', 'list']];
    for (const args of starts) {
      const { stderr } = await refused(t, { ...env, CARDEA_MASTER_KEY: wrong }, args, /The master key is not the one/);
      t.false(stderr.includes(wrong.split(':')[1] ?? ''));
    }
    // A lost key is not replaced by a new one.
    const elsewhere = { ...config, dataDir: engine.engine === 'postgres' ? join(temporaryFolder(), 'data') : config.dataDir };
    if (engine.engine === 'sqlite') writeFileSync(file, `${wrong}\n`);
    const why = engine.engine === 'sqlite' ? /The master key is not the one/ : /There is no master key/;
    await refused(t, settingsFor(elsewhere), ['realm', 'list'], why);
    t.is(existsSync(join(elsewhere.dataDir, 'master.key')), engine.engine === 'sqlite');
    // The right one, and a newer one that wraps while the right one still opens.
    t.is((await ok(t, { ...env, CARDEA_MASTER_KEY: rightKey.trim() }, ['realm', 'list'])).length, 2);
    t.is((await ok(t, { ...env, CARDEA_MASTER_KEY: `new-${wrong},${rightKey.trim()}` }, ['realm', 'list'])).length, 2);
  });
});

onSqlite.serial('the first administrator and the first service account come from the settings, once', async (t) => {
  const given = { CARDEA_BOOTSTRAP_ADMIN_USERNAME: 'root', CARDEA_BOOTSTRAP_ADMIN_PASSWORD: 'a sentence to keep' };
  const client = { CARDEA_BOOTSTRAP_CLIENT_ID: 'terraform', CARDEA_BOOTSTRAP_CLIENT_SECRET: 'a secret of some length' };
  const env = await serverSettings(await onSqlite.settings({ empty: true }), { ...given, ...client });
  for (const start of [1, 2]) {
    const server = serve(env);
    const banner = await server.printed(/Administrator.*\n/);
    t.regex(banner, /Administrator +root, with the password of your settings/, `start ${start}`);
    t.false(banner.includes('a sentence to keep'));
    server.process.kill('SIGINT');
    t.is((await server.ended).status, 0);
  }
  t.is((await ok(t, env, ['user', 'list', '--realm', 'master'])).length, 1);
  const clients = await ok(t, env, ['client', 'list', '--realm', 'master']);
  t.like(
    clients.find((one: { clientId: string }) => one.clientId === 'terraform'),
    { serviceAccount: true, public: false },
  );
});

onSqlite.serial('the demo moves with its port, and its client keeps its secret', async (t) => {
  const config = await onSqlite.settings({ empty: true });
  const uris: string[] = [];
  for (const start of [1, 2]) {
    const env = await serverSettings(config, { CARDEA_DEMO: 'on' });
    const server = serve(env);
    const banner = await server.printed(/Administrator.*\n/);
    t.true(banner.includes(`http://localhost:${env.CARDEA_DEMO_PORT}/\n`), `start ${start}`);
    t.is((await fetch(`http://localhost:${env.CARDEA_DEMO_PORT}/`)).status, 200);
    const demo = (await ok(t, env, ['client', 'list', '--realm', 'demo'])).find((one: { clientId: string }) => one.clientId === 'demo-app');
    t.deepEqual(demo.redirectUris, [`http://localhost:${env.CARDEA_DEMO_PORT}/callback`]);
    t.deepEqual(demo.postLogoutRedirectUris, [`http://localhost:${env.CARDEA_DEMO_PORT}/`]);
    uris.push(...demo.redirectUris);
    server.process.kill('SIGTERM');
    t.is((await server.ended).status, 0);
  }
  t.is(new Set(uris).size, 2);
});

onSqlite.serial('a port that is taken is said in one line, with the setting to change', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  atEnd(() => taken.close());
  const address = taken.address();
  const port = String(typeof address === 'object' ? address?.port : 0);
  const config = await onSqlite.settings();
  const { stderr } = await runCardea(['serve'], await serverSettings(config, { PORT: port }));
  t.regex(stderr, new RegExp(`cardea: Port ${port} is used by another program. Set PORT to a free one.\n$`));
  const demo = await runCardea(['serve'], await serverSettings(config, { CARDEA_DEMO: 'on', CARDEA_DEMO_PORT: port }));
  t.is(demo.status, 1);
  t.regex(demo.stderr, /Set CARDEA_DEMO_PORT/);
});

onSqlite.serial('a server that is stopped finishes the request under way; a second signal ends it at once', async (t) => {
  const env = await serverSettings(await onSqlite.settings({ empty: true }));
  for (const signals of [1, 2]) {
    const server = serve(env);
    await server.printed('Cardea is running');
    // A request whose body never comes keeps a connection busy.
    const { connect } = await import('node:net');
    const socket = connect(Number(env.PORT), '127.0.0.1');
    socket.on('error', () => undefined);
    await new Promise<void>((resolve) => socket.once('connect', resolve));
    socket.write(
      'POST /realms/master/protocol/openid-connect/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\na=',
    );
    // The server says so when it has the request.
    await once(socket, 'data');
    server.process.kill('SIGTERM');
    await pause(700);
    t.is(server.process.exitCode, null, 'it waits for the request');
    if (signals === 1) socket.end('12345678');
    // A busy machine may look at the first so late that both are one.
    else for (; server.process.exitCode === null && server.process.signalCode === null; await pause(200)) server.process.kill('SIGTERM');
    const ended = await server.ended;
    t.is(ended.status, signals === 2 ? 143 : 0);
    socket.destroy();
  }
});

onSqlite.test('a password stands in no argument, no output and no file', async (t) => {
  const config = await onSqlite.settings({ empty: true });
  const env = settingsFor(config, { LOG_LEVEL: 'trace' });
  const secret = 'correct horse battery staple';
  const command = startCommand(['user', 'create', '--realm', 'master', '--username', 'erin', '--password-stdin', '--json'], env);
  if (existsSync('/proc/self/cmdline')) t.false(readFileSync(`/proc/${command.process.pid}/cmdline`, 'utf8').includes(secret));
  command.process.stdin?.end(`${secret}\n`);
  const { status, stdout, stderr } = await command.ended;
  t.is(status, 0, stderr);
  t.false((stdout + stderr).includes(secret));
  for (const name of ['cardea.db', 'cardea.db-wal']) {
    const file = join(config.dataDir, name);
    if (existsSync(file)) t.false(readFileSync(file).includes(secret), name);
  }
});

onSqlite.test('an enrolment draws its code as a picture for its owner alone, which goes when it is not confirmed', async (t) => {
  const env = settingsFor(await onSqlite.settings({ empty: true }));
  const folder = temporaryFolder();
  await ok(t, env, ['user', 'create', '--realm', 'master', '--username', 'erin', '--no-password']);
  const logo = join(folder, 'logo.svg');
  writeFileSync(logo, '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 1"><rect width="2" height="1"/></svg>');
  const picture = join(folder, 'erin.svg');
  const drawn = await enrol(env, 'master', 'erin', ['--qr', 'svg', '--out', picture, '--logo', logo]);
  t.is(drawn.status, 0, drawn.stderr);
  t.is(statSync(picture).mode & 0o777, 0o600);
  t.regex(readFileSync(picture, 'utf8'), /^<svg.*<image/s);

  const begin = ['mfa', 'enroll', '--realm', 'master', '--user', 'erin', '--code-stdin'];
  await refused(t, env, [...begin, '--out', picture], /^cardea: out: /, '000000\n');
  const image = join(folder, 'erin.png');
  const wrong = await runCardea([...begin, '--out', image], env, 'abc\n');
  t.is(wrong.status, 1);
  t.regex(wrong.stderr, /^cardea: code: /);
  t.false(existsSync(image));
  t.is((await ok(t, env, ['mfa', 'list', '--realm', 'master', '--user', 'erin'])).length, 1);
  t.regex((await runCardea([...begin, '--qr', 'svg'], env, 'abc\n')).stdout, /<svg/);
  t.regex((await runCardea(begin, env, 'abc\n')).stdout, /\u2588|\u2584/);
  for (const wrongly of [
    ['--qr', 'png'],
    ['--logo', logo],
    ['--qr', 'terminal', '--json'],
    ['--qr', 'terminal', '--out', image],
  ]) {
    t.is((await runCardea([...begin, ...wrongly], env)).status, 2, wrongly.join(' '));
  }
});

onSqlite.test('migrate needs no master key, and says what it ran', async (t) => {
  const config = await onSqlite.settings({ empty: true });
  const env = settingsFor(config);
  const first = await ok(t, env, ['migrate']);
  t.is(first.engine, 'sqlite');
  t.true(first.migrations.length > 0);
  t.deepEqual((await ok(t, env, ['migrate'])).migrations, []);
  t.false(existsSync(join(config.dataDir, 'master.key')));
});
