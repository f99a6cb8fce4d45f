/** Clients that authenticate by key and by certificate, and that sign their requests: with openid-client, and over REST. */
import { createPublicKey, X509Certificate } from 'node:crypto';
import { decodeJwt } from 'jose';
import type { NewClient } from '../../src/admin/resources/clients.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { type Admin, adminOf } from '../support/admin.ts';
import { type Cardea, startCardea, type TestClient } from '../support/cardea.ts';
import { makeAuthority, withOpenssl } from '../support/certificates.ts';
import { assertionOf, byKey, keySetOf, type OwnKey, ownKey, serviceToken } from '../support/client-keys.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, refusal } from '../support/keycloak.ts';
import { listen } from '../support/listen.ts';
import { authorizationRequest, Browser, exchange, openid, type RelyingParty, signIn } from '../support/sign-in.ts';

forEachEngine((engine) => {
  let shared: Promise<{ server: Cardea; admin: Admin }> | undefined;
  const world = () => {
    shared ??= engine.database().then(async (db) => {
      const server = await startCardea(db, { CARDEA_OUTBOUND_ALLOW: 'localhost:*' });
      return { server, admin: await adminOf(server) };
    });
    return shared;
  };
  const realmOf = async () => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    return {
      server,
      admin,
      realm,
      rest: keycloakClient(server, realm, admin.token),
      client: (input: Partial<NewClient>) => server.client(realm, input),
    };
  };
  const application = async (server: Cardea, realm: RealmRow, client: TestClient, auth: openid.ClientAuth): Promise<RelyingParty> => {
    const issuer = new URL(`${server.origin}/realms/${realm.name}`);
    const options = { execute: [openid.allowInsecureRequests] };
    return { client, configuration: await openid.discovery(issuer, client.clientId, undefined, auth, options) };
  };

  engine.test('openid-client signs a user in, refreshes, introspects and revokes with private_key_jwt', async (t) => {
    const { server, realm, client } = await realmOf();
    const user = await server.user(realm);
    for (const alg of ['RS256', 'PS256', 'ES256', 'Ed25519']) {
      const key = await ownKey(alg);
      const rp = await application(server, realm, await client(byKey(keySetOf(key))), openid.PrivateKeyJwt({ key: key.privateKey, kid: key.kid }));
      const { tokens } = await signIn(server, rp, user);
      t.is(tokens.claims()?.sub, user.id, alg);
      const renewed = await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '');
      t.true((await openid.tokenIntrospection(rp.configuration, renewed.access_token)).active);
      await openid.tokenRevocation(rp.configuration, tokens.refresh_token ?? '');
      t.false((await openid.tokenIntrospection(rp.configuration, renewed.access_token)).active);
      t.truthy((await openid.clientCredentialsGrant(rp.configuration)).access_token);
    }
  });

  engine.test('openid-client authenticates with client_secret_jwt', async (t) => {
    const { server, realm, client } = await realmOf();
    const made = await client({ serviceAccount: true, kept: { clientAuthenticatorType: 'client-secret-jwt' } });
    const rp = await application(server, realm, made, openid.ClientSecretJwt(made.secret ?? ''));
    t.truthy((await openid.clientCredentialsGrant(rp.configuration)).access_token);
    const wrong = await application(server, realm, made, openid.ClientSecretJwt('another secret of some length'));
    await t.throwsAsync(openid.clientCredentialsGrant(wrong.configuration), { message: /invalid_client|authentication failed|response body/ });
  });

  engine.test('keys are a set at an address, a set, a public key', async (t) => {
    const { server, realm, client } = await realmOf();
    const key = await ownKey('RS256');
    const source = await listen((_request, response) =>
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [key.publicJwk] })),
    );
    const der = createPublicKey({ key: key.publicJwk, format: 'jwk' }).export({ format: 'der', type: 'spki' });
    for (const attributes of [
      { 'use.jwks.url': 'true', 'jwks.url': `http://localhost:${source.port}/keys` },
      keySetOf(await ownKey(), key),
      { 'jwt.credential.public.key': der.toString('base64'), 'jwt.credential.kid': key.kid },
    ]) {
      const made = await client(byKey(attributes));
      t.is((await serviceToken(server, realm, await assertionOf(server, realm, made, { key }))).status, 200, Object.keys(attributes).join());
    }
    t.is(source.requests.length, 1);
  });

  withOpenssl(engine)('a certificate is brought along over REST as Keycloak’s console does it, and its key is good from then on', async (t) => {
    const { server, admin, realm, rest } = await realmOf();
    const { id } = await rest.clients.create({ clientId: 'robot', serviceAccountsEnabled: true, clientAuthenticatorType: 'client-jwt' });
    const path = `/realms/${realm.name}/clients/${id}/certificates/jwt.credential`;
    t.deepEqual((await admin.call('GET', path)).body, {});
    const made = makeAuthority('/CN=robot');
    const upload = async (format: string, file: string, to = 'upload-certificate') => {
      const form = new FormData();
      form.set('keystoreFormat', format);
      form.set('file', new Blob([file]), 'robot.pem');
      const answer = await fetch(`${server.origin}/admin${path}/${to}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${admin.token}` },
        body: form,
      });
      return { status: answer.status, body: await answer.json() };
    };
    const base64 = new X509Certificate(made.cert).raw.toString('base64');
    t.deepEqual(await upload('Certificate PEM', made.cert), { status: 200, body: { certificate: base64 } });
    t.deepEqual((await admin.call('GET', path)).body, { certificate: base64 });
    const { importPKCS8 } = await import('jose');
    const key: OwnKey = { alg: 'ES256', kid: '', privateKey: await importPKCS8(made.key, 'ES256'), publicJwk: {} };
    const sign = () => assertionOf(server, realm, { clientId: 'robot' }, { key, header: { kid: undefined } });
    t.is((await serviceToken(server, realm, await sign())).status, 200);

    const other = await ownKey();
    const set = JSON.stringify({ keys: [other.publicJwk] });
    t.is((await upload('JSON Web Key Set', set, 'upload')).status, 200);
    t.deepEqual((await admin.call('GET', path)).body, { jwks: set });
    t.is((await serviceToken(server, realm, await sign())).status, 401, 'it has taken the place of the certificate');
    t.is((await serviceToken(server, realm, await assertionOf(server, realm, { clientId: 'robot' }, { key: other }))).status, 200);

    t.like(await upload('Certificate PEM', made.key), { status: 400, body: { field: 'file' } });
    t.like(await upload('Certificate PEM', 'nonsense'), { status: 400, body: { field: 'file' } });
    t.like(await upload('JKS', 'binary'), { status: 501 });
    t.like(await upload('Something', made.cert), { status: 400, body: { field: 'keystoreFormat' } });
    for (const name of ['generate', 'generate-and-download', 'download']) t.is((await admin.call('POST', `${path}/${name}`)).status, 501, name);
  });

  engine.test('what cannot be used is refused when it is stored, and the field is named', async (t) => {
    const { rest } = await realmOf();
    const { id } = await rest.clients.create({ clientId: 'robot' });
    const { publicJwk } = await ownKey('RS256');
    const { privateKey } = await ownKey('ES256');
    const { exportJWK } = await import('jose');
    const set = (...keys: unknown[]) => JSON.stringify({ keys });
    const attributes: [name: string, value: string][] = [
      ['jwks.url', 'http://keys.example/jwks'],
      ['jwks.url', 'nonsense'],
      ['jwks.url', 'https://user:hunter2@keys.example/'],
      ['jwks.string', 'nonsense'],
      ['jwks.string', '{}'],
      ['jwks.string', set()],
      ['jwks.string', set(await exportJWK(privateKey))],
      ['jwks.string', set({ kty: 'oct', k: 'c2VjcmV0' })],
      ['jwks.string', set({ ...publicJwk, n: 'AQAB' })],
      ['jwks.string', set({ kty: 'EC', crv: 'P-256', x: 'a', y: 'b' })],
      ['jwks.string', set(publicJwk, { kty: 'XX' })],
      ['jwt.credential.certificate', 'nonsense'],
      ['jwt.credential.public.key', 'nonsense'],
      ['token.endpoint.auth.signing.max.exp', 'soon'],
      ['x509.subjectdn', 'robot'],
      ['x509.subjectdn', 'CN=a+OU=b'],
      ['x509.allow.regex.pattern.comparison', 'true'],
      ['request.object.signature.alg', 'none'],
      ['request.object.required', 'request_uri'],
    ];
    for (const [name, value] of attributes) {
      const error = await refusal(rest.clients.update({ id }, { clientId: 'robot', attributes: { [name]: value } }));
      t.like(error, { status: 400, body: { field: `attributes.${name}` } }, `${name} ${value}`);
      t.false(JSON.stringify(error).includes('hunter2'), name);
    }
    t.like(await refusal(rest.clients.update({ id }, { clientAuthenticatorType: 'client-magic' })), {
      status: 400,
      body: { field: 'clientAuthenticatorType' },
    });
    const jwt = { clientAuthenticatorType: 'client-jwt', attributes: { 'token.endpoint.auth.signing.alg': 'HS256' } };
    t.like(await refusal(rest.clients.update({ id }, jwt)), { status: 400, body: { field: 'attributes.token.endpoint.auth.signing.alg' } });
    const both = { attributes: { 'tls.client.certificate.bound.access.tokens': 'true', 'dpop.bound.access.tokens': 'true' } };
    t.like(await refusal(rest.clients.update({ id }, both)), { status: 400 });
  });

  engine.test('openid-client signs its requests, by value and pushed, and a client may have to', async (t) => {
    const { server, realm, client } = await realmOf();
    const user = await server.user(realm);
    for (const [alg, required] of [
      ['RS256', 'request only'],
      ['ES256', 'request or request_uri'],
      ['Ed25519', 'not required'],
    ] as const) {
      const key = await ownKey(alg);
      const made = await client({ attributes: { ...keySetOf(key), 'request.object.required': required, 'request.object.signature.alg': alg } });
      const rp = await application(server, realm, made, openid.ClientSecretBasic(made.secret ?? ''));
      const ask = async (how: (parameters: URLSearchParams) => Promise<URL>) => {
        const request = await authorizationRequest(rp);
        const { searchParams } = new URL(request.url);
        const browser = new Browser(server.origin);
        const page = await browser.visit((await how(searchParams)).href);
        return { request, browser, page };
      };
      const signed = (parameters: URLSearchParams) =>
        openid.buildAuthorizationUrlWithJAR(rp.configuration, parameters, { key: key.privateKey, kid: key.kid });
      const pushed = async (parameters: URLSearchParams) =>
        openid.buildAuthorizationUrlWithPAR(rp.configuration, (await signed(parameters)).searchParams);
      for (const how of [signed, pushed]) {
        const { request, browser, page } = await ask(how);
        const back = await browser.send(page, { username: user.username, password: user.password });
        t.is((await exchange(rp, request, back)).claims()?.sub, user.id, alg);
      }
      const plain = await ask(async (parameters) => openid.buildAuthorizationUrl(rp.configuration, parameters));
      if (required === 'not required') t.is(plain.page.status, 200);
      else t.is(new URL(plain.page.headers.get('location') ?? '').searchParams.get('error'), 'invalid_request');
      if (required !== 'not required')
        await t.throwsAsync(
          ask((parameters) => openid.buildAuthorizationUrlWithPAR(rp.configuration, parameters)),
          undefined,
          'nor pushed without',
        );
    }
  });

  engine.test('a signed request has the client’s default scopes, offline access where it asks for it', async (t) => {
    const { server, realm, client } = await realmOf();
    const user = await server.user(realm);
    const key = await ownKey();
    const made = await client({ attributes: keySetOf(key) });
    const rp = await application(server, realm, made, openid.ClientSecretBasic(made.secret ?? ''));
    const signedWith = async (parameters: Record<string, string>, outside: Record<string, string> = {}) => {
      const request = await authorizationRequest(rp, parameters);
      const url = await openid.buildAuthorizationUrlWithJAR(rp.configuration, new URL(request.url).searchParams, {
        key: key.privateKey,
        kid: key.kid,
      });
      for (const [name, value] of Object.entries(outside)) url.searchParams.set(name, value);
      const browser = new Browser(server.origin);
      const page = await browser.send(await browser.visit(url.href), { username: user.username, password: user.password });
      return { request, page, browser };
    };
    const offline = await signedWith({ scope: 'openid offline_access' });
    t.is((await exchange(rp, offline.request, offline.page)).scope, 'openid email profile offline_access');
    const beside = await signedWith({ scope: 'openid' }, { scope: 'openid offline_access address' });
    const tokens = await exchange(rp, beside.request, beside.page);
    t.is(tokens.scope, 'openid email profile', 'what stands beside it is not the client’s');
    t.is(decodeJwt(tokens.access_token).scope, 'openid email profile');
  });
});
