/**
 * A second factor is asked for and answered, at any of the doors that do so: the sign-in, and the recovery of a password.
 * Counted, compared, recorded, and switched off when there was too much of it; what follows from that is the door's.
 */
import type { AuditEvent, AuditOrigin } from '../audit/event.ts';
import { record } from '../audit/record.ts';
import type { Keyring } from '../crypto/keyring.ts';
import type { Notices } from '../delivery/notices.ts';
import { tooMany } from '../errors.ts';
import type { Begun, Factor, FactorContext, Unavailable, Verdict } from '../factors/factor.ts';
import { openCredentials } from '../factors/held.ts';
import { nameOf, textsOf } from '../factors/names.ts';
import { FEW_CODES } from '../factors/recovery-codes/recovery-codes.ts';
import { type MessageKey, say, sayOr, type Words } from '../languages/messages.ts';
import type { Throttle } from '../sessions/throttle.ts';
import { revokeTrust } from '../sessions/trusted-devices.ts';
import { type CredentialRow, disableFactor, touchCredential } from '../store/credentials.ts';
import type { Database } from '../store/database.ts';
import type { Queries } from '../store/rows.ts';
import type { UserRow } from '../store/users.ts';
import { fieldsOf, type LoginForm } from './form.ts';
import type { Unavailability } from './state.ts';
import { refusalOf, renew } from './steps.ts';

/** Who is asked for what. */
export interface Question {
  db: Database;
  keyring: Keyring;
  throttle: Throttle;
  tell: Notices['tell'];
  user: UserRow;
  /** All of the user's credentials, as they are stored. */
  rows: readonly CredentialRow[];
  factor: Factor;
  /** The only credential that is asked for; null for any of the factor. */
  credentialId: string | null;
  /** The state of the challenge; null when it was not begun, or needs none. */
  challenge: unknown;
  cx: FactorContext;
  origin: AuditOrigin;
}

/** What a page of it needs. */
type Shown = Pick<Question, 'keyring' | 'rows' | 'factor' | 'credentialId' | 'challenge' | 'cx'>;

const heldOf = ({ keyring, factor, rows, credentialId }: Shown) => openCredentials(keyring, factor, rows, credentialId);

/** Whether the challenge has still to be begun: a code to be sent, a challenge to be made. */
export const isUnbegun = ({ factor, challenge }: Pick<Question, 'factor' | 'challenge'>): boolean => factor.begin !== undefined && challenge === null;

/** The factor's own page, or why it cannot be asked for. */
export async function questionPage(
  question: Shown,
  { another, why, rememberDays, resyncing }: { another: boolean; why: Unavailability | undefined; rememberDays: number; resyncing: boolean },
): Promise<{ view: string; model: object }> {
  const { factor, challenge, cx } = question;
  const ways = { another, factorName: nameOf(factor) };
  if (why !== undefined) return { view: 'login/unavailable', model: { ...ways, message: unavailabilityOf(factor.id, why, cx.now) } };
  const page = await factor.show(cx, challenge, await heldOf(question));
  const can = { resend: factor.resend !== undefined, resync: factor.resync !== undefined, resyncing };
  return { view: page.view, model: { ...page.model, ...ways, ...can, rememberDays } };
}

/** Why a challenge or an enrolment could not be begun or sent; each is said next to the form. */
const UNAVAILABLE: Readonly<Record<string, MessageKey>> = {
  'no-address': 'login.unavailable.noAddress',
  'not-configured': 'login.unavailable.notConfigured',
  'not-allowed': 'login.unavailable.notAllowed',
  failed: 'login.unavailable.failed',
  budget: 'login.unavailable.budget',
};

export const isUnavailable = (reason: string): boolean => reason in UNAVAILABLE;

/** What a factor has to say of it itself, or else what is said of all; as in `refusalOf`. */
export const unavailableOf = (about: string, reason: string): Words =>
  sayOr(`factor.${about}.refused.${reason}`, say(UNAVAILABLE[reason] ?? 'login.unavailable.failed'));

export const unavailabilityOf = (about: string, { reason, until }: Unavailability, now: number): Words =>
  until === null ? unavailableOf(about, reason) : say('login.code.wait', { wait: secondsOf(until - now) });

export type Beginning =
  | { ok: true; event: { type: 'begun'; step: unknown; again: boolean }; audit: AuditEvent }
  /** `reason` is what a fallback is recorded with. */
  | { ok: false; why: Unavailability; reason: Extract<AuditEvent, { type: 'mfa.fallback' }>['details']['reason'] };

/**
 * Begins a challenge, or sends it once more. Undefined where there is nothing to begin.
 * @throws 429 when it is too soon for another code: what was sent before stays good
 */
export async function beginQuestion(question: Question): Promise<Beginning | undefined> {
  const { factor, challenge, cx } = question;
  const again = challenge !== null;
  const held = await heldOf(question);
  const begun = again ? await factor.resend?.(cx, challenge, held) : await factor.begin?.(cx, held);
  if (begun === undefined) return undefined;
  if (begun.ok) {
    const details = { factor: factor.id, ...(again ? { resent: true } : {}) };
    return { ok: true, event: { type: 'begun', step: begun.state, again }, audit: { type: 'mfa.challenge.issued', details } };
  }
  if (again && begun.reason === 'wait') throw tooSoon(begun.retryAfterMs);
  return { ok: false, why: whyOf(begun, cx.now), reason: begun.reason === 'wait' ? 'provider' : (FALLBACK[begun.reason] ?? 'provider') };
}

