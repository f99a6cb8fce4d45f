/** Custom factors: which hook does what, what it may claim, and what becomes of a hook that does not do its part. */
import test from 'ava';
import type { CustomState } from '../../../src/factors/custom/challenge.ts';
import { customFactor } from '../../../src/factors/custom/custom.ts';
import { customFactorsOf } from '../../../src/factors/custom/factors.ts';
import type { HookContext, Hooks } from '../../../src/factors/custom/hooks.ts';
import type { CustomTerms } from '../../../src/factors/custom/running.ts';
import { defaultRealmSettings, realmSettings } from '../../../src/realms/settings.ts';
import { customTerms } from '../../support/custom-factors.ts';
import { credentialOf, factorContext, Sent, stateOf } from '../../support/factors.ts';

/** A factor whose challenge was begun for alice. */
async function begun(some: Partial<CustomTerms> & { hooks: Hooks }, about: Parameters<typeof factorContext>[0] = {}) {
  const faults: unknown[] = [];
  const factor = customFactor(customTerms({ report: ({ fault }) => fault !== undefined && faults.push(fault), ...some }));
  const sent = new Sent();
  const cx = factorContext({ sent, ...about });
  const held = [credentialOf(factor.id, { kept: 'badge 7', address: null })];
  const state = stateOf(await factor.begin?.(cx, held));
  if (state === null) throw new Error('no challenge');
  const answer = (code: string, at: Partial<CustomState> = {}) => factor.verify(cx, { ...state, ...at }, { code }, held);
  return { factor, cx, sent, held, state, answer, faults };
}

/** What an answer comes to of which the hook has made nothing. */
const FAILED = { ok: false, reason: 'failed' };
const never = new Promise<never>(() => undefined);

test('a module that leaves both hooks out is a code by mail', async (t) => {
  const { sent, state, answer, factor, cx, held } = await begun({ hooks: {} });
  t.like(sent.deliveries, [{ factor: 'custom-test', channel: 'mail', to: 'alice@example.com', purpose: 'sign-in', validMs: 300_000 }]);
  t.regex(sent.code, /^\d{8}$/);
  t.like((await factor.show(cx, state, held)).model, { sent: 'mail', inputmode: 'numeric', message: null, asks: null, seconds: 300, name: 'Test' });
  t.like(await answer('00000000'), { ok: sent.code === '00000000', reason: 'wrong' });
  t.like(await answer(` ${sent.code.slice(0, 4)} ${sent.code.slice(4)} `), {
    ok: true,
    level: 'aal1',
    amr: ['badge', 'test'],
    kinds: ['possession'],
  });
});

test('without an address there is no code by mail', async (t) => {
  const factor = customFactor(customTerms());
  const user = { id: 'u', username: 'erin', email: null, emailVerified: false, administrator: false };
  t.deepEqual(await factor.begin?.(factorContext({ user }), []), { ok: false, reason: 'no-address' });
  const who = { settings: defaultRealmSettings(), channels: { mail: true, sms: true } };
  t.false(factor.enrol?.available?.({ ...who, user }));
  t.true(factor.enrol?.available?.({ ...who, user: { email: 'erin@example.com', administrator: false } }));
  t.true(customFactor(customTerms({ hooks: { init: async () => ({}) } })).enrol?.available?.({ ...who, user }));
});

test('a code by mail goes to the address that was proved, as long as it is that of the account', async (t) => {
  const factor = customFactor(customTerms());
  const user = { id: 'u', username: 'alice', email: 'alice@example.com', emailVerified: false, administrator: false };
  const sent = new Sent();
  const cx = factorContext({ user, sent });
  const enrolled = await factor.enrol?.finish(cx, stateOf((await factor.enrol.begin(cx)) ?? undefined) ?? t.fail(), { code: sent.code });
  if (enrolled?.ok !== true) return t.fail();
  t.like(enrolled, { secret: { address: 'alice@example.com' }, provesEmail: 'alice@example.com' });
  const held = [credentialOf('custom-test', enrolled.secret)];
  t.true((await factor.begin?.(factorContext({ user: { ...user, email: 'Alice@Example.com' } }), held))?.ok);
  const changed = factorContext({ user: { ...user, email: 'mallory@example.com', emailVerified: true }, sent: new Sent() });
  t.deepEqual(await factor.begin?.(changed, held), { ok: false, reason: 'no-address' }, 'whoever changes the address cannot sign in with it');
});

test('what nobody enrols is mailed to verified addresses only', async (t) => {
  const factor = customFactor(customTerms({ everyone: true }));
  const user = { id: 'u', username: 'alice', email: 'alice@example.com', emailVerified: false, administrator: false };
  t.deepEqual(await factor.begin?.(factorContext({ user }), []), { ok: false, reason: 'no-address' });
  t.true((await factor.begin?.(factorContext({ user: { ...user, emailVerified: true } }), []))?.ok);
});

