/** Where a sign-in to a console may lead back to: nowhere but into that console. */
import test from 'ava';
import { ownPath } from '../../../src/http/login-state.ts';
import fc from '../../support/property.ts';

const BASE = '/realms/acme/account';

for (const path of [
  BASE,
  `${BASE}/`,
  `${BASE}/methods/7d6c3a52/remove`,
  `${BASE}?rename=7d6c&label=My+phone`,
  `${BASE}/?after=acme`,
  `${BASE}?label=%2F%2Fevil.test`,
]) {
  test(`kept: ${path}`, (t) => {
    t.is(ownPath(path, BASE), path);
  });
}

const REFUSED: [why: string, path: string | undefined][] = [
  ['nothing', undefined],
  ['empty', ''],
  ['another host', 'https://evil.test/realms/acme/account'],
  ['our own scheme and no host', 'http:/realms/acme/account'],
  ['two slashes', '//evil.test/realms/acme/account'],
  ['a backslash that browsers take for a slash', '/\\evil.test'],
  ['a backslash inside', `${BASE}/\\..\\..\\evil`],
  ['script', 'javascript:alert(1)'],
  ['another page of ours', '/realms/acme/protocol/openid-connect/logout'],
  ['another realm', '/realms/evil/account'],
  ['the other console', '/admin/master/console/'],
  ['a longer name', '/realms/acme/accounts'],
  ['dots', `${BASE}/../../evil/account`],
  ['encoded dots', `${BASE}/%2e%2e/%2e%2e/evil`],
  ['an encoded slash', `${BASE}/%2F%2Fevil.test`],
  ['two slashes inside', `${BASE}//evil.test`],
  ['a fragment', `${BASE}#x`],
  ['a line break', `${BASE}/\r\nSet-Cookie: a=b`],
  ['a tab that browsers drop', `/\t/evil.test`],
  ['a space', `${BASE}/ x`],
  ['beyond ASCII', `${BASE}/é`],
  ['the callback itself, which would loop', `${BASE}/callback?code=1&state=2`],
];

for (const [why, path] of REFUSED) {
  test(`not kept: ${why}`, (t) => {
    t.is(ownPath(path, BASE), `${BASE}/`);
  });
}

test('whatever is asked for, the browser stays in the console', (t) => {
  const piece = fc.oneof(
    fc.constantFrom('/', '//', '\\', '..', '.', '%2e', '%2f', '?', '#', '@', ':', 'https:', 'evil.test', BASE, '/callback', '\t', '\n', '&', 'a'),
    fc.string({ maxLength: 4 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), fc.boolean(), (pieces, below) => {
      const path = (below ? BASE : '') + pieces.join('');
      const url = new URL(ownPath(path, BASE), 'https://id.example.com');
      return (
        url.origin === 'https://id.example.com' &&
        (url.pathname === BASE || url.pathname.startsWith(`${BASE}/`)) &&
        url.hash === '' &&
        url.pathname !== `${BASE}/callback`
      );
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});
