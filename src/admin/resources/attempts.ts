/** Pauses after wrong passwords and codes, as whoever administers lifts them. */
import { subjectsOf } from '../../sessions/throttle.ts';
import { forgetAttempts } from '../../store/attempts.ts';
import { credentialsOf } from '../../store/credentials.ts';
import { devicesOf } from '../../store/devices.ts';
import type { RealmRow } from '../../store/realms.ts';
import type { UserRow } from '../../store/users.ts';
import { audit } from './context.ts';
import { about, type FactorOperator, factorsIn, rootSecretOf } from './factor-operator.ts';

/**
 * Forgets every wrong password and code of a user, and with them the pauses that they brought; answers how many pauses
 * there were. Addresses keep theirs, and a factor that was switched off stays off (`restoreFactor`).
 */
export async function unlockUser(operator: FactorOperator, realm: RealmRow, user: UserRow): Promise<{ pauses: number }> {
  const { db, now } = operator;
  const subjects = subjectsOf(await rootSecretOf(operator, realm));
  const held = await credentialsOf(db.knex, realm.id, user.id);
  const factors = new Set([...factorsIn(operator, realm).keys(), ...held.map(({ factor }) => factor)]);
  const devices = await devicesOf(db.knex, realm.id, user.id);
  const counted = [
    subjects.password(user.id),
    ...devices.map(({ id }) => subjects.device(id)),
    ...[...factors].flatMap((id) => [subjects.factor(id, user.id), subjects.factor(`enrol-${id}`, user.id)]),
  ];
  return db.transaction(async (trx) => {
    const pauses = await forgetAttempts(trx, realm.id, counted, now);
    await audit(operator, about(user), { type: 'user.unlocked', details: { pauses } }, trx);
    return { pauses };
  });
}
