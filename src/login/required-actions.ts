/** The actions that are pages of their own between the last proof and the end of a sign-in, one file each. */
import type { LoginForm } from './form.ts';
import type { Shown } from './pages.ts';
import { newPasswordPage, UPDATE_PASSWORD, UPDATE_PROFILE, VERIFY_EMAIL } from './required.ts';
import type { Login, LoginRequest } from './room.ts';
import type { Outcome } from './steps.ts';
import { updatePasswordStep } from './update-password.ts';
import { updateProfilePage, updateProfileStep } from './update-profile.ts';
import { beginVerifyEmail, verifyEmailPage, verifyEmailStep } from './verify-email.ts';

interface RequiredAction {
  /** What has to be done before there is a page. */
  begin?(request: LoginRequest, login: Login): Promise<Outcome>;
  page(request: LoginRequest, login: Login, shown: Shown): Promise<{ view: string; model: object }>;
  /** Undefined for a form that does not fit. */
  step(request: LoginRequest, login: Login, form: LoginForm): Promise<Outcome | undefined>;
}

const ACTIONS: Readonly<Record<string, RequiredAction>> = {
  [UPDATE_PASSWORD]: {
    page: (request, login) => newPasswordPage(request, login),
    step: async (request, login, form) => (form['password-new'] === undefined ? undefined : updatePasswordStep(request, login, form)),
  },
  [UPDATE_PROFILE]: {
    page: (request, login, { profile = {} }) => updateProfilePage(request, login, profile),
    step: updateProfileStep,
  },
  [VERIFY_EMAIL]: {
    begin: beginVerifyEmail,
    page: async (request, login) => verifyEmailPage(request, login),
    step: verifyEmailStep,
  },
};

/** The action that is due; undefined where none of these is. */
export const requiredAction = ({ state }: Login): RequiredAction | undefined => (state.at === 'action' ? ACTIONS[state.due ?? ''] : undefined);
