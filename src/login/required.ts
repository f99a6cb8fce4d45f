/**
 * What an administrator wants of a user at the next sign-in (Keycloak's required actions), and after it what the application
 * wishes (`kc_action`). An enrolment is asked for alike, whoever wants it: what the user owns is shown first. A new password,
 * the profile, another address, a verified one and a method to be removed are actions of their own, after the last proof (required-actions.ts).
 */
import { enrollableFactors } from '../factors/owned.ts';
import { actionFactor } from '../policy/request.ts';
import { DELETE_CREDENTIAL, type Wish } from '../policy/wish.ts';
import type { KnownUser } from '../sessions/facts.ts';
import { pendingActions } from '../sessions/pending.ts';
import { opennessOf } from '../sessions/wishes.ts';
import { userById } from '../store/users.ts';
import type { Login, LoginRequest } from './room.ts';
import type { LoginRules, Offer } from './state.ts';

/** As the machine has it due, whoever wants it. */
export const TERMS = 'required:TERMS_AND_CONDITIONS';
export const UPDATE_PASSWORD = 'required:UPDATE_PASSWORD';
export const UPDATE_PROFILE = 'required:UPDATE_PROFILE';
export const UPDATE_EMAIL = 'required:UPDATE_EMAIL';
export const VERIFY_EMAIL = 'required:VERIFY_EMAIL';
export const REMOVE_METHOD = 'wished:delete_credential';

/** In this order: terms come before anything is given away; an address may change, and is verified after that. */
const ACTIONS: readonly [name: string, action: string][] = [
  ['TERMS_AND_CONDITIONS', TERMS],
  ['UPDATE_PASSWORD', UPDATE_PASSWORD],
  ['UPDATE_PROFILE', UPDATE_PROFILE],
  ['UPDATE_EMAIL', UPDATE_EMAIL],
  ['VERIFY_EMAIL', VERIFY_EMAIL],
];

/** Nobody is required to remove anything. */
const WISHES: typeof ACTIONS = [...ACTIONS, [DELETE_CREDENTIAL, REMOVE_METHOD]];

/** The action that does what the application wishes; undefined for an enrolment. */
export const actionOf = ({ alias, enrols }: Wish): string | undefined =>
  enrols === undefined ? WISHES.find(([name]) => name === alias)?.[1] : undefined;

/**
 * The first enrolment that is wanted and can be made here, and what has to be done besides. What the application wishes comes
 * last: nobody puts off what an administrator wants by sending somebody here for something else.
 *
 * @param wish as the realm heeds it
 * @param done the one that is done by the event at hand
 */
export function requiredOf(
  request: Pick<LoginRequest, 'factors' | 'realm' | 'at'>,
  known: KnownUser,
  wish: Wish | undefined,
  done: string | undefined,
): { enrolment: string | undefined; offers: Offer[] } {
  const wanted = pendingActions(known, request.realm.realm.settings).filter((action) => action !== done);
  const offers: Offer[] = ACTIONS.filter(([name]) => wanted.includes(name)).map(([, action]) => ({ action, after: 'always' }));
  const wished =
    wish && opennessOf(wish, known, { factors: request.factors, on: request.realm, now: request.at }) === 'open' ? actionOf(wish) : undefined;
  if (wished !== undefined && !offers.some(({ action }) => action === wished)) offers.push({ action: wished, after: 'wished' });
  const enrolment = wanted.find((action) => {
    const factor = actionFactor(action);
    return factor !== undefined && isPossible(request, known, factor);
  });
  return { enrolment, offers };
}

function isPossible({ factors, realm }: Pick<LoginRequest, 'factors' | 'realm'>, known: KnownUser, factor: string): boolean {
  const enroller = known.user && { email: known.email, administrator: known.user.administrator };
  return enrollableFactors(factors, realm.realm.settings, enroller, [factor]).some((one) => one.factor === factor);
}

/** The required action that enrolling this factor does. */
export const requiredHere = ({ required }: LoginRules, factor: string): string | undefined =>
  actionFactor(required) === factor ? required : undefined;

/** Whether the action that is due is one that only the application wishes. */
export const isWished = ({ state }: Login, { offers }: LoginRules): boolean =>
  offers.some(({ action, after }) => action === state.due && after === 'wished');

export async function newPasswordPage({ db, realm }: LoginRequest, { state }: Login): Promise<{ view: string; model: object }> {
  const user = state.userId === null ? undefined : await userById(db.knex, realm.realm.id, state.userId);
  return { view: 'login/recovery/password', model: { username: user?.username ?? '', least: realm.realm.settings.passwordMinLength } };
}
