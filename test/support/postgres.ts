/**
 * PostgreSQL for the tests: a server of their own where it is installed, and in it, or in the one that is named in the
 * environment, a database for each test file, copied from a template that has the tables already.
 */
import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { openDatabase } from '../../src/store/database.ts';
import { freePort } from './ports.ts';

export interface PostgresServer {
  /** Of the database to connect to for making others; the role may make databases. */
  url: string;
  stop(): Promise<void>;
}

/** The folder with `initdb` and `postgres` of the newest version installed; Debian keeps them out of PATH. */
export function findPostgres(): string | undefined {
  const versions = ['/usr/lib/postgresql', '/opt/homebrew/opt', '/usr/local/opt']
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder).map((name) => ({ bin: join(folder, name, 'bin'), version: Number(/(\d+)$/.exec(name)?.[1] ?? 0) })))
    .sort((a, b) => b.version - a.version)
    .map(({ bin }) => bin);
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return [...path, ...versions].find((bin) => existsSync(join(bin, 'initdb')) && existsSync(join(bin, 'postgres')));
}

/** PostgreSQL refuses to run as root. */
function ordinaryUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const user = ['postgres', 'nobody'].map((wanted) => accounts.find(([name]) => name === wanted)).find((account) => account !== undefined);
  if (!user) throw new Error('PostgreSQL needs an ordinary user to run as: make one called postgres.');
  return { uid: Number(user[2]), gid: Number(user[3]) };
}

/** Tests may lose what they stored when the machine goes down, and are quicker for it. */
const SETTINGS = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off', 'max_connections=300', 'shared_buffers=64MB', 'autovacuum=off'];

/** Starts a new server on a free port of this machine, with its data in a temporary folder. */
export async function startPostgres(bin: string): Promise<PostgresServer> {
  const user = ordinaryUser();
  const folder = mkdtempSync(join(tmpdir(), 'cardea-postgres-'));
  const data = join(folder, 'data');
  const password = randomBytes(16).toString('hex');
  const passwordFile = join(folder, 'password');
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (user) for (const path of [folder, passwordFile]) chownSync(path, user.uid, user.gid);
  const options = { ...user, cwd: folder, env: { PATH: process.env.PATH, LC_ALL: 'C' } };
  const initdb = ['-D', data, '-U', 'cardea', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8', '--locale=C', '--no-sync'];
  await promisify(execFile)(join(bin, 'initdb'), initdb, options);

  const port = await freePort();
  const settings = [...SETTINGS, `port=${port}`, 'listen_addresses=127.0.0.1', `unix_socket_directories=${folder}`];
  const server = spawn(join(bin, 'postgres'), ['-D', data, ...settings.flatMap((setting) => ['-c', setting])], {
    ...options,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  server.stderr.on('data', (chunk) => {
    log = `${log}${chunk}`.slice(-4000);
  });
  const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  const stop = async () => {
    // Fast shutdown: it does not wait for clients.
    server.kill('SIGINT');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };

  const url = `postgresql://cardea:${password}@127.0.0.1:${port}/postgres`;
  for (let tries = 0; tries < 300; tries += 1) {
    if (server.exitCode !== null) throw new Error(`PostgreSQL did not start:\n${log}`);
    if (await answers(url)) return { url, stop };
    await pause(100);
  }
  await stop();
  throw new Error(`PostgreSQL did not answer within 30 seconds:\n${log}`);
}

const answers = (url: string): Promise<boolean> =>
  withClient(url, () => Promise.resolve(true)).catch((error: unknown) => {
    // A wrong password will not become right.
    if (error instanceof Error && 'code' in error && error.code === '28P01') throw error;
    return false;
  });

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function urlOf(admin: string, database: string): string {
  const url = new URL(admin);
  url.pathname = `/${database}`;
  return url.href;
}

/** Named by what the migrations say, so that it is made once for all test files, and again when they change. */
function templateName(): string {
  const folder = new URL('../../migrations/', import.meta.url);
  const digest = createHash('sha256');
  for (const name of readdirSync(folder).sort()) digest.update(readFileSync(new URL(name, folder)));
  return `cardea_test_template_${digest.digest('hex').slice(0, 12)}`;
}

/** Makes the template if it is not there. One that lets nobody connect is complete; any other was left by a run that broke off. */
export async function ensureTemplate(admin: string): Promise<string> {
  const name = templateName();
  await withClient(admin, async (client) => {
    await client.query("SELECT pg_advisory_lock(hashtext('cardea-test-template'))");
    const found = await client.query('SELECT datallowconn FROM pg_database WHERE datname = $1', [name]);
    if (found.rows[0]?.datallowconn === false) return;
    await client.query(`DROP DATABASE IF EXISTS ${name}`);
    await client.query(`CREATE DATABASE ${name}`);
    const db = await openDatabase({ databaseUrl: urlOf(admin, name), dataDir: '' });
    await db.migrate();
    await db.close();
    await client.query(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS false`);
  });
  return name;
}

/** Every database of this run, so that the runner can drop what a crashed test file left. */
export const databasePrefix = (): string => `cardea_test_run${process.env.CARDEA_TEST_RUN ?? process.pid}_`;

/** A new database, with the product's tables or empty. */
export async function createDatabase(admin: string, options: { empty: boolean }): Promise<{ url: string; drop(): Promise<void> }> {
  const name = `${databasePrefix()}${randomBytes(6).toString('hex')}`;
  const template = options.empty ? 'template0' : await ensureTemplate(admin);
  await withClient(admin, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`));
  return { url: urlOf(admin, name), drop: () => dropDatabases(admin, name) };
}

/** Drops every database whose name begins so, and whoever is connected to it. */
export async function dropDatabases(admin: string, prefix: string): Promise<void> {
  await withClient(admin, async (client) => {
    const found = await client.query('SELECT datname FROM pg_database WHERE starts_with(datname, $1)', [prefix]);
    for (const { datname } of found.rows) await client.query(`DROP DATABASE IF EXISTS ${datname} WITH (FORCE)`);
  });
}

/** For the runner: the template of this state of the migrations. */
export const dropTemplate = (admin: string): Promise<void> => dropDatabases(admin, templateName());
