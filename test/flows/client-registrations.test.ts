/** Clients that register and manage themselves, over HTTP. */
import { X509Certificate } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import { type Admin, adminOf } from '../support/admin.ts';
import { MAKER_ROOT } from '../support/attestation.ts';
import { type Cardea, REDIRECT_URI, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal } from '../support/keycloak.ts';
import { listen } from '../support/listen.ts';
import { openid } from '../support/sign-in.ts';

/** Documents of sector identifiers, and an address that leads where nobody may be sent. */
const answerSector: RequestListener = (request, response) => {
  const documents: Record<string, string> = {
    '/good': JSON.stringify([REDIRECT_URI, `${REDIRECT_URI}2`]),
    '/other': JSON.stringify(['https://elsewhere.example/callback']),
    '/words': 'not JSON',
  };
  const document = documents[request.url ?? ''];
  if (document === undefined) response.writeHead(302, { location: 'http://169.254.169.254/latest' }).end();
  else response.end(document);
};

forEachEngine((engine) => {
  let shared: Promise<{ server: Cardea; admin: Admin; documents: Awaited<ReturnType<typeof listen>> }> | undefined;
  const world = () => {
    shared ??= engine.database().then(async (db) => {
      const documents = await listen(answerSector);
      const server = await startCardea(db, { CARDEA_OUTBOUND_ALLOW: `127.0.0.1:${documents.port}` });
      return { server, admin: await adminOf(server), documents };
    });
    return shared;
  };
  const realmOf = async () => {
    const { server, admin, documents } = await world();
    const realm = await server.realm({ mfa: 'off' });
    const at = async (method: string, path: string, token: string | null, body?: unknown) => {
      const url = path.startsWith('http') ? path : `${server.origin}/realms/${realm.name}/clients-registrations/${path}`;
      const answer = await fetch(url, {
        method,
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      return { status: answer.status, headers: answer.headers, body: text === '' ? undefined : JSON.parse(text) };
    };
    const client = keycloakClient(server, realm, admin.token);
    const initialAccess = async (count = 1, expiration = 0) => {
      const { body } = await admin.call('POST', `/realms/${realm.name}/clients-initial-access`, { body: { count, expiration } });
      return { id: String(body.id), token: String(body.token) };
    };
    return { server, admin, realm, client, at, initialAccess, documents };
  };

  engine.test('an application registers by OpenID Connect, reads, changes and deletes itself', async (t) => {
    const { server, realm, client, at, initialAccess } = await realmOf();
    const { token } = await initialAccess();
    const made = await at('POST', 'openid-connect', token, {
      client_name: 'Wiki',
      redirect_uris: [REDIRECT_URI],
      backchannel_logout_uri: 'https://app.example/out',
      scope: 'openid',
    });
    t.is(made.status, 201);
    t.like(made.body, {
      client_name: 'Wiki',
      redirect_uris: [REDIRECT_URI],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_basic',
      client_secret_expires_at: 0,
      backchannel_logout_uri: 'https://app.example/out',
    });
    const { registration_client_uri: uri, registration_access_token: own, client_id: clientId } = made.body;
    t.is(made.headers.get('location'), uri);
    t.is(made.headers.get('cache-control'), 'no-store');
    const [shown] = await client.clients.find({ clientId });
    t.like(shown, { consentRequired: true, enabled: true, fullScopeAllowed: true });
    t.is(shown?.attributes?.['cardea.administration'], 'false');

    t.deepEqual((await at('GET', uri, own)).body, made.body);
    t.is((await at('PUT', uri, own, made.body)).status, 200, 'what was read may be sent');
    const chosen = await at('PUT', uri, own, { ...made.body, client_secret: 'a secret of its own choice, long enough' });
    t.deepEqual([chosen.status, chosen.body.error], [400, 'invalid_client_metadata']);
    t.regex(chosen.body.error_description, /^client_secret: must be the one that this client has/);
    const changed = await at('PUT', uri, own, { client_id: clientId, redirect_uris: [`${REDIRECT_URI}2`] });
    t.is(changed.status, 200);
    t.like(changed.body, { redirect_uris: [`${REDIRECT_URI}2`], client_name: undefined, client_secret: made.body.client_secret });
    t.is((await at('GET', uri, own)).body.backchannel_logout_uri, undefined);
    const row = await server.db.knex('clients').where({ realm_id: realm.id, client_id: clientId }).first();
    t.false(JSON.stringify(row).includes(own), 'only the hash is kept');

    t.is((await at('DELETE', uri, own)).status, 204);
    t.is((await at('GET', uri, own)).status, 401);
    t.deepEqual(await client.clients.find({ clientId }), []);
  });

  engine.test('what is wrong is said by the name that it was sent by', async (t) => {
    const { at, initialAccess } = await realmOf();
    const { token } = await initialAccess();
    const metadata = { redirect_uris: [REDIRECT_URI], backchannel_logout_uri: 'http://app.example/out' };
    const refused = await at('POST', 'openid-connect', token, metadata);
    t.deepEqual([refused.status, refused.body.error], [400, 'invalid_client_metadata']);
    t.regex(refused.body.error_description, /^backchannel_logout_uri: .*https/);
    const made = await at('POST', 'openid-connect', token, {
      ...metadata,
      ...{ backchannel_logout_uri: 'https://app.example/out', backchannel_logout_session_required: true },
    });
    t.like(made.body, { backchannel_logout_uri: 'https://app.example/out', backchannel_logout_session_required: true });
    const { registration_client_uri: uri, registration_access_token: own } = made.body;
    const fragment = await at('PUT', uri, own, { redirect_uris: [`${REDIRECT_URI}#part`] });
    t.deepEqual([fragment.status, fragment.body.error], [400, 'invalid_redirect_uri']);
    t.regex(fragment.body.error_description, /^redirect_uris: /);
    const renamed = await at('PUT', uri, own, { redirect_uris: [REDIRECT_URI], client_id: 'another' });
    t.regex(renamed.body.error_description, /^client_id: must stay as it is/);
    const nobody = await at('GET', uri, 'nonsense');
    t.deepEqual([nobody.status, nobody.body.error], [401, 'invalid_token']);
    t.regex(nobody.body.error_description, /Send an initial access token .* or the registration access token of this client/);
  });

  engine.test('an initial access token lets in as many as it says, until it says, and what is refused is not counted', async (t) => {
    const { realm, client, at, initialAccess } = await realmOf();
    const { id, token } = await initialAccess(2);
    const metadata = { redirect_uris: [REDIRECT_URI] };
    const bad = await at('POST', 'openid-connect', token, { redirect_uris: ['javascript:alert(1)'] });
    t.deepEqual([bad.status, bad.body.error], [400, 'invalid_redirect_uri']);
    const all = await Promise.all([1, 2, 3, 4].map(() => at('POST', 'openid-connect', token, metadata)));
    t.deepEqual(all.map(({ status }) => status).sort(), [201, 201, 401, 401]);
    const [listed] = await client.realms.getClientsInitialAccess({ realm: realm.name });
    t.like(listed, { id, count: 2, remainingCount: 0, token: undefined });
    const short = await initialAccess(5, 1);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    t.is((await at('POST', 'openid-connect', short.token, metadata)).status, 401);
    const gone = await initialAccess(5);
    await client.realms.delClientsInitialAccess({ realm: realm.name, id: gone.id });
    t.is((await at('POST', 'openid-connect', gone.token, metadata)).status, 401);
    t.is((await refusal(client.realms.delClientsInitialAccess({ realm: realm.name, id: gone.id }))).status, 404);
    for (const nobody of [null, 'a-guess']) {
      const refused = await at('POST', 'openid-connect', nobody, metadata);
      t.deepEqual([refused.status, refused.headers.get('www-authenticate')], [401, 'Bearer error="invalid_token"']);
    }
  });

  engine.test('an application says of itself what it knows, and not what it may do', async (t) => {
    const { admin, realm, client, at, initialAccess } = await realmOf();
    const { token } = await initialAccess();
    const made = await at('POST', 'default', token, {
      clientId: 'self-made',
      name: 'Self-made',
      redirectUris: [REDIRECT_URI],
      consentRequired: false,
      directAccessGrantsEnabled: true,
      attributes: { 'access.token.lifespan': '999999', 'pkce.code.challenge.method': 'S256', 'cardea.administration': 'true' },
    });
    t.is(made.status, 201);
    t.like(made.body, { clientId: 'self-made', consentRequired: true, directAccessGrantsEnabled: false });
    t.regex(made.body.secret, /^[\w-]{43}$/);
    t.is(made.body.attributes['access.token.lifespan'], undefined);
    t.is(made.body.attributes['pkce.code.challenge.method'], 'S256');
    t.is(made.body.attributes['cardea.administration'], 'false');
    const own = made.body.registrationAccessToken;
    const changed = await at('PUT', 'default/self-made', own, { ...made.body, enabled: false, fullScopeAllowed: false, description: 'It is me' });
    t.like(changed.body, { enabled: true, fullScopeAllowed: true, description: 'It is me' });
    t.is((await at('PUT', 'default/self-made', own, { clientId: 'somebody-else' })).body.error, 'invalid_client_metadata');
    t.is((await at('PUT', 'default/account-console', own, { name: 'x' })).status, 401);

    // A token that an administrator makes takes the place of the one that there was.
    const { registrationAccessToken: newer } = await client.clients.generateRegistrationAccessToken({ id: made.body.id });
    t.is((await at('GET', 'default/self-made', own)).status, 401);
    t.is((await at('GET', 'default/self-made', newer ?? '')).status, 200);
    t.is((await at('GET', `default/${made.body.id}`, newer ?? '')).status, 200);
    // No other kind of token does.
    t.is((await at('GET', 'default/self-made', admin.token)).status, 401);
    t.is((await at('GET', 'default/self-made', null)).status, 401);
    t.is((await at('GET', 'saml2-entity-descriptor/self-made', newer ?? '')).status, 404);
    t.is((await at('PATCH', 'default/self-made', newer ?? '')).status, 405);
    t.is((await at('DELETE', 'openid-connect/self-made', newer ?? '')).status, 204);
    t.is((await admin.call('GET', `/realms/${realm.name}/clients/${made.body.id}`)).status, 404);
  });

  engine.test('metadata that is not offered is refused, and named', async (t) => {
    const { at, initialAccess } = await realmOf();
    const { token } = await initialAccess();
    for (const [metadata, field] of [
      [{}, 'redirect_uris'],
      [{ redirect_uris: [REDIRECT_URI], client_id: 'shop' }, 'client_id'],
      [{ redirect_uris: [REDIRECT_URI], grant_types: ['password'] }, 'grant_types'],
      [{ redirect_uris: [REDIRECT_URI], response_types: ['token'] }, 'response_types'],
      [{ redirect_uris: [REDIRECT_URI], response_types: ['id_token'] }, 'id_token needs implicit'],
      [{ redirect_uris: [REDIRECT_URI], grant_types: ['implicit'], response_types: ['code'] }, 'code needs authorization_code'],
      ...['http://app.example/callback', 'https://localhost/callback'].map(
        (uri) => [{ redirect_uris: [uri], grant_types: ['implicit'], response_types: ['id_token'] }, 'must be https, and not localhost'] as const,
      ),
      [{ redirect_uris: [REDIRECT_URI], token_endpoint_auth_method: 'private_key_jwt' }, 'jwks'],
      [{ redirect_uris: [REDIRECT_URI], jwks: { keys: [{ kty: 'oct', k: 'AAAA' }] } }, 'jwks: key 0 is a private or secret key'],
      [{ redirect_uris: [REDIRECT_URI], jwks_uri: 'http://169.254.169.254/keys' }, 'jwks_uri: '],
      [{ redirect_uris: [REDIRECT_URI], jwks_uri: 'https://app.example/keys', jwks: { keys: [] } }, 'jwks'],
      [{ redirect_uris: [REDIRECT_URI], request_object_signing_alg: 'none' }, 'request_object_signing_alg: '],
      [{ redirect_uris: [REDIRECT_URI], token_endpoint_auth_method: 'self_signed_tls_client_auth' }, 'jwks'],
      [{ redirect_uris: [REDIRECT_URI], token_endpoint_auth_method: 'magic' }, 'token_endpoint_auth_method'],
      [{ redirect_uris: [REDIRECT_URI], id_token_signed_response_alg: 'none' }, 'id_token_signed_response_alg'],
      [{ redirect_uris: [REDIRECT_URI], token_endpoint_auth_method: 'none', grant_types: ['client_credentials'] }, 'serviceAccount'],
      ['text', 'body'],
    ] as const) {
      const { status, body } = await at('POST', 'openid-connect', token, metadata);
      t.is(status, 400, field);
      t.regex(body.error, /^invalid_(client_metadata|redirect_uri)$/);
      t.true(body.error_description.includes(field) || field === 'serviceAccount', `${field}: ${body.error_description}`);
    }
    t.is((await at('POST', 'openid-connect', token, { redirect_uris: [REDIRECT_URI] })).status, 201);
  });

  engine.test('tokens with the answer are had by whoever registers for them, until it says otherwise', async (t) => {
    const { client, at, initialAccess } = await realmOf();
    const { token } = await initialAccess();
    const asked = { redirect_uris: [REDIRECT_URI], grant_types: ['implicit', 'authorization_code'], response_types: ['token id_token', 'code'] };
    const { status, body } = await at('POST', 'openid-connect', token, asked);
    t.is(status, 201);
    t.deepEqual(body.grant_types, ['authorization_code', 'refresh_token', 'implicit']);
    t.deepEqual(body.response_types, ['code', 'id_token', 'id_token token', 'code id_token', 'code id_token token', 'code token']);
    t.like((await client.clients.find({ clientId: body.client_id }))[0], { implicitFlowEnabled: true, standardFlowEnabled: true });
    const kept = await at('PUT', body.registration_client_uri, body.registration_access_token, { redirect_uris: [REDIRECT_URI] });
    t.deepEqual(kept.body.grant_types, body.grant_types, 'what it may do stays where it is not named');
    const uri = { redirect_uris: ['https://localhost/callback'] };
    t.is(
      (await at('PUT', kept.body.registration_client_uri, kept.body.registration_access_token, uri)).status,
      400,
      'nor can it be led elsewhere then',
    );
    const less = { redirect_uris: [REDIRECT_URI], grant_types: ['authorization_code'] };
    const changed = await at('PUT', kept.body.registration_client_uri, kept.body.registration_access_token, less);
    t.deepEqual(changed.body.response_types, ['code']);
    t.like((await client.clients.find({ clientId: body.client_id }))[0], { implicitFlowEnabled: false });
  });

  engine.test('nor in Keycloak’s representation to an address where others may listen', async (t) => {
    const { client, realm, at, initialAccess } = await realmOf();
    const { token } = await initialAccess(20);
    const wrong = ['http://app.example/callback', 'https://localhost/callback', 'https://app.example/*', 'com.example.app:/callback'];
    const implicit = (redirectUri: string, more = {}) => ({ redirectUris: [redirectUri], implicitFlowEnabled: true, ...more });
    for (const uri of wrong) {
      const { status, body } = await at('POST', 'default', token, implicit(uri));
      t.is(status, 400, uri);
      t.is(body.error, 'invalid_redirect_uri');
      t.regex(body.error_description, /^redirectUris: .*must be written out, https, and not localhost/);
      t.is((await at('POST', 'default', token, { redirectUris: [uri] })).status, 201, 'a code may come there');
    }
    const device = { attributes: { 'cardea.application.type': 'native' } };
    t.is((await at('POST', 'default', token, implicit('http://app.example/callback', device))).status, 400);
    t.is((await at('POST', 'default', token, implicit('http://127.0.0.1/callback', device))).status, 201);

    const made = await at('POST', 'default', token, { redirectUris: ['http://app.example/callback'] });
    const path = `default/${made.body.clientId}`;
    const on = await at('PUT', path, made.body.registrationAccessToken, { implicitFlowEnabled: true });
    t.is(on.status, 400, 'nor is it switched on later for what stands there');
    const moved = await at('PUT', path, made.body.registrationAccessToken, implicit(REDIRECT_URI));
    t.is(moved.status, 200);
    const back = await at('PUT', path, moved.body.registrationAccessToken, { redirectUris: ['http://app.example/callback'] });
    t.is(back.status, 400, 'nor the address changed after it');
    // What an administrator has allowed does not keep the application from changing its name.
    const [stored] = await client.clients.find({ clientId: String(made.body.clientId) });
    await client.clients.update({ id: String(stored?.id) }, { ...stored, redirectUris: ['http://app.example/callback'] });
    const named = await at('PUT', path, moved.body.registrationAccessToken, { name: 'Shop', redirectUris: ['http://app.example/callback'] });
    t.is(named.status, 200, `${realm.name}: ${named.body.error_description}`);
  });

  engine.test('what an application says of itself is kept, shown to users, and has the effect it should', async (t) => {
    const { client, at, initialAccess } = await realmOf();
    const { token } = await initialAccess();
    const said = {
      ...{ redirect_uris: ['com.example.app:/callback', 'http://127.0.0.1/callback'], application_type: 'native', client_name: 'Field book' },
      ...{ logo_uri: 'https://app.example/logo.png', policy_uri: 'https://app.example/privacy', tos_uri: 'https://app.example/terms' },
      ...{ contacts: ['ops@app.example', 'dev@app.example'], initiate_login_uri: 'https://app.example/login', subject_type: 'public' },
      ...{ default_max_age: 3600, default_acr_values: ['aal2', 'aal1'], token_endpoint_auth_method: 'none' },
    };
    const made = await at('POST', 'openid-connect', token, said);
    t.is(made.status, 201, JSON.stringify(made.body));
    t.like(made.body, said);
    t.deepEqual((await at('GET', made.body.registration_client_uri, made.body.registration_access_token)).body, made.body);
    const [row] = await client.clients.find({ clientId: made.body.client_id });
    t.like(row?.attributes, { policyUri: said.policy_uri, 'default.acr.values': 'aal2##aal1', 'cardea.default.max.age': '3600' });
  });

  engine.test('an application registers its TLS certificate, and goes over to another way', async (t) => {
    const { client, at, initialAccess } = await realmOf();
    const { token } = await initialAccess(2);
    const certificate = new X509Certificate(MAKER_ROOT);
    const bare = await exportJWK(certificate.publicKey);
    const jwks = { keys: [{ ...bare, x5c: [certificate.raw.toString('base64')] }] };
    const metadata = { grant_types: ['client_credentials'], token_endpoint_auth_method: 'self_signed_tls_client_auth' };
    t.is((await at('POST', 'openid-connect', token, { ...metadata, jwks: { keys: [bare] } })).status, 400, 'a key without its certificate');
    const made = await at('POST', 'openid-connect', token, { ...metadata, jwks });
    t.is(made.status, 201, JSON.stringify(made.body));
    t.like(made.body, { ...metadata, jwks, client_secret: undefined });
    const attributeOf = async () => {
      const [row] = await client.clients.find({ clientId: made.body.client_id });
      return [row?.clientAuthenticatorType, row?.attributes?.['cardea.x509.self.signed']];
    };
    t.deepEqual(await attributeOf(), ['client-x509', 'true']);
    const { registration_client_uri: uri, registration_access_token: own } = made.body;
    t.is((await at('PUT', uri, own, { grant_types: ['client_credentials'] })).status, 400, 'it would have nothing left to authenticate with');
    t.like((await at('PUT', uri, own, { grant_types: ['client_credentials'], jwks })).body, metadata, 'the way stays');
    const named = { ...metadata, token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_subject_dn: 'CN=robot' };
    t.like((await at('PUT', uri, own, named)).body, named);
    t.deepEqual(await attributeOf(), ['client-x509', undefined]);
  });

  engine.test('an application registers its keys, has no secret then, and authenticates by what it signs', async (t) => {
    const { server, realm, at, initialAccess } = await realmOf();
    const { token } = await initialAccess();
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
    const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'one', use: 'sig' }] };
    const metadata = { grant_types: ['client_credentials'], token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256' };
    const made = await at('POST', 'openid-connect', token, { ...metadata, jwks });
    t.is(made.status, 201, JSON.stringify(made.body));
    t.like(made.body, { ...metadata, jwks, client_secret: undefined });
    const issuer = new URL(`${server.origin}/realms/${realm.name}`);
    const configuration = await openid.discovery(issuer, made.body.client_id, undefined, openid.PrivateKeyJwt({ key: privateKey, kid: 'one' }), {
      execute: [openid.allowInsecureRequests],
    });
    t.is((await openid.clientCredentialsGrant(configuration)).token_type, 'bearer');

    const { registration_client_uri: uri, registration_access_token: own } = made.body;
    t.is((await at('PUT', uri, own, { grant_types: ['client_credentials'] })).status, 400, 'it would have nothing left to authenticate with');
    const changed = await at('PUT', uri, own, { grant_types: ['client_credentials'], token_endpoint_auth_method: 'client_secret_basic' });
    t.like(changed.body, { token_endpoint_auth_method: 'client_secret_basic', jwks: undefined });
    t.regex(changed.body.client_secret, /^[\w-]{43}$/);
    await t.throwsAsync(openid.clientCredentialsGrant(configuration));
  });

  engine.test('redirect URIs of an application are written out, and are such as its kind has', async (t) => {
    const { at, initialAccess } = await realmOf();
    const { token } = await initialAccess();
    for (const metadata of [
      { redirect_uris: ['https://app.example/*'] },
      { redirect_uris: ['https://app.example/callback#here'] },
      { redirect_uris: ['/callback'] },
      { redirect_uris: ['com.example.app:/callback'] },
      { redirect_uris: ['http://app.example/callback'], application_type: 'native' },
    ]) {
      const { status, body } = await at('POST', 'openid-connect', token, metadata);
      t.deepEqual([status, body.error], [400, 'invalid_redirect_uri'], JSON.stringify(metadata));
    }
    for (const [name, value] of Object.entries({
      ...{ subject_type: 'pairwise', id_token_encrypted_response_alg: 'RSA-OAEP', default_max_age: -1, contacts: ['a##b'] },
      ...{ policy_uri: 'javascript:alert(1)', initiate_login_uri: 'http://app.example/login', application_type: 'toaster' },
    })) {
      const { status, body } = await at('POST', 'openid-connect', token, { redirect_uris: [REDIRECT_URI], [name]: value });
      t.deepEqual([status, body.error], [400, 'invalid_client_metadata'], name);
      t.true(body.error_description.startsWith(name), body.error_description);
    }
  });

  engine.test('a sector identifier is read where it may be, and has to name every redirect URI', async (t) => {
    const { at, initialAccess, documents } = await realmOf();
    const { port, requests } = documents;
    const { token } = await initialAccess();
    const register = (uri: string, using = token) =>
      at('POST', 'openid-connect', using, { redirect_uris: [REDIRECT_URI], sector_identifier_uri: uri });
    for (const uri of [
      ...['/other', '/words', '/away'].map((path) => `http://127.0.0.1:${port}${path}`),
      ...['https://169.254.169.254/a', 'https://[::ffff:169.254.169.254]/a', `http://localhost:${port}/good`, 'file:///etc/passwd'],
    ]) {
      const { status, body } = await register(uri);
      t.deepEqual([status, body.error], [400, 'invalid_client_metadata'], uri);
      t.true(body.error_description.startsWith('sector_identifier_uri: '), body.error_description);
    }
    const before = requests.length;
    t.is((await register(`http://127.0.0.1:${port}/good`, 'a-guess')).status, 401);
    t.is(requests.length, before, 'nobody without a token has us ask anybody');
    const made = await register(`http://127.0.0.1:${port}/good`);
    t.is(made.status, 201, JSON.stringify(made.body));
    const { registration_client_uri: uri, registration_access_token: own, sector_identifier_uri } = made.body;
    t.is((await at('PUT', uri, own, { redirect_uris: ['https://elsewhere.example/callback'], sector_identifier_uri })).status, 400);
    t.deepEqual((await at('GET', uri, own)).body.redirect_uris, [REDIRECT_URI]);
  });

  engine.test('tokens of another realm let nobody in, and are not this realm’s to delete', async (t) => {
    const here = await realmOf();
    const there = await realmOf();
    const { id, token } = await here.initialAccess();
    const metadata = { clientId: 'twin', redirectUris: [REDIRECT_URI] };
    t.is((await there.at('POST', 'default', token, metadata)).status, 401);
    t.is((await refusal(there.client.realms.delClientsInitialAccess({ realm: there.realm.name, id }))).status, 404);
    const made = await here.at('POST', 'default', token, metadata);
    t.is(made.status, 201);
    await there.client.clients.create({ clientId: 'twin' });
    t.is((await there.at('GET', 'default/twin', made.body.registrationAccessToken)).status, 401);
    t.is((await there.at('DELETE', `default/${made.body.id}`, made.body.registrationAccessToken)).status, 401);
  });

  engine.test('who may let clients in', async (t) => {
    const { server, realm } = await realmOf();
    const { client: viewer } = await limitedClient(server, realm, ['view-clients']);
    t.deepEqual(await viewer.realms.getClientsInitialAccess({ realm: realm.name }), []);
    t.is((await refusal(viewer.realms.createClientsInitialAccess({ realm: realm.name }, { count: 1, expiration: 0 }))).status, 403);
    const { client: maker } = await limitedClient(server, realm, ['create-client']);
    const made: { count?: number } = Object(await maker.realms.createClientsInitialAccess({ realm: realm.name }, { count: 3, expiration: 60 }));
    t.is(made.count, 3);
    t.is((await refusal(maker.realms.createClientsInitialAccess({ realm: realm.name }, { count: 0, expiration: 0 }))).body.field, 'count');
  });
});
