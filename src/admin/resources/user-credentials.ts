/** Everything that a user signs in with, the password too, as whoever administers over REST deals with it. */
import { z } from 'zod';
import { badInput, conflict, notFound } from '../../errors.ts';
import type { FactorMap } from '../../factors/index.ts';
import { nameOf } from '../../factors/names.ts';
import { secondFactors } from '../../factors/owned.ts';
import { endSessionsIn } from '../../sessions/sessions.ts';
import { revokeTrust } from '../../sessions/trusted-devices.ts';
import { orderCredentials, orderedCredentials } from '../../store/credential-order.ts';
import { type CredentialRow, credentialsOf, deletePassword, disableFactor, insertCredential, renameCredential } from '../../store/credentials.ts';
import type { RealmRow } from '../../store/realms.ts';
import { voidRecoveries } from '../../store/recoveries.ts';
import { addRequiredActions, removeRequiredAction } from '../../store/user-changes.ts';
import { lockUser, type UserRow } from '../../store/users.ts';
import { audit, plainText, validated } from './context.ts';
import { removeSecondFactor } from './credentials.ts';
import { about, type FactorOperator, factorsIn, requireNotAlone, requirePerson, type ShownCredential, withoutSecret } from './factor-operator.ts';
import { credentialRows, type ImportedCredential } from './imported-credentials.ts';
import { passwordCredential } from './users.ts';

const PASSWORD = 'password';

/** In the order that was chosen, without their secrets. */
export async function listCredentials(operator: Pick<FactorOperator, 'db'>, user: UserRow): Promise<ShownCredential[]> {
  return (await orderedCredentials(operator.db.knex, user.realmId, user.id)).map(withoutSecret);
}

const nameOfId = (known: FactorMap, id: string) => {
  const factor = known.get(id);
  return factor ? nameOf(factor) : id;
};

const noCredential = () => notFound('Credential not found');

async function requireCredential(operator: Pick<FactorOperator, 'db'>, user: UserRow, id: string): Promise<ShownCredential> {
  const found = (await listCredentials(operator, user)).find((one) => one.id === id);
  if (!found) throw noCredential();
  return found;
}

/** Removes a credential and tells the user; who has lost the password is signed out. */
export async function removeUserCredential(operator: FactorOperator, realm: RealmRow, user: UserRow, id: string): Promise<void> {
  const { factor, label } = await requireCredential(operator, user, id);
  if (factor !== PASSWORD) {
    await removeSecondFactor(operator, realm, user, id);
    return;
  }
  const { db, now } = operator;
  const known = factorsIn(operator, realm).get(factor);
  const tell = await operator.notices.tell(user, { kind: 'methodRemoved', method: known ? nameOf(known) : factor, label }, now);
  await db.transaction(async (trx) => {
    await lockUser(trx, realm.id, user.id);
    await deletePassword(trx, realm.id, user.id);
    await endSessionsIn(trx, realm.id, { userId: user.id }, now);
    await revokeTrust(trx, { realmId: realm.id, userId: user.id }, {}, 'credentials', { realmId: realm.id, at: now, actor: operator.actor });
    await audit(operator, about(user), { type: 'mfa.factor.removed', details: { factor, credential: id } }, trx);
    await tell(trx);
  });
}

/** Gives a credential another name. */
export async function labelCredential(operator: FactorOperator, realm: RealmRow, user: UserRow, id: string, label: string): Promise<void> {
  const { userLabel: name } = validated(z.object({ userLabel: plainText(60) }), { userLabel: label });
  await operator.db.transaction(async (trx) => {
    if (!(await renameCredential(trx, realm.id, user.id, id, name))) throw noCredential();
    const { factor } = (await orderedCredentials(trx, realm.id, user.id)).find((one) => one.id === id) ?? { factor: '' };
    await audit(operator, about(user), { type: 'mfa.factor.renamed', details: { factor, credential: id } }, trx);
  });
}

/** @param after the credential that it comes behind; null for the first place */
export async function moveCredential(operator: FactorOperator, realm: RealmRow, user: UserRow, id: string, after: string | null): Promise<void> {
  await operator.db.transaction(async (trx) => {
    await lockUser(trx, realm.id, user.id);
    const ids = (await orderedCredentials(trx, realm.id, user.id)).map((one) => one.id);
    if (!ids.includes(id) || (after !== null && !ids.includes(after))) throw noCredential();
    if (id === after) return;
    const others = ids.filter((one) => one !== id);
    const place = after === null ? 0 : others.indexOf(after) + 1;
    await orderCredentials(trx, realm.id, user.id, others.toSpliced(place, 0, id));
    await audit(operator, about(user), { type: 'user.updated', details: { fields: ['credentials'] } }, trx);
  });
}