test('without a hook it is a code by mail, and worth no more than those are in the realm', async (t) => {
  for (const [emailLevel, level] of [
    ['aal1', 'aal1'],
    ['aal2', 'aal2'],
  ] as const) {
    const settings = realmSettings.parse({ emailOtp: { level: emailLevel } });
    const { factor, answer, sent } = await begun({ hooks: {} }, { settings });
    t.is(factor.levelIn(settings), level);
    t.like(await answer(sent.code), { ok: true, level });
  }
  t.is(customFactor(customTerms({ hooks: { check: async () => true } })).levelIn(defaultRealmSettings()), 'aal2');
});

test('a code of initMFA is sent where it says, and compared by us without regard to its spelling', async (t) => {
  const init = async () => ({ message: 'Look at your pager.', label: 'Code of the pager', code: 'k4tz9q', deliver: { sms: '+4915112345678' } });
  const { sent, state, answer, factor, cx, held } = await begun({ hooks: { init } });
  t.like(sent.deliveries, [{ channel: 'sms', to: '+4915112345678', code: 'k4tz9q' }]);
  t.like((await factor.show(cx, state, held)).model, { message: 'Look at your pager.', asks: 'Code of the pager', sent: 'sms', inputmode: 'text' });
  t.false((await answer('K4TZ9R')).ok);
  t.true((await answer('K4T-Z9Q')).ok);
  t.false((await answer('K4TZ9Q')).ok, 'once');
});

test('a code that the hook delivers itself is compared by us too', async (t) => {
  const { sent, answer } = await begun({ hooks: { init: async () => ({ code: '445566' }) } });
  t.deepEqual(sent.deliveries, []);
  t.true((await answer('445566')).ok);
});

test('checkMFA alone decides after our code was right', async (t) => {
  const asked: string[] = [];
  const check: Hooks['check'] = async (_context, input) => asked.push(input) === 2;
  const { sent, answer } = await begun({ hooks: { check } });
  t.false((await answer('1')).ok);
  t.deepEqual(asked, [], 'a wrong code does not reach it');
  const code = sent.code;
  t.false((await answer(code)).ok, 'it may refuse');
  t.deepEqual(asked, [code]);
});

test('both hooks: the state goes from one to the other, and both are told the same', async (t) => {
  const told: HookContext[] = [];
  const hooks: Hooks = {
    init: async (context) => {
      told.push(context);
      return { state: { wanted: 'blue' } };
    },
    check: async (context, input, state) => {
      told.push(context);
      return JSON.stringify(state) === JSON.stringify({ wanted: input });
    },
  };
  const { answer, state, cx } = await begun({ hooks }, { language: 'de' });
  t.false((await answer('red')).ok);
  t.true((await answer(' blue ')).ok);
  t.deepEqual(await answer('blue'), {
    ok: false,
    reason: 'replayed',
    credentialId: ((await answer('red')) as { credentialId: string }).credentialId,
  });
  const [first] = told;
  t.deepEqual(first, {
    purpose: 'sign-in',
    challenge: state.challenge,
    realm: { id: cx.realm.id, name: 'demo', displayName: 'Demo' },
    user: { id: cx.user?.id ?? '', username: 'alice', email: 'alice@example.com', emailVerified: true },
    language: 'de',
    now: cx.now,
    kept: 'badge 7',
  });
  for (const one of told) t.deepEqual(one, first);
});

test('a hook gets copies: what it changes reaches nobody', async (t) => {
  const init: Hooks['init'] = async (context) => {
    context.user.id = 'somebody else';
    context.user.email = 'mallory@example.com';
    return { code: '123456', deliver: 'mail' };
  };
  const { sent, cx } = await begun({ hooks: { init } });
  t.is(sent.deliveries[0]?.to, 'alice@example.com');
  t.not(cx.user?.id, 'somebody else');
});

test('a challenge is good for five minutes', async (t) => {
  const { factor, cx, state, held } = await begun({ hooks: { init: async () => ({}), check: async () => true } });
  t.like(await factor.verify({ ...cx, now: cx.now + 300_000 }, state, { code: 'x' }, held), { ok: false, reason: 'expired' });
  t.true((await factor.verify({ ...cx, now: cx.now + 299_999 }, state, { code: 'x' }, held)).ok);
});

test('what is too long, empty or has more than one line never reaches a hook', async (t) => {
  let calls = 0;
  const check = async (): Promise<boolean> => {
    calls += 1;
    return true;
  };
  const { answer } = await begun({ hooks: { init: async () => undefined, check } });
  for (const code of ['', '  ', 'x'.repeat(257), 'a\nb', 'a\0', '\ud800', 'a\u2028b'])
    t.like(await answer(code), { ok: false, reason: 'malformed' }, JSON.stringify(code));
  t.is(calls, 0);
});

