/**
 * The sign-in as a machine: where it stands, and where an event takes it. Pure.
 *
 * The machine never grants anything by itself. After every accepted event it asks `decide` (policy/decide.ts) what is
 * still to be shown and goes to the page for that; `done` is reached only where `decide` asks nothing, and the provider
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
import type { Decision, Facts, OwnedFactor } from '../policy/decide.ts';
import { decide, isFirst, PASSWORD } from '../policy/decide.ts';
import { ENROL_FRESH_MS } from '../policy/policy.ts';

/** One sign-in as it is stored. Plain JSON. */
export interface LoginState {
  /**
   * The page that is due. `identify` asks for a name and the first factor, `password` for the first factor of a known
   * user, `choose` which factor to use or to enrol, `action` for a required action or an offer.
   */
  at: 'identify' | 'password' | 'choose' | 'challenge' | 'enrol' | 'action' | 'done' | 'refused';
  /** Set once: by the accepted first factor, or by the session that is stepped up. */
  userId: string | null;
  /** The user came from the session (step-up, re-authentication): the account cannot change in here. */
  expected: boolean;
  /** What was proved in this transaction. */
  proofs: Proof[];
  /** What is being challenged or enrolled; a null credential is any of that factor. */
  factor: string | null;
  credentialId: string | null;
  /** The factor's state of the enrolment at hand; null until it was begun. */
  step: unknown;
  /**
   * The states of the challenges that were begun, by factor: a code that was sent stays good while the user looks for
   * another way and comes back.
   */
  challenges: Record<string, unknown>;
  /** Why a challenge could not be begun, by factor: no number, a provider that failed. */
  unavailable: Record<string, Unavailability>;
  /** The challenge of a sign-in without a name, as the first page has it; null where there is none. */
  discovery: unknown;
  /** The action that is due, and those that were answered. */
  due: string | null;
  answered: string[];
  /** An enrolment that is due was put off. */
  skipped: boolean;
  /** The user asked that this device be remembered. */
  rememberDevice: boolean;
  /** This browser says that it can make a passkey. */
  capable: boolean;
  /** What became of what the request asked for (`kc_action`); null when it asked for nothing that is known here. */
  action: 'pending' | 'done' | 'cancelled' | null;
  /** Ids of the credentials that were made here. */
  enrolled: string[];
  /** The user asked to stay signed in. */
  remember: boolean;
  refusal: null | 'cancelled' | 'attempts' | 'unmet';
}

export interface Unavailability {
  reason: string;
  /** When it may be tried again; null where time does not help. */
  until: number | null;
}

export type LoginEvent =
  /** A password or a factor was accepted. */
  | { type: 'proved'; userId: string; proof: Proof; remember?: boolean; rememberDevice?: boolean; capable?: boolean }
  /** It was not; `last` when the limit is reached, which ends the transaction. */
  | { type: 'failed'; last: boolean }
  /** From the choice page: a factor to be challenged (null: any credential of it) or one to enrol (always null). */
  | { type: 'chosen'; factor: string; credentialId: string | null }
  /** "Another way": back to the choice page. */
  | { type: 'another' }
  /** An enrolment or a challenge was begun, with its state; `again` when it takes the place of one, such as a code sent once more. */
  | { type: 'begun'; step: unknown; again?: boolean }
  /** A challenge could not be begun. */
  | { type: 'unavailable'; why: Unavailability }
  /** The first page got another challenge for a sign-in without a name. */
  | { type: 'rediscovered'; discovery: unknown }
  /** "Skip for now": the enrolment that is due is put off. */
  | { type: 'skipped' }
  /**
   * The action that is due was done, or declined where it was an offer. What it `removed` shows nothing any more; what was
   * shown with a credential that it `replaced` was shown by whoever has chosen the one in its place.
   */
  | { type: 'answered'; action: string; removed?: readonly string[]; replaced?: { was: string; by: string } }
  /**
   * It was confirmed and stored. The confirming code is that proof and is not asked for twice. What it took the place of is
   * `removed`, and shows nothing any more.
   */
  | { type: 'enrolled'; credential: OwnedFactor & { id: string }; proof: Proof; removed?: readonly string[] }
  | { type: 'cancelled' }
  /** "Not you?" */
  | { type: 'other-account' };

/** What the caller computes for each event from the realm, the request, the session and the stored user. */
export interface LoginRules {
  facts: Omit<Facts, 'now' | 'proofs'>;
  /** The fresh proofs of the session of the expected user (`freshProofs`); empty when there is none. */
  sessionProofs: readonly Proof[];
  /** The user's active second-factor credentials; empty while the user is unknown. */
  choices: readonly { factor: string; credentialId: string }[];
  /** What this user may be shown before the end, once each. */
  offers: readonly Offer[];
  /** The enrolment that an administrator wants of this user, which the facts then ask for as a request would. */
  required?: string | undefined;
  /** What the application wishes (`kc_action`): the factor that it would have enrolled, or the action that does it. */
  wish?: { factor?: string | undefined; action?: string | undefined } | undefined;
  /** Factors to fall back to, in order, where a challenge cannot be begun. */
  fallback: readonly string[];
}

/** Something between the last proof and the end: what has to be done, or is offered after one of these factors. */
export interface Offer {
  action: string;
  /**
   * `always`: whoever signs in has to do it. `wished`: while the application's wish is neither done nor cancelled. Else it is
   * due when one of `factors` was proved, or enrolled, in this sign-in.
   */
  after: 'always' | 'wished' | 'proved' | 'enrolled';
  factors?: readonly string[];
}

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

