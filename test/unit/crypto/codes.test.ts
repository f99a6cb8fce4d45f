import { createHmac } from 'node:crypto';
import test from 'ava';
import { hmac, randomToken, readablePassword, safeEqual, sha256, timeOrderedId } from '../../../src/crypto/codes.ts';
import fc from '../../support/property.ts';

test('tokens are random, of the asked length, and safe in a URL', (t) => {
  t.regex(randomToken(), /^[\w-]{43}$/);
  t.regex(randomToken(16), /^[\w-]{22}$/);
  t.is(new Set(Array.from({ length: 1000 }, () => randomToken())).size, 1000);
});

test('sha256 is SHA-256', (t) => {
  // FIPS 180-2 appendix B.1
  t.is(Buffer.from(sha256('abc'), 'base64url').toString('hex'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});

test('hmac tells its parts apart', (t) => {
  const key = Buffer.alloc(32, 1);
  t.is(hmac(key, 'a', 'b'), createHmac('sha256', key).update('["a","b"]').digest('base64url'));
  t.not(hmac(key, 'ab', 'c'), hmac(key, 'a', 'bc'));
  t.not(hmac(key, 'a'), hmac(key, 'a', ''));
  t.not(hmac(key, 'a","b'), hmac(key, 'a', 'b'));
  t.not(hmac(key, 'a'), hmac(Buffer.alloc(32, 2), 'a'));
  fc.assert(
    fc.property(
      fc.array(fc.string()),
      fc.array(fc.string()),
      (a, b) => (hmac(key, ...a) === hmac(key, ...b)) === (JSON.stringify(a) === JSON.stringify(b)),
    ),
  );
});

test('safeEqual says what === says, for any two texts and lengths', (t) => {
  fc.assert(fc.property(fc.string(), fc.string(), (a, b) => safeEqual(a, b) === (a === b) && safeEqual(a, a)));
  t.false(safeEqual('abc', 'abcd'));
  t.false(safeEqual('', 'a'));
  t.false(safeEqual('a', ''));
  t.true(safeEqual('', ''));
  t.false(safeEqual('x', 'x'.repeat(100_000)));
});

test('a readable password is four groups of five unmistakable characters', (t) => {
  for (let i = 0; i < 200; i += 1) t.regex(readablePassword(), /^[a-hj-km-np-z2-9]{5}(-[a-hj-km-np-z2-9]{5}){3}$/);
  t.is(new Set(Array.from({ length: 500 }, readablePassword)).size, 500);
});

test('ids that are ordered by time are UUIDs of version 7, and in the order in which they were made', (t) => {
  const at = Date.UTC(2030, 0, 15);
  const ids = Array.from({ length: 2_000 }, () => timeOrderedId(at));
  t.deepEqual([...ids].sort(), ids);
  t.is(new Set(ids).size, ids.length);
  t.true(ids.every((id) => /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id)));
  t.is(Number.parseInt(ids[0]?.replaceAll('-', '').slice(0, 12) ?? '', 16), at);
  t.true(timeOrderedId(at - 1) < (ids[0] ?? '') && timeOrderedId(at + 1) > (ids.at(-1) ?? ''));
});
