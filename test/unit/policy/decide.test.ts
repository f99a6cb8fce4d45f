import test from 'ava';
import type { Decision, Facts } from '../../../src/policy/decide.ts';
import { amrOf, decide, freshProofs, levelOf } from '../../../src/policy/decide.ts';
import { policyOf } from '../../../src/policy/document.ts';
import { DAY, FACTORS, factsWith, HOUR, MINUTE, NOW, password, proofOf, totp } from '../../support/proofs.ts';

const { totp: TOTP, email: EMAIL, question: QUESTION, key: KEY, passkey: PASSKEY, attested: ATTESTED } = FACTORS;

const granted = (decision: Decision): Extract<Decision, { ask: 'nothing' }> => {
  if (decision.ask !== 'nothing') throw new Error(`expected nothing to be asked, got ${JSON.stringify(decision)}`);
  return decision;
};
const asks = (some: Partial<Facts>): string => decide(factsWith(some)).ask;

test('a password comes first, whoever owns what', (t) => {
  t.is(asks({}), 'password');
  t.is(asks({ owned: [TOTP] }), 'password');
  t.is(asks({ owned: [TOTP], proofs: [totp()] }), 'password');
  t.is(asks({ policy: policyOf('required'), enrollable: [] }), 'password');
});

test('a password is all that is asked where nothing else is owned or required', (t) => {
  const decision = granted(decide(factsWith({ proofs: [password(MINUTE)] })));
  t.is(decision.level, 'aal1');
  t.is(decision.acr, 'aal1');
  t.deepEqual(decision.amr, ['pwd']);
  t.is(decision.authTime, NOW - MINUTE);
  t.deepEqual(decision.rules, ['default']);
});

test('worked example 1: a realm at aal1 and a user who owns TOTP: TOTP is asked', (t) => {
  t.deepEqual(decide(factsWith({ owned: [TOTP], proofs: [password()] })), {
    ask: 'factor',
    factors: ['totp'],
    level: 'aal1',
    remember: 30 * 86_400,
    rules: ['user.owned'],
  });
  const decision = granted(decide(factsWith({ owned: [TOTP], proofs: [password(10), totp(5)] })));
  t.is(decision.level, 'aal2');
  t.is(decision.acr, 'aal2');
  t.deepEqual(decision.amr, ['pwd', 'otp', 'mfa']);
  t.is(decision.authTime, NOW - 10);
});

test('a realm that asks for no second factor asks none of those who own one', (t) => {
  t.is(asks({ policy: policyOf('off'), owned: [TOTP], proofs: [password()] }), 'nothing');
  t.is(asks({ policy: policyOf('off'), owned: [TOTP], proofs: [password()], requested: { acr: ['aal2'], essential: false } }), 'factor');
});

test('a realm that requires a second factor lets nobody in without: enrol, or stop', (t) => {
  t.deepEqual(decide(factsWith({ policy: policyOf('required'), proofs: [password()] })), {
    ask: 'enrol',
    factors: ['totp'],
    level: 'aal2',
    rules: ['realm', 'enrol.recent'],
    skip: null,
  });
  t.is(asks({ policy: policyOf('required'), proofs: [password()], enrollable: [] }), 'unmet');
  t.is(asks({ policy: policyOf('required'), proofs: [password()], enrollable: [EMAIL, QUESTION] }), 'unmet');
});

test('worked example 4, with nothing to enrol that reaches it: TOTP only and acr phr is unmet (B09)', (t) => {
  const request = { owned: [TOTP], proofs: [password(), totp()], requested: { acr: ['phr'], essential: false } };
  t.is(asks(request), 'unmet');
  t.is(asks({ ...request, requested: { acr: ['phr'], essential: true } }), 'unmet');
});

test('worked example 4, with a passkey to enrol: TOTP, then the passkey', (t) => {
  const request = { owned: [TOTP], enrollable: [TOTP, PASSKEY], requested: { acr: ['phr'], essential: false } };
  t.is(asks(request), 'password');
  const second = decide(factsWith({ ...request, proofs: [password()] }));
  t.is(second.ask, 'factor');
  t.deepEqual(second.ask === 'factor' && second.factors, ['totp']);
  const third = decide(factsWith({ ...request, proofs: [password(), totp()] }));
  t.deepEqual(third, { ask: 'enrol', factors: ['passkey'], level: 'phr', rules: ['user.owned', 'request.acr', 'enrol.recent'], skip: null });
  t.is(granted(decide(factsWith({ ...request, proofs: [password(), totp(), proofOf(PASSKEY)] }))).acr, 'phr');
});

