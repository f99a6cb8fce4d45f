/**
 * What a console believes of a sign-in. Beside it on the same socket stands a provider that can be told to lie, which the
 * real one never does: another nonce, another issuer, another key.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import test from 'ava';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import Koa from 'koa';
import { createRealm } from '../../../src/admin/resources/realms.ts';
import { createUser } from '../../../src/admin/resources/users.ts';
import { createFactors } from '../../../src/factors/index.ts';
import { createRelying } from '../../../src/http/relying.ts';
import { inEnglish } from '../../../src/languages/messages.ts';
import type { RealmContext } from '../../../src/realms/registry.ts';
import { endSessionsOf } from '../../../src/sessions/sessions.ts';
import { clientByClientId } from '../../../src/store/clients.ts';
import { credentialsOf } from '../../../src/store/credentials.ts';
import { policyInForce } from '../../../src/store/policies.ts';
import { insertSession, joinSessionClient } from '../../../src/store/sessions.ts';
import { Agent, type Page } from '../../support/agent.ts';
import { atEnd } from '../../support/cleanup.ts';
import { onSqlite } from '../../support/databases.ts';
import { quickHasher } from '../../support/factors.ts';
import { keyringOn } from '../../support/keyring.ts';
import { freePort } from '../../support/ports.ts';

/** What the provider does otherwise than it should. */
interface Lies {
  claims?: JWTPayload;
  iss?: string;
  wrongKey?: boolean;
  error?: string;
}

const NOW = Date.now();

async function world() {
  const db = await onSqlite.database();
  const keyring = keyringOn(db);
  const operator = { db, keyring, passwords: quickHasher(), actor: 'test', now: NOW };
  const realm = await createRealm(operator, { name: `relying-${randomUUID().slice(0, 8)}` });
  const user = await createUser(operator, realm, { username: 'ada', password: 'correct horse battery' });
  const [password] = await credentialsOf(db.knex, realm.id, user.id);
  if (!password) throw new Error('the user has no password');
  const client = await clientByClientId(db.knex, realm.id, 'account-console');
  if (!client) throw new Error('the realm has no account console');

  const session = {
    realmId: realm.id,
    id: randomUUID(),
    uid: 'u',
    userId: user.id,
    facts: { skipped: false },
    remember: false,
    ip: null,
    userAgent: null,
    createdAt: NOW,
    lastSeenAt: NOW,
    endsAt: NOW + 3_600_000,
    endedAt: null,
  };
  const proof = { credentialId: password.id, factor: 'password', kinds: ['knowledge' as const], level: 'aal1' as const, amr: ['pwd'], at: NOW };
  await insertSession(db.knex, { ...session, proofs: [proof] });
  const sid = randomUUID();
  const joining = { realmId: realm.id, sessionId: session.id, clientRowId: client.id, sid, grantId: 'g', instead: null, now: NOW };
  await db.transaction((trx) => joinSessionClient(trx, joining));

  const port = await freePort();
  const origin = `http://localhost:${port}`;
  const issuer = `${origin}/realms/${realm.name}`;
  const base = `/realms/${realm.name}/account`;
  const context: RealmContext = {
    realm,
    rootSecret: Buffer.alloc(32, 1),
    scopes: [],
    mappers: new Map(),
    policy: await policyInForce(db.knex, realm.id),
    keys: [],
  };
  const warnings: object[] = [];
  const relying = createRelying({
    db,
    factors: createFactors(),
    origin,
    listening: () => `http://127.0.0.1:${port}`,
    now: () => NOW,
    render: async (ctx, _view, model, status = 200) => {
      ctx.status = status;
      ctx.body = JSON.stringify(model);
    },
    log: { warn: (details) => warnings.push(details) },
  });
  const provider = await lyingProvider(issuer, { sub: user.id, sid });
  const app = new Koa();
  app.use(async (ctx) => {
    if (ctx.path === `${base}/callback`) {
      const arrival = await relying.callback(ctx, context, 'account');
      if (arrival) ctx.redirect(arrival.returnTo);
    } else if (ctx.path === `${base}/sign-out`) await relying.signOut(ctx, context, 'account');
    else if (ctx.path.startsWith(base)) {
      const signedIn = await relying.requireSession(ctx, context, 'account', ctx.query.recent ? { recent: true } : {});
      if (signedIn) ctx.body = `hello ${signedIn.user.username}`;
    } else await provider.answer(ctx);
  });
  const server = createServer(app.callback());
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  atEnd(() => server.close());
  return { db, realm, user, session, origin, base, issuer, provider, warnings, end: () => endSessionsOf(db, realm.id, { id: session.id }, NOW) };
}

