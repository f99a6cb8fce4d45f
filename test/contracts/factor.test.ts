/**
 * The contract of a factor (src/factors/factor.ts), held against every factor of src/factors/index.ts.
 */
import test from 'ava';
import fc from 'fast-check';
import type { Credential, Enrolment, Factor, Form, Verdict } from '../../src/factors/factor.ts';
import { factors } from '../../src/factors/index.ts';
import { isLevel, reaches } from '../../src/policy/assurance.ts';
import type { FactorHarness } from '../support/factors.ts';
import { Counters, factorContext, harnesses } from '../support/factors.ts';

const LATER = 90_000;

test('every factor has a harness in test/support/factors.ts', (t) => {
  t.deepEqual([...factors.keys()].sort(), Object.keys(harnesses).sort());
});

for (const [id, factor] of factors) {
  const harness = harnesses[id];
  if (harness !== undefined) suite(factor, harness);
}

function suite(factor: Factor, harness: FactorHarness): void {
  const title = (text: string): string => `${factor.id}: ${text}`;
  const accepted = (verdict: Verdict): Extract<Verdict, { ok: true }> => {
    if (!verdict.ok) throw new Error(`not accepted: ${verdict.reason}`);
    return verdict;
  };

  test(title('says what it is'), (t) => {
    t.regex(factor.id, /^[a-z][a-z0-9-]*$/);
    t.true(isLevel(factor.level));
    t.true(factor.kinds.length > 0);
    t.not(factor.name, '');
    t.not(factor.strength, '');
  });

  test(title('a right answer is accepted, and shows what the factor may show'), async (t) => {
    const held = await harness.credential();
    const counters = new Counters(held);
    const cx = factorContext({ spend: counters.spend });
    const verdict = accepted(await factor.verify(cx, harness.right(held.secret, cx.now), [held]));
    t.is(verdict.credentialId, held.id);
    t.true(verdict.kinds.length > 0);
    t.true(verdict.kinds.every((kind) => factor.kinds.includes(kind)));
    t.true(reaches(factor.level, verdict.level));
    t.true(verdict.amr.length > 0);
    t.false(verdict.amr.includes('mfa'), 'mfa is derived, never declared');
    t.is(counters.spent.length, harness.spends ? 1 : 0);
    if ('renewed' in verdict) t.notThrows(() => factor.parseSecret(verdict.renewed));
  });

  test(title('a wrong answer is refused and spends nothing'), async (t) => {
    const held = await harness.credential();
    const counters = new Counters(held);
    const cx = factorContext({ spend: counters.spend });
    const verdict = await factor.verify(cx, harness.wrong(held.secret, cx.now), [held]);
    t.false(verdict.ok);
    if (!verdict.ok) t.is(verdict.reason, 'wrong');
    t.deepEqual(counters.spent, []);
  });

  test(title('the same answer in parallel, fifty times'), async (t) => {
    const held = await harness.credential();
    const cx = factorContext({ spend: new Counters(held).spend });
    const answer = harness.right(held.secret, cx.now);
    const verdicts = await Promise.all(Array.from({ length: 50 }, () => factor.verify(cx, answer, [held])));
    const reasons = verdicts.flatMap((verdict) => (verdict.ok ? [] : [verdict.reason]));
    t.is(verdicts.filter((verdict) => verdict.ok).length, harness.spends ? 1 : 50);
    t.true(reasons.every((reason) => reason === 'replayed'));
  });

  test(title('an answer of yesterday'), async (t) => {
    const held = await harness.credential();
    const counters = new Counters(held);
    const cx = factorContext({ spend: counters.spend });
    const answer = harness.right(held.secret, cx.now);
    accepted(await factor.verify(cx, answer, [held]));
    const again = await factor.verify({ ...cx, now: cx.now + LATER }, answer, [counters.stored(held)]);
    t.is(again.ok, !harness.spends);
  });

  test(title('whatever is sent, it neither throws nor accepts'), async (t) => {
    const held = await harness.credential();
    const cx = factorContext({ spend: new Counters(held).spend });
    const anything = fc.record(Object.fromEntries(harness.fields.map((field) => [field, fc.anything()])), { requiredKeys: [] });
    await fc.assert(
      fc.asyncProperty(anything, async (input) => {
        // The dispatcher lets strings through and nothing else; a factor does not lean on that.
        const verdict = await factor.verify(cx, input as Form, [held]);
        return !verdict.ok;
      }),
      { numRuns: 300 },
    );
    for (const form of [{}, ...harness.fields.flatMap((field) => MALFORMED.map((value) => ({ [field]: value })))]) {
      const verdict = await factor.verify(cx, form as Form, [held]);
      t.false(verdict.ok, JSON.stringify(form).slice(0, 80));
      if (!verdict.ok) t.true(['wrong', 'malformed'].includes(verdict.reason));
    }
  });

  test(title("another user's credential is not consulted"), async (t) => {
    const [mine, theirs] = [await harness.credential(), await harness.credential()];
    const other = { ...theirs, id: 'theirs' };
    const counters = new Counters();
    const cx = factorContext({ spend: counters.spend });
    const answer = harness.right(other.secret, cx.now);
    t.false((await factor.verify(cx, answer, [])).ok, 'nothing is held');
    if (JSON.stringify(answer) === JSON.stringify(harness.right(mine.secret, cx.now))) return;
    t.false((await factor.verify(cx, answer, [mine])).ok, 'something else is held');
    t.deepEqual(counters.spent, []);
  });

  test(title('of several credentials, the one that was answered is named'), async (t) => {
    const held = await Promise.all([harness.credential(), harness.credential(), harness.credential()]);
    const [, second] = held;
    if (second === undefined || !harness.spends) return t.pass('one at most is held');
    const counters = new Counters(...held);
    const cx = factorContext({ spend: counters.spend });
    const verdict = accepted(await factor.verify(cx, harness.right(second.secret, cx.now), held));
    t.is(verdict.credentialId, second.id);
    t.deepEqual(
      counters.spent.map(([credentialId]) => credentialId),
      [second.id],
    );
  });

  test(title('the challenge shows and keeps no secret'), async (t) => {
    const held = await harness.credential();
    const step = await factor.challenge(factorContext(), [held]);
    t.is(step.view, `factors/${factor.id}/challenge`);
    const shown = JSON.stringify([step.model, step.state]);
    for (const secret of harness.secrets(held.secret)) t.false(shown.includes(secret));
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
    if (!enrolment.ok) throw new Error(`not enrolled: ${enrolment.reason}`);
    return enrolment;
  };
  const asCredential = (enrolment: Extract<Enrolment, { ok: true }>): Credential => ({
    id: 'new',
    factor: factor.id,
    label: enrolment.label,
    secret: enrolment.secret,
    counter: enrolment.counter,
    createdAt: 0,
    lastUsedAt: null,
  });

  test(title('an enrolment is proved before it counts, and the confirming answer is spent (A04)'), async (t) => {
    const cx = factorContext();
    const step = await enrol.begin(cx);
    t.is(step.view, `factors/${factor.id}/enrol`);
    t.deepEqual(JSON.parse(JSON.stringify(step.state)), step.state, 'the state can be sealed');
    const { right, wrong } = confirm(step, cx.now);
    t.deepEqual(await enrol.finish(cx, step.state, wrong), { ok: false, reason: 'wrong' });
    const enrolled = enrolledOf(await enrol.finish(cx, step.state, right));
    t.true(enrolled.kinds.length > 0 && !enrolled.amr.includes('mfa'));
    t.true(reaches(factor.level, enrolled.level));
    t.not(enrolled.label, '');
    t.deepEqual(factor.parseSecret(JSON.parse(JSON.stringify(enrolled.secret))), enrolled.secret);
    const held = asCredential(enrolled);
    const counters = new Counters(held);
    if (!harness.spends) return;
    const replay = await factor.verify({ ...cx, spend: counters.spend }, right, [held]);
    t.deepEqual(replay, { ok: false, reason: 'replayed', credentialId: 'new' });
    const later = cx.now + LATER;
    accepted(await factor.verify({ ...cx, now: later, spend: counters.spend }, harness.right(held.secret, later), [counters.stored(held)]));
  });

  test(title('an enrolment shown again keeps its secret; one begun again does not'), async (t) => {
    const cx = factorContext();
    const step = await enrol.begin(cx);
    t.deepEqual(await enrol.show(cx, step.state), step);
    t.notDeepEqual((await enrol.begin(cx)).state, step.state);
  });

  test(title('whatever is sent to an enrolment, it neither throws nor enrols'), async (t) => {
    const cx = factorContext();
    const { state } = await enrol.begin(cx);
    const anything = fc.record(Object.fromEntries(harness.fields.map((field) => [field, fc.anything()])), { requiredKeys: [] });
    await fc.assert(
      fc.asyncProperty(anything, async (input) => !(await enrol.finish(cx, state, input as Form)).ok),
      { numRuns: 300 },
    );
    for (const value of MALFORMED) t.false((await enrol.finish(cx, state, { code: value } as Form)).ok);
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
