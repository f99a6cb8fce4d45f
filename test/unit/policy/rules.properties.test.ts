/** What holds for every policy and every request, whoever writes the one and makes the other. */
import test from 'ava';
import { LEVELS, reaches, strongest } from '../../../src/policy/assurance.ts';
import { type Decision, decide, type Facts } from '../../../src/policy/decide.ts';
import type { PolicyRule } from '../../../src/policy/document.ts';
import { graceOf, levelOfAcr, matchingRules, type Need, needOf, requestedLevel } from '../../../src/policy/policy.ts';
import { circumstances, policy, policyWith, ruleWith } from '../../support/policies.ts';
import { acrList, FACTORS, facts, factsWith, HOUR, NOW, password, proof, proofOf } from '../../support/proofs.ts';
import fc from '../../support/property.ts';

const RUNS = { numRuns: 10_000 };

const anything = (): fc.Arbitrary<Facts> =>
  fc.tuple(facts(), policy(), circumstances()).map(([some, document, around]) => ({ ...some, ...around, policy: document }));

/** How much a decision demands: refusing is more than asking, asking more than nothing. */
const demands = (decision: Decision): number => ({ nothing: 0, password: 1, factor: 1, enrol: 1, unmet: 2 })[decision.ask];

const isStricter = (a: Need, b: Need): boolean =>
  reaches(a.level, b.level) &&
  (a.second || !b.second) &&
  (b.factors === null || (a.factors?.isSubsetOf(b.factors) ?? false)) &&
  a.since >= b.since &&
  a.remember <= b.remember &&
  (a.never !== null || b.never === null);

test('one more rule never lowers what is required', (t) => {
  let met = 0;
  fc.assert(
    fc.property(anything(), ruleWith('added'), fc.nat(4), (some, added, place) => {
      // An exception drops what rules say about factors once there is something that it lowers.
      const before = { ...some, exception: null };
      const after = { ...before, policy: { ...some.policy, rules: some.policy.rules.toSpliced(place, 0, added) } };
      t.true(isStricter(needOf(after), needOf(before)));
      for (const relief of ['grace', 'device'] as const) t.true(isStricter(needOf(after, relief), needOf(before, relief)));
      if (decide(after).ask === 'nothing') t.is(decide(before).ask, 'nothing');
      t.true(demands(decide(after)) >= demands(decide(before)) || decide(before).ask === 'unmet');
      if (decide(before).ask === 'unmet') t.not(decide(after).ask, 'nothing');
      met += Number(decide(after).ask === 'nothing' && matchingRules(after).length > matchingRules(before).length);
    }),
    { numRuns: 30_000 },
  );
  t.true(met > 300, `the property must be met by something: ${met}`);
});

test('a deadline for something stronger spares nobody what another rule with a deadline asks, and what they own is enough for', (t) => {
  const later = (ms: number) => new Date(NOW + ms).toISOString();
  const phr = { id: 'phr', when: {}, need: { level: 'phr' as const, enrolBy: later(HOUR) } };
  const phrh = { id: 'phrh', when: {}, need: { level: 'phrh' as const, graceLogins: 1 } };
  const some = { ...factsWith({ proofs: [password()], owned: [FACTORS.key], enrollable: [FACTORS.attested] }), skipped: true };
  const by = (...rules: PolicyRule[]) => decide({ ...some, policy: policyWith({ useOwned: false, rules }) });
  t.like(by(phr), { ask: 'factor', factors: ['key'] });
  t.like(by(phr, phrh), { ask: 'factor', factors: ['key'] }, 'the key is there, and is shown');
  t.like(by(phrh), { ask: 'nothing', level: 'aal1', spared: 'grace' }, 'nothing that is there is enough');
  const shown = { ...some, proofs: [password(), proofOf(FACTORS.key)], policy: policyWith({ useOwned: false, rules: [phr, phrh] }) };
  t.like(decide(shown), { ask: 'nothing', level: 'phr', spared: 'grace' });
  t.like(decide({ ...shown, skipped: false }), { ask: 'enrol', factors: ['attested'] }, 'what is due may still be set up, or put off');
});

test('one more rule never opens what an exception has left closed', (t) => {
  fc.assert(
    fc.property(anything(), ruleWith('added'), (some, added) => {
      const after = { ...some, policy: { ...some.policy, rules: [...some.policy.rules, added] } };
      t.true(reaches(needOf(after).level, needOf(some).level));
      t.true(needOf(after).never !== null || needOf(some).never === null);
    }),
    RUNS,
  );
});

