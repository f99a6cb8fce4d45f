/** The user's own name and address, looked over because an administrator or the application asked for it. */
import { isMailAddress } from '../delivery/channel.ts';
import { conflict } from '../errors.ts';
import type { FormError } from '../http/render.ts';
import { say, type Words } from '../languages/messages.ts';
import { isUniqueViolation } from '../store/database.ts';
import { voidRecoveries } from '../store/recoveries.ts';
import { normalise } from '../store/rows.ts';
import { removeRequiredAction, type UserChanges, updateUser } from '../store/user-changes.ts';
import { type UserRow, userById } from '../store/users.ts';
import type { LoginForm } from './form.ts';
import { UPDATE_PROFILE } from './required.ts';
import type { Login, LoginRequest } from './room.ts';
import { type Outcome, rulesOf, signingIn } from './steps.ts';
import { requireStillProved } from './still-proved.ts';

const ACTION = 'UPDATE_PROFILE';
const MAX_NAME = 255;
const MAX_ADDRESS = 254;
/** Control characters and direction marks have no business in a name that others read (security-tests D04). */
const UNSEEN = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/u;

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
  const { at } = request;
  const changes = changesOf(user, profile);
  const moved = changes.email !== undefined;
  const then = moved ? { ...known, email: changes.email ?? null, emailVerified: false } : known;
  const tell = moved ? await request.tell(user, { kind: 'emailChanged' }, at) : undefined;
  return {
    event: { type: 'answered', action: UPDATE_PROFILE },
    rules: await rulesOf(request, login, user.id, then, ACTION),
    renew: true,
    audit: { type: 'user.updated', details: { fields: Object.keys(changes) } },
    subject: user.id,
    within: async (trx) => {
      await requireStillProved(trx, request, login, user);
      if (!(await removeRequiredAction(trx, user, ACTION)) && !wished) throw conflict(say('login.stepDone'));
      try {
        await updateUser(trx, user, changes, at);
      } catch (error) {
        if (isUniqueViolation(error)) throw conflict(say('login.profile.taken'), 'email');
        throw error;
      }
      if (moved) await voidRecoveries(trx, { realmId: user.realmId, userId: user.id, but: '' }, 'all');
      await tell?.(trx);
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
  const addressed = (): FormError[] => {
    if (email === '') return user.email === null ? [] : wrong('email', say('login.profile.email.type'));
    return email.length > MAX_ADDRESS || UNSEEN.test(email) || !isMailAddress(email) ? wrong('email', say('login.profile.email.wrong')) : [];
  };
  return [
    ...named('firstName', firstName, say('login.profile.firstName.type')),
    ...named('lastName', lastName, say('login.profile.lastName.type')),
    ...addressed(),
  ];
}

function changesOf(user: UserRow, { firstName, lastName, email }: Profile): UserChanges {
  const moved = normalise(email) !== normalise(user.email ?? '');
  return {
    ...(firstName === user.firstName ? {} : { firstName }),
    ...(lastName === user.lastName ? {} : { lastName }),
    ...(moved ? { email: email === '' ? null : email, emailVerified: false } : {}),
  };
}
