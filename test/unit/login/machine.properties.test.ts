/**
 * Random sign-ins: a stored world of two users and their credentials, and events of whoever sits at the browser, honest
 * or not. What must hold is said without `decide`: from the list of what was really verified.
 */
import test from 'ava';
import { next, start } from '../../../src/login/machine.ts';
import type { LoginEvent, LoginRules, LoginState } from '../../../src/login/state.ts';
import { decisionOf } from '../../../src/login/walk.ts';
import type { Level, Proof } from '../../../src/policy/assurance.ts';
import { isLevel, reaches } from '../../../src/policy/assurance.ts';
import type { OwnedFactor } from '../../../src/policy/decide.ts';
import { policyOf, type Shorthand } from '../../../src/policy/document.ts';
import { acrList, FACTORS, factor, HOUR, MINUTE, NOW, neutralFacts, password, proofOf } from '../../support/proofs.ts';
import fc from '../../support/property.ts';

interface World {
  mfa: Shorthand;
  acr: string[];
  essential: boolean;
  maxAge: number | undefined;
  wish: boolean;
  enrollable: OwnedFactor[];
  /** The user of the session, if there is one, whether the sign-in is for them, and how old its proofs are. */
  session: { user: string; expected: boolean; proofs: { factor: OwnedFactor | 'password'; ago: number }[] } | null;
  credentials: Record<string, { id: string; factor: OwnedFactor }[]>;
}

/** What happens at the browser; `pick` chooses among what the world offers, right and wrong. */
type Act =
  | { act: 'password'; user: string; ago: number }
  | { act: 'factor'; user: string; of: string; pick: number; ago: number }
  | { act: 'failed'; last: boolean }
  | { act: 'chosen'; pick: number; any: boolean }
  | { act: 'another' | 'begun' | 'cancelled' | 'other-account' }
  | { act: 'enrolled'; pick: number; storedFirst: boolean }
  | { act: 'wait'; for: number }
  /** Whatever the page at hand asks for. */
  | { act: 'honest'; pick: number };

const USERS = ['alice', 'mallory'];
const user = fc.constantFrom(...USERS);
const ago = fc.constantFrom(0, MINUTE, 6 * MINUTE, HOUR);
const credentialsOf = (name: string) =>
  fc.array(factor(), { maxLength: 3 }).map((factors) => factors.map((f, index) => ({ id: `${name}-${f.factor}-${index}`, factor: f })));

const world: fc.Arbitrary<World> = fc.record({
  mfa: fc.constantFrom('off' as const, 'optional' as const, 'required' as const),
  acr: fc.oneof({ weight: 2, arbitrary: fc.constant<string[]>([]) }, { weight: 1, arbitrary: acrList() }),
  essential: fc.boolean(),
  maxAge: fc.option(fc.constantFrom(0, 5 * MINUTE, 30 * MINUTE), { nil: undefined }),
  wish: fc.boolean(),
  enrollable: fc.uniqueArray(factor(), { maxLength: 3 }),
  session: fc.option(
    fc.record({
      user,
      expected: fc.boolean(),
      proofs: fc.array(fc.record({ factor: fc.oneof(fc.constant('password' as const), factor()), ago }), { maxLength: 3 }),
    }),
    { nil: null },
  ),
  credentials: fc.record({ alice: credentialsOf('alice'), mallory: credentialsOf('mallory') }),
});

const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ act: fc.constant('password' as const), user, ago: fc.constantFrom(0, 0, 0, 6 * MINUTE) }) },
  {
    weight: 6,
    arbitrary: fc.record({ act: fc.constant('factor' as const), user, of: user, pick: fc.nat(3), ago: fc.constantFrom(0, 0, 0, 6 * MINUTE) }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('failed' as const), last: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ act: fc.constant('chosen' as const), pick: fc.nat(5), any: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ act: fc.constantFrom('another' as const, 'begun' as const, 'begun' as const, 'begun' as const) }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constantFrom('cancelled' as const, 'other-account' as const) }) },
  { weight: 5, arbitrary: fc.record({ act: fc.constant('enrolled' as const), pick: fc.nat(3), storedFirst: fc.boolean() }) },
  { weight: 12, arbitrary: fc.record({ act: fc.constant('honest' as const), pick: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('wait' as const), for: fc.constantFrom(1, MINUTE, 6 * MINUTE) }) },
);

