import { randomBytes } from 'node:crypto';
import test from 'ava';
import { keyIdOf, openWith, type SealContext, sealWith } from '../../../src/crypto/seal.ts';
import fc from '../../support/property.ts';

const key = { id: 'k1', bytes: randomBytes(32) };
const find = (id: string): Buffer | undefined => (id === key.id ? key.bytes : undefined);
const place: SealContext = { purpose: 'totp-secret', realm: 'realm-a', row: 'row-1', column: 'credentials.secret' };
const corruptedError = { code: 'corrupted' };

const anyPlace = fc.record({ purpose: fc.string(), realm: fc.string(), row: fc.string(), column: fc.string() });
const samePlace = (a: SealContext, b: SealContext): boolean =>
  a.purpose === b.purpose && a.realm === b.realm && a.row === b.row && a.column === b.column;

test('what was sealed opens in its place', (t) => {
  fc.assert(
    fc.property(anyPlace, fc.uint8Array({ maxLength: 300 }), (cx, bytes) =>
      openWith(find, cx, sealWith(key, cx, Buffer.from(bytes))).equals(Buffer.from(bytes)),
    ),
  );
  t.is(openWith(find, place, sealWith(key, place, 'Grüße 🔑')).toString('utf8'), 'Grüße 🔑');
  t.is(openWith(find, place, sealWith(key, place, '')).length, 0);
});

test('it is written as v1|key id|iv|ciphertext|tag in base64url', (t) => {
  const sealed = sealWith(key, place, 'secret');
  t.regex(sealed, /^v1\|k1\|[\w-]{16}\|[\w-]{8}\|[\w-]{22}$/);
  t.is(keyIdOf(sealed), 'k1');
  t.false(sealed.includes('secret'));
});

test('the same value is never sealed alike twice', (t) => {
  t.is(new Set(Array.from({ length: 200 }, () => sealWith(key, place, 'secret'))).size, 200);
});

test('F02 a ciphertext that is moved to another purpose, realm, row or column does not open', (t) => {
  const sealed = sealWith(key, place, 'secret');
  for (const part of ['purpose', 'realm', 'row', 'column'] as const) {
    t.throws(() => openWith(find, { ...place, [part]: `${place[part]}x` }, sealed), corruptedError, part);
    t.throws(() => openWith(find, { ...place, [part]: '' }, sealed), corruptedError, part);
  }
});

test('no two places are confused, however their names are cut', (t) => {
  const moved = { purpose: 'a', realm: 'b","c', row: 'd', column: 'e' };
  t.throws(() => openWith(find, { purpose: 'a', realm: 'b', row: 'c","d', column: 'e' }, sealWith(key, moved, 'x')), corruptedError);
  fc.assert(
    fc.property(anyPlace, anyPlace, (from, to) => {
      fc.pre(!samePlace(from, to));
      const sealed = sealWith(key, from, 'secret');
      try {
        openWith(find, to, sealed);
        return false;
      } catch {
        return true;
      }
    }),
  );
});

test('another key does not open it, nor the same key under another name', (t) => {
  const sealed = sealWith(key, place, 'secret');
  t.throws(() => openWith(() => randomBytes(32), place, sealed), corruptedError);
  t.throws(() => openWith(() => undefined, place, sealed), corruptedError);
  t.throws(() => openWith(() => key.bytes, place, sealed.replace('|k1|', '|k2|')), corruptedError);
});

test('a change of any single character is noticed', (t) => {
  const sealed = sealWith(key, place, 'a secret of some length');
  fc.assert(
    fc.property(fc.nat(sealed.length - 1), fc.string({ minLength: 1, maxLength: 1 }), (at, character) => {
      fc.pre(sealed[at] !== character);
      try {
        openWith(() => key.bytes, place, sealed.slice(0, at) + character + sealed.slice(at + 1));
        return false;
      } catch {
        return true;
      }
    }),
    { numRuns: 1000 },
  );
  t.pass();
});

test('a part that is missing, added, shortened, swapped or padded is refused', (t) => {
  const sealed = sealWith(key, place, 'secret');
  const [version = '', id = '', iv = '', ciphertext = '', tag = ''] = sealed.split('|');
  const other = sealWith(key, place, 'secret').split('|');
  const tampered = {
    empty: '',
    'no parts': 'v1',
    'one part less': [version, id, iv, ciphertext].join('|'),
    'one part more': `${sealed}|`,
    'version 2': sealed.replace('v1|', 'v2|'),
    'tag of four bytes': [version, id, iv, ciphertext, Buffer.from(tag, 'base64url').subarray(0, 4).toString('base64url')].join('|'),
    'no tag': [version, id, iv, ciphertext, ''].join('|'),
    'tag of another': [version, id, iv, ciphertext, other[4]].join('|'),
    'iv of another': [version, id, other[2], ciphertext, tag].join('|'),
    'short iv': [version, id, iv.slice(0, 8), ciphertext, tag].join('|'),
    'no ciphertext': [version, id, iv, '', tag].join('|'),
    padded: `${sealed}==`,
    'space inside': [version, id, iv, `${ciphertext.slice(0, 4)} ${ciphertext.slice(4)}`, tag].join('|'),
    'key id with a slash': [version, 'a/b', iv, ciphertext, tag].join('|'),
  };
  for (const [what, value] of Object.entries(tampered)) t.throws(() => openWith(() => key.bytes, place, value), corruptedError, what);
});

test('a key that is no 256-bit key with a plain name is not used', (t) => {
  t.throws(() => sealWith({ id: 'k1', bytes: randomBytes(16) }, place, 'x'), corruptedError);
  t.throws(() => sealWith({ id: 'a|b', bytes: randomBytes(32) }, place, 'x'), corruptedError);
  t.throws(() => sealWith({ id: '', bytes: randomBytes(32) }, place, 'x'), corruptedError);
});

test('an error never carries the plaintext or the key', (t) => {
  const sealed = sealWith(key, place, 'top secret');
  const error = t.throws(() => openWith(find, { ...place, row: 'row-2' }, sealed));
  t.notRegex(`${error?.message} ${String(error?.cause)}`, /top secret|totp/);
});
