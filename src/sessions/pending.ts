/** What a user has still to do before a sign-in is complete, whoever asks for it: an administrator, or the realm of everybody. */
import type { RealmSettings } from '../realms/settings.ts';
import type { KnownUser } from './facts.ts';

const VERIFY_EMAIL = 'VERIFY_EMAIL';

/** By Keycloak's names, in the order in which they were asked for. An address that is verified, or not there, is not asked about. */
export function pendingActions(
  { requiredActions, email, emailVerified }: Pick<KnownUser, 'requiredActions' | 'email' | 'emailVerified'>,
  { verifyEmail }: Pick<RealmSettings, 'verifyEmail'>,
): string[] {
  const others = requiredActions.filter((action) => action !== VERIFY_EMAIL);
  const isAsked = verifyEmail || requiredActions.includes(VERIFY_EMAIL);
  return isAsked && email !== null && !emailVerified ? [...others, VERIFY_EMAIL] : others;
}
