/** Tokens that come with the answer (implicit and hybrid flows): to whom, what they say, and for how long they stand. */
import { createHash } from 'node:crypto';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { arena, giveApp, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, codeOf, openid, type Request, text } from '../support/sign-in.ts';

const IMPLICIT = { kept: { implicitFlowEnabled: true } } as const;
const ALL = ['code', 'id_token', 'id_token token', 'code id_token', 'code id_token token', 'code token'];

/** OpenID Connect Core 1.0 section 3.3.2.11. */
const halfOf = (value: string): string => createHash('sha256').update(value).digest().subarray(0, 16).toString('base64url');

interface Answered {
  request: Request;
  browser: Browser;
  /** Where the browser is sent. */
  location: URL;
  said: URLSearchParams;
}

forEachEngine((engine) => {
  const { scene } = arena(engine);

  /** A request of somebody who has a password, and an app where there is one. */
  async function ask(
    { server, rp }: Scene,
    user: { username: string; password: string; app?: string },
    parameters: Record<string, string>,
    browser = new Browser(server.origin),
  ): Promise<Answered> {
    const request = await authorizationRequest(rp, parameters);
    let page = await browser.visit(request.url);
    if (page.status === 200) page = await browser.send(page, { username: user.username, password: user.password });
    if (page.status === 200 && user.app !== undefined) page = await browser.send(page, { code: codeOf(user.app) });
    const location = page.headers.get('location');
    if (location === null) throw new Error(`${page.status} ${text(page)}`);
    const url = new URL(location);
    return { request, browser, location: url, said: new URLSearchParams(url.hash.slice(1)) };
  }

  const api = async (
    { rp }: Scene,
    path: 'userinfo' | 'introspection',
    token: string,
  ): Promise<{ status: number; body: Record<string, unknown> }> => {
    const metadata = rp.configuration.serverMetadata();
    if (path === 'introspection') return { status: 200, body: await openid.tokenIntrospection(rp.configuration, token) };
    const answer = await fetch(String(metadata.userinfo_endpoint), { headers: { authorization: `Bearer ${token}` } });
    return { status: answer.status, body: answer.ok ? Object(await answer.json()) : {} };
  };

  engine.test('id_token token: both come behind the #, say how the user signed in, and the access token stands as long as the session', async (t) => {
    const stage = await scene({ mfa: 'required' }, IMPLICIT);
    const user = await stage.server.user(stage.realm);
    const { secret: app } = await giveApp(stage.server, user);
    const begun = Math.floor(Date.now() / 1000);
    const { location, said, request, browser } = await ask(
      stage,
      { ...user, app },
      { response_type: 'id_token token', scope: 'openid email', claims: JSON.stringify({ userinfo: { preferred_username: null } }) },
    );
    t.is(location.search, '', 'nothing of it goes to a server');
    const issuer = String(stage.rp.configuration.serverMetadata().issuer);
    t.deepEqual([said.get('state'), said.get('iss'), said.get('token_type'), said.get('expires_in')], [request.state, issuer, 'Bearer', '900']);
    t.deepEqual([said.has('code'), said.has('refresh_token')], [false, false]);
    const [idToken = '', token = ''] = [said.get('id_token') ?? '', said.get('access_token') ?? ''];
    const keys = createRemoteJWKSet(new URL(String(stage.rp.configuration.serverMetadata().jwks_uri)));
    const { payload: id } = await jwtVerify(idToken, keys, { issuer, audience: stage.rp.client.clientId });
    const { payload: access } = await jwtVerify(token, keys, { issuer });
    t.is(id.nonce, request.nonce);
    t.is(id.at_hash, halfOf(token));
    t.is(id.email, user.email ?? undefined);
    for (const claims of [id, access]) {
      t.like(claims, { sub: user.id, azp: stage.rp.client.clientId, acr: 'aal2', amr: ['pwd', 'otp', 'mfa'], sid: said.get('session_state') });
      t.true(Number(claims.auth_time) >= begun - 1);
    }
    t.is(id.typ, 'ID');
    t.is(access.typ, 'Bearer');

    const info = await api(stage, 'userinfo', token);
    t.like(
      info,
      { status: 200, body: { sub: user.id, email: user.email, preferred_username: user.username } },
      'what was asked for by itself is had',
    );
    t.like((await api(stage, 'introspection', token)).body, { active: true, acr: 'aal2' });
    // Whoever is signed in is answered at once.
    const again = await ask(stage, user, { response_type: 'id_token', prompt: 'none' }, browser);
    t.is(decodeJwt(again.said.get('id_token') ?? '').sid, id.sid);
    t.false(again.said.has('access_token'));

    const out = new URL(String(stage.rp.configuration.serverMetadata().end_session_endpoint));
    out.searchParams.set('id_token_hint', idToken);
    await browser.visit(out.href);
    t.is((await api(stage, 'userinfo', token)).status, 401);
    t.false((await api(stage, 'introspection', token)).body.active);
  });

  engine.test('they live as long as the realm says of them, and never longer than the client says or a code’s beside them', async (t) => {
    const lives = async (client: Record<string, string>, type: string, settings: Parameters<typeof scene>[0]) => {
      const stage = await scene({ mfa: 'off', ...settings }, { ...IMPLICIT, attributes: client });
      const user = await stage.server.user(stage.realm);
      const { said, request, location } = await ask(stage, user, { response_type: type });
      const [idToken, token] = ['id_token', 'access_token'].map((name) => decodeJwt(said.get(name) ?? ''));
      for (const claims of [idToken, token]) t.is(Number(claims?.exp) - Number(claims?.iat), Number(said.get('expires_in')), type);
      if (!type.includes('code')) return { answered: said.get('expires_in') };
      openid.useCodeIdTokenResponseType(stage.rp.configuration);
      const code = new URL(`${location.origin}${location.pathname}#${new URLSearchParams({ ...Object.fromEntries(said) })}`);
      const checks = { pkceCodeVerifier: request.verifier, expectedState: request.state, expectedNonce: request.nonce };
      const exchanged = await openid.authorizationCodeGrant(stage.rp.configuration, code, checks);
      return { answered: said.get('expires_in'), exchanged: exchanged.expires_in };
    };
    const short = { accessTokenLifespan: 200, accessTokenLifespanForImplicitFlow: 120 };
    const long = { accessTokenLifespan: 200, accessTokenLifespanForImplicitFlow: 1_200 };
    t.deepEqual(await lives({}, 'id_token token', short), { answered: '120' });
    t.deepEqual(await lives({}, 'id_token token', long), { answered: '1200' });
    t.deepEqual(await lives({ 'access.token.lifespan': '60' }, 'id_token token', long), { answered: '60' });
    t.deepEqual(await lives({ 'access.token.lifespan': '600' }, 'id_token token', short), { answered: '120' });
    t.deepEqual(await lives({}, 'code id_token token', short), { answered: '120', exchanged: 200 });
    t.deepEqual(await lives({}, 'code id_token token', long), { answered: '200', exchanged: 200 });
  });

  engine.test('openid-client: an ID token alone, and one with a code', async (t) => {
    const stage = await scene({ mfa: 'off' }, IMPLICIT);
    const user = await stage.server.user(stage.realm);
    const alone = await ask(stage, user, { response_type: 'id_token' });
    openid.useIdTokenResponseType(stage.rp.configuration);
    const claims = await openid.implicitAuthentication(stage.rp.configuration, alone.location, alone.request.nonce, {
      expectedState: alone.request.state,
    });
    t.is(claims.sub, user.id);

    const hybrid = await scene({ mfa: 'off' }, IMPLICIT);
    const other = await hybrid.server.user(hybrid.realm);
    openid.useCodeIdTokenResponseType(hybrid.rp.configuration);
    const { location, said, request } = await ask(hybrid, other, { response_type: 'code id_token', response_mode: 'fragment' });
    t.is(decodeJwt(said.get('id_token') ?? '').c_hash, halfOf(said.get('code') ?? ''));
    const tokens = await openid.authorizationCodeGrant(hybrid.rp.configuration, location, {
      pkceCodeVerifier: request.verifier,
      expectedState: request.state,
      expectedNonce: request.nonce,
    });
    t.is(tokens.claims()?.sub, other.id);
    t.truthy(tokens.refresh_token);
  });

  engine.test('form_post: the tokens are in a form, and not in an address', async (t) => {
    const stage = await scene({ mfa: 'off' }, IMPLICIT);
    const user = await stage.server.user(stage.realm);
    const browser = new Browser(stage.server.origin);
    const { url } = await authorizationRequest(stage.rp, { response_type: 'code id_token token', response_mode: 'form_post' });
    const page = await browser.send(await browser.visit(url), { username: user.username, password: user.password });
    t.is(page.status, 200);
    t.is(page.headers.get('cache-control'), 'no-store');
    for (const name of ['code', 'id_token', 'access_token', 'state', 'iss']) t.true(page.html.includes(`name="${name}"`), name);
  });

  engine.test('only who was given it has it: each switch for its part', async (t) => {
    const user = { username: 'nobody', password: 'none' };
    const refusal = async (client: Parameters<typeof scene>[1], type: string, more: Record<string, string> = {}) => {
      const { said, location } = await ask(await scene({ mfa: 'off' }, client), user, { response_type: type, prompt: 'none', ...more });
      return said.get('error') ?? location.searchParams.get('error');
    };
    for (const type of ALL) t.is(await refusal({}, type), type === 'code' ? 'login_required' : 'invalid_request', type);
    for (const type of ALL) t.is(await refusal(IMPLICIT, type), 'login_required', `${type}, of both`);
    for (const type of ALL)
      t.is(
        await refusal({ ...IMPLICIT, standardFlow: false }, type),
        type.includes('code') ? 'invalid_request' : 'login_required',
        `${type}, implicit alone`,
      );
    t.is(await refusal(IMPLICIT, 'token'), 'unsupported_response_type', 'about nobody');
    t.is(await refusal(IMPLICIT, 'token id_token'), 'login_required', 'in any order');
    t.is(await refusal(IMPLICIT, 'id_token token', { response_mode: 'query' }), 'invalid_request', 'never where servers log it');
    // What is bound to a key is not handed out in an address.
    for (const type of ALL) {
      const expected = type.split(' ').includes('token') ? 'invalid_request' : 'login_required';
      t.is(await refusal({ ...IMPLICIT, attributes: { 'dpop.bound.access.tokens': 'true' } }, type), expected, `${type}, bound`);
    }
  });

  engine.test('a code needs its PKCE and an ID token its nonce, whatever comes beside them', async (t) => {
    const { server, rp } = await scene({ mfa: 'off' }, { ...IMPLICIT, publicClient: true });
    const without = async (type: string, ...names: string[]) => {
      const url = new URL((await authorizationRequest(rp, { response_type: type, prompt: 'none' })).url);
      for (const name of names) url.searchParams.delete(name);
      return (await new Browser(server.origin).visit(url.href)).headers.get('location') ?? '';
    };
    for (const type of ['code', 'code id_token', 'code token'])
      t.regex(await without(type, 'code_challenge', 'code_challenge_method'), /error=invalid_request/, type);
    t.regex(await without('id_token', 'code_challenge', 'code_challenge_method'), /error=login_required/, 'there is no code');
    // Without one it could be replayed (Core 1.0 section 3.2.2.1).
    for (const type of ['id_token', 'id_token token', 'code id_token']) t.regex(await without(type, 'nonce'), /error=invalid_request/, type);
  });

  engine.test('offline access does not come with the answer', async (t) => {
    const stage = await scene({ mfa: 'off' }, IMPLICIT);
    const user = await stage.server.user(stage.realm);
    const { said } = await ask(stage, user, { response_type: 'id_token token', scope: 'openid offline_access' });
    t.deepEqual([said.has('refresh_token'), decodeJwt(said.get('access_token') ?? '').scope], [false, 'openid email profile']);
  });
});
