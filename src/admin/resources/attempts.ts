/** Pauses after wrong passwords and codes, as whoever administers lifts them. */
import { subjectsOf } from '../../sessions/throttle.ts';
import { attemptsOf, forgetAllAttempts, forgetAttempts } from '../../store/attempts.ts';
import { credentialsOf } from '../../store/credentials.ts';
import { devicesOf } from '../../store/devices.ts';
import type { RealmRow } from '../../store/realms.ts';
import type { UserRow } from '../../store/users.ts';
import { audit, type Operator } from './context.ts';
import { about, type FactorOperator, factorsIn, rootSecretOf } from './factor-operator.ts';

/**
 * Forgets every wrong password and code of a user, and with them the pauses that they brought; answers how many pauses
 * there were. Addresses keep theirs, and a factor that was switched off stays off (`restoreFactor`).
 */
export async function unlockUser(operator: FactorOperator, realm: RealmRow, user: UserRow): Promise<{ pauses: number }> {
  const { db, now } = operator;
  const { passwords, factors } = await countersOf(operator, realm, user);
  const { asked } = subjectsOf(await rootSecretOf(operator, realm));
  return db.transaction(async (trx) => {
    const pauses = await forgetAttempts(trx, realm.id, [...passwords, ...factors], now);
    // Mails that were asked for were no wrong passwords, but may be in the user's way.
    await forgetAttempts(trx, realm.id, [user.username, user.email ?? user.username].map(asked), now);
    await audit(operator, about(user), { type: 'user.unlocked', details: { pauses } }, trx);
    return { pauses };
  });
}

/** Forgets everybody's in the realm, and those of addresses: whom a counter is about cannot be told from it. */
export async function unlockEverybody(operator: Operator, realm: RealmRow): Promise<{ pauses: number }> {
  const { db, now } = operator;
  return db.transaction(async (trx) => {
    const pauses = await forgetAllAttempts(trx, realm.id, now);
    await audit(operator, { realmId: realm.id }, { type: 'user.unlocked', details: { pauses } }, trx);
    return { pauses };
  });
}

/** A user's failures in a row, of passwords and codes together and of codes alone, and until when the longest pause holds; 0 for none. */
export async function attemptsAt(
  operator: FactorOperator,
  realm: RealmRow,
  user: UserRow,
): Promise<{ failures: number; ofFactors: number; pauses: number; pausedUntil: number; lastAt: number }> {
  const { passwords, factors } = await countersOf(operator, realm, user);
  const rows = await attemptsOf(operator.db.knex, realm.id, [...passwords, ...factors]);
  const sum = (some: typeof rows): number => some.reduce((total, { failures }) => total + failures, 0);
  const paused = rows.filter(({ pausedUntil }) => pausedUntil > operator.now);
  return {
    failures: sum(rows),
    ofFactors: sum(rows.filter(({ subject }) => factors.includes(subject))),
    pauses: paused.length,
    pausedUntil: Math.max(0, ...paused.map(({ pausedUntil }) => pausedUntil)),
    lastAt: Math.max(0, ...rows.map(({ updatedAt }) => updatedAt)),
  };
}

/** Whatever is counted of a user: the password, from known devices and elsewhere, and each factor. */
async function countersOf(operator: FactorOperator, realm: RealmRow, user: UserRow): Promise<{ passwords: string[]; factors: string[] }> {
  const { db } = operator;
  const subjects = subjectsOf(await rootSecretOf(operator, realm));
  const held = await credentialsOf(db.knex, realm.id, user.id);
  const factors = new Set([...factorsIn(operator, realm).keys(), ...held.map(({ factor }) => factor)]);
  const devices = await devicesOf(db.knex, realm.id, user.id);
  return {
    passwords: [subjects.password(user.id), ...devices.map(({ id }) => subjects.device(id))],
    factors: [...factors].flatMap((id) => [subjects.factor(id, user.id), subjects.factor(`enrol-${id}`, user.id)]),
  };
}