/** One run of a world: its store, its clock, and what was verified by whom. */
class Run {
  readonly world: World;
  state: LoginState;
  now = NOW;
  readonly verified: { user: string; proof: Proof }[] = [];
  readonly visited: LoginState['at'][] = [];
  readonly #credentials: Record<string, { id: string; factor: OwnedFactor }[]>;
  #made = 0;

  constructor(some: World) {
    this.world = some;
    this.#credentials = structuredClone(some.credentials);
    const expected = some.session?.expected === true ? some.session.user : null;
    this.state = start(this.rules(expected), { userId: expected }, this.now);
    this.visited.push(this.state.at);
  }

  get sessionProofs(): Proof[] {
    return (this.world.session?.proofs ?? []).map(({ factor: f, ago: age }) =>
      f === 'password' ? password(age, 'pw') : proofOf(f, age, `old-${f.factor}`),
    );
  }

  get freshSince(): number {
    return this.world.maxAge === undefined ? Number.NEGATIVE_INFINITY : NOW - this.world.maxAge;
  }

  owned(name: string | null): { id: string; factor: OwnedFactor }[] {
    return name === null ? [] : (this.#credentials[name] ?? []);
  }

  rules(name: string | null): LoginRules {
    const { mfa, enrollable, acr, essential, maxAge, wish } = this.world;
    const owned = this.owned(name);
    return {
      facts: {
        policy: policyOf(mfa),
        ...neutralFacts(),
        enrollable,
        owned: owned.map((c) => c.factor),
        requested: { acr, essential, ...(maxAge !== undefined && { freshSince: this.freshSince }) },
        ...(wish && { action: 'enrol' as const, actionFreshSince: this.now - 5 * MINUTE }),
      },
      sessionProofs: this.sessionProofs,
      choices: owned.map((c) => ({ factor: c.factor.factor, credentialId: c.id })),
      offers: [],
      fallback: [],
    };
  }

  step(one: Act): LoginEvent | undefined {
    const some = one.act === 'honest' ? this.#honest(one.pick) : one;
    if (some.act === 'wait') this.now += some.for;
    const event = this.#eventOf(some);
    if (event === undefined) return undefined;
    const name = event.type === 'proved' ? event.userId : this.state.userId;
    if (event.type === 'proved') this.verified.push({ user: event.userId, proof: event.proof });
    if (event.type === 'enrolled' && name !== null) this.verified.push({ user: name, proof: event.proof });
    const stored = { id: event.type === 'enrolled' ? event.credential.id : '', factor: this.#enrolling() };
    const rulesBefore = this.rules(name);
    if (event.type === 'enrolled' && name !== null && stored.factor) this.#credentials[name]?.push({ id: stored.id, factor: stored.factor });
    const rules = some.act === 'enrolled' && some.storedFirst ? this.rules(name) : rulesBefore;
    this.state = next(this.state, event, rules, this.now);
    this.visited.push(this.state.at);
    return event;
  }

  #honest(pick: number): Exclude<Act, { act: 'honest' }> {
    const who = this.state.userId ?? 'alice';
    switch (this.state.at) {
      case 'identify':
      case 'password':
        return { act: 'password', user: who, ago: 0 };
      case 'challenge':
        return { act: 'factor', user: who, of: who, pick: 2, ago: 0 };
      case 'enrol':
        return this.state.step === null ? { act: 'begun' } : { act: 'enrolled', pick: 1, storedFirst: pick > 2 };
      default:
        return { act: 'chosen', pick, any: false };
    }
  }

  #enrolling(): OwnedFactor | undefined {
    return this.world.enrollable.find((f) => f.factor === this.state.factor);
  }

