/**
 * The contract of a factor (src/factors/factor.ts), held against every factor of src/factors/index.ts.
 */
import test from 'ava';
import type { Credential, Enrolment, Factor, FactorContext, Form, Verdict } from '../../src/factors/factor.ts';
import { builtIn } from '../../src/factors/index.ts';
import { isLevel, reaches } from '../../src/policy/assurance.ts';
import { defaultRealmSettings } from '../../src/realms/settings.ts';
import { customCases } from '../support/custom-factors.ts';
import type { FactorHarness } from '../support/factors.ts';
import { Counters, factorContext, harnesses, Sent, stateOf } from '../support/factors.ts';
import fc from '../support/property.ts';

const LATER = 90_000;

test('every factor has a harness in test/support/factors.ts', (t) => {
  t.deepEqual(builtIn.map(({ id }) => id).sort(), Object.keys(harnesses).sort());
});

for (const factor of builtIn) {
  const harness = harnesses[factor.id];
  if (harness !== undefined) suite(factor, harness);
}

for (const { factor, harness } of customCases) suite(factor, harness, 'custom');

/** @param views the folder of its pages */
function suite(factor: Factor, harness: FactorHarness, views = factor.id): void {
  const title = (text: string): string => `${factor.id}: ${text}`;
  const settings = harness.settings ?? defaultRealmSettings();
  const accepted = (verdict: Verdict): Extract<Verdict, { ok: true }> => {
    if (!verdict.ok) throw new Error(`not accepted: ${verdict.reason}`);
    return verdict;
  };
  /** A challenge that was begun for what is held, as the dispatcher does it. */
  const challenged = async (held: Credential[], some: Partial<FactorContext> = {}) => {
    const sent = new Sent();
    const counters = new Counters(...held);
    const cx = factorContext({ settings, spend: counters.spend, sent, ...some });
    const state = stateOf(await factor.begin?.(cx, held));
    const asked = (secret: unknown) => ({ secret, state, sent, now: cx.now });
    return { cx, counters, state, sent, asked };
  };

  test(title('says what it is'), (t) => {
    t.regex(factor.id, /^[a-z][a-z0-9-]*$/);
    t.true(isLevel(factor.levelIn(settings)));
    t.true(factor.kinds.length > 0);
    t.not(factor.name, '');
    t.not(factor.strength, '');
    t.false(factor.amrIn(settings).includes('mfa'), 'mfa is derived, never declared');
  });

  test(title('a right answer is accepted, and shows what the factor may show'), async (t) => {
    const held = await harness.credential();
    const { cx, counters, state, asked } = await challenged([held]);
    const verdict = accepted(await factor.verify(cx, state, await harness.right(asked(held.secret)), [held]));
    t.is(verdict.credentialId, held.id);
    t.true(verdict.kinds.length > 0);
    t.true(verdict.kinds.every((kind) => factor.kinds.includes(kind)));
    t.true(reaches(held.level ?? factor.levelIn(settings), verdict.level));
    t.true(
      verdict.amr.every((method) => [...factor.amrIn(settings), 'swk'].includes(method)),
      'and nothing that was not said beforehand, but for a key that can be copied',
    );
    t.is(counters.spent.length, harness.spends === 'counter' ? 1 : 0);
    if (verdict.renewed !== undefined) t.notThrows(() => factor.parseSecret(verdict.renewed));
  });

  test(title('a wrong answer is refused and spends nothing'), async (t) => {
    const held = await harness.credential();
    const { cx, counters, state, asked } = await challenged([held]);
    const verdict = await factor.verify(cx, state, await harness.wrong(asked(held.secret)), [held]);
    t.false(verdict.ok);
    if (!verdict.ok) t.is(verdict.reason, harness.wrongReason ?? 'wrong');
    t.deepEqual(counters.spent, []);
  });

  test(title('the same answer in parallel, fifty times'), async (t) => {
    const held = await harness.credential();
    const { cx, state, asked } = await challenged([held]);
    const answer = await harness.right(asked(held.secret));
    const verdicts = await Promise.all(Array.from({ length: 50 }, () => factor.verify(cx, state, answer, [held])));
    const reasons = verdicts.flatMap((verdict) => (verdict.ok ? [] : [verdict.reason]));
    t.is(verdicts.filter((verdict) => verdict.ok).length, harness.spends === false ? 50 : 1);
    t.true(reasons.every((reason) => reason === 'replayed' || (harness.spends === 'code' && reason === 'expired')));
  });

  test(title('an answer of yesterday'), async (t) => {
    const held = await harness.credential();
    const { cx, counters, state, asked } = await challenged([held]);
    const answer = await harness.right(asked(held.secret));
    accepted(await factor.verify(cx, state, answer, [held]));
    const again = await factor.verify({ ...cx, now: cx.now + LATER }, state, answer, [counters.stored(held)]);
    t.is(again.ok, harness.spends === false);
  });

  test(title('whatever is sent, it neither throws nor accepts'), async (t) => {
    const held = await harness.credential();
    const { cx, state } = await challenged([held]);
    const anything = fc.record(Object.fromEntries(harness.fields.map((field) => [field, fc.anything()])), { requiredKeys: [] });
    await fc.assert(
      fc.asyncProperty(anything, async (input) => {
        // The dispatcher lets strings through and nothing else; a factor does not lean on that.
        const verdict = await factor.verify(cx, state, input as Form, [held]);
        return !verdict.ok;
      }),
      { numRuns: 300 },
    );
    for (const form of [{}, ...harness.fields.flatMap((field) => MALFORMED.map((value) => ({ [field]: value })))]) {
      const verdict = await factor.verify(cx, state, form as Form, [held]);
      t.false(verdict.ok, JSON.stringify(form).slice(0, 80));
      if (!verdict.ok) t.true(['wrong', 'malformed', 'expired'].includes(verdict.reason), verdict.reason);
    }
  });

  test(title("another user's credential is not consulted"), async (t) => {
    const [mine, theirs] = [await harness.credential(), await harness.credential()];
    const other = { ...theirs, id: 'theirs' };
    const { cx, counters, state, asked } = await challenged([mine]);
    const answer = await harness.right(asked(other.secret));
    t.false((await factor.verify(cx, state, answer, [])).ok, 'nothing is held');
    if (JSON.stringify(answer) === JSON.stringify(await harness.right(asked(mine.secret)))) return;
    t.false((await factor.verify(cx, state, answer, [mine])).ok, 'something else is held');
    t.deepEqual(counters.spent, []);
  });

  test(title('of several credentials, the one that was answered is named'), async (t) => {
    const held = await Promise.all([harness.credential(), harness.credential(), harness.credential()]);
    const [, second] = held;
    if (second === undefined || harness.spends === false || harness.spends === 'code') return t.pass('one at most is held');
    const { cx, counters, state, asked } = await challenged(held);
    const verdict = accepted(await factor.verify(cx, state, await harness.right(asked(second.secret)), held));
    t.is(verdict.credentialId, second.id);
    const spent = counters.spent.map(([credentialId]) => credentialId);
    t.deepEqual(spent, harness.spends === 'counter' ? [second.id] : []);
  });

  test(title('the challenge shows and keeps no secret'), async (t) => {
    const held = await harness.credential();
    const { cx, state, sent } = await challenged([held]);
    const page = await factor.show(cx, state, [held]);
    t.is(page.view, `factors/${views}/challenge`);
    const shown = JSON.stringify([page.model, state]);
    for (const secret of [...harness.secrets(held.secret), ...sent.deliveries.map(({ code }) => code)]) t.false(shown.includes(secret));
    t.deepEqual(await factor.show(cx, state, [held]), page, 'to look changes nothing');
  });

  test(title('a stored secret is read back, and nothing else is taken for one'), async (t) => {
    const { secret } = await harness.credential();
    t.deepEqual(factor.parseSecret(JSON.parse(JSON.stringify(secret))), secret);
    for (const junk of [null, undefined, '', 'x', 7, [], {}, { secret: '' }, { ...Object(secret), more: 1 }, { phc: '' }]) {
      const error = t.throws(() => factor.parseSecret(junk), { name: 'AppError' });
      for (const text of harness.secrets(secret)) t.false(String(error?.stack).includes(text), 'the error does not quote the secret');
    }
  });

  const { enrol } = factor;
  test(title('it can be enrolled where its harness can confirm it'), (t) => {
    t.is(enrol !== undefined, harness.confirm !== undefined);
  });
  if (enrol === undefined || harness.confirm === undefined) return;
  const confirm = harness.confirm.bind(harness);
  const enrolledOf = (enrolment: Enrolment): Extract<Enrolment, { ok: true }> => {
    if (enrolment.ok !== true) throw new Error(`not enrolled: ${JSON.stringify(enrolment)}`);
    return enrolment;
  };
  const asCredential = (enrolment: Extract<Enrolment, { ok: true }>): Credential => ({
    id: 'new',
    factor: factor.id,
    label: enrolment.label,
    secret: enrolment.secret,
    counter: enrolment.counter,
    level: enrolment.level,
    createdAt: 0,
    lastUsedAt: null,
  });
  /** An enrolment at its last page. */
  const enrolling = async (some: Partial<FactorContext> = {}) => {
    const sent = new Sent();
    const cx = factorContext({ settings, sent, ...(harness.stock ? { stock: harness.stock } : {}), ...some });
    let state = stateOf(await enrol.begin(cx));
    for (const form of harness.before?.({ state, sent, now: cx.now }) ?? []) {
      const page = await enrol.finish(cx, state, form);
      if (page.ok !== 'next') throw new Error('there is no further page');
      state = page.state;
    }
    return { cx, sent, state };
  };

  test(title('an enrolment is proved before it counts, and the confirming answer is spent (A04)'), async (t) => {
    const { cx, sent, state } = await enrolling();
    const page = await enrol.show(cx, state);
    t.true(page.view.startsWith(`factors/${views}/`));
    t.deepEqual(JSON.parse(JSON.stringify(state)), state, 'the state can be sealed');
    const { right, wrong } = await confirm({ state, sent, now: cx.now });
    const refused = await enrol.finish(cx, state, wrong);
    t.false(refused.ok);
    // What is answered once was answered: the next try has another state, and another answer.
    const next = refused.ok === false && 'state' in refused && refused.state !== undefined ? refused.state : state;
    const answer = next === state ? right : (await confirm({ state: next, sent, now: cx.now })).right;
    const enrolled = enrolledOf(await enrol.finish(cx, next, answer));
    t.deepEqual(enrolled.kinds.length === 0, harness.provesNothing === true);
    if (harness.provesNothing) t.deepEqual([enrolled.level, enrolled.amr], ['aal1', []]);
    else t.not(enrolled.label, '');
    t.false(enrolled.amr.includes('mfa'));
    t.deepEqual(factor.parseSecret(JSON.parse(JSON.stringify(enrolled.secret))), enrolled.secret);
    if (harness.spends !== 'counter') return;
    const held = asCredential(enrolled);
    const counters = new Counters(held);
    const replay = await factor.verify({ ...cx, spend: counters.spend }, null, answer, [held]);
    t.false(replay.ok);
    const later = cx.now + LATER;
    const fresh = await harness.right({ secret: held.secret, state: null, sent, now: later, counter: held.counter });
    accepted(await factor.verify({ ...cx, now: later, spend: counters.spend }, null, fresh, [counters.stored(held)]));
  });

  test(title('an enrolment shown again is the same'), async (t) => {
    const { cx, state } = await enrolling();
    t.deepEqual(await enrol.show(cx, state), await enrol.show(cx, state));
  });

  test(title('whatever is sent to an enrolment, it neither throws nor enrols'), async (t) => {
    const { cx, state } = await enrolling();
    const anything = fc.record(Object.fromEntries(harness.fields.map((field) => [field, fc.anything()])), { requiredKeys: [] });
    await fc.assert(
      fc.asyncProperty(anything, async (input) => (await enrol.finish(cx, state, input as Form)).ok !== true),
      { numRuns: 300 },
    );
    for (const field of harness.fields) for (const value of MALFORMED) t.not((await enrol.finish(cx, state, { [field]: value } as Form)).ok, true);
  });
}

/** What was never a code or a password of any harness, and has confused parsers before. */
const MALFORMED: unknown[] = [
  '',
  ' ',
  '1e5',
  '+12345',
  '-12345',
  '0x1234',
  '１２３４５６',
  '٠١٢٣٤٥',
  '12345',
  '1234567',
  '123456789012345678901234567890',
  '12345\n',
  '12345\u0000',
  'x'.repeat(1025),
  'é'.repeat(600),
  '\ud800',
  '9'.repeat(100_000),
  ['123456'],
  { toString: () => '123456' },
  123456,
  null,
  true,
];