test('a user for whom there is no device is asked for something else', async (t) => {
  const factor = customFactor(customTerms({ hooks: { init: async () => ({ unavailable: true }), check: async () => true } }));
  t.deepEqual(await factor.begin?.(factorContext(), []), { ok: false, reason: 'no-address' });
});

test('F08 an initMFA that throws, hangs or answers nonsense begins nothing', async (t) => {
  const faults: [string, Hooks][] = [
    ['throws', { init: () => Promise.reject(new Error('no network')), check: async () => true }],
    [
      'throws at once',
      {
        init: () => {
          throw new Error('oops');
        },
        check: async () => true,
      },
    ],
    ['answers a number', { init: async () => 7, check: async () => true }],
    ['answers a field that there is not', { init: async () => ({ ok: true }), check: async () => true }],
    ['a code that is too short', { init: async () => ({ code: '1234' }) }],
    ['a code that is no code', { init: async () => ({ code: '<b>bold</b>' }) }],
    ['a delivery without a code', { init: async () => ({ deliver: 'mail' }), check: async () => true }],
    ['a delivery to anywhere', { init: async () => ({ code: '123456', deliver: { mail: 'mallory@example.com' } }) }],
    ['a number that is none', { init: async () => ({ code: '123456', deliver: { sms: '110' } }) }],
    ['text that turns around', { init: async () => ({ code: '123456', message: 'a\u202eb' }) }],
    ['text of many lines', { init: async () => ({ code: '123456', message: 'a\nb' }) }],
    ['too much state', { init: async () => ({ state: 'x'.repeat(10_000) }), check: async () => true }],
    ['state that is no JSON', { init: async () => ({ state: { at: new Date() } }), check: async () => true }],
    ['nothing to check by', { init: async () => ({}) }],
  ];
  for (const [what, hooks] of faults) {
    const seen: unknown[] = [];
    const sent = new Sent();
    const factor = customFactor(customTerms({ hooks, report: ({ fault }) => seen.push(fault) }));
    t.deepEqual(await factor.begin?.(factorContext({ sent }), []), { ok: false, reason: 'failed' }, what);
    t.is(sent.deliveries.length, 0, what);
    t.true(seen[0] instanceof Error, `${what} is reported`);
  }
});

test('F08 a checkMFA that throws or answers what it may not lets nobody in', async (t) => {
  const answers: unknown[] = [
    undefined,
    null,
    'true',
    1,
    [],
    {},
    { ok: 'true' },
    { ok: 1 },
    { ok: true, extra: 1 },
    { ok: true, reason: 'fine' },
    { ok: true, level: 'phr' },
    { ok: true, level: 'phrh' },
    { ok: true, level: 'aal3' },
    { ok: true, amr: ['hwk'] },
    { ok: true, amr: ['badge', 'mfa'] },
    { ok: true, amr: [] },
    { ok: true, amr: 'badge' },
    { ok: true, kinds: ['inherence'] },
    { ok: true, keep: 'x'.repeat(10_000) },
  ];
  const hooks: [string, Hooks['check']][] = [
    ...answers.map((answer): [string, Hooks['check']] => [JSON.stringify(answer)?.slice(0, 60) ?? 'nothing', async () => answer]),
    ['rejects', () => Promise.reject(new Error('no database'))],
    [
      'throws',
      () => {
        throw new Error('oops');
      },
    ],
  ];
  for (const [what, check] of hooks) {
    const { answer, faults } = await begun({ hooks: { init: async () => ({}), ...(check ? { check } : {}) } });
    t.like(await answer('x'), FAILED, what);
    t.is(faults.length, 1, `${what} is reported`);
  }
});

test('F08 of a factor that is worth aal1 here, aal2 is not claimed', async (t) => {
  const { answer } = await begun({ level: 'aal1', hooks: { init: async () => ({}), check: async () => ({ ok: true, level: 'aal2' }) } });
  t.like(await answer('x'), FAILED);
});

test('a hook may claim less than it could', async (t) => {
  const { answer } = await begun({ hooks: { init: async () => ({}), check: async () => ({ ok: true, level: 'aal1', amr: ['test'] }) } });
  t.like(await answer('x'), { ok: true, level: 'aal1', amr: ['test'] });
});

test('a hook may say why not', async (t) => {
  for (const reason of ['wrong', 'expired', 'replayed']) {
    const { answer } = await begun({ hooks: { init: async () => ({}), check: async () => ({ ok: false, reason }) } });
    t.like(await answer('x'), { ok: false, reason });
  }
});