  #eventOf(some: Exclude<Act, { act: 'honest' }>): LoginEvent | undefined {
    switch (some.act) {
      case 'password':
        return { type: 'proved', userId: some.user, proof: { ...password(0, `pw-${some.user}`), at: this.now - some.ago } };
      case 'factor': {
        const all = this.owned(some.of);
        // Mostly the one that is asked for, so that runs get somewhere; else any of either user's.
        const asked = all.find((c) => c.id === this.state.credentialId) ?? all.find((c) => c.factor.factor === this.state.factor);
        const one = some.pick > 1 ? asked : all[some.pick];
        return one && { type: 'proved', userId: some.user, proof: { ...proofOf(one.factor, 0, one.id), at: this.now - some.ago } };
      }
      case 'failed':
        return { type: 'failed', last: some.last };
      case 'chosen': {
        const all = [
          ...this.owned(this.state.userId).map((c) => ({ factor: c.factor.factor, id: c.id })),
          ...this.world.enrollable.map((f) => ({ factor: f.factor, id: null })),
        ];
        const one = all[some.pick % Math.max(1, all.length)];
        return one && { type: 'chosen', factor: one.factor, credentialId: some.any ? null : one.id };
      }
      case 'begun':
        return { type: 'begun', step: { at: this.now } };
      case 'enrolled': {
        // A caller confirms an enrolment only where one was begun; any other factor must move nothing.
        const f = some.pick === 0 ? FACTORS.attested : this.#enrolling();
        if (f === undefined || (this.state.at === 'enrol' && f.factor !== this.state.factor) || this.state.step === null) return undefined;
        this.#made += 1;
        const id = `made-${this.#made}`;
        return { type: 'enrolled', credential: { ...f, id }, proof: { ...proofOf(f, 0, id), at: this.now } };
      }
      case 'another':
      case 'cancelled':
      case 'other-account':
        return { type: some.act };
      case 'wait':
        return undefined;
    }
  }
}

const runs = fc.tuple(world, fc.array(act, { maxLength: 14 }));
const played = ([some, acts]: [World, Act[]], each: (run: Run, before: LoginState, event: LoginEvent) => void = () => {}): Run => {
  const run = new Run(some);
  for (const one of acts) {
    const before = run.state;
    const event = run.step(one);
    if (event !== undefined) each(run, before, event);
  }
  return run;
};
const kinds = (proofs: Proof[]): Set<string> => new Set(proofs.flatMap((p) => p.kinds));

test('no sequence of events reaches done without the proofs that the rules ask for', (t) => {
  let reached = 0;
  fc.assert(
    fc.property(runs, (input) => {
      const run = played(input);
      const { state } = run;
      if (state.at !== 'done') return;
      reached += 1;
      const who = state.userId;
      if (who === null) return t.fail('nobody is done');
      // What was really verified: by events of this user, or in the session that is this user's.
      const own = run.verified.filter((v) => v.user === who).map((v) => v.proof);
      const session = state.expected && run.world.session?.user === who ? run.sessionProofs : [];
      t.true(
        state.proofs.every((p) => own.includes(p)),
        'every proof was verified, by this user',
      );
      const mine = run.owned(who);
      const ids = [`pw-${who}`, ...mine.map((c) => c.id)];
      t.true(
        state.proofs.every((p) => ids.includes(p.credentialId)),
        'with a credential of this user',
      );
      const all = [...session, ...state.proofs].filter((p) => p.at >= run.freshSince);
      const firsts = all.filter((p) => p.factor === 'password' || (kinds([p]).size > 1 && p.level !== 'aal1'));
      t.true(firsts.length > 0, 'a first factor');
      const strong = (level: Level) => all.some((p) => reaches(p.level, level) && firsts.some((f) => kinds([f, p]).size > 1));
      if (run.world.mfa === 'required') t.true(strong('aal2'), 'two kinds where everybody needs them');
      // A pass is no factor that is asked for because it is there.
      if (run.world.mfa === 'optional' && mine.some((c) => c.factor.factor !== 'enrolment-pass'))
        t.true(
          all.some((p) => p.factor !== 'password'),
          'whoever owns a factor showed one',
        );
      const known = run.world.acr.filter(isLevel);
      if (known.length > 0)
        t.true(
          known.some((level) => level === 'aal1' || strong(level)),
          'the requested level',
        );
    }),
    { numRuns: 20_000 },
  );
  t.true(reached > 1_000, `enough runs must get there: ${reached}`);
});

test('done says what the provider will find when it asks again', (t) => {
  fc.assert(
    fc.property(runs, (input) => {
      const run = new Run(input[0]);
      for (const one of input[1]) {
        run.step(one);
        if (run.state.at === 'done') break;
      }
      if (run.state.at === 'done') t.is(decisionOf(run.state, run.rules(run.state.userId), run.now).ask, 'nothing');
    }),
    { numRuns: 5_000 },
  );
});

