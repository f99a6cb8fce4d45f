/** The form for a new password, the same wherever a user sets one: its fields, and what is wrong with them. */
import { z } from 'zod';
import type { Keyring } from '../crypto/keyring.ts';
import type { PasswordHasher } from '../factors/factor.ts';
import { openCredentials } from '../factors/held.ts';
import { password } from '../factors/password/password.ts';
import { type PasswordProblem, passwordProblem } from '../factors/password/rules.ts';
import { say, type Words } from '../languages/messages.ts';
import type { RealmSettings } from '../realms/settings.ts';
import type { CredentialRow } from '../store/credentials.ts';
import type { UserRow } from '../store/users.ts';
import type { FormError } from './render.ts';

/** Keycloak's names, which password managers know. */
export const newPasswordFields = { 'password-new': z.string().optional(), 'password-confirm': z.string().optional() };
export interface NewPasswordForm {
  'password-new'?: string | undefined;
  'password-confirm'?: string | undefined;
}

/**
 * Whatever is wrong, each next to its field; empty for a password that can be set.
 *
 * @param on.rows the user's credentials, for the password of before: the same again would be no new one
 */
export async function newPasswordErrors(
  deps: { keyring: Keyring; passwords: PasswordHasher },
  on: { user: UserRow; settings: RealmSettings; rows: readonly CredentialRow[] },
  form: NewPasswordForm,
): Promise<FormError[]> {
  const { 'password-new': typed = '', 'password-confirm': again = '' } = form;
  const wrong = (message: Words): FormError[] => [{ field: 'password-new', message }];
  if (typed === '') return wrong(say('recovery.newPassword.type'));
  const problem = passwordProblem(typed, on.settings.passwordMinLength, on.user);
  if (problem !== undefined) return wrong(saidOf(problem, on.settings));
  if (typed !== again) return [{ field: 'password-confirm', message: say('recovery.newPassword.different') }];
  const [before] = await openCredentials(deps.keyring, password, on.rows, null);
  if (before && (await deps.passwords.verify(before.secret.phc, typed))) return wrong(say('recovery.newPassword.same'));
  return [];
}

function saidOf(problem: PasswordProblem, { passwordMinLength: least }: RealmSettings): Words {
  switch (problem) {
    case 'too-short':
      return say('recovery.newPassword.tooShort', { least });
    case 'too-long':
      return say('recovery.newPassword.tooLong');
    case 'name':
      return say('recovery.newPassword.name');
    case 'pattern':
      return say('recovery.newPassword.pattern');
    case 'not-text':
      return say('recovery.newPassword.notText');
  }
}
