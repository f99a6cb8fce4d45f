/** What was proved in a sign-in, looked at once more in the very transaction in which something is bound or changed by it. */
import { conflict } from '../errors.ts';
import { ENROLMENT_PASS } from '../factors/enrolment-pass/stored.ts';
import { heldProofs } from '../factors/owned.ts';
import { say } from '../languages/messages.ts';
import { credentialsOf } from '../store/credentials.ts';
import type { Transaction } from '../store/rows.ts';
import { liveSessionByUid, type SessionRow } from '../store/sessions.ts';
import { lockUser, type UserRow } from '../store/users.ts';
import type { Login, LoginRequest } from './room.ts';

/**
 * Holds the user. Whoever typed a password that was changed since, or came with a session that has ended since, changes nothing.
 *
 * @returns the session that the sign-in is in, if it began with one
 * @throws AppError 409
 */
export async function requireStillProved(
  trx: Transaction,
  { asked, at }: Pick<LoginRequest, 'asked' | 'at'>,
  { state }: Login,
  user: UserRow,
): Promise<SessionRow | undefined> {
  await lockUser(trx, user.realmId, user.id);
  // A pass is gone once it was typed.
  const proofs = state.proofs.filter(({ factor }) => factor !== ENROLMENT_PASS);
  const held = heldProofs(proofs, await credentialsOf(trx, user.realmId, user.id));
  if (held.length < proofs.length) throw conflict(say('login.stepDone'));
  if (!state.expected || asked.session?.accountId !== user.id) return undefined;
  const session = await liveSessionByUid(trx, user.realmId, asked.session.uid, user.id, at);
  if (!session) throw conflict(say('login.stepDone'));
  return session;
}
