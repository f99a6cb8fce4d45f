/**
 * The sign-in as a machine: where it stands, and where an event takes it. Pure.
 *
 * The machine never grants anything by itself. After every accepted event it asks `decide` (policy/decide.ts) what is
 * still to be shown and goes to the page for that (walk.ts); `done` is reached only where `decide` asks nothing, and the provider
 * asks `decide` once more before it issues anything.
 *
 *     start ─► identify ─► choose ⇄ challenge ─► done
 *                 │           ⇅
 *              password     enrol           any ─► refused   (cancelled, attempts, unmet)
 *
 * The caller verifies (factors/), stores by compare-and-set, and computes the rules anew for each event from what is
 * stored: an event that tells who the user is comes with that user's rules. An event that does not fit where the sign-in
 * stands (a second tab, the back button, a replayed form) leaves the very same object, which the caller sees by identity.
 */
import type { Proof } from '../policy/assurance.ts';
import { isFirst, type OwnedFactor, PASSWORD } from '../policy/decide.ts';
import type { LoginEvent, LoginRules, LoginState, Unavailability } from './state.ts';
import { candidates, challengeOf, decisionOf, isDueAs, mayTakeUp, place, proceed, refuse } from './walk.ts';

/**
 * A sign-in at its first page.
 *
 * @param options.userId the user of the session when there is one: a step-up or a re-authentication
 * @param options.discovery the challenge of a sign-in without a name
 */
export function start(rules: LoginRules, options: { userId: string | null; discovery?: unknown }, now: number): LoginState {
  const blank: LoginState = {
    at: 'identify',
    userId: options.userId,
    expected: options.userId !== null,
    proofs: [],
    factor: null,
    credentialId: null,
    step: null,
    challenges: {},
    unavailable: {},
    discovery: options.discovery ?? null,
    due: null,
    answered: [],
    skipped: false,
    rememberDevice: false,
    capable: false,
    action: rules.wish !== undefined || rules.facts.action !== undefined ? 'pending' : null,
    enrolled: [],
    remember: false,
    refusal: null,
  };
  return proceed(blank, rules, now);
}

/**
 * Where an event takes the sign-in. Returns the same object when the event does not fit.
 *
 * @param rules of the user that the event names, as stored now
 * @param now milliseconds since the epoch
 */
export function next(state: LoginState, event: LoginEvent, rules: LoginRules, now: number): LoginState {
  if (state.at === 'done' || state.at === 'refused') return state;
  switch (event.type) {
    case 'proved':
      return proved(state, event, rules, now);
    case 'failed':
      return event.last && isVerifying(state) ? refuse(state, 'attempts') : state;
    case 'chosen':
      return chosen(state, event, rules, now);
    case 'another':
      return another(state, rules, now);
    case 'begun':
      return begun(state, event, rules, now);
    case 'unavailable':
      return unavailable(state, event.why, rules, now);
    case 'rediscovered':
      return state.at === 'identify' || state.at === 'password' ? { ...state, discovery: event.discovery } : state;
    case 'skipped':
      return skipped(state, rules, now);
    case 'answered':
      return answered(state, event, rules, now);
    case 'enrolled':
      return enrolled(state, event, rules, now);
    case 'cancelled':
      return cancelled(state, rules, now);
    case 'other-account':
      return otherAccount(state, rules, now);
  }
}

type Event<T extends LoginEvent['type']> = Extract<LoginEvent, { type: T }>;

function proved(state: LoginState, event: Event<'proved'>, rules: LoginRules, now: number): LoginState {
  const { proof } = event;
  if (state.userId !== null && event.userId !== state.userId) return state;
  if (state.at === 'identify' || state.at === 'password') {
    // A passkey is a first factor by itself, and then one of the credentials that the rules name as this user's.
    if (!isFirst(proof) || (proof.factor !== PASSWORD && !isHeld(proof, rules))) return state;
  } else if (state.at !== 'challenge' || !isChallenged(state, proof) || !isHeld(proof, rules)) {
    return state;
  }
  const proofs = withProof(state.proofs, proof);
  if (proofs === state.proofs) return state;
  const rememberDevice = event.rememberDevice ?? state.rememberDevice;
  const capable = event.capable ?? state.capable;
  return proceed({ ...state, userId: event.userId, proofs, remember: event.remember ?? state.remember, rememberDevice, capable }, rules, now);
}

