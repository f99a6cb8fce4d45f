/** Attacks on the way back from a sign-in, and on what stands after it: each was found by trying, and must fail now. */
import { decodeJwt } from 'jose';
import { setPassword } from '../../src/admin/resources/users.ts';
import { auditEvents } from '../../src/store/audit.ts';
import { formsOf, type Page } from '../support/agent.ts';
import { startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, exchange, openid, type RelyingParty, type Request, relyingParty, signIn, text } from '../support/sign-in.ts';

const cookieHeader = (cookies: Record<string, string>): string =>
  Object.entries(cookies)
    .map(([name, value]) => `${name}=${value}`)
    .join('; ');

const answerOf = (page: Page): string => /[?&](code|error)=([^&]*)/.exec(page.headers.get('location') ?? '')?.[1] ?? `no answer (${page.status})`;
const errorOf = (page: Page): string | null => new URL(page.headers.get('location') ?? 'about:blank').searchParams.get('error');

/** What an OAuth error says, of a call that must fail. */
async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'it was granted';
  } catch (error) {
    return error instanceof Error && 'error' in error ? String(error.error) : String(error);
  }
}

forEachEngine((engine) => {
  let shared: ReturnType<typeof startCardea> | undefined;
  const cardea = async () => {
    shared ??= startCardea(await engine.database());
    return shared;
  };

  const spellings: readonly [string, (url: string) => string][] = [
    ['its own address', (url) => url],
    ['a uid that does not exist', (url) => url.replace(/\/auth\/[^/?]+/, '/auth/nosuchuid')],
    ['a trailing slash', (url) => `${url}/`],
    ['upper case', (url) => url.replace('/auth/', '/AUTH/')],
    ['an encoded letter', (url) => url.replace('/auth/', '/%61uth/')],
  ];
  engine.test('B05 the attacker planted his interaction and comes back with his own cookies, by every spelling of the way', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'off' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const victim = await server.user(realm);
    for (const [name, spelled] of spellings) {
      const attacker = new Browser(server.origin);
      const first = await attacker.request((await authorizationRequest(rp)).url);
      const login = first.headers.get('location') ?? '';
      const mine = Object.entries(attacker.cookies('localhost'));
      const planted = Object.fromEntries(mine.filter(([cookie]) => cookie.startsWith('cardea_interaction')));
      // The victim's browser, with nothing but what was planted in it.
      const page = await fetch(login, { headers: { cookie: cookieHeader(planted), accept: 'text/html' }, redirect: 'manual' });
      const transaction = page.headers.getSetCookie().map((line) => line.split(';')[0]);
      const form = formsOf({ url: login, status: 200, headers: page.headers, html: await page.text() })[0];
      const posted = await fetch(login, {
        method: 'POST',
        redirect: 'manual',
        body: new URLSearchParams({ ...form?.fields, username: victim.username, password: victim.password }),
        headers: { cookie: [cookieHeader(planted), ...transaction].join('; '), origin: server.origin },
      });
      t.is(posted.status, 303, name);
      const resumeCookie = Object.fromEntries(mine.filter(([cookie]) => cookie.startsWith('cardea_resume')));
      const back = await fetch(spelled(posted.headers.get('location') ?? ''), {
        headers: { cookie: cookieHeader(resumeCookie) },
        redirect: 'manual',
      });
      t.true(back.status >= 400 && back.status < 500, `${name}: ${back.status}`);
      t.is(back.headers.get('location'), null, name);
    }
    const sessions = await server.db.knex('sessions').where({ realm_id: realm.id });
    t.is(sessions.length, 0, 'no session came to exist');
  });

  engine.test('B30 the password was reset between the last page and the way back', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'off' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    const browser = new Browser(server.origin);
    const page = await browser.visit((await authorizationRequest(rp)).url);
    const form = formsOf(page)[0];
    const done = await browser.request(page.url, {
      method: 'POST',
      body: new URLSearchParams({ ...form?.fields, username: user.username, password: user.password }),
      headers: { origin: server.origin },
    });
    await setPassword(server.operator(), realm, user.username, 'a completely new password');
    const back = await browser.visit(done.headers.get('location') ?? '');
    t.not(answerOf(back), 'code', text(back));
    t.is((await server.db.knex('sessions').where({ realm_id: realm.id })).length, 0);
    t.is((await auditEvents(server.db.knex, realm.id, { type: 'flow.refused', limit: 5 })).length, 1);
  });

  engine.test('B31 an authenticator app that was removed proves nothing any more', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'optional' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    const { browser } = await signIn(server, rp, user, { parameters: { acr_values: 'aal2' } });
    t.is(answerOf(await browser.visit((await authorizationRequest(rp, { acr_values: 'aal2' })).url)), 'code');
    await server.db.knex('credentials').where({ realm_id: realm.id, user_id: user.id, factor: 'totp' }).delete();
    const page = await browser.visit((await authorizationRequest(rp, { acr_values: 'aal2' })).url);
    t.not(answerOf(page), 'code', text(page));
  });

  engine.test('B32 consent, single sign-on and refresh of one session at once: all are answered, and the session stays', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'off' });
    const own = await relyingParty(server, realm, await server.client(realm));
    const others = await Promise.all([1, 2, 3, 4].map(async () => relyingParty(server, realm, await server.client(realm))));
    const third = await relyingParty(server, realm, await server.client(realm, { firstParty: false }));
    const user = await server.user(realm);
    for (let round = 0; round < 5; round += 1) {
      const { browser, tokens } = await signIn(server, own, user);
      const request = await authorizationRequest(third, { prompt: 'consent' });
      const page = await browser.visit(request.url);
      const form = formsOf(page)[0];
      const allowed = await browser.request(page.url, {
        method: 'POST',
        body: new URLSearchParams({ ...form?.fields, do: 'allow' }),
        headers: { origin: server.origin },
      });
      const asked: { rp: RelyingParty; request: Request }[] = await Promise.all(
        others.map(async (rp) => ({ rp, request: await authorizationRequest(rp) })),
      );
      const [resumed, refreshed, ...pages] = await Promise.all([
        browser.request(allowed.headers.get('location') ?? ''),
        openid.refreshTokenGrant(own.configuration, tokens.refresh_token ?? ''),
        ...asked.map((one) => browser.request(one.request.url)),
      ]);
      t.truthy(refreshed.access_token);
      t.is((await exchange(third, request, resumed)).claims()?.sub, user.id);
      for (const [index, one] of asked.entries()) {
        const answer = pages[index];
        if (!answer) return t.fail();
        t.is((await exchange(one.rp, one.request, answer)).claims()?.sub, user.id);
      }
      t.is(answerOf(await browser.visit((await authorizationRequest(own, { prompt: 'none' })).url)), 'code', 'the browser is still signed in');
    }
  });

  engine.test('B33 a request for another subject is not answered by whoever is signed in', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'off' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const [ada, bob] = [await server.user(realm), await server.user(realm)];
    const one = await signIn(server, rp, ada);
    const two = await signIn(server, rp, bob);
    const asks: Record<string, string>[] = [
      { id_token_hint: two.tokens.id_token ?? '' },
      { claims: JSON.stringify({ id_token: { sub: { value: bob.id } } }) },
    ];
    for (const parameters of asks) {
      t.is(errorOf(await one.browser.visit((await authorizationRequest(rp, { ...parameters, prompt: 'none' })).url)), 'login_required');
      const page = await one.browser.visit((await authorizationRequest(rp, parameters)).url);
      t.true(page.html.includes('name="password"'), text(page));
      const wrong = await one.browser.send(page, { username: ada.username, password: ada.password });
      t.is(errorOf(wrong), 'login_required', text(wrong));
      t.is(answerOf(await two.browser.visit((await authorizationRequest(rp, parameters)).url)), 'code', 'the right one is not asked');
    }
  });

  engine.test('E30 no token is made for a resource that nobody registered, and a service account has nothing of a user', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'off' });
    const rp = await relyingParty(server, realm, await server.client(realm, { serviceAccount: true }));
    const page = await new Browser(server.origin).visit((await authorizationRequest(rp, { resource: 'https://api.example/' })).url);
    t.is(errorOf(page), 'invalid_target');
    t.is(await refusal(openid.clientCredentialsGrant(rp.configuration, { resource: 'https://api.example/' })), 'invalid_target');
    const tokens = await openid.clientCredentialsGrant(rp.configuration, { scope: 'openid' });
    t.is(tokens.scope, 'openid email profile', 'its own default scopes, as with Keycloak');
    t.deepEqual([tokens.refresh_token, tokens.id_token], [undefined, undefined]);
    const { email, name } = decodeJwt(tokens.access_token);
    t.deepEqual([email, name], [undefined, undefined]);
  });

  engine.test('E31 tokens end with what they stand on: session, client, user', async (t) => {
    const server = await cardea();
    const { knex } = server.db;
    const realm = await server.realm({ mfa: 'off' });
    const service = await server.client(realm, { serviceAccount: true });
    const rp = await relyingParty(server, realm, service);
    const other = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    const active = async (token: string) => (await openid.tokenIntrospection(other.configuration, token)).active;

    const idle = await signIn(server, other, user);
    t.true(await active(idle.tokens.access_token));
    await knex('sessions')
      .where({ realm_id: realm.id })
      .update({ last_seen_at: Date.now() - 31 * 86_400_000 });
    t.false(await active(idle.tokens.access_token), 'a session that lay idle too long');
    t.is(await refusal(openid.refreshTokenGrant(other.configuration, idle.tokens.refresh_token ?? '')), 'invalid_grant');

    const own = await openid.clientCredentialsGrant(rp.configuration);
    t.true(await active(own.access_token));
    await knex('clients').where({ realm_id: realm.id, id: service.row.id }).update({ enabled: false });
    await server.db.changes.announce(`client:${realm.id}`);
    t.false(await active(own.access_token), 'a client that was switched off');

    const last = await signIn(server, other, user);
    await knex('users').where({ realm_id: realm.id, id: user.id }).update({ enabled: false });
    t.false(await active(last.tokens.access_token), 'a user who was switched off');
    t.is(await refusal(openid.refreshTokenGrant(other.configuration, last.tokens.refresh_token ?? '')), 'invalid_grant');
  });

  engine.test('E32 an offline token keeps itself alive, not the session, and ends when nobody uses it', async (t) => {
    const server = await cardea();
    const { knex } = server.db;
    const realm = await server.realm({ mfa: 'off' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const { tokens } = await signIn(server, rp, await server.user(realm), { parameters: { scope: 'openid offline_access' } });
    const away = Date.now() - 50 * 60_000;
    await knex('sessions').where({ realm_id: realm.id }).update({ last_seen_at: away });
    t.truthy((await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '')).access_token);
    const [session] = await knex('sessions').where({ realm_id: realm.id });
    t.is(Number(session.last_seen_at), away);
    await knex('session_clients')
      .where({ realm_id: realm.id })
      .update({ used_at: Date.now() - 31 * 86_400_000 });
    t.is(await refusal(openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '')), 'invalid_grant');
  });

  engine.test('E33 a grant that is gone is replaced, and "stay signed in" ends nothing', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'off' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    const { browser, tokens } = await signIn(server, rp, user);
    await server.db.knex('oidc_payloads').where({ realm_id: realm.id, model: 'Grant' }).delete();
    t.is(await refusal(openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '')), 'invalid_grant');
    const again = await signIn(server, rp, user, { browser });
    t.not(again.tokens.claims()?.sid, tokens.claims()?.sid, 'tokens of before are not valid by the new grant');

    // Without a hint, or there would be no question.
    const page = await browser.visit(openid.buildEndSessionUrl(rp.configuration, {}).href);
    await browser.send(page, {});
    t.truthy((await openid.refreshTokenGrant(rp.configuration, again.tokens.refresh_token ?? '')).access_token);
    t.is(answerOf(await browser.visit((await authorizationRequest(rp, { prompt: 'none' })).url)), 'code');
  });

  engine.test('F30 only GET and POST do anything at the sign-in pages', async (t) => {
    const server = await cardea();
    const realm = await server.realm();
    const rp = await relyingParty(server, realm, await server.client(realm));
    const browser = new Browser(server.origin);
    const page = await browser.visit((await authorizationRequest(rp)).url);
    const stored = () => server.db.knex('logins').where({ realm_id: realm.id });
    const before = await stored();
    for (const method of ['PUT', 'DELETE', 'PATCH', 'PROPFIND']) {
      const refused = await browser.request(page.url, { method });
      t.is(refused.status, 405, method);
      t.is(refused.headers.get('allow'), 'HEAD, GET, POST');
    }
    for (const method of ['OPTIONS', 'HEAD']) t.is((await browser.request(page.url, { method })).html, '', `${method} reads`);
    t.deepEqual(await stored(), before);
  });
});