test.serial('F08 a hook that takes longer than five seconds is not waited for', async (t) => {
  t.timeout(60_000);
  const signals: AbortSignal[] = [];
  const hooks: Hooks = {
    init: (_context, signal) => {
      signals.push(signal);
      return never;
    },
    check: () => never,
  };
  const before = performance.now();
  const factor = customFactor(customTerms({ hooks }));
  const late = await begun({ hooks: { init: async () => ({}), check: () => never } });
  const [answer, verdict] = await Promise.all([factor.begin?.(factorContext(), []), late.answer('x')]);
  t.deepEqual(answer, { ok: false, reason: 'failed' });
  t.like(verdict, FAILED);
  t.true(signals[0]?.aborted);
  const took = performance.now() - before;
  t.true(took > 4_900 && took < 30_000, `${took} ms`);
});

test('five answers to one challenge reach checkMFA, also when it throws at every wrong one', async (t) => {
  let calls = 0;
  const check: Hooks['check'] = async (_context, input) => {
    calls += 1;
    if (input !== '777') throw new Error('wrong');
    return true;
  };
  const { answer } = await begun({ hooks: { init: async () => ({}), check } });
  const guesses = await Promise.all(Array.from({ length: 20 }, (_, guess) => answer(String(guess))));
  t.is(calls, 5);
  t.is(guesses.filter((guess) => !guess.ok && guess.reason === 'expired').length, 15);
  t.like(await answer('777'), { ok: false, reason: 'expired' });
});

test('five challenges of a hook in five minutes, and then a pause', async (t) => {
  let calls = 0;
  const init = async (): Promise<object> => {
    calls += 1;
    return {};
  };
  const factor = customFactor(customTerms({ hooks: { init, check: async () => true } }));
  const cx = factorContext();
  const other = factorContext({ once: cx.once });
  for (let times = 0; times < 5; times += 1) t.true((await factor.begin?.(cx, []))?.ok);
  const again = await factor.begin?.(cx, []);
  t.like(again, { ok: false, reason: 'wait' });
  t.is(calls, 5);
  t.true((await factor.begin?.(other, []))?.ok, 'for another user there is no pause');
  const wait = again !== undefined && 'retryAfterMs' in again ? again.retryAfterMs : 0;
  t.true((await factor.begin?.({ ...cx, now: cx.now + wait }, []))?.ok);
});

test('what everybody has, nobody enrols, and its proof names no credential', async (t) => {
  const factor = customFactor(customTerms({ everyone: true, hooks: { init: async () => ({}), check: async () => true } }));
  t.is(factor.enrol, undefined);
  t.true(factor.ownedByAll?.(defaultRealmSettings()));
  const cx = factorContext();
  const state = stateOf(await factor.begin?.(cx, []));
  if (state === null) return t.fail();
  t.like(await factor.verify(cx, state, { code: 'x' }, []), { ok: true, credentialId: 'all:custom-test' });
});

test('without a credential nobody gets by, unless everybody has the factor', async (t) => {
  const hooks: Hooks = { init: async () => ({}), check: async () => true };
  const { factor, cx, state } = await begun({ hooks });
  t.deepEqual(await factor.verify(cx, state, { code: 'x' }, []), { ok: false, reason: 'wrong' });
  t.deepEqual(await factor.verify(cx, { ...state, credential: null }, { code: 'x' }, []), { ok: false, reason: 'wrong' });
  const everyone = customFactor(customTerms({ everyone: true, hooks }));
  t.deepEqual(await everyone.verify(cx, state, { code: 'x' }, []), { ok: false, reason: 'wrong' }, 'a challenge for a credential that is gone');
});

test('what checkMFA asks to keep at enrolment is stored with the credential; a label is the name by default', async (t) => {
  const factor = customFactor(customTerms({ hooks: { init: async () => ({}), check: async () => ({ ok: true, keep: { badge: 12 } }) } }));
  const cx = factorContext();
  const state = stateOf(await factor.enrol?.begin(cx));
  if (state === null) return t.fail();
  t.like(await factor.enrol?.finish(cx, state, { code: 'x' }), {
    ok: true,
    secret: { kept: { badge: 12 }, address: null },
    label: 'Test',
    replaces: true,
    counter: null,
  });
});

test('a module that a realm uses and that is not loaded is a factor which nobody can answer', async (t) => {
  const settings = realmSettings.parse({
    customFactors: [{ source: 'module', id: 'custom-gone', name: 'Gone', strength: 'None.', kind: 'possession', amr: ['gone'], level: 'aal2' }],
  });
  const faults: unknown[] = [];
  const [factor, ...others] = customFactorsOf(settings, {
    modules: [],
    send: () => never,
    secretsOf: async () => [],
    report: ({ fault }) => faults.push(fault),
  });
  t.is(others.length, 0);
  t.is(factor?.id, 'custom-gone');
  t.deepEqual(await factor?.begin?.(factorContext(), []), { ok: false, reason: 'failed' });
  t.regex(String(faults[0]), /CARDEA_FACTOR_MODULES/);
});
