/** The main job over real HTTP: an application sends its user, who signs in, and gets tokens that say how. */
import { decodeJwt, decodeProtectedHeader } from 'jose';
import { startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, codeOf, exchange, openid, relyingParty, signIn, text } from '../support/sign-in.ts';

forEachEngine((engine) => {
  let shared: ReturnType<typeof startCardea> | undefined;
  const cardea = async () => {
    shared ??= startCardea(await engine.database());
    return shared;
  };

  engine.test('a user enrols an authenticator app on the way in, and the tokens say pwd, otp and mfa', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'required' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm, { firstName: 'Ada', lastName: 'Example' });
    const { tokens, totpSecret } = await signIn(server, rp, user);

    const claims = tokens.claims();
    t.deepEqual(claims?.amr, ['pwd', 'otp', 'mfa']);
    t.is(claims?.acr, 'aal2');
    t.is(claims?.sub, user.id);
    t.is(claims?.typ, 'ID');
    t.is(typeof claims?.auth_time, 'number');
    t.is(claims?.preferred_username, user.username);
    t.is(claims?.email, user.email);
    t.is(claims?.email_verified, false);
    t.is(claims?.name, 'Ada Example');
    t.is(claims?.given_name, 'Ada');
    t.is(claims?.family_name, 'Example');
    t.truthy(totpSecret);

    const access = decodeJwt(tokens.access_token);
    t.is(decodeProtectedHeader(tokens.access_token).typ, 'JWT');
    t.is(decodeProtectedHeader(tokens.access_token).alg, 'RS256');
    t.deepEqual(access.amr, ['pwd', 'otp', 'mfa']);
    t.is(access.acr, 'aal2');
    t.is(access.auth_time, claims?.auth_time);
    t.is(access.azp, rp.client.clientId);
    t.is(access.typ, 'Bearer');
    t.is(access.sid, claims?.sid);
    t.is(access.preferred_username, user.username);
    t.deepEqual(String(access.scope).split(' ').sort(), ['email', 'openid', 'profile']);
    t.is(tokens.session_state, claims?.sid);
    t.truthy(tokens.refresh_token);
    t.true(Number(tokens.refresh_expires_in) > 0);
  });

  engine.test('a second sign-in asks for the code, and refresh keeps what was proved', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'required' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    const first = await signIn(server, rp, user);
    // The confirming code is spent: the next sign-in is in a later step.
    const later = () => Math.floor(Date.now() / 1000) + 30;
    const { tokens } = await signIn(server, rp, user, { totpSecret: first.totpSecret, clock: later });
    t.is(tokens.claims()?.acr, 'aal2');

    const refreshed = await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '');
    t.is(refreshed.refresh_token, tokens.refresh_token, 'a confidential client keeps its refresh token');
    t.deepEqual(refreshed.claims()?.amr, ['pwd', 'otp', 'mfa']);
    t.is(refreshed.claims()?.auth_time, tokens.claims()?.auth_time);
    t.is(decodeJwt(refreshed.access_token).acr, 'aal2');
  });

  engine.test('without MFA the tokens say so, and single sign-on needs no page', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'optional' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const other = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    const { browser, tokens } = await signIn(server, rp, user);
    t.deepEqual(tokens.claims()?.amr, ['pwd']);
    t.is(tokens.claims()?.acr, 'aal1');

    const request = await authorizationRequest(other);
    const page = await browser.visit(request.url);
    const sso = await exchange(other, request, page);
    t.is(sso.claims()?.sub, user.id);
    t.is(sso.claims()?.auth_time, tokens.claims()?.auth_time);
    t.not(sso.claims()?.sid, tokens.claims()?.sid, 'each client has a sid of its own');
  });

  engine.test('two clients that sign in by single sign-on in parallel both get their tokens', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'off' });
    const parties = await Promise.all([1, 2, 3, 4].map(async () => relyingParty(server, realm, await server.client(realm))));
    const user = await server.user(realm);
    const [first] = parties;
    if (!first) return t.fail();
    const { browser } = await signIn(server, first, user);
    const requests = await Promise.all(parties.map((rp) => authorizationRequest(rp)));
    const pages = await Promise.all(requests.map((request) => browser.visit(request.url)));
    const tokens = await Promise.all(
      parties.map((rp, index) => {
        const request = requests[index];
        const page = pages[index];
        if (!request || !page) throw new Error('missing');
        return exchange(rp, request, page);
      }),
    );
    t.deepEqual(
      tokens.map((token) => token.claims()?.sub),
      parties.map(() => user.id),
    );
    const refreshed = await Promise.all(parties.map((rp, index) => openid.refreshTokenGrant(rp.configuration, tokens[index]?.refresh_token ?? '')));
    t.is(refreshed.length, 4);
  });

  engine.test('access tokens work at userinfo, introspection and revocation', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'off' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    const { tokens } = await signIn(server, rp, user);

    const info = await openid.fetchUserInfo(rp.configuration, tokens.access_token, user.id);
    t.is(info.preferred_username, user.username);
    t.is(info.email, user.email ?? '');

    const active = await openid.tokenIntrospection(rp.configuration, tokens.access_token);
    t.true(active.active);
    t.is(active.sub, user.id);
    t.is(active.client_id, rp.client.clientId);
    t.is(active.username ?? active.preferred_username, user.username);
    t.true((await openid.tokenIntrospection(rp.configuration, tokens.refresh_token ?? '')).active);
    t.false((await openid.tokenIntrospection(rp.configuration, tokens.id_token ?? '')).active, 'an ID token is no access token');

    await openid.tokenRevocation(rp.configuration, tokens.access_token);
    t.false((await openid.tokenIntrospection(rp.configuration, tokens.access_token)).active);
    await t.throwsAsync(openid.fetchUserInfo(rp.configuration, tokens.access_token, user.id));
    const refreshed = await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '');
    t.truthy(refreshed.access_token, 'revoking an access token ends that token alone');

    await openid.tokenRevocation(rp.configuration, tokens.refresh_token ?? '');
    await t.throwsAsync(openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? ''));
    t.false((await openid.tokenIntrospection(rp.configuration, refreshed.access_token)).active, 'revoking the refresh token ends its family');
  });

  engine.test('a service account gets tokens of its own', async (t) => {
    const server = await cardea();
    const realm = await server.realm();
    const rp = await relyingParty(server, realm, await server.client(realm, { redirectUris: [], serviceAccount: true }));
    const tokens = await openid.clientCredentialsGrant(rp.configuration);
    const access = decodeJwt(tokens.access_token);
    t.is(access.preferred_username, `service-account-${rp.client.clientId}`);
    t.is(access.azp, rp.client.clientId);
    t.not(access.sub, rp.client.clientId);
    t.is(access.amr, undefined);
    t.true((await openid.tokenIntrospection(rp.configuration, tokens.access_token)).active);
    await openid.tokenRevocation(rp.configuration, tokens.access_token);
    t.false((await openid.tokenIntrospection(rp.configuration, tokens.access_token)).active);
  });

  engine.test('offline_access outlives the session', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'off' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    const online = await signIn(server, rp, user);
    const { browser, tokens } = await signIn(server, rp, user, { parameters: { scope: 'openid offline_access' } });
    t.true(tokens.scope?.split(' ').includes('offline_access'));

    for (const one of [online.browser, browser]) {
      const page = await one.visit(`${server.origin}/realms/${realm.name}/protocol/openid-connect/logout`);
      t.is((await one.send(page, { logout: 'yes' })).status, 200, text(page));
    }
    const refreshed = await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '');
    t.is(refreshed.claims()?.sub, user.id);
    t.truthy((await openid.fetchUserInfo(rp.configuration, refreshed.access_token, user.id)).sub);
    await t.throwsAsync(openid.refreshTokenGrant(rp.configuration, online.tokens.refresh_token ?? ''), undefined, 'the session is over');
    t.false((await openid.tokenIntrospection(rp.configuration, online.tokens.access_token)).active);
  });

  engine.test('an application asks for aal2, and only the missing factor is asked', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'off' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    const { browser, tokens } = await signIn(server, rp, user);
    t.is(tokens.claims()?.acr, 'aal1');
    const raised = await signIn(server, rp, user, { browser, parameters: { acr_values: 'aal2' } });
    t.is(raised.tokens.claims()?.acr, 'aal2');
    t.truthy(raised.totpSecret, 'an app was enrolled on the way');

    const fresh = await signIn(server, rp, user);
    t.is(fresh.tokens.claims()?.acr, 'aal1', 'mfa is off: nobody is asked without being told to');
    const request = await authorizationRequest(rp, { acr_values: 'aal2' });
    const page = await fresh.browser.visit(request.url);
    t.false(page.html.includes('name="password"'));
    t.true(page.html.includes('name="code"'), text(page));
    const later = Math.floor(Date.now() / 1000) + 30;
    const stepped = await exchange(rp, request, await fresh.browser.send(page, { code: codeOf(raised.totpSecret ?? '', () => later) }));
    t.is(stepped.claims()?.acr, 'aal2');
    t.is(stepped.claims()?.auth_time, fresh.tokens.claims()?.auth_time, 'auth_time is that of the oldest proof');
  });

  engine.test('a level that nobody can reach here is refused with an error for the application', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'off' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    const request = await authorizationRequest(rp, { acr_values: 'phr' });
    const browser = new Browser(server.origin);
    let page = await browser.visit(request.url);
    page = await browser.send(page, { username: user.username, password: user.password });
    const error = new URL(page.headers.get('location') ?? 'about:blank').searchParams;
    t.is(error.get('error'), 'unmet_authentication_requirements', text(page));
    t.is(error.get('state'), request.state);
    t.is(error.get('iss'), `${server.origin}/realms/${realm.name}`);
  });

  engine.test('consent is asked once of an application that is not our own', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'off' });
    const rp = await relyingParty(server, realm, await server.client(realm, { firstParty: false, name: 'Third Party' }));
    const user = await server.user(realm);
    const request = await authorizationRequest(rp);
    const browser = new Browser(server.origin);
    let page = await browser.visit(request.url);
    page = await browser.send(page, { username: user.username, password: user.password });
    t.true(page.html.includes('Third Party'), text(page));
    t.true(page.html.includes('value="allow"'), text(page));
    const denied = await browser.send(page, { do: 'deny' });
    t.is(new URL(denied.headers.get('location') ?? 'about:blank').searchParams.get('error'), 'access_denied');

    const { tokens } = await signIn(server, rp, user);
    t.is(tokens.claims()?.sub, user.id);
    const again = new Browser(server.origin);
    const next = await authorizationRequest(rp);
    const signedIn = await again.send(await again.visit(next.url), { username: user.username, password: user.password });
    t.is((await exchange(rp, next, signedIn)).claims()?.sub, user.id, 'it was remembered');
  });

  engine.test('signing out ends the session, its refresh tokens and its access tokens', async (t) => {
    const server = await cardea();
    const realm = await server.realm({ mfa: 'off' });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    const { browser, tokens } = await signIn(server, rp, user);
    const url = openid.buildEndSessionUrl(rp.configuration, {
      id_token_hint: tokens.id_token ?? '',
      post_logout_redirect_uri: rp.client.redirectUri,
      state: 'bye',
    });
    const looked = await browser.visit(url.href, { method: 'HEAD' });
    t.is(looked.status, 200, 'whoever only looks signs nobody out');
    const left = await browser.visit(url.href);
    t.is(left.headers.get('location'), `${rp.client.redirectUri}?state=bye`, text(left));
    await t.throwsAsync(openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? ''));
    t.false((await openid.tokenIntrospection(rp.configuration, tokens.access_token)).active);
    const silent = await browser.visit((await authorizationRequest(rp, { prompt: 'none' })).url);
    t.is(new URL(silent.headers.get('location') ?? 'about:blank').searchParams.get('error'), 'login_required');
  });
});
