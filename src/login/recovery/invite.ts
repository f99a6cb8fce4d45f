/**
 * A link that an administrator has sent to a user: what is to be done is named in the mail and on the page that it opens. It
 * is a recovery that nobody asked for in a browser, so it belongs to the first one in which its button is pressed. It signs
 * nobody in. A new password is set as after a forgotten one, with a remaining factor; the address is verified by the link
 * itself; everything else the next sign-in asks for, which comes after what proves the user.
 */
import { randomToken } from '../../crypto/codes.ts';
import { sayPlainly } from '../../delivery/letter.ts';
import type { Notices } from '../../delivery/notices.ts';
import { ENGLISH } from '../../languages/languages.ts';
import { type MessageKey, say, type Words } from '../../languages/messages.ts';
import { issuerOf } from '../../realms/issuer.ts';
import type { RealmRow } from '../../store/realms.ts';
import type { Queries, Transaction } from '../../store/rows.ts';
import { addRequiredActions, removeRequiredAction } from '../../store/user-changes.ts';
import { confirmEmail, type UserRow } from '../../store/users.ts';
import { invited, type RecoveryState } from './machine.ts';
import type { Recoveries } from './recoveries.ts';

const IN_WORDS: Readonly<Record<string, MessageKey>> = {
  UPDATE_PASSWORD: 'recovery.invited.todo.password',
  VERIFY_EMAIL: 'recovery.invited.todo.email',
  UPDATE_PROFILE: 'recovery.invited.todo.profile',
  UPDATE_EMAIL: 'recovery.invited.todo.newEmail',
  TERMS_AND_CONDITIONS: 'recovery.invited.todo.terms',
  CONFIGURE_TOTP: 'recovery.invited.todo.app',
  'webauthn-register': 'recovery.invited.todo.key',
  'webauthn-register-passwordless': 'recovery.invited.todo.passkey',
  CONFIGURE_RECOVERY_AUTHN_CODES: 'recovery.invited.todo.codes',
};

/** What a link asks for, in words. */
export const todoOf = ({ asked }: RecoveryState): Words[] =>
  (asked?.actions ?? []).map((action) => say(IN_WORDS[action] ?? 'recovery.invited.todo.other'));

/** Makes a link and the mail with it; what it returns stores both. */
export async function inviteUser(
  { recoveries, writeTo, origin }: { recoveries: Recoveries; writeTo: Notices['writeTo']; origin: string },
  realm: RealmRow,
  user: UserRow & { email: string },
  invitation: { actions: string[]; back: string | null; lifetimeMs: number; now: number },
): Promise<(trx: Queries) => Promise<void>> {
  const { actions, back, lifetimeMs, now } = invitation;
  const link = randomToken();
  const state = invited({ userId: user.id, email: user.email, asked: { actions, back }, language: ENGLISH });
  const recovery = await recoveries.prepare({ realmId: realm.id, state, link, now, expiresAt: now + lifetimeMs });
  const href = `${issuerOf(origin, realm.name)}/login-actions/action-token?key=${recovery.id}.${link}`;
  const text = (words: Words) => ({ kind: 'text', words }) as const;
  const letter = {
    subject: sayPlainly('recovery.invited.mail.subject', { realm: realm.displayName }),
    parts: [
      text(sayPlainly('recovery.invited.mail.said', { realm: realm.displayName, account: user.username })),
      ...todoOf(state).map(text),
      { kind: 'link', words: say('recovery.invited.mail.link'), href } as const,
      text(say('recovery.mail.valid', { valid: Math.floor(lifetimeMs / 1_000) })),
      text(say('recovery.invited.mail.notYou')),
    ],
  };
  const tell = await writeTo(user, letter, now);
  return async (trx) => {
    await recoveries.insert(trx, recovery);
    await tell(trx);
  };
}

/** What follows once everything of a link was done that it does by itself. */
export async function settleInvitation(trx: Transaction, user: UserRow, { asked, email }: RecoveryState, now: number): Promise<void> {
  if (!asked) return;
  const { actions } = asked;
  if (actions.includes('UPDATE_PASSWORD')) await removeRequiredAction(trx, user, 'UPDATE_PASSWORD');
  // The link was read in that mailbox.
  if (actions.includes('VERIFY_EMAIL') && email !== null) {
    await confirmEmail(trx, user, email, now);
    await removeRequiredAction(trx, user, 'VERIFY_EMAIL');
  }
  await addRequiredActions(trx, user, laterOf(actions), now);
}

/** What the next sign-in asks for. */
export const laterOf = (actions: readonly string[]): string[] =>
  actions.filter((action) => action !== 'UPDATE_PASSWORD' && action !== 'VERIFY_EMAIL');
