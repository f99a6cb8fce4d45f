import test from 'ava';
import { next, start } from '../../../src/login/machine.ts';
import type { LoginEvent, LoginRules, LoginState } from '../../../src/login/state.ts';
import { challengeOf, decisionOf } from '../../../src/login/walk.ts';
import type { OwnedFactor } from '../../../src/policy/decide.ts';
import { policyOf } from '../../../src/policy/document.ts';
import { FACTORS, factsWith, HOUR, MINUTE, NOW, password, proofOf, totp } from '../../support/proofs.ts';

const { totp: TOTP, passkey: PASSKEY } = FACTORS;

interface Some extends Partial<Omit<LoginRules, 'facts'>> {
  facts?: Partial<LoginRules['facts']>;
}

/** Rules of a user who owns `credentials`, as `factor-number`. */
const rulesWith = (credentials: string[], some: Some = {}): LoginRules => {
  const { facts: asked, ...rest } = some;
  const { now: _now, proofs: _proofs, ...facts } = factsWith({ ...asked });
  const choices = credentials.map((credentialId) => ({ factor: credentialId.split('-')[0] ?? '', credentialId }));
  const owned = Object.values<OwnedFactor>(FACTORS).filter((factor) => choices.some((choice) => choice.factor === factor.factor));
  return { facts: { ...facts, owned }, sessionProofs: [], choices, offers: [], fallback: [], ...rest };
};
const NOBODY = rulesWith([]);

const provedPassword: LoginEvent = { type: 'proved', userId: 'alice', proof: password() };
const proved = (credentialId: string, at = NOW): LoginEvent => ({ type: 'proved', userId: 'alice', proof: { ...totp(0, credentialId), at } });
const enrolledTotp = (id = 'totp-9'): LoginEvent => ({ type: 'enrolled', credential: { id, ...TOTP }, proof: totp(0, id) });

/** Runs events with the same rules and says where each of them led. */
const run = (state: LoginState, rules: LoginRules, ...events: LoginEvent[]): LoginState =>
  events.reduce((at, event) => next(at, event, rules, NOW), state);

test('a user with a password alone is in after the password', (t) => {
  const first = start(NOBODY, { userId: null }, NOW);
  t.is(first.at, 'identify');
  t.false(first.expected);
  const done = next(first, { ...provedPassword, remember: true }, rulesWith([]), NOW);
  t.is(done.at, 'done');
  t.is(done.userId, 'alice');
  t.true(done.remember);
  t.deepEqual(done.proofs, [password()]);
});

test('one authenticator app is challenged at once, without a choice', (t) => {
  const rules = rulesWith(['totp-1']);
  const asked = next(start(NOBODY, { userId: null }, NOW), provedPassword, rules, NOW);
  t.is(asked.at, 'challenge');
  t.is(asked.factor, 'totp');
  t.is(asked.credentialId, 'totp-1');
  t.is(next(asked, proved('totp-1'), rules, NOW).at, 'done');
});

test('several apps are a choice; "another way" leads back to it', (t) => {
  const rules = rulesWith(['totp-1', 'totp-2', 'key-1']);
  const choice = next(start(NOBODY, { userId: null }, NOW), provedPassword, rules, NOW);
  t.is(choice.at, 'choose');
  const second = next(choice, { type: 'chosen', factor: 'totp', credentialId: 'totp-2' }, rules, NOW);
  t.is(second.at, 'challenge');
  t.is(next(second, proved('totp-1'), rules, NOW), second, 'another credential than the chosen one');
  t.is(next(second, { type: 'chosen', factor: 'key', credentialId: 'key-1' }, rules, NOW), second, 'not from the choice page');
  t.is(next(second, proved('totp-2'), rules, NOW).at, 'done');
  const back = next(second, { type: 'another' }, rules, NOW);
  t.is(back.at, 'choose');
  t.is(back.credentialId, null);
  const any = next(back, { type: 'chosen', factor: 'totp', credentialId: null }, rules, NOW);
  t.is(next(any, proved('totp-1'), rules, NOW).at, 'done');
});

