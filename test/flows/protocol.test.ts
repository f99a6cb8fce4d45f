/** What an application may ask for in an authorization request, and what it gets: OpenID Connect Core 1.0 section 3.1.2.1. */
import { createHash } from 'node:crypto';
import { decodeJwt } from 'jose';
import { formsOf, type Page, unescapeHtml } from '../support/agent.ts';
import { afterPassword, arena, at, begin, codeAt, codeFrom, giveApp, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, exchange, openid, signIn, type Tokens, text } from '../support/sign-in.ts';

/** What the redirect to the application says. */
const answer = (page: Page): Record<string, string> => Object.fromEntries(new URL(page.headers.get('location') ?? 'about:blank').searchParams);
const asksPassword = (page: Page): boolean => page.html.includes('name="password"');

/** One request in a browser: the page that is shown, or the redirect away. */
async function ask({ rp }: Scene, browser: Browser, parameters: Record<string, string>) {
  const request = await authorizationRequest(rp, parameters);
  const page = await browser.visit(request.url);
  return { page, answer: answer(page), tokens: () => exchange(rp, request, page), exchange: (from: Page) => exchange(rp, request, from) };
}

const scopes = (tokens: Tokens): string[] => (tokens.scope ?? '').split(' ').sort();

forEachEngine((engine) => {
  const { scene } = arena(engine);

  engine.test('prompt=none answers at once, with a code or with what is missing', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const third = await scene({ mfa: 'off' }, { firstParty: false });
    const user = await stage.server.user(stage.realm);
    const nobody = await ask(stage, new Browser(stage.server.origin), { prompt: 'none' });
    t.is(nobody.answer.error, 'login_required');
    t.is(nobody.answer.iss, `${stage.server.origin}/realms/${stage.realm.name}`);

    const { browser } = await signIn(stage.server, stage.rp, user);
    const silent = await ask(stage, browser, { prompt: 'none' });
    t.is((await silent.tokens()).claims()?.sub, user.id);
    t.is((await ask(third, browser, { prompt: 'none' })).answer.error, 'consent_required');
    const stepUp = await ask(stage, browser, {
      prompt: 'none',
      claims: JSON.stringify({ id_token: { acr: { essential: true, values: ['aal2'] } } }),
    });
    t.is(stepUp.answer.error, 'login_required');
    t.is((await ask(stage, browser, { prompt: 'none login' })).answer.error, 'invalid_request');
    t.is((await ask(stage, browser, { prompt: 'dance' })).answer.error, 'invalid_request');
  });

  engine.test('prompt=login asks the user again, and only that user; prompt=consent asks what was allowed before', async (t) => {
    const stage = await scene({ mfa: 'off' }, { firstParty: false });
    const user = await stage.server.user(stage.realm);
    const { browser } = await signIn(stage.server, stage.rp, user);
    const login = await ask(stage, browser, { prompt: 'login' });
    t.true(asksPassword(login.page));
    t.is(formsOf(login.page)[0]?.fields.username, user.username, 'the name is there and stays');
    const consent = await ask(stage, browser, { prompt: 'consent' });
    t.true(consent.page.html.includes('value="allow"'), text(consent.page));
    t.is((await consent.exchange(await browser.send(consent.page, { do: 'allow' }))).claims()?.sub, user.id);
    const both = await ask(stage, browser, { prompt: 'login consent' });
    const then = await browser.send(both.page, { password: user.password });
    t.true(then.html.includes('value="allow"'), text(then));
    t.is((await both.exchange(await browser.send(then, { do: 'allow' }))).claims()?.sub, user.id);
  });

  engine.test('prompt=select_account asks who it is, and takes another account as well as the same', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const [ada, bob] = [await stage.server.user(stage.realm), await stage.server.user(stage.realm)];
    const { browser } = await signIn(stage.server, stage.rp, ada);
    const same = await ask(stage, browser, { prompt: 'select_account' });
    t.is(formsOf(same.page)[0]?.fields.username, ada.username, 'who is signed in is suggested');
    t.is((await same.exchange(await browser.send(same.page, { username: ada.username, password: ada.password }))).claims()?.sub, ada.id);

    const other = await ask(stage, browser, { prompt: 'select_account' });
    let page = await browser.send(other.page, { username: bob.username, password: bob.password });
    // The library has the browser end the session that is there, by a form.
    if (page.status === 200) page = await browser.send(page, {});
    t.is((await other.exchange(page)).claims()?.sub, bob.id);
    t.is((await (await ask(stage, browser, { prompt: 'none' })).tokens()).claims()?.sub, bob.id);
    const nobody = await ask(stage, new Browser(stage.server.origin), { prompt: 'select_account' });
    t.true(asksPassword(nobody.page));
  });

  engine.serial('max_age counts from the oldest proof, and auth_time says when that was', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser, tokens } = await signIn(stage.server, stage.rp, user);
    const authTime = Number(tokens.claims()?.auth_time);
    t.true(Math.abs(authTime - Date.now() / 1000) < 60);
    await at(200_000, async () => {
      t.is((await (await ask(stage, browser, { max_age: '300' })).tokens()).claims()?.auth_time, authTime);
      t.is((await ask(stage, browser, { max_age: '100', prompt: 'none' })).answer.error, 'login_required');
      const zero = await ask(stage, browser, { max_age: '0' });
      t.true(asksPassword(zero.page));
      const again = await zero.exchange(await browser.send(zero.page, { password: user.password }));
      t.true(Number(again.claims()?.auth_time) >= authTime + 200);
    });
    await at(510_000, async () => {
      const old = await ask(stage, browser, { max_age: '300' });
      t.true(asksPassword(old.page));
      // A slow typist: the age counts from the first page on.
      await at(910_000, async () => {
        const slow = await old.exchange(await browser.send(old.page, { password: user.password }));
        t.true(Number(slow.claims()?.auth_time) >= authTime + 900);
      });
    });
    t.is((await ask(stage, browser, { max_age: '-1' })).answer.error, 'invalid_request');
    t.is((await ask(stage, browser, { max_age: 'soon' })).answer.error, 'invalid_request');
  });

  engine.test('login_hint is suggested, as it is and no longer than a name', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const suggested = async (login_hint: string) =>
      formsOf((await ask(stage, new Browser(stage.server.origin), { login_hint })).page)[0]?.fields.username ?? '';
    for (const hint of ['ada@example.com', '"><script>alert(1)</script>', 'مكتبة', ' a ', 'a&b=c']) t.is(await suggested(hint), hint);
    t.is(await suggested('x'.repeat(300)), '');
  });

  engine.test('languages that are asked for are spoken; what nobody knows does no harm', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const language = async (parameters: Record<string, string>) =>
      /<html lang="(\w+)"/.exec((await ask(stage, new Browser(stage.server.origin), parameters)).page.html)?.[1];
    t.is(await language({ ui_locales: 'xx de fr' }), 'de');
    t.is(await language({ ui_locales: 'tlh' }), 'en');
    t.is(await language({ ui_locales: '../../etc <script>' }), 'en');
    t.is(await language({ display: 'popup', claims_locales: 'fr', unknown: '1', 'weird[]': 'x', kc_idp_hint: 'nobody', kc_locale: 'it' }), 'it');
    const { tokens } = await signIn(stage.server, stage.rp, user, { parameters: { unknown: 'x', display: 'touch', ui_locales: 'xx' } });
    t.is(tokens.claims()?.sub, user.id);
  });

  engine.test('id_token_hint names the only user whose sign-in is an answer', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const [ada, bob] = [await stage.server.user(stage.realm), await stage.server.user(stage.realm)];
    const adas = await signIn(stage.server, stage.rp, ada);
    const bobs = await signIn(stage.server, stage.rp, bob);
    const hint = { id_token_hint: adas.tokens.id_token ?? '' };
    t.is((await (await ask(stage, adas.browser, { ...hint, prompt: 'none' })).tokens()).claims()?.sub, ada.id);
    t.is((await ask(stage, bobs.browser, { ...hint, prompt: 'none' })).answer.error, 'login_required');
    t.is((await ask(stage, adas.browser, { id_token_hint: 'nothing' })).answer.error, 'invalid_request');
    const wrong = await begin(stage, { parameters: hint });
    const back = await wrong.browser.send(wrong.page, { username: bob.username, password: bob.password });
    t.is(answer(back).error, 'login_required', text(back));
  });

  engine.test('acr_values: any of the levels that are known will do; what is not known is not asked', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const acr = async (acr_values: string) => {
      const { browser, page, request } = await begin(stage, { parameters: { acr_values } });
      return (await exchange(stage.rp, request, await browser.send(page, { username: user.username, password: user.password }))).claims()?.acr;
    };
    t.is(await acr('aal2 aal1'), 'aal1', 'the weakest of them is enough');
    t.is(await acr('urn:example:silver aal1'), 'aal1');
    t.is(await acr('urn:example:silver'), 'aal1', 'the level that was reached');
    const { secret } = await giveApp(stage.server, user);
    const { browser, page, request } = await afterPassword(stage, user, { parameters: { acr_values: 'urn:example:gold aal2' } });
    t.true(page.html.includes('name="code"'));
    t.is((await exchange(stage.rp, request, await browser.send(page, { code: codeAt(secret) }))).claims()?.acr, 'aal2');
  });

  engine.test('claims.id_token.acr: essential and reached, essential and out of reach, voluntary', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const claims = (acr: object) => ({ claims: JSON.stringify({ id_token: { acr } }) });
    const { browser } = await signIn(stage.server, stage.rp, user);
    t.is((await (await ask(stage, browser, claims({ essential: true, values: ['aal1', 'aal2'] }))).tokens()).claims()?.acr, 'aal1');
    t.is((await (await ask(stage, browser, claims({ values: ['urn:example:gold'] }))).tokens()).claims()?.acr, 'aal1');
    t.is(
      (await (await ask(stage, browser, claims({ essential: true }))).tokens()).claims()?.acr,
      'aal1',
      'the claim is essential, any value will do',
    );
    for (const acr of [
      { essential: true, values: ['urn:example:gold'] },
      { essential: true, value: 'phrh' },
    ]) {
      t.is((await ask(stage, browser, claims(acr))).answer.error, 'unmet_authentication_requirements', JSON.stringify(acr));
    }
    const { secret } = await giveApp(stage.server, user);
    const raised = await ask(stage, browser, claims({ essential: true, value: 'aal2' }));
    t.true(raised.page.html.includes('name="code"'), text(raised.page));
    t.is((await raised.exchange(await browser.send(raised.page, { code: codeAt(secret) }))).claims()?.acr, 'aal2');
    for (const claims of ['nothing', '[]', '{"id_token":1}']) t.is((await ask(stage, browser, { claims })).answer.error, 'invalid_request', claims);
  });

  engine.test('pushed authorization requests, with and without offline_access, each once', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser } = await signIn(stage.server, stage.rp, user);
    const push = async (parameters: Record<string, string>) => {
      const request = await authorizationRequest(stage.rp, parameters);
      const url = await openid.buildAuthorizationUrlWithPAR(stage.rp.configuration, new URL(request.url).searchParams);
      t.deepEqual([...url.searchParams.keys()].sort(), ['client_id', 'request_uri']);
      return { request, url: url.href };
    };
    const online = await push({});
    const plain = await exchange(stage.rp, online.request, await browser.visit(online.url));
    t.deepEqual(scopes(plain), ['email', 'openid', 'profile'], 'the default scopes, unasked');
    const offline = await push({ scope: 'openid offline_access' });
    t.true(scopes(await exchange(stage.rp, offline.request, await browser.visit(offline.url))).includes('offline_access'));
    const again = await browser.visit(offline.url);
    t.is(codeFrom(again, stage.rp), undefined);
    t.is(again.status, 400);

    const fresh = await push({ login_hint: 'ada' });
    const shown = await new Browser(stage.server.origin).visit(fresh.url);
    t.is(formsOf(shown)[0]?.fields.username, 'ada');
    await t.throwsAsync(push({ redirect_uri: 'https://evil.example/' }), { code: 'OAUTH_RESPONSE_BODY_ERROR' });
  });

  engine.test('response_mode=form_post: the policy names the application and the one script, and nothing else', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser } = await signIn(stage.server, stage.rp, user);
    const request = await authorizationRequest(stage.rp, { response_mode: 'form_post' });
    const page = await browser.visit(request.url);
    t.is(page.status, 200);
    const policy = new Map(
      (page.headers.get('content-security-policy') ?? '').split(/;\s*/).map((line) => [line.split(' ')[0], line.split(' ').slice(1)]),
    );
    t.deepEqual(policy.get('form-action'), ["'self'", new URL(stage.rp.client.redirectUri).origin]);
    const script = /<script>([\s\S]*?)<\/script>/.exec(page.html)?.[1] ?? '';
    const hash = `'sha256-${createHash('sha256').update(script).digest('base64')}'`;
    t.deepEqual(policy.get('script-src'), ["'self'", hash]);
    t.deepEqual([...page.html.matchAll(/<script/g)].length, 1);
    t.is(page.headers.get('cache-control'), 'no-store');
    const form = formsOf(page)[0];
    t.is(form?.action, stage.rp.client.redirectUri);
    t.is(form?.fields.state, request.state);
    t.truthy(form?.fields.iss);
    const sent = new Request(stage.rp.client.redirectUri, { method: 'POST', body: new URLSearchParams(form?.fields) });
    const tokens = await openid.authorizationCodeGrant(stage.rp.configuration, sent, {
      pkceCodeVerifier: request.verifier,
      expectedState: request.state,
      expectedNonce: request.nonce,
    });
    t.is(tokens.claims()?.sub, user.id);
    const fragment = await ask(stage, browser, { response_mode: 'fragment' });
    t.regex(fragment.page.headers.get('location') ?? '', /#code=/);
    t.is((await ask(stage, browser, { response_mode: 'carrier_pigeon' })).answer.error, 'unsupported_response_mode');
  });

  engine.test('a posted request is the same as one in the address', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser } = await signIn(stage.server, stage.rp, user);
    const request = await authorizationRequest(stage.rp);
    const { origin, pathname, searchParams } = new URL(request.url);
    const post = (body: RequestInit['body'], headers: Record<string, string> = {}) =>
      browser.visit(`${origin}${pathname}`, { method: 'POST', body, headers: { origin: 'https://app.example', ...headers } });
    t.is((await exchange(stage.rp, request, await post(searchParams))).claims()?.sub, user.id);
    searchParams.append('redirect_uri', 'https://evil.example/');
    const twice = await post(searchParams);
    t.is(twice.status, 400);
    t.regex(unescapeHtml(twice.html), /'redirect_uri' parameter must not be provided twice/);
    t.is((await post(new URLSearchParams({ ...Object.fromEntries(searchParams), login_hint: 'x'.repeat(10_000) }))).status, 413);
    t.is((await post('{}', { 'content-type': 'application/json' })).status, 415);
  });

  engine.test('without openid it is OAuth 2.0: an access token with the default scopes, and no ID token', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    for (const scope of ['', 'phone', 'offline_access']) {
      const browser = new Browser(stage.server.origin);
      const request = await authorizationRequest(stage.rp);
      const url = new URL(request.url);
      url.searchParams.delete('nonce');
      if (scope === '') url.searchParams.delete('scope');
      else url.searchParams.set('scope', scope);
      const page = await browser.send(await browser.visit(url.href), { username: user.username, password: user.password });
      const location = new URL(page.headers.get('location') ?? 'about:blank');
      t.truthy(location.searchParams.get('code'), `${scope}: ${location}`);
      const checks = { pkceCodeVerifier: request.verifier, expectedState: request.state };
      const tokens = await openid.authorizationCodeGrant(stage.rp.configuration, location, checks);
      t.is(tokens.id_token, undefined, scope);
      t.deepEqual(scopes(tokens), ['email', 'profile', ...(scope === '' ? [] : [scope])].sort(), scope);
      t.like(decodeJwt(tokens.access_token), { sub: user.id, preferred_username: user.username, acr: 'aal1', amr: ['pwd'] }, scope);
      const again = await openid.refreshTokenGrant(stage.rp.configuration, tokens.refresh_token ?? '');
      t.is(again.id_token, undefined, scope);
      t.deepEqual(scopes(again), scopes(tokens), scope);
      const error = await t.throwsAsync(openid.fetchUserInfo(stage.rp.configuration, again.access_token, user.id));
      t.regex(JSON.stringify(error?.cause), /insufficient_scope/, 'userinfo is OpenID Connect');
    }
  });
});