test('the order of rules, of what they name, and of everything else never matters', (t) => {
  fc.assert(
    fc.property(anything(), fc.integer(), (some, seed) => {
      const mixed = <T>(list: readonly T[]): T[] =>
        list
          .map((item, index) => ({ item, key: Math.sin(seed + index) }))
          .sort((a, b) => a.key - b.key)
          .map(({ item }) => item);
      const rules = mixed(some.policy.rules).map((one) => ({
        ...one,
        when: Object.fromEntries(mixed(Object.entries(one.when)).map(([key, values]) => [key, mixed<string>(values)])),
        need: { ...one.need, ...(one.need.factors && { factors: mixed(one.need.factors) }) },
      }));
      const shuffled: Facts = {
        ...some,
        policy: { ...some.policy, rules },
        proofs: mixed(some.proofs),
        owned: mixed(some.owned),
        enrollable: mixed(some.enrollable),
        risk: mixed(some.risk),
      };
      const sorted = (decision: Decision) => ('factors' in decision ? { ...decision, factors: [...decision.factors].sort() } : decision);
      t.deepEqual(sorted(decide(shuffled)), sorted(decide(some)));
    }),
    RUNS,
  );
});

test('a requested acr never lowers', (t) => {
  fc.assert(
    fc.property(anything(), acrList(), (some, acr) => {
      const bare = { ...some, requested: { acr: [], essential: false } };
      const asked = { ...bare, requested: { acr, essential: false } };
      t.true(isStricter(needOf(asked), needOf(bare)));
      if (decide(asked).ask === 'nothing') t.is(decide(bare).ask, 'nothing');
    }),
    { numRuns: 20_000 },
  );
});

test('an empty intersection never opens, whatever else is said', (t) => {
  let met = 0;
  fc.assert(
    fc.property(anything(), (some) => {
      const lists = matchingRules(some).flatMap((one) => (one.need.factors ? [one.need.factors] : []));
      const common = lists[0]?.filter((id) => lists.every((list) => list.includes(id)));
      if (common === undefined || common.length > 0) return;
      met += 1;
      t.is(decide(some).ask, 'unmet');
    }),
    { numRuns: 60_000 },
  );
  t.true(met > 100, String(met));
});

test('a rule that denies beats all', (t) => {
  fc.assert(
    fc.property(anything(), fc.nat(4), (some, place) => {
      const rules = some.policy.rules.toSpliced(place, 0, { id: 'closed', when: {}, need: { deny: true } });
      t.is(decide({ ...some, policy: { ...some.policy, rules } }).ask, 'unmet');
    }),
    RUNS,
  );
});

/** What no exception, device or grace may go below. */
const floorOf = (some: Facts): Facts['policy']['floors']['administrator'] => {
  const floors = [requestedLevel(some), some.client?.floor ?? 'aal1', some.user?.administrator ? some.policy.floors.administrator : 'aal1'] as const;
  return floors.reduce(strongest);
};

test('nobody gets below a floor: the client’s, the administrators’, and what was asked for', (t) => {
  let met = 0;
  fc.assert(
    fc.property(anything(), (some) => {
      const decision = decide(some);
      if (decision.ask !== 'nothing') return;
      met += Number(floorOf(some) !== 'aal1');
      t.true(reaches(decision.level, floorOf(some)));
    }),
    { numRuns: 60_000 },
  );
  t.true(met > 300, String(met));
});

test('an exception never goes below a rule that names the client, and counts for nothing once it has run out', (t) => {
  let lowered = 0;
  fc.assert(
    fc.property(anything(), (some) => {
      const ofClient = matchingRules(some).filter((one) => one.when.client !== undefined);
      const floor = ofClient.reduce((level, one) => strongest(level, one.need.level ?? 'aal1'), floorOf(some));
      const need = needOf(some);
      t.true(reaches(need.level, floor));
      const without = needOf({ ...some, exception: null });
      if (some.exception !== null && some.exception.until <= some.now) t.deepEqual(need, without);
      if (need.level !== without.level) {
        lowered += 1;
        t.true(some.exception !== null && reaches(need.level, some.exception.level));
      }
      t.true(reaches(without.level, need.level), 'and it raises nothing');
    }),
    { numRuns: 20_000 },
  );
  t.true(lowered > 100, String(lowered));
});

