/** E · Attacks on the protocol: redirect URIs, PKCE, codes and tokens used twice, by somebody else, or made up. */
import { createPublicKey } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { z } from 'zod';
import { formsOf, type Page } from '../support/agent.ts';
import {
  arena,
  at,
  audited,
  backAtApplication,
  begin,
  call,
  codeExchange,
  codeFrom,
  credentialsOf,
  parallel,
  type Scene,
  type TestUser,
  tally,
  withoutOwnScripts,
} from '../support/attack.ts';
import type { Cardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, type RelyingParty, type Request, relyingParty, signIn, text } from '../support/sign-in.ts';

/** A sign-in up to its code, which nobody has exchanged yet. */
async function codeFor(
  stage: Scene,
  user: TestUser,
  parameters: Record<string, string> = {},
): Promise<{ code: string; request: Request; browser: Browser }> {
  const { browser, page, request } = await begin(stage, { parameters });
  const back = await browser.send(page, { username: user.username, password: user.password });
  const code = codeFrom(back, stage.rp);
  if (code === undefined) throw new Error(`No code: ${back.status} ${text(back)}`);
  return { code, request, browser };
}

const tokenCall = (node: Cardea, { realm, rp }: Scene, fields: Record<string, string>, as: RelyingParty = rp) =>
  call(node, realm, 'token', as.client.secret === null ? { client_id: as.client.clientId, ...fields } : fields, credentialsOf(as));

const refresh = (node: Cardea, stage: Scene, token: unknown, as: RelyingParty = stage.rp) =>
  tokenCall(node, stage, { grant_type: 'refresh_token', refresh_token: String(token) }, as);

