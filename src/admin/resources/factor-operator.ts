/** What operations on users' factors stand on, besides what all do, and what they share. */
import { randomUUID } from 'node:crypto';
import type { Notices } from '../../delivery/notices.ts';
import { badInput, conflict, forbidden } from '../../errors.ts';
import { factorContext } from '../../factors/context.ts';
import type { Enrolment, Factor, FactorContext } from '../../factors/factor.ts';
import type { FactorMap, Factors } from '../../factors/index.ts';
import { nameOf } from '../../factors/names.ts';
import { Throttle } from '../../sessions/throttle.ts';
import { revokeTrust } from '../../sessions/trusted-devices.ts';
import { type CredentialRow, credentialSeal, credentialsOf, deleteOfFactor, insertCredential } from '../../store/credentials.ts';
import { takeHardwareToken } from '../../store/hardware-tokens.ts';
import { type RealmRow, rootSecretSeal } from '../../store/realms.ts';
import type { Queries } from '../../store/rows.ts';
import { userFactsRow } from '../../store/user-facts.ts';
import { lockUser, type UserRow } from '../../store/users.ts';
import { audit, type Operator } from './context.ts';

export interface FactorOperator extends Operator {
  factors: Factors;
  /** Where the installation is. */
  origin: string;
  /** Tell users what was done to their accounts. */
  notices: Pick<Notices, 'tell'>;
}

/** A credential as lists show it. */
export type ShownCredential = Omit<CredentialRow, 'secret'>;

export const withoutSecret = ({ secret: _sealed, ...shown }: CredentialRow): ShownCredential => shown;

export const factorsIn = ({ factors }: FactorOperator, realm: RealmRow): FactorMap => factors.in(realm.settings);

/** What a factor is handed when no page is open: codes that would be sent cannot be. */
export async function contextOf(operator: FactorOperator, realm: RealmRow, user: UserRow): Promise<FactorContext> {
  const { db, now } = operator;
  const { administrator } = await userFactsRow(db.knex, { realmId: realm.id, isMaster: realm.name === 'master', userId: user.id, roles: [] }, now);
  return factorContext(
    { ...operator, sendCode: async () => ({ ok: false, reason: 'not-configured' }) },
    { realm, rootSecret: await rootSecretOf(operator, realm), user, administrator, transaction: randomUUID(), now },
  );
}

export const rootSecretOf = ({ keyring }: Operator, realm: RealmRow): Promise<Buffer> => keyring.open(rootSecretSeal(realm.id), realm.rootSecret);

/** Counts with the attempts of the sign-in pages. */
export async function throttleOf(operator: FactorOperator, realm: RealmRow): Promise<Throttle> {
  return new Throttle(
    operator.db,
    { id: realm.id, rootSecret: await rootSecretOf(operator, realm), settings: realm.settings },
    { ip: operator.from?.ip ?? null },
  );
}

export function requirePerson(user: UserRow): void {
  if (user.serviceAccountOf !== null) throw badInput('user', `"${user.username}" is a service account, which never signs in.`);
}

type Confirmed = Pick<Extract<Enrolment, { ok: true }>, 'secret' | 'counter' | 'label' | 'replaces' | 'takes'>;

/**
 * A credential that is ready to be stored: sealed, and with whom to tell, so that nothing is waited for once the
 * transaction is open.
 * @param quiet whether the user is told by something else
 */
export async function newCredential(
  operator: FactorOperator,
  user: UserRow,
  factor: Factor,
  confirmed: Confirmed,
  options: { id?: string; used?: boolean; notice?: 'methodAdded' | 'recoveryMade' } = {},
): Promise<{ row: CredentialRow; store: (trx: Queries) => Promise<void> }> {
  const { keyring, notices, now } = operator;
  const key = { realmId: user.realmId, userId: user.id, id: options.id ?? randomUUID() };
  const row: CredentialRow = {
    ...key,
    factor: factor.id,
    label: confirmed.label,
    secret: await keyring.seal(credentialSeal(key), JSON.stringify(confirmed.secret)),
    counter: confirmed.counter,
    enabled: true,
    level: null,
    lookup: null,
    createdAt: now,
    lastUsedAt: options.used === true ? now : null,
  };
  const tell = await notices.tell(
    user,
    options.notice === 'recoveryMade' ? { kind: 'recoveryMade' } : { kind: 'methodAdded', method: nameOf(factor) },
    now,
  );
  const store = async (trx: Queries): Promise<void> => {
    await lockUser(trx, user.realmId, user.id);
    if (confirmed.replaces === true) await deleteOfFactor(trx, user.realmId, user.id, factor.id);
    await insertCredential(trx, row);
    if (
      confirmed.takes !== undefined &&
      !(await takeHardwareToken(trx, { realmId: user.realmId, id: confirmed.takes }, { credentialId: row.id, userId: user.id, at: now }))
    )
      throw conflict('Somebody else was given this token in this moment.', 'serial');
    await audit(operator, about(user), { type: 'mfa.factor.enrolled', details: { factor: factor.id, credential: row.id } }, trx);
    await credentialsChanged(operator, user, trx);
    await tell(trx);
  };
  return { row, store };
}

/**
 * Where a realm wants two administrators (`dualControl`), one alone takes no second factor away and gives none to somebody
 * who has one (test/attacks, C09).
 * @throws AppError 403, which names the other way
 */
export async function requireNotAlone(operator: FactorOperator, realm: RealmRow, user: UserRow, change: 'gives' | 'takes'): Promise<void> {
  if (!realm.settings.dualControl) return;
  if (change === 'gives') {
    const known = factorsIn(operator, realm);
    const rows = await credentialsOf(operator.db.knex, realm.id, user.id);
    if (!rows.some((row) => known.get(row.factor)?.role === 'second')) return;
  }
  throw forbidden(
    `Realm "${realm.name}" wants two administrators to change the second factors of ${user.username}: ask for an enrolment pass, and have it approved.`,
    'dual_control',
  );
}

/** Trust in devices ends when how somebody signs in has changed. */
export async function credentialsChanged({ actor, now }: Operator, user: UserRow, trx: Queries): Promise<void> {
  await revokeTrust(trx, { realmId: user.realmId, userId: user.id }, {}, 'credentials', { realmId: user.realmId, at: now, actor });
}

export const about = (user: UserRow) => ({ realmId: user.realmId, subject: user.id });
