/**
 * A single-page application with keycloak-js as it comes from npm, on an origin of its own: examples/keycloak-js, and beside
 * it `/harness.html`, a page that begins as a test says and keeps what keycloak-js tells it.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import type { RealmRow } from '../../src/store/realms.ts';
import type { Cardea, TestClient } from './cardea.ts';
import { listen } from './listen.ts';

const EXAMPLE = fileURLToPath(new URL('../../examples/keycloak-js/', import.meta.url));
const LIBRARY = createRequire(import.meta.url).resolve('keycloak-js');

const HARNESS = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Harness</title></head><body><script type="module">
import Keycloak from './keycloak.js';
const kc = new Keycloak(window.begin.config ?? 'keycloak.json');
const told = [];
for (const name of ['onReady', 'onAuthSuccess', 'onAuthError', 'onAuthRefreshSuccess', 'onAuthRefreshError', 'onAuthLogout', 'onActionUpdate'])
  kc[name] = (...values) => told.push([name, ...values]);
const begun = kc.init(window.begin.init).then((authenticated) => ({ authenticated }), (error) => ({ error: error.message ?? error.error ?? String(error) }));
Object.assign(window, { kc, told, begun });
</script></body></html>`;

const TYPES: Readonly<Record<string, string>> = { html: 'text/html', js: 'text/javascript', json: 'application/json' };

export interface KeycloakJs {
  /** On a host that is the same site as Cardea's. */
  origin: string;
  /** The same application on another site. */
  foreign: string;
  client: TestClient;
}

export async function startKeycloakJs(cardea: Cardea, realm: RealmRow, input: Parameters<Cardea['client']>[1] = {}): Promise<KeycloakJs> {
  let resource = '';
  const files: Readonly<Record<string, () => Promise<string> | string>> = {
    'keycloak.js': () => readFile(LIBRARY, 'utf8'),
    'keycloak.json': () => JSON.stringify({ 'auth-server-url': cardea.origin, realm: realm.name, resource }),
    'harness.html': () => HARNESS,
    ...Object.fromEntries(['index.html', 'app.js', 'silent-check-sso.html'].map((name) => [name, () => readFile(join(EXAMPLE, name), 'utf8')])),
  };
  const answer = async (path: string): Promise<{ status: number; type: string; body: string }> => {
    const name = path === '/' ? 'index.html' : path.slice(1);
    const file = files[name];
    if (name === 'favicon.ico') return { status: 204, type: 'text/plain', body: '' };
    if (!file) return { status: 404, type: 'text/plain', body: '' };
    return { status: 200, type: TYPES[name.split('.').at(-1) ?? ''] ?? 'text/plain', body: await file() };
  };
  const { port } = await listen((request, response) => {
    answer(new URL(request.url ?? '/', 'http://localhost').pathname).then(
      ({ status, type, body }) => response.writeHead(status, { 'content-type': type }).end(body),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  const [origin, foreign] = [`http://localhost:${port}`, `http://127.0.0.1:${port}`];
  const client = await cardea.client(realm, { publicClient: true, redirectUris: [`${origin}/*`, `${foreign}/*`], webOrigins: ['+'], ...input });
  resource = client.clientId;
  return { origin, foreign, client };
}

/** How the harness begins: the constructor's argument, or keycloak.json, and what init is called with. */
export interface Begin {
  config?: object;
  init: object;
}

export async function begin(page: Page, origin: string, options: Begin): Promise<void> {
  await page.addInitScript((given) => Object.assign(globalThis, { begin: given }), options);
  await page.goto(`${origin}/harness.html`);
}

/** What an expression in the page is worth; `kc`, `told` and `begun` are there. */
export const inPage = <T>(page: Page, expression: string): Promise<T> => page.evaluate<T>(expression);