export const tooSoon = (ms: number) => tooMany(say('login.code.wait', { wait: secondsOf(ms) }), secondsOf(ms));

const secondsOf = (ms: number): number => Math.max(1, Math.ceil(ms / 1000));

const whyOf = (begun: Extract<Begun<unknown>, { ok: false }>, now: number): Unavailability => ({
  reason: begun.reason,
  until: begun.reason === 'wait' ? now + begun.retryAfterMs : null,
});

const FALLBACK: Readonly<Partial<Record<Unavailable, Extract<AuditEvent, { type: 'mfa.fallback' }>['details']['reason']>>> = {
  'no-address': 'no-number',
  budget: 'budget',
};

export type Answered =
  | {
      ok: true;
      verdict: Extract<Verdict, { ok: true }>;
      /** What is recorded with the step that follows, and what is done in its transaction. */
      audit: AuditEvent;
      within(trx: Queries): Promise<void>;
    }
  | {
      ok: false;
      /** The limit of this sign-in or recovery is reached. */
      ends: boolean;
      said: { field: string | null; message: Words };
      /** The challenge that takes the place of the one that was answered, where each is answered once. */
      challenge?: unknown;
    };

/** Verifies an answer. Undefined when there is nothing yet that it could answer. */
export async function answerQuestion(question: Question, form: LoginForm): Promise<Answered | undefined> {
  const { throttle, user, rows, factor, challenge, cx, origin } = question;
  if (isUnbegun(question)) return undefined;
  const resyncs = factor.resync !== undefined && form.next_code !== undefined;
  const counted = await throttle.factor(factor.id, user.id, cx.transaction, cx.now);
  const fields = fieldsOf(form);
  const verdict = await counted.comparing(async () => {
    const held = await heldOf(question);
    return resyncs ? factor.resync?.(cx, fields, held) : factor.verify(cx, challenge, fields, held);
  });
  if (verdict === undefined) {
    await counted.undone();
    return undefined;
  }
  if (!verdict.ok) return refused(question, verdict, { resyncs, ...(await counted.failed()) });

  await counted.succeeded();
  const { credentialId: credential, renewed, left } = verdict;
  const tell = left === undefined ? undefined : await question.tell(user, { kind: 'recoveryUsed', left }, cx.now);
  if (renewed !== undefined) await renew(question, rows, credential, renewed);
  return {
    ok: true,
    verdict,
    audit: { type: 'mfa.challenge.ok', details: { factor: factor.id, credential } },
    within: async (trx) => {
      // A counter's own statement has recorded its use.
      if (renewed !== undefined || factor.begin !== undefined) await touchCredential(trx, { realmId: user.realmId, id: credential }, cx.now);
      if (resyncs) await record(trx, origin, { type: 'mfa.factor.resynced', details: { factor: factor.id, credential } });
      if (left === undefined) return;
      await record(trx, origin, { type: 'mfa.recovery.used', details: { left } });
      if (left <= FEW_CODES) await record(trx, origin, { type: 'mfa.recovery.low', details: { left } });
      await tell?.(trx);
    },
  };
}

/** What was wrong is counted, recorded, and said; too much of it ends the transaction, and much more switches the factor off. */
async function refused(
  question: Question,
  verdict: Extract<Verdict, { ok: false }>,
  { resyncs, endsTransaction, disables }: { resyncs: boolean; endsTransaction: boolean; disables: boolean },
): Promise<Answered> {
  const { db, user, factor, cx, origin } = question;
  const { reason } = verdict;
  await record(db.knex, origin, refusalEvent(factor.id, verdict));
  if (disables) {
    const tell = await question.tell(user, { kind: 'methodDisabled', method: nameOf(factor) }, cx.now);
    await db.transaction(async (trx) => {
      await disableFactor(trx, user.realmId, user.id, factor.id);
      await record(trx, origin, { type: 'mfa.factor.disabled', details: { factor: factor.id } });
      await revokeTrust(trx, { realmId: user.realmId, userId: user.id }, {}, 'credentials', origin);
      await tell(trx);
    });
  }
  const why = refusalOf(textsOf(factor), reason, 'login.code.wrong');
  const isTyped = factor.begin === undefined || factor.resend !== undefined;
  const said = {
    field: isTyped ? 'code' : null,
    message: resyncs && reason === 'wrong' ? sayOr(`factor.${textsOf(factor)}.refused.pair`, why) : why,
  };
  // Of right codes sent at once all but one are replays. They count, but must not end the sign-in under the one that won.
  const ends = endsTransaction && reason !== 'replayed';
  // A challenge that cannot be sent again is answered once: the next answer needs another one. Not after a replay: what was
  // answered first is on its way, and would find that its challenge is not the one that is due any more.
  if (ends || isTyped || reason === 'replayed') return { ok: false, ends, said };
  const begun = await factor.begin?.(cx, await heldOf(question));
  return { ok: false, ends, said, ...(begun?.ok ? { challenge: begun.state } : {}) };
}

function refusalEvent(factor: string, { reason, credentialId }: Extract<Verdict, { ok: false }>): AuditEvent {
  const which = credentialId === undefined ? { factor } : { factor, credential: credentialId };
  if (reason === 'replayed') return { type: 'mfa.replay', details: which };
  if (reason === 'expired') return { type: 'mfa.challenge.expired', details: { factor } };
  if (reason === 'cloned' && credentialId !== undefined) return { type: 'mfa.clone_suspected', details: { factor, credential: credentialId } };
  return { type: 'mfa.challenge.failed', details: which };
}