test('"another way" with one way leads nowhere', (t) => {
  const rules = rulesWith(['totp-1']);
  const asked = next(start(NOBODY, { userId: null }, NOW), provedPassword, rules, NOW);
  t.is(next(asked, { type: 'another' }, rules, NOW), asked);
});

test('what would not do is not offered and cannot be chosen (B06)', (t) => {
  const rules = rulesWith(['totp-1', 'key-1', 'key-2', 'passkey-1'], { facts: { requested: { acr: ['phr'], essential: true } } });
  const choice = next(start(NOBODY, { userId: null }, NOW), provedPassword, rules, NOW);
  t.is(choice.at, 'choose');
  t.is(next(choice, { type: 'chosen', factor: 'totp', credentialId: 'totp-1' }, rules, NOW), choice);
  t.is(next(choice, { type: 'chosen', factor: 'totp', credentialId: null }, rules, NOW), choice);
  t.is(next(choice, { type: 'chosen', factor: 'key', credentialId: 'totp-1' }, rules, NOW), choice);
  t.is(next(choice, { type: 'chosen', factor: 'key', credentialId: 'key-2' }, rules, NOW).at, 'challenge');
});

test('a second factor before the password, or of another user, moves nothing (B04)', (t) => {
  const rules = rulesWith(['totp-1']);
  const first = start(NOBODY, { userId: null }, NOW);
  t.is(next(first, proved('totp-1'), rules, NOW), first);
  const asked = next(first, provedPassword, rules, NOW);
  t.is(next(asked, { type: 'proved', userId: 'mallory', proof: totp() }, rules, NOW), asked);
  t.is(next(asked, proved('totp-of-mallory'), rules, NOW), asked);
  t.is(next(asked, { type: 'proved', userId: 'alice', proof: password(-1) }, rules, NOW), asked, 'the password again is no second factor');
});

test('the last failure ends the transaction, the others move nothing (A07)', (t) => {
  const rules = rulesWith(['totp-1']);
  const asked = next(start(NOBODY, { userId: null }, NOW), provedPassword, rules, NOW);
  t.is(next(asked, { type: 'failed', last: false }, rules, NOW), asked);
  const ended = next(asked, { type: 'failed', last: true }, rules, NOW);
  t.is(ended.at, 'refused');
  t.is(ended.refusal, 'attempts');
  t.is(run(ended, rules, provedPassword, proved('totp-1'), { type: 'another' }, { type: 'cancelled' }), ended);
});

test('forced enrolment: one app to enrol, its confirming code is the proof', (t) => {
  const rules = rulesWith([], { facts: { policy: policyOf('required') } });
  const page = next(start(NOBODY, { userId: null }, NOW), provedPassword, rules, NOW);
  t.is(page.at, 'enrol');
  t.is(page.factor, 'totp');
  t.is(page.step, null);
  t.is(next(page, enrolledTotp(), rules, NOW), page, 'nothing was begun');
  const begun = next(page, { type: 'begun', step: { secret: 'sealed' } }, rules, NOW);
  t.deepEqual(begun.step, { secret: 'sealed' });
  t.is(next(begun, { type: 'begun', step: { secret: 'other' } }, rules, NOW), begun, 'a second tab does not replace the secret');
  t.is(next(begun, { type: 'another' }, rules, NOW), begun);
  t.is(next(begun, { type: 'failed', last: false }, rules, NOW), begun);
  // The caller may pass rules read before the credential was stored, or after.
  for (const seen of [rules, rulesWith(['totp-9'], { facts: { policy: policyOf('required') } })]) {
    const done = next(begun, enrolledTotp(), seen, NOW);
    t.is(done.at, 'done');
    t.deepEqual(done.enrolled, ['totp-9']);
    t.is(done.step, null);
    t.is(done.action, null);
  }
});

