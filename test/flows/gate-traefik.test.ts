/**
 * The gate behind Traefik, with the configuration of examples/traefik: not Traefik itself, which is not to be had here, but
 * what it asks, passes on and hands back (test/support/traefik.ts).
 */
import { parse } from 'yaml';
import { createGate } from '../../src/admin/resources/gates.ts';
import { createRole } from '../../src/admin/resources/roles.ts';
import { assignRole } from '../../src/store/roles.ts';
import { startCardea } from '../support/cardea.ts';
import { onSqlite } from '../support/databases.ts';
import { cookiesFor, open } from '../support/gate.ts';
import { type Answer, NAVIGATION, navigator, sendTo } from '../support/navigator.ts';
import type { ProxyPlaces } from '../support/nginx.ts';
import { freePort } from '../support/ports.ts';
import { exampleWith } from '../support/programs.ts';
import { CERTIFICATE, startTlsFront, tlsFiles } from '../support/tls.ts';
import { startTraefik } from '../support/traefik.ts';
import { seenIn, startUpstream } from '../support/upstream.ts';

const HOST = '127.0.0.25';
const { test } = onSqlite;

async function begin() {
  const front = await freePort();
  const cardea = await startCardea(await onSqlite.database(), { CARDEA_ORIGIN: `https://localhost:${front}`, CARDEA_TRUST_PROXY: '1' });
  await startTlsFront(front, () => cardea.url);
  const realm = await cardea.realm();
  const role = await createRole(cardea.operator(), realm, { name: 'editor' });
  const places: Omit<ProxyPlaces, 'listen'> = {
    realm: realm.name,
    cardea: new URL(cardea.url).host,
    site: await startUpstream(),
    tls: tlsFiles(),
  };
  const at = async (how?: Parameters<typeof startTraefik>[1]) => {
    const listen = `${HOST}:${await freePort()}`;
    const rules = [
      { path: '/open/**', access: 'public' as const },
      { path: '/admin/**', roles: ['editor'] },
      { path: '/vault/**', level: 'aal2' as const },
    ];
    await createGate(cardea.operator(), realm, cardea.origin, { origin: `https://${listen}`, rules });
    await startTraefik({ ...places, listen }, how);
    return `https://${listen}`;
  };
  return { cardea, realm, role, at, origin: await at() };
}

let shared: ReturnType<typeof begin> | undefined;
const world = () => {
  shared ??= begin();
  return shared;
};

const raw = async (
  path: string,
  headers: Record<string, string> = {},
  more: { method?: string; body?: string; origin?: string } = {},
): Promise<Answer> => sendTo(more.origin ?? (await world()).origin, path, { headers, ca: CERTIFICATE, method: more.method, body: more.body });

const signedIn = async (path = '/') => {
  const stage = await world();
  const user = await stage.cardea.user(stage.realm, { emailVerified: true });
  const agent = navigator({ ca: CERTIFICATE });
  const page = await open(agent, `${stage.origin}${path}`, user);
  return { ...stage, user, agent, page, cookie: cookiesFor(agent, HOST) };
};

test('Traefik: a page leads to the sign-in and back, and the site is told who it is, whatever the browser says', async (t) => {
  const { origin, user, page, cookie } = await signedIn('/a/b?c=d');
  const sent = await raw('/a/b?c=d', NAVIGATION);
  t.is(sent.status, 302);
  t.is(sent.headers.location, `${origin}/.cardea/start?rd=%2Fa%2Fb%3Fc%3Dd`);
  t.is(page.url, `${origin}/a/b?c=d`);
  const forged = {
    'x-auth-request-user': 'root',
    'x-auth-request-roles': 'root',
    x_auth_request_user: 'root',
    'x.auth.request.user': 'root',
    connection: 'close, X-Auth-Request-User',
    'x-cardea-path': '/root',
    'x-forwarded-host': 'root.example',
    'x-forwarded-uri': '/open/root',
    'x-forwarded-method': 'root',
  };
  const seen = seenIn((await raw('/a/b?c=d', { ...forged, cookie })).text);
  t.is(seen.url, '/a/b?c=d');
  t.like(seen.headers, { 'x-auth-request-user': user.id, 'x-auth-request-email': user.email, 'x-auth-request-acr': 'aal1' });
  t.is(seen.headers['x-auth-request-roles'], '');
  t.false(JSON.stringify({ ...seen.headers, 'x-cardea-path': '' }).includes('root'), JSON.stringify(seen.headers));
  const open = seenIn((await raw('/open/x', forged)).text);
  t.is(open.headers['x-auth-request-user'], '');
});