test('nobody who administers anything puts an enrolment off, and nobody whose application asked for a level', (t) => {
  fc.assert(
    fc.property(anything(), (some) => {
      const decision = decide(some);
      const asked = some.requested.acr.some((value) => (levelOfAcr(some.policy, value) ?? 'aal1') !== 'aal1') && requestedLevel(some) !== 'aal1';
      if (!some.user?.administrator && !asked) return;
      t.is(graceOf(some), null);
      if (decision.ask === 'nothing') t.not(decision.spared, 'grace');
      // What may be put off here is only to replace codes that were used up, where another factor is there.
      if (decision.ask === 'enrol' && decision.skip !== null) t.deepEqual(decision.skip, { until: null, loginsLeft: null });
    }),
    { numRuns: 20_000 },
  );
});

test('what is put off or spared says so, reaches no more than it shows, and is never remembered', (t) => {
  const met = { grace: 0, device: 0 };
  fc.assert(
    fc.property(anything(), (some) => {
      const decision = decide(some);
      if (decision.ask !== 'nothing' || decision.spared === null) return;
      met[decision.spared] += 1;
      t.is(decision.remember, 0);
      if (decision.spared === 'device') {
        t.not(some.device, null);
        t.is(some.risk.length, 0);
        t.not(some.user?.administrator, true);
        t.true(matchingRules(some).every((one) => one.need.remember === undefined || (some.device?.trustedAt ?? 0) + one.need.remember * 1000 > NOW));
      } else t.true(some.skipped);
    }),
    { numRuns: 100_000 },
  );
  t.true(met.grace > 10 && met.device > 100, JSON.stringify(met));
});

test('one more proof never turns nothing into a question, and never lowers the level', (t) => {
  fc.assert(
    fc.property(anything(), proof(), (some, more) => {
      const before = decide(some);
      // What is proved is owned: `heldProofs` has left out the rest.
      if (before.ask !== 'nothing' || (more.factor !== 'password' && !some.owned.some((one) => one.factor === more.factor))) return;
      const after = decide({ ...some, proofs: [...some.proofs, more] });
      t.is(after.ask, 'nothing');
      if (after.ask === 'nothing') t.true(reaches(after.level, before.level));
    }),
    { numRuns: 60_000 },
  );
});

test('answering every question ends', (t) => {
  fc.assert(
    fc.property(anything(), (some) => {
      let now: Facts = { ...some, skipped: false };
      const path: string[] = [];
      for (let step = 0; step < 8; step += 1) {
        const decision = decide(now);
        path.push(decision.ask);
        if (decision.ask === 'nothing' || decision.ask === 'unmet') return;
        now = answered(now, decision);
      }
      t.fail(path.join(' → '));
    }),
    RUNS,
  );
  t.pass();
});

test('nothing of this ever throws, and every decision names its rules', (t) => {
  fc.assert(
    fc.property(anything(), (some) => {
      const decision = decide(some);
      t.true(decision.rules.length > 0);
      const known = some.policy.rules.map((one) => one.id);
      t.true(decision.rules.every((name) => known.includes(name) || name.includes('.') || ['default', 'risk'].includes(name)));
      if (decision.ask === 'nothing') t.true(LEVELS.includes(decision.level) && Number.isFinite(decision.authTime));
    }),
    { numRuns: 30_000 },
  );
});

function answered(some: Facts, decision: Decision): Facts {
  const shown = { credentialId: `new-${decision.ask}`, level: 'aal1' as const, amr: ['x'], at: NOW };
  if (decision.ask === 'password') return { ...some, proofs: [...some.proofs, { ...shown, factor: 'password', kinds: ['knowledge'] }] };
  if (decision.ask !== 'factor' && decision.ask !== 'enrol') return some;
  const from = decision.ask === 'factor' ? some.owned : some.enrollable;
  const picked = from.find((one) => one.factor === decision.factors[0]);
  if (picked === undefined) throw new Error('asked for a factor that is not there');
  const proofs = [
    ...some.proofs,
    { ...shown, factor: picked.factor, kinds: [...picked.kinds], level: picked.level, credentialId: `new-${picked.factor}` },
  ];
  if (decision.ask === 'factor') return { ...some, proofs };
  const { action: _, ...rest } = some;
  return { ...rest, proofs, owned: [...some.owned, picked] };
}