test('worked example 10: a session of three hours and max_age 300: both factors again, or one passkey', (t) => {
  const fresh = { acr: [], essential: false, freshSince: NOW - 300_000 };
  const request = { owned: [TOTP, PASSKEY], requested: fresh };
  const old = [password(3 * HOUR), totp(3 * HOUR)];
  t.is(asks({ ...request, proofs: old }), 'password');
  t.is(asks({ ...request, proofs: [...old, password(MINUTE)] }), 'factor');
  const both = granted(decide(factsWith({ ...request, proofs: [...old, password(MINUTE), totp(0)] })));
  t.is(both.authTime, NOW - MINUTE);
  t.is(both.counted.length, 2);
  const one = granted(decide(factsWith({ ...request, proofs: [...old, proofOf(PASSKEY, 0)] })));
  t.is(one.level, 'phr');
  t.deepEqual(one.amr, ['pop', 'user', 'mfa']);
});

test('only what is stale is asked: max_age with a fresh factor and a stale password', (t) => {
  const requested = { acr: [], essential: false, freshSince: NOW - 300_000 };
  t.is(asks({ owned: [TOTP], requested, proofs: [password(HOUR), totp(MINUTE)] }), 'password');
  const decision = granted(decide(factsWith({ owned: [TOTP], requested, proofs: [password(HOUR), totp(MINUTE), password(0)] })));
  t.is(decision.authTime, NOW - MINUTE);
  t.deepEqual(decision.amr, ['pwd', 'otp', 'mfa']);
  t.deepEqual(decision.rules, ['user.owned', 'request.max_age']);
});

test('a proof exactly as old as max_age allows counts', (t) => {
  const requested = { acr: [], essential: false, freshSince: NOW - 300_000 };
  t.is(asks({ requested, proofs: [password(300_000)] }), 'nothing');
  t.is(asks({ requested, proofs: [password(300_001)] }), 'password');
});

test('leaving acr_values out does not go below the realm (B10)', (t) => {
  for (const acr of [[], ['aal1'], ['urn:unknown'], ['aal1', 'phr']]) {
    t.is(asks({ policy: policyOf('required'), owned: [TOTP], proofs: [password()], requested: { acr, essential: false } }), 'factor', acr.join());
  }
});

test('acr is the first requested value that is satisfied, else the level that was reached', (t) => {
  const acrFor = (acr: string[], proofs = [password(), totp()]) =>
    granted(decide(factsWith({ owned: [TOTP], proofs, requested: { acr, essential: false } }))).acr;
  t.is(acrFor([]), 'aal2');
  t.is(acrFor(['phr', 'aal2']), 'aal2');
  t.is(acrFor(['aal1', 'aal2']), 'aal1');
  t.is(acrFor(['urn:unknown', 'phr', 'aal1']), 'aal1');
  t.is(acrFor(['urn:unknown']), 'aal2');
});

test('an unknown acr is ignored when it is a wish, and unmet when it is essential', (t) => {
  t.is(asks({ proofs: [password()], requested: { acr: ['urn:unknown'], essential: false } }), 'nothing');
  t.is(asks({ proofs: [password()], requested: { acr: ['urn:unknown'], essential: true } }), 'unmet');
  t.is(asks({ proofs: [password()], requested: { acr: ['urn:unknown', 'aal1'], essential: true } }), 'nothing');
  t.is(asks({ proofs: [password()], requested: { acr: [], essential: true } }), 'nothing');
});

test('two proofs of one kind are one factor, whatever they claim', (t) => {
  t.is(levelOf([password(), proofOf(QUESTION)]), 'aal1');
  t.is(levelOf([totp(0, 'a'), totp(0, 'b'), proofOf(KEY)]), 'aal1');
  t.is(levelOf([password(), proofOf(EMAIL)]), 'aal1');
  t.is(levelOf([password(), proofOf(EMAIL), proofOf(QUESTION)]), 'aal1');
  t.is(levelOf([totp(), proofOf(QUESTION)]), 'aal1');
  t.is(levelOf([password(), totp()]), 'aal2');
  t.is(levelOf([proofOf(PASSKEY)]), 'phr');
  t.is(levelOf([]), 'aal1');
  t.is(asks({ policy: policyOf('required'), owned: [QUESTION], enrollable: [], proofs: [password(), proofOf(QUESTION)] }), 'unmet');
});

