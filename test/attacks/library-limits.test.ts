/**
 * The limits of oidc-provider, and that ours hold where the library's do not. Each of them was measured when this was designed;
 * what another file shows better stands there.
 *
 * | Limit of the library | Shown by |
 * |---|---|
 * | an issuer a realm under one origin, and RFC 8414's address of its metadata | flows/endpoints "discovery is true" |
 * | addresses in discovery are made from Host and X-Forwarded-Host | here, L01; attacks/enumeration D03 |
 * | the client's address is the leftmost of X-Forwarded-For | attacks/throttling, with CARDEA_TRUST_PROXY |
 * | unmatched paths, and its pages for developers | here, L02 |
 * | the session cookie's path is `/` | here, L03; attacks/web F01, F09 |
 * | an interaction is bound to a browser by a cookie with its uid: login fixation | attacks/way-back B05, attacks/flow B05 |
 * | codes are read, then consumed | here, L04; attacks/oidc E03 |
 * | refresh tokens are | here, L05; attacks/oidc E06, flows/refresh-grace |
 * | pushed requests are | here, L06; attacks/oidc E10 |
 * | a jti is looked for, then saved | here, L07; attacks/assertions E08 |
 * | who loses such a race passes by the library's revocation | here, L04 and L05 |
 * | sessions are saved whole, and the last save wins | here, L08; flows/sign-in "in parallel" |
 * | a Session is renewed by deleting it | attacks/way-back B32 |
 * | a result is applied again after consent, and auth_time moves | here, L09 |
 * | a result for another account than the session's | flows/interrupted "as two people", attacks/flow B14 |
 * | essential_acr compares strings, and asks a higher session for ever | here, L10 |
 * | levels alone loop where grace or a trusted device let somebody in | flows/policy "grace", flows/devices |
 * | a fresh grant ends the tokens of before | here, L11 |
 * | clients that are native are asked for consent each time | here, L12 |
 * | ID tokens without amr, acr and auth_time, access tokens without amr | flows/sign-in, flows/refreshed-claims |
 * | JWT access tokens at userinfo, introspection and revocation | flows/sign-in "access tokens work at" |
 * | `typ: at+jwt`, and offline_access and default scopes that are dropped silently | here, L13; flows/protocol "pushed" |
 * | the client schema refuses what Keycloak's clients have | here, L14; attacks/oidc E01 for what has to be refused |
 * | custom grants have no code to read from | flows/password-grant, flows/token-exchange |
 * | form-action applies to the redirects after a POST | flows/protocol "form_post" |
 * | the key set is compiled once | attacks/web F04, flows/nodes "keys" |
 * | jwks_uri: no limit of size, redirects, private addresses | attacks/ssrf E09 |
 * | an Interaction lives for an hour, a Session for a fortnight | attacks/limits A24, flows/refresh |
 */
import { randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair, SignJWT } from 'jose';
import {
  arena,
  at,
  begin,
  call,
  codeExchange,
  codeFrom,
  credentialsOf,
  giveApp,
  parallel,
  rawRequest,
  type Scene,
  tally,
} from '../support/attack.ts';
import type { Cardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, exchange, relyingParty, signIn } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine);

  const userinfo = async ({ server, realm }: Scene, token: unknown) =>
    (await call(server, realm, 'userinfo', {}, { authorization: `Bearer ${token}` })).status;
  const refresh = ({ server, realm, rp }: Scene, token: unknown, node: Cardea = server) => {
    const sent: Record<string, string> = { grant_type: 'refresh_token', refresh_token: String(token) };
    if (rp.client.secret === null) sent.client_id = rp.client.clientId;
    return call(node, realm, 'token', sent, credentialsOf(rp));
  };
  const nodeAt = async (index: number) => {
    const all = await nodes();
    return all[index % all.length] ?? all[0];
  };

  engine.test('L01 addresses in discovery are of the configured origin, whatever Host and X-Forwarded-Host say', async (t) => {
    const { server, realm } = await scene({ mfa: 'off' });
    const target = `/realms/${realm.name}/.well-known/openid-configuration`;
    const forwarded = { 'x-forwarded-host': 'evil.test', 'x-forwarded-proto': 'https', forwarded: 'host=evil.test;proto=https' };
    for (const headers of [{ host: 'evil.test' }, { host: new URL(server.origin).host, ...forwarded }, { host: 'evil.test:443', ...forwarded }]) {
      const answer = await rawRequest(server, { target, headers });
      t.is(answer.status, 200);
      t.false(answer.body.includes('evil.test'));
      t.true(answer.body.includes(`"token_endpoint":"${server.origin}/realms/${realm.name}/protocol/openid-connect/token"`));
    }
    const absolute = await rawRequest(server, { target: `http://evil.test${target}`, headers: { host: 'evil.test' } });
    t.false(absolute.body.includes('evil.test'));
  });

  engine.test('L02 what the library does not know is a page of ours, and its pages for developers are not there', async (t) => {
    const { server, realm } = await scene({ mfa: 'off' });
    for (const path of ['/interaction/abc', '/session/end', '/reg', '/protocol/openid-connect/nothing', '/request']) {
      const page = await new Browser(server.origin).request(`${server.origin}/realms/${realm.name}${path}`);
      t.is(page.status, 404, path);
      t.true(page.html.includes('Cardea'), path);
    }
  });

  engine.test('L03 two realms in one browser: neither sees the session of the other, and both stand', async (t) => {
    const one = await scene({ mfa: 'off' });
    const other = await scene({ mfa: 'optional' });
    const browser = new Browser(one.server.origin);
    await signIn(one.server, one.rp, await one.server.user(one.realm), { browser });
    const stranger = await begin(other, { browser, parameters: { prompt: 'none' } });
    t.is(codeFrom(stranger.page, other.rp), undefined);
    await signIn(other.server, other.rp, await other.server.user(other.realm), { browser });
    for (const stage of [one, other]) {
      const silent = await begin(stage, { browser, parameters: { prompt: 'none' } });
      t.truthy(codeFrom(silent.page, stage.rp));
    }
    const paths = browser.jar.filter(({ name }) => name.startsWith('cardea_session')).map(({ path }) => path);
    t.deepEqual([...new Set(paths)].sort(), [`/realms/${one.realm.name}`, `/realms/${other.realm.name}`].sort());
  });

  engine.test('L04 one code to all nodes at once: one is answered, and whoever loses ends the family', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { browser, page, request } = await begin(stage);
    const user = await stage.server.user(stage.realm);
    const back = await browser.send(page, { username: user.username, password: user.password });
    const fields = codeExchange(stage.rp, request, codeFrom(back, stage.rp) ?? '');
    const answers = await parallel(12, async (index) =>
      call((await nodeAt(index)) ?? stage.server, stage.realm, 'token', fields, credentialsOf(stage.rp)),
    );
    t.deepEqual(tally(answers), { 200: 1, 400: 11 });
    const won = answers.find(({ status }) => status === 200)?.body ?? {};
    t.is(await userinfo(stage, won.access_token), 401);
    t.is((await refresh(stage, won.refresh_token)).body.error, 'invalid_grant');
  });

  engine.test('L05 one refresh token to all nodes at once: one at most is answered, and whoever loses ends the family', async (t) => {
    const stage = await scene({ mfa: 'off' }, { publicClient: true });
    const { tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    const answers = await parallel(12, async (index) => refresh(stage, tokens.refresh_token, await nodeAt(index)));
    t.true((tally(answers)[200] ?? 0) <= 1, JSON.stringify(tally(answers)));
    for (const { status, body } of answers) {
      if (status !== 200) t.is(body.error, 'invalid_grant');
      else t.is((await refresh(stage, body.refresh_token)).body.error, 'invalid_grant');
    }
    t.is(await userinfo(stage, tokens.access_token), 401);
  });

  engine.test('L06 one pushed request to all nodes at once: one is answered with a code', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { browser } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    const { url } = await authorizationRequest(stage.rp);
    const pushed = await call(stage.server, stage.realm, 'ext/par/request', new URL(url).searchParams, credentialsOf(stage.rp));
    const query = new URLSearchParams({ client_id: stage.rp.client.clientId, request_uri: String(pushed.body.request_uri) });
    const cookie = browser.jar.map(({ name, value }) => `${name}=${value}`).join('; ');
    const answers = await parallel(12, async (index) =>
      fetch(`${((await nodeAt(index)) ?? stage.server).url}/realms/${stage.realm.name}/protocol/openid-connect/auth?${query}`, {
        redirect: 'manual',
        headers: { cookie, accept: 'text/html' },
      }),
    );
    t.is(answers.filter((answer) => answer.headers.get('location')?.includes('code=')).length, 1, JSON.stringify(tally(answers)));
    t.true(answers.every(({ status }) => status < 500));
  });

  engine.test('L07 one DPoP proof to all nodes at once: its jti is used once', async (t) => {
    const stage = await scene({ mfa: 'off' }, { serviceAccount: true });
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(publicKey);
    const htu = `${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/token`;
    for (let round = 0; round < 3; round += 1) {
      const dpop = await new SignJWT({ htm: 'POST', htu, jti: randomUUID() })
        .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
        .setIssuedAt()
        .sign(privateKey);
      const answers = await parallel(10, async (index) =>
        call((await nodeAt(index)) ?? stage.server, stage.realm, 'token', { grant_type: 'client_credentials' }, { ...credentialsOf(stage.rp), dpop }),
      );
      t.deepEqual(tally(answers), { 200: 1, 400: 9 });
      const [won] = answers.filter(({ status }) => status === 200);
      t.like(decodeJwt(String(won?.body.access_token)).cnf, { jkt: await calculateJwkThumbprint(jwk) });
    }
  });

  engine.test('L08 many clients by single sign-on at once, on all nodes: the session knows each of them afterwards', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm } = stage;
    const user = await server.user(realm);
    const { browser } = await signIn(server, stage.rp, user);
    const clients = await parallel(6, async () => relyingParty(server, realm, await server.client(realm)));
    const cookie = browser.jar.map(({ name, value }) => `${name}=${value}`).join('; ');
    const signedIn = await Promise.all(
      clients.map(async (rp, index) => {
        const request = await authorizationRequest(rp, { prompt: 'none' });
        const { pathname, search } = new URL(request.url);
        const node = (await nodeAt(index)) ?? server;
        const answer = await fetch(`${node.url}${pathname}${search}`, { redirect: 'manual', headers: { cookie, accept: 'text/html' } });
        const code = new URL(answer.headers.get('location') ?? 'x:').searchParams.get('code') ?? '';
        const tokens = await call(node, realm, 'token', codeExchange(rp, request, code), credentialsOf(rp));
        return { rp, tokens: tokens.body };
      }),
    );
    // The library looks in the session for the grant of a refresh token's client.
    for (const { rp, tokens } of signedIn) t.is((await refresh({ ...stage, rp }, tokens.refresh_token)).status, 200, JSON.stringify(tokens));
    t.is(new Set(signedIn.map(({ tokens }) => tokens.session_state)).size, clients.length);
  });

  engine.serial('L09 a consent that took its time does not move auth_time', async (t) => {
    const stage = await scene({ mfa: 'off' }, { firstParty: false, name: 'Third party' });
    const user = await stage.server.user(stage.realm);
    const { browser, page, request } = await begin(stage);
    const asked = await browser.send(page, { username: user.username, password: user.password });
    t.true(asked.html.includes('value="allow"'));
    const proved = Math.floor(Date.now() / 1000);
    await at(5 * 60_000, async () => {
      const tokens = await exchange(stage.rp, request, await browser.send(asked, { do: 'allow' }));
      const { auth_time = 0, iat = 0 } = tokens.claims() ?? {};
      t.true(Math.abs(auth_time - proved) <= 60, `${auth_time} ${proved}`);
      t.true(iat - auth_time >= 240);
      t.is(decodeJwt(tokens.access_token).auth_time, auth_time);
    });
  });

  engine.test('L10 a session that is higher than what is essential answers at once', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const user = await stage.server.user(stage.realm);
    const { secret } = await giveApp(stage.server, user);
    const { browser, tokens } = await signIn(stage.server, stage.rp, user, { totpSecret: secret });
    t.is(tokens.claims()?.acr, 'aal2');
    for (const values of [['aal1'], ['aal1', 'aal2'], ['aal2']]) {
      const claims = JSON.stringify({ id_token: { acr: { essential: true, values } } });
      const silent = await begin(stage, { browser, parameters: { claims } });
      t.truthy(codeFrom(silent.page, stage.rp), values.join(' '));
      t.is((await exchange(stage.rp, silent.request, silent.page)).claims()?.acr, values[0]);
    }
  });

  engine.test('L11 signing in again in the same session leaves the tokens of before', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser, tokens } = await signIn(stage.server, stage.rp, user);
    const again = await signIn(stage.server, stage.rp, user, { browser, parameters: { prompt: 'login', scope: 'openid phone' } });
    for (const one of [tokens, again.tokens]) {
      t.is(await userinfo(stage, one.access_token), 200);
      t.is((await refresh(stage, one.refresh_token)).status, 200);
    }
  });

  engine.test('L12 an application on a device that is of the house is not asked about, by single sign-on either', async (t) => {
    const stage = await scene({ mfa: 'off' }, { publicClient: true, redirectUris: ['com.example.app:/callback'] });
    const { browser } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    const silent = await begin(stage, { browser, parameters: { prompt: 'none' } });
    t.true(String(silent.page.headers.get('location')).startsWith('com.example.app:/callback?code='), String(silent.page.headers.get('location')));
  });

  engine.test('L13 access tokens are JWTs that say JWT, default scopes apply, and offline_access needs no prompt', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { tokens } = await signIn(stage.server, stage.rp, user, { parameters: { scope: 'openid offline_access' } });
    t.is(decodeProtectedHeader(tokens.access_token).typ, 'JWT');
    t.like(decodeJwt(tokens.access_token), { preferred_username: user.username, email: user.email });
    t.true(String(tokens.scope).split(' ').includes('offline_access'));
    t.is(decodeJwt(String(tokens.refresh_token)).typ, 'Offline');
  });

  engine.test('L14 a client may have addresses of every kind that Keycloak’s have, side by side', async (t) => {
    const redirectUris = ['https://app.example/app/*', 'com.example.app:/cb', 'http://localhost:*/cb', 'http://127.0.0.1/cb'];
    const stage = await scene({ mfa: 'off' }, { publicClient: true, redirectUris });
    const { browser } = await signIn(stage.server, await first(stage, 'https://app.example/app/one'), await stage.server.user(stage.realm));
    for (const uri of [
      'https://app.example/app/',
      'https://app.example/app/a/b?c=d',
      'com.example.app:/cb',
      'http://localhost:4711/cb',
      'http://127.0.0.1:4711/cb',
    ]) {
      const { url } = await authorizationRequest(stage.rp, { redirect_uri: uri, prompt: 'none' });
      const page = await browser.visit(url);
      t.regex(String(page.headers.get('location')), /[?&]code=/, uri);
    }
  });
});

/** The same client, back at that address. */
const first = async ({ rp }: Scene, redirectUri: string) => ({ ...rp, client: { ...rp.client, redirectUri } });
