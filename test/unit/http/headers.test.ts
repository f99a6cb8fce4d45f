import test from 'ava';
import { formActionOf, securityHeaders } from '../../../src/http/headers.ts';

const origin = 'https://id.example.com';

function directives(options: { formActions?: string[] } = {}): Map<string, string> {
  const policy = securityHeaders({ origin, ...options })['Content-Security-Policy'] ?? '';
  return new Map(
    policy.split('; ').map((directive) => {
      const [name = '', ...values] = directive.split(' ');
      return [name, values.join(' ')];
    }),
  );
}

test('everything is denied first, and nothing inline is allowed', (t) => {
  const policy = directives();
  t.is(policy.get('default-src'), "'none'");
  for (const name of ['script-src', 'style-src', 'img-src', 'font-src', 'connect-src', 'form-action']) t.is(policy.get(name), "'self'", name);
  for (const name of ['frame-ancestors', 'base-uri', 'object-src']) t.is(policy.get(name), "'none'", name);
  t.notRegex([...policy.values()].join(' '), /unsafe|\*|data:/);
});

test('a form may lead to the application that is named, once', (t) => {
  const formActions = ['https://app.example.com', 'com.example.app:', 'https://app.example.com', 'http://127.0.0.1:51004'];
  t.is(directives({ formActions }).get('form-action'), "'self' https://app.example.com com.example.app: http://127.0.0.1:51004");
});

test('what is no origin and no private scheme never reaches the policy', (t) => {
  const refused = [
    '',
    '*',
    "'unsafe-inline'",
    'https://app.example.com; script-src *',
    'https://app.example.com *',
    'https://app.example.com\nX: y',
    'https://app.example.com,*',
    'https://app.example.com/',
    'https://app.example.com/callback',
    'https://user@app.example.com',
    'https://*.example.com',
    'HTTPS://app.example.com',
    'https://app.example.com:443',
    'https://app.example.com:99999',
    'app.example.com',
    'http:',
    'https:',
    'javascript:',
    'data:',
    'blob:',
    'com.example.app:/callback',
    'com.example.app: *',
    'http://[::1]:8080',
    'http://*',
    'https://*:443',
    'http://*:1 *',
    'http://*:80/x',
  ];
  for (const source of refused) t.throws(() => securityHeaders({ origin, formActions: [source] }), { instanceOf: TypeError }, source);
});

test('the way back to an application is the origin or the scheme of its redirect URI', (t) => {
  t.is(formActionOf('https://app.example.com/callback?x=1'), 'https://app.example.com');
  t.is(formActionOf('http://localhost:3000/cb'), 'http://localhost:3000');
  t.is(formActionOf('https://münchen.example/cb'), 'https://xn--mnchen-3ya.example');
  t.is(formActionOf('com.example.app:/callback'), 'com.example.app:');
  t.is(formActionOf('http://[::1]:3000/cb'), 'http://*:3000');
  t.is(formActionOf('http://[::1]/cb'), 'http://*:80');
  for (const uri of ['', 'no uri', '/callback', 'javascript:alert(1)', 'data:text/html,x', 'https://[::1]:3000/cb', 'http://[2001:db8::1]:3000/cb'])
    t.is(formActionOf(uri), undefined, uri);
  t.is(directives({ formActions: ['http://*:3000'] }).get('form-action'), "'self' http://*:3000");
  t.notThrows(() => securityHeaders({ origin, formActions: [formActionOf('https://a;b.example/') ?? 'x:'] }));
});

test('the other headers', (t) => {
  const headers = securityHeaders({ origin });
  t.is(headers['X-Frame-Options'], 'DENY');
  t.is(headers['X-Content-Type-Options'], 'nosniff');
  t.is(headers['Referrer-Policy'], 'same-origin');
  t.regex(headers['Permissions-Policy'] ?? '', /camera=\(\), .*publickey-credentials-get=\(self\), publickey-credentials-create=\(self\)$/);
});

test('the pages of a sign-in keep the tie to the window that opened them, and no other page does', (t) => {
  t.is(securityHeaders({ origin })['Cross-Origin-Opener-Policy'], 'same-origin');
  t.is(securityHeaders({ origin, popups: true })['Cross-Origin-Opener-Policy'], 'unsafe-none');
});

test('a browser is told to stay with https only where we are reached by it', (t) => {
  t.is(securityHeaders({ origin })['Strict-Transport-Security'], 'max-age=31536000');
  t.false('Strict-Transport-Security' in securityHeaders({ origin: 'http://localhost:8080' }));
});
