/**
 * A forgotten password as a machine: where the recovery stands, and where an event takes it. Pure.
 *
 *     asked ─► sent ─► choose ⇄ challenge ─► password ─► done
 *                │                              ▲
 *                └──── nothing else is owned ───┘          any ─► refused   (a barrier, attempts, cancelled)
 *
 * The mail shows the mailbox and nothing more. Whoever owns another second factor shows one of them before a new password
 * is set: the mailbox must not be worth more than what the owner signs in with. Nobody is signed in
 * by it, whatever was shown.
 *
 * As in the machine of the sign-in, the caller verifies, stores by compare-and-set, and computes the rules anew for each
 * event; an event that does not fit leaves the very same object.
 */
import { type Level, reaches, strongest } from '../../policy/assurance.ts';
import type { OwnedFactor } from '../../policy/policy.ts';
import type { Unavailability } from '../state.ts';

/** One recovery as it is stored. Plain JSON. */
export interface RecoveryState {
  /** The page that is due; `asked` before anybody was looked up, and for good where the name is nobody's. */
  at: 'asked' | 'sent' | 'choose' | 'challenge' | 'password' | 'done' | 'refused';
  userId: string | null;
  /** The address that the link was sent to: with another one on file by now, it shows nothing. */
  email: string | null;
  /** What is being challenged: any credential of it will do. */
  factor: string | null;
  /** The states of the challenges that were begun, by factor. */
  challenges: Record<string, unknown>;
  /** Why a challenge could not be begun, by factor. */
  unavailable: Record<string, Unavailability>;
  /** The second factor that was shown here. */
  shown: Way | null;
  refusal: null | 'attempts' | 'cancelled' | Barrier;
  /** The interaction of the sign-in that this began from. */
  login: string | null;
  /** The language that it was asked for in, such as `de`. */
  language: string;
  /** Of a link that an administrator has sent: what it is for, and where its user goes after it. */
  asked?: { actions: string[]; back: string | null };
}

export interface Way {
  factor: string;
  credentialId: string;
}

/**
 * Why a user cannot set a new password by mail. `administrator`: they would need a second factor besides the mailbox;
 * `mailbox`: their only second factor is the same mailbox, and this realm counts it as one; `switched-off`: what they own
 * was switched off after too many failures; `changed`: the account is not what it was when the mail was sent.
 */
export type Barrier = 'administrator' | 'mailbox' | 'switched-off' | 'changed';

export type RecoveryEvent =
  /** The name was somebody's, and a link is on its way to them. */
  | { type: 'sent'; userId: string; email: string }
  /** The link was opened in the browser that asked for it, and its button pressed. */
  | { type: 'followed' }
  | { type: 'chosen'; factor: string }
  | { type: 'another' }
  | { type: 'begun'; step: unknown; again?: boolean }
  | { type: 'unavailable'; why: Unavailability }
  | { type: 'shown'; way: Way }
  /** It was not; `last` when the limit is reached, which ends the recovery. */
  | { type: 'failed'; last: boolean }
  /** A new password was accepted. */
  | { type: 'changed' }
  | { type: 'cancelled' };

/** What the caller computes for each event from what is stored. */
export interface RecoveryRules {
  barrier: Barrier | null;
  /** Credentials of which one has to be shown; empty where the mailbox is enough. */
  ways: readonly Way[];
  /** Factors to fall back to, in order, where a challenge cannot be begun. */
  fallback: readonly string[];
}

/** It opens one enrolment, after a sign-in, and would be gone before it. */
const PASS = 'enrolment-pass';
/** Kept for a lost factor; whoever administers something is let in again by somebody else who does. */
const CODES = 'recovery-codes';

/** Factors whose codes go to the mailbox, where a realm has no more of them than the product does. */
const MAILED: ReadonlySet<string> = new Set(['email-otp']);

/**
 * Which factors a user may show, and whether there is something in the way.
 * @param mailed factors whose codes go to the mailbox: what they show, the mail with the link has shown already
 */
export function waysOf(
  user: { owned: readonly OwnedFactor[]; administrator: boolean },
  mailed: ReadonlySet<string> = MAILED,
): { barrier: Barrier | null; factors: string[] } {
  const counts = user.owned.filter(({ factor }) => !mailed.has(factor) && factor !== PASS && !(user.administrator && factor === CODES));
  const usable = counts.filter(({ disabled }) => disabled !== true).map(({ factor }) => factor);
  if (usable.length > 0) return { barrier: null, factors: [...new Set(usable)] };
  if (counts.length > 0) return { barrier: 'switched-off', factors: [] };
  if (user.administrator) return { barrier: 'administrator', factors: [] };
  const mailbox = user.owned.filter(({ factor }) => mailed.has(factor)).reduce<Level>((level, factor) => strongest(level, factor.level), 'aal1');
  return { barrier: reaches(mailbox, 'aal2') ? 'mailbox' : null, factors: [] };
}

/** A recovery at its beginning: a name was typed, whoever's it is. */
export const ask = (from: Pick<RecoveryState, 'login' | 'language'>): RecoveryState => ({
  at: 'asked',
  userId: null,
  email: null,
  factor: null,
  challenges: {},
  unavailable: {},
  shown: null,
  refusal: null,
  ...from,
});

