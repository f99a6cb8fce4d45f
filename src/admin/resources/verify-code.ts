/** A code of a user, tried without a sign-in: of an app, a hardware token, or off the paper with recovery codes. */
import { randomUUID } from 'node:crypto';
import { AppError, notFound } from '../../errors.ts';
import type { Factor, Verdict } from '../../factors/factor.ts';
import { openCredentials } from '../../factors/held.ts';
import { nameOf } from '../../factors/names.ts';
import { secondFactors } from '../../factors/owned.ts';
import { FEW_CODES } from '../../factors/recovery-codes/recovery-codes.ts';
import type { Counted } from '../../sessions/throttle.ts';
import { type CredentialRow, credentialSeal, credentialsOf, disableFactor, replaceSecret, touchCredential } from '../../store/credentials.ts';
import type { RealmRow } from '../../store/realms.ts';
import type { UserRow } from '../../store/users.ts';
import { audit } from './context.ts';
import {
  about,
  contextOf,
  credentialsChanged,
  type FactorOperator,
  factorsIn,
  type ShownCredential,
  throttleOf,
  withoutSecret,
} from './factor-operator.ts';

export type CodeVerdict = { ok: true; credential: ShownCredential; left?: number } | { ok: false; reason: 'wrong' | 'replayed' };

interface Attempt {
  factor: Factor;
  counted: Counted;
  verdict: Verdict;
}

/**
 * Tries a code of any of the user's factors whose codes are theirs to read off, and spends it. Counted with the attempts of
 * the sign-in pages, for each factor that it was compared with.
 * @throws AppError 404 when the user has no such factor, 429 while attempts are paused
 */
export async function verifyCode(operator: FactorOperator, realm: RealmRow, user: UserRow, code: string): Promise<CodeVerdict> {
  const { db, keyring, now } = operator;
  const rows = await credentialsOf(db.knex, realm.id, user.id);
  // Codes that we send, and what a browser signs, are no codes to be tried here.
  const tried = secondFactors(factorsIn(operator, realm)).filter(
    (factor) => CODES.includes(factor.id) && rows.some((row) => row.enabled && row.factor === factor.id),
  );
  if (tried.length === 0) throw notFound(`${user.username} has no authenticator app, hardware token or recovery codes that are enabled.`);

  const cx = await contextOf(operator, realm, user);
  const throttle = await throttleOf(operator, realm);
  const attempts: Attempt[] = [];
  let paused: AppError | undefined;
  const by = randomUUID();
  for (const factor of tried) {
    try {
      const counted = await throttle.factor(factor.id, user.id, by, now);
      const held = await openCredentials(keyring, factor, rows, null);
      attempts.push({ factor, counted, verdict: await counted.comparing(() => factor.verify(cx, null, { code }, held)) });
    } catch (error) {
      if (!(error instanceof AppError) || error.status !== 429) throw error;
      paused = error;
    }
    if (attempts.at(-1)?.verdict.ok) break;
  }
  if (attempts.length === 0 && paused) throw paused;
  const right = attempts.at(-1);
  if (right?.verdict.ok) return accepted(operator, user, rows, { attempts, counted: right.counted, factor: right.factor, verdict: right.verdict });
  return refused(operator, realm, user, attempts);
}

/** Of the factors with codes that people have at hand. */
const CODES = ['totp', 'hotp', 'recovery-codes'];

async function accepted(
  operator: FactorOperator,
  user: UserRow,
  rows: readonly CredentialRow[],
  right: { attempts: readonly Attempt[]; factor: Factor; counted: Counted; verdict: Extract<Verdict, { ok: true }> },
): Promise<CodeVerdict> {
  const { db, keyring, now } = operator;
  const { factor, verdict, counted } = right;
  const { left } = verdict;
  // It was a code of this factor, and no guess at another.
  for (const attempt of right.attempts) if (attempt.counted !== counted) await attempt.counted.undone();
  await counted.succeeded();
  const row = rows.find((one) => one.id === verdict.credentialId);
  if (!row) throw new Error('A factor accepted a credential that it was not handed.');
  if (verdict.renewed !== undefined) await replaceSecret(db.knex, row, await keyring.seal(credentialSeal(row), JSON.stringify(verdict.renewed)));
  const tell = left === undefined ? undefined : await operator.notices.tell(user, { kind: 'recoveryUsed', left }, now);
  await db.transaction(async (trx) => {
    await audit(operator, about(user), { type: 'mfa.challenge.ok', details: { factor: factor.id, credential: row.id } }, trx);
    if (left === undefined) return;
    // A counter's own statement has recorded its use.
    await touchCredential(trx, row, now);
    await audit(operator, about(user), { type: 'mfa.recovery.used', details: { left } }, trx);
    if (left <= FEW_CODES) await audit(operator, about(user), { type: 'mfa.recovery.low', details: { left } }, trx);
    await tell?.(trx);
  });
  return { ok: true, credential: { ...withoutSecret(row), lastUsedAt: now }, ...(left === undefined ? {} : { left }) };
}

async function refused(operator: FactorOperator, realm: RealmRow, user: UserRow, attempts: readonly Attempt[]): Promise<CodeVerdict> {
  const { db } = operator;
  const isGuess = ({ verdict }: Attempt): boolean => !verdict.ok && verdict.reason !== 'malformed';
  // What cannot be a code of a factor is no guess at it, unless it is nothing at all.
  const guesses = attempts.some(isGuess) ? attempts.filter(isGuess) : attempts;
  for (const attempt of attempts) if (!guesses.includes(attempt)) await attempt.counted.undone();
  for (const { factor, counted, verdict } of guesses) {
    const { disables } = await counted.failed();
    const replayed = !verdict.ok && verdict.reason === 'replayed';
    const tell = disables ? await operator.notices.tell(user, { kind: 'methodDisabled', method: nameOf(factor) }, operator.now) : undefined;
    await db.transaction(async (trx) => {
      await audit(operator, about(user), { type: replayed ? 'mfa.replay' : 'mfa.challenge.failed', details: { factor: factor.id } }, trx);
      if (!disables) return;
      await disableFactor(trx, realm.id, user.id, factor.id);
      await audit(operator, about(user), { type: 'mfa.factor.disabled', details: { factor: factor.id } }, trx);
      await credentialsChanged(operator, user, trx);
      await tell?.(trx);
    });
  }
  return { ok: false, reason: guesses.some(({ verdict }) => !verdict.ok && verdict.reason === 'replayed') ? 'replayed' : 'wrong' };
}