const userinfo = async ({ server, realm }: Scene, token: unknown): Promise<number> => {
  const response = await fetch(`${server.url}/realms/${realm.name}/protocol/openid-connect/userinfo`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return response.status;
};

const isActive = async (stage: Scene, token: unknown, as: RelyingParty = stage.rp): Promise<unknown> => {
  const answer = await call(stage.server, stage.realm, 'token/introspect', { token: String(token) }, credentialsOf(as));
  return answer.body.active;
};

const authorizePath = ({ realm }: Scene): string => `/realms/${realm.name}/protocol/openid-connect/auth`;

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine);

  engine.test('E01 a redirect_uri that is not the registered one: an error page, and no redirect', async (t) => {
    const exact = await scene({ mfa: 'off' });
    const star = await scene({ mfa: 'off' }, { redirectUris: ['https://app.example/app/*'] });
    const native = await scene(
      { mfa: 'off' },
      { publicClient: true, redirectUris: ['com.example.app:/cb', 'http://127.0.0.1/cb', 'http://localhost:*/cb'] },
    );
    const common = [
      'https://app.example@evil.example/callback',
      'https://app.example:x@evil.example/callback',
      'https://evil.example/https://app.example/callback',
      'https://evil.example?https://app.example/callback',
      'https://evil.example#https://app.example/callback',
      'https://app.example.evil.example/callback',
      'https://app.example%2eevil.example/callback',
      'https://app.example\\@evil.example/callback',
      'https://app.example\\.evil.example/callback',
      'https://app.example%00.evil.example/callback',
      'https://app.example%0d%0aLocation:%20https://evil.example/callback',
      'https://app.example:444/callback',
      'https://app.example./callback',
      'https://аpp.example/callback',
      'http://app.example/callback',
      '//app.example/callback',
      '//evil.example/callback',
      '/callback',
      'callback',
      'javascript:alert(1)//https://app.example/callback',
      'data:text/html,https://app.example/callback',
      '',
      '*',
      'https://*/callback',
      'https://redirect-uris.invalid/',
      ' https://app.example/callback',
      'https://app.example/callback ',
      'https://app.example\t/callback',
      `https://app.example/${'a'.repeat(3_000)}`,
    ];
    const ofExact = [
      'https://app.example:443/callback',
      'https://app.example/Callback',
      'https://app.example/callback/',
      'https://app.example/callback/x',
      'https://app.example/callback?x=1',
      'https://app.example/callback?',
      'https://app.example/callback#x',
      'https://app.example/callback#',
      'https://app.example/callback;x',
      'https://app.example/callbackx',
      'https://app.example/%63allback',
      'https://app.example/callback%23',
      'https://app.example/x/../callback',
      'https://app.example/callback/..;/callback',
      'https://app.example/./callback',
      'https://app.example//callback',
      'HTTPS://app.example/callback',
      'https://APP.example/callback',
      'https:app.example/callback',
      'https:/app.example/callback',
    ];
    const ofStar = [
      'https://app.example/app/../evil',
      'https://app.example/app/..;/evil',
      'https://app.example/app/%2e%2e/evil',
      'https://app.example/app/%2E%2E%2Fevil',
      'https://app.example/app/%252e%252e/evil',
      'https://app.example/app/..%5cevil',
      'https://app.example/app/x\\..\\..\\evil',
      'https://app.example/app//evil.example',
      'https://app.example/app/@evil.example',
      'https://app.example/app/x#y',
      'https://app.example/apple',
      'https://app.example/App/x',
      'https://app.example/',
      'https://evil.example/app/x',
    ];
    const ofNative = [
      'com.example.app:/cb/x',
      'com.example.app://cb',
      'com.example.app:/CB',
      'com.example.evil:/cb',
      'http://127.0.0.1:80@evil.example/cb',
      'http://127.0.0.2/cb',
      'http://127.0.0.1.evil.example/cb',
      'http://127.1/cb',
      'http://2130706433/cb',
      'http://[::1]/cb',
      'http://localhost.evil.example:80/cb',
      'http://localhost:80@evil.example/cb',
      'http://localhost:80.evil.example/cb',
      'http://localhost:/cbx',
      'https://localhost:1/cb',
    ];
    const cases = [
      ...[...common, ...ofExact].map((uri) => ({ stage: exact, uri })),
      ...[...common, ...ofStar].map((uri) => ({ stage: star, uri })),
      ...[...common, ...ofNative].map((uri) => ({ stage: native, uri })),
    ];
    for (const { stage, uri } of cases) {
      const url = new URL((await authorizationRequest(stage.rp)).url);
      url.searchParams.set('redirect_uri', uri);
      const browser = new Browser(stage.server.origin);
      const page = await browser.request(url.href);
      t.is(page.status, 400, uri);
      t.is(page.headers.get('location'), null, uri);
      t.false(/http-equiv|<form|<script/i.test(withoutOwnScripts(page.html)), uri);
    }
    // What is wrong besides must not be told to that address, in whichever way.
    const evil = { redirect_uri: 'https://evil.example/callback' };
    const worse: Record<string, string>[] = [
      { response_type: 'token' },
      { response_type: 'none' },
      { scope: 'nonsense' },
      { prompt: 'none' },
      { prompt: 'none login' },
      { response_mode: 'form_post' },
      { response_mode: 'fragment', response_type: 'code id_token' },
      { response_mode: 'web_message' },
      { request: 'e30.e30.' },
      { request_uri: 'https://evil.example/request' },
      { max_age: '-1' },
      { claims: '{' },
      { client_id: 'nobody' },
    ];
    for (const parameters of worse) {
      const url = new URL((await authorizationRequest(exact.rp)).url);
      for (const [name, value] of Object.entries({ ...evil, ...parameters })) url.searchParams.set(name, value);
      const page = await new Browser(exact.server.origin).request(url.href);
      t.is(page.status, 400, JSON.stringify(parameters));
      t.is(page.headers.get('location'), null, JSON.stringify(parameters));
      t.false(/<form|<script|http-equiv/i.test(withoutOwnScripts(page.html)), JSON.stringify(parameters));
    }
    // Twice, once right and once wrong, in either order, in the query or the body.
    for (const uris of [
      ['https://evil.example/callback', exact.rp.client.redirectUri],
      [exact.rp.client.redirectUri, 'https://evil.example/callback'],
    ]) {
      const url = new URL((await authorizationRequest(exact.rp)).url);
      url.searchParams.delete('redirect_uri');
      for (const uri of uris) url.searchParams.append('redirect_uri', uri);
      const browser = new Browser(exact.server.origin);
      for (const page of [
        await browser.request(url.href),
        await browser.request(`${url.origin}${url.pathname}`, { method: 'POST', body: url.searchParams }),
        await browser.request(`${url.origin}${url.pathname}?redirect_uri=${encodeURIComponent(uris[0] ?? '')}`, {
          method: 'POST',
          body: new URLSearchParams([...url.searchParams].filter(([name, value]) => name !== 'redirect_uri' || value === uris[1])),
        }),
      ]) {
        t.false(String(page.headers.get('location')).startsWith('https://evil.example'), uris.join(' '));
        t.false(page.html.includes('action="https://evil.example'), uris.join(' '));
      }
    }
    for (const uri of common) {
      const pushed = await call(
        exact.server,
        exact.realm,
        'ext/par/request',
        { ...(await pushedParameters(exact.rp)).parameters, redirect_uri: uri },
        credentialsOf(exact.rp),
      );
      t.is(pushed.status, 400, uri);
      t.is(pushed.body.request_uri, undefined, uri);
    }
  });

  engine.test('E01 a post_logout_redirect_uri is held to the same', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser, tokens } = await signIn(stage.server, stage.rp, user);
    const logout = `${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/logout`;
    for (const uri of [
      'https://evil.example/',
      'https://app.example@evil.example/callback',
      'https://app.example/callback/../x',
      'javascript:alert(1)',
      '//evil.example',
    ]) {
      const clients: Record<string, string>[] = [{ id_token_hint: tokens.id_token ?? '' }, { client_id: stage.rp.client.clientId }];
      for (const parameters of clients) {
        const page = await browser.request(`${logout}?${new URLSearchParams({ ...parameters, post_logout_redirect_uri: uri })}`);
        t.is(page.status, 400, uri);
        t.is(page.headers.get('location'), null, uri);
      }
      // Without a client there is nobody whose address it could be: it is not gone to.
      const page = await browser.visit(`${logout}?${new URLSearchParams({ post_logout_redirect_uri: uri })}`);
      const left = await new Browser(stage.server.origin).visit(page.url);
      t.false(String(left.headers.get('location')).includes('evil'), uri);
      t.false(page.html.includes('evil.example'), uri);
    }
    t.true(await isActive(stage, tokens.access_token), 'and nobody was signed out');
  });

  engine.test('E02 PKCE: needed of a public client, S256 alone, and verified both ways', async (t) => {
    const open = await scene({ mfa: 'off' }, { publicClient: true });
    const confidential = await scene({ mfa: 'off' });
    const user = await open.server.user(open.realm);
    const without: Record<string, string | undefined>[] = [
      { code_challenge: undefined, code_challenge_method: undefined },
      { code_challenge: undefined },
      { code_challenge_method: undefined },
      { code_challenge_method: 'plain' },
      { code_challenge_method: 's256' },
      { code_challenge_method: 'none' },
      { code_challenge: '' },
      { code_challenge: 'short' },
      { code_challenge: 'a'.repeat(42) },
      { code_challenge: 'a'.repeat(129) },
      { code_challenge: `${'a'.repeat(42)}*` },
    ];
    for (const parameters of without) {
      const url = new URL((await authorizationRequest(open.rp)).url);
      for (const [name, value] of Object.entries(parameters)) {
        if (value === undefined) url.searchParams.delete(name);
        else url.searchParams.set(name, value);
      }
      const page = await new Browser(open.server.origin).request(url.href);
      const back = backAtApplication(page, open.rp.client.redirectUri);
      t.is(back?.get('error'), 'invalid_request', JSON.stringify(parameters));
      t.is(back?.get('code'), null);
      const pushed = await call(open.server, open.realm, 'ext/par/request', url.searchParams);
      t.is(pushed.status, 400, JSON.stringify(parameters));
    }

    const { code, request } = await codeFor(open, user);
    const { verifier } = request;
    const challenge = new URL(request.url).searchParams.get('code_challenge') ?? '';
    for (const code_verifier of [
      undefined,
      '',
      challenge,
      `${verifier}a`,
      verifier.slice(0, -1),
      verifier.toUpperCase(),
      'a'.repeat(43),
      'a'.repeat(200),
    ]) {
      const { code_verifier: _, ...rest } = codeExchange(open.rp, request, code);
      const refused = await tokenCall(open.server, open, code_verifier === undefined ? rest : { ...rest, code_verifier });
      t.is(refused.status, 400, code_verifier);
      t.is(refused.body.access_token, undefined);
    }
    t.is((await tokenCall(open.server, open, codeExchange(open.rp, request, code))).status, 200, 'none of it used the code up');

    // A verifier where there was no challenge: somebody else's code was slipped in (RFC 9700 section 4.8.2).
    const url = new URL((await authorizationRequest(confidential.rp)).url);
    url.searchParams.delete('code_challenge');
    url.searchParams.delete('code_challenge_method');
    const browser = new Browser(confidential.server.origin);
    const back = await browser.send(await browser.visit(url.href), { username: user.username, password: user.password });
    const slipped = await tokenCall(confidential.server, confidential, codeExchange(confidential.rp, request, codeFrom(back, confidential.rp) ?? ''));
    t.is(slipped.body.error, 'invalid_grant', JSON.stringify(slipped.body));
  });

  for (const publicClient of [false, true]) {
    engine.test(
      `E03 a code fifty times at once (${publicClient ? 'public' : 'confidential'} client): one success, and nothing of it is left`,
      async (t) => {
        const stage = await scene({ mfa: 'off' }, { publicClient });
        const processes = await nodes();
        for (let round = 0; round < 3; round += 1) {
          const user = await stage.server.user(stage.realm);
          const { code, request, browser } = await codeFor(stage, user);
          const answers = await parallel(50, (index) =>
            tokenCall(processes[index % processes.length] ?? stage.server, stage, codeExchange(stage.rp, request, code)),
          );
          const won = answers.filter(({ status }) => status === 200);
          t.is(won.length, 1, JSON.stringify(tally(answers)));
          t.true(
            answers.every(({ status, body }) => status === 200 || (status === 400 && body.error === 'invalid_grant')),
            JSON.stringify(tally(answers)),
          );
          const tokens = won[0]?.body ?? {};
          t.is((await refresh(stage.server, stage, tokens.refresh_token)).body.error, 'invalid_grant');
          t.is(await userinfo(stage, tokens.access_token), 401);
          if (!publicClient) t.false(await isActive(stage, tokens.access_token));
          t.true((await audited(stage, 'token.reuse', { user: user.id })).length >= 1);
          // The family is one session at one client: the session itself stands, and makes a new one.
          const again = await browser.visit((await authorizationRequest(stage.rp, { prompt: 'none' })).url);
          t.truthy(codeFrom(again, stage.rp), text(again));
        }
      },
    );
  }

  engine.test('E03 a code again, later: refused, and what came of it ends', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const other = await relyingParty(stage.server, stage.realm, await stage.server.client(stage.realm));
    const user = await stage.server.user(stage.realm);
    const { code, request, browser } = await codeFor(stage, user);
    const first = await tokenCall(stage.server, stage, codeExchange(stage.rp, request, code));
    const beside = await signIn(stage.server, other, user, { browser });
    const rotated = await refresh(stage.server, stage, first.body.refresh_token);
    t.is(rotated.status, 200);
    const again = await tokenCall(stage.server, stage, codeExchange(stage.rp, request, code));
    t.is(again.body.error, 'invalid_grant');
    for (const token of [first.body.access_token, rotated.body.access_token]) {
      t.is(await userinfo(stage, token), 401);
      t.false(await isActive(stage, token));
    }
    for (const token of [first.body.refresh_token, rotated.body.refresh_token])
      t.is((await refresh(stage.server, stage, token)).body.error, 'invalid_grant');
    const [reuse] = await audited(stage, 'token.reuse', { user: user.id });
    t.is(reuse?.clientId, stage.rp.client.clientId);
    t.is(await userinfo(stage, beside.tokens.access_token), 200, 'another application of the same session goes on');
    t.is((await tokenCall(stage.server, stage, codeExchange(stage.rp, request, code))).body.error, 'invalid_grant');
  });

  engine.serial('E03 a code after its time', async (t) => {
    const stage = await scene({ mfa: 'off', accessCodeLifespan: 30 });
    const { code, request } = await codeFor(stage, await stage.server.user(stage.realm));
    await at(36_000, async () => {
      const late = await tokenCall(stage.server, stage, codeExchange(stage.rp, request, code));
      t.is(late.body.error, 'invalid_grant');
    });
  });

  engine.test('E04 a code of another client, with another verifier or redirect_uri', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const other = await relyingParty(stage.server, stage.realm, await stage.server.client(stage.realm));
    const open = await relyingParty(stage.server, stage.realm, await stage.server.client(stage.realm, { publicClient: true }));
    const elsewhere = await scene({ mfa: 'optional' });
    const { code, request } = await codeFor(stage, await stage.server.user(stage.realm));
    const mine = codeExchange(stage.rp, request, code);
    const refused = [
      await tokenCall(stage.server, stage, mine, other),
      await tokenCall(stage.server, stage, mine, open),
      await tokenCall(stage.server, stage, { ...mine, client_id: open.client.clientId }, open),
      await tokenCall(stage.server, stage, { ...mine, code_verifier: 'b'.repeat(43) }),
      await tokenCall(stage.server, stage, { ...mine, redirect_uri: 'https://app.example/callback/' }),
      await tokenCall(stage.server, elsewhere, mine),
      await tokenCall(stage.server, stage, { ...mine, code: code.toLowerCase() }),
      await tokenCall(stage.server, stage, { ...mine, code: `${code}x` }),
    ];
    for (const [index, { status, body }] of refused.entries()) t.deepEqual([status, body.error], [400, 'invalid_grant'], String(index));
    for (const headers of [{}, credentialsOf(other)]) {
      const posing = await call(stage.server, stage.realm, 'token', { ...mine, client_id: stage.rp.client.clientId }, headers);
      t.true(posing.status === 401 || posing.status === 400, `${posing.status}`);
      t.is(posing.body.access_token, undefined);
    }
    t.is((await tokenCall(stage.server, stage, mine)).status, 200, 'the rightful client still gets its tokens');
  });

  engine.test('E05 every answer to an application says who it comes from', async (t) => {
    const stage = await scene({ mfa: 'off' }, { firstParty: false, name: 'Third party' });
    const iss = `${stage.server.origin}/realms/${stage.realm.name}`;
    const user = await stage.server.user(stage.realm);
    const check = (page: Page, expected: Record<string, string | undefined>) => {
      const back = backAtApplication(page, stage.rp.client.redirectUri);
      t.is(back?.get('iss'), iss, text(page));
      t.deepEqual(back?.getAll('iss').length, 1);
      for (const [name, value] of Object.entries(expected)) t.is(back?.get(name), value, name);
    };
    const silent = await begin(stage, { parameters: { prompt: 'none' } });
    check(silent.page, { error: 'login_required', state: silent.request.state });
    const mistakes: Record<string, string>[] = [
      { scope: 'nonsense' },
      { prompt: 'none login' },
      { response_type: 'id_token' },
      { max_age: '-1' },
      { claims: '{' },
      { response_mode: 'web_message' },
    ];
    for (const parameters of mistakes) {
      const wrong = await begin(stage, { parameters });
      const back = backAtApplication(wrong.page, stage.rp.client.redirectUri);
      if (back)
        t.is(
          back.get('iss') ?? new URLSearchParams(new URL(wrong.page.headers.get('location') ?? '').hash.slice(1)).get('iss'),
          iss,
          JSON.stringify(parameters),
        );
      else t.is(wrong.page.status, 400, JSON.stringify(parameters));
    }
    const cancelled = await begin(stage);
    check(await cancelled.browser.send(cancelled.page, { do: 'cancel' }), { error: 'access_denied', state: cancelled.request.state });
    const unmet = await begin(stage, { parameters: { acr_values: 'phrh' } });
    check(await unmet.browser.send(unmet.page, { username: user.username, password: user.password }), { error: 'unmet_authentication_requirements' });
    const denied = await begin(stage);
    const consent = await denied.browser.send(denied.page, { username: user.username, password: user.password });
    check(await denied.browser.send(consent, { do: 'deny' }), { error: 'access_denied' });
    const wanted = await begin(stage, { browser: denied.browser });
    check(await wanted.browser.send(wanted.page, { do: 'allow' }), { state: wanted.request.state });

    for (const response_mode of ['form_post', 'fragment']) {
      const posted = await begin(stage, { browser: denied.browser, parameters: { response_mode } });
      const fields =
        response_mode === 'form_post'
          ? formsOf(posted.page)[0]?.fields
          : Object.fromEntries(new URLSearchParams(new URL(posted.page.headers.get('location') ?? '').hash.slice(1)));
      t.is(fields?.iss, iss, response_mode);
      t.truthy(fields?.code);
      const failed = await begin(stage, { parameters: { response_mode, prompt: 'none' } });
      const error =
        response_mode === 'form_post'
          ? formsOf(failed.page)[0]?.fields
          : Object.fromEntries(new URLSearchParams(new URL(failed.page.headers.get('location') ?? '').hash.slice(1)));
      t.deepEqual([error?.error, error?.iss], ['login_required', iss], response_mode);
    }
    const discovery = await (await fetch(`${iss}/.well-known/openid-configuration`)).text();
    t.true(discovery.includes('"authorization_response_iss_parameter_supported":true'));
  });

  engine.test('E06 a refresh token of a public client, many times at once: one success, and nothing of it is left', async (t) => {
    const stage = await scene({ mfa: 'off' }, { publicClient: true });
    const processes = await nodes();
    for (let round = 0; round < 3; round += 1) {
      const user = await stage.server.user(stage.realm);
      const { tokens } = await signIn(stage.server, stage.rp, user);
      const answers = await parallel(30, (index) => refresh(processes[index % processes.length] ?? stage.server, stage, tokens.refresh_token));
      const won = answers.filter(({ status }) => status === 200);
      t.true(won.length <= 1, JSON.stringify(tally(answers)));
      t.true(
        answers.every(({ status, body }) => status === 200 || body.error === 'invalid_grant'),
        JSON.stringify(tally(answers)),
      );
      for (const { body } of won) {
        t.is((await refresh(stage.server, stage, body.refresh_token)).body.error, 'invalid_grant');
        t.is(await userinfo(stage, body.access_token), 401);
      }
      t.is(await userinfo(stage, tokens.access_token), 401);
      t.true((await audited(stage, 'token.reuse', { user: user.id })).length >= 1);
    }
  });

  engine.test('E06 an old refresh token: the thief and the owner both lose', async (t) => {
    const stage = await scene({ mfa: 'off' }, { publicClient: true });
    const user = await stage.server.user(stage.realm);
    const { tokens } = await signIn(stage.server, stage.rp, user);
    const second = await refresh(stage.server, stage, tokens.refresh_token);
    const third = await refresh(stage.server, stage, second.body.refresh_token);
    t.is(third.status, 200);
    t.is((await refresh(stage.server, stage, tokens.refresh_token)).body.error, 'invalid_grant');
    for (const token of [tokens.refresh_token, second.body.refresh_token, third.body.refresh_token])
      t.is((await refresh(stage.server, stage, token)).body.error, 'invalid_grant');
    for (const token of [tokens.access_token, second.body.access_token, third.body.access_token]) t.is(await userinfo(stage, token), 401);
    t.is((await audited(stage, 'token.reuse', { user: user.id })).length, 1);
  });

  engine.test('E06 refreshTokenMaxReuse lets a token be used so often, and not once more', async (t) => {
    const stage = await scene({ mfa: 'off' }, { publicClient: true });
    const processes = await nodes();
    const { knex } = stage.server.db;
    await knex('clients').where({ realm_id: stage.realm.id, id: stage.rp.client.row.id }).update({ refresh_token_max_reuse: 2 });
    await stage.server.db.changes.announce(`client:${stage.realm.id}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const user = await stage.server.user(stage.realm);
    const one = await signIn(stage.server, stage.rp, user);
    const newest: unknown[] = [];
    for (let use = 0; use < 3; use += 1) {
      const answer = await refresh(stage.server, stage, one.tokens.refresh_token);
      t.is(answer.status, 200, `use ${use}`);
      newest.push(answer.body.refresh_token);
    }
    t.is((await refresh(stage.server, stage, newest[0])).status, 200);
    t.is((await refresh(stage.server, stage, one.tokens.refresh_token)).body.error, 'invalid_grant');
    for (const token of newest) t.is((await refresh(stage.server, stage, token)).body.error, 'invalid_grant');

    const other = await signIn(stage.server, stage.rp, user);
    const answers = await parallel(30, (index) => refresh(processes[index % processes.length] ?? stage.server, stage, other.tokens.refresh_token));
    const won = answers.filter(({ status }) => status === 200);
    t.true(won.length <= 3, JSON.stringify(tally(answers)));
    for (const { body } of won) t.is((await refresh(stage.server, stage, body.refresh_token)).body.error, 'invalid_grant');
  });

  engine.test('E06 rotation switched on for a confidential client works the same', async (t) => {
    const stage = await scene({ mfa: 'off' });
    await stage.server.db.knex('clients').where({ realm_id: stage.realm.id, id: stage.rp.client.row.id }).update({ revoke_refresh_token: true });
    await stage.server.db.changes.announce(`client:${stage.realm.id}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    const second = await refresh(stage.server, stage, tokens.refresh_token);
    t.not(second.body.refresh_token, tokens.refresh_token);
    t.is((await refresh(stage.server, stage, tokens.refresh_token)).body.error, 'invalid_grant');
    t.is((await refresh(stage.server, stage, second.body.refresh_token)).body.error, 'invalid_grant');
    t.false(await isActive(stage, second.body.access_token));
  });

  engine.test('E10 a pushed request is used once, by its own client, also by many at once', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const other = await relyingParty(stage.server, stage.realm, await stage.server.client(stage.realm));
    const processes = await nodes();
    const user = await stage.server.user(stage.realm);
    const { browser } = await signIn(stage.server, stage.rp, user);
    const push = async () => {
      const { parameters } = await pushedParameters(stage.rp);
      const answer = await call(stage.server, stage.realm, 'ext/par/request', parameters, credentialsOf(stage.rp));
      t.is(answer.status, 201, JSON.stringify(answer.body));
      return String(answer.body.request_uri);
    };
    const open = (uri: string, client_id: string, node = stage.server) =>
      fetch(`${node.url}${authorizePath(stage)}?${new URLSearchParams({ client_id, request_uri: uri })}`, {
        redirect: 'manual',
        headers: { accept: 'text/html', cookie: browser.jar.map(({ name, value }) => `${name}=${value}`).join('; ') },
      });
    const codeOf = (answer: Response): string | null => {
      const location = answer.headers.get('location');
      return location?.startsWith(stage.rp.client.redirectUri) ? new URL(location).searchParams.get('code') : null;
    };

    const once = await push();
    t.truthy(codeOf(await open(once, stage.rp.client.clientId)));
    const twice = await open(once, stage.rp.client.clientId);
    t.is(codeOf(twice), null);
    t.is(twice.status, 400);

    const raced = await push();
    const answers = await parallel(20, (index) => open(raced, stage.rp.client.clientId, processes[index % processes.length]));
    t.is(answers.filter((answer) => codeOf(answer) !== null).length, 1, JSON.stringify(tally(answers)));
    t.true(
      answers.every(({ status }) => status < 500),
      JSON.stringify(tally(answers)),
    );

    const foreign = await open(await push(), other.client.clientId);
    t.is(foreign.status, 400);
    t.is(codeOf(foreign), null);
    for (const uri of [
      'urn:ietf:params:oauth:request_uri:nothing',
      'https://evil.example/request',
      'http://169.254.169.254/latest/meta-data',
      `${once}x`,
    ]) {
      t.is((await open(uri, stage.rp.client.clientId)).status, 400, uri);
    }
    t.is((await call(stage.server, stage.realm, 'ext/par/request', (await pushedParameters(stage.rp)).parameters)).status, 401, 'without a secret');

    // The query cannot change what was pushed.
    const strict = await call(
      stage.server,
      stage.realm,
      'ext/par/request',
      { ...(await pushedParameters(stage.rp)).parameters, prompt: 'login' },
      credentialsOf(stage.rp),
    );
    const loosened = new URLSearchParams({
      client_id: stage.rp.client.clientId,
      request_uri: String(strict.body.request_uri),
      prompt: 'none',
      redirect_uri: 'https://evil.example/',
    });
    const page = await browser.visit(`${stage.server.origin}${authorizePath(stage)}?${loosened}`);
    t.true(page.html.includes('name="password"') || page.status === 400, text(page));
    t.is(codeFrom(page, stage.rp), undefined);
  });

  engine.test('E10 a pushed request opened in two tabs: both may sign in, one gets the code', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const pushed = await call(stage.server, stage.realm, 'ext/par/request', (await pushedParameters(stage.rp)).parameters, credentialsOf(stage.rp));
    const url = `${stage.server.origin}${authorizePath(stage)}?${new URLSearchParams({ client_id: stage.rp.client.clientId, request_uri: String(pushed.body.request_uri) })}`;
    const tabs = await parallel(4, async () => {
      const browser = new Browser(stage.server.origin);
      return { browser, page: await browser.visit(url) };
    });
    const done = await Promise.all(
      tabs.map(({ browser, page }) => (page.status === 200 ? browser.send(page, { username: user.username, password: user.password }) : page)),
    );
    t.is(done.filter((page) => codeFrom(page, stage.rp) !== undefined).length, 1, JSON.stringify(tally(done)));
  });

  engine.test('E11 tokens that are made up, or made for something else, are worth nothing', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const elsewhere = await scene({ mfa: 'optional' });
    const service = await relyingParty(stage.server, stage.realm, await stage.server.client(stage.realm, { redirectUris: [], serviceAccount: true }));
    const user = await stage.server.user(stage.realm);
    const { tokens } = await signIn(stage.server, stage.rp, user);
    const foreign = await signIn(stage.server, elsewhere.rp, await stage.server.user(elsewhere.realm));
    const serviceTokens = await tokenCall(stage.server, stage, { grant_type: 'client_credentials' }, service);
    t.is(await userinfo(stage, tokens.access_token), 200, 'the real one works');
    t.true(await isActive(stage, tokens.access_token));

    const forged = await forgeries(stage, tokens.access_token);
    const others: Record<string, unknown> = {
      'an ID token': tokens.id_token,
      'a refresh token': tokens.refresh_token,
      'a token of another realm': foreign.tokens.access_token,
      'a mark before it': `~${tokens.access_token}`,
      'a space behind it': `${tokens.access_token}%20`,
      nothing: '',
    };
    for (const [what, token] of [
      ...Object.entries(forged),
      ...Object.entries(others),
      ['a service account', serviceTokens.body.access_token],
    ] as const) {
      t.true([400, 401, 403].includes(await userinfo(stage, token)), `userinfo: ${what}`);
    }
    for (const [what, token] of [
      ...Object.entries(forged),
      ['an ID token', tokens.id_token],
      ['another realm', foreign.tokens.access_token],
    ] as const) {
      for (const token_type_hint of ['access_token', 'refresh_token', 'nonsense']) {
        const looked = await call(stage.server, stage.realm, 'token/introspect', { token: String(token), token_type_hint }, credentialsOf(stage.rp));
        t.not(looked.body.active, true, `introspection: ${what}`);
        t.true(looked.status < 500, what);
      }
      const revoked = await call(stage.server, stage.realm, 'revoke', { token: String(token) }, credentialsOf(stage.rp));
      t.true(revoked.status < 500, what);
      t.true((await refresh(stage.server, stage, token)).status === 400, what);
    }
    t.is(await userinfo(stage, tokens.access_token), 200, 'a forged copy revoked nothing');
    const inQuery = await fetch(
      `${stage.server.url}/realms/${stage.realm.name}/protocol/openid-connect/userinfo?access_token=${tokens.access_token}`,
    );
    t.true([400, 401].includes(inQuery.status), 'a token in an address is not taken');
  });

  engine.test('E11 made-up hints sign nobody out and skip nobody’s sign-in', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const elsewhere = await scene({ mfa: 'optional' });
    const [alice, bob] = [await stage.server.user(stage.realm), await stage.server.user(stage.realm)];
    const { browser, tokens } = await signIn(stage.server, stage.rp, alice);
    const bobs = await signIn(stage.server, stage.rp, bob);
    const foreign = await signIn(stage.server, elsewhere.rp, await stage.server.user(elsewhere.realm));
    const logout = `${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/logout`;
    const hints: Record<string, string> = {
      ...(await forgeries(stage, tokens.id_token ?? '')),
      'another realm': foreign.tokens.id_token ?? '',
      'an access token': tokens.access_token,
    };
    for (const [what, hint] of Object.entries(hints)) {
      const page = await browser.request(
        `${logout}?${new URLSearchParams({ id_token_hint: hint, post_logout_redirect_uri: stage.rp.client.redirectUri })}`,
      );
      t.is(page.status, 400, what);
      t.is(page.headers.get('location'), null, what);
      t.is((await browser.request(`${logout}?${new URLSearchParams({ id_token_hint: hint })}`)).status, 400, what);
      const asked = await begin(stage, { browser, parameters: { id_token_hint: hint, prompt: 'none' } });
      t.is(codeFrom(asked.page, stage.rp), undefined, what);
    }
    // A real hint, but of another user: the browser's session does not answer it.
    const silent = await begin(stage, { browser, parameters: { id_token_hint: bobs.tokens.id_token ?? '', prompt: 'none' } });
    t.is(backAtApplication(silent.page, stage.rp.client.redirectUri)?.get('error'), 'login_required');
    const asks: Record<string, string>[] = [
      { id_token_hint: bobs.tokens.id_token ?? '' },
      { claims: JSON.stringify({ id_token: { sub: { value: bob.id } } }) },
    ];
    for (const parameters of asks) {
      const asked = await begin(stage, { browser, parameters });
      const answered = await browser.send(asked.page, { username: alice.username, password: alice.password });
      t.is(codeFrom(answered, stage.rp), undefined, JSON.stringify(Object.keys(parameters)));
    }
    t.is(await userinfo(stage, tokens.access_token), 200);
  });

  engine.test('E12 a token with something before it is another: not known at introspection, and not revoked by it', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    const spellings = (token = '') => [`~.${token}`, `~.~.${token}`, `jwt.${token}`, `.${token}`, ` ${token}`];
    for (const token of [...spellings(tokens.access_token), ...spellings(tokens.refresh_token)]) {
      t.false(await isActive(stage, token), token.slice(0, 12));
      await call(stage.server, stage.realm, 'revoke', { token }, credentialsOf(stage.rp));
    }
    t.true(await isActive(stage, tokens.access_token));
    t.true(await isActive(stage, tokens.refresh_token));
  });

  engine.test('E12 tokens of one client in the hands of another', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const other = await relyingParty(stage.server, stage.realm, await stage.server.client(stage.realm));
    const open = await relyingParty(stage.server, stage.realm, await stage.server.client(stage.realm, { publicClient: true }));
    const { tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    for (const thief of [other, open]) {
      const refused = await refresh(stage.server, stage, tokens.refresh_token, thief);
      t.deepEqual([refused.status, refused.body.error], [400, 'invalid_grant']);
      const revoked = await call(
        stage.server,
        stage.realm,
        'revoke',
        { token: tokens.refresh_token ?? '', ...(thief.client.secret === null ? { client_id: thief.client.clientId } : {}) },
        credentialsOf(thief),
      );
      t.true(revoked.status < 500);
      await call(
        stage.server,
        stage.realm,
        'revoke',
        { token: tokens.access_token, ...(thief.client.secret === null ? { client_id: thief.client.clientId } : {}) },
        credentialsOf(thief),
      );
    }
    t.false(await isActive(stage, tokens.refresh_token, other), 'a refresh token is nobody else’s to look at');
    const looked = await call(stage.server, stage.realm, 'token/introspect', { token: tokens.access_token, client_id: open.client.clientId });
    t.deepEqual(looked.body, { active: false }, 'nor is an access token a public client’s');
    t.true(await isActive(stage, tokens.access_token));
    t.is((await refresh(stage.server, stage, tokens.refresh_token)).status, 200);
  });

  engine.test('E13 a client is who it proves to be', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { rp, realm } = stage;
    const open = await relyingParty(stage.server, realm, await stage.server.client(realm, { publicClient: true }));
    const service = await relyingParty(stage.server, realm, await stage.server.client(realm, { redirectUris: [], serviceAccount: true }));
    const { clientId, secret } = service.client;
    const grant = { grant_type: 'client_credentials' };
    const basicOf = (text_: string) => ({ authorization: `Basic ${Buffer.from(text_).toString('base64')}` });
    const tries: [Record<string, string>, Record<string, string>][] = [
      [{ ...grant, client_id: clientId }, {}],
      [{ ...grant, client_id: clientId, client_secret: '' }, {}],
      [{ ...grant, client_id: clientId, client_secret: 'undefined' }, {}],
      [{ ...grant, client_id: clientId, client_secret: `${secret}x` }, {}],
      [{ ...grant, client_id: clientId, client_secret: (secret ?? '').toUpperCase() }, {}],
      [{ ...grant }, basicOf(`${clientId}:`)],
      [{ ...grant }, basicOf(`${clientId}`)],
      [{ ...grant }, basicOf(`${clientId}:${secret}x`)],
      [{ ...grant }, basicOf(`:${secret}`)],
      [{ ...grant }, { authorization: `Bearer ${secret}` }],
      [{ ...grant, client_id: rp.client.clientId }, basicOf(`${clientId}:${secret}`)],
      [{ ...grant, client_id: clientId, client_secret: secret ?? '' }, basicOf(`${rp.client.clientId}:${rp.client.secret}`)],
      [{ ...grant, client_id: open.client.clientId }, {}],
      [{ ...grant, client_id: open.client.clientId, client_secret: 'anything' }, {}],
      [{ ...grant }, basicOf(`${rp.client.clientId}:${rp.client.secret}`)],
      [{ grant_type: 'password', username: 'a', password: 'b' }, basicOf(`${clientId}:${secret}`)],
      [{ grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token: 'x' }, basicOf(`${clientId}:${secret}`)],
      [{ grant_type: '' }, basicOf(`${clientId}:${secret}`)],
    ];
    for (const [fields, headers] of tries) {
      const answer = await call(stage.server, realm, 'token', fields, headers);
      t.true(answer.status === 400 || answer.status === 401, `${JSON.stringify(fields)}: ${answer.status}`);
      t.is(answer.body.access_token, undefined);
    }
    // Roles' own clients, and those of the consoles, cannot sign in to anything by themselves.
    for (const client_id of ['account', 'broker', 'realm-management', 'admin-cli']) {
      for (const fields of [
        { ...grant, client_id },
        { ...grant, client_id, client_secret: '' },
      ])
        t.true((await call(stage.server, realm, 'token', fields)).status >= 400, client_id);
    }
    const real = await tokenCall(stage.server, stage, { ...grant, scope: 'openid offline_access profile email' }, service);
    t.true(real.status === 200 || real.body.error === 'invalid_scope', JSON.stringify(real.body));
    t.is(real.body.id_token, undefined, 'a service account is nobody who signed in');
    t.is(real.body.refresh_token, undefined);
    const plain = await tokenCall(stage.server, stage, grant, service);
    const claims = decodeJwt(String(plain.body.access_token));
    t.deepEqual([claims.acr, claims.amr, claims.sid], [undefined, undefined, undefined]);
  });

  engine.test('E14 a refresh asks for no more than was granted', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    for (const scope of ['openid offline_access', 'openid phone', 'openid admin', 'openid profile email address']) {
      const answer = await tokenCall(stage.server, stage, { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '', scope });
      t.is(answer.body.error, 'invalid_scope', scope);
    }
    for (const resource of ['https://api.example/', 'urn:cardea:realm2', 'account']) {
      const answer = await tokenCall(stage.server, stage, { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '', resource });
      t.true(answer.status === 400 || decodeJwt(String(answer.body.access_token)).aud === 'account', resource);
    }
    const narrow = await tokenCall(stage.server, stage, { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '', scope: 'openid' });
    t.is(narrow.status, 200);
    t.is(decodeJwt(String(narrow.body.access_token)).email, undefined);
    const online = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm), { parameters: { scope: 'openid' } });
    t.false(String(online.tokens.scope).includes('offline_access'));
  });

  engine.test('E14 a scope that was taken from the client is in no token that a refresh makes', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm, rp } = stage;
    const scope = 'openid phone address offline_access';
    const { tokens } = await signIn(server, rp, await server.user(realm), { parameters: { scope } });
    const scopesOf = (token: unknown) => String(decodeJwt(String(token)).scope).split(' ');
    t.true(scopesOf(tokens.access_token).includes('phone'));
    const { knex } = server.db;
    const phone = knex('client_scopes').where({ realm_id: realm.id, name: 'phone' }).select('id');
    t.is(await knex('client_scope_assignments').where({ realm_id: realm.id, client_id: rp.client.row.id }).whereIn('scope_id', phone).delete(), 1);
    await server.db.changes.announce(`client:${realm.id}`);
    const again = await refresh(server, stage, tokens.refresh_token);
    t.is(again.status, 200, JSON.stringify(again.body));
    for (const said of [String(again.body.scope).split(' '), scopesOf(again.body.access_token)]) {
      t.false(said.includes('phone'), said.join(' '));
      t.true(said.includes('address') && said.includes('offline_access'), said.join(' '));
    }
    const asked = await tokenCall(server, stage, {
      grant_type: 'refresh_token',
      refresh_token: String(again.body.refresh_token),
      scope: 'openid phone',
    });
    t.is(asked.body.error, 'invalid_scope');
  });

  engine.test('E14 what is taken from a client while a request reads it, is taken', async (t) => {
    const { server, realm, rp } = await scene({ mfa: 'off' }, { serviceAccount: true });
    const scopeOf = async () => {
      const { body } = await tokenCall(server, { server, realm, rp }, { grant_type: 'client_credentials', scope: 'phone' });
      return body.error ?? body.scope;
    };
    const { knex, changes } = server.db;
    const openText = server.keyring.openText.bind(server.keyring);
    const taken = new Promise<void>((resolve, reject) => {
      // A client's secret is opened when everything about it has been read.
      server.keyring.openText = async (context, sealed) => {
        const secret = await openText(context, sealed);
        if (secret !== rp.client.secret) return secret;
        server.keyring.openText = openText;
        const phone = knex('client_scopes').where({ realm_id: realm.id, name: 'phone' }).select('id');
        await knex('client_scope_assignments')
          .where({ realm_id: realm.id, client_id: rp.client.row.id })
          .whereIn('scope_id', phone)
          .delete()
          .then(() => changes.announce(`client:${realm.id}`))
          .then(resolve, reject);
        return secret;
      };
    });
    await changes.announce(`client:${realm.id}`);
    await scopeOf();
    await taken;
    t.is(await scopeOf(), 'invalid_scope');
  });

  engine.test('E15 other websites cannot read what the endpoints answer', async (t) => {
    const stage = await scene({ mfa: 'off' }, { publicClient: true, webOrigins: ['https://app.example'] });
    const { tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    const from = async (origin: string) => {
      const answer = await call(
        stage.server,
        stage.realm,
        'token',
        { grant_type: 'refresh_token', refresh_token: 'x', client_id: stage.rp.client.clientId },
        { origin },
      );
      return answer.headers.get('access-control-allow-origin');
    };
    t.is(await from('https://app.example'), 'https://app.example');
    for (const origin of [
      'https://evil.example',
      'null',
      'https://app.example.evil.example',
      'http://app.example',
      'https://app.example:444',
      'https://APP.example',
    ]) {
      t.is(await from(origin), null, origin);
      const info = await fetch(`${stage.server.url}/realms/${stage.realm.name}/protocol/openid-connect/userinfo`, {
        headers: { authorization: `Bearer ${tokens.access_token}`, origin },
      });
      t.is(info.headers.get('access-control-allow-origin'), null, origin);
      t.is(info.headers.get('access-control-allow-credentials'), null);
    }
  });
});