function isChallenged(state: LoginState, proof: Proof): boolean {
  return proof.factor === state.factor && (state.credentialId === null || proof.credentialId === state.credentialId);
}

function isHeld(proof: Proof, rules: LoginRules): boolean {
  return rules.choices.some((choice) => choice.factor === proof.factor && choice.credentialId === proof.credentialId);
}

function chosen(state: LoginState, event: Event<'chosen'>, rules: LoginRules, now: number): LoginState {
  if (state.at !== 'choose') return state;
  const decision = decisionOf(state, rules, now);
  if (decision.ask === 'enrol') {
    const fits = event.credentialId === null && decision.factors.includes(event.factor);
    return fits ? { ...state, at: 'enrol', factor: event.factor, credentialId: null, step: null } : state;
  }
  if (decision.ask === 'factor') {
    const fits = candidates(decision.factors, rules).some(
      (choice) => choice.factor === event.factor && (event.credentialId === null || choice.credentialId === event.credentialId),
    );
    return fits ? { ...state, at: 'challenge', factor: event.factor, credentialId: event.credentialId, step: null } : state;
  }
  // The page stood open until what allowed the choice went stale.
  return proceed(state, rules, now);
}

function another(state: LoginState, rules: LoginRules, now: number): LoginState {
  if (state.at !== 'challenge' && state.at !== 'enrol' && state.at !== 'action') return state;
  return proceed(state, rules, now);
}

function begun(state: LoginState, event: Event<'begun'>, rules: LoginRules, now: number): LoginState {
  if (state.at === 'challenge') return challengeBegun(state, event, rules, now);
  // An offer that was taken up: what it sets up is no answer to what `decide` asks.
  if (state.at === 'action') return takenUp(state, event, rules, now);
  // An enrolment that was begun keeps its secret: a second tab must not replace what the user has already scanned.
  if (state.at !== 'enrol' || (state.step !== null && event.again !== true)) return state;
  const decision = decisionOf(state, rules, now);
  if (decision.ask !== 'enrol' || state.factor === null || !decision.factors.includes(state.factor)) return proceed(state, rules, now);
  return { ...state, step: event.step };
}

function takenUp(state: LoginState, event: Event<'begun'>, rules: LoginRules, now: number): LoginState {
  if (state.step !== null) return event.again === true ? { ...state, step: event.step } : state;
  const isAsked = isDueAs('always', state, rules) || isDueAs('wished', state, rules);
  if (state.due === null || isAsked || mayTakeUp(state, rules, now)) return { ...state, step: event.step };
  return answered(state, { action: state.due }, rules, now);
}

function challengeBegun(state: LoginState, event: Event<'begun'>, rules: LoginRules, now: number): LoginState {
  const { factor } = state;
  if (factor === null || (challengeOf(state) !== null && event.again !== true)) return state;
  const decision = decisionOf(state, rules, now);
  if (decision.ask !== 'factor' || !decision.factors.includes(factor)) return proceed(state, rules, now);
  const { [factor]: _before, ...unavailable } = state.unavailable;
  return { ...state, challenges: { ...state.challenges, [factor]: event.step }, unavailable };
}

/** Falls back to the next factor of the realm's list that is enough; never to a weaker one, since only what `decide` names counts. */
function unavailable(state: LoginState, why: Unavailability, rules: LoginRules, now: number): LoginState {
  const { factor } = state;
  if ((state.at !== 'challenge' && state.at !== 'enrol') || factor === null) return state;
  const without = { ...state, unavailable: { ...state.unavailable, [factor]: why } };
  // To wait is not to fail: nobody is sent a second code by another way because the first is on its way.
  if (state.at === 'enrol' || why.until !== null || !rules.fallback.includes(factor)) return without;
  const decision = decisionOf(without, rules, now);
  if (decision.ask !== 'factor') return without;
  const usable = candidates(decision.factors, rules);
  const next = rules.fallback.find((other) => !(other in without.unavailable) && usable.some((choice) => choice.factor === other));
  return next === undefined ? without : place(without, { at: 'challenge', factor: next });
}