test('forced enrolment may take longer than five minutes once it was begun', (t) => {
  const rules = rulesWith([], { facts: { policy: policyOf('required') } });
  const begun = run(start(NOBODY, { userId: null }, NOW), rules, provedPassword, { type: 'begun', step: {} });
  const later = NOW + 20 * MINUTE;
  t.is(next(begun, { type: 'failed', last: false }, rules, later), begun);
  t.is(next(begun, { type: 'enrolled', credential: { id: 'totp-9', ...TOTP }, proof: { ...totp(0, 'totp-9'), at: later } }, rules, later).at, 'done');
});

test('a choice of what to enrol that lay open for too long asks for the password again (C02)', (t) => {
  const rules = rulesWith([], { facts: { policy: policyOf('required'), enrollable: [TOTP, PASSKEY] } });
  const choice = next(start(NOBODY, { userId: null }, NOW), provedPassword, rules, NOW);
  t.is(choice.at, 'choose');
  const chosen: LoginEvent = { type: 'chosen', factor: 'passkey', credentialId: null };
  t.is(next(choice, chosen, rules, NOW).at, 'enrol');
  t.is(next(choice, { ...chosen, credentialId: 'x' }, rules, NOW), choice);
  const later = NOW + 6 * MINUTE;
  const again = next(choice, chosen, rules, later);
  t.is(again.at, 'password');
  t.is(next(again, { type: 'proved', userId: 'alice', proof: password(-6 * MINUTE) }, rules, later).at, 'choose');
});

test('what was enrolled is not what was begun: nothing moves', (t) => {
  const rules = rulesWith([], { facts: { policy: policyOf('required'), enrollable: [TOTP, PASSKEY] } });
  const begun = run(
    start(NOBODY, { userId: null }, NOW),
    rules,
    provedPassword,
    { type: 'chosen', factor: 'passkey', credentialId: null },
    { type: 'begun', step: 1 },
  );
  t.is(begun.at, 'enrol');
  t.is(next(begun, enrolledTotp(), rules, NOW), begun);
  t.is(next(begun, { type: 'enrolled', credential: { id: 'passkey-9', ...PASSKEY }, proof: totp() }, rules, NOW), begun);
  t.is(
    next(begun, { type: 'enrolled', credential: { id: 'passkey-9', ...PASSKEY }, proof: proofOf(PASSKEY, 0, 'passkey-9') }, rules, NOW).at,
    'done',
  );
});

test('step-up knows the account: only the factor is asked, and the account cannot change', (t) => {
  const rules = rulesWith(['totp-1'], {
    facts: { policy: policyOf('off'), requested: { acr: ['aal2'], essential: false } },
    sessionProofs: [password(HOUR)],
  });
  const asked = start(rules, { userId: 'alice' }, NOW);
  t.is(asked.at, 'challenge');
  t.true(asked.expected);
  t.is(next(asked, proved('totp-1'), rules, NOW).at, 'done');
  t.is(next(asked, { type: 'other-account' }, rules, NOW).refusal, 'cancelled');
});

test('re-authentication asks for the password of the known user', (t) => {
  const rules = rulesWith([], { facts: { requested: { acr: [], essential: false, freshSince: NOW } }, sessionProofs: [password(HOUR)] });
  const asked = start(rules, { userId: 'alice' }, NOW);
  t.is(asked.at, 'password');
  t.is(next(asked, { type: 'proved', userId: 'mallory', proof: password() }, rules, NOW), asked);
  t.is(next(asked, provedPassword, rules, NOW).at, 'done');
});

test("another session's proofs never count for the one who signs in", (t) => {
  const rules = rulesWith(['totp-1'], { sessionProofs: [password(HOUR), totp(HOUR)] });
  const first = start(rules, { userId: null }, NOW);
  t.is(first.at, 'identify');
  t.is(next(first, provedPassword, rules, NOW).at, 'challenge');
});

