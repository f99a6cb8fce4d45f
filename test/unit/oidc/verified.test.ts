/** Tokens that were verified before: nothing but their signature is believed of them. */
import { randomUUID } from 'node:crypto';
import test from 'ava';
import { createLocalJWKSet, errors, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import { verifiedClaims } from '../../../src/oidc/tokens/verified.ts';

const NOW = Date.UTC(2026, 0, 1);
const second = (at: number): number => Math.floor(at / 1000);

async function realm() {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const keysOf = async () => createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), kid: 'one' }] });
  let asked = 0;
  const keys = await keysOf();
  const counted: typeof keys = Object.assign((...given: Parameters<typeof keys>) => {
    asked += 1;
    return keys(...given);
  }, keys);
  const sign = (claims: JWTPayload = {}, by = privateKey) =>
    new SignJWT({ exp: second(NOW) + 60, jti: randomUUID(), ...claims }).setProtectedHeader({ alg: 'ES256', kid: 'one' }).sign(by);
  return { keys: counted, keysOf, sign, asked: () => asked };
}

test('a signature is verified once, also when several ask at the same time', async (t) => {
  const { keys, sign, asked } = await realm();
  const token = await sign({ scope: 'openid' });
  const claims = await Promise.all([verifiedClaims(token, keys, { at: NOW }), verifiedClaims(token, keys, { at: NOW })]);
  t.deepEqual(
    [...claims, await verifiedClaims(token, keys, { at: NOW + 1_000 })].map(({ scope }) => scope),
    ['openid', 'openid', 'openid'],
  );
  t.is(asked(), 1);
});

test('a token that was verified before expires all the same', async (t) => {
  const { keys, sign } = await realm();
  const token = await sign();
  t.truthy(await verifiedClaims(token, keys, { at: NOW + 59_999 }));
  await t.throwsAsync(verifiedClaims(token, keys, { at: NOW + 60_000 }), { instanceOf: errors.JWTExpired });
  t.truthy(await verifiedClaims(token, keys, { at: 0 }), 'who asks for a time before may');
});

test('a token of tomorrow is no good today', async (t) => {
  const { keys, sign } = await realm();
  const token = await sign({ nbf: second(NOW) + 30 });
  t.truthy(await verifiedClaims(token, keys, { at: NOW + 30_000 }));
  await t.throwsAsync(verifiedClaims(token, keys, { at: NOW }), { instanceOf: errors.JWTClaimValidationFailed });
});

test('what was verified with other keys is verified anew', async (t) => {
  const { keys, keysOf, sign } = await realm();
  const token = await sign();
  t.truthy(await verifiedClaims(token, keys, { at: NOW }));
  t.truthy(await verifiedClaims(token, await keysOf(), { at: NOW }), 'the same key in a new set');
  await t.throwsAsync(verifiedClaims(token, (await realm()).keys, { at: NOW }), { instanceOf: errors.JOSEError });
});

test('what is no good stays no good, and makes nothing good', async (t) => {
  const { keys, sign } = await realm();
  const forged = await sign({}, (await generateKeyPair('ES256')).privateKey);
  for (let times = 0; times < 2; times += 1) await t.throwsAsync(verifiedClaims(forged, keys, { at: NOW }), { instanceOf: errors.JOSEError });
  const token = await sign();
  await verifiedClaims(token, keys, { at: NOW });
  const [header, , signature] = token.split('.');
  const other = `${header}.${(await sign({ scope: 'more' })).split('.')[1]}.${signature}`;
  await t.throwsAsync(verifiedClaims(other, keys, { at: NOW }), { instanceOf: errors.JWSSignatureVerificationFailed });
});

test('nobody can change what the next one reads', async (t) => {
  const { keys, sign } = await realm();
  const token = await sign({ realm_access: { roles: ['reader'] } });
  const claims = await verifiedClaims(token, keys, { at: NOW });
  const { realm_access: access } = claims;
  t.throws(() => Object.assign(claims, { scope: 'admin' }), { instanceOf: TypeError });
  t.throws(() => Object.assign(Object(access).roles, ['admin']), { instanceOf: TypeError });
  t.deepEqual((await verifiedClaims(token, keys, { at: NOW })).realm_access, { roles: ['reader'] });
});
