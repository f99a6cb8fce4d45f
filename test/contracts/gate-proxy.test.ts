/**
 * What every proxy before the gate has to do, run against each that we have an example for: a real nginx, Apache and Caddy,
 * by https from the browser to Cardea, with the configurations of examples/ and nothing changed in them but places.
 */
import { createServer } from 'node:http';
import { createGate } from '../../src/admin/resources/gates.ts';
import { createRole } from '../../src/admin/resources/roles.ts';
import { assignRole } from '../../src/store/roles.ts';
import { type Agent, formsOf } from '../support/agent.ts';
import { APACHE_GATE, startApacheGate } from '../support/apache.ts';
import { CADDY, startCaddy } from '../support/caddy.ts';
import { startCardea } from '../support/cardea.ts';
import { atEnd } from '../support/cleanup.ts';
import { onSqlite } from '../support/databases.ts';
import { cookiesFor, open, startSite } from '../support/gate.ts';
import { type Answer, NAVIGATION, navigator, sendTo } from '../support/navigator.ts';
import { NGINX, type ProxyPlaces, startNginx } from '../support/nginx.ts';
import { freePort } from '../support/ports.ts';
import { type Program, programTest } from '../support/programs.ts';
import { CERTIFICATE, startTlsFront, tlsFiles } from '../support/tls.ts';
import { seenIn, startUpstream } from '../support/upstream.ts';

interface Proxy {
  program: Program;
  host: string;
  start(places: ProxyPlaces): Promise<void>;
}

const PROXIES: Record<string, Proxy> = {
  nginx: { program: NGINX, host: '127.0.0.22', start: startNginx },
  Apache: { program: APACHE_GATE, host: '127.0.0.23', start: startApacheGate },
  Caddy: { program: CADDY, host: '127.0.0.24', start: startCaddy },
};

const SOCKET = {
  upgrade: 'websocket',
  connection: 'Upgrade',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-version': '13',
  accept: 'text/html',
};