test('"not you?" begins anew, with nothing kept', (t) => {
  const rules = rulesWith(['totp-1']);
  const first = start(NOBODY, { userId: null }, NOW);
  t.is(next(first, { type: 'other-account' }, NOBODY, NOW), first);
  const asked = next(first, { ...provedPassword, remember: true }, rules, NOW);
  t.deepEqual(next(asked, { type: 'other-account' }, rules, NOW), first);
});

test('what cannot be met is refused: at once when nobody could, else after the password', (t) => {
  t.is(start(rulesWith([], { facts: { requested: { acr: ['urn:unknown'], essential: true } } }), { userId: null }, NOW).refusal, 'unmet');
  const rules = rulesWith(['totp-1'], { facts: { requested: { acr: ['phr'], essential: false } } });
  const first = start(rulesWith([], { facts: { requested: { acr: ['phr'], essential: false } } }), { userId: null }, NOW);
  t.is(first.at, 'identify');
  t.is(next(first, provedPassword, rules, NOW).refusal, 'unmet');
});

test('a proof that is made again later takes the place of the first; an earlier or equal one changes nothing', (t) => {
  const requested = { acr: [], essential: false, freshSince: NOW };
  const rules = rulesWith([], { facts: { requested } });
  const first = start(rules, { userId: null }, NOW);
  const stale = next(first, { type: 'proved', userId: 'alice', proof: password(MINUTE) }, rules, NOW);
  t.is(stale.at, 'password');
  t.is(next(stale, { type: 'proved', userId: 'alice', proof: password(MINUTE) }, rules, NOW), stale);
  t.is(next(stale, { type: 'proved', userId: 'alice', proof: password(2 * MINUTE) }, rules, NOW), stale);
  const fresh = next(stale, provedPassword, rules, NOW);
  t.is(fresh.at, 'done');
  t.deepEqual(fresh.proofs, [password()]);
});

const WISH = { action: 'enrol' as const, actionFreshSince: NOW - 5 * MINUTE };

test('kc_action: the strongest owned factor, one enrolment, done', (t) => {
  const rules = rulesWith(['totp-1'], { facts: WISH });
  const asked = next(start(rulesWith([], { facts: WISH }), { userId: null }, NOW), provedPassword, rules, NOW);
  t.is(asked.at, 'challenge');
  t.is(asked.action, 'pending');
  const page = next(asked, proved('totp-1'), rules, NOW);
  t.is(page.at, 'enrol');
  const done = run(page, rules, { type: 'begun', step: 1 }, enrolledTotp());
  t.is(done.at, 'done');
  t.is(done.action, 'done');
  t.deepEqual(done.enrolled, ['totp-9']);
});

test('kc_action: with several to enrol it is a choice, and still one enrolment', (t) => {
  const rules = rulesWith([], { facts: { ...WISH, policy: policyOf('off'), enrollable: [TOTP, PASSKEY] } });
  const choice = next(start(rules, { userId: null }, NOW), provedPassword, rules, NOW);
  t.is(choice.at, 'choose');
  const page = next(choice, { type: 'chosen', factor: 'totp', credentialId: null }, rules, NOW);
  t.is(next(page, { type: 'another' }, rules, NOW).at, 'choose');
  t.is(run(page, rules, { type: 'begun', step: 1 }, enrolledTotp()).at, 'done');
});

test('kc_action in a session: recent proofs go straight to the enrolment, old ones do not (C01, C02)', (t) => {
  const session = (ago: number) => rulesWith(['totp-1'], { facts: WISH, sessionProofs: [password(ago), totp(ago)] });
  t.is(start(session(MINUTE), { userId: 'alice' }, NOW).at, 'enrol');
  t.is(start(session(6 * MINUTE), { userId: 'alice' }, NOW).at, 'password');
  t.is(start(rulesWith(['totp-1'], { facts: WISH, sessionProofs: [password(0)] }), { userId: 'alice' }, NOW).at, 'challenge');
});

