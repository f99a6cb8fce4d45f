/** The demo application, and what it says when something goes wrong. The browser test walks the way where nothing does. */
import { createServer } from 'node:http';
import test from 'ava';
import { generateKeyPair, importJWK, type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose';
import { startDemoApp } from '../../examples/demo-app/server.ts';
import { endSession } from '../../src/admin/resources/user-sessions.ts';
import { signingKeySeal, signingKeys } from '../../src/store/signing-keys.ts';
import { Agent, formsOf, type Page } from '../support/agent.ts';
import { codeAt, giveApp } from '../support/attack.ts';
import { startCardea } from '../support/cardea.ts';
import { atEnd } from '../support/cleanup.ts';
import { onSqlite } from '../support/databases.ts';
import { freePort } from '../support/ports.ts';
import { text } from '../support/sign-in.ts';
import { until } from '../support/until.ts';

async function startDemo(options: { issuer: string; clientId?: string; clientSecret?: string; port?: number }) {
  const demo = await startDemoApp({ clientId: 'demo', clientSecret: 'a secret of the demo', port: 0, host: '127.0.0.1', ...options });
  atEnd(() => demo.close());
  return demo;
}

async function world() {
  const port = await freePort();
  const server = await startCardea(await onSqlite.open(), { CARDEA_OUTBOUND_ALLOW: `localhost:${port}` });
  const realm = await server.realm({ mfa: 'off' });
  const user = await server.user(realm);
  const home = `http://localhost:${port}`;
  const client = await server.client(realm, {
    redirectUris: [`${home}/callback`],
    postLogoutRedirectUris: [`${home}/`],
    attributes: { 'backchannel.logout.url': `${home}/backchannel-logout` },
  });
  const demo = await startDemo({
    issuer: `${server.origin}/realms/${realm.name}`,
    clientId: client.clientId,
    clientSecret: client.secret ?? '',
    port,
  });
  return { server, realm, user, demo, client };
}

const heading = (page: Page): string => (/<h1>([\s\S]*?)<\/h1>/.exec(page.html)?.[1] ?? '').replaceAll(/<[^>]+>/g, '').trim();

async function press(agent: Agent, page: Page, action: string, fields: Record<string, string> = {}): Promise<Page> {
  const form = formsOf(page).find((one) => new URL(one.action).pathname === action);
  if (!form) throw new Error(`No form to ${action}: ${page.status} ${text(page)}`);
  return agent.submit(page, form, fields);
}

test('what Cardea says is shown, in the page and under a policy that allows no script of ours', async (t) => {
  const { user, demo } = await world();
  const agent = new Agent();
  const signIn = await press(agent, await agent.get(demo.url), '/sign-in');
  const page = await agent.submit(signIn, formsOf(signIn)[0] ?? t.fail(), { username: user.username, password: user.password });
  t.is(page.url, `${demo.url}/`);
  t.is(heading(page), `You are ${user.username}`);
  t.regex(page.html, /id="acr">aal1</);
  t.is(page.html.match(/<tr role="row" class="marked">/g)?.length, 7, 'acr, amr and auth_time in both tokens; userinfo has the time, as in Keycloak');
  t.false(page.html.includes('<script'));
  t.regex(page.headers.get('content-security-policy') ?? '', /default-src 'none'/);
  t.is(heading(await press(agent, page, '/refresh')), `You are ${user.username}`);
  const left = await press(agent, await agent.get(demo.url), '/sign-out');
  t.is(left.url, `${demo.url}/`, 'the application has shown whose session it is: nobody is asked');
  t.is(heading(await agent.get(demo.url)), 'A demo application');
});

test('an API asks for more in words of RFC 9470, and the application passes them on', async (t) => {
  const { server, user, demo } = await world();
  const api = (headers: Record<string, string> = {}) =>
    fetch(`${demo.url.replace('localhost', '127.0.0.1')}/api/transfer`, { method: 'POST', headers });
  t.is((await api()).headers.get('www-authenticate'), 'Bearer');
  const forged = await api({ authorization: 'Bearer eyJhbGciOiJub25lIn0.eyJhY3IiOiJhYWwyIn0.' });
  t.regex(forged.headers.get('www-authenticate') ?? '', /^Bearer error="invalid_token"/);

  const { secret } = await giveApp(server, user);
  const agent = new Agent();
  const signIn = await press(agent, await agent.get(demo.url), '/sign-in');
  const page = await agent.submit(signIn, formsOf(signIn)[0] ?? t.fail(), { username: user.username, password: user.password });
  t.regex(page.html, /id="acr">aal1</);
  const challenge = await press(agent, page, '/transfer');
  t.true(challenge.url.startsWith(server.origin), 'the user is asked for the second factor');
  const again = formsOf(challenge)[0] ?? t.fail();
  const back = await agent.submit(challenge, again, { code: codeAt(secret) });
  t.is(back.url, `${demo.url}/`);
  t.regex(back.html, /id="acr">aal2</);
  t.regex(back.html, /id="transfer">The transfer was made/);
  const second = await press(agent, back, '/transfer');
  t.is(second.url, `${demo.url}/`, 'nothing more is asked while it is recent');
  t.regex(second.html, /id="transfer">The transfer was made/);
});

test('whoever stops signing in is told so', async (t) => {
  const { demo } = await world();
  const agent = new Agent();
  const signIn = await press(agent, await agent.get(demo.url), '/sign-in');
  const page = await agent.submit(signIn, formsOf(signIn)[0] ?? t.fail(), { do: 'cancel' });
  t.is(page.status, 403);
  t.is(heading(page), 'You stopped signing in');
  t.regex(page.html, /access_denied/);
});

test('a session that ended at Cardea ends here with the next refresh', async (t) => {
  const { server, realm, user, demo } = await world();
  const agent = new Agent();
  const signIn = await press(agent, await agent.get(demo.url), '/sign-in');
  const page = await agent.submit(signIn, formsOf(signIn)[0] ?? t.fail(), { username: user.username, password: user.password });
  await server.db.knex('sessions').where({ realm_id: realm.id }).update({ ended_at: Date.now() });
  const refused = await press(agent, page, '/refresh');
  t.is(refused.status, 401);
  t.is(heading(refused), 'Your session has ended');
  t.is(heading(await agent.get(demo.url)), 'A demo application');
});

test('whoever is signed out at Cardea is signed out here, in every browser of that session and in no other', async (t) => {
  const { server, realm, user, demo } = await world();
  const signedIn = async (): Promise<Agent> => {
    const agent = new Agent();
    const signIn = await press(agent, await agent.get(demo.url), '/sign-in');
    const page = await agent.submit(signIn, formsOf(signIn)[0] ?? t.fail(), { username: user.username, password: user.password });
    t.is(heading(page), `You are ${user.username}`);
    return agent;
  };
  const [one, other] = [await signedIn(), await signedIn()];
  const [session] = await server.db.knex('sessions').where({ realm_id: realm.id }).orderBy('created_at');
  await endSession(server.operator(), realm, session.id, { offline: false });
  const isOver = async (): Promise<boolean> => heading(await one.get(demo.url)) === 'A demo application';
  t.true(await until(isOver));
  t.is(heading(await other.get(demo.url)), `You are ${user.username}`);
});

test('nobody but the issuer signs anybody out', async (t) => {
  const { server, realm, user, demo, client } = await world();
  const agent = new Agent();
  const signIn = await press(agent, await agent.get(demo.url), '/sign-in');
  await agent.submit(signIn, formsOf(signIn)[0] ?? t.fail(), { username: user.username, password: user.password });
  const { sid } = await server.db.knex('session_clients').where({ realm_id: realm.id }).first('sid');
  const { privateKey } = await generateKeyPair('RS256');
  const [key] = await signingKeys(server.db.knex, realm.id);
  if (!key) return t.fail();
  const ours = await importJWK(JSON.parse(await server.keyring.openText(signingKeySeal(key), key.privateJwk)), key.algorithm);
  const good: { header: JWTHeaderParameters; claims: JWTPayload; audience: string; issuer: string; key: typeof ours; jti: string; life: string } = {
    header: { typ: 'logout+jwt', alg: key.algorithm, kid: key.id },
    claims: { sid, events: { 'http://schemas.openid.net/event/backchannel-logout': {} } },
    audience: client.clientId,
    issuer: `${server.origin}/realms/${realm.name}`,
    key: ours,
    jti: 'once',
    life: '2m',
  };
  const post = async (some: Partial<typeof good> = {}, fields: Record<string, string> = {}): Promise<number> => {
    const { header, claims, audience, issuer, key: by, jti, life } = { ...good, ...some };
    const token = new SignJWT(claims).setProtectedHeader(header).setIssuer(issuer).setAudience(audience).setSubject(user.id);
    const signed = await token.setIssuedAt().setExpirationTime(life).setJti(jti).sign(by);
    const body = new URLSearchParams({ logout_token: signed, ...fields });
    return (await fetch(`${demo.url}/backchannel-logout`, { method: 'POST', body })).status;
  };
  const bad: [string, Partial<typeof good>][] = [
    ['another key', { key: privateKey, header: { ...good.header, alg: 'RS256' } }],
    ['another kind of token', { header: { ...good.header, typ: 'JWT' } }],
    ['another audience', { audience: 'somebody' }],
    ['another issuer', { issuer: 'https://evil.example' }],
    ['no event', { claims: { ...good.claims, events: { 'http://schemas.openid.net/event/other': {} } } }],
    ['a nonce', { claims: { ...good.claims, nonce: 'n' } }],
    ['long ago', { life: '-2m' }],
  ];
  for (const [what, some] of bad) t.is(await post(some), 400, what);
  t.is(heading(await agent.get(demo.url)), `You are ${user.username}`);
  t.is((await fetch(`${demo.url}/backchannel-logout`, { method: 'POST', body: new URLSearchParams({ logout_token: 'x' }) })).status, 400);
  t.is(await post(), 200, 'and that of the issuer does');
  t.is(heading(await agent.get(demo.url)), 'A demo application');
});

test('an answer that nobody waits for is refused, and so is a form from elsewhere', async (t) => {
  const { demo } = await world();
  const agent = new Agent();
  const page = await agent.get(`${demo.url}/callback?code=1&state=2`);
  t.deepEqual([page.status, heading(page)], [400, 'This sign-in was not begun here']);
  t.is((await agent.request(`${demo.url}/sign-in`, { method: 'POST', headers: { origin: 'https://evil.test' } })).status, 403);
  t.is((await agent.get(`${demo.url}/nothing`)).status, 404);
});

test('a client that is not known, a wrong secret and an issuer that is not there are said in words', async (t) => {
  const { server, realm, user } = await world();
  const issuer = `${server.origin}/realms/${realm.name}`;
  const agent = new Agent();
  const unknown = await startDemo({ issuer, clientId: 'nobody' });
  t.regex(text(await press(agent, await agent.get(unknown.url), '/sign-in')), /not known/);

  const port = await freePort();
  const { clientId } = await server.client(realm, { redirectUris: [`http://localhost:${port}/callback`] });
  const wrong = await startDemo({ issuer, clientId, port });
  const signIn = await press(agent, await agent.get(wrong.url), '/sign-in');
  const refused = await agent.submit(signIn, formsOf(signIn)[0] ?? t.fail(), { username: user.username, password: user.password });
  t.deepEqual([refused.status, heading(refused)], [502, 'This application is not set up right']);

  const lost = await startDemo({ issuer: `http://localhost:${await freePort()}/realms/none` });
  const page = await press(agent, await agent.get(lost.url), '/sign-in');
  t.deepEqual([page.status, heading(page)], [503, 'The identity provider does not answer']);
});

test('it may start before Cardea does', async (t) => {
  const port = await freePort();
  const demo = await startDemo({ issuer: `http://localhost:${port}/realms/late` });
  const agent = new Agent();
  const waiting = agent.get(demo.url).then((page) => press(agent, page, '/sign-in'));
  const late = createServer((_request, response) => {
    response.setHeader('content-type', 'application/json');
    const issuer = `http://localhost:${port}/realms/late`;
    response.end(
      JSON.stringify({ issuer, authorization_endpoint: `${issuer}/auth`, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/certs` }),
    );
  });
  await new Promise((resolve) => setTimeout(resolve, 600));
  await new Promise<void>((resolve) => late.listen(port, '127.0.0.1', resolve));
  atEnd(() => late.close());
  t.true((await waiting).url.startsWith(`http://localhost:${port}/realms/late/auth?`));
});