for (const [name, { program, host, start }] of Object.entries(PROXIES)) {
  const begin = async () => {
    const front = await freePort();
    const cardea = await startCardea(await onSqlite.database(), { CARDEA_ORIGIN: `https://localhost:${front}`, CARDEA_TRUST_PROXY: '1' });
    await startTlsFront(front, () => cardea.url);
    const realm = await cardea.realm();
    const role = await createRole(cardea.operator(), realm, { name: 'editor' });
    const listen = `${host}:${await freePort()}`;
    const origin = `https://${listen}`;
    const rules = [
      { path: '/healthz', access: 'public' as const },
      { path: '/open/**', access: 'public' as const },
      { path: '/admin/**', roles: ['editor'] },
      { path: '/vault/**', level: 'aal2' as const },
    ];
    await createGate(cardea.operator(), realm, cardea.origin, { origin, rules });
    const places = { realm: realm.name, cardea: new URL(cardea.url).host, site: await startUpstream(), tls: tlsFiles() };
    await start({ ...places, listen });
    return { cardea, realm, role, origin, places };
  };

  let shared: ReturnType<typeof begin> | undefined;
  const world = () => {
    shared ??= begin();
    return shared;
  };
  const raw = async (path: string, headers: Record<string, string> = {}, at?: string): Promise<Answer> =>
    sendTo(at ?? (await world()).origin, path, { headers, ca: CERTIFICATE });

  /** Somebody of their own who has signed in on the way to a page. */
  const signedIn = async (path = '/') => {
    const stage = await world();
    const user = await stage.cardea.user(stage.realm, { emailVerified: true });
    const agent: Agent = navigator({ ca: CERTIFICATE });
    const page = await open(agent, `${stage.origin}${path}`, user);
    return { ...stage, user, agent, page, cookie: cookiesFor(agent, host) };
  };

  const test = programTest(onSqlite, program);

  test(`${name}: a page leads to the sign-in and back, and the site is told who it is and never shown the cookie`, async (t) => {
    const { origin, user, page, cookie } = await signedIn('/a/b?c=d');
    const sent = await raw('/a/b?c=d', NAVIGATION);
    t.is(sent.status, 302);
    const start = new URL(sent.headers.location ?? '', origin);
    t.is(start.href, `${origin}/.cardea/start?rd=%2Fa%2Fb%3Fc%3Dd`);
    t.is(page.url, `${origin}/a/b?c=d`);
    t.regex(cookie, /^__Host-cardea_gate=[\w-]{43}$/);
    const forged = {
      'x-auth-request-user': 'root',
      'x-auth-request-roles': 'admin',
      'x-auth-request-email': 'root@example.com',
      X_Auth_Request_User: 'root',
      'X-Auth_Request_Groups': '/root',
    };
    const answer = await raw('/a/b?c=d', { ...forged, cookie: `first=1; cardea_gate=decoy; ${cookie}; last=2` });
    t.is(answer.status, 200);
    const seen = seenIn(answer.text);
    t.is(seen.url, '/a/b?c=d');
    t.is(seen.headers['x-auth-request-user'], user.id);
    t.is(seen.headers['x-auth-request-preferred-username'], user.username);
    t.is(seen.headers['x-auth-request-email'], user.email ?? '');
    t.is(seen.headers['x-auth-request-roles'] || undefined, undefined);
    t.is(seen.headers['x-auth-request-acr'], 'aal1');
    t.false(answer.text.includes('root'), answer.text);
    t.false(answer.text.includes('cardea_gate'));
    t.regex(seen.headers.cookie ?? '', /first=1; ?.*last=2/);
    t.is(seenIn((await raw('/', { cookie })).text).headers.cookie || undefined, undefined);
  });

  test(`${name}: what is posted reaches the site as it was`, async (t) => {
    const { origin, cookie, user } = await signedIn();
    const body = 'x=1&y=%C3%A9';
    const headers = { cookie, 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) };
    const answer = await sendTo(origin, '/form?z=2', { method: 'POST', body, headers, ca: CERTIFICATE });
    t.like(seenIn(answer.text), { method: 'POST', url: '/form?z=2', body });
    t.is(seenIn(answer.text).headers['x-auth-request-user'], user.id);
    const refused = await sendTo(origin, '/form', { method: 'POST', body, headers: { ...headers, cookie: '' }, ca: CERTIFICATE });
    t.is(refused.status, 401);
  });

  test(`${name}: public paths are everybody’s, without an identity; the others are not, whoever one says to be`, async (t) => {
    const { user } = await signedIn();
    const forged = {
      'x-auth-request-user': user.id,
      'x-cardea-path': '/healthz',
      'x-forwarded-host': 'other.example',
      'x-forwarded-uri': '/healthz',
    };
    const answer = await raw('/healthz', forged);
    t.is(answer.status, 200);
    t.is(seenIn(answer.text).headers['x-auth-request-user'] || undefined, undefined);
    t.is((await raw('/other', forged)).status, 401);
    for (const own of ['/.cardea/auth', '/.cardea/other', '/.cardea/start/x']) t.is((await raw(own, forged)).status, 404, own);
  });

  test(`${name}: a program and a WebSocket get a bare 401; signed in, they get through`, async (t) => {
    for (const headers of [{ accept: 'application/json' }, SOCKET]) {
      const answer = await raw('/api', headers);
      t.is(answer.status, 401);
      t.is(answer.headers.location, undefined);
      t.regex(answer.headers['www-authenticate'] ?? '', /^Bearer realm=/);
    }
    const { cookie, user } = await signedIn();
    t.is((await raw('/api', { accept: 'application/json', cookie })).status, 200);
    const upgraded = await raw('/socket', { ...SOCKET, cookie });
    t.is(upgraded.status, 101);
    t.is(upgraded.headers['x-seen'], user.id);
  });

  test(`${name}: nothing but a WebSocket is an upgrade, or the connection that it leaves would lead past the gate`, async (t) => {
    const { cookie } = await signedIn();
    const asked = { 'http2-settings': 'AAMAAABkAAQCAAAAAAIAAAAA', cookie };
    for (const connection of ['Upgrade', 'Upgrade, HTTP2-Settings'])
      for (const upgrade of ['h2c', 'H2C', 'websocket, h2c', 'h2c, websocket', 'TLS/1.0'])
        for (const path of ['/open/x', '/x']) t.not((await raw(path, { ...asked, connection, upgrade })).status, 101, `${path} ${upgrade}`);
  });

  test(`${name}: identity headers in no spelling, nothing of the real ones taken away, and no host but the site’s own`, async (t) => {
    const { cookie, user } = await signedIn();
    // Every sign that a header's name may have and some server takes for a dash or an underscore.
    const signs = Array.from("!#$%&'*+-.^_`|~");
    const forged = signs.flatMap((sign) => [`X${sign}Auth${sign}Request${sign}User`, `X-Auth${sign}Request-Groups`, `x_auth${sign}request.roles`]);
    const answer = await raw('/x', { ...Object.fromEntries(forged.map((header) => [header, 'root'])), cookie });
    t.is(answer.status, 200);
    t.false(answer.text.includes('root'), answer.text);
    // What `Connection` names is for the next hop alone (RFC 9110 section 7.6.1): proxies leave it out.
    const hidden = await raw('/x', { cookie, connection: 'close, X-Auth-Request-User, x-auth-request-acr' });
    if (hidden.status !== 400) t.like(seenIn(hidden.text).headers, { 'x-auth-request-user': user.id, 'x-auth-request-acr': 'aal1' });
    for (const told of ['evil.example', 'evil.example:443']) t.false((await raw('/x', { cookie, host: told })).text.includes('evil.example'), told);
  });

  test(`${name}: a role opens its path from the next request on, and is told`, async (t) => {
    const { cardea, realm, role, cookie, user } = await signedIn();
    t.is((await raw('/admin/x', { cookie })).status, 403);
    await assignRole(cardea.db.knex, realm.id, user.id, role.id);
    const answer = await raw('/admin/x', { cookie });
    t.is(answer.status, 200);
    t.is(seenIn(answer.text).headers['x-auth-request-roles'], 'editor');
  });

  test(`${name}: a path that needs more asks for it: a page by a sign-in, a program by a challenge`, async (t) => {
    const { origin, agent, cookie, user } = await signedIn();
    const challenge = await raw('/vault/x', { cookie, accept: 'application/json' });
    t.is(challenge.status, 401);
    t.regex(challenge.headers['www-authenticate'] ?? '', /error="insufficient_user_authentication", acr_values="aal2"$/);
    const page = await open(agent, `${origin}/vault/x`, { ...user });
    t.is(page.url, `${origin}/vault/x`);
    t.is(seenIn(page.html).headers['x-auth-request-acr'], 'aal2');
  });

  test(`${name}: signing out ends the session here and at Cardea`, async (t) => {
    const { cardea, origin, agent, cookie } = await signedIn();
    t.is((await raw('/', { cookie })).status, 200);
    const out = await agent.request(`${origin}/.cardea/sign-out`, { headers: { 'sec-fetch-site': 'same-origin' } });
    t.is(out.status, 303);
    t.true(out.headers.get('location')?.startsWith(cardea.origin));
    t.deepEqual(agent.cookies(host), {});
    t.is((await raw('/', { cookie })).status, 401);
    await agent.get(out.headers.get('location') ?? '');
    const again = await agent.get(`${origin}/`);
    t.true(formsOf(again)[0]?.names.includes('username'), 'the password is asked again');
  });

  test(`${name}: the cookie of another host, of the realm or of another one, opens nothing`, async (t) => {
    const { cardea, realm, agent } = await signedIn();
    const strangers = await cardea.realm();
    const stranger = await cardea.user(strangers);
    const sites = [await startSite(cardea, realm), await startSite(cardea, strangers)];
    for (const { origin, hostname } of sites) {
      t.is((await open(agent, `${origin}/`, stranger)).status, 200);
      const stolen = Object.values(agent.cookies(hostname))[0] ?? '';
      t.regex(stolen, /^[\w-]{43}$/);
      for (const cookie of [`__Host-cardea_gate=${stolen}`, `cardea_gate=${stolen}`]) t.is((await raw('/', { cookie })).status, 401);
    }
  });

  test(`${name}: a sign-in leads back to the host, wherever \`rd\` points`, async (t) => {
    const { origin, agent } = await signedIn();
    for (const rd of [
      '//evil.example/',
      'https://evil.example/',
      '/\\evil.example',
      '/%5cevil.example',
      'javascript:alert(1)',
      '/x\r\nSet-Cookie: a=b',
    ]) {
      const page = await agent.get(`${origin}/.cardea/start?rd=${encodeURIComponent(rd)}`);
      t.is(page.url, `${origin}/`, rd);
      t.is(page.status, 200, rd);
    }
  });

  test(`${name}: a sign-out that races with requests leaves nobody signed in`, async (t) => {
    const { cardea, realm, origin, agent, cookie, user } = await signedIn();
    const [out] = await Promise.all([
      agent.request(`${origin}/.cardea/sign-out`, { method: 'POST', headers: { origin } }),
      ...Array.from({ length: 10 }, () => raw('/', { cookie })),
    ]);
    await agent.get(out?.headers.get('location') ?? '');
    t.is((await raw('/', { cookie })).status, 401);
    const left = await cardea.db.knex('sessions').where({ realm_id: realm.id, user_id: user.id }).whereNull('ended_at');
    t.is(left.length, 0);
  });

  test(`${name}: no spelling of a path leads past its rule`, async (t) => {
    const { origin, cookie } = await signedIn();
    t.is((await raw('/admin/x', { cookie })).status, 403);
    const tricks = [
      '/open/../admin/x',
      '/open/%2e%2e/admin/x',
      '/open/.%2E/admin/x',
      '/open/..%2fadmin/x',
      '//admin/x',
      '/open//../admin/x',
      '/open/..;/admin/x',
      '/open/..;a=b/admin/x',
      '/%61dmin/x',
      '/ADMIN/x',
      '/admin;a/x',
      '/admin%20/x',
      '/open/%5c..%5cadmin',
      '/open/\\..\\admin',
      '/open/%0d%0aX-Cardea-Path:%20/open',
      '/open/x%00',
      '/open/%252e%252e/admin',
      '/./admin/x',
      '/admin%2fx',
      '/open/x%20',
      `${origin}/admin/x`,
    ];
    for (const path of tricks) {
      const both: Record<string, string>[] = [{}, { cookie }];
      for (const headers of both) {
        const { status } = await raw(path, headers);
        t.true([400, 401, 403, 404].includes(status), `${path}: ${status}`);
      }
    }
    t.is((await raw('/open/x?a=//&b=..%2f', {})).status, 200);
    const accented = await raw('/caf%C3%A9', { cookie });
    t.is(accented.status, 200);
    t.is(seenIn(accented.text).url.toLowerCase(), '/caf%c3%a9');
  });

  test(`${name}: nobody gets in, not even to what is public, while Cardea does not answer or answers with an error`, async (t) => {
    const { places, cookie } = await signedIn();
    const confused = createServer((_request, response) => void response.writeHead(500, { 'x-auth-request-user': 'root' }).end());
    await new Promise<void>((resolve) => confused.listen(0, '127.0.0.1', resolve));
    atEnd(() => confused.close());
    const address = confused.address();
    const asked = typeof address === 'object' ? `127.0.0.1:${address?.port}` : '';
    for (const cardea of [`127.0.0.1:${await freePort()}`, asked]) {
      const listen = `${host}:${await freePort()}`;
      await start({ ...places, cardea, listen });
      for (const path of ['/', '/open/x', '/admin/x']) {
        const answer = await raw(path, { cookie, ...NAVIGATION }, `https://${listen}`);
        t.true([500, 502, 503, 504].includes(answer.status), `${path}: ${answer.status}`);
        t.false(answer.text.includes('"headers"'), 'the site was not reached');
      }
    }
  });
}
