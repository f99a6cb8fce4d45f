import test from 'ava';
import type { AuditEvent } from '../../../src/audit/event.ts';
import { COUNTERS, countedAs } from '../../../src/telemetry/counted.ts';
import { routeClass } from '../../../src/telemetry/route-class.ts';
import fc from '../../support/property.ts';

test('events count as what they say', (t) => {
  const expected: [AuditEvent, string | undefined][] = [
    [{ type: 'login.ok', details: { acr: 'aal2', amr: ['pwd', 'otp', 'mfa'], rules: [] } }, 'logins_total result=ok acr=aal2'],
    [{ type: 'login.ok', details: { acr: 'urn:example:gold', amr: [], rules: [] } }, 'logins_total result=ok acr=other'],
    [{ type: 'login.sso', details: { acr: 'aal1', amr: [], rules: [] } }, 'logins_total result=sso acr=aal1'],
    [{ type: 'login.failed', details: { reason: 'credentials' } }, 'logins_total result=credentials acr=none'],
    [{ type: 'login.failed', details: { reason: 'throttled' } }, 'lockouts_total what=password'],
    [{ type: 'mfa.challenge.ok', details: { factor: 'totp', credential: 'c' } }, 'challenges_total factor=totp purpose=sign-in result=ok'],
    [{ type: 'mfa.challenge.failed', details: { factor: 'enrol-totp' } }, 'challenges_total factor=totp purpose=enrolment result=failed'],
    [{ type: 'mfa.challenge.ok', details: { factor: 'webhook-pager', credential: 'c' } }, 'challenges_total factor=custom purpose=sign-in result=ok'],
    [{ type: 'mfa.replay', details: { factor: 'enrol-totp' } }, 'replays_total factor=totp'],
    [{ type: 'mfa.factor.disabled', details: { factor: 'totp' } }, 'lockouts_total what=factor'],
    [{ type: 'delivery.sent', details: { channel: 'sms', purpose: 'code', country: 'CH' } }, 'deliveries_total channel=sms result=sent'],
    [{ type: 'stepup.required', details: { acr: ['aal2'] } }, 'step_ups_total result=required'],
    [{ type: 'mfa.recovery.used', details: { left: 3 } }, 'recoveries_total what=code'],
    [{ type: 'token.reuse', details: { kind: 'RefreshToken' } }, 'alarms_total what=token-reuse'],
    [{ type: 'crypto.unreadable', details: { what: 'credentials.secret' } }, 'alarms_total what=unreadable'],
    [{ type: 'group.created', details: { path: '/sales' } }, undefined],
  ];
  for (const [event, text] of expected) {
    const counted = countedAs(event);
    t.is(counted && [counted.counter, ...Object.entries(counted.labels).map(([name, value]) => `${name}=${value}`)].join(' '), text);
    if (counted) t.deepEqual(Object.keys(counted.labels), [...COUNTERS[counted.counter].labels]);
  }
});

test('whatever administrators and applications name, a label takes few values', (t) => {
  const labels = new Set<string>();
  const event = fc.oneof(
    fc.string().map((acr): AuditEvent => ({ type: 'login.ok', details: { acr, amr: [], rules: [] } })),
    fc.string().map((factor): AuditEvent => ({ type: 'mfa.challenge.ok', details: { factor, credential: 'c' } })),
    fc.string().map((what): AuditEvent => ({ type: 'crypto.unreadable', details: { what } })),
    fc.string().map((kind): AuditEvent => ({ type: 'token.reuse', details: { kind } })),
    fc.string().map((reason): AuditEvent => ({ type: 'flow.refused', details: { reason } })),
  );
  fc.assert(
    fc.property(event, (one) => {
      labels.add(JSON.stringify(countedAs(one)?.labels));
    }),
    { numRuns: 500 },
  );
  t.true(labels.size < 20, [...labels].join());
});

test('paths are few kinds of places', (t) => {
  const expected: Record<string, string> = {
    '/realms/acme/protocol/openid-connect/auth': 'authorization',
    '/realms/acme/protocol/openid-connect/auth/x3F': 'authorization',
    '/realms/acme/protocol/openid-connect/token': 'token',
    '/realms/acme/protocol/openid-connect/token/introspect': 'introspection',
    '/realms/acme/protocol/openid-connect/logout/confirm': 'logout',
    '/realms/acme/protocol/openid-connect/ext/par/request': 'protocol',
    '/realms/acme/.well-known/openid-configuration': 'discovery',
    '/.well-known/oauth-authorization-server/realms/acme': 'discovery',
    '/realms/acme/login/abc': 'sign-in',
    '/realms/acme/account/': 'account',
    '/realms/acme': 'realm',
    '/admin/realms/acme/users': 'admin-api',
    '/admin/master/console/': 'admin-console',
    '/health/live': 'health',
    '/resources/0123456789abcdef/cardea.css': 'files',
    '/wp-login.php': 'other',
    '/': 'other',
  };
  for (const [path, name] of Object.entries(expected)) t.is(routeClass(path), name, path);
  const seen = new Set<string>();
  fc.assert(fc.property(fc.webPath(), (path) => void seen.add(routeClass(path))));
  t.true(seen.size < 25);
});