test('done and refused are final', (t) => {
  fc.assert(
    fc.property(runs, (input) => {
      played(input, (run, before) => {
        if (before.at === 'done' || before.at === 'refused') t.is(run.state, before);
      });
    }),
    { numRuns: 5_000 },
  );
});

test('a proof never counts twice: one a credential, and none of a credential used before', (t) => {
  fc.assert(
    fc.property(runs, (input) => {
      played(input, (run, before, event) => {
        const ids = run.state.proofs.map((p) => p.credentialId);
        t.is(new Set(ids).size, ids.length);
        if (event.type === 'proved' && before.proofs.some((p) => p.credentialId === event.proof.credentialId && p.at >= event.proof.at)) {
          t.is(run.state, before);
        }
      });
    }),
    { numRuns: 5_000 },
  );
});

test('the same event again, a second tab, moves nothing', (t) => {
  fc.assert(
    fc.property(runs, (input) => {
      played(input, (run, _before, event) => {
        if (event.type === 'proved' || event.type === 'enrolled' || event.type === 'begun') {
          const again = next(run.state, event, run.rules(run.state.userId), run.now);
          // Begun anew it may be where an enrolment was given up for another, but never is a secret replaced.
          if (event.type !== 'begun' || run.state.step !== null) t.is(again, run.state);
        }
      });
    }),
    { numRuns: 5_000 },
  );
});

test('the user, once known, changes only by "not you?", and an expected one never', (t) => {
  fc.assert(
    fc.property(runs, (input) => {
      played(input, (run, before, event) => {
        if (before.userId !== null && run.state.userId !== before.userId) {
          t.is(event.type, 'other-account');
          t.false(before.expected);
          t.is(run.state.userId, null);
          t.deepEqual(run.state.proofs, []);
        }
        if (before.userId === null && run.state.userId !== null) {
          t.is(event.type, 'proved');
          t.true(
            event.type === 'proved' && (event.proof.factor === 'password' || kinds([event.proof]).size > 1),
            'only a first factor says who it is',
          );
        }
        t.is(run.state.expected, before.expected);
      });
    }),
    { numRuns: 5_000 },
  );
});

test('a state is plain data, and says what it needs to', (t) => {
  fc.assert(
    fc.property(runs, (input) => {
      played(input, ({ state }) => {
        t.deepEqual(JSON.parse(JSON.stringify(state)), state);
        t.is(state.at === 'challenge' || state.at === 'enrol', state.factor !== null);
        t.is(state.at === 'refused', state.refusal !== null);
        if (state.at === 'identify') t.is(state.userId, null);
        else if (state.at !== 'refused') t.not(state.userId, null);
        if (state.step !== null) t.is(state.at, 'enrol');
      });
    }),
    { numRuns: 5_000 },
  );
});

test('a wish to enrol is fulfilled at most once, and done means fulfilled or cancelled where it can be', (t) => {
  let fulfilled = 0;
  fc.assert(
    fc.property(runs, (input) => {
      const run = played(input, ({ state }, before, event) => {
        // Another account begins anew, and is asked for itself.
        const isAnew = event.type === 'other-account' && state.userId === null;
        if (before.action === 'done') t.is(state.action, isAnew ? 'pending' : 'done');
      });
      const { state } = run;
      if (!run.world.wish) return t.is(state.action, null);
      if (state.action === 'done') {
        fulfilled += 1;
        t.true(state.enrolled.length >= 1);
      }
      if (state.at === 'done' && run.world.enrollable.length > 0) t.not(state.action, 'pending');
    }),
    { numRuns: 10_000 },
  );
  t.true(fulfilled > 100, String(fulfilled));
});

test('whoever answers every page is done, or told that it cannot be met', (t) => {
  fc.assert(
    fc.property(world, (some) => {
      const run = new Run(some);
      for (let turn = 0; turn < 60 && run.state.at !== 'done' && run.state.at !== 'refused'; turn += 1) {
        run.now += 1;
        run.step({ act: 'honest', pick: turn });
      }
      t.true(run.state.at === 'done' || run.state.refusal === 'unmet', run.visited.join(' → '));
    }),
    { numRuns: 10_000 },
  );
});
