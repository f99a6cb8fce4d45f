/** Requests by reference (OpenID Connect Core 1.0 section 6.2): an application serves what it asks, and sends its users with the address of it. */
import { createHash, randomUUID } from 'node:crypto';
import { type JWTPayload, SignJWT } from 'jose';
import { z } from 'zod';
import { adminOf } from '../support/admin.ts';
import { formsOf, type Page } from '../support/agent.ts';
import { basic, call } from '../support/attack.ts';
import { type Cardea, REDIRECT_URI, startCardea, type TestClient } from '../support/cardea.ts';
import { assertionOf, issuerAt, keySetOf, type OwnKey, ownKey } from '../support/client-keys.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, refusal } from '../support/keycloak.ts';
import { listen } from '../support/listen.ts';
import { authorizationRequest, Browser, exchange, openid, type RelyingParty, relyingParty } from '../support/sign-in.ts';

/** What is answered to whoever registers. */
const registered = z.record(z.string(), z.unknown());
const answerOf = (page: Page): Record<string, string> => Object.fromEntries(new URL(page.headers.get('location') ?? 'about:blank').searchParams);

forEachEngine((engine) => {
  let shared: ReturnType<typeof start> | undefined;
  const start = async () => {
    const files = new Map<string, { body: string; type: string | undefined }>();
    const source = await listen((request, response) => {
      const file = files.get(request.url ?? '');
      if (!file) response.writeHead(404).end('nothing');
      else response.writeHead(200, file.type === undefined ? {} : { 'content-type': file.type }).end(file.body);
    });
    const server = await startCardea(await engine.database(), { CARDEA_OUTBOUND_ALLOW: `localhost:${source.port}` });
    return { server, admin: await adminOf(server), files, source };
  };
  const world = async () => {
    shared ??= start();
    const { server, admin, files, source } = await shared;
    const realm = await server.realm({ mfa: 'off' });
    /** Serves a request object at an address of its own. */
    const serve = (body: string, type: string | undefined = 'application/oauth-authz-req+jwt', path = `/${randomUUID()}`): string => {
      files.set(path, { body, type });
      return `http://localhost:${source.port}${path}`;
    };
    const asked = (uri: string): number => source.requests.filter(({ url }) => url === new URL(uri).pathname).length;
    const application = async (attributes: Record<string, string> = {}, input: Parameters<Cardea['client']>[1] = {}) => {
      const key = await ownKey('RS256');
      const any = { 'request.uris': `http://localhost:${source.port}/*` };
      const made = await server.client(realm, { ...input, attributes: { ...keySetOf(key), ...any, ...attributes } });
      return { key, made, rp: await relyingParty(server, realm, made) };
    };
    return { server, admin, realm, serve, asked, application, source };
  };
  type World = Awaited<ReturnType<typeof world>>;

  /** What an application wants of a sign-in, and the object that says it. */
  const objectOf = async ({ server, realm }: World, { rp, key }: { rp: RelyingParty; key: OwnKey }, more: Record<string, unknown> = {}) => {
    const request = await authorizationRequest(rp);
    const inside = Object.fromEntries(new URL(request.url).searchParams);
    return { request, object: await assertionOf(server, realm, rp.client, { key, claims: { ...inside, sub: undefined, ...more } }) };
  };
  const at = ({ server, realm }: World, client: Pick<TestClient, 'clientId'>, more: Record<string, string>): string =>
    `${issuerAt(server, realm)}/protocol/openid-connect/auth?${new URLSearchParams({ client_id: client.clientId, ...more })}`;

  engine.test('oidcc-request-uri-signed-rs256: an application that has just registered, with a file that stays where it is', async (t) => {
    const all = await world();
    const { server, admin, realm, serve, asked } = all;
    const user = await server.user(realm);
    const key = await ownKey('RS256');
    const { body: access } = await admin.call('POST', `/realms/${realm.name}/clients-initial-access`, { body: { count: 1 } });
    const issuer = new URL(issuerAt(server, realm));
    const uri = serve('not yet');
    const metadata = {
      ...{ redirect_uris: [REDIRECT_URI], grant_types: ['authorization_code'], response_types: ['code'], contacts: ['certification@app.example'] },
      ...{ token_endpoint_auth_method: 'private_key_jwt', request_uris: [uri], request_object_signing_alg: 'RS256' },
      jwks: { keys: [{ ...key.publicJwk, alg: 'RS256' }] },
    };
    const configuration = await openid.dynamicClientRegistration(issuer, metadata, openid.PrivateKeyJwt({ key: key.privateKey, kid: key.kid }), {
      initialAccessToken: access.token,
      execute: [openid.allowInsecureRequests],
    });
    t.like(configuration.clientMetadata(), { request_uris: [uri], request_object_signing_alg: 'RS256' });
    t.is(asked(uri), 0, 'there was nothing to ask for yet');
    t.like(configuration.serverMetadata(), { request_uri_parameter_supported: true, require_request_uri_registration: true });

    const { client_id: clientId } = configuration.clientMetadata();
    const [state, nonce] = [openid.randomState(), openid.randomNonce()];
    const claims: JWTPayload = {
      ...{ iss: clientId, aud: issuer.href, client_id: clientId },
      ...{ redirect_uri: REDIRECT_URI, scope: 'openid', response_type: 'code', state, nonce },
    };
    serve(
      await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: key.kid }).sign(key.privateKey),
      'application/jwt',
      new URL(uri).pathname,
    );
    const browser = new Browser(server.origin);
    const visit = () =>
      browser.visit(at(all, { clientId }, { redirect_uri: REDIRECT_URI, request_uri: uri, response_type: 'code', scope: 'openid' }));
    const again = await visit();
    t.is(again.status, 200, 'and reloaded');
    const consent = await browser.send(await visit(), { username: user.username, password: user.password });
    t.true(consent.html.includes('value="allow"'));
    const back = await browser.send(consent, { do: 'allow' });
    t.like(answerOf(back), { state, iss: issuer.href });
    const location = new URL(back.headers.get('location') ?? '');
    const tokens = await openid.authorizationCodeGrant(configuration, location, { expectedState: state, expectedNonce: nonce });
    t.is(tokens.claims()?.sub, user.id);
    t.like(answerOf(await visit()), { state }, 'whoever is signed in goes through');
    t.true(asked(uri) >= 1);
  });

  engine.test('what is fetched is what is asked, by GET and by POST, and what stands beside it is not', async (t) => {
    const all = await world();
    const { server, realm, serve, asked, application } = all;
    const app = await application();
    const user = await server.user(realm);
    const beside = { state: 'theirs', nonce: 'theirs', prompt: 'none', login_hint: 'mallory', redirect_uri: app.made.redirectUri };
    for (const method of ['GET', 'POST']) {
      const { request, object } = await objectOf(all, app);
      const uri = serve(object);
      const url = new URL(at(all, app.made, { ...beside, request_uri: uri }));
      const browser = new Browser(server.origin);
      const post = { method, body: url.searchParams };
      const page = await (method === 'GET' ? browser.visit(url.href) : browser.visit(`${url.origin}${url.pathname}`, post));
      t.is(page.status, 200, method);
      t.false(page.html.includes('mallory'));
      t.is((await exchange(app.rp, request, await browser.send(page, { username: user.username, password: user.password }))).claims()?.sub, user.id);
      t.is(asked(uri), 1);
      const used = answerOf(await browser.visit(url.href));
      t.is(used.error, 'invalid_request_object', 'one with a jti is good once');
      t.is(asked(uri), 2, 'and another one could have been there');
    }
    for (const type of ['application/jwt; charset=utf-8', 'APPLICATION/JOSE', 'text/plain', undefined]) {
      const uri = serve((await objectOf(all, app)).object, type);
      t.is((await new Browser(server.origin).visit(at(all, app.made, { request_uri: uri }))).status, 200, type);
    }
    const posted = await objectOf(all, app, { response_mode: 'form_post', prompt: 'none' });
    const page = await new Browser(server.origin).visit(at(all, app.made, { request_uri: serve(posted.object) }));
    t.like(formsOf(page)[0]?.fields, { error: 'login_required', state: posted.request.state });
  });

  engine.test('the digest behind an address says which of several states is meant, and is not part of what is registered', async (t) => {
    const all = await world();
    const { server, serve, asked, application } = all;
    const path = `/${randomUUID()}`;
    const uri = serve('', undefined, path);
    const app = await application({ 'request.uris': `${uri}#${'A'.repeat(43)}##${uri}-other` });
    const digestOf = (object: string) => createHash('sha256').update(object).digest('base64url');
    const visit = async (fragment: string) => {
      const page = await new Browser(server.origin).visit(
        at(all, app.made, { redirect_uri: app.made.redirectUri, state: 'ours', request_uri: uri + fragment }),
      );
      return page.status === 200 ? 'begun' : answerOf(page).error;
    };
    const one = (await objectOf(all, app, { jti: undefined })).object;
    serve(one, undefined, path);
    t.is(await visit(`#${digestOf(one)}`), 'begun');
    t.is(await visit(''), 'begun');
    const two = (await objectOf(all, app, { jti: undefined })).object;
    serve(two, undefined, path);
    t.is(await visit(`#${digestOf(two)}`), 'begun');
    t.is(await visit(`#${digestOf('neither')}`), 'invalid_request_uri');
    const before = asked(uri);
    t.is(await visit('#two'), 'invalid_request_uri');
    t.is(asked(uri), before, 'what is no digest is not asked for');
  });

  engine.test('a client may have to send its requests by value, by reference, or either', async (t) => {
    const all = await world();
    const { server, realm, serve } = all;
    const ways = ['plain', 'request', 'request_uri', 'pushed', 'pushed plain'] as const;
    const taken: Record<string, readonly string[]> = {
      'not required': ways,
      'request or request_uri': ['request', 'request_uri', 'pushed'],
      'request only': ['request', 'pushed'],
      'request_uri only': ['request_uri', 'pushed'],
    };
    for (const [required, expected] of Object.entries(taken)) {
      const app = await all.application({ 'request.object.required': required });
      const begins = async (way: (typeof ways)[number]): Promise<boolean> => {
        const { request, object } = await objectOf(all, app);
        const plain = Object.fromEntries(new URL(request.url).searchParams);
        const push = async (body: Record<string, string>) =>
          String((await call(server, realm, 'ext/par/request', body, basic(app.made))).body.request_uri);
        const sent: Record<string, string> = await {
          plain: async () => plain,
          request: async () => ({ request: object }),
          request_uri: async () => ({ request_uri: serve(object) }),
          pushed: async () => ({ request_uri: await push({ request: object }) }),
          'pushed plain': async () => ({ request_uri: await push(plain) }),
        }[way]();
        const page = await new Browser(server.origin).visit(at(all, app.made, sent));
        if (page.status !== 200) t.regex(answerOf(page).error ?? page.html, /invalid_request/, `${required} ${way}`);
        return page.status === 200;
      };
      for (const way of ways) t.is(await begins(way), expected.includes(way), `${required} ${way}`);
    }
    const pushes = await all.application({ 'require.pushed.authorization.requests': 'true' });
    const uri = serve((await objectOf(all, pushes)).object);
    const page = await new Browser(server.origin).visit(at(all, pushes.made, { request_uri: uri, redirect_uri: pushes.made.redirectUri }));
    t.like(answerOf(page), { error: 'invalid_request', iss: issuerAt(server, realm) });
    t.is(all.asked(uri), 0);
  });

  engine.test('what is wrong is told to the application, with its state', async (t) => {
    const all = await world();
    const { server, realm, serve, application, source } = all;
    const app = await application();
    const ask = async (uri: string, client = app.made) =>
      answerOf(await new Browser(server.origin).visit(at(all, client, { redirect_uri: client.redirectUri, state: 'ours', request_uri: uri })));
    const missing = await ask(`http://localhost:${source.port}/missing`);
    t.like(missing, { error: 'invalid_request_uri', state: 'ours', iss: issuerAt(server, realm) });
    t.regex(missing.error_description ?? '', /GET/);
    const elsewhere = await ask('https://elsewhere.example/request.jwt');
    t.like(elsewhere, { error: 'invalid_request_uri', state: 'ours' });
    t.regex(elsewhere.error_description ?? '', /request_uris/);
    t.is((await ask(serve((await objectOf(all, app, { aud: 'https://other.example' })).object))).error, 'invalid_request_object');
    const bare = await new Browser(server.origin).visit(at(all, app.made, { request_uri: `http://localhost:${source.port}/missing2` }));
    t.is(bare.status, 400);
    t.true(bare.html.includes('invalid_request_uri'), 'where nobody is known to tell, it is a page');
    const unregistered = await application({ 'request.uris': '' });
    t.regex((await ask(serve('x'), unregistered.made)).error_description ?? '', /request_uris/);
  });

  engine.test('addresses are looked at when they are registered, by whoever registers them', async (t) => {
    const { server, admin, realm, source } = await world();
    const rest = keycloakClient(server, realm, admin.token);
    await rest.clients.create({ clientId: 'robot' });
    const [{ id = '' } = {}] = await rest.clients.find({ clientId: 'robot' });
    const set = (value: string) => rest.clients.update({ id }, { clientId: 'robot', attributes: { 'request.uris': value } });
    const ours = `http://localhost:${source.port}`;
    for (const value of [
      ...[
        'http://app.example/request.jwt',
        '/request.jwt',
        '*',
        'https://*',
        'https://*.app.example/',
        'https://app.example/a*b',
        'file:///etc/passwd',
      ],
      ...['https://user:hunter2@app.example/', 'https://app.example/#part', 'https://app.example/a##', `https://app.example/${'a'.repeat(512)}`],
      ...['https://app.example/a##nonsense', 'http://localhost:*/a', 'https://0x7f.1/', Array(51).fill('https://app.example/a').join('##')],
    ]) {
      const error = await refusal(set(value));
      t.like(error, { status: 400, body: { field: 'attributes.request.uris' } }, value.slice(0, 60));
    }
    for (const value of ['https://app.example/request.jwt', `https://app.example/requests/*##${ours}/a?b=c#${'A'.repeat(43)}`, '']) {
      await set(value);
      t.is((await rest.clients.findOne({ id }))?.attributes?.['request.uris'] ?? '', value);
    }
    const { body: access } = await admin.call('POST', `/realms/${realm.name}/clients-initial-access`, { body: { count: 5 } });
    const register = async (method: string, url: string, token: string, metadata: object) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const answer = await fetch(url, { method, headers, body: JSON.stringify({ redirect_uris: [REDIRECT_URI], ...metadata }) });
      return { status: answer.status, body: registered.parse(await answer.json()) };
    };
    const endpoint = `${issuerAt(server, realm)}/clients-registrations/openid-connect`;
    for (const uri of [
      'https://app.example/*',
      'http://app.example/a',
      'https://app.example/#part',
      'nonsense',
      'https://app.example/a##https://b.example/',
    ]) {
      const { status, body } = await register('POST', endpoint, String(access.token), { request_uris: [uri] });
      t.like({ status, error: body.error }, { status: 400, error: 'invalid_client_metadata' }, uri);
      t.regex(String(body.error_description), /^request_uris/, uri);
    }
    const uris = ['https://app.example/a', `https://app.example/b#${'A'.repeat(43)}`];
    const made = await register('POST', endpoint, String(access.token), { request_uris: uris });
    t.is(made.status, 201);
    t.deepEqual(made.body.request_uris, uris);
    const { registration_client_uri: own, registration_access_token: token } = made.body;
    t.deepEqual((await register('PUT', String(own), String(token), { request_uris: uris.slice(1) })).body.request_uris, uris.slice(1));
    t.is((await register('PUT', String(own), String(token), {})).body.request_uris, undefined);
  });
});