/** Switches second factors off, as too many wrong codes do: they can be switched on again. */
export async function disableFactors(operator: FactorOperator, realm: RealmRow, user: UserRow, factors: readonly string[]): Promise<void> {
  if (factors.includes(PASSWORD)) throw badInput('body', 'A password is not switched off: delete it, or disable the user.');
  if (factors.length === 0) return;
  await requireNotAlone(operator, realm, user, 'takes');
  await operator.db.transaction(async (trx) => {
    await lockUser(trx, realm.id, user.id);
    const held = await orderedCredentials(trx, realm.id, user.id);
    for (const factor of factors) {
      if (!held.some((one: CredentialRow) => one.factor === factor && one.enabled)) continue;
      await disableFactor(trx, realm.id, user.id, factor);
      await audit(operator, about(user), { type: 'mfa.factor.disabled', details: { factor } }, trx);
    }
    await revokeTrust(trx, { realmId: realm.id, userId: user.id }, {}, 'credentials', {
      realmId: realm.id,
      at: operator.now,
      actor: operator.actor,
    });
  });
}

/**
 * Gives a user another password, and tells them. Sessions go on: whoever wants them to end signs the user out besides.
 * @param temporary the user has to choose one of their own at the next sign-in
 */
export async function resetPassword(
  operator: FactorOperator,
  realm: RealmRow,
  user: UserRow,
  { value, temporary }: { value: string; temporary: boolean },
): Promise<void> {
  requirePerson(user);
  await putPassword(operator, realm, user, { credential: await passwordCredential(operator, realm, user.id, value), temporary });
}

/**
 * Gives a user credentials from elsewhere. A password takes the place of the one that is there; an app or a token is only for
 * somebody who has no second factor, because whoever has one shows it before another is added.
 * @throws AppError 409 where there is one, 403 where one administrator alone may not
 */
export async function importCredentials(
  operator: FactorOperator,
  realm: RealmRow,
  user: UserRow,
  { imported, temporary }: { imported: readonly ImportedCredential[]; temporary: boolean },
): Promise<void> {
  requirePerson(user);
  const [password] = imported.filter(({ factor }) => factor === PASSWORD);
  const others = imported.filter(({ factor }) => factor !== PASSWORD);
  if (others.length > 0) await requireNotAlone(operator, realm, user, 'gives');
  const [credential] = await credentialRows(operator, { realmId: realm.id, userId: user.id }, password ? [password] : []);
  const rows = await credentialRows(operator, { realmId: realm.id, userId: user.id }, others);
  const known = factorsIn(operator, realm);
  if (rows.length > 0) {
    const owned = secondFactors(known).map(({ id }) => id);
    const tells = await Promise.all(
      rows.map(({ factor, label }) => operator.notices.tell(user, { kind: 'methodAdded', method: nameOfId(known, factor), label }, operator.now)),
    );
    await operator.db.transaction(async (trx) => {
      await lockUser(trx, realm.id, user.id);
      const held = await credentialsOf(trx, realm.id, user.id);
      if (held.some(({ factor }) => owned.includes(factor))) throw conflict('credentials: the user has a second factor already', 'credentials');
      for (const row of rows) {
        await insertCredential(trx, row);
        await audit(operator, about(user), { type: 'mfa.factor.enrolled', details: { factor: row.factor, credential: row.id } }, trx);
      }
      await revokeTrust(trx, { realmId: realm.id, userId: user.id }, {}, 'credentials', {
        realmId: realm.id,
        at: operator.now,
        actor: operator.actor,
      });
      for (const tell of tells) await tell(trx);
    });
  }
  if (credential) await putPassword(operator, realm, user, { credential, temporary });
}

async function putPassword(
  operator: FactorOperator,
  realm: RealmRow,
  user: UserRow,
  { credential, temporary }: { credential: CredentialRow; temporary: boolean },
): Promise<void> {
  const { now } = operator;
  const tell = await operator.notices.tell(user, { kind: 'passwordReset' }, now);
  await operator.db.transaction(async (trx) => {
    await lockUser(trx, realm.id, user.id);
    await deletePassword(trx, realm.id, user.id);
    await insertCredential(trx, credential);
    await revokeTrust(trx, { realmId: realm.id, userId: user.id }, {}, 'credentials', { realmId: realm.id, at: now, actor: operator.actor });
    await voidRecoveries(trx, { realmId: realm.id, userId: user.id, but: '' }, 'all');
    if (temporary) await addRequiredActions(trx, user, ['UPDATE_PASSWORD'], now);
    else await removeRequiredAction(trx, user, 'UPDATE_PASSWORD');
    await audit(operator, about(user), { type: 'user.password-set', details: {} }, trx);
    await tell(trx);
  });
}
