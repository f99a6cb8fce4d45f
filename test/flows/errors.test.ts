/**
 * Errors as the developer of an application provokes them, at every endpoint: each says what to change, none says what only
 * the owner of a code or a token may know, and each is found in the log by its reference, with the precise cause.
 */
import type { ExecutionContext } from 'ava';
import { unescapeHtml } from '../support/agent.ts';
import { afterPassword, arena, call, type Scene, type TestUser } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { ask, ON_DEVICES, poll } from '../support/device.ts';
import { type ProofKey, proofKey, proofOf, tokenProof } from '../support/dpop.ts';
import { authorizationRequest, Browser, signIn } from '../support/sign-in.ts';

const basic = (clientId: string, secret: string | null): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`${clientId}:${secret ?? ''}`).toString('base64')}`,
});

/** What the log says of a request, by the id that its answer has. */
function logged({ server }: Scene, headers: Headers): Record<string, unknown>[] {
  const id = headers.get('x-request-id') ?? '';
  return server.log
    .filter((line) => id !== '' && line.includes(id))
    .map((line) => Object(JSON.parse(line)))
    .filter((line) => line.requestId === id && /refused|error page/.test(String(line.msg)));
}

interface Expected {
  status: number;
  error: string;
  /** In the description. */
  says: RegExp;
  /** In the log. */
  cause: RegExp;
}

function isSaid(t: ExecutionContext, name: string, stage: Scene, answer: Awaited<ReturnType<typeof call>>, expected: Expected): void {
  const { status, error, says, cause } = expected;
  t.is(answer.status, status, `${name}: ${JSON.stringify(answer.body)}`);
  t.is(answer.body.error, error, name);
  t.regex(String(answer.body.error_description), says, name);
  const lines = logged(stage, answer.headers);
  t.is(lines.length, 1, `${name} is in the log once`);
  t.regex(String(lines[0]?.detail), cause, name);
  t.is(lines[0]?.realm, stage.realm.name, name);
}

/** A code that a user has just got, and all that its exchange takes. */
async function codeFor(stage: Scene, user: TestUser, parameters: Record<string, string> = {}): Promise<Record<string, string>> {
  const { request, page } = await afterPassword(stage, user, { parameters });
  const code = new URL(page.headers.get('location') ?? '').searchParams.get('code') ?? '';
  return { grant_type: 'authorization_code', code, redirect_uri: stage.rp.client.redirectUri, code_verifier: request.verifier };
}

const UNKNOWN_CLIENT = /not known here, is switched off, authenticates in another way/;
const HELD_CODE = /used before, or has expired.*start the sign-in again/;
const HELD_TOKEN = /used before, was revoked, or has ended.*sign the user in again/;

forEachEngine((engine) => {
  const { scene } = arena(engine);

  engine.test('who the client is, and what it may ask for', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { clientId, secret } = stage.rp.client;
    const right = basic(clientId, secret);
    const code = { grant_type: 'authorization_code', code: 'x', redirect_uri: 'https://app.example/callback', code_verifier: 'v'.repeat(43) };
    const rows: [string, string, Record<string, string> | URLSearchParams, Record<string, string>, Expected][] = [
      ['nobody', 'token', code, {}, { status: 400, error: 'invalid_request', says: /send client_id/, cause: /mechanism/ }],
      [
        'an unknown client',
        'token',
        code,
        basic('nobody', 'x'),
        { status: 401, error: 'invalid_client', says: UNKNOWN_CLIENT, cause: /client not found/ },
      ],
      [
        'a wrong secret',
        'token',
        code,
        basic(clientId, 'wrong'),
        { status: 401, error: 'invalid_client', says: UNKNOWN_CLIENT, cause: /invalid secret/ },
      ],
      [
        'no secret',
        'token',
        { ...code, client_id: clientId },
        {},
        { status: 401, error: 'invalid_client', says: UNKNOWN_CLIENT, cause: /does not match/ },
      ],
      [
        'no Basic',
        'token',
        code,
        { authorization: 'Basic nonsense' },
        { status: 400, error: 'invalid_request', says: /Base64 of client_id:client_secret/, cause: /format/ },
      ],
      [
        'an unknown grant',
        'token',
        { grant_type: 'magic' },
        right,
        { status: 400, error: 'unsupported_grant_type', says: /grant_types_supported/, cause: /unsupported/ },
      ],
      [
        'a grant that is off',
        'token',
        { grant_type: 'client_credentials' },
        right,
        { status: 400, error: 'unauthorized_client', says: /switched off for the client/, cause: /not allowed/ },
      ],
      ['no grant', 'token', {}, right, { status: 400, error: 'invalid_request', says: /grant_type/, cause: /grant_type/ }],
      [
        'no code',
        'token',
        { grant_type: 'authorization_code' },
        right,
        { status: 400, error: 'invalid_request', says: /missing required parameter.*code/, cause: /code/ },
      ],
      [
        'a parameter twice',
        'token',
        new URLSearchParams('grant_type=authorization_code&code=a&code=b&redirect_uri=c'),
        right,
        { status: 400, error: 'invalid_request', says: /code.*must not be provided twice/, cause: /twice/ },
      ],
      [
        'another kind of body',
        'token',
        {},
        { ...right, 'content-type': 'application/json' },
        { status: 400, error: 'invalid_request', says: /only application\/x-www-form-urlencoded/, cause: /only application/ },
      ],
      [
        'introspection by nobody',
        'token/introspect',
        { token: 'x' },
        {},
        { status: 400, error: 'invalid_request', says: /send client_id/, cause: /mechanism/ },
      ],
      ['introspection of nothing', 'token/introspect', {}, right, { status: 400, error: 'invalid_request', says: /token/, cause: /token/ }],
      [
        'revocation, wrong secret',
        'revoke',
        { token: 'x' },
        basic(clientId, 'wrong'),
        { status: 401, error: 'invalid_client', says: UNKNOWN_CLIENT, cause: /invalid secret/ },
      ],
      ['revocation of nothing', 'revoke', {}, right, { status: 400, error: 'invalid_request', says: /token/, cause: /token/ }],
      [
        'devices are off',
        'auth/device',
        {},
        right,
        { status: 400, error: 'unauthorized_client', says: /switched off for the client/, cause: /not allowed/ },
      ],
      [
        'a page of elsewhere',
        'token',
        code,
        { ...right, origin: 'https://elsewhere.example' },
        { status: 400, error: 'invalid_request', says: /origin https:\/\/elsewhere.example not allowed/, cause: /origin/ },
      ],
    ];
    for (const [name, endpoint, fields, headers, expected] of rows)
      isSaid(t, name, stage, await call(stage.server, stage.realm, endpoint, fields, headers), expected);
    const pushed = { client_id: clientId, response_type: 'code', redirect_uri: 'https://evil.example/', scope: 'openid' };
    isSaid(t, 'a pushed request', stage, await call(stage.server, stage.realm, 'ext/par/request', pushed, right), {
      status: 400,
      error: 'invalid_request',
      says: /redirect_uri is not registered/,
      cause: /redirect_uri/,
    });
    isSaid(
      t,
      'a request_uri in it',
      stage,
      await call(stage.server, stage.realm, 'ext/par/request', { request_uri: 'https://app.example/x' }, right),
      {
        status: 400,
        error: 'request_uri_not_supported',
        says: /send the parameters themselves/,
        cause: /undefined/,
      },
    );
    const known = await call(stage.server, stage.realm, 'token', code, basic(clientId, 'wrong'));
    const unknown = await call(stage.server, stage.realm, 'token', code, basic('nobody', 'wrong'));
    t.deepEqual(known.body, unknown.body, 'whether a client exists is not said');
    t.is(known.headers.get('www-authenticate'), unknown.headers.get('www-authenticate'));
    t.regex(known.headers.get('www-authenticate') ?? '', /^Basic .*error_description="client authentication failed: the client is not known here/);
  });

  engine.test('codes: only their own client is told what does not fit them', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const other = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const right = basic(stage.rp.client.clientId, stage.rp.client.secret);
    const token = (fields: Record<string, string>, from = stage) =>
      call(stage.server, stage.realm, 'token', fields, from === stage ? right : basic(from.rp.client.clientId, from.rp.client.secret));
    const code = await codeFor(stage, user);
    const invalid = { status: 400, error: 'invalid_grant' };
    isSaid(t, 'unknown', stage, await token({ ...code, code: 'nonsense' }), { ...invalid, says: HELD_CODE, cause: /not found/ });
    isSaid(t, 'of another client', stage, await token(code, other), { ...invalid, says: HELD_CODE, cause: /client mismatch/ });
    isSaid(t, 'another redirect_uri', stage, await token({ ...code, redirect_uri: 'https://app.example/other' }), {
      ...invalid,
      says: /redirect_uri is not the one of the authorization request/,
      cause: /redirect_uri mismatch/,
    });
    const second = await codeFor(stage, user);
    isSaid(t, 'another verifier', stage, await token({ ...second, code_verifier: 'v'.repeat(43) }), {
      ...invalid,
      says: /does not belong to the code_challenge/,
      cause: /does not match code_challenge/,
    });
    const { code_verifier: _none, ...third } = await codeFor(stage, user);
    const bare = await codeFor(stage, user, { code_challenge: '', code_challenge_method: '' });
    isSaid(t, 'a verifier for nothing', stage, await token(bare), {
      ...invalid,
      says: /the authorization request had no code_challenge/,
      cause: /code_challenge_method/,
    });
    isSaid(t, 'no verifier', stage, await token(third), { ...invalid, says: /code_verifier is missing/, cause: /must be provided/ });
    const used = await codeFor(stage, user);
    t.is((await token(used)).status, 200);
    isSaid(t, 'used', stage, await token(used), { ...invalid, says: HELD_CODE, cause: /consumed|not found|used/ });
  });

  engine.test('proofs of keys: what is wrong with one', async (t) => {
    const stage = await scene({ mfa: 'off' }, { serviceAccount: true });
    const right = basic(stage.rp.client.clientId, stage.rp.client.secret);
    const key = await proofKey();
    const proof = async (wrong: Parameters<typeof tokenProof>[2]) => (await tokenProof(stage, key, wrong)).dpop;
    const rows: [string, string, string, RegExp][] = [
      ['nonsense', 'nonsense', 'invalid_dpop_proof', /one JWT with typ dpop\+jwt/],
      ['another method', await proof({ claims: { htm: 'GET' } }), 'invalid_dpop_proof', /^htm .* method of this request/],
      ['another address', await proof({ claims: { htu: 'https://app.example/' } }), 'invalid_dpop_proof', /^htu .* discovery document/],
      ['an old one', await proof({ claims: { iat: 1_700_000_000 } }), 'use_dpop_nonce', /not recent enough, use a DPoP nonce/],
      ['another nonce', await proof({ claims: { nonce: 'x' } }), 'use_dpop_nonce', /with that of the header DPoP-Nonce/],
    ];
    for (const [name, dpop, error, says] of rows) {
      const answer = await call(stage.server, stage.realm, 'token', { grant_type: 'client_credentials' }, { ...right, dpop });
      isSaid(t, name, stage, answer, { status: 400, error, says, cause: /./ });
    }
    const user = await stage.server.user(stage.realm);
    const plain = (await signIn(stage.server, stage.rp, user)).tokens.access_token;
    const { body } = await call(stage.server, stage.realm, 'token', await codeFor(stage, user), { ...right, ...(await tokenProof(stage, key)) });
    const bound = String(body.access_token);
    const address = `${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/userinfo`;
    const shown = async (token: string, by: ProofKey) => ({
      authorization: `DPoP ${token}`,
      dpop: await proofOf(by, { method: 'GET', url: address, token }),
    });
    const once = await shown(bound, key);
    t.is((await fetch(address, { headers: once })).status, 200);
    const uses: [string, Record<string, string>, RegExp][] = [
      ['a proof again', once, /proof was used before/],
      ['without one', { authorization: `Bearer ${bound}` }, /bound to a key: send it as Authorization: DPoP/],
      ['of another key', await shown(bound, await proofKey()), /with a proof of that key/],
      ['of a token that is not bound', await shown(plain, key), /not bound to a key: send it as Authorization: Bearer/],
    ];
    for (const [name, headers, says] of uses) {
      const answer = await fetch(address, { headers });
      const said = { status: answer.status, headers: answer.headers, body: Object(await answer.json()) };
      isSaid(t, name, stage, said, { status: 401, error: 'invalid_token', says, cause: /./ });
    }
  });

  engine.test('a service account that is switched off, and a realm that is not there', async (t) => {
    const { server, realm, rp } = await scene({ mfa: 'off' }, { serviceAccount: true });
    const right = basic(rp.client.clientId, rp.client.secret);
    await server.db.knex('users').where({ realm_id: realm.id, service_account_of: rp.client.row.id }).update({ enabled: false });
    const own = await call(server, realm, 'token', { grant_type: 'client_credentials' }, right);
    isSaid(t, 'switched off', { server, realm, rp }, own, {
      status: 400,
      error: 'unauthorized_client',
      says: /service account of this client is switched off/,
      cause: /./,
    });
    const base = `${server.origin}/realms/not-there-at-all`;
    const post = { method: 'POST', body: new URLSearchParams({ grant_type: 'client_credentials' }) };
    const answers = [
      await fetch(`${base}/protocol/openid-connect/token`, post),
      await fetch(`${base}/.well-known/openid-configuration`),
      await fetch(`${base}/clients-registrations/openid-connect`, { method: 'POST', body: '{}' }),
      await fetch(`${server.origin}/.well-known/oauth-authorization-server/realms/not-there-at-all`),
    ];
    for (const answer of answers) {
      t.is(answer.status, 404, answer.url);
      t.like(await answer.json(), { error: 'realm_not_found' }, answer.url);
    }
  });

  engine.test('refresh tokens and device codes', async (t) => {
    const stage = await scene({ mfa: 'off' }, { publicClient: true });
    const other = await scene({ mfa: 'off' }, { publicClient: true });
    const { tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    const refresh = (value: string, from = stage) =>
      call(stage.server, stage.realm, 'token', { grant_type: 'refresh_token', refresh_token: value, client_id: from.rp.client.clientId });
    const invalid = { status: 400, error: 'invalid_grant', says: HELD_TOKEN };
    isSaid(t, 'unknown', stage, await refresh('nonsense'), { ...invalid, cause: /not found/ });
    isSaid(t, 'of another client', stage, await refresh(tokens.refresh_token ?? '', other), { ...invalid, cause: /client mismatch|not found/ });
    t.is((await refresh(tokens.refresh_token ?? '')).status, 200);
    isSaid(t, 'used', stage, await refresh(tokens.refresh_token ?? ''), { ...invalid, cause: /used/ });

    const tv = await scene({ mfa: 'off' }, { ...ON_DEVICES, attributes: { ...ON_DEVICES.attributes, 'oauth2.device.polling.interval': '60' } });
    const waiting = await ask(tv);
    const pending = await poll(tv, waiting.device_code);
    t.is(pending.error, 'authorization_pending');
    t.false(
      tv.server.log.some((line) => line.includes('refused') && line.includes(tv.rp.client.clientId)),
      'a device that waits is no line in the log',
    );
    t.regex(String((await poll(tv, waiting.device_code)).body.error_description), /wait 5 seconds longer/);
    t.regex(String((await poll(tv, 'nonsense')).body.error_description), /ask for a new one at the device authorization endpoint/);
  });

  engine.test('userinfo says it in its challenge too', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const ofUserinfo = async (headers: Record<string, string>) => {
      const answer = await fetch(`${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/userinfo`, { headers });
      return { status: answer.status, headers: answer.headers, body: Object(await answer.json()) };
    };
    const none = await ofUserinfo({});
    isSaid(t, 'no token', stage, none, { status: 401, error: 'invalid_token', says: /Authorization: Bearer/, cause: /no access token/ });
    t.regex(none.headers.get('www-authenticate') ?? '', /^Bearer realm="[^"]+"(?:,|$)/);
    const bad = await ofUserinfo({ authorization: 'Bearer nonsense' });
    isSaid(t, 'a bad token', stage, bad, { status: 401, error: 'invalid_token', says: /has expired, was revoked/, cause: /not found/ });
    t.regex(
      bad.headers.get('www-authenticate') ?? '',
      /error="invalid_token", error_description="the access token is unknown, has expired, was revoked/,
    );
    t.is((await ofUserinfo({ authorization: 'Basic eDp5' })).body.error, 'invalid_request');
  });

  engine.test('authorization requests: what is wrong goes back to the application, in query, fragment and form alike', async (t) => {
    const stage = await scene({ mfa: 'off' }, { publicClient: true });
    const rows: [string, Record<string, string>, string, RegExp][] = [
      ['no PKCE', { code_challenge: '', code_challenge_method: '' }, 'invalid_request', /has to use PKCE: send code_challenge/],
      ['plain PKCE', { code_challenge_method: 'plain' }, 'invalid_request', /has to be S256/],
      ['another response type', { response_type: 'token' }, 'unsupported_response_type', /response_type=code/],
      ['claims that are no JSON', { claims: '{' }, 'invalid_request', /claims is not JSON/],
      ['a prompt that is none', { prompt: 'dance' }, 'invalid_request', /prompt_values_supported/],
      ['max_age that is no number', { max_age: 'old' }, 'invalid_request', /max_age/],
      ['a hint that is none', { id_token_hint: 'nonsense' }, 'invalid_request', /id_token_hint is not an ID token/],
      ['without openid', { scope: 'profile' }, 'invalid_request', /openid scope must be requested/],
      ['a registration in the request', { registration: '{}' }, 'registration_not_supported', /register the client at registration_endpoint/],
      ['a request object that is none', { request: 'nonsense' }, 'invalid_request_object', /request is not a JWT/],
    ];
    for (const [name, parameters, error, says] of rows) {
      const url = new URL((await authorizationRequest(stage.rp, parameters)).url);
      for (const [key, value] of Object.entries(parameters)) if (value === '') url.searchParams.delete(key);
      const page = await new Browser(stage.server.origin).visit(url.href);
      const location = new URL(page.headers.get('location') ?? 'about:blank');
      const answer = location.searchParams.size > 0 ? location.searchParams : new URLSearchParams(location.hash.slice(1));
      t.is(answer.get('error'), error, `${name}: ${page.status} ${location}`);
      t.regex(answer.get('error_description') ?? '', says, name);
      t.truthy(answer.get('state'), name);
      t.is(logged(stage, page.headers).length, 1, name);
    }
    const fragment = new URL((await authorizationRequest(stage.rp, { response_mode: 'fragment', claims: '{' })).url);
    const inFragment = (await new Browser(stage.server.origin).visit(fragment.href)).headers.get('location') ?? '';
    t.regex(new URLSearchParams(new URL(inFragment).hash.slice(1)).get('error_description') ?? '', /claims is not JSON/);
    const form = await new Browser(stage.server.origin).visit(
      (await authorizationRequest(stage.rp, { response_mode: 'form_post', claims: '{' })).url,
    );
    t.regex(unescapeHtml(form.html), /name="error_description" value="claims is not JSON/);
    const wordless = await new Browser(stage.server.origin).visit(
      (await authorizationRequest(stage.rp, { response_mode: 'form_post', registration: '{}' })).url,
    );
    t.regex(wordless.html, /name="error_description" value="the parameter registration is not taken/);
  });

  engine.test('where nobody can be told, the page says it with a reference that is in the log', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const issuer = `${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect`;
    const good = new URL((await authorizationRequest(stage.rp)).url);
    const withOut = (name: string, value: string) => {
      const url = new URL(good);
      url.searchParams.set(name, value);
      return url.href;
    };
    const rows: [string, string, RegExp][] = [
      ['an unknown client', withOut('client_id', 'nobody'), /invalid_client: client_id is not registered/],
      ['another redirect_uri', withOut('redirect_uri', 'https://evil.example/'), /redirect_uri is not registered for this client/],
      ['logout with a hint that is none', `${issuer}/logout?id_token_hint=nonsense`, /invalid_request/],
      [
        'logout to elsewhere',
        `${issuer}/logout?client_id=${stage.rp.client.clientId}&post_logout_redirect_uri=https://evil.example/`,
        /post_logout_redirect_uri/,
      ],
    ];
    for (const [name, url, says] of rows) {
      const page = await new Browser(stage.server.origin).request(url);
      t.is(page.status, 400, name);
      t.is(page.headers.get('location'), null, name);
      t.regex(unescapeHtml(page.html), says, name);
      const reference = page.headers.get('x-request-id') ?? '';
      t.true(page.html.includes(`>${reference}</code>`), `${name} shows its reference`);
      t.true(logged(stage, page.headers).length > 0, name);
    }
  });

  engine.test('no answer and no line in the log holds what was sent as a secret', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const secret = 'Zm9yZ290dGVuLXNlY3JldA';
    const code = await codeFor(stage, user);
    const answers = [
      await call(
        stage.server,
        stage.realm,
        'token',
        { ...code, code_verifier: `${secret}${'v'.repeat(43)}` },
        basic(stage.rp.client.clientId, stage.rp.client.secret),
      ),
      await call(stage.server, stage.realm, 'token', code, basic(stage.rp.client.clientId, secret)),
      await call(
        stage.server,
        stage.realm,
        'token',
        { grant_type: 'refresh_token', refresh_token: secret },
        basic(stage.rp.client.clientId, stage.rp.client.secret),
      ),
    ];
    for (const { status, body } of answers) {
      t.true(status >= 400);
      t.false(JSON.stringify(body).includes(secret));
    }
    t.false(stage.server.log.some((line) => line.includes(secret)));
  });
});
