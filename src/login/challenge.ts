/** The challenge of a second factor in a sign-in: begun once, sent again on wish, answered. */
import type { AuditEvent } from '../audit/event.ts';
import { say } from '../languages/messages.ts';
import type { CredentialRow } from '../store/credentials.ts';
import type { UserRow } from '../store/users.ts';
import type { LoginForm } from './form.ts';
import { offersAfter } from './offers.ts';
import { usePass } from './pass.ts';
import type { Login, LoginRequest } from './room.ts';
import type { LoginRules } from './state.ts';
import { auditOrigin, contextOf, type Outcome, proofOf, requireFactor, rulesOf, signingIn, throttleOf, wrong } from './steps.ts';
import { answerQuestion, beginQuestion, isUnbegun, type Question } from './verification.ts';
import { challengeOf } from './walk.ts';

/** Whether the challenge at hand has still to be begun. */
export function mustBegin(request: LoginRequest, { state }: Login): boolean {
  if (state.at !== 'challenge' || state.factor === null || state.factor in state.unavailable) return false;
  return isUnbegun({ factor: requireFactor(request, state.factor), challenge: challengeOf(state) });
}

interface Asked {
  question: Question;
  user: UserRow;
  rows: CredentialRow[];
  rules: LoginRules;
}

/** The question at hand, and who is asked. */
async function askedOf(request: LoginRequest, login: Login): Promise<Asked> {
  const { db, keyring, tell } = request;
  const { factor, credentialId } = login.state;
  const { user, known } = await signingIn(request, login);
  const rows = known.credentials;
  const rules = await rulesOf(request, login, user.id, known);
  const question: Question = {
    ...{ db, keyring, tell, user, rows, credentialId },
    throttle: throttleOf(request),
    factor: requireFactor(request, factor),
    challenge: challengeOf(login.state),
    cx: contextOf(request, login.row, user, rules),
    origin: auditOrigin(request, login, user.id),
  };
  return { question, user, rows, rules };
}

/** Begins the challenge at hand, or sends it once more. */
export async function beginChallenge(request: LoginRequest, login: Login): Promise<Outcome> {
  const { question, user, rules } = await askedOf(request, login);
  const beginning = await beginQuestion(question);
  if (beginning === undefined) return { errors: [], status: 200 };
  const common = { rules, renew: false, subject: user.id };
  if (!beginning.ok) {
    const { why, reason } = beginning;
    const next = why.until === null ? fallbackOf(rules, login.state.unavailable, question.factor.id) : undefined;
    const audit: AuditEvent | undefined =
      next === undefined ? undefined : { type: 'mfa.fallback', details: { factor: next, from: question.factor.id, reason } };
    return { ...common, event: { type: 'unavailable', why }, ...(audit ? { audit } : {}) };
  }
  const { event, audit } = beginning;
  return { ...common, event, audit, ...(event.again ? { shown: { notice: say('login.code.sentAgain') } } : {}) };
}

/** Where the machine goes when a challenge cannot be begun; it decides for itself whether that is enough. */
function fallbackOf(rules: LoginRules, failed: object, factor: string): string | undefined {
  if (!rules.fallback.includes(factor)) return undefined;
  return rules.fallback.find((other) => other !== factor && !(other in failed) && rules.choices.some((choice) => choice.factor === other));
}

/** How long the answer has taken: since the step before it, which is when the question came up. */
function timed(event: AuditEvent, { row, state }: Login, at: number): AuditEvent {
  if (event.type !== 'mfa.challenge.ok') return event;
  return { ...event, details: { ...event.details, ms: at - Math.max(row.createdAt, ...state.proofs.map((proof) => proof.at)) } };
}

/** The answer to a challenge. Undefined when there is nothing yet that it could answer. */
export async function challengeStep(request: LoginRequest, login: Login, form: LoginForm): Promise<Outcome | undefined> {
  if (form.code !== undefined && form.code.trim() === '') return wrong('code', say('login.code.type'));
  const { question, user, rows, rules } = await askedOf(request, login);
  const answered = await answerQuestion(question, form);
  if (answered === undefined) return undefined;
  if (!answered.ok) {
    if (answered.ends) return { event: { type: 'failed', last: true }, rules, renew: false };
    const shown = { errors: [answered.said], status: 400 };
    if (answered.challenge === undefined) return shown;
    return { event: { type: 'begun', step: answered.challenge, again: true }, rules, renew: false, shown };
  }
  const { verdict, audit, within } = answered;
  const capable = form.webauthn === '1' || login.state.capable;
  const proof = proofOf(question.factor, verdict, request.at);
  return {
    event: { type: 'proved', userId: user.id, proof, rememberDevice: form.remember_device !== undefined, capable },
    rules: { ...rules, offers: await offersAfter(request, { user, rows, rules, capable }) },
    renew: true,
    audit: timed(audit, login, request.at),
    subject: user.id,
    within: async (trx) => {
      await within(trx);
      await usePass(trx, user, proof);
    },
  };
}