/** A link that was sent without being asked for: it is on its way. */
export const invited = ({
  userId,
  email,
  asked,
  language,
}: Required<Pick<RecoveryState, 'userId' | 'email' | 'asked' | 'language'>>): RecoveryState => ({
  ...ask({ login: null, language }),
  at: 'sent',
  userId,
  email,
  asked,
});

/** Where an event takes the recovery. Returns the same object when the event does not fit. */
export function next(state: RecoveryState, event: RecoveryEvent, rules: RecoveryRules): RecoveryState {
  switch (event.type) {
    case 'sent':
      return state.at === 'asked' ? { ...state, at: 'sent', userId: event.userId, email: event.email } : state;
    case 'followed':
      return state.at === 'sent' ? proceed(state, rules) : state;
    case 'chosen':
      return state.at === 'choose' ? chosen(state, event.factor, rules) : state;
    case 'another':
      return state.at === 'challenge' ? proceed(state, rules) : state;
    case 'begun':
      return begun(state, event);
    case 'unavailable':
      return unavailable(state, event.why, rules);
    case 'shown':
      return shown(state, event.way, rules);
    case 'failed':
      return state.at === 'challenge' && event.last ? refuse(state, 'attempts') : state;
    case 'changed':
      return state.at === 'password' ? changed(state, rules) : state;
    case 'cancelled':
      return isUnderway(state) ? refuse(state, 'cancelled') : state;
  }
}

/** The link was used, and nothing has ended it. */
export const isUnderway = ({ at }: RecoveryState): boolean => at === 'choose' || at === 'challenge' || at === 'password';

/** The state of the challenge at hand; null when it was not begun, or needs none. */
export const challengeOf = ({ factor, challenges }: Pick<RecoveryState, 'factor' | 'challenges'>): unknown =>
  factor === null ? null : (challenges[factor] ?? null);

/** The factors that there are to choose from. */
export const factorsOf = ({ ways }: Pick<RecoveryRules, 'ways'>): string[] => [...new Set(ways.map(({ factor }) => factor))];

function chosen(state: RecoveryState, factor: string, rules: RecoveryRules): RecoveryState {
  const after = proceed(state, rules);
  // Something has changed since the page was shown.
  if (after !== state) return after;
  return factorsOf(rules).includes(factor) ? place(state, 'challenge', factor) : state;
}

function begun(state: RecoveryState, { step, again }: Extract<RecoveryEvent, { type: 'begun' }>): RecoveryState {
  const { factor } = state;
  if (state.at !== 'challenge' || factor === null || (challengeOf(state) !== null && again !== true)) return state;
  const { [factor]: _before, ...others } = state.unavailable;
  return { ...state, challenges: { ...state.challenges, [factor]: step }, unavailable: others };
}

function unavailable(state: RecoveryState, why: Unavailability, rules: RecoveryRules): RecoveryState {
  const { factor } = state;
  if (state.at !== 'challenge' || factor === null) return state;
  const without = { ...state, unavailable: { ...state.unavailable, [factor]: why } };
  // To wait is not to fail.
  if (why.until !== null || !rules.fallback.includes(factor)) return without;
  const usable = factorsOf(rules);
  const instead = rules.fallback.find((other) => !(other in without.unavailable) && usable.includes(other));
  return instead === undefined ? without : place(without, 'challenge', instead);
}

function shown(state: RecoveryState, way: Way, rules: RecoveryRules): RecoveryState {
  if (state.at !== 'challenge' || way.factor !== state.factor) return state;
  return isAmong(way, rules) ? proceed({ ...state, shown: way }, rules) : state;
}

function changed(state: RecoveryState, rules: RecoveryRules): RecoveryState {
  const after = proceed(state, rules);
  return after.at === 'password' ? place(after, 'done', null) : after;
}

const isAmong = (way: Way, { ways }: RecoveryRules): boolean =>
  ways.some(({ factor, credentialId }) => factor === way.factor && credentialId === way.credentialId);

/** Goes where the rules point. Returns the same object when that is where it stands. */
function proceed(state: RecoveryState, rules: RecoveryRules): RecoveryState {
  if (state.userId === null) return state;
  // No password is set: what stands in its way is none of this link's business.
  if (state.asked && !state.asked.actions.includes('UPDATE_PASSWORD'))
    return rules.barrier === 'changed' ? refuse(state, rules.barrier) : place(state, 'done', null);
  if (rules.barrier !== null) return refuse(state, rules.barrier);
  if (rules.ways.length === 0 || (state.shown !== null && isAmong(state.shown, rules))) return place(state, 'password', null);
  const [only, ...others] = factorsOf(rules);
  return only !== undefined && others.length === 0 ? place(state, 'challenge', only) : place(state, 'choose', null);
}

function place(state: RecoveryState, at: RecoveryState['at'], factor: string | null): RecoveryState {
  return state.at === at && state.factor === factor ? state : { ...state, at, factor };
}

const refuse = (state: RecoveryState, refusal: NonNullable<RecoveryState['refusal']>): RecoveryState => ({
  ...state,
  at: 'refused',
  factor: null,
  challenges: {},
  refusal,
});
