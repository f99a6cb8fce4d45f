/**
 * What follows when somebody's credentials change, whoever changes them: the account console, a recovery, an administrator.
 * Each runs in the transaction of its change; recording it and telling the user is left to whoever knows how it came about.
 */
import { randomUUID } from 'node:crypto';
import type { AuditOrigin } from '../audit/event.ts';
import type { Keyring } from '../crypto/keyring.ts';
import { ENROLMENT_PASS } from '../factors/enrolment-pass/stored.ts';
import type { PasswordHasher } from '../factors/factor.ts';
import { type CredentialRow, credentialSeal, deleteCredential, deletePassword, insertCredential } from '../store/credentials.ts';
import { endEnrolmentPasses } from '../store/enrolment-passes.ts';
import { voidRecoveries } from '../store/recoveries.ts';
import type { Transaction } from '../store/rows.ts';
import { endSessionsIn } from './sessions.ts';
import { revokeTrust } from './trusted-devices.ts';

interface Whose {
  realmId: string;
  userId: string;
}

/** Removes a second factor. False when it was gone already. */
export async function removeCredential(trx: Transaction, row: Whose & { id: string; factor: string }, origin: AuditOrigin): Promise<boolean> {
  const { realmId, userId, id } = row;
  const gone =
    row.factor === ENROLMENT_PASS
      ? (await endEnrolmentPasses(trx, { realmId, userId, id }, { as: 'revoked', at: origin.at })).length > 0
      : await deleteCredential(trx, realmId, userId, id);
  if (gone) await revokeTrust(trx, row, {}, 'credentials', origin);
  return gone;
}

/** A password as it is stored. Hashing takes its time: it is done before the transaction. */
export async function newPasswordCredential(
  { keyring, passwords }: { keyring: Keyring; passwords: PasswordHasher },
  { realmId, userId }: Whose,
  password: string,
  now: number,
): Promise<CredentialRow> {
  const key = { realmId, userId, id: randomUUID() };
  const secret = await keyring.seal(credentialSeal(key), JSON.stringify({ phc: await passwords.hash(password) }));
  return {
    ...key,
    factor: 'password',
    label: 'Password',
    secret,
    counter: null,
    enabled: true,
    level: null,
    lookup: null,
    createdAt: now,
    lastUsedAt: null,
  };
}

/**
 * Sets a password: the one of before is gone, and with it what it has proved; sessions, trusted devices and recoveries end.
 *
 * @param but the provider's session that goes on, and the recovery that this is the end of
 */
export async function storePassword(
  trx: Transaction,
  row: CredentialRow,
  origin: AuditOrigin,
  but: { uid?: string; recovery?: string } = {},
): Promise<void> {
  const { realmId, userId } = row;
  await deletePassword(trx, realmId, userId);
  await insertCredential(trx, row);
  await endSessionsIn(trx, realmId, { userId, ...(but.uid === undefined ? {} : { butUid: but.uid }) }, origin.at);
  await revokeTrust(trx, row, {}, 'credentials', origin);
  // A link that was asked for before would set yet another password.
  await voidRecoveries(trx, { realmId, userId, but: but.recovery ?? '' }, 'all');
}
