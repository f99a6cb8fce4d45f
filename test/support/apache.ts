/** A real Apache of the system, private to a test: its folder, its log, its modules, and an example of ours as its one site. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { temporaryFolder } from './databases.ts';
import type { ProxyPlaces } from './nginx.ts';
import { exampleWith, type Program, runProgram } from './programs.ts';

const MODULES = '/usr/lib/apache2/modules';

const APACHE: Program = { name: 'Apache', variable: 'APACHE', places: ['/usr/sbin/apache2', '/usr/sbin/httpd'] };

/** What Debian's Apache has on from the start, as far as our examples count on it. */
const ALWAYS = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'env', 'setenvif', 'headers', 'proxy', 'proxy_http', 'reqtimeout'];

/** With Debian's package libapache2-mod-auth-openidc. */
export const APACHE_OPENIDC: Program = { ...APACHE, needs: [`${MODULES}/mod_auth_openidc.so`] };

/** With Debian's package lua-socket. */
export const APACHE_GATE: Program = { ...APACHE, needs: [`${MODULES}/mod_lua.so`, '/usr/share/lua/5.3/socket/http.lua'] };

export interface ApacheSite {
  /** Addresses and ports, one for each virtual host. */
  listen: readonly string[];
  /** Beside those that are always on; as `a2enmod` names them. */
  modules: readonly string[];
  /** @param folder of this server, where files may lie */
  config(folder: string): string;
}

/** Starts Apache; it is stopped after the last test of the file. Resolves to what reads its error log. */
export async function startApache({ listen, modules, config }: ApacheSite): Promise<() => string> {
  const folder = temporaryFolder();
  // Its workers are another user's where the tests are root's, who may not begin otherwise.
  chmodSync(folder, 0o755);
  const user = process.getuid?.() === 0 ? 'User www-data\nGroup www-data\n' : '';
  const file = `${folder}/apache2.conf`;
  const log = `${folder}/error.log`;
  writeFileSync(
    file,
    `${user}ServerRoot ${folder}
PidFile ${folder}/pid
DefaultRuntimeDir ${folder}
Mutex sem
ErrorLog ${log}
LogLevel warn
ServerName localhost
StartServers 1
${listen.map((address) => `Listen ${address}`).join('\n')}
${[...ALWAYS, ...modules].map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join('\n')}
${config(folder)}
`,
  );
  const said = () => (existsSync(log) ? readFileSync(log, 'utf8') : '');
  await runProgram(APACHE, ['-d', folder, '-f', file, '-D', 'FOREGROUND'], listen[0] ?? '').catch((error: unknown) => {
    throw new Error(`${String(error)}\n${said()}`);
  });
  return said;
}

/** The gate's example before a site, with nothing changed in it but places: where things listen, the realm, the host, the certificate. */
export async function startApacheGate({ listen, realm, cardea, site, tls }: ProxyPlaces): Promise<void> {
  const changes: [string, string][] = [
    ['127.0.0.1:8080', cardea],
    ['/realms/staff/', `/realms/${realm}/`],
  ];
  await startApache({
    listen: [listen],
    modules: ['lua', 'ssl'],
    config(folder) {
      writeFileSync(`${folder}/cardea-gate.lua`, exampleWith('apache/cardea-gate.lua', []));
      writeFileSync(`${folder}/wiki.lua`, exampleWith('apache/wiki.lua', [...changes, ["host = 'wiki.example.com'", `host = '${listen}'`]]));
      return exampleWith('apache/apache.conf', [
        ...changes,
        ['<VirtualHost *:443>', `<VirtualHost ${listen}>`],
        ['/etc/ssl/certs/wiki.pem', tls.certificate],
        ['/etc/ssl/private/wiki.key', tls.key],
        ['/etc/apache2/cardea', folder],
        ['127.0.0.1:3000', site],
      ]);
    },
  });
}