/**
 * What is still to ask where the sign-in stands.
 *
 * Nobody's proofs count while nobody is known, and the session's only for the user whose session it is: with another
 * user's they would sign in that other user's level.
 */
export function decisionOf(state: LoginState, rules: LoginRules, now: number): Decision {
  const session = state.expected ? rules.sessionProofs : [];
  const proofs = state.userId === null ? [] : [...session, ...state.proofs];
  const { action, ...facts } = rules.facts;
  const asked = action !== undefined && (state.action === 'pending' || rules.required !== undefined) ? { action } : {};
  return decide({ ...facts, ...asked, skipped: facts.skipped || state.skipped, now, proofs });
}

/** The state of the challenge at hand; null when it was not begun, or needs none. */
export const challengeOf = ({ factor, challenges }: LoginState): unknown => (factor === null ? null : (challenges[factor] ?? null));

/**
 * Whether the enrolment at hand may still be confirmed. Another tab may have bound a factor since the page was shown, and
 * what is owned has to be shown before one more is bound. How long the page itself stood open is of no account: to
 * install an app takes its time.
 *
 * @param startedAt when the sign-in began
 */
export function mayConfirm(state: LoginState, rules: LoginRules, startedAt: number, now: number): boolean {
  const session = state.expected ? rules.sessionProofs : [];
  const facts: Facts = { ...rules.facts, action: 'enrol', actionFreshSince: startedAt - ENROL_FRESH_MS, now, proofs: [...session, ...state.proofs] };
  // What the page shows is wanted, whatever else the request asked for.
  const wanted = state.factor === null ? {} : { actionFactors: [state.factor] };
  return decide({ ...facts, ...wanted }).ask === 'enrol';
}

/**
 * Whether something that is offered may be set up now: as for any enrolment, the strongest factor owned has to have been
 * shown moments ago. A page that stood open is not taken up by whoever passes by, and what a weaker factor was shown for
 * offers nothing.
 */
function mayTakeUp(state: LoginState, rules: LoginRules, now: number): boolean {
  const session = state.expected ? rules.sessionProofs : [];
  const { action: _action, actionFactors: _factors, actionFreshSince: _since, ...facts } = rules.facts;
  return decide({ ...facts, action: 'enrol', now, proofs: [...session, ...state.proofs] }).ask === 'enrol';
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

const isDueAs = (after: Offer['after'], { due }: LoginState, { offers }: LoginRules): boolean =>
  offers.some((offer) => offer.action === due && offer.after === after);

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

/** The first of the actions that are due now. */
function dueAction(state: LoginState, rules: LoginRules, now: number): string | undefined {
  const enrolled = state.proofs.filter((proof) => state.enrolled.includes(proof.credentialId));
  // `decide` was asked, and has nothing against it.
  const mayChange = state.action === 'pending' && rules.facts.action === 'change';
  const isDue = ({ action, after, factors }: Offer): boolean => {
    if (state.answered.includes(action)) return false;
    if (after === 'wished') return mayChange;
    // Not of whoever came with a session, was asked for proof, and went back instead.
    if (after === 'always') return !state.expected || state.proofs.length > 0 || mayChange;
    // Whoever has just set one thing up is not asked to set up the next.
    const made = after === 'enrolled' ? enrolled : state.proofs.filter((proof) => !enrolled.includes(proof));
    return made.some((proof) => factors?.includes(proof.factor)) && mayTakeUp(state, rules, now);
  };
  return rules.offers.find(isDue)?.action;
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

/** Goes where the decision points. Returns the same object when that is where it stands. */
function proceed(state: LoginState, rules: LoginRules, now: number): LoginState {
  const decision = decisionOf(state, rules, now);
  switch (decision.ask) {
    case 'nothing': {
      const due = dueAction(state, rules, now);
      return due === undefined ? place(state, { at: 'done' }) : place(state, { at: 'action', due });
    }
    case 'password':
      return place(state, { at: state.userId === null ? 'identify' : 'password' });
    case 'unmet':
      return refuse(state, 'unmet');
    case 'factor': {
      // Any credential of one factor will do, and each is looked at: there is nothing to choose.
      const usable = candidates(decision.factors, rules);
      const [factor, ...others] = new Set(usable.map((choice) => choice.factor));
      if (factor === undefined || others.length > 0) return place(state, { at: 'choose' });
      const [only, ...more] = usable;
      return place(state, { at: 'challenge', factor, ...(only !== undefined && more.length === 0 ? { credentialId: only.credentialId } : {}) });
    }
    case 'enrol': {
      const [only, ...more] = decision.factors;
      return place(state, only !== undefined && more.length === 0 ? { at: 'enrol', factor: only } : { at: 'choose' });
    }
  }
}

function place(state: LoginState, to: { at: LoginState['at']; factor?: string; credentialId?: string; due?: string }): LoginState {
  const factor = to.factor ?? null;
  const credentialId = to.credentialId ?? null;
  const due = to.due ?? null;
  if (state.at === to.at && state.factor === factor && state.credentialId === credentialId && state.due === due) return state;
  return { ...state, at: to.at, factor, credentialId, due, step: null };
}

function refuse(state: LoginState, refusal: NonNullable<LoginState['refusal']>): LoginState {
  return { ...state, at: 'refused', factor: null, credentialId: null, step: null, due: null, refusal };
}

function candidates(factors: readonly string[], rules: LoginRules): { factor: string; credentialId: string }[] {
  return rules.choices.filter((choice) => factors.includes(choice.factor)).map(({ factor, credentialId }) => ({ factor, credentialId }));
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
