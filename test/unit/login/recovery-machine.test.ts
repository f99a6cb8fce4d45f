/** The machine of a forgotten password: by example, and as random recoveries by whoever sits at the browser. */
import test from 'ava';
import { ask, type Barrier, next, type RecoveryEvent, type RecoveryRules, type RecoveryState, waysOf } from '../../../src/login/recovery/machine.ts';
import type { OwnedFactor } from '../../../src/policy/policy.ts';
import fc from '../../support/property.ts';

const owned = (factor: string, some: Partial<OwnedFactor> = {}): OwnedFactor => ({ factor, level: 'aal2', kinds: ['possession'], ...some });
const FROM = { login: null, language: 'en' };
const nothing: RecoveryRules = { barrier: null, ways: [], fallback: [] };
const rulesWith = (...factors: string[]): RecoveryRules => ({ ...nothing, ways: factors.map((factor) => ({ factor, credentialId: `${factor}-1` })) });
const sent: RecoveryState = { ...ask(FROM), at: 'sent', userId: 'alice', email: 'alice@example.com' };
const walk = (state: RecoveryState, rules: RecoveryRules, ...events: RecoveryEvent[]): RecoveryState =>
  events.reduce((at, event) => next(at, event, rules), state);

test('whoever owns nothing else sets a new password at once', (t) => {
  t.is(walk(sent, nothing, { type: 'followed' }).at, 'password');
  t.is(walk(sent, nothing, { type: 'followed' }, { type: 'changed' }).at, 'done');
});

test('a name that is nobody’s leads nowhere', (t) => {
  const asked = ask({ login: 'uid', language: 'en' });
  for (const event of [{ type: 'followed' }, { type: 'changed' }, { type: 'chosen', factor: 'totp' }, { type: 'cancelled' }] as const)
    t.is(next(asked, event, nothing), asked);
});

test('whoever owns an app shows it first', (t) => {
  const rules = rulesWith('totp');
  const challenged = walk(sent, rules, { type: 'followed' });
  t.is(challenged.at, 'challenge');
  t.is(challenged.factor, 'totp');
  t.is(next(challenged, { type: 'changed' }, rules), challenged, 'there is no way around it');
  t.is(next(challenged, { type: 'shown', way: { factor: 'totp', credentialId: 'mallory-1' } }, rules), challenged, 'nor by somebody else’s');
  t.is(next(challenged, { type: 'shown', way: { factor: 'totp', credentialId: 'totp-1' } }, rules).at, 'password');
});

test('of several factors one is enough, and another one may be chosen', (t) => {
  const rules = rulesWith('totp', 'security-key');
  const choosing = walk(sent, rules, { type: 'followed' });
  t.is(choosing.at, 'choose');
  t.is(next(choosing, { type: 'chosen', factor: 'sms-otp' }, rules), choosing);
  const challenged = next(choosing, { type: 'chosen', factor: 'security-key' }, rules);
  t.is(challenged.factor, 'security-key');
  t.is(next(challenged, { type: 'another' }, rules).at, 'choose');
  t.is(next(challenged, { type: 'shown', way: { factor: 'security-key', credentialId: 'security-key-1' } }, rules).at, 'password');
});

test('a factor that was set up while the page stood open is asked for, and one that was shown and is gone counts for nothing', (t) => {
  const waiting = walk(sent, nothing, { type: 'followed' });
  t.is(next(waiting, { type: 'changed' }, rulesWith('totp')).at, 'challenge');
  const shown = walk(sent, rulesWith('totp'), { type: 'followed' }, { type: 'shown', way: { factor: 'totp', credentialId: 'totp-1' } });
  t.is(shown.at, 'password');
  t.is(next(shown, { type: 'changed' }, rulesWith('security-key')).at, 'challenge');
});

test('a challenge that cannot be sent falls back to what is left, and one that has to wait does not', (t) => {
  const rules = { ...rulesWith('sms-otp', 'totp'), fallback: ['sms-otp', 'totp'] };
  const challenged = walk(sent, rules, { type: 'followed' }, { type: 'chosen', factor: 'sms-otp' });
  t.is(next(challenged, { type: 'unavailable', why: { reason: 'failed', until: null } }, rules).factor, 'totp');
  t.is(next(challenged, { type: 'unavailable', why: { reason: 'wait', until: 1 } }, rules).factor, 'sms-otp');
  const begun = next(challenged, { type: 'begun', step: 'one' }, rules);
  t.is(next(begun, { type: 'begun', step: 'two' }, rules), begun, 'a second tab sends nothing');
  t.deepEqual(next(begun, { type: 'begun', step: 'two', again: true }, rules).challenges, { 'sms-otp': 'two' });
});

