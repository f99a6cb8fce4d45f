/** Removing a sign-in method: a page that names what will be lost, and the removal. */
import { z } from 'zod';
import { record } from '../audit/record.ts';
import { readForm } from '../http/input.ts';
import type { ConsoleSession } from '../http/relying.ts';
import { say } from '../languages/messages.ts';
import { removeCredential } from '../sessions/credential-changes.ts';
import { credentialsOf } from '../store/credentials.ts';
import { lockUser } from '../store/users.ts';
import { methodModel, mustStay, requireMethod } from './methods.ts';
import { type AccountRequest, auditOrigin, common, done, methodsIn } from './room.ts';

export async function askRemoval(request: AccountRequest, id: string): Promise<void> {
  const { ctx, render } = request;
  const signedIn = await recently(request, id);
  if (!signedIn) return;
  const { user, credentials } = signedIn;
  const row = requireMethod(methodsIn(request, signedIn), credentials, id);
  if (mustStay(methodsIn(request, signedIn), credentials, id)) return explainWhyItStays(request);
  await render(ctx, 'account/remove-method', { ...common(request, user), method: methodModel(methodsIn(request, signedIn), credentials, row) }, 200);
}

export async function removeMethod(request: AccountRequest, id: string): Promise<void> {
  const {
    ctx,
    realm: { realm },
    db,
    at,
  } = request;
  await readForm(ctx, z.object({}));
  const signedIn = await recently(request, id);
  if (!signedIn) return;
  const { user, credentials } = signedIn;
  const { name, label } = methodModel(methodsIn(request, signedIn), credentials, requireMethod(methodsIn(request, signedIn), credentials, id));
  const tell = await request.tell(user, { kind: 'methodRemoved', method: name, label }, at);

  const outcome = await db.transaction(async (trx) => {
    // Two removals at once would each see the other method still there.
    await lockUser(trx, realm.id, user.id);
    const held = await credentialsOf(trx, realm.id, user.id);
    const row = requireMethod(methodsIn(request, signedIn), held, id);
    if (mustStay(methodsIn(request, signedIn), held, id)) return 'stays';
    await removeCredential(trx, row, auditOrigin(request, user));
    await record(trx, auditOrigin(request, user), { type: 'mfa.factor.removed', details: { factor: row.factor, credential: id } });
    await tell(trx);
    return 'removed';
  });
  if (outcome === 'stays') return explainWhyItStays(request);
  done(request, 'removed');
}

/** Both the question and the answer need recent authentication, and both come back to the question. */
function recently({ ctx, realm, relying, base }: AccountRequest, id: string): Promise<ConsoleSession | undefined> {
  return relying.requireSession(ctx, realm, 'account', { recent: true, returnTo: `${base}/methods/${id}/remove` });
}

async function explainWhyItStays({ ctx, realm: { realm }, render, base }: AccountRequest): Promise<void> {
  const page = {
    realm: { name: realm.name, displayName: realm.displayName },
    title: say('account.stays.title'),
    message: say('account.stays.message', { realm: realm.displayName }),
    hint: say('account.stays.hint'),
    reference: null,
    link: { href: base, label: say('account.stays.back') },
  };
  await render(ctx, 'message', page, 409);
}
