import test from 'ava';
import type { Level, Proof } from '../../../src/policy/assurance.ts';
import { LEVELS, reaches } from '../../../src/policy/assurance.ts';
import type { Decision, Facts } from '../../../src/policy/decide.ts';
import { amrOf, decide, freshProofs, levelOf } from '../../../src/policy/decide.ts';
import { policyOf } from '../../../src/policy/document.ts';
import { needOf } from '../../../src/policy/policy.ts';
import { isPass, isRecovery } from '../../../src/policy/proofs.ts';
import { acrList, DAY, facts, HOUR, NOW, proof } from '../../support/proofs.ts';
import fc from '../../support/property.ts';

const RUNS = { numRuns: 5_000 };

/** How much a decision demands: refusing is more than asking, asking more than nothing. */
const demands = (decision: Decision): number => ({ nothing: 0, password: 1, factor: 1, enrol: 1, unmet: 2 })[decision.ask];
const without = (some: Facts): Facts => ({ ...some, requested: { acr: [], essential: false } });
const shuffled = <T>(list: readonly T[], seed: readonly number[]): T[] =>
  list
    .map((item, index) => ({ item, key: seed[index] ?? 0 }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);

test('a requested acr only raises', (t) => {
  fc.assert(
    fc.property(facts(), acrList(), (some, acr) => {
      const bare = without(some);
      const asked = { ...bare, requested: { acr, essential: false } };
      if (decide(asked).ask === 'nothing') return decide(bare).ask === 'nothing';
      return demands(decide(asked)) >= demands(decide(bare));
    }),
    RUNS,
  );
  fc.assert(
    fc.property(facts(), (some) => reaches(needOf(some).level, needOf(without(some)).level)),
    RUNS,
  );
  t.pass();
});

test('a stricter realm never asks for less', (t) => {
  fc.assert(
    fc.property(facts(), (some) => {
      const [off, optional, required] = (['off', 'optional', 'required'] as const).map(
        (mfa) => decide({ ...some, policy: policyOf(mfa) }).ask === 'nothing',
      );
      return (off || !optional) && (off || !required);
    }),
    RUNS,
  );
  t.pass();
});

test('a later freshSince never asks for less', (t) => {
  fc.assert(
    fc.property(facts(), fc.nat(40 * DAY), fc.nat(40 * DAY), (some, a, b) => {
      const at = (since: number) => decide({ ...some, requested: { ...some.requested, freshSince: NOW - since } });
      return at(Math.min(a, b)).ask !== 'nothing' || at(Math.max(a, b)).ask === 'nothing';
    }),
    RUNS,
  );
  t.pass();
});

test('the order of proofs, factors and offers never matters', (t) => {
  fc.assert(
    fc.property(facts(), fc.array(fc.nat(), { minLength: 8, maxLength: 8 }), (some, seed) => {
      const sorted = (decision: Decision) => ('factors' in decision ? { ...decision, factors: [...decision.factors].sort() } : decision);
      const mixed = { ...some, proofs: shuffled(some.proofs, seed), owned: shuffled(some.owned, seed), enrollable: shuffled(some.enrollable, seed) };
      t.deepEqual(sorted(decide(mixed)), sorted(decide(some)));
    }),
    RUNS,
  );
});

test('nothing is asked only where what counted reaches every floor', (t) => {
  let reached = 0;
  fc.assert(
    fc.property(facts(), (some) => {
      const decision = decide(some);
      if (decision.ask !== 'nothing') return;
      reached += 1;
      const { counted, level, acr, amr, authTime } = decision;
      const kinds = new Set(counted.flatMap((p) => p.kinds));
      const listed = some.requested.acr.filter((value): value is Level => LEVELS.some((known) => known === value));
      t.true(counted.length > 0);
      t.true(counted.every((p) => some.proofs.includes(p)));
      t.true(counted.some((p) => p.factor === 'password' || new Set(p.kinds).size > 1));
      if (some.policy.rules.length > 0) t.true(kinds.size > 1 && reaches(level, 'aal2'));
      if (some.policy.useOwned && some.owned.some((f) => !isPass(f))) t.true(counted.some((p) => p.factor !== 'password'));
      if (listed.length > 0) t.true(listed.some((value) => reaches(level, value)) && listed.some((value) => value === acr));
      if (listed.length === 0) t.is(acr, level);
      t.true(reaches(level, acr as Level));
      t.is(amr.includes('mfa'), kinds.size > 1);
      t.is(authTime, Math.min(...counted.map((p) => p.at)));
      if (kinds.size < 2) t.is(level, 'aal1');
      t.false(some.action === 'enrol' && some.enrollable.length > 0);
    }),
    { numRuns: 20_000 },
  );
  t.true(reached > 500, `the property must be met by something: ${reached}`);
});

test('a proof older than freshSince is never counted, and takes no part in any question', (t) => {
  fc.assert(
    fc.property(facts(), fc.nat(3 * DAY), (some, ago) => {
      const freshSince = NOW - ago;
      const limited = { ...some, requested: { ...some.requested, freshSince } };
      const decision = decide(limited);
      if (decision.ask === 'nothing') t.true(decision.counted.every((p) => p.at >= freshSince) && decision.authTime >= freshSince);
      t.deepEqual(decision, decide({ ...limited, proofs: limited.proofs.filter((p) => p.at >= freshSince) }));
    }),
    RUNS,
  );
});

test('one more proof never turns nothing into a question, and never lowers the level', (t) => {
  fc.assert(
    fc.property(facts(), proof(), (some, more) => {
      const before = decide(some);
      // What is proved is owned: `heldProofs` has left out the rest.
      if (before.ask !== 'nothing' || (more.factor !== 'password' && !some.owned.some((one) => one.factor === more.factor))) return;
      const after = decide({ ...some, proofs: [...some.proofs, more] });
      t.is(after.ask, 'nothing');
      if (after.ask === 'nothing') t.true(reaches(after.level, before.level));
    }),
    { numRuns: 20_000 },
  );
});

test('a factor that is asked for would help: with its proof it is not asked for again', (t) => {
  fc.assert(
    fc.property(facts(), (some) => {
      const decision = decide(some);
      if (decision.ask !== 'factor') return;
      t.true(decision.factors.length > 0);
      for (const id of decision.factors) {
        const owned = some.owned.find((f) => f.factor === id);
        if (owned === undefined) return t.fail(`${id} is not owned`);
        const shown = { credentialId: 'new', factor: id, kinds: [...owned.kinds], level: owned.level, amr: [id], at: NOW };
        t.not(decide({ ...some, proofs: [...some.proofs, shown] }).ask, 'factor');
      }
    }),
    RUNS,
  );
});

test('answering every question ends: nothing, or a refusal, after at most password, a factor, an enrolment', (t) => {
  fc.assert(
    fc.property(facts(), (some) => {
      let now = some;
      const path: string[] = [];
      for (let step = 0; step < 6; step += 1) {
        const decision = decide(now);
        path.push(decision.ask);
        if (decision.ask === 'nothing' || decision.ask === 'unmet') return true;
        now = answer(now, decision);
      }
      t.fail(path.join(' → '));
      return false;
    }),
    RUNS,
  );
  t.pass();
});

test('whoever owns a factor enrols another only after showing one, within five minutes', (t) => {
  let met = 0;
  fc.assert(
    fc.property(facts(), (some) => {
      const decision = decide({ ...some, actionFreshSince: NOW - 5 * 60_000 });
      if (decision.ask !== 'enrol') return;
      met += 1;
      // Whoever types a pass has five minutes for that, and all the time that the sign-in has for the rest.
      const typedAt = some.proofs.filter(isPass).map((p) => p.at);
      const recent = some.proofs.filter((p) => p.at >= Math.min(NOW, ...typedAt) - 5 * 60_000);
      t.true(recent.some((p) => p.factor === 'password' || new Set(p.kinds).size > 1));
      if (some.owned.every(isPass) || typedAt.length > 0) return;
      t.true(recent.some((p) => new Set(p.kinds).size > 1 || some.owned.some((f) => f.factor === p.factor)) || levelOf(recent) !== 'aal1');
    }),
    { numRuns: 20_000 },
  );
  t.true(met > 200, String(met));
});

test('a request that is refused could not have been met by anything owned or offered', (t) => {
  let met = 0;
  fc.assert(
    fc.property(facts(), (some) => {
      if (decide(some).ask !== 'unmet') return;
      met += 1;
      // Codes and passes for a lost factor are nothing to begin with.
      for (const f of [...some.owned, ...some.enrollable.filter((one) => !isRecovery(one))]) {
        const shown = { credentialId: 'new', factor: f.factor, kinds: [...f.kinds], level: f.level, amr: [], at: NOW };
        const { action: _, ...rest } = some;
        t.not(decide({ ...rest, owned: [...some.owned, f], proofs: [...some.proofs, shown] }).ask, 'nothing');
      }
    }),
    { numRuns: 20_000 },
  );
  t.true(met > 500, String(met));
});

test('what is fresh stays a subset, keeps its order, and shrinks as time passes', (t) => {
  fc.assert(
    fc.property(fc.array(proof(), { maxLength: 6 }), fc.nat(40 * DAY), fc.nat(40 * DAY), fc.nat(2 * HOUR), (proofs, a, b, idle) => {
      const early = freshProofs(proofs, NOW + Math.min(a, b), NOW + Math.min(a, b) - idle);
      const late = freshProofs(proofs, NOW + Math.max(a, b), NOW + Math.min(a, b) - idle);
      t.deepEqual(
        early,
        proofs.filter((p) => early.includes(p)),
      );
      t.true(late.every((p) => early.includes(p)));
    }),
    RUNS,
  );
});

test('amr never repeats a method', (t) => {
  fc.assert(
    fc.property(fc.array(proof(), { maxLength: 6 }), (proofs) => {
      const amr = amrOf(proofs);
      return new Set(amr).size === amr.length;
    }),
    RUNS,
  );
  t.pass();
});

function answer(some: Facts, decision: Decision): Facts {
  const shown = { credentialId: `new-${decision.ask}`, level: 'aal1' as Level, amr: ['x'], at: NOW };
  if (decision.ask === 'password') return { ...some, proofs: [...some.proofs, { ...shown, factor: 'password', kinds: ['knowledge'] }] };
  if (decision.ask !== 'factor' && decision.ask !== 'enrol') return some;
  const from = decision.ask === 'factor' ? some.owned : some.enrollable;
  const picked = from.find((f) => f.factor === decision.factors[0]);
  if (picked === undefined) throw new Error('asked for a factor that is not there');
  const proofs = [...some.proofs, { ...shown, factor: picked.factor, kinds: [...picked.kinds], level: picked.level }];
  if (decision.ask === 'factor') return { ...some, proofs };
  // The enrolment was the wish; it is fulfilled.
  const { action: _, ...rest } = some;
  return { ...rest, proofs, owned: [...some.owned, picked] };
}

test('whoever acts as the user is asked nothing, shows nothing, and never gets more than the user would with a password', (t) => {
  fc.assert(
    fc.property(facts(), fc.nat(40 * DAY), (some, ago) => {
      const acted = decide({ ...some, impersonatedAt: NOW - ago });
      if (acted.ask !== 'nothing') return acted.ask === 'unmet';
      const own = decide({ ...some, device: null, skipped: false, proofs: [{ ...proofOfPassword, at: NOW }] });
      return acted.level === 'aal1' && acted.amr.length === 0 && acted.authTime === NOW - ago && acted.remember === 0 && own.ask === 'nothing';
    }),
    RUNS,
  );
  t.pass();
});

const proofOfPassword: Proof = { credentialId: 'password', factor: 'password', kinds: ['knowledge'], level: 'aal1', amr: ['pwd'], at: NOW };
