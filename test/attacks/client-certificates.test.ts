/** Clients and tokens by certificate (RFC 8705), behind a proxy that passes certificates on: whose certificate it is, who vouches for it, and who has it. */
import { createHash, X509Certificate } from 'node:crypto';
import { decodeJwt } from 'jose';
import { z } from 'zod';
import { isVouchedFor } from '../../src/oidc/clients/mtls.ts';
import { arena, basic, call, rawRequest, type Scene } from '../support/attack.ts';
import type { Cardea } from '../support/cardea.ts';
import { escaped, type Made, makeAuthority, selfSigned, withOpenssl } from '../support/certificates.ts';
import { assertionOf, byKey, keySetOf, ownKey, serviceToken } from '../support/client-keys.ts';
import { forEachEngine } from '../support/databases.ts';
import { proofKey, tokenProof } from '../support/dpop.ts';
import { passwordGrant, textOf } from '../support/password-grant.ts';
import { signIn } from '../support/sign-in.ts';
import { exchange, REFRESH_TOKEN, serviceBehind } from '../support/token-exchange.ts';

const HEADER = 'x-client-certificate';
const refused = { status: 401, error: 'invalid_client' };
const said = ({ status, body }: Awaited<ReturnType<typeof call>>) => ({ status, error: body.error });
const BOUND = { 'tls.client.certificate.bound.access.tokens': 'true' };
const confirmation = z.looseObject({ 'x5t#S256': z.string() });

const thumbprint = ({ cert }: Made): string => createHash('sha256').update(new X509Certificate(cert).raw).digest('base64url');
const withCertificate = (made: Made | undefined): Record<string, string> => (made ? { [HEADER]: escaped(made) } : {});

let fleet: ReturnType<typeof makeAuthority> | undefined;
const authority = () => {
  fleet ??= makeAuthority('/C=SE/O=Example/CN=Fleet CA');
  return fleet;
};

