/** The ten worked examples of the policy, by number, with the rules as an administrator writes them. */
import test from 'ava';
import { type Decision, decide, type Facts } from '../../../src/policy/decide.ts';
import { policyOf } from '../../../src/policy/document.ts';
import { at, policyWith, realmNeeds, rule } from '../../support/policies.ts';
import { DAY, FACTORS, factsWith, HOUR, NOW, password, proofOf, totp } from '../../support/proofs.ts';

const { totp: TOTP, passkey: PASSKEY } = FACTORS;
const MONTH = 30 * 86_400;
const ALICE = { id: '11111111-1111-4111-8111-111111111111', username: 'alice', roles: [], groups: [], administrator: false };
const PAYROLL = { clientId: 'payroll', floor: null };

const of = <Ask extends Decision['ask']>(ask: Ask, some: Partial<Facts>): Extract<Decision, { ask: Ask }> => {
  const decision = decide(factsWith({ user: ALICE, ...some }));
  if (decision.ask !== ask) throw new Error(`expected ${ask}, got ${JSON.stringify(decision)}`);
  return decision as Extract<Decision, { ask: Ask }>;
};

test('1: the realm asks for nothing and the user owns TOTP: TOTP is asked', (t) => {
  const some = { policy: policyOf('optional'), owned: [TOTP] };
  t.deepEqual(of('factor', { ...some, proofs: [password()] }).factors, ['totp']);
  const done = of('nothing', { ...some, proofs: [password(), totp()] });
  t.is(done.acr, 'aal2');
  t.deepEqual(done.rules, ['user.owned']);
});

const DEADLINE = realmNeeds({ level: 'aal2', enrolBy: at(14 * DAY) });

test('2: aal2 with a deadline in 14 days and no factor: enrolment is offered, may be skipped, and the token says aal1', (t) => {
  const some = { policy: DEADLINE, proofs: [password()] };
  const offered = of('enrol', some);
  t.deepEqual(offered.factors, ['totp']);
  t.deepEqual(offered.skip, { until: NOW + 14 * DAY, loginsLeft: null });
  const skipped = of('nothing', { ...some, skipped: true });
  t.is(skipped.acr, 'aal1');
  t.is(skipped.spared, 'grace');
  t.deepEqual(skipped.amr, ['pwd']);
  t.is(of('nothing', { ...some, owned: [TOTP], proofs: [password(), totp()] }).acr, 'aal2');
});

test('3: the same on day 15: enrol or stop', (t) => {
  const now = NOW + 15 * DAY;
  const some = { policy: DEADLINE, now, proofs: [{ ...password(), at: now }] };
  t.is(of('enrol', some).skip, null);
  t.is(of('enrol', { ...some, skipped: true }).skip, null, 'a session that began by skipping ends its grace too');
  t.is(of('enrol', { ...some, now: NOW + 14 * DAY, proofs: [{ ...password(), at: NOW + 14 * DAY }] }).skip, null, 'nor at that very moment');
});

const PAYROLL_PHR = policyWith({ rules: [rule('payroll', { client: ['payroll'] }, { level: 'phr' })] });

test('4: client payroll needs phr and the user has TOTP only: TOTP, then a passkey to enrol, no skip', (t) => {
  const some = { policy: PAYROLL_PHR, client: PAYROLL, owned: [TOTP], enrollable: [TOTP, PASSKEY] };
  t.deepEqual(of('factor', { ...some, proofs: [password()] }).factors, ['totp']);
  const enrol = of('enrol', { ...some, proofs: [password(), totp()] });
  t.deepEqual(enrol.factors, ['passkey']);
  t.is(enrol.skip, null);
  t.true(enrol.rules.includes('payroll'));
  const done = of('nothing', { ...some, owned: [TOTP, PASSKEY], proofs: [password(), totp(), proofOf(PASSKEY)] });
  t.is(done.acr, 'phr');
  t.is(of('nothing', { ...some, client: { clientId: 'shop', floor: null }, proofs: [password(), totp()] }).acr, 'aal2', 'elsewhere TOTP is enough');
});

