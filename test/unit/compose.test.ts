/**
 * The container files, read as Docker would: there is no Docker where these tests run, so what can be known from the
 * files alone is held here, down to Cardea's own opinion of the settings that they would give it.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { parse } from 'yaml';
import { z } from 'zod';
import { ConfigError, loadConfig } from '../../src/config.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string): string => readFileSync(`${root}${file}`, 'utf8');

const service = z.strictObject({
  image: z.string().optional(),
  build: z.string().optional(),
  user: z.string().optional(),
  environment: z.record(z.string(), z.string()).default({}),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  depends_on: z.record(z.string(), z.strictObject({ condition: z.enum(['service_started', 'service_healthy']) })).default({}),
  healthcheck: z
    .strictObject({ test: z.array(z.string()), interval: z.string(), timeout: z.string(), start_period: z.string(), retries: z.number() })
    .optional(),
  read_only: z.boolean().default(false),
  tmpfs: z.array(z.string()).optional(),
  cap_drop: z.array(z.string()).optional(),
  security_opt: z.array(z.string()).default([]),
  restart: z.string(),
});
// Strict: `privileged`, `network_mode`, `cap_add`, `pid` and the like are no keys of ours.
const compose = z
  .strictObject({ services: z.strictObject({ postgres: service, mail: service, cardea: service }), volumes: z.record(z.string(), z.null()) })
  .parse(parse(read('docker-compose.yml')));
const { postgres, mail, cardea } = compose.services;
const services = Object.entries(compose.services);

/** The instructions of the Dockerfile, continued lines joined. */
const dockerfile = read('Dockerfile')
  .replaceAll(/^#.*\n/gm, '')
  .replaceAll(/\\\n\s*/g, '')
  .split('\n')
  .filter((line) => line !== '');
const instructions = (name: string): string[] => dockerfile.flatMap((line) => (line.startsWith(`${name} `) ? [line.slice(name.length + 1)] : []));

/** `${NAME}`, `${NAME:-default}` and `${NAME:?message}`, as Compose resolves them. */
function resolved(text: string, env: Record<string, string>): string {
  return text.replaceAll(/\$\{(\w+)(?:(:-|:\?)([^}]*))?\}/g, (_, name: string, kind?: string, rest = '') => {
    if (env[name]) return env[name];
    if (kind === ':?') throw new Error(`${name}: ${rest}`);
    return kind === ':-' ? rest : '';
  });
}

const imageEnv = Object.fromEntries(
  instructions('ENV').flatMap((line) => line.split(' ').map((pair): [string, string] => [pair.split('=')[0] ?? '', pair.split('=')[1] ?? ''])),
);
const settingsOf = (env: Record<string, string>) => ({
  ...imageEnv,
  ...Object.fromEntries(Object.entries(cardea.environment).map(([name, value]) => [name, resolved(value, env)])),
});
const ENV_FILE = {
  POSTGRES_PASSWORD: randomBytes(24).toString('base64url'),
  CARDEA_MASTER_KEY: `k1:${randomBytes(32).toString('base64url')}`,
  CARDEA_BOOTSTRAP_ADMIN_PASSWORD: randomBytes(12).toString('base64url'),
};

test('no service has more rights than it needs, and Cardea and the mail catcher are not root', (t) => {
  for (const [name, { security_opt, volumes }] of services) {
    t.deepEqual(security_opt, ['no-new-privileges:true'], name);
    t.false(
      volumes.some((volume) => volume.startsWith('/') || volume.startsWith('.')),
      `${name} mounts nothing of the host`,
    );
  }
  for (const { user, cap_drop, read_only } of [cardea, mail]) {
    t.regex(user ?? 'root', /^[1-9]\d*:[1-9]\d*$/);
    t.deepEqual(cap_drop, ['ALL']);
    t.true(read_only);
  }
});

test('what is published is published to this machine only, and the database not at all', (t) => {
  t.deepEqual(postgres.ports, []);
  for (const port of [...mail.ports, ...cardea.ports]) t.regex(port, /^127\.0\.0\.1:\d+:\d+$/);
  t.true(cardea.ports.some((port) => port.endsWith(`:${imageEnv.PORT}`)));
});

test('images are named with a version', (t) => {
  for (const image of [postgres.image ?? '', mail.image ?? '', ...instructions('FROM').map((from) => from.split(' ')[0] ?? '')]) {
    t.regex(image, /^[a-z/]+:v?\d/);
  }
});

test('Cardea waits for a database that answers, and everything says how it is', (t) => {
  t.deepEqual(cardea.depends_on, { postgres: { condition: 'service_healthy' }, mail: { condition: 'service_started' } });
  t.is(postgres.healthcheck?.test[0], 'CMD');
  t.is(mail.healthcheck?.test[0], 'CMD');
  // Its own is in the image, where it also serves whoever does not use Compose.
  t.is(cardea.healthcheck, undefined);
  t.regex(instructions('HEALTHCHECK').join(), /CMD \["node", "-e", ".*\/health\/ready.*"\]$/);
  t.deepEqual(
    postgres.volumes.map((volume) => volume.split(':')[0]),
    Object.keys(compose.volumes),
  );
});

test('with the secrets set, Cardea accepts the settings that it would be given', (t) => {
  const config = loadConfig(settingsOf(ENV_FILE));
  t.like(config, { production: true, demo: false, host: '0.0.0.0', port: 8080, origin: 'http://localhost:8080', dataDir: '/data', trustProxy: 0 });
  t.is(config.bootstrap.admin?.username, 'admin');
  const database = new URL(config.databaseUrl ?? '');
  t.is(database.password, ENV_FILE.POSTGRES_PASSWORD);
  t.is(`/${postgres.environment.POSTGRES_DB}`, database.pathname);
  t.is(postgres.environment.POSTGRES_USER, database.username);
  t.is(loadConfig(settingsOf({ ...ENV_FILE, CARDEA_ORIGIN: 'https://id.example.com' })).origin, 'https://id.example.com');
});

test('nothing starts without its secrets, and none has a default', (t) => {
  const everything = services.flatMap(([, { environment }]) => Object.values(environment)).join('\n');
  for (const secret of Object.keys(ENV_FILE)) {
    t.throws(() => resolved(everything, { ...ENV_FILE, [secret]: '' }), { message: new RegExp(`^${secret}: set it in \\.env`) });
  }
  t.throws(() => loadConfig(imageEnv), { instanceOf: ConfigError, message: /CARDEA_MASTER_KEY is missing/ });
});

test('the image runs as an ordinary user, on what its own build copied', (t) => {
  t.deepEqual(instructions('USER'), ['1000:1000']);
  t.true(instructions('RUN').includes('npm ci --omit=dev --no-audit --no-fund'));
  t.deepEqual(instructions('CMD'), ['["node", "src/main.ts", "serve"]']);
  const copied = instructions('COPY')
    .filter((line) => !line.startsWith('--from'))
    .flatMap((line) => line.split(' ').slice(0, -1));
  const sent = read('.dockerignore')
    .split('\n')
    .flatMap((line) => (line.startsWith('!') ? [line.slice(1)] : []));
  t.regex(read('.dockerignore'), /^\*$/m);
  t.deepEqual([...new Set(copied)].sort(), sent.sort());
  for (const path of copied) t.true(existsSync(`${root}${path}`), path);
});
