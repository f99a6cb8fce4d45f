/**
 * A real nginx before a site, with the configuration of examples/nginx and nothing changed in it but places: where things
 * listen, the realm, the host and the certificate.
 */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { temporaryFolder } from './databases.ts';
import { exampleWith, type Program, runProgram } from './programs.ts';

export const NGINX: Program = {
  name: 'nginx',
  variable: 'NGINX',
  places: ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx', '/usr/local/bin/nginx'],
};

export interface ProxyPlaces {
  /** An address and a port. */
  listen: string;
  realm: string;
  cardea: string;
  site: string;
  /** Files with a certificate and its key. */
  tls: { certificate: string; key: string };
}

/** The example as it stands, with these places in it. */
function exampleFor({ folder, listen, realm, cardea, site, tls }: ProxyPlaces & { folder: string }): string {
  return exampleWith('nginx/nginx.conf', [
    ['pid /run/nginx.pid;', `pid ${folder}/nginx.pid;\ndaemon off;`],
    ['/var/log/nginx/error.log', `${folder}/error.log`],
    [
      '/var/log/nginx/access.log;',
      `${folder}/access.log;${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => ` ${name}_temp_path ${folder}/${name};`).join('')}`,
    ],
    ['127.0.0.1:8080', cardea],
    ['127.0.0.1:3000', site],
    ['listen 443 ssl;', `listen ${listen} ssl;`],
    ['/etc/ssl/certs/wiki.pem', tls.certificate],
    ['/etc/ssl/private/wiki.key', tls.key],
    ['set $gate_host wiki.example.com;', `set $gate_host ${listen};`],
    [/realms\/staff\//g, `realms/${realm}/`],
  ]);
}

/** Starts nginx before a site; it is stopped after the last test of the file. */
export async function startNginx(places: ProxyPlaces): Promise<void> {
  const folder = temporaryFolder();
  // Its workers are another user's where the tests are root's.
  chmodSync(folder, 0o755);
  mkdirSync(`${folder}/logs`);
  const file = `${folder}/nginx.conf`;
  writeFileSync(file, exampleFor({ ...places, folder }));
  await runProgram(NGINX, ['-p', folder, '-c', file, '-e', `${folder}/error.log`], places.listen);
}

/** Starts nginx with a configuration of its own; it is stopped after the last test of the file. */
export async function runNginx({ listen, configuration }: { listen: string; configuration: string }): Promise<void> {
  const folder = temporaryFolder();
  chmodSync(folder, 0o755);
  mkdirSync(`${folder}/logs`);
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ');
  const file = `${folder}/nginx.conf`;
  writeFileSync(file, `daemon off; pid ${folder}/nginx.pid; events {} http { access_log off; ${places}\n${configuration}\n}`);
  await runProgram(NGINX, ['-p', folder, '-c', file, '-e', `${folder}/error.log`], listen);
}