test('5: role admin needs phrh and a rule of the user leaves only TOTP: denied at run time', (t) => {
  const policy = policyWith({
    rules: [rule('admins', { role: ['admin'] }, { level: 'phrh' }), rule('alice', { user: ['Alice'] }, { factors: ['totp'] })],
  });
  const some = { policy, user: { ...ALICE, roles: ['admin'] }, owned: [TOTP, PASSKEY], enrollable: [TOTP, PASSKEY, FACTORS.attested] };
  t.deepEqual(of('unmet', { ...some, proofs: [password()] }).rules, ['admins', 'alice', 'user.owned']);
  t.is(of('unmet', { ...some, proofs: [password(), totp(), proofOf(FACTORS.attested)] }).ask, 'unmet');
});

const REMEMBERED = rule('realm', {}, { level: 'aal2', remember: MONTH });
const TRUSTED = { device: { trustedAt: NOW - DAY }, owned: [TOTP], proofs: [password()] };

test('6: the realm remembers 30 days and the client 0: the factor is asked', (t) => {
  const policy = policyWith({ rules: [REMEMBERED, rule('payroll', { client: ['payroll'] }, { remember: 0 })] });
  const asked = of('factor', { ...TRUSTED, policy, client: PAYROLL });
  t.deepEqual(asked.factors, ['totp']);
  t.is(asked.remember, 0, 'and nobody is asked to trust the device here');
  t.is(of('nothing', { ...TRUSTED, policy, client: { clientId: 'shop', floor: null } }).spared, 'device');
});

test('7: a trusted device, the realm at aal2, no acr requested: not asked; amr pwd, acr aal1', (t) => {
  const policy = policyWith({ rules: [REMEMBERED] });
  const done = of('nothing', { ...TRUSTED, policy });
  t.is(done.acr, 'aal1');
  t.deepEqual(done.amr, ['pwd']);
  t.is(done.spared, 'device');
  t.is(done.remember, 0, 'trust is not prolonged by being used');
  t.is(of('factor', { ...TRUSTED, policy, device: { trustedAt: NOW - MONTH * 1000 } }).remember, MONTH, 'and ends after 30 days');
  t.is(of('factor', { ...TRUSTED, policy: realmNeeds({ level: 'aal2' }) }).remember, 0, 'a rule that does not say so is not spared');
});

test('8: the same with acr_values=aal2: the factor is asked', (t) => {
  const some = { ...TRUSTED, policy: policyWith({ rules: [REMEMBERED] }), requested: { acr: ['aal2'], essential: false } };
  t.deepEqual(of('factor', some).factors, ['totp']);
  t.is(of('nothing', { ...some, proofs: [password(), totp()] }).acr, 'aal2');
});

test('9: an exception at aal1 for 7 days and a client’s floor of aal2: aal2', (t) => {
  const exception = { id: '22222222-2222-4222-8222-222222222222', level: 'aal1' as const, until: NOW + 7 * DAY, reason: 'a new telephone' };
  const some = { policy: realmNeeds({ level: 'aal2' }), exception, owned: [TOTP], proofs: [password()] };
  const elsewhere = of('nothing', some);
  t.is(elsewhere.acr, 'aal1');
  t.true(elsewhere.rules.includes('user.exception'));
  t.is(of('factor', { ...some, client: { clientId: 'payroll', floor: 'aal2' } }).level, 'aal2');
  const rules = [rule('realm', {}, { level: 'aal2' }), rule('payroll', { client: ['payroll'] }, { level: 'aal2' })];
  t.is(of('factor', { ...some, policy: policyWith({ rules }), client: PAYROLL }).level, 'aal2', 'a rule that names the client is its floor too');
  t.is(of('factor', { ...some, user: { ...ALICE, administrator: true } }).level, 'aal2', 'nor does it lower what administrators need');
  t.is(of('factor', { ...some, now: exception.until, proofs: [{ ...password(), at: exception.until }] }).level, 'aal2', 'and it ends');
});

test('10: a session of three hours and max_age=300: both factors again, or one passkey', (t) => {
  const some = { owned: [TOTP, PASSKEY], requested: { acr: ['aal2'], essential: false, freshSince: NOW - 300_000 } };
  const old = [password(3 * HOUR), totp(3 * HOUR)];
  of('password', { ...some, proofs: old });
  t.deepEqual(of('factor', { ...some, proofs: [...old, password()] }).factors, ['totp', 'passkey']);
  t.is(of('nothing', { ...some, proofs: [...old, password(10), totp(5)] }).authTime, NOW - 10);
  const passkey = of('nothing', { ...some, proofs: [...old, proofOf(PASSKEY)] });
  t.is(passkey.authTime, NOW);
  t.deepEqual(passkey.amr, ['pop', 'user', 'mfa']);
});
