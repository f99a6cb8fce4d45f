/** What can be written down as a policy, what cannot, and what a change of one changes. */
import test from 'ava';
import type { Level } from '../../../src/policy/assurance.ts';
import { contradictionIn } from '../../../src/policy/check.ts';
import { type Decision, decide } from '../../../src/policy/decide.ts';
import { differences } from '../../../src/policy/difference.ts';
import { nameOf, type PolicyRule, policyDocument, policyOf, SHORTHANDS } from '../../../src/policy/document.ts';
import { circumstances, policy, policyWith, ruleWith } from '../../support/policies.ts';
import { FACTORS, facts } from '../../support/proofs.ts';
import fc from '../../support/property.ts';

const rule = (id: string, when: unknown, need: unknown) => ({ id, when, need });
const level = { level: 'aal2' };

test('a document names what it does not know, and where', (t) => {
  const wrong: [unknown, string, RegExp][] = [
    [{ useowned: true }, '', /useowned/],
    [{ rules: [rule('a', {}, { levle: 'aal2' })] }, 'rules.0.need', /levle/],
    [{ rules: [rule('a', {}, { level: 'aal3' })] }, 'rules.0.need.level', /aal2/],
    [{ rules: [rule('a', { realm: ['x'] }, level)] }, 'rules.0.when', /realm/],
    [{ rules: [rule('a', { client: [] }, level)] }, 'rules.0.when.client', /./],
    [{ rules: [rule('a', { group: ['sales'] }, level)] }, 'rules.0.when.group.0', /path/],
    [{ rules: [rule('a', { risk: ['moon'] }, level)] }, 'rules.0.when.risk.0', /new-device/],
    [{ rules: [rule('a', { action: ['dance'] }, level)] }, 'rules.0.when.action.0', /enrol/],
    [{ rules: [rule('a', {}, {})] }, 'rules.0.need', /asks for nothing/],
    [{ rules: [rule('a', {}, { factors: [] })] }, 'rules.0.need.factors', /./],
    [{ rules: [rule('a', {}, { factors: ['password'] })] }, 'rules.0.need.factors', /password/],
    [{ rules: [rule('a', {}, { enrolBy: 'tomorrow' })] }, 'rules.0.need.enrolBy', /2030/],
    [{ rules: [rule('a', {}, { deny: false })] }, 'rules.0.need.deny', /./],
    [{ rules: [rule('a', {}, { maxAge: -1 })] }, 'rules.0.need.maxAge', /./],
    [{ rules: [rule('A rule', {}, level)] }, 'rules.0.id', /lower-case/],
    [{ rules: [rule('default', {}, level)] }, 'rules.0.id', /ours/],
    [{ rules: [rule('a', {}, level), rule('a', {}, level)] }, 'rules.1.id', /already/],
    [{ rules: Array.from({ length: 201 }, (_, index) => rule(`r${index}`, {}, level)) }, 'rules', /200/],
    [{ acr: { aal1: 'phr' } }, 'acr', /another meaning/],
    [{ acr: { 'two words': 'aal2' } }, 'acr.two words', /./],
    [{ floors: { everybody: 'aal2' } }, 'floors', /everybody/],
    [
      { rules: [0, 1, 2].map((some) => rule(`r${some}`, { role: Array.from({ length: 90 }, (_, index) => `role-${some}-${index}`) }, level)) },
      'rules',
      /200 roles/,
    ],
    [
      {
        rules: Array.from({ length: 30 }, (_, some) =>
          rule(`r${some}`, { client: Array.from({ length: 100 }, (_, i) => `${i}`.padEnd(80, 'x')) }, level),
        ),
      },
      '',
      /200000 characters/,
    ],
  ];
  for (const [input, path, message] of wrong) {
    const issue = policyDocument.safeParse(input).error?.issues[0];
    t.is(issue?.path.join('.'), path, JSON.stringify(input).slice(0, 200));
    t.regex(issue?.message ?? '', message);
  }
});

test('what is left out has its default, and names of users are compared as at the sign-in', (t) => {
  t.deepEqual(policyDocument.parse({}), { useOwned: true, acr: {}, floors: { administrator: 'aal2' }, rules: [] });
  const [read] = policyWith({ rules: [{ id: 'a', when: { user: [' Ａlice '] }, need: { deny: true } }] }).rules;
  t.deepEqual(read?.when.user, ['alice']);
});

test('the three policies that have a name are known by it', (t) => {
  for (const shorthand of SHORTHANDS) t.is(nameOf(policyOf(shorthand)), shorthand);
  t.is(nameOf(policyWith({ useOwned: false, rules: [{ id: 'realm', when: {}, need: { level: 'aal2' } }] })), 'custom');
});

/** What each shows beside a password. */
const LEVEL_OF = new Map<string, Level>(Object.values(FACTORS).map(({ factor, level: own }) => [factor, factor === 'question' ? 'aal1' : own]));
const contradiction = (...rules: PolicyRule[]) => contradictionIn(policyWith({ rules }), (id) => LEVEL_OF.get(id));
const one = (id: string, when: PolicyRule['when'], need: PolicyRule['need']): PolicyRule => ({ id, when, need });

test('worked example 5 is refused when it is saved: role admin needs phrh, a rule of the user leaves TOTP', (t) => {
  const found = contradiction(one('admins', { role: ['admin'] }, { level: 'phrh' }), one('alice', { user: ['alice'] }, { factors: ['totp'] }));
  t.is(found?.field, 'rules.1.need.factors');
  t.regex(found?.message ?? '', /"alice" leaves \(totp\) reaches phrh, which "admins" needs/);
});

