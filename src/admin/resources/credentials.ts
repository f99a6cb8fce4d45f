/**
 * Second factors of a user, as whoever administers deals with them: listed, enrolled for somebody who stands by with the
 * app, removed, and switched on again. The rules are those of the pages: the same factors, the same throttle, the same rows.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { badInput, forbidden, notFound } from '../../errors.ts';
import { ENROLMENT_PASS } from '../../factors/enrolment-pass/stored.ts';
import type { Factor } from '../../factors/factor.ts';
import { openCredentials } from '../../factors/held.ts';
import { nameOf } from '../../factors/names.ts';
import { codesLeft, recoveryCodes } from '../../factors/recovery-codes/recovery-codes.ts';
import { inEnglish } from '../../languages/messages.ts';
import { removeCredential } from '../../sessions/credential-changes.ts';
import { subjectsOf } from '../../sessions/throttle.ts';
import { forgetAttempts } from '../../store/attempts.ts';
import { type CredentialRow, credentialsOf, enableFactor } from '../../store/credentials.ts';
import { type RealmRow, rootSecretSeal } from '../../store/realms.ts';
import { lockUser, type UserRow } from '../../store/users.ts';
import { audit, validated } from './context.ts';
import {
  about,
  contextOf,
  credentialsChanged,
  type FactorOperator,
  factorsIn,
  newCredential,
  requireNotAlone,
  requirePerson,
  type ShownCredential,
  throttleOf,
  withoutSecret,
} from './factor-operator.ts';

export type { FactorOperator, ShownCredential } from './factor-operator.ts';

/** The factor that is an app with codes: the one that can be enrolled without a browser. */
const APP = 'totp';

/** A second factor as lists show it. */
export interface ListedCredential extends ShownCredential {
  /** What the factor is called. */
  name: string;
  /** How many recovery codes are left; undefined for everything else. */
  left?: number;
}

/** A user's second factors, without their secrets; also those that are switched off, and those that the realm does not use. */
export async function secondFactorsOf(operator: FactorOperator, realm: RealmRow, user: UserRow): Promise<ListedCredential[]> {
  const map = factorsIn(operator, realm);
  const rows = (await credentialsOf(operator.db.knex, realm.id, user.id)).filter((row) => map.get(row.factor)?.role !== 'first');
  return Promise.all(
    rows.map(async (row) => {
      const factor = map.get(row.factor);
      const left = row.factor === recoveryCodes.id ? await leftOf(operator, row) : undefined;
      return { ...withoutSecret(row), name: factor ? inEnglish(nameOf(factor)) : row.factor, ...(left === undefined ? {} : { left }) };
    }),
  );
}

async function leftOf({ keyring }: FactorOperator, row: CredentialRow): Promise<number> {
  const [held] = await openCredentials(keyring, recoveryCodes, [{ ...row, enabled: true }], null);
  return held ? codesLeft(held.secret) : 0;
}

const name = z
  .string()
  .trim()
  .min(1, 'must not be empty')
  .max(60, 'must have 60 characters at most')
  .refine((text) => !/[\p{Cc}\p{Cf}]/u.test(text), 'must not contain control characters');
const newApp = z.object({
  /** What the app shows: whose codes they are, and who asks for them. */
  account: name,
  issuer: name,
  /** What the user's pages call the app. */
  label: name,
});
export type NewApp = z.input<typeof newApp>;

/** What the app is shown, once; and what `finishEnrolment` needs. */
export interface BegunEnrolment {
  credentialId: string;
  app: NewApp;
  otpauth: string;
  /** Base32, without spaces. */
  key: string;
  /** Of the factor; it holds the secret. */
  state: unknown;
}

const shownByFactor = z.object({ otpauth: z.string(), key: z.string() });

/** Makes a secret for an app of that user. Nothing is stored before a code has shown that the app has it. */
export async function beginEnrolment(operator: FactorOperator, realm: RealmRow, user: UserRow, input: NewApp): Promise<BegunEnrolment> {
  requirePerson(user);
  await requireNotAlone(operator, realm, user, 'gives');
  const app = validated(newApp, input);
  const { enrol } = appFactor(operator, realm);
  const cx = await contextOf(operator, realm, user);
  const shown = { ...cx, realm: { ...cx.realm, displayName: app.issuer }, ...(cx.user ? { user: { ...cx.user, username: app.account } } : {}) };
  const begun = await enrol.begin(shown);
  if (!begun.ok) throw new Error('An authenticator app can always be begun.');
  const { otpauth, key } = shownByFactor.parse((await enrol.show(shown, begun.state)).model);
  return { credentialId: randomUUID(), app, otpauth, key: key.replaceAll(' ', ''), state: begun.state };
}

/**
 * Stores the app once a code of it was confirmed; that code cannot be used to sign in.
 * @throws AppError 400 on `code` when it is wrong, 429 after too many
 */
