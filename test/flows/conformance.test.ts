/**
 * What the certification of OpenID providers looks at (Basic, Config, Dynamic and Form Post OP, RP-Initiated Logout OP), asked
 * as a client asks that registered itself a moment ago. docs/conformance.md says requirement by requirement what holds, and
 * names these tests.
 */
import { createRemoteJWKSet, decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import { rotateKeys } from '../../src/admin/resources/keys.ts';
import { adminWorld } from '../support/admin.ts';
import { formsOf, type Page, unescapeHtml } from '../support/agent.ts';
import type { RealmInput } from '../support/cardea.ts';
import { REDIRECT_URI } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { Browser, openid, text } from '../support/sign-in.ts';

const FAR = 'https://app.example/other';
const PROFILE = {
  middleName: ['Ada'],
  nickname: ['Al'],
  profile: ['https://alice.example/'],
  picture: ['https://alice.example/alice.png'],
  website: ['https://alice.example/'],
  gender: ['female'],
  birthdate: ['1985-10-26'],
  zoneinfo: ['Europe/Paris'],
  locale: ['fr'],
  phoneNumber: ['+33 1 02 03 04 05'],
  phoneNumberVerified: ['true'],
  street: ['1 rue de la Paix'],
  locality: ['Paris'],
  region: ['Île-de-France'],
  postal_code: ['75002'],
  country: ['France'],
};

type Answer = Record<string, string>;
const answerOf = (page: Page): Answer => Object.fromEntries(new URL(page.headers.get('location') ?? 'about:blank').searchParams);
const asksPassword = (page: Page): boolean => page.html.includes('name="password"');

async function arrayAt(answer: Response, name: string): Promise<Record<string, unknown>[]> {
  const body: unknown = await answer.json();
  return z
    .record(z.string(), z.unknown())
    .transform((read) => z.array(z.record(z.string(), z.unknown())).parse(read[name]))
    .parse(body);
}

forEachEngine((engine) => {
  const world = adminWorld(engine);

  /**
   * A realm with a user, and a client that has registered itself and is trusted since.
   * @param onlyAsked new clients of the realm get no claims but those that they ask for
   */
  async function provider(settings: RealmInput = {}, metadata: Partial<openid.ClientMetadata> = {}, { onlyAsked = false } = {}) {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off', ...settings });
    if (onlyAsked)
      for (const { id, name } of (await admin.call('GET', `/realms/${realm.name}/client-scopes`)).body)
        if (name === 'profile' || name === 'email')
          for (const [method, list] of [
            ['DELETE', 'default'],
            ['PUT', 'optional'],
          ] as const)
            await admin.call(method, `/realms/${realm.name}/default-${list}-client-scopes/${id}`);
    const user = await server.user(realm, { firstName: 'Alice', lastName: 'Liddell', emailVerified: true, attributes: PROFILE });
    const { body: access } = await admin.call('POST', `/realms/${realm.name}/clients-initial-access`, { body: { count: 20 } });
    const issuer = new URL(`${server.origin}/realms/${realm.name}`);
    const register = (more: Partial<openid.ClientMetadata>) =>
      openid.dynamicClientRegistration(issuer, { client_name: 'Suite', redirect_uris: [REDIRECT_URI, FAR], ...metadata, ...more }, undefined, {
        initialAccessToken: access.token,
        execute: [openid.allowInsecureRequests],
      });
    const rp = await register({});
    const browser = new Browser(server.origin);
    const allow = (page: Page) => (page.html.includes('value="allow"') ? browser.send(page, { do: 'allow' }) : page);

    /** An authorization request, and what the browser is shown, or the answer that leads away. */
    const ask = async (parameters: Record<string, string> = {}, using = rp, within = browser) => {
      const verifier = openid.randomPKCECodeVerifier();
      const url = openid.buildAuthorizationUrl(using, {
        ...{ redirect_uri: REDIRECT_URI, scope: 'openid', state: 'a state', code_challenge_method: 'S256' },
        code_challenge: await openid.calculatePKCECodeChallenge(verifier),
        ...parameters,
      });
      return { url, verifier, page: await within.visit(url.href) };
    };
    /** The same to where the user is sent back to. */
    const authorize = async (parameters: Record<string, string> = {}, using = rp) => {
      const asked = await ask(parameters, using);
      const typed = asksPassword(asked.page) ? await browser.send(asked.page, { username: user.username, password: user.password }) : asked.page;
      const page = await allow(typed);
      const location = page.headers.get('location');
      if (location === null) throw new Error(`No answer: ${page.status} ${text(page)}`);
      return { location: new URL(location), verifier: asked.verifier };
    };
    /** The same to its end: a code is exchanged. */
    const signIn = async (parameters: Record<string, string> = {}, using = rp) => {
      const { location, verifier } = await authorize(parameters, using);
      const checks = { pkceCodeVerifier: verifier, expectedState: 'a state', ...(parameters.nonce ? { expectedNonce: parameters.nonce } : {}) };
      const exchange = () => openid.authorizationCodeGrant(using, location, checks);
      return { exchange, tokens: await exchange() };
    };
    return { server, realm, user, issuer, rp, register, browser, allow, ask, authorize, signIn, metadata: rp.serverMetadata() };
  }

  engine.test('config: the metadata is complete, and everything in it is at the issuer', async (t) => {
    const { metadata, issuer } = await provider();
    t.is(metadata.issuer, issuer.href);
    for (const name of ['authorization_endpoint', 'token_endpoint', 'userinfo_endpoint', 'jwks_uri', 'registration_endpoint', 'end_session_endpoint'])
      t.true(String(metadata[name]).startsWith(`${issuer.href}/`), name);
    t.true(metadata.scopes_supported?.includes('openid'));
    for (const type of ['code', 'id_token', 'id_token token']) t.true(metadata.response_types_supported?.includes(type), type);
    for (const grant of ['authorization_code', 'implicit']) t.true(metadata.grant_types_supported?.includes(grant), grant);
    t.deepEqual(metadata.subject_types_supported, ['public']);
    t.true(metadata.id_token_signing_alg_values_supported?.includes('RS256'));
    t.true(Array.isArray(metadata.claims_supported) && metadata.claims_supported.includes('sub'));
    // Left out, they would mean more than there is (Discovery section 3).
    t.is(typeof metadata.request_uri_parameter_supported, 'boolean');
    t.truthy(metadata.grant_types_supported);
    t.truthy(metadata.response_modes_supported);
    t.truthy(metadata.token_endpoint_auth_methods_supported);
    const keys = await arrayAt(await fetch(String(metadata.jwks_uri)), 'keys');
    t.is(new Set(keys.map(({ kid }) => kid)).size, keys.length);
    for (const key of keys) t.false('d' in key || 'p' in key || 'k' in key);
  });

  engine.test('oidcc-server: the ID token and userinfo are about the user, for the client, now', async (t) => {
    const { signIn, rp, user, issuer } = await provider();
    const { tokens } = await signIn({ nonce: 'n-0S6_WzA2Mj' });
    const claims = tokens.claims();
    const { client_id: clientId } = rp.clientMetadata();
    t.like(claims, { iss: issuer.href, sub: user.id, aud: clientId, nonce: 'n-0S6_WzA2Mj' });
    t.true(Number(claims?.exp) > Date.now() / 1000 && Number(claims?.iat) <= Date.now() / 1000 + 1);
    const { alg, kid } = decodeProtectedHeader(tokens.id_token ?? '');
    t.is(alg, 'RS256');
    t.is(typeof kid, 'string');
    t.is((await openid.fetchUserInfo(rp, tokens.access_token, user.id)).sub, user.id);
    t.is(tokens.token_type, 'bearer');
  });

  engine.test('oidcc-response-type-missing: an error that goes back to the application', async (t) => {
    const { ask, rp, browser } = await provider();
    const { url } = await ask();
    url.searchParams.delete('response_type');
    const page = await browser.visit(url.href);
    t.is(answerOf(page).error, 'invalid_request');
    t.is(answerOf(page).state, 'a state');
    t.is((await ask({ response_type: 'token' }, rp)).page.headers.get('location')?.includes('unsupported_response_type'), true);
  });

  engine.test('oidcc-userinfo-get, -post-header, -post-body: all three, in JSON', async (t) => {
    const { signIn, metadata, user } = await provider();
    const { tokens } = await signIn();
    const endpoint = String(metadata.userinfo_endpoint);
    const bearer = { authorization: `Bearer ${tokens.access_token}` };
    for (const init of [
      { headers: bearer },
      { method: 'POST', headers: bearer },
      { method: 'POST', body: new URLSearchParams({ access_token: tokens.access_token }) },
    ]) {
      const answer = await fetch(endpoint, init);
      t.is(answer.status, 200);
      t.regex(answer.headers.get('content-type') ?? '', /^application\/json/);
      t.like(await answer.json(), { sub: user.id });
    }
    const refused = await fetch(endpoint);
    t.is(refused.status, 401);
    t.regex(refused.headers.get('www-authenticate') ?? '', /^Bearer/);
  });

  engine.test('oidcc-ensure-request-without-nonce-succeeds, with an unknown parameter, with valid PKCE, without PKCE', async (t) => {
    const { signIn, ask, browser } = await provider();
    t.is((await signIn()).tokens.claims()?.nonce, undefined);
    t.truthy((await signIn({ extra: 'foobar' })).tokens.id_token);
    const { url } = await ask();
    url.searchParams.delete('code_challenge');
    url.searchParams.delete('code_challenge_method');
    t.truthy(answerOf(await browser.visit(url.href)).code, 'a confidential client may do without');
  });

  engine.test('oidcc-scope-*: each scope brings its claims, in any order', async (t) => {
    const { signIn, rp, user } = await provider();
    const about = async (scope: string) => {
      const { tokens } = await signIn({ scope });
      return { granted: (tokens.scope ?? '').split(' '), claims: await openid.fetchUserInfo(rp, tokens.access_token, user.id) };
    };
    const profile = await about('openid profile');
    for (const claim of ['name', 'given_name', 'family_name', 'middle_name', 'nickname', 'preferred_username', 'profile', 'picture'].concat(
      ...['website', 'gender', 'birthdate', 'zoneinfo', 'locale', 'updated_at'],
    ))
      t.truthy(profile.claims[claim], claim);
    t.is(typeof profile.claims.updated_at, 'number', 'Core section 5.1');
    const email = await about('openid email');
    t.like(email.claims, { email: user.email, email_verified: true });
    const address = await about('openid address');
    t.like(address.claims.address, { street_address: '1 rue de la Paix', locality: 'Paris', postal_code: '75002', country: 'France' });
    const phone = await about('openid phone');
    t.like(phone.claims, { phone_number: '+33 1 02 03 04 05', phone_number_verified: true });
    const all = await about('phone openid address email profile');
    t.truthy(all.claims.phone_number && all.claims.address && all.claims.email && all.claims.name);
    t.is(email.claims.phone_number, undefined, 'what was not asked is not said');
    t.is(email.claims.address, undefined);
  });

  engine.test('oidcc-display-page, -popup, claims-locales, ui-locales, acr-values: wishes never stop a sign-in', async (t) => {
    const { signIn } = await provider();
    for (const wish of ['display=page', 'display=popup', 'claims_locales=se', 'ui_locales=se', 'acr_values=1+2'])
      t.truthy((await signIn(Object.fromEntries(new URLSearchParams(wish)))).tokens.id_token, wish);
  });

  engine.test('oidcc-prompt-none-not-logged-in, -logged-in, -login, and max-age', async (t) => {
    const { ask, signIn, browser, user } = await provider();
    const nobody = answerOf((await ask({ prompt: 'none' })).page);
    t.is(nobody.error, 'login_required');
    t.is(nobody.code, undefined);
    const first = (await signIn()).tokens.claims();
    const silent = (await signIn({ prompt: 'none' })).tokens.claims();
    t.is(silent?.sub, first?.sub);
    t.is(silent?.auth_time, first?.auth_time);
    const again = await ask({ prompt: 'login' });
    t.true(asksPassword(again.page));
    t.truthy(answerOf(await browser.send(again.page, { password: user.password })).code);
    const old = (await signIn({ max_age: '15000' })).tokens.claims();
    t.is(typeof old?.auth_time, 'number');
    t.true(asksPassword((await ask({ max_age: '0' })).page));
  });

  engine.test('oidcc-id-token-hint, login-hint', async (t) => {
    const { signIn, ask, server } = await provider();
    const { tokens } = await signIn();
    const hinted = (await signIn({ prompt: 'none', id_token_hint: tokens.id_token ?? '' })).tokens.claims();
    t.is(hinted?.sub, tokens.claims()?.sub);
    const { page } = await ask({ login_hint: 'bob@example.com' }, undefined, new Browser(server.origin));
    t.is(formsOf(page)[0]?.fields.username, 'bob@example.com');
  });

  engine.test('oidcc-codereuse: a code is good once, and what came of it ends', async (t) => {
    const { signIn, rp, user } = await provider();
    const { exchange, tokens } = await signIn();
    const error = await t.throwsAsync(exchange());
    t.is(Object(error).error, 'invalid_grant');
    await t.throwsAsync(openid.fetchUserInfo(rp, tokens.access_token, user.id), undefined, 'Core section 3.1.3.2, RFC 6749 section 4.1.2');
  });

  engine.test('oidcc-ensure-registered-redirect-uri, redirect-uri-query-OK, -mismatch, -added, -regfrag', async (t) => {
    const { ask, register, authorize } = await provider();
    for (const redirect_uri of ['https://app.example/unregistered', `${REDIRECT_URI}?foo=bar`]) {
      const { page } = await ask({ redirect_uri });
      t.is(page.status, 400, redirect_uri);
      t.is(page.headers.get('location'), null);
    }
    const withQuery = await register({ redirect_uris: [`${REDIRECT_URI}?foo=bar`] });
    const redirect_uri = `${REDIRECT_URI}?foo=bar`;
    const { location, verifier } = await authorize({ redirect_uri }, withQuery);
    t.is(location.searchParams.get('foo'), 'bar');
    const code = location.searchParams.get('code') ?? '';
    // openid-client's own way leaves the query out.
    t.truthy((await openid.genericGrantRequest(withQuery, 'authorization_code', { code, redirect_uri, code_verifier: verifier })).id_token);
    t.is((await ask({ redirect_uri: `${REDIRECT_URI}?foo=baz` }, withQuery)).page.status, 400);
    t.is((await ask({ redirect_uri: REDIRECT_URI }, withQuery)).page.status, 400);
    await t.throwsAsync(register({ redirect_uris: [`${REDIRECT_URI}#foobar`] }));
  });

  engine.test('oidcc-ensure-post-request-succeeds', async (t) => {
    const { ask, browser, user, allow } = await provider();
    const { url } = await ask();
    const body = url.searchParams;
    const page = await browser.visit(`${url.origin}${url.pathname}`, { method: 'POST', body });
    t.true(asksPassword(page));
    t.truthy(answerOf(await allow(await browser.send(page, { username: user.username, password: user.password }))).code);
  });

  engine.test('oidcc-server-client-secret-post, and with a public client', async (t) => {
    const { register, signIn } = await provider();
    for (const method of ['client_secret_post', 'none'])
      t.truthy((await signIn({}, await register({ token_endpoint_auth_method: method }))).tokens.id_token, method);
  });

  engine.test('oidcc-unsigned-request-object: taken, or refused in the words for it', async (t) => {
    const { ask, rp, issuer } = await provider();
    const { client_id: clientId } = rp.clientMetadata();
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const object = { iss: clientId, aud: issuer.href, client_id: clientId, redirect_uri: REDIRECT_URI, response_type: 'code', scope: 'openid' };
    const { page } = await ask({ request: `${part({ alg: 'none' })}.${part(object)}.` });
    const { error } = answerOf(page);
    t.true(error === 'request_not_supported' || error === 'invalid_request_object', String(error));
    t.is(answerOf((await ask({ request_uri: 'https://app.example/request.jwt' })).page).error, 'invalid_request_uri');
  });

  engine.test('oidcc-claims-essential: a claim that is asked for by itself', async (t) => {
    const { signIn, rp, user } = await provider();
    const claims = JSON.stringify({ userinfo: { name: { essential: true }, phone_number: null }, id_token: { auth_time: { essential: true } } });
    const { tokens } = await signIn({ scope: 'openid', claims });
    t.is((await openid.fetchUserInfo(rp, tokens.access_token, user.id)).name, 'Alice Liddell');
    t.is(typeof tokens.claims()?.auth_time, 'number');
  });

  engine.test('oidcc-server, -claims-essential: nothing but what was asked for, where clients have no scopes unasked', async (t) => {
    const { ask, browser, user, rp, signIn } = await provider({}, {}, { onlyAsked: true });
    const claims = JSON.stringify({ userinfo: { name: { essential: true }, realm_access: null }, id_token: { email: null } });
    const { page } = await ask({ claims });
    const consent = await browser.send(page, { username: user.username, password: user.password });
    for (const scope of ['Your name and username', 'Your email address']) t.true(text(consent).includes(scope), text(consent));
    t.false(text(consent).includes('Your roles'), 'nobody is asked about those, and so they are not to be had');
    const { tokens } = await signIn({ claims });
    const refreshed = await openid.refreshTokenGrant(rp, tokens.refresh_token ?? '');
    for (const { access_token, id_token, scope } of [tokens, refreshed]) {
      t.is(scope, 'openid');
      const info = await openid.fetchUserInfo(rp, access_token, user.id);
      t.is(info.name, 'Alice Liddell');
      for (const name of ['given_name', 'preferred_username', 'email', 'realm_access']) t.is(info[name], undefined, name);
      const said = decodeJwt(id_token ?? '');
      t.is(said.email, user.email);
      for (const name of ['name', 'email_verified', 'preferred_username', 'realm_access']) t.is(said[name], undefined, name);
      t.deepEqual(decodeJwt(access_token).userinfo_claims, ['name']);
      t.is(decodeJwt(access_token).name, undefined);
    }
    const { tokens: plain } = await signIn();
    t.is((await openid.fetchUserInfo(rp, plain.access_token, user.id)).name, undefined, 'it was asked of that request alone');
    t.is(decodeJwt(plain.id_token ?? '').name, undefined);
    const silent = await ask({ prompt: 'none', claims: JSON.stringify({ userinfo: { phone_number: null } }) });
    t.is(answerOf(silent.page).error, 'consent_required', 'it is asked about as the scope is that says it');
  });

  engine.test('oidcc-refresh-token: the ID token of a refresh is about the same sign-in', async (t) => {
    const { signIn, rp } = await provider();
    const { tokens } = await signIn({ scope: 'openid offline_access', prompt: 'consent', nonce: 'once' });
    const first = tokens.claims();
    const refreshed = await openid.refreshTokenGrant(rp, tokens.refresh_token ?? '');
    const second = refreshed.id_token === undefined ? undefined : decodeJwt(refreshed.id_token);
    for (const name of ['iss', 'sub', 'aud', 'azp', 'auth_time'] as const) t.deepEqual(second?.[name], first?.[name], name);
    t.true(Number(second?.iat) >= Number(first?.iat));
  });

  engine.test('form_post: the answer is a form that sends itself, and errors too', async (t) => {
    const { ask, browser, user } = await provider();
    const { page } = await ask({ response_mode: 'form_post' });
    let shown = await browser.send(page, { username: user.username, password: user.password });
    if (shown.html.includes('value="allow"')) shown = await browser.send(shown, { do: 'allow' });
    const [form] = formsOf(shown);
    t.is(form?.action, REDIRECT_URI);
    t.is(form?.method, 'POST');
    t.truthy(form?.fields.code);
    t.is(form?.fields.state, 'a state');
    const failed = await ask({ response_mode: 'form_post', prompt: 'none', max_age: '0' });
    t.is(formsOf(failed.page)[0]?.fields.error, 'login_required');
  });

  engine.test('dynamic: what is registered is answered, read again, and what is wrong is refused by its name', async (t) => {
    const { rp, register } = await provider({}, { contacts: ['suite@app.example'], application_type: 'web' });
    const { client_id, client_secret, ...made } = rp.clientMetadata();
    t.truthy(client_id);
    t.truthy(client_secret);
    t.like(made, { redirect_uris: [REDIRECT_URI, FAR], client_secret_expires_at: 0, contacts: ['suite@app.example'] });
    const read = await fetch(String(made.registration_client_uri), { headers: { authorization: `Bearer ${made.registration_access_token}` } });
    t.like(await read.json(), { client_id });
    const error = await t.throwsAsync(register({ subject_type: 'pairwise' }));
    t.is(Object(error).error, 'invalid_client_metadata');
  });

  engine.test('dynamic: policy and terms of an application are linked from the sign-in and from the consent', async (t) => {
    const { ask, browser, user } = await provider({}, { policy_uri: 'https://app.example/privacy', tos_uri: 'https://app.example/terms' });
    const { page } = await ask();
    const consent = await browser.send(page, { username: user.username, password: user.password });
    for (const shown of [page, consent])
      for (const address of ['https://app.example/privacy', 'https://app.example/terms'])
        t.true(unescapeHtml(shown.html).includes(`href="${address}"`), `${address}: ${text(shown)}`);
  });

  engine.test('oidcc-idtoken-rs256, userinfo-rs256: what is signed is signed with the algorithm that was registered', async (t) => {
    const { register, signIn, metadata, issuer, user } = await provider();
    t.true(z.array(z.string()).parse(metadata.userinfo_signing_alg_values_supported).includes('RS256'));
    const rp = await register({ id_token_signed_response_alg: 'RS256', userinfo_signed_response_alg: 'RS256' });
    const { tokens } = await signIn({ nonce: 'once' }, rp);
    const answer = await fetch(String(metadata.userinfo_endpoint), {
      headers: { authorization: `Bearer ${tokens.access_token}`, accept: 'application/json' },
    });
    t.regex(answer.headers.get('content-type') ?? '', /^application\/jwt/);
    const { payload } = await jwtVerify(await answer.text(), createRemoteJWKSet(new URL(String(metadata.jwks_uri))), {
      ...{ issuer: issuer.href, audience: rp.clientMetadata().client_id, algorithms: ['RS256'] },
    });
    t.is(payload.sub, user.id);
    t.is(payload.nonce, undefined);
  });

  engine.test('oidcc-ensure-redirect-uri-in-authorization-request: a page, also where the client has one address alone', async (t) => {
    const { ask, browser, register } = await provider();
    for (const redirect_uris of [[REDIRECT_URI, FAR], [REDIRECT_URI]]) {
      const { url } = await ask({}, await register({ redirect_uris }));
      url.searchParams.delete('redirect_uri');
      const page = await browser.visit(url.href);
      t.is(page.status, 400);
      t.is(page.headers.get('location'), null);
      t.regex(text(page), /redirect_uri/, 'it says what is missing');
    }
  });

  engine.test(
    'oidcc-ensure-client-assertion-with-iss-aud-succeeds: signed by the key that was registered, for the token endpoint or the issuer',
    async (t) => {
      const { register, authorize, metadata, issuer } = await provider();
      const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
      const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'suite', use: 'sig', alg: 'RS256' }] };
      const rp = await register({ token_endpoint_auth_method: 'private_key_jwt', jwks });
      const { client_id: clientId } = rp.clientMetadata();
      for (const audience of [String(metadata.token_endpoint), issuer.href]) {
        const { location, verifier } = await authorize({}, rp);
        const assertion = new SignJWT({ iss: clientId, sub: clientId, aud: audience, jti: crypto.randomUUID() }).setProtectedHeader({
          alg: 'RS256',
          kid: 'suite',
        });
        const answer = await fetch(String(metadata.token_endpoint), {
          method: 'POST',
          body: new URLSearchParams({
            ...{
              grant_type: 'authorization_code',
              code: location.searchParams.get('code') ?? '',
              redirect_uri: REDIRECT_URI,
              code_verifier: verifier,
            },
            client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
            client_assertion: await assertion.setIssuedAt().setExpirationTime('1m').sign(privateKey),
          }),
        });
        t.is(answer.status, 200, audience);
        t.regex(answer.headers.get('cache-control') ?? '', /no-store/);
      }
    },
  );

  engine.test('oidcc-server-rotate-keys: the new key is published at once, and the old one stays', async (t) => {
    const { server, realm, metadata } = await provider();
    const kids = async () => (await arrayAt(await fetch(String(metadata.jwks_uri)), 'keys')).map(({ kid }) => kid);
    const before = await kids();
    const made = await rotateKeys(server.operator(), realm, { algorithms: ['RS256'] });
    t.deepEqual(new Set(await kids()), new Set([...before, ...made.map(({ id }) => id)]));
    t.is(made.length, 1);
  });

  engine.test('oidcc-rp-initiated-logout-modified-id-token-hint, -bad-id-token-hint, -no-id-token-hint, -only-state', async (t) => {
    const { signIn, metadata, browser, register, ask } = await provider();
    const back = 'https://app.example/bye';
    const rp = await register({ post_logout_redirect_uris: [back] });
    const { tokens } = await signIn({}, rp);
    const claims = decodeJwt(tokens.id_token ?? '');
    const { privateKey } = await generateKeyPair('RS256');
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${tokens.id_token?.split('.')[1]}.`;
    const foreign = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'RS256', kid: decodeProtectedHeader(tokens.id_token ?? '').kid ?? '' })
      .sign(privateKey);
    const end = (parameters: Record<string, string>) => browser.visit(`${metadata.end_session_endpoint}?${new URLSearchParams(parameters)}`);
    for (const id_token_hint of [unsigned, foreign]) {
      const page = await end({ id_token_hint, post_logout_redirect_uri: back, state: 'see you' });
      t.is(page.status, 400);
      t.regex(text(page), /id_token_hint/, 'it says what is wrong');
    }
    const astray = await end({ id_token_hint: tokens.id_token ?? '', post_logout_redirect_uri: `${back}?foo=bar` });
    t.regex(text(astray), /post_logout_redirect_uri/);
    t.is((await end({ post_logout_redirect_uri: back, state: 'see you' })).headers.get('location'), null);
    t.truthy((await signIn({ prompt: 'none' }, rp)).tokens.id_token, 'nobody was signed out');
    const asked = await end({ state: 'see you' });
    const out = await browser.send(asked, { logout: 'yes' });
    t.regex(text(out), /You are signed out/);
    t.is(answerOf((await ask({ prompt: 'none' }, rp)).page).error, 'login_required');
  });

  engine.test('RP-initiated logout: with a hint and without, with state, and nowhere that is not registered', async (t) => {
    const { signIn, metadata, browser, register, ask } = await provider();
    const rp = await register({ post_logout_redirect_uris: ['https://app.example/bye'] });
    const { tokens } = await signIn({}, rp);
    const end = String(metadata.end_session_endpoint);
    const out = (parameters: Record<string, string>) => browser.visit(`${end}?${new URLSearchParams(parameters)}`);
    const hint = { id_token_hint: tokens.id_token ?? '' };
    const astray = await out({ ...hint, post_logout_redirect_uri: 'https://app.example/elsewhere' });
    t.is(astray.status, 400);
    t.is(astray.headers.get('location'), null);
    t.truthy((await signIn({ prompt: 'none' }, rp)).tokens.id_token, 'nobody was signed out');
    const asked = await out({});
    t.is(asked.status, 200, 'without a hint the user is asked');
    const gone = await out({ ...hint, post_logout_redirect_uri: 'https://app.example/bye', state: 'see you' });
    t.is(gone.headers.get('location'), 'https://app.example/bye?state=see+you');
    t.is(answerOf((await ask({ prompt: 'none' }, rp)).page).error, 'login_required');
  });
});
