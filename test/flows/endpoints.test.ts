/** What the realm says of itself, and who may call which of its endpoints: metadata, keys, CORS, client authentication. */
import { createPublicKey } from 'node:crypto';
import { decodeJwt, jwtVerify } from 'jose';
import { RESPONSE_TYPES } from '../../src/realms/response-types.ts';
import { arena, basic, begin, call, codeExchange, codeFrom, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, exchange, signIn } from '../support/sign-in.ts';

const json = async (url: string, init?: RequestInit): Promise<Record<string, unknown>> => {
  const answer = await fetch(url, init);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  const body: unknown = await answer.json();
  if (typeof body !== 'object' || body === null) throw new Error(`${url}: no JSON object`);
  return { ...body };
};

const issuerOf = ({ server, realm }: Scene): string => `${server.origin}/realms/${realm.name}`;
const strings = (value: unknown): string[] => (Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []);

forEachEngine((engine) => {
  const { scene, server } = arena(engine);

  engine.test('discovery is true: every endpoint in it answers, and what it promises is so', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const issuer = issuerOf(stage);
    const metadata = await json(`${issuer}/.well-known/openid-configuration`);
    t.is(metadata.issuer, issuer);
    t.deepEqual(
      metadata,
      await json(`${stage.server.origin}/.well-known/oauth-authorization-server/realms/${stage.realm.name}`),
      'RFC 8414 puts the path last',
    );
    const endpoints = Object.entries(metadata).filter(
      (entry): entry is [string, string] => /_(endpoint|uri)$/.test(entry[0]) && typeof entry[1] === 'string',
    );
    t.deepEqual(Object.fromEntries(endpoints.map(([name, url]) => [name, url.slice(issuer.length)])), {
      authorization_endpoint: '/protocol/openid-connect/auth',
      token_endpoint: '/protocol/openid-connect/token',
      userinfo_endpoint: '/protocol/openid-connect/userinfo',
      jwks_uri: '/protocol/openid-connect/certs',
      end_session_endpoint: '/protocol/openid-connect/logout',
      introspection_endpoint: '/protocol/openid-connect/token/introspect',
      revocation_endpoint: '/protocol/openid-connect/revoke',
      device_authorization_endpoint: '/protocol/openid-connect/auth/device',
      backchannel_authentication_endpoint: '/protocol/openid-connect/ext/ciba/auth',
      pushed_authorization_request_endpoint: '/protocol/openid-connect/ext/par/request',
      registration_endpoint: '/clients-registrations/openid-connect',
    });
    for (const [name, url] of endpoints) {
      for (const method of ['GET', 'POST']) {
        const { status } = await fetch(url, { method, redirect: 'manual', ...(method === 'POST' ? { body: new URLSearchParams() } : {}) });
        t.true(status < 500 && status !== 404, `${method} ${name}: ${status}`);
      }
    }
    t.deepEqual(strings(metadata.acr_values_supported), ['aal1', 'aal2', 'phr', 'phrh']);
    t.deepEqual(strings(metadata.scopes_supported).sort(), [
      'address',
      'email',
      'microprofile-jwt',
      'offline_access',
      'openid',
      'organization',
      'phone',
      'profile',
    ]);
    t.deepEqual(strings(metadata.grant_types_supported).sort(), [
      'authorization_code',
      'client_credentials',
      'implicit',
      'password',
      'refresh_token',
      'urn:ietf:params:oauth:grant-type:device_code',
      'urn:ietf:params:oauth:grant-type:token-exchange',
      'urn:openid:params:grant-type:ciba',
    ]);
    t.deepEqual(strings(metadata.token_endpoint_auth_methods_supported).sort(), [
      'client_secret_basic',
      'client_secret_jwt',
      'client_secret_post',
      'none',
      'private_key_jwt',
    ]);
    for (const what of ['auth_methods_supported', 'auth_signing_alg_values_supported']) {
      t.deepEqual(metadata[`introspection_endpoint_${what}`], metadata[`token_endpoint_${what}`]);
      t.deepEqual(metadata[`revocation_endpoint_${what}`], metadata[`token_endpoint_${what}`]);
    }
    for (const name of ['token_endpoint_auth_signing_alg_values_supported', 'request_object_signing_alg_values_supported'] as const) {
      const algorithms = strings(metadata[name]);
      for (const algorithm of ['HS256', 'RS256', 'PS256', 'ES256', 'EdDSA']) t.true(algorithms.includes(algorithm), `${name} ${algorithm}`);
      t.false(algorithms.includes('none'));
    }
    t.is(metadata.request_parameter_supported, true);
    t.is(metadata.request_uri_parameter_supported, true);
    t.is(metadata.require_request_uri_registration, true);
    t.deepEqual(strings(metadata.response_types_supported), [...RESPONSE_TYPES]);
    t.deepEqual(strings(metadata.response_modes_supported).sort(), ['form_post', 'fragment', 'query'].sort());
    t.deepEqual(strings(metadata.code_challenge_methods_supported), ['S256']);
    t.true(metadata.authorization_response_iss_parameter_supported === true);
    t.true(metadata.claims_parameter_supported === true);
    for (const claim of ['sub', 'acr', 'amr', 'auth_time', 'sid', 'preferred_username', 'email'])
      t.true(strings(metadata.claims_supported).includes(claim), claim);
    t.deepEqual(strings(metadata.ui_locales_supported).sort(), ['de', 'en', 'es', 'fr', 'it']);
    t.true(strings(metadata.id_token_signing_alg_values_supported).includes('RS256'));
    t.deepEqual(strings(metadata.prompt_values_supported), ['none', 'login', 'consent', 'select_account']);
  });

  engine.test('the keys are public ones, and the realm’s own JSON names the one that signs', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const issuer = issuerOf(stage);
    const { keys } = await json(`${issuer}/protocol/openid-connect/certs`);
    t.true(Array.isArray(keys) && keys.length >= 2);
    for (const key of Array.isArray(keys) ? keys : []) {
      t.deepEqual(
        Object.keys(key).filter((name) => ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'].includes(name)),
        [],
      );
      t.is(key.use, 'sig');
      t.truthy(key.kid);
    }
    const about = await json(issuer);
    t.like(about, {
      realm: stage.realm.name,
      'token-service': `${issuer}/protocol/openid-connect`,
      'account-service': `${issuer}/account`,
      'tokens-not-before': 0,
    });
    const publicKey = createPublicKey({ key: Buffer.from(String(about.public_key), 'base64'), format: 'der', type: 'spki' });
    const { tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    const { payload, protectedHeader } = await jwtVerify(tokens.access_token, publicKey, { issuer });
    t.is(payload.azp, stage.rp.client.clientId);
    t.is(protectedHeader.alg, 'RS256');
    await jwtVerify(tokens.id_token ?? '', publicKey, { issuer, audience: stage.rp.client.clientId });
  });

  engine.test('pages of other origins may call where the client’s web origins say so', async (t) => {
    const { origin } = await server();
    const spa = await scene(
      { mfa: 'off' },
      { publicClient: true, redirectUris: ['https://spa.example/callback'], webOrigins: ['+', 'https://admin.example'] },
    );
    const user = await spa.server.user(spa.realm);
    const { tokens } = await signIn(spa.server, spa.rp, user);
    const token = `${issuerOf(spa)}/protocol/openid-connect/token`;
    const refresh = (from: string) =>
      fetch(token, {
        method: 'POST',
        headers: { origin: from },
        body: new URLSearchParams({ grant_type: 'refresh_token', client_id: spa.rp.client.clientId, refresh_token: tokens.refresh_token ?? '' }),
      });
    const preflight = await fetch(token, {
      method: 'OPTIONS',
      headers: { origin: 'https://spa.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'dpop' },
    });
    t.is(preflight.status, 204);
    t.is(preflight.headers.get('access-control-allow-methods'), 'POST');
    const foreign = await refresh('https://evil.example');
    t.is(foreign.headers.get('access-control-allow-origin'), null);
    t.true(foreign.status >= 400);
    const own = await refresh('https://spa.example');
    t.deepEqual([own.status, own.headers.get('access-control-allow-origin')], [200, 'https://spa.example']);
    t.is(own.headers.get('access-control-allow-credentials'), 'true', 'keycloak-js asks with them, though a cookie is of no use there');

    const userinfo = (from: string) =>
      fetch(`${issuerOf(spa)}/protocol/openid-connect/userinfo`, { headers: { origin: from, authorization: `Bearer ${tokens.access_token}` } });
    t.is((await userinfo('https://admin.example')).headers.get('access-control-allow-origin'), 'https://admin.example');
    t.is((await userinfo('https://evil.example')).headers.get('access-control-allow-origin'), null);
    for (const open of ['/.well-known/openid-configuration', '/protocol/openid-connect/certs', '']) {
      const answer = await fetch(`${issuerOf(spa)}${open}`, { headers: { origin: 'https://anybody.example' } });
      t.regex(answer.headers.get('access-control-allow-origin') ?? '', /^(\*|https:\/\/anybody\.example)$/, open);
    }
    const page = await fetch(`${issuerOf(spa)}/protocol/openid-connect/auth?client_id=x`, { headers: { origin: 'https://spa.example' } });
    t.is(page.headers.get('access-control-allow-origin'), null, 'pages are for people');
    t.is((await fetch(`${origin}/health/live`, { headers: { origin: 'https://spa.example' } })).headers.get('access-control-allow-origin'), null);
  });

  engine.test('a confidential client authenticates by header or body, and by its own secret', async (t) => {
    const secret = '+/= %:secret with "everything" ~';
    const stage = await scene({ mfa: 'off' }, { serviceAccount: true, secret });
    const { clientId } = stage.rp.client;
    const grant = { grant_type: 'client_credentials' };
    const ask = (fields: Record<string, string>, headers: Record<string, string> = {}) =>
      call(stage.server, stage.realm, 'token', { ...grant, ...fields }, headers);
    t.is((await ask({}, basic({ clientId, secret }))).status, 200);
    t.is((await ask({ client_id: clientId, client_secret: secret })).status, 200);
    for (const [name, answer] of [
      ['wrong, in the header', await ask({}, basic({ clientId, secret: 'wrong' }))],
      ['wrong, in the body', await ask({ client_id: clientId, client_secret: 'wrong' })],
      ['none', await ask({ client_id: clientId })],
      ['unknown client', await ask({}, basic({ clientId: 'nobody', secret }))],
    ] as const) {
      t.is(answer.status, 401, name);
      t.is(answer.body.error, 'invalid_client', name);
      t.is(answer.body.access_token, undefined);
    }
    t.regex((await ask({}, basic({ clientId, secret: 'wrong' }))).headers.get('www-authenticate') ?? '', /^Basic /);
    t.is(
      (await ask({ client_id: clientId, client_secret: secret }, basic({ clientId, secret }))).status,
      400,
      'one way at a time (RFC 6749 section 2.3)',
    );
    t.is((await ask({}, { authorization: 'Basic nonsense' })).status, 400);
    await t.throwsAsync(scene({ mfa: 'off' }, { secret: 'a secret beyond ASCII: ä' }), { message: /secret/ });
  });

  engine.test('grants and scopes that a client does not have', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const credentials = basic(stage.rp.client);
    const ask = (fields: Record<string, string>) => call(stage.server, stage.realm, 'token', fields, credentials);
    t.like(await ask({ grant_type: 'password', username: 'a', password: 'b' }), { status: 400, body: { error: 'unauthorized_client' } });
    t.like(await ask({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code' }), { status: 400, body: { error: 'unauthorized_client' } });
    t.like(await ask({ grant_type: 'urn:example:params:grant-type:none' }), { status: 400, body: { error: 'unsupported_grant_type' } });
    t.like(await ask({ grant_type: 'client_credentials' }), { status: 400, body: { error: 'unauthorized_client' } });
    t.like(await ask({}), { status: 400, body: { error: 'invalid_request' } });
    t.like(await ask({ grant_type: 'authorization_code', code: 'x' }), { status: 400, body: { error: 'invalid_request' } });

    const user = await stage.server.user(stage.realm);
    const { tokens } = await signIn(stage.server, stage.rp, user, { parameters: { scope: 'openid nonsense role_list' } });
    t.deepEqual(tokens.scope?.split(' ').sort(), ['email', 'openid', 'profile'], 'what is not known is left out');
    await stage.server.db
      .knex('client_scope_assignments')
      .where({ realm_id: stage.realm.id, client_id: stage.rp.client.row.id, is_default: false })
      .del();
    await stage.server.db.knex('clients').where({ realm_id: stage.realm.id, id: stage.rp.client.row.id }).increment('updated_at', 1);
    await stage.server.db.changes.announce(`client:${stage.realm.id}`);
    const denied = await new Browser(stage.server.origin).visit((await authorizationRequest(stage.rp, { scope: 'openid phone' })).url);
    t.is(new URL(denied.headers.get('location') ?? 'about:blank').searchParams.get('error'), 'invalid_scope');
    const more = await call(
      stage.server,
      stage.realm,
      'token',
      { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '', scope: 'openid phone' },
      credentials,
    );
    t.is(more.status, 400, 'a refresh does not widen');
    const less = await call(
      stage.server,
      stage.realm,
      'token',
      { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '', scope: 'openid' },
      credentials,
    );
    t.is(less.body.scope, 'openid');
  });

  engine.test('a client’s own token has its default scopes, and those that it asks for', async (t) => {
    const stage = await scene({ mfa: 'off' }, { serviceAccount: true });
    const ask = async (fields: Record<string, string>) => {
      const { body } = await call(stage.server, stage.realm, 'token', { grant_type: 'client_credentials', ...fields }, basic(stage.rp.client));
      t.is(decodeJwt(String(body.access_token)).scope, body.scope);
      return String(body.scope).split(' ').sort();
    };
    t.deepEqual(await ask({}), ['email', 'profile']);
    t.deepEqual(await ask({ scope: 'phone' }), ['email', 'phone', 'profile']);
    t.deepEqual(await ask({ scope: 'openid nonsense' }), ['email', 'openid', 'profile'], 'what is not known is left out');
  });

  engine.test('a public client needs PKCE, by S256', async (t) => {
    const stage = await scene({ mfa: 'off' }, { publicClient: true });
    const user = await stage.server.user(stage.realm);
    const refused = async (change: (query: URLSearchParams) => void) => {
      const url = new URL((await authorizationRequest(stage.rp)).url);
      change(url.searchParams);
      const page = await new Browser(stage.server.origin).visit(url.href);
      return new URL(page.headers.get('location') ?? 'about:blank').searchParams.get('error');
    };
    const without = (query: URLSearchParams) => {
      query.delete('code_challenge');
      query.delete('code_challenge_method');
    };
    t.is(await refused(without), 'invalid_request');
    t.is(await refused((query) => query.set('code_challenge_method', 'plain')), 'invalid_request');
    t.is(await refused((query) => query.delete('code_challenge_method')), 'invalid_request', 'which would be plain');
    const { browser, page, request } = await begin(stage);
    const back = await browser.send(page, { username: user.username, password: user.password });
    const code = codeFrom(back, stage.rp) ?? '';
    t.is(
      (await call(stage.server, stage.realm, 'token', { ...codeExchange(stage.rp, request, code), code_verifier: 'x'.repeat(43) })).body.error,
      'invalid_grant',
    );
    const { browser: other, page: anew, request: again } = await begin(stage);
    t.is((await exchange(stage.rp, again, await other.send(anew, { username: user.username, password: user.password }))).claims()?.sub, user.id);

    const confidential = await scene({ mfa: 'off' });
    const url = new URL((await authorizationRequest(confidential.rp)).url);
    without(url.searchParams);
    t.is((await new Browser(stage.server.origin).visit(url.href)).status, 200, 'a confidential one may do without');
  });
});
