/**
 * What an enrolment pass brings about in a sign-in (factors/enrolment-pass). It is gone once it was typed; and in the
 * transaction in which the new factor is stored, everything else goes that the user had beside the password. Whoever has
 * found the lost phone is then out, with every session that was begun by it.
 */
import { record } from '../audit/record.ts';
import { ENROLMENT_PASS } from '../factors/enrolment-pass/stored.ts';
import type { Proof } from '../policy/assurance.ts';
import { endSessionsIn } from '../sessions/sessions.ts';
import { type CredentialRow, deleteCredential } from '../store/credentials.ts';
import { endEnrolmentPasses } from '../store/enrolment-passes.ts';
import type { Transaction } from '../store/rows.ts';
import type { UserRow } from '../store/users.ts';
import type { Login, LoginRequest } from './room.ts';
import type { LoginState } from './state.ts';
import { auditOrigin } from './steps.ts';

/** The pass that was typed in this sign-in. */
export const passOf = ({ proofs }: Pick<LoginState, 'proofs'>): Proof | undefined => proofs.find(({ factor }) => factor === ENROLMENT_PASS);

/** It was typed: nobody types it again. For any other factor it does nothing. */
export async function usePass(trx: Transaction, { realmId, id: userId }: UserRow, proof: Proof): Promise<void> {
  if (proof.factor === ENROLMENT_PASS) await endEnrolmentPasses(trx, { realmId, userId, id: proof.credentialId }, { as: 'used', at: proof.at });
}

/** What goes when a new factor is stored after a pass: every credential but the first factors. */
export function lostWith({ factors, realm }: LoginRequest, { state }: Login, rows: readonly CredentialRow[]): CredentialRow[] {
  if (!passOf(state)) return [];
  const known = factors.in(realm.realm.settings);
  return rows.filter((row) => known.get(row.factor)?.role !== 'first');
}

/**
 * Takes it all away.
 *
 * @param lost as `lostWith` names it
 */
export async function resetFactors(
  trx: Transaction,
  request: LoginRequest,
  login: Login,
  { user, lost }: { user: UserRow; lost: readonly CredentialRow[] },
): Promise<void> {
  const pass = passOf(login.state);
  if (!pass) return;
  const { realmId, id: userId } = user;
  const origin = auditOrigin(request, login, userId);
  for (const row of lost) {
    await deleteCredential(trx, realmId, userId, row.id);
    await record(trx, origin, { type: 'mfa.factor.removed', details: { factor: row.factor, credential: row.id } });
  }
  await record(trx, origin, { type: 'mfa.reset.used', details: { reset: pass.credentialId, removed: lost.map(({ id }) => id) } });
  await endSessionsIn(trx, realmId, { userId, ...(request.asked.session ? { butUid: request.asked.session.uid } : {}) }, request.at);
}
