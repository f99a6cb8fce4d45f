/** What an explanation says, and what a recorded sign-in is worth later: both walk with `decide` itself. */
import test from 'ava';
import { sentenceOf, whyOf } from '../../../src/admin/resources/policy-words.ts';
import { createFactors } from '../../../src/factors/index.ts';
import { LANGUAGES, type Language } from '../../../src/languages/languages.ts';
import { translatorFor } from '../../../src/languages/messages.ts';
import { decide, type Facts } from '../../../src/policy/decide.ts';
import { explain, type Step } from '../../../src/policy/explain.ts';
import { inputsOf, recordedInputs, replay } from '../../../src/policy/replay.ts';
import { actionToEnrol, requestFacts } from '../../../src/policy/request.ts';
import { defaultRealmSettings } from '../../../src/realms/settings.ts';
import { at, circumstances, policy, policyWith, realmNeeds, rule, ruleWith } from '../../support/policies.ts';
import { DAY, FACTORS, facts, factsWith, HOUR, NOW, password, totp } from '../../support/proofs.ts';
import fc from '../../support/property.ts';

const { totp: TOTP, passkey: PASSKEY } = FACTORS;
const AMR: Record<string, string[]> = { password: ['pwd'], totp: ['otp'], passkey: ['pop', 'hwk', 'user'] };
const amr = (factor: string): string[] => AMR[factor] ?? [factor];
const ALICE = { id: '11111111-1111-4111-8111-111111111111', username: 'alice', roles: [], groups: [], administrator: false };

const anything = (): fc.Arbitrary<Facts> =>
  fc.tuple(facts(), policy(), circumstances()).map(([some, document, around]) => ({ ...some, ...around, policy: document }));
const shown = (steps: Step[]): string =>
  steps.map((step) => (step.do === 'prove' ? step.factor : step.do === 'enrol' ? `+${step.factor}` : 'skip')).join(' ');

test('every way in is told with what the token would say', (t) => {
  const { ways, need, reasons, complete } = explain(factsWith({ owned: [TOTP, PASSKEY], user: ALICE }), amr);
  t.deepEqual(
    ways.map(({ steps, outcome }) => [shown(steps), outcome.ok ? `${outcome.acr} ${outcome.amr.join()}` : outcome.reason]),
    [
      ['passkey', 'phr pop,hwk,user,mfa'],
      ['password totp', 'aal2 pwd,otp,mfa'],
      ['password passkey', 'phr pop,hwk,user,pwd,mfa'],
    ],
  );
  t.true(complete);
  t.deepEqual(need, { level: 'aal1', secondFactor: true, factors: null, maxAge: null, remember: 30 * 86_400 });
  t.deepEqual(
    reasons.map(({ id }) => id),
    ['user.owned'],
  );
});

test('what may be put off is a way too, and what is refused says why', (t) => {
  const grace = explain(factsWith({ policy: realmNeeds({ level: 'aal2', enrolBy: at(DAY) }), user: ALICE }), amr);
  t.deepEqual(
    grace.ways.map(({ steps, outcome }) => [shown(steps), outcome.ok && outcome.spared]),
    [
      ['password +totp', null],
      ['password skip', 'grace'],
    ],
  );
  const closed = explain(factsWith({ policy: realmNeeds({ deny: true }), user: ALICE }), amr);
  t.deepEqual(
    closed.ways.map(({ steps, outcome }) => [steps.length, outcome.ok]),
    [[0, false]],
  );
});

test('an explanation ends for every policy and request, and says what a decision does', (t) => {
  fc.assert(
    fc.property(anything(), (some) => {
      const { ways, reasons } = explain(some, amr);
      t.true(ways.length <= 100);
      t.true(reasons.length > 0);
      const first = decide(some);
      if (first.ask === 'nothing' || first.ask === 'unmet') t.is(ways.length, 1);
      for (const { outcome } of ways) if (outcome.ok) t.true(outcome.amr.length > 0);
    }),
    { numRuns: 2_000 },
  );
});

