/** Which second step is shown first where a browser has no history of its own: a wish, which nothing is decided by. */
import { z } from 'zod';
import { record } from '../audit/record.ts';
import { readForm } from '../http/input.ts';
import { PREFERRED_NOTE, setUserNote } from '../store/user-notes.ts';
import { requireMethod } from './methods.ts';
import { type AccountRequest, auditOrigin, done, methodsIn } from './room.ts';

export async function preferMethod(request: AccountRequest, id: string): Promise<void> {
  const { ctx, realm, relying, db, at } = request;
  await readForm(ctx, z.object({}));
  const signedIn = await relying.requireSession(ctx, realm, 'account', { recent: true, returnTo: request.base });
  if (!signedIn) return;
  const { user, credentials } = signedIn;
  const { factor } = requireMethod(methodsIn(request, signedIn), credentials, id);
  await db.transaction(async (trx) => {
    await setUserNote(trx, { realmId: realm.realm.id, userId: user.id }, { name: PREFERRED_NOTE, value: factor, now: at });
    await record(trx, auditOrigin(request, user), { type: 'mfa.factor.preferred', details: { factor } });
  });
  done(request, 'preferred');
}
