import test, { type ExecutionContext } from 'ava';
import { formActionOf } from '../../../src/http/headers.ts';
import { type MatchOptions, redirectUriAllowed, validRedirectUri } from '../../../src/realms/redirect-uris.ts';
import fc from '../../support/property.ts';

function allows(t: ExecutionContext, registered: string, asked: string[], options?: MatchOptions): void {
  for (const uri of asked) t.true(redirectUriAllowed([registered], uri, options), `${registered} must allow ${uri}`);
}

function refuses(t: ExecutionContext, registered: string | string[], asked: string[], options?: MatchOptions): void {
  for (const uri of asked) t.false(redirectUriAllowed([registered].flat(), uri, options), `${registered} must refuse ${JSON.stringify(uri)}`);
}

const EXACT = 'https://app.example/cb';
const STAR = 'https://app.example/app/*';

/** Addresses of somebody else, or ways to write ours that somebody reads differently. */
const TRICKS = [
  // another host
  'https://evil.example/app/cb',
  'https://app.example.evil.example/app/cb',
  'https://evilapp.example/app/cb',
  'https://sub.app.example/app/cb',
  'https://app.example./app/cb',
  'https://app%2eexample/app/cb',
  'https://аpp.example/app/cb',
  'https://app。example/app/cb',
  'https://app.example\u3002/app/cb',
  'https://ａpp.example/app/cb',
  'https://xn--pp-6kc.example/app/cb',
  // userinfo
  'https://app.example@evil.example/app/cb',
  'https://app.example:x@evil.example/app/cb',
  'https://app.example%40evil.example/app/cb',
  'https://evil.example@app.example/app/cb',
  'https://@app.example/app/cb',
  'https://:@app.example/app/cb',
  'https://app.example\\@evil.example/app/cb',
  'https://evil.example\\@app.example/app/cb',
  'https://app.example/app/@evil.example',
  // scheme and port
  'http://app.example/app/cb',
  'https://app.example:444/app/cb',
  'https://app.example:443/app/cb',
  'https://app.example:/app/cb',
  'https://app.example:0443/app/cb',
  'https://app.example:443@evil.example/app/cb',
  'HTTPS://app.example/app/cb',
  'https://APP.example/app/cb',
  'https:/app.example/app/cb',
  'https:app.example/app/cb',
  'https:///app.example/app/cb',
  'https:\\\\app.example/app/cb',
  '//app.example/app/cb',
  '/app/cb',
  'app.example/app/cb',
  'javascript:alert(1)//https://app.example/app/cb',
  'JaVaScRiPt://app.example/app/%0aalert(1)',
  'data:text/html,x',
  'view-source:https://app.example/app/cb',
  // path
  'https://app.example/App/cb',
  'https://app.example/other',
  'https://app.example/app/../evil',
  'https://app.example/app/..',
  'https://app.example/app/.',
  'https://app.example/app/./cb',
  'https://app.example/app/x/../../evil',
  'https://app.example/app/..;/evil',
  'https://app.example/app/..;x=1/evil',
  'https://app.example/app/.;/evil',
  'https://app.example/app/%2e%2e/evil',
  'https://app.example/app/%2E./evil',
  'https://app.example/app/.%2e/evil',
  'https://app.example/app/..%2fevil',
  'https://app.example/app/..%2Fevil',
  'https://app.example/app/..%5cevil',
  'https://app.example/app/..%3b/evil',
  'https://app.example/app/%252e%252e%252fevil',
  'https://app.example/app/%c0%ae%c0%ae/evil',
  'https://app.example/app/%c0%afevil',
  'https://app.example/app/..\\evil',
  'https://app.example/app\\..\\evil',
  'https://app.example/app//evil.example',
  'https://app.example//evil.example/app/cb',
  'https://app.example/app/%2f%2fevil.example',
  // characters
  'https://app.example/app/cb\n',
  'https://app.example/app/cb\r\nLocation: https://evil.example',
  'https://app.example/app/\tcb',
  'ht\ttps://app.example/app/cb',
  'https://app.example/app/%0d%0aLocation:x',
  'https://app.example/app/%00',
  'https://app.example/app/\u0000',
  ' https://app.example/app/cb',
  'https://app.example/app/cb ',
  'https://app.example/app/c b',
  'https://app.example/app/%',
  'https://app.example/app/%zz',
  'https://app.example/app/"><script>',
  "https://app.example/app/'><script>",
  'https://app.example/app/\u202ecb',
  'https://app.example/app/é',
  // fragment
  'https://app.example/app/cb#',
  'https://app.example/app/cb#x',
  'https://app.example/app/?x#y',
  'https://evil.example#https://app.example/app/cb',
  'https://evil.example?https://app.example/app/cb',
  `https://app.example/app/${'x'.repeat(2_000)}`,
  '',
];