/** Discovery, keys and a token endpoint; the browser's part is played by the test. */
async function lyingProvider(issuer: string, who: { sub: string; sid: string }) {
  const [ours, other] = await Promise.all([generateKeyPair('RS256'), generateKeyPair('RS256')]);
  const jwk = { ...(await exportJWK(ours.publicKey)), kid: 'k', alg: 'RS256', use: 'sig' };
  const asked = new Map<string, { nonce: string; challenge: string }>();
  const state: { lies: Lies; exchanges: URLSearchParams[]; asked: typeof asked } = { lies: {}, exchanges: [], asked };

  const idToken = async (nonce: string): Promise<string> => {
    const claims = {
      iss: issuer,
      aud: 'account-console',
      sub: who.sub,
      sid: who.sid,
      nonce,
      iat: Math.floor(NOW / 1000),
      exp: Math.floor(NOW / 1000) + 300,
      ...state.lies.claims,
    };
    return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'k' }).sign(state.lies.wrongKey ? other.privateKey : ours.privateKey);
  };
  return Object.assign(state, {
    async answer(ctx: Koa.Context): Promise<void> {
      const path = ctx.path.slice(new URL(issuer).pathname.length);
      const endpoint = (name: string): string => `${issuer}/${name}`;
      if (path === '/.well-known/openid-configuration') {
        ctx.body = {
          issuer,
          authorization_endpoint: endpoint('auth'),
          token_endpoint: endpoint('token'),
          jwks_uri: endpoint('certs'),
          end_session_endpoint: endpoint('logout'),
          authorization_response_iss_parameter_supported: true,
          code_challenge_methods_supported: ['S256'],
        };
      } else if (path === '/certs') ctx.body = { keys: [jwk] };
      else if (path === '/token') {
        const chunks: Buffer[] = [];
        for await (const chunk of ctx.req) chunks.push(chunk);
        const form = new URLSearchParams(Buffer.concat(chunks).toString());
        state.exchanges.push(form);
        const known = asked.get(form.get('code') ?? '');
        const challenge = createHash('sha256')
          .update(form.get('code_verifier') ?? '')
          .digest('base64url');
        asked.delete(form.get('code') ?? '');
        if (!known || known.challenge !== challenge) {
          ctx.status = 400;
          ctx.body = { error: 'invalid_grant' };
        } else ctx.body = { access_token: 'x', token_type: 'Bearer', id_token: await idToken(known.nonce) };
      }
    },
  });
}

type World = Awaited<ReturnType<typeof world>>;

/** Asks for a page, and answers where the sign-in would send the browser back to. */
async function startSignIn({ provider, issuer, origin, base }: World, agent: Agent, page = base): Promise<URL> {
  const sent = await agent.request(`${origin}${page}`);
  const request = new URL(sent.headers.get('location') ?? 'missing:');
  const parameters = Object.fromEntries(request.searchParams);
  const code = randomUUID();
  provider.asked.set(code, { nonce: parameters.nonce ?? '', challenge: parameters.code_challenge ?? '' });
  const back = new URL(parameters.redirect_uri ?? 'missing:');
  back.search = new URLSearchParams({ code, state: parameters.state ?? '', iss: provider.lies.iss ?? issuer }).toString();
  return back;
}

const hasSession = (agent: Agent): boolean => 'cardea_account_session' in agent.cookies('localhost');
const title = (page: Page): string => inEnglish(JSON.parse(page.html).title);

