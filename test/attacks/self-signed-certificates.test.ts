/** Clients that register their certificates themselves (RFC 8705 section 2.2): that very certificate, while it is valid, and no other way in. */
import { X509Certificate } from 'node:crypto';
import { exportJWK } from 'jose';
import { arena, at, basic, call } from '../support/attack.ts';
import type { Cardea } from '../support/cardea.ts';
import { escaped, type Made, makeAuthority, selfSigned, withOpenssl } from '../support/certificates.ts';
import { assertionOf, issuerAt, keySetOf, ownKey, serviceToken } from '../support/client-keys.ts';
import { forEachEngine } from '../support/databases.ts';
import { listen } from '../support/listen.ts';

const HEADER = 'x-client-certificate';
const SELF_SIGNED = { 'cardea.x509.self.signed': 'true' };
const DAY = 86_400_000;
const refused = { status: 401, error: 'invalid_client' };

/** As a set of keys holds it. */
async function jwkOf({ cert }: Made): Promise<Record<string, unknown>> {
  const certificate = new X509Certificate(cert);
  return { ...(await exportJWK(certificate.publicKey)), x5c: [certificate.raw.toString('base64')] };
}
const setOf = async (...made: Made[]) => ({
  ...SELF_SIGNED,
  'use.jwks.string': 'true',
  'jwks.string': JSON.stringify({ keys: await Promise.all(made.map(jwkOf)) }),
});
const byCertificate = (attributes: Record<string, string>) => ({
  serviceAccount: true,
  kept: { clientAuthenticatorType: 'client-x509' },
  attributes,
});

