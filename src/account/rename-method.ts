/** A new name for a sign-in method. */
import { z } from 'zod';
import { record } from '../audit/record.ts';
import { notFound } from '../errors.ts';
import { readForm } from '../http/input.ts';
import { say, type Words } from '../languages/messages.ts';
import { renameCredential } from '../store/credentials.ts';
import { requireMethod } from './methods.ts';
import { type AccountRequest, auditOrigin, done, methodsIn } from './room.ts';
import { methodsPage } from './sign-in-methods.ts';

const MAX_LABEL = 60;
const form = z.object({ label: z.string().max(1_000) });

export async function renameMethod(request: AccountRequest, id: string): Promise<void> {
  const { ctx, realm, relying, db, base } = request;
  const label = (await readForm(ctx, form)).label.trim();
  // Whoever has to sign in first finds the form open, with the name in it.
  const returnTo = `${base}?${new URLSearchParams({ rename: id, label: label.slice(0, MAX_LABEL) })}`;
  const signedIn = await relying.requireSession(ctx, realm, 'account', { recent: true, returnTo });
  if (!signedIn) return;
  const { user, credentials } = signedIn;
  const { factor } = requireMethod(methodsIn(request, signedIn), credentials, id);
  const problem = problemOf(label);
  if (problem !== undefined)
    return methodsPage(request, signedIn, { renaming: { id, label }, errors: [{ field: 'label', message: problem }], status: 400 });

  const renamed = await db.transaction(async (trx) => {
    if (!(await renameCredential(trx, realm.realm.id, user.id, id, label))) return false;
    await record(trx, auditOrigin(request, user), { type: 'mfa.factor.renamed', details: { factor, credential: id } });
    return true;
  });
  if (!renamed) throw notFound(say('account.methods.goneMeanwhile'));
  done(request, 'renamed');
}

/** What is wrong with a name; control and direction marks would change the text around it. */
function problemOf(label: string): Words | undefined {
  if (label === '' || [...label].length > MAX_LABEL) return say('account.methods.labelLength', { most: MAX_LABEL });
  if (/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u.test(label)) return say('account.methods.labelCharacters');
  return undefined;
}
