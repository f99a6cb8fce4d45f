/**
 * Apache's mod_auth_openidc, Debian's own, as a relying party and before APIs: with the configurations of
 * examples/apache-openidc as they stand, in one Apache that runs on while keys are rotated and users signed out.
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { rotateKeys } from '../../src/admin/resources/keys.ts';
import { addMappers, parentClient } from '../../src/admin/resources/protocol-mappers.ts';
import { endSessionsOf } from '../../src/sessions/sessions.ts';
import type { UserRow } from '../../src/store/users.ts';
import { serviceToken } from '../support/admin.ts';
import { type Agent, formsOf } from '../support/agent.ts';
import { APACHE_OPENIDC, startApache } from '../support/apache.ts';
import { startCardea } from '../support/cardea.ts';
import { onSqlite } from '../support/databases.ts';
import { open } from '../support/gate.ts';
import { navigator, sendTo } from '../support/navigator.ts';
import { freePort } from '../support/ports.ts';
import { exampleWith, programTest } from '../support/programs.ts';
import { CERTIFICATE, startTlsFront } from '../support/tls.ts';
import { until } from '../support/until.ts';
import { type Seen, seenIn, startUpstream } from '../support/upstream.ts';

const HOST = '127.0.0.21';
const TLS: [RegExp, string] = [/ *SSL.*\n/g, ''];

async function begin() {
  const ports = [await freePort(), await freePort(), await freePort()];
  const [wiki = '', api = '', local = ''] = ports.map((port) => `${HOST}:${port}`);
  // The module asks an introspection endpoint by https alone.
  const front = await freePort();
  const cardea = await startCardea(await onSqlite.database(), {
    CARDEA_OUTBOUND_ALLOW: wiki,
    CARDEA_ORIGIN: `https://localhost:${front}`,
    CARDEA_TRUST_PROXY: '1',
  });
  await startTlsFront(front, () => cardea.url);
  const realm = await cardea.realm();
  const issuer = `${cardea.origin}/realms/${realm.name}`;
  const origin = `http://${wiki}`;
  const client = await cardea.client(realm, {
    clientId: 'wiki',
    redirectUris: [`${origin}/.oidc`],
    postLogoutRedirectUris: [`${origin}/`],
    baseUrl: `${origin}/`,
    attributes: { 'backchannel.logout.url': `${origin}/.oidc?logout=backchannel` },
  });
  await addMappers(cardea.operator(), realm, parentClient(client.row), [
    { name: 'api', mapper: 'oidc-audience-mapper', config: { 'included.client.audience': 'api', 'access.token.claim': 'true' } },
    {
      name: 'desk',
      mapper: 'oidc-hardcoded-claim-mapper',
      config: { 'claim.name': 'desk', 'claim.value': 'north', 'userinfo.token.claim': 'true' },
    },
  ]);
  const apiClient = await cardea.client(realm, { clientId: 'api', redirectUris: [] });
  const site = await startUpstream();
  const places = (listen: string, name: string): [string | RegExp, string][] => [
    TLS,
    ['<VirtualHost *:443>', `<VirtualHost ${listen}>`],
    ['127.0.0.1:3000', site],
    ['https://id.example.com/realms/staff', issuer],
    [`ServerName ${name}.example.com`, `ServerName ${HOST}`],
  ];
  const errors = await startApache({
    listen: [wiki, api, local],
    modules: ['auth_openidc'],
    config(folder) {
      writeFileSync(`${folder}/ca.pem`, CERTIFICATE);
      writeFileSync(`${folder}/wiki.secrets`, `OIDCClientSecret "${client.secret}"\nOIDCCryptoPassphrase "a passphrase of this test"\n`);
      writeFileSync(`${folder}/api.secrets`, `OIDCOAuthClientSecret "${apiClient.secret}"\n`);
      return [
        `OIDCCABundlePath ${folder}/ca.pem`,
        exampleWith('apache-openidc/site.conf', [...places(wiki, 'wiki'), ['https://wiki.example.com', origin], ['/etc/apache2/openidc', folder]]),
        exampleWith('apache-openidc/api.conf', [...places(api, 'api'), ['/etc/apache2/openidc', folder]]),
        exampleWith('apache-openidc/api-local.conf', places(local, 'api')),
      ].join('\n');
    },
  });
  return { cardea, realm, issuer, origin, apis: [`http://${api}`, `http://${local}`], client, errors };
}

type World = Awaited<ReturnType<typeof begin>>;
let shared: Promise<World> | undefined;
const world = (): Promise<World> => {
  shared ??= begin();
  return shared;
};

const test = programTest(onSqlite, APACHE_OPENIDC);

/** Somebody of their own who has signed in at the wiki. */
async function signedIn(t: ExecutionContext, path = '/pages/1?a=b') {
  const stage = await world();
  const user = await stage.cardea.user(stage.realm, { emailVerified: true });
  const agent = navigator({ ca: CERTIFICATE });
  const page = await open(agent, `${stage.origin}${path}`, user);
  t.is(page.status, 200, page.html);
  t.is(page.url, `${stage.origin}${path}`);
  return { ...stage, user, agent, seen: seenIn(page.html) };
}

