/** What the sign-in machine (machine.ts) is made of: where a sign-in stands, what can happen to it, and by which rules. Types alone. */
import type { Proof } from '../policy/assurance.ts';
import type { Facts, OwnedFactor } from '../policy/decide.ts';

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
