import test from 'ava';
import { askRecent, isRecent, RECENT_SECONDS } from '../../../src/http/recent.ts';
import type { Proof } from '../../../src/policy/assurance.ts';
import type { OwnedFactor } from '../../../src/policy/policy.ts';

const NOW = 1_800_000_000_000;
const minutes = (count: number): number => NOW - count * 60_000;

const password = (at: number): Proof => ({ credentialId: 'p', factor: 'password', kinds: ['knowledge'], level: 'aal1', amr: ['pwd'], at });
const totp = (at: number): Proof => ({ credentialId: 't', factor: 'totp', kinds: ['possession'], level: 'aal2', amr: ['otp'], at });
const app: OwnedFactor = { factor: 'totp', level: 'aal2', kinds: ['possession'] };
const key: OwnedFactor = { factor: 'webauthn', level: 'phr', kinds: ['possession'] };
const mail: OwnedFactor = { factor: 'email', level: 'aal1', kinds: ['possession'] };

test('five minutes, and not a millisecond more', (t) => {
  t.is(RECENT_SECONDS, 300);
  t.true(isRecent([totp(minutes(5))], [app], NOW));
  t.false(isRecent([totp(minutes(5) - 1)], [app], NOW));
});

test('whoever owns a second factor has to have shown it: a password alone is not recent', (t) => {
  t.false(isRecent([password(NOW)], [app], NOW));
  t.false(isRecent([password(NOW), totp(minutes(60))], [app], NOW));
  t.true(isRecent([password(minutes(60)), totp(minutes(1))], [app], NOW));
});

test('the strongest factor owned is the one that counts', (t) => {
  t.false(isRecent([password(NOW), totp(NOW)], [app, key], NOW));
  t.true(isRecent([{ ...totp(NOW), factor: 'webauthn', level: 'phr' }], [app, key], NOW));
});

test('without another factor the password counts', (t) => {
  t.true(isRecent([password(minutes(4))], [], NOW));
  t.false(isRecent([password(minutes(6))], [], NOW));
  t.false(isRecent([], [], NOW));
  t.true(isRecent([password(NOW)], [mail], NOW), 'a factor that raises nothing is not insisted on');
});

test('what is asked of the sign-in brings up what was missing', (t) => {
  t.deepEqual(askRecent([]), { max_age: '300' });
  t.deepEqual(askRecent([app]), { max_age: '300', acr_values: 'aal2' });
  t.deepEqual(askRecent([app, key]), { max_age: '300', acr_values: 'phr' });
});