export async function finishEnrolment(
  operator: FactorOperator,
  realm: RealmRow,
  user: UserRow,
  { begun, code }: { begun: BegunEnrolment; code: string },
): Promise<ShownCredential> {
  const factor = appFactor(operator, realm);
  const counted = await (await throttleOf(operator, realm)).factor(`enrol-${factor.id}`, user.id, begun.credentialId, operator.now);
  const enrolment = await factor.enrol.finish(await contextOf(operator, realm, user), begun.state, { code, label: begun.app.label });
  if (enrolment.ok !== true) {
    await counted.failed();
    await audit(operator, about(user), { type: 'mfa.challenge.failed', details: { factor: `enrol-${factor.id}` } });
    throw badInput('code', 'That code is not right. Type the one that the app shows now; if none is accepted, check the clocks.');
  }
  await counted.succeeded();
  const { row, store } = await newCredential(operator, user, factor, enrolment, { id: begun.credentialId, used: true });
  await operator.db.transaction(store);
  return withoutSecret(row);
}

function appFactor(operator: FactorOperator, realm: RealmRow): Factor & { enrol: NonNullable<Factor['enrol']> } {
  const factor = factorsIn(operator, realm).get(APP);
  if (!factor?.enrol) throw forbidden(`Realm "${realm.name}" does not use authenticator apps.`);
  return { ...factor, enrol: factor.enrol };
}

/**
 * Removes a second factor, and tells the user. What the realm asks for is asked at the next sign-in: another one, or a new one.
 * @throws AppError 404 when the user has none of that id
 */
export async function removeSecondFactor(operator: FactorOperator, realm: RealmRow, user: UserRow, id: string): Promise<ShownCredential> {
  const { db, notices, now, actor } = operator;
  const found = (await secondFactorsOf(operator, realm, user)).find((one) => one.id === id);
  if (!found) throw notFound(`${user.username} has no second factor with the id "${id}".`);
  if (found.factor !== ENROLMENT_PASS) await requireNotAlone(operator, realm, user, 'takes');
  const factor = factorsIn(operator, realm).get(found.factor);
  const tell = await notices.tell(user, { kind: 'methodRemoved', method: factor ? nameOf(factor) : found.factor, label: found.label }, now);
  await db.transaction(async (trx) => {
    await lockUser(trx, realm.id, user.id);
    if (!(await removeCredential(trx, found, { realmId: realm.id, at: now, actor })))
      throw notFound(`${user.username} has no second factor with the id "${id}".`);
    await audit(operator, about(user), { type: 'mfa.factor.removed', details: { factor: found.factor, credential: id } }, trx);
    await tell(trx);
  });
  return found;
}

/**
 * Switches a factor on again that was switched off after too many wrong codes, and forgets those.
 * @returns how many credentials of it are on again
 * @throws AppError 404 when the user has none of that factor that is off
 */
export async function restoreFactor(operator: FactorOperator, realm: RealmRow, user: UserRow, factor: string): Promise<number> {
  const { db, keyring, now } = operator;
  const subjects = subjectsOf(await keyring.open(rootSecretSeal(realm.id), realm.rootSecret));
  return db.transaction(async (trx) => {
    await lockUser(trx, realm.id, user.id);
    const restored = await enableFactor(trx, realm.id, user.id, factor);
    if (restored === 0) throw notFound(`${user.username} has no "${factor}" that is switched off.`);
    await forgetAttempts(trx, realm.id, [subjects.factor(factor, user.id)], now);
    await audit(operator, about(user), { type: 'mfa.factor.restored', details: { factor } }, trx);
    await credentialsChanged(operator, user, trx);
    return restored;
  });
}

/**
 * Gives a user ten new recovery codes in the place of all that they had, and tells them.
 * @returns the codes, which are nowhere else
 * @throws AppError 403 for an administrator, or in a realm that does not use them
 */
export async function generateRecoveryCodes(operator: FactorOperator, realm: RealmRow, user: UserRow): Promise<string[]> {
  requirePerson(user);
  await requireNotAlone(operator, realm, user, 'gives');
  const { enrol } = recoveryCodes;
  if (!enrol || !factorsIn(operator, realm).has(recoveryCodes.id)) throw forbidden(`Realm "${realm.name}" does not use recovery codes.`);
  const cx = await contextOf(operator, realm, user);
  const who = { settings: realm.settings, channels: operator.factors.channels(realm.settings), user: cx.user ?? null };
  if (enrol.available?.(who) === false) throw forbidden(`${user.username} is an administrator: recovery codes are not for administrators.`);
  const begun = await enrol.begin(cx);
  const made = begun.ok ? await enrol.finish(cx, begun.state, { confirm: 'kept' }) : begun;
  if (!begun.ok || made.ok !== true) throw new Error('Recovery codes can always be made.');
  const { store } = await newCredential(operator, user, recoveryCodes, made, { notice: 'recoveryMade' });
  await operator.db.transaction(async (trx) => {
    await store(trx);
    await audit(operator, about(user), { type: 'mfa.recovery.generated', details: { codes: begun.state.codes.length } }, trx);
  });
  return begun.state.codes;
}
