/** The challenge of a second factor: begun once, sent again on wish, answered. */
import type { AuditEvent } from '../audit/event.ts';
import { record } from '../audit/record.ts';
import { tooMany } from '../errors.ts';
import type { Begun, Factor, Verdict } from '../factors/factor.ts';
import { openCredentials } from '../factors/held.ts';
import { say, sayOr } from '../languages/messages.ts';
import { revokeTrust } from '../sessions/devices.ts';
import { type CredentialRow, credentialsOf, disableFactor, touchCredential } from '../store/credentials.ts';
import type { UserRow } from '../store/users.ts';
import { fieldsOf, type LoginForm } from './form.ts';
import { challengeOf, type LoginRules } from './machine.ts';
import { offersAfter } from './offers.ts';
import type { Login, LoginRequest } from './room.ts';
import { auditOrigin, contextOf, type Outcome, proofOf, refusalOf, renew, requireFactor, rulesOf, signingIn, throttleOf, wrong } from './steps.ts';

/** Few recovery codes are left: time to say so. */
const FEW_LEFT = 3;

/** Whether the challenge at hand has still to be begun: a code to be sent, a challenge to be made. */
export function mustBegin(request: LoginRequest, { state }: Login): boolean {
  if (state.at !== 'challenge' || state.factor === null || state.factor in state.unavailable) return false;
  return requireFactor(request, state.factor).begin !== undefined && challengeOf(state) === null;
}

/** Begins the challenge at hand, or sends it once more. */
export async function beginChallenge(request: LoginRequest, login: Login): Promise<Outcome> {
  const user = await signingIn(request, login);
  const factor = requireFactor(request, login.state.factor);
  const rows = await credentialsOf(request.db.knex, request.realm.realm.id, user.id);
  const rules = await rulesOf(request, login, user.id, rows);
  const held = await openCredentials(request.keyring, factor, rows, login.state.credentialId);
  const cx = contextOf(request, login.row, user, rules);
  const state = challengeOf(login.state);
  const again = state !== null;
  const begun = again ? await factor.resend?.(cx, state, held) : await factor.begin?.(cx, held);
  if (begun === undefined) return { errors: [], status: 200 };
  if (!begun.ok) {
    // What was sent before stays good: the page stays, and says when there can be another.
    if (again && begun.reason === 'wait')
      throw tooMany(say('login.code.wait', { wait: secondsOf(begun.retryAfterMs) }), secondsOf(begun.retryAfterMs));
    return unavailable(request, login, { factor, rules, user, begun });
  }
  return {
    event: { type: 'begun', step: begun.state, again },
    rules,
    renew: false,
    audit: { type: 'mfa.challenge.issued', details: { factor: factor.id, ...(again ? { resent: true } : {}) } },
    subject: user.id,
    ...(again ? { shown: { notice: say('login.code.sentAgain') } } : {}),
  };
}

function unavailable(
  { at }: LoginRequest,
  { state }: Login,
  { factor, rules, user, begun }: { factor: Factor; rules: LoginRules; user: UserRow; begun: Extract<Begun<unknown>, { ok: false }> },
): Outcome {
  const until = begun.reason === 'wait' ? at + begun.retryAfterMs : null;
  const next = until === null ? fallbackOf(rules, state.unavailable, factor.id) : undefined;
  return {
    event: { type: 'unavailable', why: { reason: begun.reason, until } },
    rules,
    renew: false,
    ...(next === undefined
      ? {}
      : { audit: { type: 'mfa.fallback', details: { factor: next, from: factor.id, reason: FALLBACK[begun.reason] ?? 'provider' } } }),
    subject: user.id,
  };
}

const FALLBACK: Readonly<Record<string, Extract<AuditEvent, { type: 'mfa.fallback' }>['details']['reason']>> = {
  'no-address': 'no-number',
  budget: 'budget',
};

/** Where the machine goes when a challenge cannot be begun; it decides for itself whether that is enough. */
function fallbackOf(rules: LoginRules, failed: object, factor: string): string | undefined {
  if (!rules.fallback.includes(factor)) return undefined;
  return rules.fallback.find((other) => other !== factor && !(other in failed) && rules.choices.some((choice) => choice.factor === other));
}