test('E01 an exact URI is compared character by character', (t) => {
  allows(t, EXACT, [EXACT]);
  refuses(t, EXACT, [
    'https://app.example/cb/',
    'https://app.example/cb?',
    'https://app.example/cb?x=1',
    'https://app.example/cb#',
    'https://app.example/cb#x',
    'https://app.example/CB',
    'https://app.example/c',
    'https://app.example/cbx',
    'https://app.example/cb/../cb',
    'https://app.example/./cb',
    'https://app.example//cb',
    'https://app.example/%63b',
    'https://app.example/cb%00',
    'https://app.example/cb%20',
    'https://app.example/cb;x',
    'https://app.example:443/cb',
    'https://app.example:8443/cb',
    'https://APP.example/cb',
    'HTTPS://app.example/cb',
    'http://app.example/cb',
    'https://user@app.example/cb',
    'https://app.example.evil.example/cb',
    'https://app.example',
    'https://app.example/',
    '',
    ' https://app.example/cb',
    'https://app.example/cb\n',
  ]);
  refuses(t, EXACT, TRICKS);
  allows(t, 'https://app.example/cb?tenant=a&x=%20', ['https://app.example/cb?tenant=a&x=%20']);
  refuses(t, 'https://app.example/cb?tenant=a', ['https://app.example/cb?tenant=b', 'https://app.example/cb', 'https://app.example/cb?tenant=a&x=1']);
  allows(t, 'https://app.example', ['https://app.example']);
  refuses(t, 'https://app.example', ['https://app.example/']);
});

test('one of several registered URIs is enough, none is none', (t) => {
  t.true(redirectUriAllowed(['https://other.example/', STAR, EXACT], EXACT));
  t.false(redirectUriAllowed([], EXACT));
  t.false(redirectUriAllowed(['https://other.example/', 'nonsense', ''], EXACT));
});

test("a trailing star allows what Keycloak's allows: paths below, the folder itself, any query", (t) => {
  allows(t, STAR, [
    'https://app.example/app/',
    'https://app.example/app',
    'https://app.example/app?x=1',
    'https://app.example/app/cb',
    'https://app.example/app/a/b/c.html',
    'https://app.example/app/cb?next=https://evil.example/../%2f@x',
    'https://app.example/app/cb?',
    'https://app.example/app/...',
    'https://app.example/app/a..b/.hidden',
    'https://app.example/app/%C3%A9%20x',
    'https://app.example/app/a;b=c',
    'https://app.example/app/*',
  ]);
  refuses(t, STAR, [
    'https://app.example/',
    'https://app.example',
    'https://app.example/ap',
    'https://app.example/apps',
    'https://app.example/app.',
    'https://app.example/app;x',
  ]);
  allows(t, 'https://app.example/*', [
    'https://app.example',
    'https://app.example/',
    'https://app.example?x=/',
    'https://app.example/?x',
    'https://app.example/a/b',
  ]);
  allows(t, 'https://app.example/app*', ['https://app.example/app', 'https://app.example/application', 'https://app.example/app/x']);
  refuses(t, 'https://app.example/app*', ['https://app.example/ap', 'https://app.example/']);
  allows(t, 'http://localhost:3000/*', ['http://localhost:3000/cb', 'http://localhost:3000']);
  refuses(t, 'http://localhost:3000/*', [
    'http://localhost:3001/cb',
    'http://localhost/cb',
    'http://localhost:30000/cb',
    'https://localhost:3000/cb',
  ]);
  allows(t, 'http://[::1]:3000/*', ['http://[::1]:3000/cb']);
  refuses(t, 'http://127.0.0.1/*', ['http://127.1/cb', 'http://2130706433/cb', 'http://0x7f.1/cb', 'http://127.0.0.1.evil.example/cb']);
});

test('E01 no trick passes a star', (t) => {
  refuses(t, STAR, TRICKS);
  refuses(
    t,
    ['https://app.example/*'],
    TRICKS.filter((uri) => !['https://app.example/other', 'https://app.example/App/cb'].includes(uri)),
  );
});

