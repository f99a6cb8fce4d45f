/**
 * Another password, chosen by somebody who has just shown who they are: the one of before was typed for that, or something
 * stronger was shown. Every other session ends; this one goes on, with the new password in the place of the old.
 */
import { z } from 'zod';
import { record } from '../audit/record.ts';
import { readForm } from '../http/input.ts';
import { newPasswordErrors, newPasswordFields } from '../http/new-password.ts';
import type { ConsoleSession } from '../http/relying.ts';
import type { FormError } from '../http/render.ts';
import { PASSWORD } from '../policy/decide.ts';
import { newPasswordCredential, storePassword } from '../sessions/credential-changes.ts';
import { raiseSession } from '../store/sessions.ts';
import { lockUser } from '../store/users.ts';
import { type AccountRequest, auditOrigin, common, done } from './room.ts';

export async function askPassword(request: AccountRequest): Promise<void> {
  const signedIn = await recently(request);
  if (signedIn) await passwordPage(request, signedIn);
}

async function passwordPage(request: AccountRequest, { user, credentials }: ConsoleSession, errors: FormError[] = [], status = 200): Promise<void> {
  const { ctx, realm, render } = request;
  const has = credentials.some((row) => row.factor === PASSWORD);
  await render(ctx, 'account/password', { ...common(request, user), least: realm.realm.settings.passwordMinLength, has, errors }, status);
}

export async function changePassword(request: AccountRequest): Promise<void> {
  const { ctx, realm, db, keyring, passwords, at } = request;
  const form = await readForm(ctx, z.object(newPasswordFields));
  const signedIn = await recently(request);
  if (!signedIn) return;
  const { user, session, credentials } = signedIn;
  const errors = await newPasswordErrors({ keyring, passwords }, { user, settings: realm.realm.settings, rows: credentials }, form);
  if (errors.length > 0) return passwordPage(request, signedIn, errors, 400);

  const whose = { realmId: realm.realm.id, userId: user.id };
  const row = await newPasswordCredential({ keyring, passwords }, whose, form['password-new'] ?? '', at);
  const tell = await request.tell(user, { kind: 'passwordChanged' }, at);
  const origin = auditOrigin(request, user);
  // What was proved with the password of before was proved by whoever has chosen this one.
  const proofs = session.proofs.map((proof) => (proof.factor === PASSWORD ? { ...proof, credentialId: row.id } : proof));
  await db.transaction(async (trx) => {
    await lockUser(trx, whose.realmId, whose.userId);
    await storePassword(trx, row, origin, { uid: session.uid });
    await raiseSession(trx, session, { proofs, facts: session.facts }, at);
    await record(trx, origin, { type: 'user.password-set', details: {} });
    await tell(trx);
  });
  done(request, 'password');
}

const recently = ({ ctx, realm, relying, base }: AccountRequest): Promise<ConsoleSession | undefined> =>
  relying.requireSession(ctx, realm, 'account', { recent: true, returnTo: `${base}/password` });
