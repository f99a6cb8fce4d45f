/** A password of one's own, in the place of one that an administrator gave. */
import { conflict } from '../errors.ts';
import { newPasswordErrors } from '../http/new-password.ts';
import { say } from '../languages/messages.ts';
import { newPasswordCredential } from '../sessions/credential-changes.ts';
import { revokeTrust } from '../sessions/devices.ts';
import { endSessionsIn } from '../sessions/sessions.ts';
import { credentialSeal, insertCredential, replaceSecret } from '../store/credentials.ts';
import { voidRecoveries } from '../store/recoveries.ts';
import type { Transaction } from '../store/rows.ts';
import { removeRequiredAction } from '../store/user-changes.ts';
import { lockUser } from '../store/users.ts';
import type { LoginForm } from './form.ts';
import { UPDATE_PASSWORD } from './required.ts';
import type { Login, LoginRequest } from './room.ts';
import { auditOrigin, knownOf, type Outcome, rulesOf, signingIn } from './steps.ts';

const ACTION = 'UPDATE_PASSWORD';

/** Form fields `password-new` and `password-confirm`. Whoever else is signed in to the account is signed out. */
export async function updatePasswordStep(request: LoginRequest, login: Login, form: LoginForm): Promise<Outcome> {
  const user = await signingIn(request, login);
  const known = await knownOf(request, user.id);
  const errors = await newPasswordErrors(request, { user, settings: request.realm.realm.settings, rows: known.credentials }, form);
  if (errors.length > 0) return { errors, status: 400 };
  const whose = { realmId: user.realmId, userId: user.id };
  const made = await newPasswordCredential(request, whose, form['password-new'] ?? '', request.at);
  const before = known.credentials.find(({ factor }) => factor === 'password');
  // The credential stays the one that was proved in this sign-in, or the proof would be void.
  const sealed = before && (await request.keyring.seal(credentialSeal(before), await request.keyring.open(credentialSeal(made), made.secret)));
  const tell = await request.tell(user, { kind: 'passwordChanged' }, request.at);
  const origin = auditOrigin(request, login, user.id);
  return {
    event: { type: 'answered', action: UPDATE_PASSWORD },
    rules: await rulesOf(request, login, user.id, known, ACTION),
    renew: true,
    audit: { type: 'user.password-set', details: {} },
    subject: user.id,
    within: async (trx: Transaction) => {
      await lockUser(trx, user.realmId, user.id);
      // Whoever gave the password knows it too: once its owner has chosen another, nobody else does who typed it before.
      if (!(await removeRequiredAction(trx, user, ACTION))) throw conflict(say('login.stepDone'));
      if (before && sealed !== undefined) await replaceSecret(trx, before, sealed);
      else await insertCredential(trx, made);
      await endSessionsIn(
        trx,
        user.realmId,
        { userId: user.id, ...(request.asked.session ? { butUid: request.asked.session.uid } : {}) },
        request.at,
      );
      await revokeTrust(trx, whose, {}, 'credentials', origin);
      // A link that was asked for before would set yet another password.
      await voidRecoveries(trx, { ...whose, but: '' }, 'all');
      await tell(trx);
    },
  };
}