test('kc_action cancelled: done without it when the sign-in stands, refused when it does not', (t) => {
  const rules = rulesWith(['totp-1'], { facts: WISH, sessionProofs: [password(HOUR), totp(MINUTE)] });
  const reauthentication = start(rules, { userId: 'alice' }, NOW);
  t.is(reauthentication.at, 'password');
  const done = next(reauthentication, { type: 'cancelled' }, rules, NOW);
  t.is(done.at, 'done');
  t.is(done.action, 'cancelled');
  t.deepEqual(done.enrolled, []);

  const stranger = start(rulesWith([], { facts: WISH }), { userId: null }, NOW);
  t.is(next(stranger, { type: 'cancelled' }, NOBODY, NOW).refusal, 'cancelled');

  const forced = rulesWith([], { facts: { ...WISH, policy: policyOf('required') } });
  const page = next(start(forced, { userId: null }, NOW), provedPassword, forced, NOW);
  t.is(page.at, 'enrol');
  t.is(next(page, { type: 'cancelled' }, forced, NOW).refusal, 'cancelled');
});

test('kc_action in a realm that offers nothing to enrol is left undone', (t) => {
  const rules = rulesWith([], { facts: { ...WISH, enrollable: [] } });
  const done = next(start(rules, { userId: null }, NOW), provedPassword, rules, NOW);
  t.is(done.at, 'done');
  t.is(done.action, 'pending');
});

test('a forced enrolment fulfils the wish, too', (t) => {
  const rules = rulesWith([], { facts: { ...WISH, policy: policyOf('required') } });
  const done = run(start(rules, { userId: null }, NOW), rules, provedPassword, { type: 'begun', step: 1 }, enrolledTotp());
  t.is(done.at, 'done');
  t.is(done.action, 'done');
});

test('kc_action and a forced enrolment of something else: the wish is still to be done', (t) => {
  const forced = rulesWith([], { facts: { ...WISH, policy: policyOf('required') }, wish: { factor: 'passkey' } });
  const done = run(start(forced, { userId: null }, NOW), forced, provedPassword, { type: 'begun', step: 1 }, enrolledTotp());
  t.is(done.action, 'pending');
});

const CHANGE = 'required:UPDATE_PASSWORD';
const changing = (after: 'always' | 'wished', ago: number, some: Some = {}) =>
  rulesWith(['totp-1'], {
    facts: { action: 'change' },
    sessionProofs: [password(ago), totp(ago)],
    offers: [{ action: CHANGE, after }],
    wish: { action: CHANGE },
    ...some,
  });

test('kc_action that changes something: a page of its own behind fresh proof, and done once it was answered', (t) => {
  const rules = changing('wished', MINUTE);
  const page = start(rules, { userId: 'alice' }, NOW);
  t.like(page, { at: 'action', due: CHANGE, action: 'pending' });
  t.like(next(page, { type: 'answered', action: CHANGE }, rules, NOW), { at: 'done', action: 'done' });
  t.like(next(page, { type: 'cancelled' }, rules, NOW), { at: 'done', action: 'cancelled' });
  t.is(next(page, { type: 'answered', action: 'another' }, rules, NOW), page);
  t.is(next(page, { type: 'another' }, rules, NOW), page);
  t.is(next(page, { type: 'another' }, changing('wished', 6 * MINUTE), NOW).at, 'password', 'what went stale meanwhile is asked again');
});

test('what an administrator requires is not cancelled with the wish, nor come by without proof', (t) => {
  const page = start(changing('always', MINUTE), { userId: 'alice' }, NOW);
  t.like(page, { at: 'action', due: CHANGE });
  t.is(next(page, { type: 'cancelled' }, changing('always', MINUTE), NOW).refusal, 'cancelled');
  const stale = changing('always', 6 * MINUTE);
  const asked = start(stale, { userId: 'alice' }, NOW);
  t.is(asked.at, 'password');
  t.like(next(asked, { type: 'cancelled' }, stale, NOW), { at: 'done', action: 'cancelled' });
});

