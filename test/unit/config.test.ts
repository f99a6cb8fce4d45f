import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { ConfigError, loadConfig } from '../../src/config.ts';
import { MAKER_ROOT } from '../support/attestation.ts';

const KEY = `k1:${randomBytes(32).toString('base64url')}`;
const production = { NODE_ENV: 'production', CARDEA_MASTER_KEY: KEY, CARDEA_ORIGIN: 'https://id.example.com' };

function problemsOf(t: ExecutionContext, env: NodeJS.ProcessEnv): string[] {
  const error = t.throws(() => loadConfig(env), { instanceOf: ConfigError });
  return error?.problems ?? [];
}

/** One mistake, said in one line that begins with the variable and shows a right value. */
function oneProblem(t: ExecutionContext, env: NodeJS.ProcessEnv, variable: string, pattern: RegExp): void {
  const problems = problemsOf(t, env);
  t.is(problems.length, 1, problems.join('\n'));
  t.true(problems[0]?.startsWith(`${variable} `), problems[0]);
  t.regex(problems[0] ?? '', pattern);
  t.false(problems[0]?.includes('\n'), 'one line');
}

test('nothing set: a server for this machine, with the demo', (t) => {
  t.deepEqual(loadConfig({}), {
    port: 8080,
    host: '127.0.0.1',
    origin: 'http://localhost:8080',
    dataDir: resolve('.data'),
    databaseUrl: undefined,
    masterKeys: undefined,
    production: false,
    demo: true,
    demoPort: 8081,
    bootstrap: { admin: undefined, client: undefined },
    outboundAllow: [],
    factorModules: [],
    trustProxy: 0,
    clientCertificates: undefined,
    logLevel: 'info',
    metrics: { port: undefined, token: undefined },
    mail: null,
    sms: null,
    passwordHash: { memoryKiB: 7168, passes: 5, parallelism: 1 },
  });
});

test('where the server may connect to besides: hosts and ranges, each with a port, all ports or the usual ones', (t) => {
  const read = (entry: string) => loadConfig({ CARDEA_OUTBOUND_ALLOW: entry }).outboundAllow;
  const cases: [string, 'host' | 'range', string, number | '*' | null][] = [
    ['hooks.example', 'host', 'hooks.example', null],
    ['bücher.example:*', 'host', 'xn--bcher-kva.example', '*'],
    ['127.0.0.1:80', 'host', '127.0.0.1', 80],
    ['::1', 'host', '::1', null],
    ['[0:0::1]:8080', 'host', '::1', 8080],
    ['10.0.0.0/8:443', 'range', '10.0.0.0/8', 443],
    ['fd00::/8', 'range', 'fd00::/8', null],
    ['[fd00::/8]:443', 'range', 'fd00::/8', 443],
    ['0.0.0.0/0:*', 'range', '0.0.0.0/0', '*'],
  ];
  for (const [entry, kind, target, port] of cases) t.deepEqual(read(entry), [{ kind, target, port }], entry);
});

test('everything set', (t) => {
  const config = loadConfig({
    NODE_ENV: 'production',
    PORT: ' 9000 ',
    HOST: '0.0.0.0',
    CARDEA_ORIGIN: 'https://ID.Example.com:443/',
    CARDEA_DATA_DIR: '/var/lib/cardea',
    DATABASE_URL: 'postgresql://cardea:s3cr%40t@db:5432/cardea?sslmode=require',
    CARDEA_MASTER_KEY: `${KEY},old:${randomBytes(32).toString('base64url')}`,
    CARDEA_DEMO: 'on',
    CARDEA_DEMO_PORT: '9100',
    CARDEA_BOOTSTRAP_ADMIN_USERNAME: 'Zoë',
    CARDEA_BOOTSTRAP_ADMIN_PASSWORD: 'correct horse',
    CARDEA_BOOTSTRAP_CLIENT_ID: 'terraform',
    CARDEA_BOOTSTRAP_CLIENT_SECRET: 'a-long-enough-secret',
    CARDEA_OUTBOUND_ALLOW: 'Hooks.intranet.example, localhost:9000,10.20.0.0/16',
    CARDEA_FACTOR_MODULES: './badge.js, @example/pager,',
    CARDEA_TRUST_PROXY: '2',
    LOG_LEVEL: 'WARN',
    CARDEA_METRICS_PORT: '9464',
    CARDEA_METRICS_TOKEN: 'a-token-for-the-scraper',
    CARDEA_ARGON2_MEMORY_KIB: '19456',
    CARDEA_ARGON2_PASSES: '2',
  });
  t.like(config, {
    port: 9000,
    host: '0.0.0.0',
    origin: 'https://id.example.com',
    dataDir: '/var/lib/cardea',
    databaseUrl: 'postgresql://cardea:s3cr%40t@db:5432/cardea?sslmode=require',
    production: true,
    demo: true,
    demoPort: 9100,
    bootstrap: { admin: { username: 'Zoë', password: 'correct horse' }, client: { clientId: 'terraform', secret: 'a-long-enough-secret' } },
    outboundAllow: [
      { kind: 'host', target: 'hooks.intranet.example', port: null },
      { kind: 'host', target: 'localhost', port: 9000 },
      { kind: 'range', target: '10.20.0.0/16', port: null },
    ],
    factorModules: ['./badge.js', '@example/pager'],
    trustProxy: 2,
    logLevel: 'warn',
    metrics: { port: 9464, token: 'a-token-for-the-scraper' },
    passwordHash: { memoryKiB: 19456, passes: 2, parallelism: 1 },
  });
  t.deepEqual(
    config.masterKeys?.map((key) => key.id),
    ['k1', 'old'],
  );
});