forEachEngine((engine) => {
  const test = withOpenssl(engine);
  let on: ReturnType<typeof arena> | undefined;
  const { scene: sceneWithout } = arena(engine);
  const scene: typeof sceneWithout = (...input) => {
    on ??= arena(engine, {
      CARDEA_TRUST_PROXY: '1',
      CARDEA_CLIENT_CERTIFICATE_HEADER: 'X-Client-Certificate',
      CARDEA_CLIENT_CA: authority().certFile,
    });
    return on.scene(...input);
  };
  const byName = (subject: string, attributes: Record<string, string> = {}) => ({
    serviceAccount: true,
    kept: { clientAuthenticatorType: 'client-x509' },
    attributes: { 'x509.subjectdn': subject, ...attributes },
  });
  const ask = (server: Cardea, { realm, rp }: Pick<Scene, 'realm' | 'rp'>, made: Made | undefined, more: Record<string, string> = {}) =>
    call(server, realm, 'token', { grant_type: 'client_credentials', client_id: rp.client.clientId, ...more }, withCertificate(made));

  test('a client authenticates by the certificate of its name, however the proxy writes it', async (t) => {
    const stage = await scene({ mfa: 'off' }, byName('CN=robot\\, the first,OU=Flöte,O=Example,C=SE'));
    const robot = authority().sign('/C=SE/O=Example/OU=Flöte/CN=robot, the first');
    const der = new X509Certificate(robot.cert).raw.toString('base64');
    for (const value of [escaped(robot), robot.cert.replaceAll('\n', ' '), der, `:${der}:`, robot.cert.trim().replaceAll('\n', '\t')]) {
      const fields = { grant_type: 'client_credentials', client_id: stage.rp.client.clientId };
      t.is((await call(stage.server, stage.realm, 'token', fields, { [HEADER]: value })).status, 200, value.slice(0, 30));
    }
    t.deepEqual(said(await ask(stage.server, stage, undefined)), refused, 'without one');
  });

  test('certificates that nobody vouches for, of another name, for another use, and over', async (t) => {
    const stage = await scene({ mfa: 'off' }, byName('CN=robot,O=Example,C=SE'));
    const other = makeAuthority('/C=SE/O=Example/CN=Fleet CA');
    const name = '/C=SE/O=Example/CN=robot';
    const between = authority().sign('/C=SE/O=Example/CN=Between', { ca: true, uses: '' }).sign(name);
    const cases: Record<string, Made> = {
      'signed by itself': selfSigned(name),
      'by another authority of the same name': other.sign(name),
      'for servers': authority().sign(name, { uses: 'serverAuth' }),
      'an authority itself': authority().sign(name, { ca: true }),
      'the authority': authority(),
      'another name': authority().sign('/C=SE/O=Example/CN=robot2'),
      'in another order': authority().sign('/CN=robot/O=Example/C=SE'),
      'in other letters': authority().sign('/C=SE/O=Example/CN=Robot'),
      'with a part more': authority().sign('/C=SE/O=Example/OU=x/CN=robot'),
      'with a part less': authority().sign('/C=SE/CN=robot'),
      'with the name inside of another': authority().sign('/C=SE/CN=robot,O=Example'),
      'by one who is vouched for and not named': between,
    };
    for (const [title, made] of Object.entries(cases)) t.deepEqual(said(await ask(stage.server, stage, made)), refused, title);
    for (const uses of ['clientAuth', 'serverAuth,clientAuth', ''])
      t.is((await ask(stage.server, stage, authority().sign(name, { uses }))).status, 200, `for ${uses}`);
    const [leaf, ca] = [authority().sign(name), authority()].map(({ cert }) => new X509Certificate(cert));
    if (!leaf || !ca) throw new Error('There are two.');
    const DAY = 86_400_000;
    const vouched = (days: number) => isVouchedFor(leaf, [ca], Date.now() + days * DAY);
    t.deepEqual([vouched(0), vouched(9), vouched(11), vouched(-1)], [true, true, false, false], 'while it is valid');
    t.false(isVouchedFor(leaf, [], Date.now()));
  });

  test('a client of certificates has no other way in, and a certificate is no way in for others', async (t) => {
    const name = 'CN=robot,O=Example,C=SE';
    const robot = authority().sign('/C=SE/O=Example/CN=robot');
    const key = await ownKey();
    const stage = await scene({ mfa: 'off' }, byName(name, keySetOf(key)));
    const { server, realm, rp } = stage;
    const grant = { grant_type: 'client_credentials' };
    t.deepEqual(said(await call(server, realm, 'token', grant, basic(rp.client))), refused);
    t.deepEqual(said(await call(server, realm, 'token', grant, { ...basic(rp.client), ...withCertificate(robot) })), refused, 'not both');
    t.deepEqual(said(await serviceToken(server, realm, await assertionOf(server, realm, rp.client, { key }))), refused);
    for (const client of [await server.client(realm, { serviceAccount: true }), await server.client(realm, byKey(keySetOf(key)))])
      t.deepEqual(said(await call(server, realm, 'token', { ...grant, client_id: client.clientId }, withCertificate(robot))), refused);
  });

  test('a header that came in with the proxy’s own is refused, and so is nonsense', async (t) => {
    const stage = await scene({ mfa: 'off' }, byName('CN=robot,O=Example,C=SE'));
    const robot = escaped(authority().sign('/C=SE/O=Example/CN=robot'));
    const mine = escaped(selfSigned('/C=SE/O=Example/CN=robot'));
    const send = (values: string | string[]) =>
      rawRequest(stage.server, {
        method: 'POST',
        target: `/realms/${stage.realm.name}/protocol/openid-connect/token`,
        headers: { 'content-type': 'application/x-www-form-urlencoded', [HEADER]: values },
        body: `grant_type=client_credentials&client_id=${stage.rp.client.clientId}`,
      });
    t.is((await send(robot)).status, 200);
    for (const values of [
      [robot, mine],
      [mine, robot],
      [robot, robot],
    ])
      t.is((await send(values)).status, 400);
    for (const value of [
      `${robot},${mine}`,
      `${robot} ${mine}`,
      'x',
      '%',
      '-----BEGIN%20CERTIFICATE-----',
      ':AAAA:',
      'AAAA',
      'MIIB'.repeat(5_000).slice(0, 13_000),
    ])
      t.is((await send(value)).status, 400, value.slice(0, 40));
    for (const value of ['', '(null)']) t.is((await send(value)).status, 401, 'none');
  });

  test('where no proxy is said to pass certificates on, the header is nothing', async (t) => {
    const { server, realm } = await sceneWithout({ mfa: 'off' });
    const robot = authority().sign('/C=SE/O=Example/CN=robot');
    for (const input of [byName('CN=robot,O=Example,C=SE'), { serviceAccount: true, attributes: BOUND }]) {
      const client = await server.client(realm, input);
      const fields = { grant_type: 'client_credentials', ...(input.attributes === BOUND ? {} : { client_id: client.clientId }) };
      const headers = { ...withCertificate(robot), ...(input.attributes === BOUND ? basic(client) : {}) };
      t.deepEqual(said(await call(server, realm, 'token', fields, headers)), refused);
    }
    const metadata = await (await fetch(`${server.url}/realms/${realm.name}/.well-known/openid-configuration`)).json();
    t.like(metadata, { tls_client_certificate_bound_access_tokens: undefined });
    t.false(JSON.stringify(metadata).includes('tls_client_auth'));
  });

  test('tokens are bound to the certificate: userinfo, introspection, refresh, and our own APIs', async (t) => {
    const stage = await scene({ mfa: 'off' }, { publicClient: true, attributes: BOUND });
    const { server, realm, rp } = stage;
    const metadata = await (await fetch(`${server.url}/realms/${realm.name}/.well-known/openid-configuration`)).json();
    t.like(metadata, { tls_client_certificate_bound_access_tokens: true });
    t.true(JSON.stringify(metadata).includes('"tls_client_auth"'));
    const [mine, theirs] = [selfSigned('/CN=mine'), selfSigned('/CN=mine')];
    const user = await server.user(realm);
    await t.throwsAsync(signIn(server, rp, user), undefined, 'no code is exchanged without one');

    const direct = await server.client(realm, { publicClient: true, directAccess: true, attributes: BOUND });
    const grant = (made: Made | undefined) =>
      passwordGrant(
        server,
        realm,
        { client_id: direct.clientId, username: user.username, password: user.password, scope: 'openid' },
        withCertificate(made),
      );
    t.is((await grant(undefined)).status, 400);
    const answer = await grant(mine);
    const [access, refresh] = [textOf(answer, 'access_token'), textOf(answer, 'refresh_token')];
    t.is(confirmation.parse(decodeJwt(access).cnf)['x5t#S256'], thumbprint(mine));

    const userinfo = async (made: Made | undefined) =>
      (
        await fetch(`${server.url}/realms/${realm.name}/protocol/openid-connect/userinfo`, {
          headers: { authorization: `Bearer ${access}`, ...withCertificate(made) },
        })
      ).status;
    t.deepEqual([await userinfo(mine), await userinfo(theirs), await userinfo(undefined)], [200, 401, 401]);
    const resource = await server.client(realm);
    const introspected = await call(server, realm, 'token/introspect', { token: access }, basic(resource));
    t.is(confirmation.parse(introspected.body.cnf)['x5t#S256'], thumbprint(mine));

    const renew = (made: Made | undefined) =>
      call(server, realm, 'token', { grant_type: 'refresh_token', client_id: direct.clientId, refresh_token: refresh }, withCertificate(made));
    t.deepEqual([(await renew(undefined)).status, (await renew(theirs)).status], [400, 400], 'another’s certificate renews nothing');
    const renewed = await renew(mine);
    t.is(renewed.status, 200);
    t.is(confirmation.parse(decodeJwt(textOf(renewed, 'access_token')).cnf)['x5t#S256'], thumbprint(mine));
  });

  test('a service’s own tokens are bound too, and administer nothing without what they are bound to', async (t) => {
    const stage = await scene({ mfa: 'off' }, { serviceAccount: true, attributes: BOUND });
    const { server, realm, rp } = stage;
    const mine = selfSigned('/CN=service');
    t.is((await call(server, realm, 'token', { grant_type: 'client_credentials' }, basic(rp.client))).status, 400);
    const answer = await call(server, realm, 'token', { grant_type: 'client_credentials' }, { ...basic(rp.client), ...withCertificate(mine) });
    t.is(confirmation.parse(decodeJwt(textOf(answer, 'access_token')).cnf)['x5t#S256'], thumbprint(mine));
    const admin = await fetch(`${server.url}/admin/realms/${realm.name}`, { headers: { authorization: `Bearer ${textOf(answer, 'access_token')}` } });
    t.is(admin.status, 401);
  });

  test('token exchange: bound to the certificate that its client came with, and what was bound to one stays bound', async (t) => {
    const attributes = { 'standard.token.exchange.enabled': 'true' };
    const stage = await scene({ mfa: 'off' }, { attributes: { ...attributes, ...BOUND }, directAccess: true });
    const { server, realm, rp } = stage;
    const [mine, theirs] = [selfSigned('/CN=mine'), selfSigned('/CN=theirs')];
    const user = await server.user(realm);
    const given = { username: user.username, password: user.password, scope: 'openid' };
    const bound = textOf(await passwordGrant(server, realm, given, { ...basic(rp.client), ...withCertificate(mine) }), 'access_token');
    const x5t = (token: unknown) => confirmation.parse(decodeJwt(String(token)).cnf)['x5t#S256'];
    const says = ({ body }: Awaited<ReturnType<typeof call>>) => `${body.error}: ${body.error_description}`;

    t.regex(says(await exchange(stage, rp, bound)), /^invalid_grant: .*certificate/);
    t.regex(says(await exchange(stage, rp, bound, {}, withCertificate(theirs))), /^invalid_request: subject_token is bound/);
    const own = await exchange(stage, rp, bound, {}, withCertificate(mine));
    t.is(own.body.token_type, 'Bearer');
    t.is(x5t(own.body.access_token), thumbprint(mine));
    t.regex(says(await exchange(stage, rp, bound, {}, { ...withCertificate(mine), ...(await tokenProof(stage, await proofKey())) })), /multiple/);

    // A service whose own tokens need none, and that came with the certificate of a token's owner: it stays bound to that.
    const plain = await serviceBehind(server, realm, rp.client);
    const fresh = async () => textOf(await passwordGrant(server, realm, given, { ...basic(rp.client), ...withCertificate(mine) }), 'access_token');
    const forPlain = await fresh();
    t.is((await exchange(stage, plain, forPlain)).status, 400);
    t.is((await exchange(stage, plain, forPlain, {}, withCertificate(theirs))).status, 400);
    t.is(x5t((await exchange(stage, plain, forPlain, {}, withCertificate(mine))).body.access_token), thumbprint(mine));

    const refreshes = { 'standard.token.exchange.enableRefreshRequestedTokenType': 'SAME_SESSION', 'cardea.token.exchange.bound': 'true' };
    const trusted = await serviceBehind(server, realm, rp.client, { ...refreshes, ...BOUND });
    const loose = await serviceBehind(server, realm, rp.client, refreshes);
    const forTrusted = await fresh();
    for (const made of [undefined, theirs])
      t.regex(says(await exchange(stage, loose, forTrusted, {}, withCertificate(made))), /is bound to one too/, 'its own tokens are bound to none');
    const answer = await exchange(stage, trusted, forTrusted, { requested_token_type: REFRESH_TOKEN }, withCertificate(theirs));
    t.is(x5t(answer.body.access_token), thumbprint(theirs));
    const renew = (made: Made | undefined) =>
      call(
        server,
        realm,
        'token',
        { grant_type: 'refresh_token', refresh_token: textOf(answer, 'refresh_token') },
        { ...basic(trusted.client), ...withCertificate(made) },
      );
    t.deepEqual([(await renew(undefined)).status, (await renew(mine)).status], [400, 400]);
    t.is(x5t((await renew(theirs)).body.access_token), thumbprint(theirs));
    const looked = await call(server, realm, 'token/introspect', { token: textOf(answer, 'access_token') }, basic(rp.client));
    t.is(confirmation.parse(looked.body.cnf)['x5t#S256'], thumbprint(theirs));
  });
});