/** The parameters of a pushed authorization request, as they would stand in the address. */
async function pushedParameters(rp: RelyingParty): Promise<{ parameters: Record<string, string>; request: Request }> {
  const request = await authorizationRequest(rp);
  return { parameters: Object.fromEntries(new URL(request.url).searchParams), request };
}

const jwks = z.object({
  keys: z.array(z.looseObject({ kty: z.string(), kid: z.string().optional(), alg: z.string().optional(), n: z.string().optional() })),
});

/** The claims of a token, signed in every way that is not ours. */
async function forgeries(stage: Scene, token: string): Promise<Record<string, string>> {
  const header = decodeProtectedHeader(token);
  const claims = decodeJwt(token);
  const [, payload = '', signature = ''] = token.split('.');
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const { keys } = jwks.parse(await (await fetch(`${stage.server.url}/realms/${stage.realm.name}/protocol/openid-connect/certs`)).json());
  const published = keys.find((key) => key.kid === header.kid) ?? { kty: '' };
  const pem = createPublicKey({ key: { ...published }, format: 'jwk' })
    .export({ type: 'spki', format: 'pem' })
    .toString();
  const own = await generateKeyPair('RS256', { extractable: true });
  const curve = await generateKeyPair('ES256', { extractable: true });
  const ownJwk = await exportJWK(own.publicKey);
  const hmac = (key: string) => new SignJWT(claims).setProtectedHeader({ ...header, alg: 'HS256' }).sign(Buffer.from(key));
  const signed = (extra: object) => new SignJWT(claims).setProtectedHeader({ ...header, alg: 'RS256', ...extra }).sign(own.privateKey);
  const other = keys.find((key) => key.alg === 'ES256');
  return {
    'alg none': `${encode({ ...header, alg: 'none' })}.${payload}.`,
    'alg None': `${encode({ ...header, alg: 'None' })}.${payload}.`,
    'alg none, signature kept': `${encode({ ...header, alg: 'none' })}.${payload}.${signature}`,
    'no signature': `${encode(header)}.${payload}.`,
    'HS256 with the public key as PEM': await hmac(pem),
    'HS256 with the public key as PEM, trimmed': await hmac(pem.trim()),
    'HS256 with the modulus': await hmac(published.n ?? 'n'.repeat(32)),
    'HS256 with the JWK': await hmac(JSON.stringify(published)),
    'HS256 with the client secret': await hmac(stage.rp.client.secret ?? 's'.repeat(32)),
    'another key under our kid': await signed({}),
    'another key in the header': await signed({ jwk: ownJwk, kid: undefined }),
    'another key at an address': await signed({ jku: 'https://evil.example/jwks', kid: undefined }),
    'another key as a certificate': await signed({ x5c: [pem.replaceAll(/-----[^-]+-----|\n/g, '')] }),
    'a kid that walks': await signed({ kid: '../../../../dev/null' }),
    'ES256 under the kid of RS256': await new SignJWT(claims).setProtectedHeader({ ...header, alg: 'ES256' }).sign(curve.privateKey),
    'RS256 under the kid of ES256': await signed({ kid: other?.kid }),
    'claims changed': `${encode(header)}.${encode({ ...claims, sub: 'somebody-else', acr: 'phrh' })}.${signature}`,
    'critical header': await signed({ crit: ['b64'], b64: true }).catch(() => `${encode({ ...header, crit: ['x'], x: 1 })}.${payload}.${signature}`),
    'header changed': `${encode({ ...header, typ: 'at+jwt' })}.${payload}.${signature}`,
    'signature cut': token.slice(0, -4),
    'an empty signature of ES256': `${encode({ ...header, alg: 'ES256', kid: other?.kid })}.${payload}.${Buffer.alloc(64).toString('base64url')}`,
  };
}