test('a sign-in with PKCE, state and nonce brings the browser back to the page that it asked for', async (t) => {
  const here = await world();
  const agent = new Agent();
  const sent = await agent.request(`${here.origin}${here.base}/methods?x=1`);
  t.is(sent.status, 303);
  const request = new URL(sent.headers.get('location') ?? '');
  t.is(`${request.origin}${request.pathname}`, `${here.issuer}/auth`);
  t.is(request.searchParams.get('code_challenge_method'), 'S256');
  t.is(request.searchParams.get('client_id'), 'account-console');
  t.is(request.searchParams.get('redirect_uri'), `${here.origin}${here.base}/callback`);
  const [cookie = ''] = sent.headers.getSetCookie();
  t.regex(cookie, new RegExp(`; path=${here.base};.*samesite=lax; httponly`));
  t.false(cookie.includes(request.searchParams.get('nonce') ?? '-'), 'what the cookie says is sealed');

  const back = await startSignIn(here, agent, `${here.base}/methods?x=1`);
  const arrived = await agent.request(back.href);
  t.is(arrived.headers.get('location'), `${here.base}/methods?x=1`);
  t.is((await agent.request(`${here.origin}${here.base}`)).html, 'hello ada');
  const form = here.provider.exchanges[0];
  t.deepEqual(
    [form?.get('client_id'), form?.get('client_secret'), form?.get('redirect_uri')],
    ['account-console', null, `${here.origin}${here.base}/callback`],
  );
  t.false(
    JSON.stringify(await here.db.knex('console_sessions').where({ realm_id: here.realm.id })).includes(
      agent.cookies('localhost').cardea_account_session ?? '-',
    ),
  );
});

const LIES: [what: string, lies: Lies][] = [
  ['another nonce', { claims: { nonce: 'another' } }],
  ['another issuer in the answer', { iss: 'https://evil.test' }],
  ['another issuer in the token', { claims: { iss: 'https://evil.test' } }],
  ['another audience', { claims: { aud: 'another-client' } }],
  ['a token that has expired', { claims: { exp: Math.floor(NOW / 1000) - 3_600 } }],
  ['a key that is not the realm’s', { wrongKey: true }],
  ['a session that is not there', { claims: { sid: randomUUID() } }],
  ['no session', { claims: { sid: undefined } }],
  ['a session of somebody else', { claims: { sub: randomUUID() } }],
];

for (const [what, lies] of LIES) {
  test(`nobody is signed in by ${what}`, async (t) => {
    const here = await world();
    const agent = new Agent();
    here.provider.lies = lies;
    const back = await startSignIn(here, agent);
    const page = await agent.request(back.href);
    t.is(page.status, 400);
    t.false(hasSession(agent));
    t.deepEqual(await here.db.knex('console_sessions').where({ realm_id: here.realm.id }), []);
  });
}

test('a sign-in that another browser began is not finished here', async (t) => {
  const here = await world();
  const [attacker, victim] = [new Agent(), new Agent()];
  const back = await startSignIn(here, attacker);
  t.is(title(await victim.request(back.href)), 'This sign-in was not begun here');
  t.false(hasSession(victim));
  t.deepEqual(here.provider.exchanges, [], 'the code was not even looked at');

  // Nor with a sign-in of its own under way, or a cookie that is not ours.
  await startSignIn(here, victim);
  t.is((await victim.request(back.href)).status, 400);
  const name = Object.keys(attacker.cookies('localhost')).find((one) => one.startsWith('cardea_account_login_')) ?? '';
  t.is((await new Agent({ cookie: `${name}=v1|console|AAAA|BBBB|CCCC` }).request(back.href)).status, 400);
  t.is((await new Agent({ cookie: `${name}=nonsense` }).request(back.href)).status, 400);
});

test('a code is not taken with the state of another tab, and each tab finishes its own', async (t) => {
  const here = await world();
  const agent = new Agent();
  const [first, second] = [await startSignIn(here, agent, `${here.base}/one`), await startSignIn(here, agent, `${here.base}/two`)];
  const mixed = new URL(first);
  mixed.searchParams.set('code', second.searchParams.get('code') ?? '');
  t.is((await agent.request(mixed.href)).status, 400, 'the verifier belongs to the state');
  const third = await startSignIn(here, agent, `${here.base}/three`);
  t.is((await agent.request(third.href)).headers.get('location'), `${here.base}/three`);
});