test('an empty variable is an absent one', (t) => {
  const names = [
    'PORT',
    'HOST',
    'CARDEA_ORIGIN',
    'CARDEA_DATA_DIR',
    'DATABASE_URL',
    'CARDEA_MASTER_KEY',
    'CARDEA_DEMO',
    'CARDEA_DEMO_PORT',
    'LOG_LEVEL',
  ];
  t.deepEqual(loadConfig(Object.fromEntries(names.map((name, index) => [name, index % 2 === 0 ? '' : ' ']))), loadConfig({}));
});

test('the settings cannot be changed afterwards', (t) => {
  const config = loadConfig({ CARDEA_BOOTSTRAP_ADMIN_USERNAME: 'admin', CARDEA_BOOTSTRAP_ADMIN_PASSWORD: 'correct horse' });
  for (const part of [config, config.bootstrap, config.bootstrap.admin, config.passwordHash]) t.true(Object.isFrozen(part));
});

test('every mistake is reported at once', (t) => {
  const problems = problemsOf(t, { PORT: 'x', HOST: 'a b', LOG_LEVEL: 'loud', CARDEA_TRUST_PROXY: '-1', CARDEA_DEMO: 'maybe' });
  t.deepEqual(
    problems.map((problem) => problem.split(' ')[0]),
    ['PORT', 'HOST', 'CARDEA_DEMO', 'CARDEA_TRUST_PROXY', 'LOG_LEVEL'],
  );
  const error = t.throws(() => loadConfig({ PORT: 'x', HOST: 'a b' }));
  t.is(error?.message.split('\n').length, 3);
});

test('a port is a number from 0 to 65535', (t) => {
  for (const PORT of ['x', '-1', '65536', '80.5', '1e3', '0x50', '8080 8081', '99999999999999999999']) {
    oneProblem(t, { PORT }, 'PORT', /not a whole number from 0 to 65535; for example 8080$/);
  }
  t.is(loadConfig({ PORT: '80' }).origin, 'http://localhost');
});

test('port 0 is for those who say the origin', (t) => {
  oneProblem(t, { PORT: '0' }, 'CARDEA_ORIGIN', /with PORT=0/);
  const config = loadConfig({ PORT: '0', CARDEA_ORIGIN: 'http://localhost:4321' });
  t.like(config, { port: 0, demoPort: 0, origin: 'http://localhost:4321' });
});

test('the host is an address or a name, nothing more', (t) => {
  for (const HOST of ['http://localhost', 'localhost:8080', 'a b', '[::1]', '-x', 'a/b']) oneProblem(t, { HOST }, 'HOST', /for example 127\.0\.0\.1/);
  for (const HOST of ['0.0.0.0', '::', '::1', 'localhost', 'cardea.internal']) t.is(loadConfig({ HOST }).host, HOST);
});

