/**
 * The actions that are pages of their own between the last proof and the end of a sign-in, one file each: what an
 * administrator requires, and what the application wishes (`kc_action`). The page of a wish says who asks, and nothing
 * comes of it that the user does not send off there.
 */
import type { LoginForm } from './form.ts';
import type { Shown } from './pages.ts';
import { removeMethodPage, removeMethodStep } from './remove-method.ts';
import { isWished, newPasswordPage, REMOVE_METHOD, TERMS, UPDATE_EMAIL, UPDATE_PASSWORD, UPDATE_PROFILE, VERIFY_EMAIL } from './required.ts';
import type { Login, LoginRequest } from './room.ts';
import type { LoginRules } from './state.ts';
import { type Outcome, rulesOf } from './steps.ts';
import { termsPage, termsStep } from './terms.ts';
import { updateEmailPage, updateEmailStep } from './update-email.ts';
import { updatePasswordStep } from './update-password.ts';
import { updateProfilePage, updateProfileStep } from './update-profile.ts';
import { beginVerifyEmail, verifyEmailPage, verifyEmailStep } from './verify-email.ts';
import { decisionOf } from './walk.ts';

interface Page {
  view: string;
  model: object;
}

interface RequiredAction {
  /** What has to be done before there is a page. */
  begin?(request: LoginRequest, login: Login): Promise<Outcome>;
  page(request: LoginRequest, login: Login, shown: Shown): Promise<Page>;
  /**
   * Undefined for a form that does not fit.
   * @param wished nobody requires it: the application wishes it
   */
  step(request: LoginRequest, login: Login, form: LoginForm, wished: boolean): Promise<Outcome | undefined>;
}

const ACTIONS: Readonly<Record<string, RequiredAction>> = {
  [UPDATE_PASSWORD]: {
    page: (request, login) => newPasswordPage(request, login),
    step: async (request, login, form, wished) => (form['password-new'] === undefined ? undefined : updatePasswordStep(request, login, form, wished)),
  },
  [UPDATE_PROFILE]: {
    page: (request, login, { profile = {} }) => updateProfilePage(request, login, profile),
    step: updateProfileStep,
  },
  [UPDATE_EMAIL]: {
    page: (request, login, { profile }) => updateEmailPage(request, login, profile?.email),
    step: updateEmailStep,
  },
  [VERIFY_EMAIL]: {
    begin: beginVerifyEmail,
    page: async (request, login) => verifyEmailPage(request, login),
    step: verifyEmailStep,
  },
  [TERMS]: { page: termsPage, step: termsStep },
  [REMOVE_METHOD]: { page: removeMethodPage, step: removeMethodStep },
};

const dueNow = ({ state }: Login): RequiredAction | undefined => (state.at === 'action' ? ACTIONS[state.due ?? ''] : undefined);

/** What begins the action that is due; undefined where nothing has to be, or none of these is due. */
export const requiredBegin = (login: Login): RequiredAction['begin'] => dueNow(login)?.begin;

/** The page of the action that is due; undefined where none of these is. */
export async function requiredPage(request: LoginRequest, login: Login, shown: Shown): Promise<Page | undefined> {
  const due = dueNow(login);
  if (!due) return undefined;
  const [{ view, model }, rules] = await Promise.all([due.page(request, login, shown), rulesOf(request, login, login.state.userId)]);
  return { view, model: { ...model, wished: isWished(login, rules) } };
}

/** The step of the action that is due. */
export async function requiredStep(request: LoginRequest, login: Login, form: LoginForm): Promise<Outcome | undefined> {
  const due = dueNow(login);
  if (!due) return undefined;
  const rules = await rulesOf(request, login, login.state.userId);
  return leaving(request, login, rules) ?? due.step(request, login, form, isWished(login, rules));
}

/** What leads away from the action that is due, before its page is shown; undefined while it is. */
export async function requiredLeave(request: LoginRequest, login: Login): Promise<Outcome | undefined> {
  return dueNow(login) && leaving(request, login, await rulesOf(request, login, login.state.userId));
}

/**
 * A page that stood open for longer than proofs are good for such a change is not sent off by whoever passes by: what is
 * missing by then is asked again, and the page comes after it. And what the application wished may be so by now, or impossible.
 */
function leaving({ at }: LoginRequest, { state }: Login, rules: LoginRules): Outcome | undefined {
  const isOver = rules.wish?.action === state.due && !rules.offers.some(({ action }) => action === state.due);
  const isStale = decisionOf(state, rules, at).ask !== 'nothing';
  return isOver || isStale ? { event: { type: 'another' }, rules, renew: false } : undefined;
}

/** Whether the action that is due is one of these. */
export const isRequiredDue = (login: Login): boolean => dueNow(login) !== undefined;
