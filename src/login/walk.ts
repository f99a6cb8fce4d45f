/**
 * Where a sign-in goes: what `decide` still asks of it, and the page for that. Pure.
 *
 * The events of the machine (machine.ts) change what is known; what follows from that is found here. `done` is reached
 * here alone, and only where `decide` asks nothing, so that no event can lead past what it asks.
 */
import { type Decision, decide, type Facts } from '../policy/decide.ts';
import { ENROL_FRESH_MS } from '../policy/policy.ts';
import type { LoginRules, LoginState, Offer } from './state.ts';

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
export function mayTakeUp(state: LoginState, rules: LoginRules, now: number): boolean {
  const session = state.expected ? rules.sessionProofs : [];
  const { action: _action, actionFactors: _factors, actionFreshSince: _since, ...facts } = rules.facts;
  return decide({ ...facts, action: 'enrol', now, proofs: [...session, ...state.proofs] }).ask === 'enrol';
}

/** Goes where the decision points. Returns the same object when that is where it stands. */
export function proceed(state: LoginState, rules: LoginRules, now: number): LoginState {
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

/** Another page, and nothing of what the one before had begun. Returns the same object when it is the same page. */
export function place(state: LoginState, to: { at: LoginState['at']; factor?: string; credentialId?: string; due?: string }): LoginState {
  const factor = to.factor ?? null;
  const credentialId = to.credentialId ?? null;
  const due = to.due ?? null;
  if (state.at === to.at && state.factor === factor && state.credentialId === credentialId && state.due === due) return state;
  return { ...state, at: to.at, factor, credentialId, due, step: null };
}

/** The end without success, and why. */
export function refuse(state: LoginState, refusal: NonNullable<LoginState['refusal']>): LoginState {
  return { ...state, at: 'refused', factor: null, credentialId: null, step: null, due: null, refusal };
}

/** The credentials of the user that are of one of these factors. */
export function candidates(factors: readonly string[], rules: LoginRules): { factor: string; credentialId: string }[] {
  return rules.choices.filter((choice) => factors.includes(choice.factor)).map(({ factor, credentialId }) => ({ factor, credentialId }));
}

/** Whether the action that is due was offered for this reason. */
export const isDueAs = (after: Offer['after'], { due }: LoginState, { offers }: LoginRules): boolean =>
  offers.some((offer) => offer.action === due && offer.after === after);

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
