/** A password of one's own: in the place of one that an administrator gave, or because the application asked for it. */
import { conflict } from '../errors.ts';
import { newPasswordErrors } from '../http/new-password.ts';
import { say } from '../languages/messages.ts';
import { PASSWORD } from '../policy/decide.ts';
import { newPasswordCredential, storePassword } from '../sessions/credential-changes.ts';
import type { Transaction } from '../store/rows.ts';
import { raiseSession } from '../store/sessions.ts';
import { removeRequiredAction } from '../store/user-changes.ts';
import type { LoginForm } from './form.ts';
import { UPDATE_PASSWORD } from './required.ts';
import type { Login, LoginRequest } from './room.ts';
import { auditOrigin, type Outcome, rulesOf, signingIn } from './steps.ts';
import { requireStillProved } from './still-proved.ts';

const ACTION = 'UPDATE_PASSWORD';

/**
 * Form fields `password-new` and `password-confirm`. Whoever else is signed in to the account is signed out.
 * @param wished nobody requires it: the application asked
 */
export async function updatePasswordStep(request: LoginRequest, login: Login, form: LoginForm, wished: boolean): Promise<Outcome> {
  const { user, known } = await signingIn(request, login);
  const errors = await newPasswordErrors(request, { user, settings: request.realm.realm.settings, rows: known.credentials }, form);
  if (errors.length > 0) return { errors, status: 400 };
  const { asked, at } = request;
  const made = await newPasswordCredential(request, { realmId: user.realmId, userId: user.id }, form['password-new'] ?? '', at);
  const before = known.credentials.find(({ factor }) => factor === PASSWORD);
  const tell = await request.tell(user, { kind: 'passwordChanged' }, at);
  const origin = auditOrigin(request, login, user.id);
  return {
    event: { type: 'answered', action: UPDATE_PASSWORD, ...(before ? { replaced: { by: made.id, was: before.id } } : {}) },
    rules: await rulesOf(request, login, user.id, known, ACTION),
    renew: true,
    audit: { type: 'user.password-set', details: {} },
    subject: user.id,
    within: async (trx: Transaction) => {
      const session = await requireStillProved(trx, request, login, user);
      // Whoever gave the password knows it too: once its owner has chosen another, nobody else does who typed it before.
      if (!(await removeRequiredAction(trx, user, ACTION)) && !wished) throw conflict(say('login.stepDone'));
      await storePassword(trx, made, origin, asked.session ? { uid: asked.session.uid } : {});
      // What was proved with the password of before was proved by whoever has chosen this one.
      const proofs = session?.proofs.map((proof) => (proof.factor === PASSWORD ? { ...proof, credentialId: made.id } : proof));
      if (session && proofs) await raiseSession(trx, session, { proofs, facts: session.facts }, at);
      await tell(trx);
    },
  };
}