const visit = async (agent: Agent, url: string): Promise<Seen> => seenIn((await agent.get(url)).html);
const tokenIn = ({ headers }: Seen): string => String(headers.oidc_access_token);
const payloadOf = (jwt: string, part = 1): Record<string, unknown> => JSON.parse(Buffer.from(jwt.split('.')[part] ?? '', 'base64url').toString());
const call = async (api: string, token?: string) =>
  sendTo(api, '/things', { headers: { accept: 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }) } });
const endAll = ({ cardea, realm }: World, user: UserRow) => endSessionsOf(cardea.db, realm.id, { userId: user.id }, Date.now());

test('mod_auth_openidc: a page leads to the sign-in and back, with PKCE, and the site is told claims of the ID token and of userinfo', async (t) => {
  const { origin, issuer, user, seen, agent } = await signedIn(t);
  t.is(seen.url, '/pages/1?a=b');
  t.is(seen.headers.oidc_claim_sub, user.id);
  t.is(seen.headers.oidc_claim_preferred_username, user.username);
  t.is(seen.headers.oidc_claim_email, user.email ?? '');
  t.is(seen.headers.oidc_claim_iss, issuer);
  t.is(seen.headers.oidc_claim_acr, 'aal1');
  t.is(seen.headers.oidc_claim_desk, 'north', 'a claim that userinfo alone says');
  t.false(String(seen.headers.cookie).includes('mod_auth_openidc_session'));

  const sent = await navigator({ ca: CERTIFICATE }).request(`${origin}/other`);
  t.is(sent.status, 302);
  const request = new URL(sent.headers.get('location') ?? '').searchParams;
  t.is(request.get('code_challenge_method'), 'S256');
  t.is(request.get('response_type'), 'code');

  // What the browser sends under these names is nobody's claim.
  const cookie = Object.entries(agent.cookies(HOST))
    .map(([name, value]) => `${name}=${value}`)
    .join('; ');
  const forged = { OIDC_CLAIM_sub: 'root', 'oidc-claim-email': 'root@example.com', OIDC_CLAIM_desk: 'root', OIDC_access_token: 'root' };
  const answer = await sendTo(origin, '/', { headers: { ...forged, cookie } });
  t.is(answer.status, 200);
  t.is(seenIn(answer.text).headers.oidc_claim_sub, user.id);
  t.false(answer.text.includes('root'));
});

test('mod_auth_openidc: a program is told 401 and is sent nowhere', async (t) => {
  const { origin } = await world();
  const programs: Record<string, string>[] = [
    { accept: 'application/json' },
    { accept: 'text/html', 'x-requested-with': 'XMLHttpRequest' },
    { accept: 'text/html', 'sec-fetch-mode': 'cors' },
  ];
  for (const headers of programs) {
    const answer = await sendTo(origin, '/api', { headers });
    t.is(answer.status, 401, JSON.stringify(headers));
    t.is(answer.headers.location, undefined);
  }
});