test('the answer is taken once', async (t) => {
  const here = await world();
  const agent = new Agent();
  const back = await startSignIn(here, agent);
  t.is((await agent.request(back.href)).status, 302);
  t.is(title(await agent.request(back.href)), 'This sign-in was not begun here');
});

test('an error of the provider is said in words', async (t) => {
  const here = await world();
  const agent = new Agent();
  for (const [error, said] of [
    ['access_denied', 'You stopped signing in'],
    ['unmet_authentication_requirements', 'A stronger sign-in is needed here'],
    ['server_error', 'This sign-in cannot be finished'],
  ] as const) {
    const back = await startSignIn(here, agent);
    back.searchParams.delete('code');
    back.searchParams.set('error', error);
    const page = await agent.request(back.href);
    t.is(page.status, 400);
    t.is(title(page), said);
  }
});

test('the cookie alone is nothing: the session behind it is looked up on every request', async (t) => {
  const here = await world();
  const agent = new Agent();
  await agent.request((await startSignIn(here, agent)).href);
  const page = () => agent.request(`${here.origin}${here.base}`);
  t.is((await page()).html, 'hello ada');

  await here.db.knex('users').where({ id: here.user.id }).update({ enabled: false });
  t.is((await page()).status, 303, 'a user who was switched off');
  await here.db
    .knex('users')
    .where({ id: here.user.id })
    .update({ enabled: true, not_before: NOW + 1 });
  t.is((await page()).status, 303, 'a session from before all were made void');
  await here.db.knex('users').where({ id: here.user.id }).update({ not_before: 0 });
  t.is((await page()).html, 'hello ada');

  await here.end();
  t.is((await page()).status, 303, 'a session that ended elsewhere');
});

test('a session that is not recent enough is sent to sign in, and the password is asked again', async (t) => {
  const here = await world();
  const agent = new Agent();
  await agent.request((await startSignIn(here, agent)).href);
  t.is((await agent.request(`${here.origin}${here.base}?recent=1`)).html, 'hello ada');
  const [password] = await credentialsOf(here.db.knex, here.realm.id, here.user.id);
  const old = { credentialId: password?.id ?? '', factor: 'password', kinds: ['knowledge'], level: 'aal1', amr: ['pwd'], at: NOW - 300_001 };
  await here.db
    .knex('sessions')
    .where({ id: here.session.id })
    .update({ proofs: JSON.stringify([old]) });
  const sent = await agent.request(`${here.origin}${here.base}?recent=1`);
  const request = new URL(sent.headers.get('location') ?? '');
  t.deepEqual([sent.status, request.searchParams.get('max_age'), request.searchParams.get('acr_values')], [303, '300', null]);
  t.is((await agent.request(`${here.origin}${here.base}`)).html, 'hello ada', 'other pages stay open');
});

test('signing out ends the console’s session, and goes on to the provider’s', async (t) => {
  const here = await world();
  const agent = new Agent();
  await agent.request((await startSignIn(here, agent)).href);
  const { cardea_account_session: before = '' } = agent.cookies('localhost');
  const sent = await agent.request(`${here.origin}${here.base}/sign-out`, { method: 'POST' });
  const url = new URL(sent.headers.get('location') ?? '');
  t.is(`${url.origin}${url.pathname}`, `${here.issuer}/logout`);
  t.is(url.searchParams.get('post_logout_redirect_uri'), `${here.origin}${here.base}/`);
  t.is(url.searchParams.get('id_token_hint')?.split('.').length, 3);
  t.false(hasSession(agent));
  // The old cookie, put back, opens nothing.
  const thief = new Agent({ cookie: `cardea_account_session=${before}` });
  t.is((await thief.request(`${here.origin}${here.base}`)).status, 303);
});

test('sign-ins that were begun and left behind do not pile up in the browser', async (t) => {
  const here = await world();
  const agent = new Agent();
  for (let tabs = 0; tabs < 30; tabs += 1) await agent.request(`${here.origin}${here.base}`);
  const open = Object.keys(agent.cookies('localhost')).filter((name) => name.startsWith('cardea_account_login_'));
  t.true(open.length <= 6, `${open.length} cookies`);
});
