/**
 * Second factors of a user, as whoever administers deals with them: listed, enrolled for somebody who stands by with the
 * app, and tried. The rules are those of the pages: the same factor, the same throttle, the same rows.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { AuditEvent } from '../../audit/event.ts';
import type { Notices } from '../../delivery/notices.ts';
import { badInput, notFound } from '../../errors.ts';
import type { Factor, FactorContext } from '../../factors/factor.ts';
import { openCredentials } from '../../factors/held.ts';
import { factors } from '../../factors/index.ts';
import { Throttle } from '../../sessions/throttle.ts';
import { type CredentialRow, credentialSeal, credentialsOf, disableFactor, insertCredential, spendCounter } from '../../store/credentials.ts';
import { type RealmRow, rootSecretSeal } from '../../store/realms.ts';
import type { Queries } from '../../store/rows.ts';
import type { UserRow } from '../../store/users.ts';
import { audit, type Operator, validated } from './context.ts';

/** The factor that is an app with codes: the one that can be enrolled and tried without a browser. */
const APP = 'totp';

export type ShownCredential = Omit<CredentialRow, 'secret'>;

/** A user's second factors, without their secrets. */
export async function secondFactorsOf(operator: Pick<Operator, 'db'>, user: UserRow): Promise<ShownCredential[]> {
  const rows = await credentialsOf(operator.db.knex, user.realmId, user.id);
  return rows.filter((row) => factors.get(row.factor)?.role === 'second').map(withoutSecret);
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
export async function beginEnrolment(operator: Operator, realm: RealmRow, user: UserRow, input: NewApp): Promise<BegunEnrolment> {
  if (user.serviceAccountOf !== null) throw badInput('user', `"${user.username}" is a service account, which never signs in.`);
  const app = validated(newApp, input);
  const { enrol } = appFactor();
  const cx = factorContext(operator, realm, user);
  const step = await enrol.begin({ ...cx, realm: { ...cx.realm, displayName: app.issuer }, user: { ...user, username: app.account } });
  const { otpauth, key } = shownByFactor.parse(step.model);
  return { credentialId: randomUUID(), app, otpauth, key: key.replaceAll(' ', ''), state: step.state };
}

/**
 * Stores the app once a code of it was confirmed; that code cannot be used to sign in.
 * @param notices tells the user
 * @throws AppError 400 on `code` when it is wrong, 429 after too many
 */
export async function finishEnrolment(
  operator: Operator,
  realm: RealmRow,
  user: UserRow,
  confirmed: { begun: BegunEnrolment; code: string; notices: Pick<Notices, 'tellOfNewFactor'> },
): Promise<ShownCredential> {
  const { db, keyring, now } = operator;
  const { begun, code, notices } = confirmed;
  const factor = appFactor();
  const counted = await (await throttleOf(operator, realm)).factor(`enrol-${factor.id}`, user.id, begun.credentialId, now);
  const enrolment = await factor.enrol.finish(factorContext(operator, realm, user), begun.state, { code, label: begun.app.label });
  if (!enrolment.ok) {
    await counted.failed();
    await note(operator, user, { type: 'mfa.challenge.failed', details: { factor: `enrol-${factor.id}` } });
    throw badInput('code', 'That code is not right. Type the one that the app shows now; if none is accepted, check the clocks.');
  }
  await counted.succeeded();

  const key = { realmId: realm.id, userId: user.id, id: begun.credentialId };
  const row: CredentialRow = {
    ...key,
    factor: factor.id,
    label: enrolment.label,
    secret: await keyring.seal(credentialSeal(key), JSON.stringify(enrolment.secret)),
    counter: enrolment.counter,
    enabled: true,
    createdAt: now,
    lastUsedAt: now,
  };
  const tell = await notices.tellOfNewFactor(user, factor.name, now);
  await db.transaction(async (trx) => {
    await insertCredential(trx, row);
    await note(operator, user, { type: 'mfa.factor.enrolled', details: { factor: factor.id, credential: row.id } }, trx);
    await tell(trx);
  });
  return withoutSecret(row);
}

export type CodeVerdict = { ok: true; credential: ShownCredential } | { ok: false; reason: 'wrong' | 'replayed' };

/**
 * Tries a code of any of the user's apps, and spends it. Counted with the attempts of the sign-in pages.
 * @throws AppError 404 when the user has no app, 429 while attempts are paused
 */
export async function verifyCode(operator: Operator, realm: RealmRow, user: UserRow, code: string): Promise<CodeVerdict> {
  const { db, keyring, now } = operator;
  const factor = appFactor();
  const rows = (await credentialsOf(db.knex, realm.id, user.id)).filter((row) => row.factor === factor.id && row.enabled);
  if (rows.length === 0) throw notFound(`${user.username} has no authenticator app that is enabled.`);

  const counted = await (await throttleOf(operator, realm)).factor(factor.id, user.id, randomUUID(), now);
  const verdict = await factor.verify(factorContext(operator, realm, user), { code }, await openCredentials(keyring, factor, rows, null));
  if (!verdict.ok) {
    const { disables } = await counted.failed();
    if (disables) await disableFactor(db.knex, realm.id, user.id, factor.id);
    const reason = verdict.reason === 'replayed' ? 'replayed' : 'wrong';
    await note(operator, user, { type: reason === 'replayed' ? 'mfa.replay' : 'mfa.challenge.failed', details: { factor: factor.id } });
    if (disables) await note(operator, user, { type: 'mfa.factor.disabled', details: { factor: factor.id } });
    return { ok: false, reason };
  }
  await counted.succeeded();
  await note(operator, user, { type: 'mfa.challenge.ok', details: { factor: factor.id, credential: verdict.credentialId } });
  const used = rows.find((row) => row.id === verdict.credentialId);
  if (!used) throw new Error('A factor accepted a credential that it was not handed.');
  return { ok: true, credential: { ...withoutSecret(used), lastUsedAt: now } };
}

function appFactor(): Factor & { enrol: NonNullable<Factor['enrol']> } {
  const factor = factors.get(APP);
  if (!factor?.enrol) throw new Error(`There is no factor ${APP} that can be enrolled.`);
  return { ...factor, enrol: factor.enrol };
}

function factorContext({ db, passwords, now }: Operator, realm: RealmRow, user: UserRow): FactorContext {
  return {
    realm: { id: realm.id, name: realm.name, displayName: realm.displayName },
    user: { id: user.id, username: user.username, email: user.email },
    now,
    settings: realm.settings,
    passwords,
    spend: (id, counter) => spendCounter(db.knex, { realmId: realm.id, userId: user.id, id }, counter, now),
  };
}

async function throttleOf({ db, keyring }: Operator, realm: RealmRow): Promise<Throttle> {
  const rootSecret = await keyring.open(rootSecretSeal(realm.id), realm.rootSecret);
  return new Throttle(db, { id: realm.id, rootSecret, settings: realm.settings }, { ip: null });
}

const note = (operator: Operator, user: UserRow, event: AuditEvent, trx?: Queries): Promise<void> =>
  audit(operator, { realmId: user.realmId, subject: user.id }, event, trx);

const withoutSecret = ({ secret: _sealed, ...shown }: CredentialRow): ShownCredential => shown;
