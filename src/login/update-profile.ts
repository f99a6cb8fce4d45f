/** The user's own name and address, looked over because an administrator or the application asked for it. */
import { conflict } from '../errors.ts';
import type { FormError } from '../http/render.ts';
import { say, type Words } from '../languages/messages.ts';
import { removeRequiredAction, type UserChanges } from '../store/user-changes.ts';
import { type UserRow, userById } from '../store/users.ts';
import type { LoginForm } from './form.ts';
import { addressErrors, changing, isAnother, UNSEEN } from './new-address.ts';
import { UPDATE_PROFILE } from './required.ts';
import type { Login, LoginRequest } from './room.ts';
import { type Outcome, rulesOf, signingIn } from './steps.ts';
import { requireStillProved } from './still-proved.ts';

const ACTION = 'UPDATE_PROFILE';
const MAX_NAME = 255;

/** What the page shows, and the form sends. */
export interface Profile {
  firstName: string;
  lastName: string;
  email: string;
}

export async function updateProfilePage(request: LoginRequest, { state }: Login, typed: Partial<Profile>): Promise<{ view: string; model: object }> {
  const user = state.userId === null ? undefined : await userById(request.db.knex, request.realm.realm.id, state.userId);
  const { username = '', firstName, lastName, email } = user ?? {};
  return {
    view: 'login/update-profile',
    model: { username, firstName: firstName ?? '', lastName: lastName ?? '', email: email ?? '', needsEmail: email !== null, ...typed },
  };
}

/** Form fields `firstName`, `lastName` and `email`. An address that changes is not verified, and nothing that was sent to the one of before is any good. */
export async function updateProfileStep(request: LoginRequest, login: Login, form: LoginForm, wished: boolean): Promise<Outcome | undefined> {
  if (form.firstName === undefined || form.lastName === undefined || form.email === undefined) return undefined;
  const { user, known } = await signingIn(request, login);
  const profile = { firstName: form.firstName.trim(), lastName: form.lastName.trim(), email: form.email.trim() };
  const errors = errorsOf(user, profile);
  if (errors.length > 0) return { errors, status: 400 };
  const changes = changesOf(user, profile);
  const then = changes.email === undefined ? known : { ...known, email: changes.email, emailVerified: false };
  const change = await changing(request, user, changes);
  return {
    event: { type: 'answered', action: UPDATE_PROFILE },
    rules: await rulesOf(request, login, user.id, then, ACTION),
    renew: true,
    audit: { type: 'user.updated', details: { fields: Object.keys(changes) } },
    subject: user.id,
    within: async (trx) => {
      await requireStillProved(trx, request, login, user);
      if (!(await removeRequiredAction(trx, user, ACTION)) && !wished) throw conflict(say('login.stepDone'));
      await change(trx);
    },
  };
}

function errorsOf(user: UserRow, { firstName, lastName, email }: Profile): FormError[] {
  const wrong = (field: string, message: Words): FormError[] => [{ field, message }];
  const named = (field: 'firstName' | 'lastName', value: string, missing: Words): FormError[] => {
    if (value === '') return wrong(field, missing);
    if (value.length > MAX_NAME) return wrong(field, say('login.profile.tooLong', { most: MAX_NAME }));
    return UNSEEN.test(value) || !value.isWellFormed() ? wrong(field, say('login.profile.unseen')) : [];
  };
  return [
    ...named('firstName', firstName, say('login.profile.firstName.type')),
    ...named('lastName', lastName, say('login.profile.lastName.type')),
    // Whoever has none may leave it so.
    ...(email === '' && user.email === null ? [] : addressErrors(email)),
  ];
}

function changesOf(user: UserRow, { firstName, lastName, email }: Profile): UserChanges {
  return {
    ...(firstName === user.firstName ? {} : { firstName }),
    ...(lastName === user.lastName ? {} : { lastName }),
    ...(isAnother(user, email) ? { email: email === '' ? null : email, emailVerified: false } : {}),
  };
}