test('the origin is an origin', (t) => {
  const wrong = [
    'id.example.com',
    'localhost:8080',
    'https://',
    'https:///x',
    'https:id.example.com',
    'https://id.example.com/auth',
    'https://id.example.com//',
    'https://id.example.com?',
    'https://id.example.com#',
    'https://id.example.com?a=b',
    'https://id.example.com\\x',
    'https://user@id.example.com',
    'https://user:hunter22@id.example.com',
    'ftp://id.example.com',
    'javascript://id.example.com',
    'https://id.example.com:99999',
    'https://a b',
    'https://[::1',
  ];
  for (const CARDEA_ORIGIN of wrong) {
    oneProblem(t, { CARDEA_ORIGIN }, 'CARDEA_ORIGIN', /for example https:\/\/id\.example\.com$/);
    t.notRegex(problemsOf(t, { CARDEA_ORIGIN })[0] ?? '', /hunter22/);
  }
  const right: [string, string][] = [
    ['https://id.example.com', 'https://id.example.com'],
    ['HTTPS://ID.example.com/', 'https://id.example.com'],
    ['https://id.example.com:8443', 'https://id.example.com:8443'],
    ['http://192.168.1.5:8080', 'http://192.168.1.5:8080'],
    ['http://[::1]:8080', 'http://[::1]:8080'],
    ['https://bücher.example', 'https://xn--bcher-kva.example'],
  ];
  for (const [CARDEA_ORIGIN, origin] of right) t.is(loadConfig({ CARDEA_ORIGIN }).origin, origin);
});

test('in production the origin is https, except on this machine', (t) => {
  for (const origin of [
    'http://id.example.com',
    'http://192.168.1.5',
    'http://localhost.example.com',
    'http://127.0.0.1.example.com',
    'http://0.0.0.0',
  ]) {
    oneProblem(t, { ...production, CARDEA_ORIGIN: origin }, 'CARDEA_ORIGIN', /only https .* for example https:/);
    t.is(loadConfig({ CARDEA_ORIGIN: origin }).origin, origin, 'elsewhere it may');
  }
  for (const origin of ['http://localhost:8080', 'http://id.localhost', 'http://127.0.0.1:8080', 'http://[::1]:8080', 'https://id.example.com']) {
    t.is(loadConfig({ ...production, CARDEA_ORIGIN: origin }).origin, origin);
  }
});

test('production needs a master key', (t) => {
  oneProblem(t, { ...production, CARDEA_MASTER_KEY: '' }, 'CARDEA_MASTER_KEY', /is missing.*randomBytes\(32\)/);
});

test('secrets are never repeated', (t) => {
  const secret = 'hunter22hunter22';
  const cases: [string, string][] = [
    ['CARDEA_MASTER_KEY', secret],
    ['CARDEA_MASTER_KEY', `k1:${secret}`],
    ['CARDEA_MASTER_KEY', `${secret}:${secret}`],
    ['CARDEA_MASTER_KEY', `${KEY},${KEY}`],
    ['DATABASE_URL', `mysql://user:${secret}@db/x`],
    ['DATABASE_URL', `postgresql://user:${secret}@db:port/x`],
    ['DATABASE_URL', `user:${secret}@db`],
    ['CARDEA_ORIGIN', `https://user:${secret}@id.example.com`],
    ['CARDEA_BOOTSTRAP_ADMIN_PASSWORD', secret.repeat(100)],
    ['CARDEA_BOOTSTRAP_CLIENT_SECRET', 'hunter22'],
  ];
  for (const [variable, value] of cases) {
    const error = t.throws(() => loadConfig({ CARDEA_BOOTSTRAP_ADMIN_USERNAME: 'a', CARDEA_BOOTSTRAP_CLIENT_ID: 'c', [variable]: value }), {
      instanceOf: ConfigError,
    });
    t.true(
      error?.problems.some((problem) => problem.startsWith(variable)),
      variable,
    );
    t.notRegex(`${error?.message}${JSON.stringify(error?.problems)}${error?.stack}`, /hunter22/, variable);
    t.false(error?.message.includes(KEY.slice(3)));
  }
});

test('the database is PostgreSQL', (t) => {
  for (const DATABASE_URL of ['mysql://db/x', 'db', 'sqlite:x', 'postgresql:x', 'postgresql://u:p@db:x/y'])
    oneProblem(t, { DATABASE_URL }, 'DATABASE_URL', /for example postgresql:/);
  for (const DATABASE_URL of ['postgres://u:p@db/x', 'postgresql://db', 'postgresql:///x?host=/tmp', 'postgresql://u@%2Ftmp/x']) {
    t.is(loadConfig({ DATABASE_URL }).databaseUrl, DATABASE_URL);
  }
});