test('an empty intersection is refused, also one of three that is none of two', (t) => {
  const [a, b, c] = [
    ['totp', 'key'],
    ['key', 'hotp'],
    ['totp', 'hotp'],
  ].map((factors, index) => one(`rule-${index}`, { role: [`role-${index}`] }, { factors }));
  if (!a || !b || !c) throw new Error('three rules');
  t.is(contradiction(a, b), null);
  t.regex(contradiction(a, b, c)?.message ?? '', /"rule-2" and "rule-0", "rule-1" can apply together/);
});

test('rules that never apply together may contradict each other', (t) => {
  const [totp, key] = [{ factors: ['totp'] }, { factors: ['key'] }];
  t.is(contradiction(one('a', { client: ['shop'] }, totp), one('b', { client: ['payroll'] }, key)), null);
  t.is(contradiction(one('a', { user: ['alice'] }, totp), one('b', { user: ['erin'] }, key)), null);
  t.not(contradiction(one('a', { client: ['shop'] }, totp), one('b', { user: ['erin'] }, key)), null, 'erin at the shop');
  t.not(contradiction(one('a', { group: ['/it'] }, totp), one('b', { group: ['/sales'] }, key)), null, 'somebody may be in both');
  t.not(contradiction(one('a', { role: ['a'] }, totp), one('b', { role: ['b'] }, key)), null, 'somebody may have both');
  t.not(contradiction(one('a', { client: ['shop', 'payroll'] }, totp), one('b', { client: ['payroll'] }, key)), null);
  const id = '11111111-1111-4111-8111-111111111111';
  t.not(contradiction(one('a', { user: ['alice'] }, totp), one('b', { user: [id] }, key)), null, 'the id may be of alice');
});

test('a factor that the realm does not have is refused by its name', (t) => {
  t.like(contradiction(one('a', {}, { level: 'aal2' }), one('b', {}, { factors: ['totp', 'telepathy'] })), {
    field: 'rules.1.need.factors',
    message: 'There is no factor "telepathy" in this realm.',
  });
});

test('what is saved can be met: of rules that pass, every set that can meet leaves a factor that is enough', (t) => {
  let met = 0;
  fc.assert(
    fc.property(facts(), policy(), circumstances(), (some, document, around) => {
      if (contradictionIn(document, (id) => LEVEL_OF.get(id)) !== null) return;
      const all = Object.values(FACTORS);
      const decision = decide({
        ...some,
        ...around,
        policy: document,
        owned: [],
        enrollable: all,
        client: around.client && { ...around.client, floor: null },
      });
      if (decision.ask !== 'unmet' || document.rules.some((each) => each.need.deny) || around.user?.administrator) return;
      // What the application asked for, or what nobody has ever heard of, is not the policy's doing.
      t.true(some.requested.acr.length > 0, JSON.stringify(decision));
      met += 1;
    }),
    { numRuns: 20_000 },
  );
  t.true(met > 10, String(met));
});

test('a change is told by where it is, from what, to what, and whether it asks less', (t) => {
  const before = policyWith({
    acr: { gold: 'phr' },
    rules: [
      { id: 'realm', when: {}, need: { level: 'aal2', maxAge: 3_600 } },
      { id: 'payroll', when: { client: ['payroll'] }, need: { level: 'phr' } },
    ],
  });
  const after = policyWith({
    useOwned: false,
    acr: { gold: 'aal2', silver: 'aal1' },
    floors: { administrator: 'phr' },
    rules: [
      { id: 'new', when: {}, need: { remember: 0 } },
      { id: 'realm', description: 'everybody', when: { role: ['staff'] }, need: { level: 'phr', maxAge: 7_200 } },
    ],
  });
  t.deepEqual(
    differences(before, after).map(({ at, lowers }) => [at, lowers]),
    [
      ['useOwned', true],
      ['acr.gold', true],
      ['acr.silver', false],
      ['floors.administrator', false],
      ['rules.realm.description', false],
      ['rules.realm.when.role', true],
      ['rules.realm.need.level', false],
      ['rules.realm.need.maxAge', true],
      ['rules.payroll', true],
      ['rules.new', false],
    ],
  );
  t.deepEqual(differences(before, before), []);
  t.deepEqual(differences(before, { ...before, rules: before.rules.toReversed() }), [], 'the order is none');
});

test('a change that is said to lower nothing lowers nothing', (t) => {
  const demands = (decision: Decision): number => ({ nothing: 0, password: 1, factor: 1, enrol: 1, unmet: 2 })[decision.ask];
  let met = 0;
  fc.assert(
    fc.property(facts(), policy(), circumstances(), fc.nat(3), ruleWith('changed'), (some, document, around, place, changed) => {
      if (document.rules.length === 0) return;
      const rules = document.rules.with(Math.min(place, document.rules.length - 1), {
        ...changed,
        id: `rule-${Math.min(place, document.rules.length - 1)}`,
      });
      const after = { ...document, rules };
      if (differences(document, after).some(({ lowers }) => lowers)) return;
      const at = { ...some, ...around, exception: null };
      const [was, is] = [decide({ ...at, policy: document }), decide({ ...at, policy: after })];
      met += 1;
      t.true(demands(is) >= demands(was) || is.ask !== 'nothing', `${was.ask} → ${is.ask}`);
    }),
    { numRuns: 20_000, skipAllAfterTimeLimit: 60_000 },
  );
  t.true(met > 200, String(met));
});
