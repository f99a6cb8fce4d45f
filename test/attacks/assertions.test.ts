/** E08 · Clients that authenticate by what they sign: nothing passes that their own key did not sign for us, now, and once. */
import { createPublicKey, randomUUID } from 'node:crypto';
import { UnsecuredJWT } from 'jose';
import { arena, at, basic, call, parallel, tally } from '../support/attack.ts';
import type { Cardea, TestClient } from '../support/cardea.ts';
import { ASSERTION_TYPE, assertionOf, byKey, issuerAt, keySetOf, ownKey, type Signing, serviceToken } from '../support/client-keys.ts';
import { forEachEngine } from '../support/databases.ts';
import { listen } from '../support/listen.ts';

const refused = { status: 401, error: 'invalid_client' };

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine, { CARDEA_OUTBOUND_ALLOW: 'localhost:*' });
  const said = ({ status, body }: Awaited<ReturnType<typeof call>>) => ({ status, error: body.error });

  /** A service with a key of its own in a realm, and its requests. */
  const service = async (alg = 'ES256', attributes: Record<string, string> = {}) => {
    const key = await ownKey(alg);
    const stage = await scene({ mfa: 'off' }, byKey({ ...keySetOf(key), ...attributes }));
    const { server, realm, rp } = stage;
    const sign = (how: Signing = {}) => assertionOf(server, realm, rp.client, { key, ...how });
    const ask = async (how: Signing = {}, node: Cardea = server) => said(await serviceToken(node, realm, await sign(how)));
    return { ...stage, key, client: rp.client, sign, ask };
  };

  engine.test('E08 an assertion as it should be is accepted, for the issuer, the token endpoint and where it is sent', async (t) => {
    for (const alg of ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA']) {
      const { ask, server, realm, sign } = await service(alg);
      const issuer = issuerAt(server, realm);
      for (const aud of [issuer, `${issuer}/protocol/openid-connect/token`, [issuer]])
        t.is((await ask({ claims: { aud } })).status, 200, `${alg} ${aud}`);
      t.is((await ask({ header: { kid: undefined } })).status, 200, 'without a kid');
      t.is((await ask({ claims: { iat: undefined } })).status, 200, 'without an iat');
      const introspected = await call(server, realm, 'token/introspect', {
        token: 'x',
        client_assertion_type: ASSERTION_TYPE,
        client_assertion: await sign({ claims: { aud: `${issuer}/protocol/openid-connect/token/introspect` } }),
      });
      t.deepEqual(introspected.body, { active: false });
    }
  });

  engine.test('E08 no algorithm, and those that the client does not have', async (t) => {
    const { ask, server, realm, client, key } = await service('RS256', { 'token.endpoint.auth.signing.alg': 'RS256' });
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: client.clientId, sub: client.clientId, aud: issuerAt(server, realm), jti: randomUUID(), exp: now + 60 };
    t.deepEqual(said(await serviceToken(server, realm, new UnsecuredJWT(claims).encode())), refused, 'none');
    for (const header of ['none', 'None', 'NONE', '']) {
      const encoded = [{ alg: header, kid: key.kid }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
      const { status } = await serviceToken(server, realm, `${encoded}.`);
      t.true(status === 401 || status === 400, header);
    }
    // What everybody has of the key, as if it were a secret: as a JWK, and as PEM.
    const pem = createPublicKey({ key: key.publicJwk, format: 'jwk' }).export({ format: 'pem', type: 'spki' }).toString();
    for (const secret of [JSON.stringify(key.publicJwk), pem, pem.trim(), String(key.publicJwk.n)])
      t.deepEqual(await ask({ key: { secret }, header: { kid: key.kid } }), refused, 'HS256 with the public key');
    t.deepEqual(await ask({ key: { ...key, alg: 'PS256' } }).catch(() => refused), refused, 'another algorithm than the client registered');
    t.is((await ask()).status, 200);
  });

  engine.test('E08 an assertion by secret: its own algorithms, and no public key', async (t) => {
    const { server, realm, rp } = await scene({ mfa: 'off' }, { serviceAccount: true, kept: { clientAuthenticatorType: 'client-secret-jwt' } });
    const { client } = rp;
    const secret = client.secret ?? '';
    const ask = async (key: Signing['key'], claims = {}) =>
      said(await serviceToken(server, realm, await assertionOf(server, realm, client, { key: key ?? { secret }, claims })));
    for (const alg of ['HS256', 'HS384', 'HS512']) t.is((await ask({ secret, alg })).status, 200, alg);
    t.deepEqual(await ask({ secret: `${secret}x` }), refused);
    t.deepEqual(await ask({ secret: '' }).catch(() => refused), refused);
    t.deepEqual(await ask(await ownKey()), refused);
    t.deepEqual(
      said(await call(server, realm, 'token', { grant_type: 'client_credentials' }, basic(client))),
      refused,
      'the secret itself is not enough',
    );
    const post = { grant_type: 'client_credentials', client_id: client.clientId, client_secret: secret };
    t.deepEqual(said(await call(server, realm, 'token', post)), refused);
  });

  engine.test('E08 a client of one method is refused with any other, and has no secret to fall back to', async (t) => {
    const { server, realm, client, key } = await service();
    const secret = client.secret ?? '';
    t.not(secret, '', 'one is stored, as in Keycloak');
    const grant = { grant_type: 'client_credentials' };
    t.deepEqual(said(await call(server, realm, 'token', grant, basic(client))), refused);
    t.deepEqual(said(await call(server, realm, 'token', { ...grant, client_id: client.clientId, client_secret: secret })), refused);
    t.deepEqual(said(await call(server, realm, 'token', { ...grant, client_id: client.clientId })), refused, 'nor as a public one');
    t.deepEqual(said(await serviceToken(server, realm, await assertionOf(server, realm, client, { key: { secret } }))), refused);
    const both = await assertionOf(server, realm, client, { key });
    const two = await serviceToken(server, realm, both, { client_secret: secret });
    t.is(two.status, 400, 'two at once');
    // And the other way round: a client of secrets has keys for its request objects, and they are no way in.
    const bySecret = await server.client(realm, { serviceAccount: true, attributes: keySetOf(key) });
    t.deepEqual(said(await serviceToken(server, realm, await assertionOf(server, realm, bySecret, { key }))), refused);
  });

  engine.test('E08 audiences of another realm, of somebody else, and of several', async (t) => {
    const { ask, server, realm, key } = await service();
    const other = await server.realm();
    const issuer = issuerAt(server, realm);
    const elsewhere = issuerAt(server, other);
    for (const aud of [
      elsewhere,
      `${elsewhere}/protocol/openid-connect/token`,
      'https://elsewhere.example',
      server.origin,
      `${issuer}/`,
      `${issuer}x`,
      '',
      undefined,
      [],
      [elsewhere],
      [issuer, elsewhere],
      [issuer, 'https://elsewhere.example/token'],
      { 0: issuer },
    ])
      t.deepEqual(await ask({ claims: { aud } }), refused, JSON.stringify(aud));
    // The same client by name and key in another realm: what it signed for the one is nothing to the other.
    const twin = await server.client(other, { ...byKey(keySetOf(key)), clientId: 'twin' });
    const here = await server.client(realm, { ...byKey(keySetOf(key)), clientId: 'twin' });
    const forOther = await assertionOf(server, other, twin, { key });
    t.deepEqual(said(await serviceToken(server, realm, forOther)), refused);
    t.is((await serviceToken(server, other, forOther)).status, 200);
    t.is((await serviceToken(server, realm, await assertionOf(server, realm, here, { key }))).status, 200);
  });

  engine.test('E08 somebody else as issuer or subject, and another client’s key', async (t) => {
    const { ask, server, realm, client, key } = await service();
    const otherKey = await ownKey();
    const other = await server.client(realm, byKey(keySetOf(otherKey)));
    for (const claims of [
      { iss: other.clientId },
      { sub: other.clientId },
      { iss: other.clientId, sub: other.clientId },
      { iss: undefined },
      { iss: `${client.clientId} ` },
      { iss: issuerAt(server, realm) },
    ])
      t.deepEqual(await ask({ claims }), refused, JSON.stringify(claims));
    t.deepEqual(await ask({ claims: { sub: undefined } }), refused);
    t.deepEqual(await ask({ key: otherKey }), refused, 'signed by the other client');
    t.deepEqual(await ask({ key: { ...otherKey, kid: key.kid } }), refused, 'which calls its key by our name');
    const mixed = await serviceToken(server, realm, await assertionOf(server, realm, client, { key }), { client_id: other.clientId });
    t.is(mixed.status, 400, 'client_id says otherwise');
    t.is((await ask()).status, 200);
  });

  engine.test('E08 keys that an assertion brings along are not looked at', async (t) => {
    const theirs = await ownKey();
    const offered = await listen((_request, response) =>
      response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [theirs.publicJwk] })),
    );
    const { ask, key } = await service();
    const url = `http://localhost:${offered.port}/jwks`;
    const jwk = Object.fromEntries(Object.entries(theirs.publicJwk).map(([name, value]) => [name, String(value)]));
    for (const header of [{ jwk }, { jku: url }, { x5u: url }, { x5c: ['AAAA'] }, { jwk, kid: key.kid }, { jku: url, kid: theirs.kid }]) {
      t.deepEqual(await ask({ key: theirs, header }), refused, JSON.stringify(header));
    }
    t.is(offered.requests.length, 0);
    t.is((await ask({ header: { jku: url, jwk } })).status, 200, 'its own key is the one that counts');
    t.is(offered.requests.length, 0);
  });

  engine.test('E08 headers that have to be understood are not passed over', async (t) => {
    const { ask } = await service();
    t.deepEqual(await ask({ header: { crit: ['cardea'], cardea: 1 } }), refused);
  });

  engine.test('E08 expired, without an end, not yet, and for ever', async (t) => {
    const { ask } = await service('ES256', { 'token.endpoint.auth.signing.max.exp': '120' });
    const now = Math.floor(Date.now() / 1000);
    for (const claims of [
      { exp: now - 60 },
      { exp: undefined },
      { exp: now + 200 },
      { exp: now + 86_400 * 365 },
      { exp: 1e300 },
      { exp: '9999999999' },
      { nbf: now + 60 },
      { iat: now + 60 },
      { iat: 'now' },
      { jti: undefined },
      { jti: 7 },
      { jti: '' },
    ])
      t.deepEqual(await ask({ claims }), refused, JSON.stringify(claims));
    t.is((await ask({ claims: { exp: now + 100, nbf: now, iat: now } })).status, 200);
    const longer = await service();
    t.is((await longer.ask({ claims: { exp: now + 3_500 } })).status, 200, 'an hour is the most');
    t.deepEqual(await longer.ask({ claims: { exp: now + 3_700 } }), refused);
  });

  engine.test('E08 an assertion is used once, one after the other', async (t) => {
    const { sign, server, realm } = await service();
    const one = await sign();
    t.is((await serviceToken(server, realm, one)).status, 200);
    const again = await serviceToken(server, realm, one);
    t.deepEqual(said(again), refused);
    const jti = randomUUID();
    t.is((await serviceToken(server, realm, await sign({ claims: { jti } }))).status, 200);
    t.deepEqual(said(await serviceToken(server, realm, await sign({ claims: { jti, nonce: 'another' } }))), refused, 'and its jti is spent');
  });

  engine.test('E08 an assertion is used once, by many at the same time and at every node', async (t) => {
    const all = await nodes();
    for (let round = 0; round < 5; round += 1) {
      const { sign, realm } = await service();
      const one = await sign();
      const answers = await parallel(12, (index) => serviceToken(all[index % all.length] ?? (all[0] as Cardea), realm, one));
      t.deepEqual(tally(answers), { 200: 1, 401: 11 });
      for (const { body, status } of answers) if (status !== 200) t.is(body.error, 'invalid_client');
    }
  });

  engine.test('E08 one client’s jti is not another’s, however their names run together', async (t) => {
    const key = await ownKey();
    const { server, realm } = await scene({ mfa: 'off' });
    const short = `s${randomUUID()}`;
    const one = await server.client(realm, { ...byKey(keySetOf(key)), clientId: short });
    const two = await server.client(realm, { ...byKey(keySetOf(key)), clientId: `${short}x` });
    const jti = randomUUID();
    t.is((await serviceToken(server, realm, await assertionOf(server, realm, one, { key, claims: { jti: `x${jti}` } }))).status, 200);
    t.is((await serviceToken(server, realm, await assertionOf(server, realm, two, { key, claims: { jti } }))).status, 200);
  });

  engine.test('E08 wrong assertions are throttled like wrong secrets', async (t) => {
    const { server } = await scene({ mfa: 'off' });
    const realm = await server.realm({ mfa: 'off' });
    const key = await ownKey();
    const client = await server.client(realm, byKey(keySetOf(key)));
    const theirs = await ownKey();
    const wrong = async () => (await serviceToken(server, realm, await assertionOf(server, realm, client, { key: theirs }))).status;
    const statuses: number[] = [];
    for (let tries = 0; tries < 60 && statuses.at(-1) !== 429; tries += 1) statuses.push(await wrong());
    t.is(statuses.at(-1), 429);
    t.is((await serviceToken(server, realm, await assertionOf(server, realm, client, { key }))).status, 429, 'and then the right one waits too');
  });

  engine.test('E09 what is at the address of a client’s keys is not told to whoever asks', async (t) => {
    const open = await listen((_request, response) => response.writeHead(500).end('database password: hunter2'));
    const { server, realm } = await scene({ mfa: 'off' });
    const key = await ownKey();
    const answers = new Set<string>();
    for (const url of [
      'https://169.254.169.254/latest/meta-data/',
      'https://[::ffff:169.254.169.254]/',
      'https://10.0.0.1/jwks',
      `https://127.0.0.1:${open.port}/jwks`,
      'https://nobody.invalid/jwks',
      `http://localhost:${open.port}/jwks`,
      'http://localhost:1/jwks',
    ]) {
      const client = await server.client(realm, byKey({ 'use.jwks.url': 'true', 'jwks.url': url }));
      const { status, body } = await serviceToken(server, realm, await assertionOf(server, realm, client, { key }));
      t.is(status, 401, url);
      answers.add(JSON.stringify(body));
    }
    t.is(answers.size, 1);
    t.false([...answers][0]?.includes('hunter2'));
    t.is(open.requests.length, 1, 'the one that the installation allows');
  });

  engine.test('E09 keys at an address that two clients have are fetched once for each', async (t) => {
    const [first, second] = [await ownKey(), await ownKey()];
    let keys = [first.publicJwk];
    const source = await listen((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }));
    });
    const { server, realm } = await scene({ mfa: 'off' });
    const client = () => server.client(realm, byKey({ 'use.jwks.url': 'true', 'jwks.url': `http://localhost:${source.port}/jwks` }));
    const ask = async (of: TestClient, key: typeof first) =>
      (await serviceToken(server, realm, await assertionOf(server, realm, of, { key }))).status;
    const before = await client();
    t.is(await ask(before, first), 200);
    keys = [second.publicJwk];
    t.is(await ask(await client(), second), 200, 'what was there for another one is old');
    t.is(await ask(before, first), 200);
    t.is(source.requests.length, 2);
  });

  engine.serial('E08 keys at an address: a new one is known soon, one that is gone is good no longer, and nobody is hammered', async (t) => {
    const [first, second, unknown] = [await ownKey(), await ownKey(), await ownKey()];
    let keys = [first.publicJwk];
    let status = 200;
    const source = await listen((_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'max-age=31536000' }).end(JSON.stringify({ keys }));
    });
    const url = `http://localhost:${source.port}/jwks`;
    const { server, realm, rp } = await scene({ mfa: 'off' }, byKey({ 'use.jwks.url': 'true', 'jwks.url': url }));
    const ask = async (key: typeof first) => (await serviceToken(server, realm, await assertionOf(server, realm, rp.client, { key }))).status;
    t.is(await ask(first), 200);
    t.is(await ask(first), 200);
    t.is(source.requests.length, 1, 'fetched once');

    t.deepEqual(tally((await parallel(20, () => ask(unknown))).map((one) => ({ status: one }))), { 401: 20 });
    t.true(source.requests.length <= 2, 'a key that nobody knows is not asked after twenty times');

    keys = [first.publicJwk, second.publicJwk];
    await at(15_000, async () => t.is(await ask(second), 200, 'a new key, some seconds later'));
    const before = source.requests.length;
    keys = [second.publicJwk];
    await at(90_000, async () => {
      t.is(await ask(first), 401, 'a key that was taken away, a minute later');
      t.is(await ask(second), 200);
    });
    t.is(source.requests.length, before + 1);

    status = 500;
    await at(160_000, async () => t.is(await ask(second), 200, 'while its server does not answer, the keys of before are good'));
    await at(5 * 3_600_000, async () => t.is(await ask(second), 401, 'but not for ever'));
  });
});