test('a star in the registered origin means the same however it is written', (t) => {
  allows(t, 'HTTPS://App.Example:443/app/*', ['https://app.example/app/cb']);
});

test('patterns that would be open are refused when registered, and match nothing if they are stored all the same', (t) => {
  const patterns: [string, RegExp][] = [
    ['*', /star alone/],
    ['**', /absolute address/],
    ['', /empty/],
    ['https://*', /star|absolute/],
    ['https://app.example*', /path, behind the slash/],
    ['https://app.example:*', /very end|absolute|path/],
    ['https://app.example:80*', /path, behind the slash/],
    ['https://app.example:*/cb', /./],
    ['https://*.example/cb', /./],
    ['https://*.app.example/*', /./],
    ['https://*/*', /./],
    ['http*://app.example/cb', /./],
    ['*://app.example/cb', /./],
    ['https://app.example/*/cb', /very end/],
    ['https://app.example/**', /very end/],
    ['https://app.example?x=*', /path, behind the slash/],
    ['https://app.example/cb?x=*', /path, behind the slash|query/],
    ['https://app.example/cb#*', /fragment/],
    ['https://app.example/cb#x', /fragment/],
    ['https://app.example/app/../*', /\. or \.\./],
    ['https://app.example/app/..;/*', /\. or \.\./],
    ['https://app.example/.*', /\. or \.\.|browser/],
    ['https://app.example//*', /two slashes/],
    ['https://app.example/@*', /@/],
    ['https://app.example/%2e%2e/*', /encoded/],
    ['https://app.example/%2f*', /encoded/],
    ['https://app.example/%*', /two hexadecimal/],
    ['https://app.example@*', /./],
    ['https://app.example@evil.example/*', /user name/],
    ['https://user:pass@app.example/cb', /user name/],
    ['https://app.example\\*', /backslash/],
    ['https://app .example/*', /space/],
    ['https://bücher.example/cb', /xn--/],
    ["https://a;script-src'none'/cb", /plain name/],
    ['https://a,b/cb', /plain name/],
    ['https:app.example/cb', /two slashes/],
    ['https:///app.example/cb', /two slashes/],
    ['//app.example/*', /two slashes leaves/],
    ['/app/*', /root URL/],
    ['app/*', /absolute/],
    ['com.example.app:/*', /in full/],
    ['com.example.app://*', /in full|star/],
    ['http://localhost:*/*', /./],
    ['http://localhost:*x/cb', /./],
    ['https://localhost:*/cb', /./],
    ['http://127.0.0.1:*/cb', /./],
    ['http://localhost.evil.example:*/cb', /./],
    ['http://localhost:*@evil.example/cb', /./],
    [`https://app.example/${'x'.repeat(2_000)}`, /longer/],
  ];
  for (const [pattern, explanation] of patterns) {
    t.regex(validRedirectUri(pattern) ?? '(may be registered)', explanation, pattern);
    t.not(validRedirectUri(pattern), undefined, pattern);
    refuses(t, pattern, [
      ...TRICKS,
      EXACT,
      'https://app.example/app/cb',
      'https://evil.example/',
      pattern,
      pattern.replaceAll('*', 'x'),
      pattern.replaceAll('*', ''),
    ]);
  }
});

test('schemes that a browser runs or opens by itself are refused, also when registered', (t) => {
  const uris = [
    'javascript:alert(1)',
    'JavaScript:alert(1)',
    'javascript://app.example/%0aalert(1)',
    'javascript:*',
    'data:text/html,<b>',
    'data:text/html;base64,PHNjcmlwdD4=',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://app.example/1',
    'about:blank',
    'filesystem:https://app.example/x',
    'view-source:https://app.example/',
    'intent://x',
    'mailto:a@b.example',
    ' javascript:alert(1)',
    'java\tscript:alert(1)',
    '\u0001javascript:alert(1)',
    'ws://app.example/',
    'ftp://app.example/',
  ];
  for (const uri of uris) {
    t.not(validRedirectUri(uri), undefined, uri);
    refuses(t, uri, [uri]);
  }
});

