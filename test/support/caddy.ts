/** A real Caddy before a site, with the Caddyfile of examples/caddy and nothing changed in it but places and the certificate. */
import { writeFileSync } from 'node:fs';
import { temporaryFolder } from './databases.ts';
import type { ProxyPlaces } from './nginx.ts';
import { exampleWith, type Program, runProgram } from './programs.ts';

export const CADDY: Program = { name: 'Caddy', variable: 'CADDY', places: ['/usr/bin/caddy', '/usr/local/bin/caddy'] };

/** Starts Caddy; it is stopped after the last test of the file. */
export async function startCaddy({ listen, realm, cardea, site, tls }: ProxyPlaces): Promise<void> {
  const folder = temporaryFolder();
  const [host = ''] = listen.split(':');
  const config = exampleWith('caddy/Caddyfile', [
    [/^wiki\.example\.com \{/m, `https://${listen} {\n\tbind ${host}\n\ttls ${tls.certificate} ${tls.key}`],
    ['127.0.0.1:8080', cardea],
    ['127.0.0.1:3000', site],
    [/realms\/staff\//g, `realms/${realm}/`],
  ]);
  const file = `${folder}/Caddyfile`;
  writeFileSync(file, `{\n\tadmin off\n\tauto_https off\n\tdefault_sni ${host}\n\tstorage file_system ${folder}\n}\n${config}`);
  await runProgram(CADDY, ['run', '--config', file], listen, { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder });
}
