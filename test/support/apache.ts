/** A real Apache of the system, private to a test: its folder, its log, its modules, and an example of ours as its one site. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { type EngineUnderTest, temporaryFolder } from './databases.ts';
import { type Body, type Program, programTest, runProgram } from './programs.ts';

const MODULES = '/usr/lib/apache2/modules';

const APACHE: Program = { name: 'Apache', variable: 'APACHE', places: ['/usr/sbin/apache2', '/usr/sbin/httpd'], needs: [`${MODULES}/mod_proxy.so`] };

/** What Debian's Apache has on from the start, as far as our examples count on it. */
const ALWAYS = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'env', 'setenvif', 'headers', 'proxy', 'proxy_http', 'reqtimeout'];

/** @param needs files beside Apache's own */
export const apacheTest = (engine: EngineUnderTest, needs: readonly string[] = []): ((title: string, body: Body) => void) =>
  programTest(engine, { ...APACHE, needs: [...(APACHE.needs ?? []), ...needs] });

/** Debian's package libapache2-mod-auth-openidc. */
export const OPENIDC_MODULE = `${MODULES}/mod_auth_openidc.so`;

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
