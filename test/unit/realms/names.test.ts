import test from 'ava';
import { checkRealmName, validRealmName } from '../../../src/realms/names.ts';
import fc from '../../support/property.ts';

test('plain names are fine', (t) => {
  for (const name of [
    'master',
    'demo',
    'acme',
    'a',
    '7',
    'acme-staging',
    'acme_2',
    'id.example.com',
    'xn--bcher-kva',
    'a--b',
    'Acme',
    'ACME',
    'Kelvin',
    'a'.repeat(63),
  ]) {
    t.true(validRealmName(name), name);
    t.notThrows(() => checkRealmName(name));
  }
});

test('F01 what could be read as a path, another realm or a part of a URL is no name', (t) => {
  const names = [
    '',
    ' ',
    '.',
    '..',
    '...',
    'a..b',
    '.a',
    'a.',
    '-a',
    'a-',
    '_a',
    'a_',
    'a/b',
    'a\\b',
    'a%2fb',
    '%2e%2e',
    'a b',
    ' a',
    'a ',
    'a\n',
    '\na',
    'a\0',
    'a?b',
    'a#b',
    'a;b',
    'a:b',
    'a@b',
    'a&b',
    'a+b',
    'a~b',
    "a'b",
    'a"b',
    '<a>',
    'a'.repeat(64),
    'аcme',
    'acmé',
    'ａcme',
    'acme\u200b',
    'acme\u202e',
    'ßa',
    'ıa',
    '\u212aelvin',
    'a😀',
  ];
  for (const name of names) {
    t.false(validRealmName(name), JSON.stringify(name));
    t.like(
      t.throws(() => checkRealmName(name)),
      { code: 'bad_input', status: 400, field: 'name' },
    );
  }
});

test('parts of our own addresses are reserved', (t) => {
  for (const name of ['.well-known', 'admin', 'realms', 'resources', 'health', 'metrics', 'js', 'robots', 'robots.txt', 'api'])
    t.false(validRealmName(name), name);
  for (const name of ['admins', 'my-admin', 'api-2']) t.true(validRealmName(name), name);
});

test('the message says what to change', (t) => {
  const messages: [string, RegExp][] = [
    ['', /needs a name/],
    ['a'.repeat(64), /at most 63/],
    ['a b', /letters of ASCII/],
    ['a..b', /two dots/],
    ['admin', /"admin" is a part of our own addresses/],
    ['Admin', /"Admin" is a part of our own addresses/],
  ];
  for (const [name, message] of messages) t.throws(() => checkRealmName(name), { message }, name);
});

test('an accepted name is written the same in a URL, a cookie path and a file name', (t) => {
  const characters = fc.constantFrom(...'abz019._-ABZ/\\%éа\u0000 :@'.split(''));
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary', maxLength: 70 }), fc.string({ unit: characters, maxLength: 8 })), (name) => {
      if (!validRealmName(name)) return true;
      return (
        name === name.normalize('NFKC').trim() &&
        encodeURIComponent(name) === name &&
        new URL(`/realms/${name}/x`, 'https://id.example.com').pathname === `/realms/${name}/x` &&
        new URL(`../${name}`, 'https://id.example.com/a/b/').pathname === `/a/${name}`
      );
    }),
    { numRuns: 5000 },
  );
  t.pass();
});