test('which factors are shown, and what stands in the way', (t) => {
  const cases: [string, OwnedFactor[], boolean, Barrier | null, string[]][] = [
    ['nothing owned', [], false, null, []],
    ['an app', [owned('totp')], false, null, ['totp']],
    ['codes by mail alone', [owned('email-otp', { level: 'aal1' })], false, null, []],
    ['codes by mail that the realm counts', [owned('email-otp')], false, 'mailbox', []],
    ['codes by mail and an app', [owned('email-otp'), owned('totp')], false, null, ['totp']],
    ['an app that was switched off', [owned('totp', { disabled: true })], false, 'switched-off', []],
    ['an app that was switched off, and a key', [owned('totp', { disabled: true }), owned('security-key')], false, null, ['security-key']],
    ['recovery codes', [owned('recovery-codes')], false, null, ['recovery-codes']],
    ['an enrolment pass alone', [owned('enrolment-pass')], false, null, []],
    ['an administrator with nothing', [], true, 'administrator', []],
    ['an administrator with codes by mail', [owned('email-otp')], true, 'administrator', []],
    ['an administrator with recovery codes', [owned('recovery-codes')], true, 'administrator', []],
    ['an administrator with an app', [owned('totp'), owned('recovery-codes')], true, null, ['totp']],
  ];
  for (const [title, factors, administrator, barrier, ways] of cases)
    t.deepEqual(waysOf({ owned: factors, administrator }), { barrier, factors: ways }, title);
});

const ids = ['totp', 'sms-otp', 'security-key', 'recovery-codes', 'email-otp', 'enrolment-pass'];
const factor = fc.record({
  factor: fc.constantFrom(...ids),
  level: fc.constantFrom('aal1' as const, 'aal2' as const, 'phr' as const),
  disabled: fc.boolean(),
});
const world = fc.record({ owned: fc.uniqueArray(factor, { selector: ({ factor }) => factor }), administrator: fc.boolean() });
const way = fc.record({ factor: fc.constantFrom(...ids), credentialId: fc.constantFrom('a', 'b', 'somebody-else’s') });
const event: fc.Arbitrary<RecoveryEvent> = fc.oneof(
  fc.constant<RecoveryEvent>({ type: 'sent', userId: 'alice', email: 'alice@example.com' }),
  fc.constantFrom<RecoveryEvent>({ type: 'followed' }, { type: 'another' }, { type: 'changed' }, { type: 'cancelled' }),
  fc.boolean().map((last): RecoveryEvent => ({ type: 'failed', last })),
  fc.constantFrom(...ids).map((chosen): RecoveryEvent => ({ type: 'chosen', factor: chosen })),
  fc.record({ step: fc.integer(), again: fc.boolean() }).map((begun): RecoveryEvent => ({ type: 'begun', ...begun })),
  fc.option(fc.integer(), { nil: null }).map((until): RecoveryEvent => ({ type: 'unavailable', why: { reason: 'failed', until } })),
  way.map((shown): RecoveryEvent => ({ type: 'shown', way: shown })),
);

interface World {
  owned: { factor: string; level: 'aal1' | 'aal2' | 'phr'; disabled: boolean }[];
  administrator: boolean;
}

const rulesIn = (at: World): RecoveryRules => {
  const { barrier, factors } = waysOf({
    owned: at.owned.map((one) => ({ ...one, kinds: ['possession' as const] })),
    administrator: at.administrator,
  });
  return {
    barrier,
    ways: factors.flatMap((one) => ['a', 'b'].map((credentialId) => ({ factor: one, credentialId }))),
    fallback: ['sms-otp', 'totp'],
  };
};

/** Said without the machine: who may set a new password, from what is owned now and what was shown. */
function mayBeDone(at: World, { userId, shown }: RecoveryState): boolean {
  const counts = at.owned.filter(({ factor }) => !['email-otp', 'enrolment-pass', ...(at.administrator ? ['recovery-codes'] : [])].includes(factor));
  if (userId === null || shown?.credentialId === 'somebody-else’s') return false;
  return counts.length === 0 ? !at.administrator : counts.some((one) => !one.disabled && one.factor === shown?.factor);
}

function isSound(before: RecoveryState, one: RecoveryEvent, after: RecoveryState, at: World): boolean {
  if (before.at === 'done' || before.at === 'refused') return after === before;
  if (after.at === 'done') return before.at === 'password' && mayBeDone(at, after);
  // Nothing goes on without a name that is somebody's, and then without the link.
  if (before.at === 'asked') return after === before || one.type === 'sent';
  if (before.at === 'sent') return after === before || one.type === 'followed';
  return after.at !== 'challenge' || after.factor !== null;
}

test('whatever is done, a new password is set by the mailbox and one of the factors that are owned, or by nobody', (t) => {
  fc.assert(
    fc.property(fc.array(fc.tuple(event, world), { maxLength: 25 }), (steps) => {
      let state = ask(FROM);
      return steps.every(([one, at]) => {
        const before = state;
        state = next(before, one, rulesIn(at));
        return isSound(before, one, state, at);
      });
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});

test('an honest owner arrives, whatever they own', (t) => {
  fc.assert(
    fc.property(world, (at) => {
      const rules = rulesIn(at);
      let state = next(sent, { type: 'followed' }, rules);
      for (let pages = 0; pages < 4 && state.at !== 'done' && state.at !== 'refused'; pages += 1) {
        if (state.at === 'choose') state = next(state, { type: 'chosen', factor: rules.ways[0]?.factor ?? '' }, rules);
        else if (state.at === 'challenge') state = next(state, { type: 'shown', way: { factor: state.factor ?? '', credentialId: 'a' } }, rules);
        else state = next(state, { type: 'changed' }, rules);
      }
      t.is(state.at, rules.barrier === null ? 'done' : 'refused');
      t.is(state.refusal, rules.barrier);
    }),
  );
});