test('a password that was replaced is what was proved; a method that was removed proves nothing any more', (t) => {
  const rules = rulesWith(['totp-1'], { facts: { action: 'change' }, offers: [{ action: CHANGE, after: 'wished' }], wish: { action: CHANGE } });
  const page = run(start(rules, { userId: null }, NOW), rules, provedPassword, proved('totp-1'));
  t.is(page.due, CHANGE);
  const { credentialId: was } = password();
  const replaced = next(page, { type: 'answered', action: CHANGE, replaced: { was, by: 'new' } }, rules, NOW);
  t.is(replaced.at, 'done');
  t.deepEqual(replaced.proofs.map(({ credentialId }) => credentialId).toSorted(), ['new', 'totp-1']);
  t.like(next(page, { type: 'answered', action: CHANGE, removed: ['totp-1'] }, rules, NOW), { at: 'challenge', action: 'done' });
});

test('without a wish, cancelling is access denied', (t) => {
  const rules = rulesWith(['totp-1']);
  const asked = next(start(NOBODY, { userId: null }, NOW), provedPassword, rules, NOW);
  t.is(next(asked, { type: 'cancelled' }, rules, NOW).refusal, 'cancelled');
});

test('the page and the provider ask the same decision', (t) => {
  const rules = rulesWith(['totp-1']);
  const asked = next(start(NOBODY, { userId: null }, NOW), provedPassword, rules, NOW);
  t.is(decisionOf(asked, rules, NOW).ask, 'factor');
  t.is(decisionOf(next(asked, proved('totp-1'), rules, NOW), rules, NOW).ask, 'nothing');
});

test('several credentials of one factor are no choice: any of them will do', (t) => {
  const rules = rulesWith(['totp-1', 'totp-2']);
  const asked = next(start(NOBODY, { userId: null }, NOW), provedPassword, rules, NOW);
  t.like(asked, { at: 'challenge', factor: 'totp', credentialId: null });
  t.is(next(asked, proved('totp-2'), rules, NOW).at, 'done');
});

/** A sign-in that is asked for a code by SMS or mail. */
const codes = (some: Some = {}) => {
  const rules = rulesWith(['hotp-1', 'totp-1', 'key-1'], { fallback: ['hotp', 'totp'], ...some });
  const choice = next(start(NOBODY, { userId: null }, NOW), provedPassword, rules, NOW);
  return { rules, asked: next(choice, { type: 'chosen', factor: 'hotp', credentialId: null }, rules, NOW) };
};

test('a challenge is begun once; a code that was sent again takes its place', (t) => {
  const { rules, asked } = codes();
  t.is(challengeOf(asked), null);
  const begun = next(asked, { type: 'begun', step: 'first' }, rules, NOW);
  t.is(challengeOf(begun), 'first');
  t.is(next(begun, { type: 'begun', step: 'second' }, rules, NOW), begun, 'a second tab must not void the code that was sent');
  t.is(challengeOf(next(begun, { type: 'begun', step: 'second', again: true }, rules, NOW)), 'second');
});

test('a code that was sent stays good while the user looks for another way', (t) => {
  const { rules, asked } = codes();
  const begun = next(asked, { type: 'begun', step: 'first' }, rules, NOW);
  const other = run(begun, rules, { type: 'another' }, { type: 'chosen', factor: 'totp', credentialId: null });
  t.is(challengeOf(other), null);
  const back = run(other, rules, { type: 'another' }, { type: 'chosen', factor: 'hotp', credentialId: null });
  t.is(challengeOf(back), 'first');
});

test('what cannot be sent falls back to the next of the list, and never to what is not enough', (t) => {
  const failed: LoginEvent = { type: 'unavailable', why: { reason: 'failed', until: null } };
  const { rules, asked } = codes();
  const fallen = next(asked, failed, rules, NOW);
  t.like(fallen, { at: 'challenge', factor: 'totp' });
  const nothingLeft = next(fallen, failed, rules, NOW);
  t.like(nothingLeft, { at: 'challenge', factor: 'totp', unavailable: { hotp: { reason: 'failed' }, totp: { reason: 'failed' } } });
  t.is(next(nothingLeft, { type: 'another' }, rules, NOW).at, 'choose');

  const strict = codes({ facts: { requested: { acr: ['phr'], essential: true } } });
  t.is(strict.asked.at, 'challenge', 'only the key will do, and it is asked at once');
  t.is(strict.asked.factor, 'key');
  t.is(next(strict.asked, failed, strict.rules, NOW).factor, 'key');
});