forEachEngine((engine) => {
  const test = withOpenssl(engine);
  const settings = { CARDEA_OUTBOUND_ALLOW: 'localhost:*', CARDEA_TRUST_PROXY: '1', CARDEA_CLIENT_CERTIFICATE_HEADER: 'X-Client-Certificate' };
  const { scene } = arena(engine, settings);
  const { scene: sceneWithout } = arena(engine);
  const ask = async (server: Cardea, realm: Parameters<typeof call>[1], clientId: string, made?: Made, more: Record<string, string> = {}) => {
    const headers: Record<string, string> = made ? { [HEADER]: escaped(made) } : {};
    const { status, body } = await call(server, realm, 'token', { grant_type: 'client_credentials', client_id: clientId, ...more }, headers);
    return { status, error: body.error };
  };
  const stageOf = async (attributes: Record<string, string>, from = scene) => {
    const { server, realm } = await from({ mfa: 'off' });
    const client = await server.client(realm, byCertificate(attributes));
    return { server, realm, client, come: (made?: Made, more = {}) => ask(server, realm, client.clientId, made, more) };
  };
  const passed = { status: 200, error: undefined };

  test('a client authenticates by the certificate that it registered, and by nothing that resembles it', async (t) => {
    const [mine, next] = [selfSigned('/C=SE/CN=robot'), selfSigned('/C=SE/CN=robot2')];
    const { server, realm, come } = await stageOf(await setOf(mine, next));
    t.deepEqual(await come(mine), passed);
    t.deepEqual(await come(next), passed, 'any of them');
    t.deepEqual(await come(), refused, 'none');
    t.deepEqual(await come(selfSigned('/C=SE/CN=robot')), refused, 'the same name with another key');
    t.deepEqual(await come(selfSigned('/C=SE/CN=robot', { keyFile: mine.keyFile })), refused, 'the same key and name in another certificate');
    t.deepEqual(await come(makeAuthority('/C=SE/CN=Fleet').sign('/C=SE/CN=robot')), refused, 'the same name, by an authority');
    const other = await server.client(realm, byCertificate(await setOf(selfSigned('/C=SE/CN=other'))));
    t.deepEqual(await ask(server, realm, other.clientId, mine), refused, 'at another client');

    const single = await stageOf({ ...SELF_SIGNED, 'jwt.credential.certificate': mine.cert });
    t.deepEqual([await single.come(mine), await single.come(next)], [passed, refused]);
    const metadata = await (await fetch(`${issuerAt(server, realm)}/.well-known/openid-configuration`)).json();
    const methods = JSON.stringify(metadata);
    t.true(methods.includes('"self_signed_tls_client_auth"'));
    t.false(methods.includes('"tls_client_auth"'), 'nobody vouches for anybody here');
  });

  test('it has no other way in, and what it registered is no way in for others', async (t) => {
    const mine = selfSigned('/C=SE/CN=robot');
    const key = await ownKey();
    const both = JSON.stringify({ keys: [await jwkOf(mine), key.publicJwk] });
    const { server, realm, client, come } = await stageOf({ ...(await setOf(mine)), 'jwks.string': both, 'x509.subjectdn': 'CN=robot,C=SE' });
    t.deepEqual(await come(mine), passed);
    t.deepEqual(await come(undefined, { client_secret: client.secret ?? 'x' }), refused);
    t.is((await call(server, realm, 'token', { grant_type: 'client_credentials' }, basic(client))).status, 401);
    t.is((await serviceToken(server, realm, await assertionOf(server, realm, client, { key }))).status, 401);
    t.deepEqual(await come(makeAuthority('/C=SE/CN=Fleet').sign('/C=SE/CN=robot')), refused, 'its name is not looked at');
    const plain = { ...(await setOf(mine)), 'cardea.x509.self.signed': 'false', 'x509.subjectdn': 'CN=robot,C=SE' };
    for (const attributes of [plain, { ...plain, 'cardea.x509.self.signed': '' }])
      t.deepEqual(await (await stageOf(attributes)).come(mine), refused, 'a client of names');
    const byAssertion = await server.client(realm, {
      serviceAccount: true,
      kept: { clientAuthenticatorType: 'client-jwt' },
      attributes: await setOf(mine),
    });
    t.deepEqual(await ask(server, realm, byAssertion.clientId, mine), refused);
    t.deepEqual(await (await stageOf({ ...SELF_SIGNED, ...keySetOf(key) })).come(mine), refused, 'keys without certificates');
    t.deepEqual(await (await stageOf(await setOf(mine), sceneWithout)).come(mine), refused, 'where no proxy passes certificates on');
    const elsewhere = await server.realm({ mfa: 'off' });
    t.deepEqual(await ask(server, elsewhere, client.clientId, mine), refused);
  });

  test('wrong certificates are throttled like wrong secrets', async (t) => {
    const { server } = await scene({ mfa: 'off' });
    const realm = await server.realm({ mfa: 'off' });
    const mine = selfSigned('/CN=robot');
    const client = await server.client(realm, byCertificate(await setOf(mine)));
    const theirs = selfSigned('/CN=robot');
    const statuses: number[] = [];
    for (let tries = 0; tries < 60 && statuses.at(-1) !== 429; tries += 1) statuses.push((await ask(server, realm, client.clientId, theirs)).status);
    t.is(statuses.at(-1), 429);
  });

  test('what is registered is looked at, and how is said as metadata says it', async (t) => {
    const mine = selfSigned('/CN=robot');
    const { server, realm } = await scene({ mfa: 'off' });
    const theirs = { ...(await jwkOf(mine)), x5c: (await jwkOf(selfSigned('/CN=other'))).x5c };
    for (const keys of [[theirs], [{ ...(await jwkOf(mine)), x5c: ['nonsense'] }]])
      await t.throwsAsync(server.client(realm, byCertificate({ ...(await setOf(mine)), 'jwks.string': JSON.stringify({ keys }) })), {
        message: /attributes\.jwks\.string: key 0/,
      });
    await t.throwsAsync(server.client(realm, byCertificate({ ...(await setOf(mine)), 'cardea.x509.self.signed': 'yes' })));
  });

  withOpenssl(engine, 'serial')('certificates at an address: a new one is known soon, one that is gone or over is good no longer', async (t) => {
    const [first, second] = [selfSigned('/CN=first'), selfSigned('/CN=second')];
    let keys = [await jwkOf(first)];
    let status = 200;
    const source = await listen((_request, response) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }));
    });
    const { come } = await stageOf({ ...SELF_SIGNED, 'use.jwks.url': 'true', 'jwks.url': `http://localhost:${source.port}/jwks` });
    t.deepEqual([await come(first), await come(first)], [passed, passed]);
    t.is(source.requests.length, 1);
    for (let times = 0; times < 10; times += 1) t.deepEqual(await come(second), refused);
    t.true(source.requests.length <= 2, 'one that nobody knows is not asked after ten times');
    keys = [await jwkOf(first), await jwkOf(second)];
    await at(15_000, async () => t.deepEqual(await come(second), passed, 'some seconds later'));
    keys = [await jwkOf(second)];
    for (const seconds of [30, 39, 48, 57, 66, 75]) await at(seconds * 1000, () => come(first));
    await at(90_000, async () =>
      t.deepEqual([await come(first), await come(second)], [refused, passed], 'a minute later, however often it came meanwhile'),
    );
    status = 500;
    await at(160_000, async () => t.deepEqual(await come(second), passed, 'while its server does not answer'));
    await at(5 * 3_600_000, async () => t.deepEqual(await come(second), refused, 'but not for ever'));
    status = 200;
    await at(9 * DAY, async () => t.deepEqual(await come(second), passed));
    await at(11 * DAY, async () => t.deepEqual(await come(second), refused, 'it is over'));
    await at(-DAY, async () => t.deepEqual(await come(second), refused, 'it has not begun'));
  });
});