test('the demo is on by default unless in production or on PostgreSQL', (t) => {
  t.true(loadConfig({}).demo);
  t.false(loadConfig(production).demo);
  t.false(loadConfig({ DATABASE_URL: 'postgresql://db/x' }).demo);
  for (const CARDEA_DEMO of ['on', 'true', '1', 'ON']) t.true(loadConfig({ DATABASE_URL: 'postgresql://db/x', CARDEA_DEMO }).demo);
  for (const CARDEA_DEMO of ['off', 'false', '0', 'Off']) t.false(loadConfig({ CARDEA_DEMO }).demo);
  oneProblem(t, { CARDEA_DEMO: 'yes please' }, 'CARDEA_DEMO', /on, off, true, false, 1, 0; for example off/);
});

test('the demo application has a port of its own', (t) => {
  t.is(loadConfig({ PORT: '9000' }).demoPort, 9001);
  oneProblem(t, { CARDEA_DEMO_PORT: '8080' }, 'CARDEA_DEMO_PORT', /the same as PORT; for example 8081/);
  oneProblem(t, { PORT: '65535' }, 'CARDEA_DEMO_PORT', /no next port; for example 8081/);
  t.is(loadConfig({ PORT: '65535', CARDEA_DEMO: 'off' }).port, 65_535);
});

test('a first administrator and a first service account are given whole or not at all', (t) => {
  oneProblem(t, { CARDEA_BOOTSTRAP_ADMIN_USERNAME: 'admin' }, 'CARDEA_BOOTSTRAP_ADMIN_PASSWORD', /set both or neither/);
  oneProblem(t, { CARDEA_BOOTSTRAP_ADMIN_PASSWORD: 'correct horse' }, 'CARDEA_BOOTSTRAP_ADMIN_USERNAME', /set both or neither/);
  oneProblem(t, { CARDEA_BOOTSTRAP_CLIENT_ID: 'x' }, 'CARDEA_BOOTSTRAP_CLIENT_SECRET', /set both or neither/);
  oneProblem(t, { CARDEA_BOOTSTRAP_CLIENT_SECRET: 'a-long-enough-secret' }, 'CARDEA_BOOTSTRAP_CLIENT_ID', /set both or neither/);
  oneProblem(
    t,
    { CARDEA_BOOTSTRAP_ADMIN_USERNAME: 'admin', CARDEA_BOOTSTRAP_ADMIN_PASSWORD: 'short' },
    'CARDEA_BOOTSTRAP_ADMIN_PASSWORD',
    /fewer than 8/,
  );
  oneProblem(t, { CARDEA_BOOTSTRAP_CLIENT_ID: 'x', CARDEA_BOOTSTRAP_CLIENT_SECRET: 'short' }, 'CARDEA_BOOTSTRAP_CLIENT_SECRET', /fewer than 16/);
  oneProblem(
    t,
    { CARDEA_BOOTSTRAP_CLIENT_ID: 'a b', CARDEA_BOOTSTRAP_CLIENT_SECRET: 'a-long-enough-secret' },
    'CARDEA_BOOTSTRAP_CLIENT_ID',
    /for example terraform/,
  );
  oneProblem(
    t,
    { CARDEA_BOOTSTRAP_ADMIN_USERNAME: 'a\u0007b', CARDEA_BOOTSTRAP_ADMIN_PASSWORD: 'correct horse' },
    'CARDEA_BOOTSTRAP_ADMIN_USERNAME',
    /for example admin/,
  );
});

test('a password is taken as it is written, spaces and all', (t) => {
  t.is(
    loadConfig({ CARDEA_BOOTSTRAP_ADMIN_USERNAME: 'a', CARDEA_BOOTSTRAP_ADMIN_PASSWORD: ' correct horse ' }).bootstrap.admin?.password,
    ' correct horse ',
  );
});

test('proxies are counted from 0 to 10', (t) => {
  for (const entry of [
    'a b',
    'https://x.example',
    'x.example/path',
    'x@y.example',
    'x:0',
    'x:65536',
    'x:y',
    '10.0.0.0/33',
    '10.0/8',
    'fd00::/8:443',
    ':443',
    '1:2:3',
    '10.0.0.0/8/8',
  ])
    oneProblem(t, { CARDEA_OUTBOUND_ALLOW: `fine.example,${entry}` }, 'CARDEA_OUTBOUND_ALLOW', /neither a host nor a range of addresses/);
  for (const CARDEA_TRUST_PROXY of ['true', '11', '-1', '1.5', 'loopback'])
    oneProblem(t, { CARDEA_TRUST_PROXY }, 'CARDEA_TRUST_PROXY', /from 0 to 10; for example 1$/);
});

