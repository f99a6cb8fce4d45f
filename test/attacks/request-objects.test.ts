/** Requests that a client signs (RFC 9101): what it did not sign, for us, now and once, is not its request. */
import { createPublicKey, randomUUID } from 'node:crypto';
import { UnsecuredJWT } from 'jose';
import { arena, backAtApplication, basic, call, parallel } from '../support/attack.ts';
import type { Cardea } from '../support/cardea.ts';
import { assertionOf, byKey, issuerAt, keySetOf, ownKey, type Signing } from '../support/client-keys.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, exchange } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine);

  /** A client that has a key for its requests, and what becomes of them. */
  const stageOf = async (attributes: Record<string, string> = {}) => {
    const key = await ownKey();
    const stage = await scene({ mfa: 'off' }, { attributes: { ...keySetOf(key), ...attributes } });
    const { server, realm, rp } = stage;
    const parameters = async () => Object.fromEntries(new URL((await authorizationRequest(rp)).url).searchParams);
    /** Like an assertion, but for whom it is about. */
    const sign = async (how: Signing = {}) =>
      assertionOf(server, realm, rp.client, { key, ...how, claims: { ...(await parameters()), sub: undefined, ...how.claims } });
    const visit = async (request: string, outside: Record<string, string> = {}, node: Cardea = server) => {
      const query = new URLSearchParams({ client_id: rp.client.clientId, request, ...outside });
      const answer = await fetch(`${node.url}/realms/${realm.name}/protocol/openid-connect/auth?${query}`, { redirect: 'manual' });
      const location = answer.headers.get('location') ?? '';
      return { begun: answer.status === 303 && location.includes('/login/'), location, status: answer.status };
    };
    const begins = async (how: Signing = {}, outside: Record<string, string> = {}) => (await visit(await sign(how), outside)).begun;
    return { ...stage, key, sign, visit, begins, parameters };
  };

  engine.test('a request as it should be begins a sign-in', async (t) => {
    const { begins } = await stageOf();
    t.true(await begins());
    t.true(await begins({ claims: { jti: undefined } }));
    t.true(await begins({ claims: { exp: undefined } }), 'with an iat alone');
    t.false(await begins({ claims: { client_id: undefined } }), 'it says whose it is');
  });

  engine.test('no signature, another client’s, and the public key as a secret', async (t) => {
    const { begins, visit, parameters, server, realm, rp, key } = await stageOf({ 'request.object.signature.alg': 'ES256' });
    const now = Math.floor(Date.now() / 1000);
    const claims = { ...(await parameters()), iss: rp.client.clientId, aud: issuerAt(server, realm), iat: now, exp: now + 60 };
    t.false((await visit(new UnsecuredJWT(claims).encode())).begun);
    t.false(await begins({ key: await ownKey() }));
    t.false(await begins({ key: { ...(await ownKey()), kid: key.kid } }));
    t.false(await begins({ key: { secret: rp.client.secret ?? '' } }), 'the client said ES256');
    t.false(
      await begins({ key: { secret: createPublicKey({ key: key.publicJwk, format: 'jwk' }).export({ format: 'pem', type: 'spki' }).toString() } }),
    );
    const pushed = await call(server, realm, 'ext/par/request', { request: new UnsecuredJWT(claims).encode() }, basic(rp.client));
    t.is(pushed.status, 400);
    t.true(await begins());

    const free = await stageOf();
    t.true(await free.begins({ key: { secret: free.rp.client.secret ?? '' } }), 'OpenID Connect Core has it by secret too');
    t.false(await free.begins({ key: { secret: `${free.rp.client.secret}x` } }));
    const keyed = await scene({ mfa: 'off' }, { ...byKey(keySetOf(key)), serviceAccount: false });
    const bySecret = await assertionOf(keyed.server, keyed.realm, keyed.rp.client, {
      key: { secret: keyed.rp.client.secret ?? '' },
      claims: { ...Object.fromEntries(new URL((await authorizationRequest(keyed.rp)).url).searchParams), sub: undefined },
    });
    t.false((await free.visit(bySecret, { client_id: keyed.rp.client.clientId })).begun, 'a client of keys has no secret');
  });

  engine.test('for somebody else, by somebody else, over, and for ever', async (t) => {
    const { begins, server, realm, rp } = await stageOf();
    const other = issuerAt(server, await server.realm());
    const issuer = issuerAt(server, realm);
    const now = Math.floor(Date.now() / 1000);
    const stranger = await server.client(realm);
    for (const claims of [
      { aud: other },
      { aud: [issuer, other] },
      { aud: undefined },
      { iss: undefined },
      { iss: stranger.clientId },
      { client_id: stranger.clientId },
      { sub: rp.client.clientId },
      { exp: now - 60 },
      { exp: now + 86_400 },
      { exp: undefined, iat: undefined },
      { exp: undefined, iat: now - 7_200 },
      { iat: now + 600 },
      { nbf: now + 600 },
      { request: 'x' },
      { request_uri: 'urn:x' },
    ])
      t.false(await begins({ claims }), JSON.stringify(claims));
    t.false(await begins({ header: { crit: ['cardea'], cardea: 1 } }));
    t.false(await begins({}, { client_id: stranger.clientId }), 'the client beside it is another');
    t.true(await begins());
  });

  engine.test('what stands beside a signed request is not taken', async (t) => {
    const { sign, visit, server, realm, rp } = await stageOf();
    const user = await server.user(realm);
    const request = await authorizationRequest(rp);
    const inside = Object.fromEntries(new URL(request.url).searchParams);
    const signed = await sign({ claims: inside });
    const query = new URLSearchParams({
      client_id: rp.client.clientId,
      request: signed,
      ...{ redirect_uri: 'https://evil.example/', state: 'theirs', nonce: 'theirs', scope: 'openid offline_access address' },
      ...{ code_challenge: 'A'.repeat(43), code_challenge_method: 'S256', prompt: 'none', login_hint: 'mallory', response_mode: 'fragment' },
    });
    const browser = new Browser(server.origin);
    const page = await browser.visit(`${issuerAt(server, realm)}/protocol/openid-connect/auth?${query}`);
    t.is(page.status, 200, page.headers.get('location') ?? '');
    t.false(page.html.includes('mallory'));
    const back = await browser.send(page, { username: user.username, password: user.password });
    t.truthy(backAtApplication(back, rp.client.redirectUri));
    const tokens = await exchange(rp, request, back);
    t.is(tokens.scope, 'openid email profile');
    const mixed = await visit(await sign(), { response_type: 'token' });
    t.false(mixed.begun, 'response_type disagrees');
  });

  engine.test('a request with a jti is good once, also when it comes many times at once and to every node', async (t) => {
    const { sign, visit, server, realm, rp } = await stageOf();
    const all = await nodes();
    const one = await sign();
    const answers = await parallel(10, (index) => visit(one, {}, all[index % all.length]));
    t.is(answers.filter(({ begun }) => begun).length, 1);
    t.false((await visit(one)).begun);
    const again = new URL((await visit(one)).location);
    t.is(again.searchParams.get('error'), 'invalid_request_object');
    // Pushed, and then by value, or pushed again.
    const two = await sign();
    const push = (request: string) => call(server, realm, 'ext/par/request', { request }, basic(rp.client));
    const pushed = await push(two);
    t.is(pushed.status, 201);
    t.false((await visit(two)).begun);
    t.is((await push(two)).status, 400);
    const query = new URLSearchParams({ client_id: rp.client.clientId, request_uri: String(pushed.body.request_uri) });
    const answer = await fetch(`${issuerAt(server, realm)}/protocol/openid-connect/auth?${query}`, { redirect: 'manual' });
    t.true(answer.headers.get('location')?.includes('/login/'), 'what was pushed goes on');
    // Nobody uses up what they did not sign.
    const jti = randomUUID();
    t.false((await visit(await sign({ key: await ownKey(), claims: { jti } }))).begun);
    t.true((await visit(await sign({ claims: { jti } }))).begun);
  });
});