function skipped(state: LoginState, rules: LoginRules, now: number): LoginState {
  if (state.at !== 'enrol' && state.at !== 'choose') return state;
  const decision = decisionOf(state, rules, now);
  if (decision.ask !== 'enrol' || decision.skip === null) return state;
  return proceed({ ...state, skipped: true }, rules, now);
}

function answered(state: LoginState, event: Omit<Event<'answered'>, 'type'>, rules: LoginRules, now: number): LoginState {
  const { action, removed = [], replaced } = event;
  if (state.at !== 'action' || state.due !== action) return state;
  const proofs = state.proofs
    .filter(({ credentialId }) => !removed.includes(credentialId))
    .map((proof) => (proof.credentialId === replaced?.was ? { ...proof, credentialId: replaced.by } : proof));
  // Whoever asked for it besides: it is done.
  const wish = state.action === 'pending' && rules.wish?.action === action ? 'done' : state.action;
  return proceed({ ...state, proofs, action: wish, answered: [...state.answered, action] }, rules, now);
}

function enrolled(state: LoginState, event: Event<'enrolled'>, rules: LoginRules, now: number): LoginState {
  const { credential, proof } = event;
  const fits =
    state.at === 'enrol' &&
    state.step !== null &&
    credential.factor === state.factor &&
    proof.factor === credential.factor &&
    proof.credentialId === credential.id;
  if (!fits) return state;
  const added = withProof(state.proofs, proof);
  if (added === state.proofs) return state;
  const { removed = [] } = event;
  const proofs = added.filter(({ credentialId }) => !removed.includes(credentialId));
  // What an administrator or the policy wants set up is not yet what the application wishes.
  const isWished = rules.wish === undefined || rules.wish.factor === credential.factor;
  const action = state.action === 'pending' && isWished ? 'done' : state.action;
  const enrolledNow = { ...state, proofs, action, enrolled: [...state.enrolled, credential.id] };
  return proceed(enrolledNow, withCredential(rules, credential), now);
}

/** The rules may have been read before the credential was stored, or after. */
function withCredential(rules: LoginRules, credential: OwnedFactor & { id: string }): LoginRules {
  if (rules.choices.some((choice) => choice.credentialId === credential.id)) return rules;
  const { id, ...owned } = credential;
  return {
    ...rules,
    facts: { ...rules.facts, owned: [...rules.facts.owned, owned] },
    choices: [...rules.choices, { factor: credential.factor, credentialId: id }],
  };
}

function cancelled(state: LoginState, rules: LoginRules, now: number): LoginState {
  if (state.action === 'pending' && !(state.at === 'action' && isDueAs('always', state, rules))) {
    // Only the wish is cancelled when the sign-in stands without it.
    const without: LoginState = { ...state, action: 'cancelled' };
    if (decisionOf(without, rules, now).ask === 'nothing') return proceed(without, rules, now);
  }
  return refuse(state, 'cancelled');
}

function otherAccount(state: LoginState, rules: LoginRules, now: number): LoginState {
  // The application asked for this very account; going on with another one would answer a question that nobody asked.
  if (state.expected) return refuse(state, 'cancelled');
  if (state.userId === null) return state;
  return start(rules, { userId: null }, now);
}

function isVerifying(state: LoginState): boolean {
  return state.at === 'identify' || state.at === 'password' || state.at === 'challenge' || state.at === 'enrol';
}

/** One proof a credential: a later one takes its place, the same or an earlier one changes nothing. */
function withProof(proofs: Proof[], proof: Proof): Proof[] {
  const before = proofs.find((other) => other.credentialId === proof.credentialId);
  if (before !== undefined && before.at >= proof.at) return proofs;
  return [...proofs.filter((other) => other !== before), proof];
}
