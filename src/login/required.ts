/**
 * What an administrator wants of a user at the next sign-in (Keycloak's required actions). An enrolment is asked for like
 * one that the application wishes (`kc_action`): what the user owns is shown first. A new password, the profile and a verified
 * address are actions of their own, after the last proof (required-actions.ts).
 */
import { enrollableFactors } from '../factors/owned.ts';
import { actionFactor } from '../policy/request.ts';
import type { KnownUser } from '../sessions/facts.ts';
import { pendingActions } from '../sessions/pending.ts';
import { userById } from '../store/users.ts';
import type { LoginRules, Offer } from './machine.ts';
import type { Login, LoginRequest } from './room.ts';

/** As the machine has it due. */
export const UPDATE_PASSWORD = 'required:UPDATE_PASSWORD';
export const UPDATE_PROFILE = 'required:UPDATE_PROFILE';
export const VERIFY_EMAIL = 'required:VERIFY_EMAIL';

/** In this order: an address may change, and is verified after that. */
const ACTIONS: readonly [name: string, action: string][] = [
  ['UPDATE_PASSWORD', UPDATE_PASSWORD],
  ['UPDATE_PROFILE', UPDATE_PROFILE],
  ['VERIFY_EMAIL', VERIFY_EMAIL],
];

/**
 * The first enrolment that is wanted and can be made here, and what has to be done besides. What the application wishes
 * itself goes first: the rest is asked for at the sign-in after.
 *
 * @param done the one that is done by the event at hand
 */
export function requiredOf(
  request: Pick<LoginRequest, 'factors' | 'realm' | 'asked'>,
  known: KnownUser,
  done: string | undefined,
): { enrolment: string | undefined; offers: Offer[] } {
  const wanted = pendingActions(known, request.realm.realm.settings).filter((action) => action !== done);
  const offers: Offer[] = ACTIONS.filter(([name]) => wanted.includes(name)).map(([, action]) => ({ action, after: 'always' }));
  const wished = request.asked.params.kc_action;
  if (typeof wished === 'string' && actionFactor(wished) !== undefined) return { enrolment: undefined, offers };
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

export async function newPasswordPage({ db, realm }: LoginRequest, { state }: Login): Promise<{ view: string; model: object }> {
  const user = state.userId === null ? undefined : await userById(db.knex, realm.realm.id, state.userId);
  return { view: 'login/recovery/password', model: { username: user?.username ?? '', least: realm.realm.settings.passwordMinLength } };
}