test('certificates of clients come from a proxy, and their authorities from a file of certificates', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'cardea-config-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'ca.pem');
  writeFileSync(file, MAKER_ROOT);
  const one = { CARDEA_TRUST_PROXY: '1', CARDEA_CLIENT_CERTIFICATE_HEADER: 'X-Client-Certificate' };
  t.deepEqual(loadConfig(one).clientCertificates, { header: 'x-client-certificate', authorities: [] });
  t.is(loadConfig({ CARDEA_TRUST_PROXY: '1' }).clientCertificates, undefined);
  oneProblem(t, { ...one, CARDEA_TRUST_PROXY: '0' }, 'CARDEA_CLIENT_CERTIFICATE_HEADER', /for example CARDEA_TRUST_PROXY=1$/);
  for (const name of ['Cookie', 'authorization', 'x-forwarded-for', 'Host', 'a b', 'a:b', 'DPoP', 'x-request-id'])
    oneProblem(t, { ...one, CARDEA_CLIENT_CERTIFICATE_HEADER: name }, 'CARDEA_CLIENT_CERTIFICATE_HEADER', /for example X-Client-Certificate$/);
  oneProblem(t, { CARDEA_CLIENT_CA: file }, 'CARDEA_CLIENT_CA', /of no use without/);
  for (const path of ['/nowhere.pem', fileURLToPath(import.meta.url)])
    oneProblem(t, { ...one, CARDEA_CLIENT_CA: path }, 'CARDEA_CLIENT_CA', /\.pem$/);
  t.is(loadConfig({ ...one, CARDEA_CLIENT_CA: file }).clientCertificates?.authorities.length, 1);
});

test('log levels are those of pino', (t) => {
  oneProblem(t, { LOG_LEVEL: 'verbose' }, 'LOG_LEVEL', /trace, debug, info, warn, error, fatal, silent; for example info/);
  t.is(loadConfig({ LOG_LEVEL: 'silent' }).logLevel, 'silent');
  oneProblem(t, { CARDEA_METRICS_PORT: '8080' }, 'CARDEA_METRICS_PORT', /the same as PORT; for example 9464/);
  oneProblem(t, { CARDEA_METRICS_TOKEN: 'short' }, 'CARDEA_METRICS_TOKEN', /at least 16 letters/);
});

test('production does not hash passwords more weakly than the default', (t) => {
  t.deepEqual(loadConfig({ CARDEA_ARGON2_MEMORY_KIB: '8', CARDEA_ARGON2_PASSES: '1' }).passwordHash, { memoryKiB: 8, passes: 1, parallelism: 1 });
  oneProblem(
    t,
    { ...production, CARDEA_ARGON2_MEMORY_KIB: '7167' },
    'CARDEA_ARGON2_MEMORY_KIB',
    /too weak for production \(7167 KiB with 5 passes\); the least is 7168 with 5, /,
  );
  oneProblem(t, { ...production, CARDEA_ARGON2_PASSES: '4' }, 'CARDEA_ARGON2_PASSES', /too weak/);
  t.like(loadConfig({ ...production, CARDEA_ARGON2_MEMORY_KIB: '47104', CARDEA_ARGON2_PASSES: '1' }), {
    passwordHash: { memoryKiB: 47104, passes: 1 },
  });
  oneProblem(t, { CARDEA_ARGON2_MEMORY_KIB: '7' }, 'CARDEA_ARGON2_MEMORY_KIB', /from 8 to 1048576; for example 7168/);
  oneProblem(t, { CARDEA_ARGON2_PASSES: '0' }, 'CARDEA_ARGON2_PASSES', /from 1 to 100; for example 5/);
});

test('what is shown of a wrong value cannot break the line or flood it', (t) => {
  oneProblem(t, { HOST: `a\nPORT=1\u001b[31m${'x'.repeat(10_000)}` }, 'HOST', /^HOST is "a\\nPORT=1\\u001b/);
  t.true((problemsOf(t, { HOST: 'é'.repeat(10_000) })[0]?.length ?? 0) < 400);
});