test('mfa is derived from two kinds and never taken from a proof', (t) => {
  t.deepEqual(amrOf([{ ...password(), amr: ['pwd', 'mfa'] }]), ['pwd']);
  t.deepEqual(amrOf([password(), proofOf(QUESTION)]), ['pwd', 'question']);
  t.deepEqual(amrOf([password(), totp(), proofOf(FACTORS.hotp)]), ['pwd', 'otp', 'mfa']);
  t.deepEqual(amrOf([]), []);
});

test('whoever owns a factor below aal2 is asked for it too, and once', (t) => {
  t.is(asks({ owned: [EMAIL], proofs: [password()] }), 'factor');
  t.is(asks({ owned: [EMAIL], proofs: [password(), proofOf(EMAIL)] }), 'nothing');
  t.is(asks({ owned: [QUESTION], proofs: [password(), proofOf(QUESTION)] }), 'nothing');
});

test('only factors that would do are offered', (t) => {
  const decision = decide(factsWith({ owned: [EMAIL, TOTP, KEY, QUESTION], proofs: [password()], requested: { acr: ['phr'], essential: false } }));
  t.deepEqual(decision.ask === 'factor' && decision.factors, ['key']);
});

test('forced enrolment asks again for what is older than five minutes (C02)', (t) => {
  const request = { policy: policyOf('required'), enrollable: [TOTP] };
  t.is(asks({ ...request, proofs: [password(5 * MINUTE)] }), 'enrol');
  t.is(asks({ ...request, proofs: [password(5 * MINUTE + 1)] }), 'password');
});

test('a wish to enrol asks for the strongest owned factor, moments ago (C01, C02)', (t) => {
  const wish = { action: 'enrol' as const, actionFreshSince: NOW - 5 * MINUTE, owned: [TOTP, KEY], enrollable: [TOTP] };
  t.is(asks({ ...wish, proofs: [password(HOUR), proofOf(KEY, HOUR)] }), 'password');
  const second = decide(factsWith({ ...wish, proofs: [password(0), proofOf(KEY, HOUR), totp(0)] }));
  t.deepEqual(second.ask === 'factor' && second.factors, ['key']);
  t.deepEqual(decide(factsWith({ ...wish, proofs: [password(0), proofOf(KEY, 0)] })), {
    ask: 'enrol',
    factors: ['totp'],
    level: 'aal1',
    rules: ['user.owned', 'action.enrol', 'enrol.recent'],
    skip: null,
  });
});

test('a wish to enrol holds where a realm asks for no second factor, too', (t) => {
  const wish = { policy: policyOf('off'), action: 'enrol' as const, owned: [TOTP], enrollable: [TOTP] };
  t.is(asks({ ...wish, proofs: [password()] }), 'factor');
  t.is(asks({ ...wish, proofs: [password(), totp()] }), 'enrol');
  t.is(asks({ ...wish, enrollable: [], proofs: [password()] }), 'nothing');
});

test('proofs of a session expire by their level, and by its idleness', (t) => {
  const of = (ago: number, idle: number) =>
    freshProofs([password(ago), totp(ago), proofOf(KEY, ago), proofOf(ATTESTED, ago)], NOW, NOW - idle).map((p) => p.factor);
  t.deepEqual(of(0, 0), ['password', 'totp', 'key', 'attested']);
  t.deepEqual(of(12 * HOUR, 15 * MINUTE), ['password', 'totp', 'key', 'attested']);
  t.deepEqual(of(12 * HOUR + 1, 0), ['password', 'totp', 'key']);
  t.deepEqual(of(0, 15 * MINUTE + 1), ['password', 'totp', 'key']);
  t.deepEqual(of(24 * HOUR, HOUR), ['password', 'totp', 'key']);
  t.deepEqual(of(24 * HOUR + 1, 0), ['password']);
  t.deepEqual(of(0, HOUR + 1), ['password']);
  t.deepEqual(of(30 * DAY, 29 * DAY), ['password']);
  t.deepEqual(of(30 * DAY + 1, 0), []);
});