test("an app's own scheme is allowed, exactly", (t) => {
  for (const uri of ['com.example.app:/cb', 'com.example.app://callback', 'com.example.app:cb', 'myapp://oauth/cb?x=1', 'com.example.app:/']) {
    t.is(validRedirectUri(uri), undefined, uri);
    allows(t, uri, [uri]);
    refuses(t, uri, [`${uri}x`, `${uri}#x`, uri.toUpperCase(), uri.slice(0, -1), `${uri}*`, 'com.example.app:/other']);
  }
  t.not(validRedirectUri('myapp://user@oauth/cb'), undefined);
});

test('http is allowed where it is registered: Keycloak has it', (t) => {
  t.is(validRedirectUri('http://intranet/cb'), undefined);
  allows(t, 'http://intranet/cb', ['http://intranet/cb']);
  refuses(t, 'http://intranet/cb', ['https://intranet/cb']);
});

test('http://localhost:* allows any port of localhost and nothing else', (t) => {
  const pattern = 'http://localhost:*/cb';
  t.is(validRedirectUri(pattern), undefined);
  allows(t, pattern, ['http://localhost:1/cb', 'http://localhost:3000/cb', 'http://localhost:65535/cb', 'http://localhost/cb']);
  refuses(t, pattern, [
    'http://localhost:3000/',
    'http://localhost:3000/cb/',
    'http://localhost:3000/cb/x',
    'http://localhost:3000/cb?x',
    'http://localhost:3000/cb#x',
    'https://localhost:3000/cb',
    'http://localhost.evil.example:3000/cb',
    'http://localhost:3000@evil.example/cb',
    'http://localhost:@evil.example/cb',
    'http://localhost:/cb',
    'http://localhost:0/cb',
    'http://localhost:65536/cb',
    'http://localhost:03000/cb',
    'http://localhost:*/cb',
    'http://localhost:3e3/cb',
    'http://127.0.0.1:3000/cb',
    'http://LOCALHOST:3000/cb',
    'http://x@localhost:3000/cb',
    'http://evil.localhost:3000/cb',
  ]);
  allows(t, 'http://localhost:*', ['http://localhost:3000']);
  allows(t, 'http://localhost:*/cb?x=1', ['http://localhost:3000/cb?x=1']);
  refuses(t, 'http://localhost:*', ['http://localhost:3000/', 'http://localhost:3000/cb', 'http://localhost:3000?x']);
});

test('a native app on a loopback address gets any port (RFC 8252 section 7.3)', (t) => {
  const native = { anyLoopbackPort: true };
  for (const host of ['127.0.0.1', '[::1]']) {
    allows(t, `http://${host}/cb`, [`http://${host}/cb`, `http://${host}:1024/cb`, `http://${host}:65535/cb`], native);
    refuses(t, `http://${host}/cb`, [`http://${host}:1024/cb`]);
    refuses(
      t,
      `http://${host}/cb`,
      [
        `http://${host}:1024/other`,
        `http://${host}:1024/cb?x`,
        `http://${host}:1024/cb#x`,
        `https://${host}:1024/cb`,
        `http://${host}:0/cb`,
        `http://${host}:65536/cb`,
        `http://${host}:1024@evil.example/cb`,
        `http://${host}.evil.example:1024/cb`,
        'http://127.0.0.2:1024/cb',
        'http://localhost:1024/cb',
      ],
      native,
    );
    refuses(t, `http://${host}:8000/cb`, [`http://${host}:1024/cb`], native);
    allows(t, `http://${host}/*`, [`http://${host}:1024/cb`], native);
    refuses(t, `http://${host}/app/*`, [`http://${host}:1024/app/../x`, `http://${host}:1024/app//x`], native);
  }
  refuses(t, 'http://app.example/cb', ['http://app.example:1024/cb'], native);
});

test("a relative pattern stands behind the client's root URL", (t) => {
  const at = (rootUrl: string): MatchOptions => ({ rootUrl });
  t.is(validRedirectUri('/app/*', at('https://app.example')), undefined);
  for (const root of ['https://app.example', 'https://app.example/']) {
    allows(t, '/app/*', ['https://app.example/app/cb', 'https://app.example/app'], at(root));
    allows(t, '/cb', ['https://app.example/cb'], at(root));
    allows(t, '/*', ['https://app.example/cb', 'https://app.example'], at(root));
    refuses(t, '/app/*', ['/app/cb', ...TRICKS], at(root));
    refuses(t, '/cb', ['https://app.example/cb/', 'https://evil.example/cb'], at(root));
  }
  allows(t, '/cb', ['https://app.example/base/cb'], at('https://app.example/base'));
  for (const root of [
    '',
    'app.example',
    '/x',
    'javascript:alert(1)',
    'com.example.app:/',
    'https://user@app.example',
    'https://app.example?x',
    'https://app.example#x',
    'https://*',
  ]) {
    t.not(validRedirectUri('/cb', at(root)), undefined, root);
    refuses(t, '/cb', ['https://app.example/cb', `${root}/cb`, '/cb'], at(root));
  }
  for (const pattern of ['//evil.example/*', '/\\evil.example/*', '/../*', '/@evil.example/*'])
    t.not(validRedirectUri(pattern, at('https://app.example')), undefined, pattern);
  t.is(validRedirectUri(EXACT, { rootUrl: null }), undefined);
});