test('to wait is not to fail: nobody is sent a second code by another way', (t) => {
  const { rules, asked } = codes();
  const waiting = next(asked, { type: 'unavailable', why: { reason: 'wait', until: NOW + 30_000 } }, rules, NOW);
  t.is(waiting.factor, 'hotp');
  t.deepEqual(next(waiting, { type: 'begun', step: 'now' }, rules, NOW).unavailable, {}, 'it works when it is tried again');
});

test('what is offered comes before the end, once, and only after what it is for', (t) => {
  const offers: LoginRules['offers'] = [
    { action: 'offer:passkey', after: 'proved', factors: ['totp'] },
    { action: 'offer:recovery-codes', after: 'enrolled', factors: ['totp'] },
  ];
  const rules = rulesWith(['totp-1'], { offers });
  const asked = next(start(NOBODY, { userId: null }, NOW), provedPassword, rules, NOW);
  const offered = next(asked, proved('totp-1'), rules, NOW);
  t.like(offered, { at: 'action', due: 'offer:passkey', step: null });
  t.is(next(offered, { type: 'answered', action: 'offer:recovery-codes' }, rules, NOW), offered, 'another answer than to what is due');
  t.like(next(offered, { type: 'begun', step: 'challenge' }, rules, NOW), { at: 'action', step: 'challenge' });
  const done = next(offered, { type: 'answered', action: 'offer:passkey' }, rules, NOW);
  t.like(done, { at: 'done', due: null });
  t.deepEqual(done.proofs, offered.proofs, 'what is offered proves nothing');
});

test('a sign-in that was begun without a name gets another challenge, and only there', (t) => {
  const first = start(NOBODY, { userId: null, discovery: 'one' }, NOW);
  t.is(first.discovery, 'one');
  const second = next(first, { type: 'rediscovered', discovery: 'two' }, NOBODY, NOW);
  t.is(second.discovery, 'two');
  const asked = next(second, provedPassword, rulesWith(['totp-1']), NOW);
  t.is(next(asked, { type: 'rediscovered', discovery: 'three' }, rulesWith(['totp-1']), NOW), asked);
});

test('with a pass something new is set up, and what it took the place of shows nothing any more', (t) => {
  const { 'enrolment-pass': PASS } = FACTORS;
  const rules = rulesWith(['totp-1'], { facts: { enrollable: [TOTP] } });
  const withPass: LoginRules = {
    ...rules,
    facts: { ...rules.facts, owned: [TOTP, PASS] },
    choices: [...rules.choices, { factor: 'enrolment-pass', credentialId: 'pass-1' }],
  };
  const choosing = next(start(NOBODY, { userId: null }, NOW), provedPassword, withPass, NOW);
  t.is(choosing.at, 'choose');
  const asked = next(choosing, { type: 'chosen', factor: 'enrolment-pass', credentialId: null }, withPass, NOW);
  const typed = next(asked, { type: 'proved', userId: 'alice', proof: proofOf(PASS, 0, 'pass-1') }, withPass, NOW);
  t.is(typed.at, 'enrol');
  // It was gone when it was typed.
  const begun = next(typed, { type: 'begun', step: 'secret' }, rules, NOW);
  const fresh: LoginEvent = { type: 'enrolled', credential: { id: 'totp-9', ...TOTP }, proof: totp(0, 'totp-9'), removed: ['totp-1', 'pass-1'] };
  const done = next(begun, fresh, rulesWith(['totp-9']), NOW);
  t.is(done.at, 'done');
  t.deepEqual(
    done.proofs.map(({ credentialId }) => credentialId),
    ['pw-1', 'totp-9'],
  );
});
