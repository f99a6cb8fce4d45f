/** Another email address for an account: what it may be, and what goes with the one of before, whichever page it came by. */
import { isMailAddress } from '../delivery/channel.ts';
import { conflict } from '../errors.ts';
import type { FormError } from '../http/render.ts';
import { say, type Words } from '../languages/messages.ts';
import { isUniqueViolation } from '../store/database.ts';
import { voidRecoveries } from '../store/recoveries.ts';
import { normalise, type Transaction } from '../store/rows.ts';
import { type UserChanges, updateUser } from '../store/user-changes.ts';
import type { UserRow } from '../store/users.ts';
import type { LoginRequest } from './room.ts';

const MAX_ADDRESS = 254;
/** Control characters and direction marks have no business in what others read (test/attacks, D04). */
export const UNSEEN = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/u;

/** What is wrong with what was typed into the field `email`. */
export function addressErrors(email: string): FormError[] {
  const wrong = (message: Words): FormError[] => [{ field: 'email', message }];
  if (email === '') return wrong(say('login.profile.email.type'));
  return email.length > MAX_ADDRESS || UNSEEN.test(email) || !isMailAddress(email) ? wrong(say('login.profile.email.wrong')) : [];
}

/** Addresses are compared as they are looked up. */
export const isAnother = ({ email }: Pick<UserRow, 'email'>, address: string): boolean => normalise(address) !== normalise(email ?? '');

/**
 * Stores what changes about a user. With another address the one of before is told, and nothing that was sent there is any good.
 *
 * @returns what is to run in the transaction of the step; it throws an AppError 409 on `email` when the address is somebody else's
 */
export async function changing(
  { tell, at }: Pick<LoginRequest, 'tell' | 'at'>,
  user: UserRow,
  changes: UserChanges,
): Promise<(trx: Transaction) => Promise<void>> {
  const moved = changes.email !== undefined && isAnother(user, changes.email ?? '');
  const told = moved ? await tell(user, { kind: 'emailChanged' }, at) : undefined;
  return async (trx) => {
    try {
      await updateUser(trx, user, changes, at);
    } catch (error) {
      if (isUniqueViolation(error)) throw conflict(say('login.profile.taken'), 'email');
      throw error;
    }
    if (moved) await voidRecoveries(trx, { realmId: user.realmId, userId: user.id, but: '' }, 'all');
    await told?.(trx);
  };
}
