/**
 * A real nginx before a site, with the configuration of examples/nginx and nothing changed in it but places: where things
 * listen, the realm, the host, and no TLS.
 *
 * `nginxTest(engine)` gives a `test` that is skipped, with a title that says what it needs, where no nginx is found, and
 * that fails instead where REQUIRE_NGINX=1 says that one must be there.
 */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { atEnd } from './cleanup.ts';
import { type EngineUnderTest, temporaryFolder } from './databases.ts';

const PLACES = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx', '/usr/local/bin/nginx'];
const EXAMPLE = new URL('../../examples/nginx/nginx.conf', import.meta.url);

/** The path of an nginx: NGINX_PATH, or one of the usual places. */
export const findNginx = (): string | undefined =>
  [process.env.NGINX_PATH, ...PLACES].find((path) => path !== undefined && path !== '' && existsSync(path));

type Body = (t: ExecutionContext) => Promise<void>;

export function nginxTest(engine: EngineUnderTest): (title: string, body: Body) => void {
  if (findNginx() !== undefined) return (title, body) => engine.test(title, body);
  if (process.env.REQUIRE_NGINX === '1')
    return (title) => test(`${title} [${engine.engine}]`, (t) => t.fail('REQUIRE_NGINX=1, but no nginx was found; install it or set NGINX_PATH'));
  return (title, body) => test.skip(`${title} [${engine.engine}] (needs nginx: install it or set NGINX_PATH)`, body);
}

/** The example as it stands, with these places in it. */
export function exampleFor(places: { folder: string; listen: string; realm: string; cardea: string; site: string }): string {
  const { folder, listen, realm, cardea, site } = places;
  const changes: [from: string | RegExp, to: string][] = [
    ['pid /run/nginx.pid;', `pid ${folder}/nginx.pid;\ndaemon off;`],
    ['/var/log/nginx/error.log', `${folder}/error.log`],
    [
      '/var/log/nginx/access.log;',
      `${folder}/access.log;${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => ` ${name}_temp_path ${folder}/${name};`).join('')}`,
    ],
    ['127.0.0.1:8080', cardea],
    ['127.0.0.1:3000', site],
    ['listen 443 ssl;', `listen ${listen};`],
    [/ *ssl_certificate.*\n/g, ''],
    ['set $gate_host wiki.example.com;', `set $gate_host ${listen};`],
    ['set $gate_proto https;', 'set $gate_proto http;'],
    [/realms\/staff\//g, `realms/${realm}/`],
  ];
  return changes.reduce(
    (text, [from, to]) => {
      const changed = text.replace(from, () => to);
      if (changed === text) throw new Error(`The example has no ${from} any more.`);
      return changed;
    },
    readFileSync(EXAMPLE, 'utf8'),
  );
}

/** Starts nginx before a site; it is stopped after the last test of the file. */
export async function startNginx(places: { listen: string; realm: string; cardea: string; site: string }): Promise<void> {
  const binary = findNginx();
  if (binary === undefined) throw new Error('no nginx was found; set NGINX_PATH');
  const folder = temporaryFolder();
  // Its workers are another user's where the tests are root's.
  chmodSync(folder, 0o755);
  mkdirSync(`${folder}/logs`);
  const file = `${folder}/nginx.conf`;
  writeFileSync(file, exampleFor({ ...places, folder }));
  const child = spawn(binary, ['-p', folder, '-c', file, '-e', `${folder}/error.log`], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  atEnd(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  const [host = '', port = ''] = places.listen.split(':');
  for (let tries = 0; !(await answers(host, Number(port))); tries += 1) {
    if (tries > 200 || child.exitCode !== null) throw new Error(`nginx does not listen: ${said}`);
    await pause(50);
  }
}

function answers(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