test('Traefik: programs and WebSockets get a 401, posts reach the site as they were', async (t) => {
  const { cookie, user } = await signedIn();
  const socket = { upgrade: 'websocket', connection: 'Upgrade', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==', accept: 'text/html' };
  const programs: Record<string, string>[] = [{ accept: 'application/json' }, socket, {}];
  for (const headers of programs) {
    const answer = await raw('/api', headers);
    t.is(answer.status, 401);
    t.is(answer.headers.location, undefined);
    t.regex(answer.headers['www-authenticate'] ?? '', /^Bearer realm=/);
  }
  const challenge = await raw('/vault/x', { cookie, accept: 'application/json' });
  t.regex(challenge.headers['www-authenticate'] ?? '', /error="insufficient_user_authentication", acr_values="aal2"$/);
  const post = { method: 'POST', body: 'a=b' };
  t.like(seenIn((await raw('/form', { cookie, 'content-length': '3' }, post)).text), { method: 'POST', url: '/form', body: 'a=b' });
  t.is((await raw('/form', { 'content-length': '3' }, post)).status, 401);
  t.is(seenIn((await raw('/api', { cookie })).text).headers['x-auth-request-user'], user.id);
});

test('Traefik: whoever may not have a page is told so, and from the next request on may; signing out ends it', async (t) => {
  const { cardea, realm, role, origin, agent, cookie, user } = await signedIn();
  t.is((await raw('/admin/x', { cookie })).status, 403);
  const page = await agent.get(`${origin}/admin/x`);
  t.is(page.status, 403);
  t.true(page.url.startsWith(`${cardea.origin}/realms/${realm.name}/gate/stopped?`));
  await assignRole(cardea.db.knex, realm.id, user.id, role.id);
  t.is((await raw('/admin/x', { cookie })).status, 200);
  const out = await agent.request(`${origin}/.cardea/sign-out`, { headers: { 'sec-fetch-site': 'same-origin' } });
  t.is(out.status, 303);
  t.deepEqual(agent.cookies(HOST), {});
  t.is((await raw('/', { cookie })).status, 401);
});

test('Traefik: the rules are asked about the path that is passed on, however it was written', async (t) => {
  const { origin, cookie } = await signedIn();
  const tricks = [
    '/open/../admin/x',
    '/open/%2e%2e/admin/x',
    '//admin/x',
    '/open//../admin/x',
    '/%61dmin/x',
    '/ADMIN/x',
    '/admin;a/x',
    '/admin%20/x',
  ];
  const odd = ['/open/..%2fadmin/x', '/admin%2fx', '/open/%5c..%5cadmin', '/open/..;/admin/x', '/open/%252e%252e/admin', '/open/x%00', '/open/%'];
  const both: Record<string, string>[] = [{}, { cookie }];
  for (const path of [...tricks, ...odd]) for (const headers of both) t.true([400, 401, 403].includes((await raw(path, headers)).status), path);
  for (const own of ['/.cardea/auth', '/.cardea/other', '/.cardea/start/x']) t.is((await raw(own, { cookie })).status, 404, own);
  t.is((await raw('/', { host: 'evil.example', cookie })).status, 404);
  for (const rd of ['//evil.example/', 'https://evil.example/', '/\\evil.example']) {
    const { agent } = await signedIn();
    t.is((await agent.get(`${origin}/.cardea/start?rd=${encodeURIComponent(rd)}`)).url, `${origin}/`);
  }
});

test('Traefik: behind an entry point that believes what it is told, the path is still the one that was asked for', async (t) => {
  const { at } = await world();
  const origin = await at({ isTrusting: true });
  const told = { 'x-forwarded-uri': '/open/x', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' };
  t.is((await raw('/admin/x', told, { origin })).status, 401);
  t.is((await raw('/open/x', { ...told, 'x-forwarded-uri': '/admin/x' }, { origin })).status, 200);
});

test('Traefik: the entry point drops aliases of headers and trusts nobody’s', (t) => {
  const { entryPoints } = parse(exampleWith('traefik/traefik.yml', []));
  t.deepEqual(Object.keys(entryPoints), ['websecure']);
  t.deepEqual(entryPoints.websecure, { address: ':443', http: { aliasHeadersStrategy: 'delete' } });
});
