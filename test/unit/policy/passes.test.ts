/** What an enrolment pass opens: the enrolment of something that is enough, and nothing else. */
import test from 'ava';
import type { Decision, Facts } from '../../../src/policy/decide.ts';
import { decide } from '../../../src/policy/decide.ts';
import { policyOf } from '../../../src/policy/document.ts';
import { realmNeeds } from '../../support/policies.ts';
import { FACTORS, factsWith, HOUR, MINUTE, password, proofOf, totp } from '../../support/proofs.ts';

const { totp: TOTP, key: KEY, email: EMAIL, 'enrolment-pass': PASS, 'recovery-codes': CODES } = FACTORS;
const lost: Partial<Facts> = { owned: [TOTP, PASS], enrollable: [TOTP, KEY] };
const administrator = { id: 'a', username: 'erin', roles: ['admin'], groups: [], administrator: true };
const factorsOf = (decision: Decision): string[] | string => ('factors' in decision ? [...decision.factors].sort() : decision.ask);
const decided = (some: Partial<Facts>) => decide(factsWith(some));

test('a pass is one way among those that are owned', (t) => {
  t.deepEqual(factorsOf(decided({ ...lost, proofs: [password()] })), ['enrolment-pass', 'totp']);
  t.is(decided({ ...lost, proofs: [password()] }).ask, 'factor');
});

test('after it a new factor is due, which cannot be put off', (t) => {
  const decision = decided({ ...lost, proofs: [password(), proofOf(PASS)] });
  t.is(decision.ask, 'enrol');
  t.deepEqual(factorsOf(decision), ['key', 'totp']);
  if (decision.ask === 'enrol') t.is(decision.skip, null);
  t.is(decided({ ...lost, proofs: [password(), proofOf(PASS)], skipped: true, grace: { used: 0 } }).ask, 'enrol');
});

test('it signs nobody in by itself, whatever the realm asks for', (t) => {
  for (const policy of [policyOf('off'), policyOf('optional'), policyOf('required'), realmNeeds({ level: 'phrh' })]) {
    const decision = decided({ ...lost, policy, owned: [TOTP], proofs: [password(), proofOf(PASS)] });
    if (decision.ask === 'nothing') t.deepEqual(decision.amr, ['pwd'], 'the password was enough');
    else t.not(decision.ask, 'factor');
  }
});

test('with the new factor it is over', (t) => {
  const decision = decided({ ...lost, owned: [TOTP], proofs: [password(), totp()] });
  t.is(decision.ask, 'nothing');
  const still = decided({ ...lost, owned: [TOTP], proofs: [password(), proofOf(PASS), totp()] });
  t.is(still.ask, 'nothing');
  if (still.ask === 'nothing') t.deepEqual(still.amr, ['pwd', 'otp', 'mfa']);
});

test('where more is needed than it shows, it opens what shows enough', (t) => {
  const payroll: Partial<Facts> = { client: { clientId: 'payroll', floor: 'phr' }, owned: [KEY, PASS], enrollable: [TOTP, KEY] };
  t.deepEqual(factorsOf(decided({ ...payroll, proofs: [password()] })), ['enrolment-pass', 'key']);
  t.deepEqual(factorsOf(decided({ ...payroll, proofs: [password(), proofOf(PASS)] })), ['key']);
});

test('where nothing that can be set up would be enough, it is not asked for and so not used up', (t) => {
  const payroll: Partial<Facts> = { client: { clientId: 'payroll', floor: 'phr' }, owned: [KEY, PASS], enrollable: [TOTP] };
  t.deepEqual(factorsOf(decided({ ...payroll, proofs: [password()] })), ['key']);
});

test('a factor that was switched off is no obstacle to it', (t) => {
  const off: Partial<Facts> = { owned: [{ ...TOTP, disabled: true }, PASS], enrollable: [TOTP] };
  t.deepEqual(factorsOf(decided({ ...off, proofs: [password()] })), ['enrolment-pass']);
  t.is(decided({ ...off, proofs: [password(), proofOf(PASS)] }).ask, 'enrol');
});

test('to have one is no reason to be asked for it', (t) => {
  t.is(decided({ owned: [PASS], enrollable: [TOTP], proofs: [password()] }).ask, 'nothing');
});

test('for an administrator, whose recovery codes count for nothing, it is a way', (t) => {
  const some: Partial<Facts> = { user: administrator, owned: [KEY, CODES, PASS], enrollable: [TOTP, KEY, EMAIL] };
  t.deepEqual(factorsOf(decided({ ...some, proofs: [password()] })), ['enrolment-pass', 'key']);
  t.deepEqual(factorsOf(decided({ ...some, proofs: [password(), proofOf(PASS)] })), ['key', 'totp'], 'what reaches the administrators’ floor');
});

test('the password has to be fresh when the pass is typed, and the enrolment may take its time', (t) => {
  t.is(decided({ ...lost, proofs: [password(HOUR), proofOf(PASS)] }).ask, 'password');
  t.is(decided({ ...lost, proofs: [password(24 * MINUTE), proofOf(PASS, 20 * MINUTE)] }).ask, 'enrol');
});

test('what was asked to be set up is what is offered, if it is enough', (t) => {
  const wish: Partial<Facts> = { ...lost, action: 'enrol', actionFactors: ['key'], proofs: [password(), proofOf(PASS)] };
  t.deepEqual(factorsOf(decided(wish)), ['key']);
  t.deepEqual(factorsOf(decided({ ...wish, actionFactors: ['hotp'] })), ['key', 'totp']);
});