/** The answer to a challenge. Undefined when there is nothing yet that it could answer. */
export async function challengeStep(request: LoginRequest, login: Login, form: LoginForm): Promise<Outcome | undefined> {
  const { db, keyring, realm, at } = request;
  const { state } = login;
  const user = await signingIn(request, login);
  const factor = requireFactor(request, state.factor);
  const challenge = challengeOf(state);
  if (factor.begin !== undefined && challenge === null) return undefined;
  const resyncs = factor.resync !== undefined && form.next_code !== undefined;
  if (form.code !== undefined && form.code.trim() === '') return wrong('code', say('login.code.type'));

  const counted = await throttleOf(request).factor(factor.id, user.id, login.row.id, at);
  const rows = await credentialsOf(db.knex, realm.realm.id, user.id);
  const rules = await rulesOf(request, login, user.id, rows);
  const cx = contextOf(request, login.row, user, rules);
  const fields = fieldsOf(form);
  const verdict = await counted.comparing(async () => {
    const held = await openCredentials(keyring, factor, rows, state.credentialId);
    return resyncs ? factor.resync?.(cx, fields, held) : factor.verify(cx, challenge, fields, held);
  });
  if (verdict === undefined) {
    await counted.undone();
    return undefined;
  }
  if (!verdict.ok) return refused(request, login, { factor, user, rules, verdict, counted, resyncs });

  await counted.succeeded();
  if (verdict.renewed !== undefined) await renew(request, rows, verdict.credentialId, verdict.renewed);
  const origin = auditOrigin(request, login, user.id);
  const { left } = verdict;
  const capable = form.webauthn === '1' || state.capable;
  return {
    event: { type: 'proved', userId: user.id, proof: proofOf(factor, verdict, at), rememberDevice: form.remember_device !== undefined, capable },
    rules: { ...rules, offers: await offersAfter(request, { user, rows, rules, capable }) },
    renew: true,
    audit: { type: 'mfa.challenge.ok', details: { factor: factor.id, credential: verdict.credentialId } },
    subject: user.id,
    within: async (trx) => {
      // A counter's own statement has recorded its use.
      if (verdict.renewed !== undefined || factor.begin !== undefined)
        await touchCredential(trx, { realmId: user.realmId, id: verdict.credentialId }, at);
      if (resyncs) await record(trx, origin, { type: 'mfa.factor.resynced', details: { factor: factor.id, credential: verdict.credentialId } });
      if (left === undefined) return;
      await record(trx, origin, { type: 'mfa.recovery.used', details: { left } });
      if (left <= FEW_LEFT) await record(trx, origin, { type: 'mfa.recovery.low', details: { left } });
    },
  };
}

interface Refused {
  factor: Factor;
  user: UserRow;
  rules: LoginRules;
  verdict: Extract<Verdict, { ok: false }>;
  counted: { failed(): Promise<{ endsTransaction: boolean; disables: boolean }> };
  /** Two codes in a row were given. */
  resyncs: boolean;
}

/** What was wrong is counted, recorded, and said; too much of it ends the sign-in, and much more switches the factor off. */
async function refused(request: LoginRequest, login: Login, { factor, user, rules, verdict, counted, resyncs }: Refused): Promise<Outcome> {
  const { db, realm } = request;
  const { endsTransaction, disables } = await counted.failed();
  const origin = auditOrigin(request, login, user.id);
  await record(db.knex, origin, refusalEvent(factor.id, verdict));
  if (disables) {
    await db.transaction(async (trx) => {
      await disableFactor(trx, realm.realm.id, user.id, factor.id);
      await record(trx, origin, { type: 'mfa.factor.disabled', details: { factor: factor.id } });
      await revokeTrust(trx, { realmId: realm.realm.id, userId: user.id }, {}, 'credentials', origin);
    });
  }
  // Of right codes sent at once all but one are replays. They count, but must not end the sign-in under the one that won.
  if (endsTransaction && verdict.reason !== 'replayed') return { event: { type: 'failed', last: true }, rules, renew: false };
  const why = refusalOf(factor.id, verdict.reason, 'login.code.wrong');
  const said = wrong(
    factor.begin === undefined || factor.resend !== undefined ? 'code' : null,
    resyncs && verdict.reason === 'wrong' ? sayOr(`factor.${factor.id}.refused.pair`, why) : why,
  );
  if (factor.begin === undefined || factor.resend !== undefined || 'event' in said) return said;
  // A challenge that cannot be sent again is answered once: the next answer needs another one.
  const begun = await factor.begin(contextOf(request, login.row, user, rules), await heldOf(request, login, factor, user));
  if (!begun.ok) return said;
  return { event: { type: 'begun', step: begun.state, again: true }, rules, renew: false, shown: said };
}

async function heldOf(request: LoginRequest, login: Login, factor: Factor, user: UserRow) {
  const rows: CredentialRow[] = await credentialsOf(request.db.knex, request.realm.realm.id, user.id);
  return openCredentials(request.keyring, factor, rows, login.state.credentialId);
}

function refusalEvent(factor: string, { reason, credentialId }: Refused['verdict']): AuditEvent {
  const which = credentialId === undefined ? { factor } : { factor, credential: credentialId };
  if (reason === 'replayed') return { type: 'mfa.replay', details: which };
  if (reason === 'expired') return { type: 'mfa.challenge.expired', details: { factor } };
  if (reason === 'cloned' && credentialId !== undefined) return { type: 'mfa.clone_suspected', details: { factor, credential: credentialId } };
  return { type: 'mfa.challenge.failed', details: which };
}

export const secondsOf = (ms: number): number => Math.max(1, Math.ceil(ms / 1000));