// Pieces that matter to parsers, so that random texts are worth trying.
const piece = fc.constantFrom(
  ...[
    'https://',
    'http://',
    'https:',
    '//',
    '/',
    '\\',
    'app.example',
    'evil.example',
    'localhost',
    '127.0.0.1',
    '[::1]',
    ':',
    ':443',
    ':80',
    ':8080',
    '@',
    '.',
    '..',
    ';',
    '%2e',
    '%2F',
    '%5c',
    '%00',
  ],
  ...['%', '?', '#', '*', 'app', 'cb', 'x=1', '&', '\t', '\n', ' ', '\u0000', '\u3002', 'é', 'javascript:', 'com.example.app:', "'", '"'],
);
const tricky = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
const nearby = fc
  .tuple(fc.constantFrom('https://app.example/app/', 'https://app.example', 'https://app.example/app/cb'), tricky)
  .map(([start, rest]) => start + rest);
const uris = fc.oneof(tricky, nearby, fc.webUrl({ withFragments: true, withQueryParameters: true }), fc.string());

test('whatever a star lets through stays on its origin and in its folder, for a browser and for a lenient server', (t) => {
  let passed = 0;
  fc.assert(
    fc.property(uris, (uri) => {
      if (!redirectUriAllowed([STAR], uri)) return;
      passed += 1;
      const url = new URL(uri);
      if (url.origin !== 'https://app.example' || url.username !== '' || url.hash !== '') throw new Error('another origin');
      if (url.pathname !== '/app' && !url.pathname.startsWith('/app/')) throw new Error('another folder');
      const served = decodeURIComponent(url.pathname)
        .replaceAll(/;[^/]*/g, '')
        .replaceAll('\\', '/');
      if (!`${new URL(served, 'https://app.example').pathname}/`.startsWith('/app/')) throw new Error('another folder after decoding');
      // RFC 3986 appendix B, the other way to cut a URI into parts.
      const authority = /^(?:[^:/?#]+:)?(?:\/\/([^/?#]*))?/.exec(uri)?.[1];
      if (authority !== 'app.example') throw new Error('another authority');
    }),
    { numRuns: 20_000 },
  );
  t.true(passed > 100, `only ${passed} were let through: the property says little`);
});

test('an exact registration allows itself and nothing else', (t) => {
  fc.assert(
    fc.property(uris, uris, (registered, asked) => {
      if (registered.includes('*')) return true;
      const valid = validRedirectUri(registered) === undefined;
      return redirectUriAllowed([registered], registered) === valid && (asked === registered || !redirectUriAllowed([registered], asked));
    }),
    { numRuns: 5000 },
  );
  t.pass();
});

test('what may not be registered matches nothing, and nobody makes it throw', (t) => {
  fc.assert(
    fc.property(uris, uris, fc.option(uris), fc.boolean(), (registered, asked, rootUrl, anyLoopbackPort) => {
      const options = { rootUrl, anyLoopbackPort };
      const allowed = redirectUriAllowed([registered], asked, options);
      return validRedirectUri(registered, options) === undefined || !allowed;
    }),
    { numRuns: 5000 },
  );
  t.pass();
});

test('a source for a CSP never holds what separates sources or directives', (t) => {
  fc.assert(
    fc.property(uris, (uri) => {
      if (validRedirectUri(uri) !== undefined || uri.includes('*')) return true;
      const source = formActionOf(uri);
      return source === undefined || /^(?:https?:\/\/[a-z0-9._-]+(?::\d+)?|http:\/\/\*:\d+|[a-z][a-z0-9+.-]*:)$/.test(source);
    }),
    { numRuns: 5000 },
  );
  t.pass();
});