test('each rule has a sentence in every language, and each of ours its own', (t) => {
  const factors = createFactors().in(defaultRealmSettings());
  const languages = Object.keys(LANGUAGES).filter((language): language is Language => language in LANGUAGES);
  fc.assert(
    fc.property(ruleWith('some'), fc.constantFrom(...languages), (some, language) => {
      const words = sentenceOf(some, factors, translatorFor(language));
      t.false(/policy\.|\{\{|undefined/.test(words), words);
    }),
    { numRuns: 1_000 },
  );
  const full = factsWith({
    policy: policyWith({ rules: [rule('realm', {}, { level: 'aal2' })] }),
    user: { ...ALICE, administrator: true },
    client: { clientId: 'payroll', floor: 'aal2' },
    owned: [TOTP],
    enrollable: [PASSKEY],
    requested: { acr: ['phr'], essential: false, freshSince: NOW },
    action: 'enrol',
    risk: ['new-device'],
    exception: { id: 'x', level: 'aal1', until: NOW + DAY, reason: 'new telephone' },
  });
  const { reasons } = explain(full, amr);
  t.deepEqual(reasons.map(({ id }) => id).sort(), [
    'action.enrol',
    'administrator.floor',
    'client.floor',
    'enrol.recent',
    'realm',
    'request.acr',
    'request.max_age',
    'risk',
    'user.exception',
    'user.owned',
  ]);
  for (const language of languages) {
    for (const reason of reasons) {
      const words = whyOf(reason, factors, translatorFor(language));
      t.false(words === reason.id || /policy\.|\{\{|undefined/.test(words), `${language}: ${words}`);
    }
  }
  const [realm] = reasons.filter(({ id }) => id === 'realm');
  t.is(realm && whyOf(realm, factors, translatorFor('en')), 'Everybody: at least aal2.');
});

test('what is kept of a sign-in can be read back, and names nobody', (t) => {
  fc.assert(
    fc.property(anything(), (some) => {
      const kept = inputsOf(some, { version: 3, owned: some.owned });
      const text = JSON.stringify(kept);
      t.deepEqual(recordedInputs.parse(JSON.parse(text)), JSON.parse(text));
      if (some.user) t.false(text.includes(some.user.username) || text.includes(some.user.id));
      t.false(text.includes('telephone'));
    }),
    { numRuns: 2_000 },
  );
});

test('a sign-in is replayed as it began: with what the session had, and not with what it was asked', (t) => {
  const who = { clientId: null, user: { id: ALICE.id, username: 'alice' }, now: NOW + 9 * DAY };
  const done = { policy: realmNeeds({ level: 'aal2' }), owned: [TOTP], proofs: [password(), totp()], startedAt: NOW - 1_000 };
  const kept = inputsOf(factsWith(done), { version: 1, owned: [TOTP] });
  t.is(replay(done.policy, kept, who).asked, 'factor');
  t.is(replay(policyWith({ useOwned: false }), kept, who).asked, 'nothing');
  t.is(replay(realmNeeds({ level: 'phrh' }), kept, who).asked, 'blocked');
  t.is(replay(realmNeeds({ deny: true }), kept, who).asked, 'blocked');

  const enrolled = inputsOf(factsWith(done), { version: 1, owned: [] });
  t.is(replay(done.policy, enrolled, who).asked, 'enrol');
  t.is(replay(realmNeeds({ level: 'aal2', enrolBy: at(10 * DAY) }), enrolled, who).asked, 'enrol-or-skip');
  t.is(replay(realmNeeds({ level: 'aal2', enrolBy: at(8 * DAY) }), enrolled, who).asked, 'enrol', 'a deadline is judged as of now');

  const raised = inputsOf(factsWith({ ...done, proofs: [password(HOUR), totp(HOUR), password()] }), { version: 1, owned: [TOTP] });
  t.is(replay(done.policy, raised, who).asked, 'nothing', 'the session had shown it');
  const passkey = inputsOf(factsWith({ ...done, proofs: [{ ...totp(), factor: 'passkey', kinds: ['possession', 'inherence'], level: 'phr' }] }), {
    version: 1,
    owned: [PASSKEY],
  });
  t.is(replay(realmNeeds({ level: 'phr' }), passkey, who).asked, 'nothing');
});

test('an application’s actions ask for the factor that they name', (t) => {
  const wish = (action: string) => {
    const { action: asked, actionFactors } = requestFacts({ kc_action: action }, NOW);
    return [asked, actionFactors];
  };
  t.deepEqual(wish('CONFIGURE_TOTP'), ['enrol', ['totp']]);
  t.deepEqual(wish('webauthn-register'), ['enrol', ['security-key']]);
  t.deepEqual(wish('webauthn-register-passwordless'), ['enrol', ['passkey']]);
  t.deepEqual(wish('CONFIGURE_RECOVERY_AUTHN_CODES'), ['enrol', ['recovery-codes']]);
  for (const other of ['UPDATE_PASSWORD', 'TERMS_AND_CONDITIONS', 'delete_account', 'toString', '']) t.deepEqual(wish(other), [undefined, undefined]);
  for (const factor of ['totp', 'passkey', 'sms-otp']) t.deepEqual(wish(actionToEnrol(factor))[1], [factor]);
});

test('what a client wishes counts where the request names nothing, and is never essential', (t) => {
  t.deepEqual(requestFacts({}, NOW, ['gold']).requested, { acr: ['gold'], essential: false });
  t.deepEqual(requestFacts({ acr_values: 'aal1 aal2' }, NOW, ['gold']).requested.acr, ['aal1', 'aal2']);
  const claims = JSON.stringify({ id_token: { acr: { essential: true } } });
  t.deepEqual(requestFacts({ claims }, NOW, ['gold']).requested, { acr: ['gold'], essential: false });
});
