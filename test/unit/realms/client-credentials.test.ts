/** What clients authenticate with, as it stands in their attributes; and the names of certificates. */
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import test from 'ava';
import { authenticationOf, keysOf, parseCertificate, parseKeySet, parsePublicKey, UnusableKey } from '../../../src/realms/client-credentials.ts';
import { isSubject, parseName } from '../../../src/realms/distinguished-names.ts';
import { keptOfClient } from '../../../src/store/kept-of-client.ts';
import { MAKER_ROOT } from '../../support/attestation.ts';

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const set = (...keys: object[]): string => JSON.stringify({ keys });
const row = (
  clientAuthenticatorType: string,
  attributes: Record<string, string> = {},
  more: { publicClient?: boolean; secret?: string | null } = {},
) => ({
  ...{ publicClient: false, secret: 'sealed', attributes, kept: keptOfClient.parse({ clientAuthenticatorType }) },
  ...more,
});

test('a set holds public keys that are strong enough, and no secret ones', (t) => {
  t.is(parseKeySet(set(publicKey.export({ format: 'jwk' }))).keys.length, 1);
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
  const wrong: [text: string, says: RegExp][] = [
    ['', /must be a JSON Web Key Set/],
    ['[]', /must be a JSON Web Key Set/],
    ['{"keys":{}}', /must be a JSON Web Key Set/],
    ['{"keys":[]}', /at least one/],
    [set(privateKey.export({ format: 'jwk' })), /key 0 is a private or secret key/],
    [set({ kty: 'oct', k: 'c2VjcmV0' }), /private or secret/],
    [set(publicKey.export({ format: 'jwk' }), weak), /key 1 has 1024 bits/],
    [set({ kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' }), /no public key/],
    [set({ ...publicKey.export({ format: 'jwk' }), kid: 7 }), /kid that is no text/],
    [set(...Array.from({ length: 51 }, () => publicKey.export({ format: 'jwk' }))), /must be a JSON Web Key Set/],
  ];
  for (const [text, message] of wrong) t.throws(() => parseKeySet(text), { instanceOf: UnusableKey, message }, text.slice(0, 60));
  t.throws(() => parsePublicKey(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()), { instanceOf: UnusableKey });
  t.throws(() => parseCertificate(`${MAKER_ROOT}\n${MAKER_ROOT}`), { instanceOf: UnusableKey }, 'one, not two');
});

test('keys are where the attributes say, the address before the set before the certificate', (t) => {
  const jwks = set(publicKey.export({ format: 'jwk' }));
  const all = { 'jwks.url': 'https://a.example/jwks', 'jwks.string': jwks, 'jwt.credential.certificate': MAKER_ROOT };
  const kinds = (attributes: Record<string, string>) => Object.keys(keysOf({ attributes }) ?? {});
  t.deepEqual(kinds({ ...all, 'use.jwks.url': 'true', 'use.jwks.string': 'true' }), ['jwks_uri']);
  t.deepEqual(keysOf({ attributes: { ...all, 'use.jwks.string': 'true' } }), { jwks: JSON.parse(jwks) });
  const ofCertificate = keysOf({ attributes: all });
  t.true(ofCertificate && 'jwks' in ofCertificate && ofCertificate.jwks.keys.length === 2, 'by two names');
  t.is(keysOf({ attributes: {} }), undefined);
  t.is(keysOf({ attributes: { 'use.jwks.string': 'true', 'jwks.string': 'nonsense' } }), undefined, 'kept from before it had an effect');
  t.is(keysOf({ attributes: { 'use.jwks.url': 'true' } }), undefined);
  const pem = createPublicKey(publicKey.export({ format: 'pem', type: 'spki' }).toString())
    .export({ format: 'pem', type: 'spki' })
    .toString();
  t.deepEqual(kinds({ 'jwt.credential.public.key': pem }), ['jwks']);
});

test('a client has one way to authenticate, or none', (t) => {
  const keys = { 'use.jwks.string': 'true', 'jwks.string': set(publicKey.export({ format: 'jwk' })) };
  const method = (of: ReturnType<typeof row>, vouchedFor = true, passed = true) =>
    authenticationOf(of, { tls: { passed, vouchedFor } })?.token_endpoint_auth_method;
  t.is(method(row('client-jwt', keys, { publicClient: true })), 'none');
  t.is(method(row('client-secret')), 'client_secret_basic');
  t.is(method(row('client-secret', keys, { secret: null })), undefined);
  t.is(method(row('client-secret-jwt')), 'client_secret_jwt');
  t.is(method(row('client-secret-jwt', { 'token.endpoint.auth.signing.alg': 'RS256' })), undefined);
  t.is(method(row('client-jwt', keys)), 'private_key_jwt');
  t.is(method(row('client-jwt')), undefined, 'its secret is not taken instead');
  t.is(method(row('client-jwt', { ...keys, 'token.endpoint.auth.signing.alg': 'HS256' })), undefined);
  t.is(method(row('client-x509', { 'x509.subjectdn': 'CN=a' })), 'tls_client_auth');
  t.is(method(row('client-x509', { 'x509.subjectdn': 'CN=a' }), false), undefined);
  t.is(method(row('client-x509', { 'x509.subjectdn': '.*', 'x509.allow.regex.pattern.comparison': 'true' })), undefined);
  const own = { 'cardea.x509.self.signed': 'true' };
  t.is(method(row('client-x509', { ...own, 'use.jwks.url': 'true', 'jwks.url': 'https://a.example/' }), false), 'self_signed_tls_client_auth');
  t.is(method(row('client-x509', { ...own, 'use.jwks.url': 'true', 'jwks.url': 'https://a.example/' }), false, false), undefined);
  t.is(method(row('client-x509', { ...own, ...keys, 'x509.subjectdn': 'CN=a' })), undefined, 'keys without a certificate, and no name instead');
  t.is(method(row('client-magic')), undefined);
});

test('names of certificates are read as RFC 4514 writes them', (t) => {
  const parts = (text: string) => parseName(text)?.map(({ type, value }) => `${type}:${value}`);
  t.deepEqual(parts('CN=robot,O=Example,C=SE'), ['CN:robot', 'O:Example', 'C:SE']);
  t.deepEqual(parts(' cn = robot , o=Example Inc '), ['CN:robot', 'O:Example Inc']);
  t.deepEqual(parts('2.5.4.3=robot,1.2.840.113549.1.9.1=a@b.example,E=c@d.example'), [
    'CN:robot',
    'EMAILADDRESS:a@b.example',
    'EMAILADDRESS:c@d.example',
  ]);
  t.deepEqual(parts('CN=a\\, b\\+c\\"d\\\\,OU=Fl\\C3\\B6te'), ['CN:a, b+c"d\\', 'OU:Flöte']);
  t.deepEqual(parts('CN=trailing\\ '), ['CN:trailing ']);
  for (const wrong of [
    '',
    'robot',
    'CN',
    'CN=',
    '=a',
    'CN=a,',
    ',CN=a',
    'CN=a,,O=b',
    'CN=a+OU=b',
    'CN=#0401',
    'CN=a\\',
    'CN="a"',
    'CN=a;O=b',
    'CN=\\FF',
  ])
    t.is(parts(wrong), undefined, wrong);
});

test('a subject is that name part for part', (t) => {
  const subject = 'C=SE\nO=Example\\, Inc.\nCN=robot';
  t.true(isSubject({ subject }, 'CN=robot,O=Example\\, Inc.,C=SE'));
  for (const other of [
    'CN=robot',
    'C=SE,O=Example\\, Inc.,CN=robot',
    'CN=Robot,O=Example\\, Inc.,C=SE',
    'CN=robot,O=Example,C=SE',
    'CN=robot,O=Example\\, Inc.,C=SE,C=SE',
    '',
  ])
    t.false(isSubject({ subject }, other), other);
  t.false(isSubject({ subject: 'C=SE\nCN=robot + OU=x' }, 'CN=robot + OU=x,C=SE'), 'parts of several values are nobody’s');
  t.false(isSubject({ subject: '' }, ''));
});