test('mod_auth_openidc: acr_values asks for more where a path needs it, of whoever is signed in too', async (t) => {
  const { agent, origin, user, seen } = await signedIn(t);
  t.is(seen.headers.oidc_claim_acr, 'aal1');
  const visitor = { ...user };
  // The module leads there by a page that refreshes itself.
  const sent = await agent.get(`${origin}/vault/1`);
  const [, to = ''] = /http-equiv="refresh" content="0; url=([^"]+)"/.exec(sent.html) ?? [];
  t.is(new URL(to).searchParams.get('acr_values'), 'aal2');
  const vault = await open(agent, to, visitor);
  t.is(vault.url, `${origin}/vault/1`);
  t.is(seenIn(vault.html).headers.oidc_claim_acr, 'aal2');
  t.truthy(Reflect.get(visitor, 'totpSecret'), 'an app was set up on the way');
});

test('mod_auth_openidc: the access token is refreshed, and a session that was ended refreshes no more', async (t) => {
  const stage = await signedIn(t);
  const { agent, origin, user, seen } = stage;
  const before = tokenIn(seen);
  const refresh = (token: string) => agent.get(`${origin}/.oidc?${new URLSearchParams({ refresh: `${origin}/after`, access_token: token })}`);
  const page = await refresh(before);
  t.is(page.url, `${origin}/after`, page.html);
  const after = tokenIn(seenIn(page.html));
  t.not(after, before);
  const [old, fresh] = [payloadOf(before), payloadOf(after)];
  for (const claim of ['sub', 'sid', 'acr', 'auth_time', 'azp']) t.deepEqual(fresh[claim], old[claim], claim);
  t.deepEqual(fresh.amr, old.amr);
  await endAll(stage, user);
  // Unless back-channel logout was quicker, and there is no session to refresh any more.
  const { url } = await refresh(after);
  t.regex(url, /error_code=|\/protocol\/openid-connect\/auth|\/login\//);
});

test('mod_auth_openidc: signing out at the site ends the session at Cardea without a question, and comes back', async (t) => {
  const stage = await signedIn(t);
  const { agent, origin, cardea, realm, user } = stage;
  const out = await agent.request(`${origin}/.oidc?${new URLSearchParams({ logout: `${origin}/` })}`);
  const target = new URL(out.headers.get('location') ?? '');
  t.is(target.origin, cardea.origin);
  t.truthy(target.searchParams.get('id_token_hint'));
  const back = await agent.request(target.href);
  t.is(back.headers.get('location')?.split('?')[0], `${origin}/`, back.html);
  const open = await cardea.db.knex('sessions').where({ realm_id: realm.id, user_id: user.id }).whereNull('ended_at');
  t.is(open.length, 0);
  const again = await agent.get(`${origin}/`);
  t.true(formsOf(again)[0]?.names.includes('username'), 'the password is asked again');
});

test('mod_auth_openidc: APIs take an access token that is for them, by asking or by the keys, and nothing else', async (t) => {
  const stage = await signedIn(t);
  const { apis, seen, user, cardea, realm } = stage;
  const token = tokenIn(seen);
  await cardea.client(realm, { clientId: 'robot', secret: 'the secret of a robot', serviceAccount: true });
  const strangers = await cardea.realm();
  await cardea.client(strangers, { clientId: 'robot', secret: 'the secret of a robot', serviceAccount: true });
  const [head = '', , signature = ''] = token.split('.');
  const forged = `${head}.${Buffer.from(JSON.stringify({ ...payloadOf(token), sub: 'root' })).toString('base64url')}.${signature}`;
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${token.split('.')[1]}.`;
  const robot = await serviceToken({ ...cardea, origin: cardea.url }, realm.name, 'robot', 'the secret of a robot');
  const foreign = await serviceToken({ ...cardea, origin: cardea.url }, strangers.name, 'robot', 'the secret of a robot');
  for (const api of apis) {
    const answer = await call(api, token);
    t.is(answer.status, 200, `${api}: ${answer.text}`);
    t.is(seenIn(answer.text).headers.oidc_claim_sub, user.id);
    t.is(seenIn(answer.text).headers.oidc_claim_azp, 'wiki');
    const none = await call(api);
    t.is(none.status, 401);
    t.regex(none.headers['www-authenticate'] ?? '', /^Bearer/);
    const idToken = String(seen.headers.oidc_id_token ?? '');
    for (const wrong of [robot, foreign, forged, unsigned, `${token}x`, 'x', idToken])
      t.is((await call(api, wrong)).status, 401, `${api} ${wrong.slice(0, 30)}`);
  }
});

test('mod_auth_openidc: an API that asks refuses the token of an ended session at once; one with the keys does until it expires', async (t) => {
  const stage = await signedIn(t);
  const [asking = '', local = ''] = stage.apis;
  const token = tokenIn(stage.seen);
  t.is((await call(asking, token)).status, 200);
  await endAll(stage, stage.user);
  t.is((await call(asking, token)).status, 401);
  t.is((await call(local, token)).status, 200);
});

test('F04 mod_auth_openidc: keys are rotated while Apache runs: sessions and tokens stay, and what the new key signs is believed at once', async (t) => {
  const stage = await signedIn(t);
  const { cardea, realm, agent, origin, seen, apis, errors } = stage;
  const before = tokenIn(seen);
  const kidOf = (token: string) => payloadOf(token, 0).kid;
  // Both have fetched the keys as they were.
  for (const api of apis) t.is((await call(api, before)).status, 200);

  const made = await rotateKeys(cardea.operator(), realm, { publishAheadMs: 0 });
  const published = async (): Promise<string[]> => {
    const { keys }: { keys: { kid: string }[] } = JSON.parse(
      await (await fetch(`${cardea.url}/realms/${realm.name}/protocol/openid-connect/certs`)).text(),
    );
    return keys.map(({ kid }) => kid);
  };
  while (!(await published()).includes(made[0]?.id ?? '')) await pause(50);
  t.true((await published()).includes(String(kidOf(before))), 'the old key stays published');

  t.is((await visit(agent, `${origin}/still`)).headers.oidc_claim_sub, seen.headers.oidc_claim_sub);
  for (const api of apis) t.is((await call(api, before)).status, 200, `${api}: the old token`);
  const other = await signedIn(t);
  const after = tokenIn(other.seen);
  t.not(kidOf(after), kidOf(before));
  t.true(made.some(({ id }) => id === kidOf(after)));
  for (const api of apis) t.is((await call(api, after)).status, 200, `${api}: a token of the new key: ${errors().slice(-500)}`);
});

test('mod_auth_openidc: back-channel logout ends the session of whoever was signed out elsewhere, and of nobody else', async (t) => {
  const stage = await signedIn(t);
  const other = await signedIn(t);
  const { origin, cardea, realm, issuer } = stage;
  const is = async (agent: Agent) => (await agent.request(`${origin}/there`)).status;
  t.deepEqual([await is(stage.agent), await is(other.agent)], [200, 200]);

  // What Cardea has not signed signs nobody out.
  const claims = {
    iss: issuer,
    aud: 'wiki',
    sub: other.user.id,
    sid: other.seen.headers.oidc_claim_sid,
    jti: crypto.randomUUID(),
    iat: Math.floor(Date.now() / 1000),
  };
  const payload = { ...claims, events: { 'http://schemas.openid.net/event/backchannel-logout': {} } };
  const encoded = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const [head = ''] = String(tokenIn(other.seen)).split('.');
  for (const token of [`${encoded({ alg: 'none', typ: 'logout+jwt' })}.${encoded(payload)}.`, `${head}.${encoded(payload)}.${'A'.repeat(342)}`]) {
    const body = new URLSearchParams({ logout_token: token }).toString();
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) };
    t.is((await sendTo(origin, '/.oidc?logout=backchannel', { method: 'POST', headers, body })).status, 400);
  }
  t.is(await is(other.agent), 200);

  await endAll(stage, stage.user);
  await until(async () => (await is(stage.agent)) !== 200);
  t.is(await is(stage.agent), 302, stage.errors().slice(-500));
  t.is(await is(other.agent), 200);
  const told = await cardea.db.knex('audit_events').where({ realm_id: realm.id, type: 'logout.untold' });
  t.deepEqual(told, []);
});
