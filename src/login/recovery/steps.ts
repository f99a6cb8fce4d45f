/** The steps after the link: a second factor where one is owned, and the new password. */
import { record } from '../../audit/record.ts';
import { AppError } from '../../errors.ts';
import { factorContext } from '../../factors/context.ts';
import type { FactorContext } from '../../factors/factor.ts';
import { languageOf } from '../../http/language.ts';
import { type NewPasswordForm, newPasswordErrors } from '../../http/new-password.ts';
import type { FormError } from '../../http/render.ts';
import { say } from '../../languages/messages.ts';
import { newPasswordCredential, storePassword } from '../../sessions/credential-changes.ts';
import { noteReset } from '../../sessions/resets.ts';
import { confirmEmail, lockUser } from '../../store/users.ts';
import { hasAnswer, type LoginForm } from '../form.ts';
import { requireFactor } from '../steps.ts';
import { answerQuestion, beginQuestion, isUnbegun, type Question } from '../verification.ts';
import { settleInvitation } from './invite.ts';
import { challengeOf, next, type RecoveryEvent, type RecoveryState } from './machine.ts';
import type { PageShown } from './pages.ts';
import type { Recovery } from './recoveries.ts';
import { auditOrigin, type RecoveryRequest, throttleOf } from './room.ts';
import { type Judged, rulesOf } from './rules.ts';

/** Where a step leads: another state, or the same page with what is to be said on it. */
export type Stepped = { moved: { cookie?: string; recovery: Recovery } | undefined; shown?: PageShown } | { shown: PageShown };

const wrong = (errors: FormError[], status = 400): Stepped => ({ shown: { errors, status } });

/** Whether the challenge at hand has still to be begun. */
export function mustBegin(request: RecoveryRequest, { state }: Recovery): boolean {
  if (state.at !== 'challenge' || state.factor === null || state.factor in state.unavailable) return false;
  return isUnbegun({ factor: requireFactor(request, state.factor), challenge: challengeOf(state) });
}

/** The question for the factor at hand. */
export function questionOf(request: RecoveryRequest, recovery: Recovery, { user, known }: Judged): Question | undefined {
  if (!user || !known) return undefined;
  const { db, keyring, realm, at, tell } = request;
  return {
    ...{ db, keyring, tell, user, rows: known.credentials, credentialId: null },
    throttle: throttleOf(request),
    factor: requireFactor(request, recovery.state.factor),
    challenge: challengeOf(recovery.state),
    cx: notByMail(
      factorContext(request, {
        realm: realm.realm,
        rootSecret: realm.rootSecret,
        user,
        administrator: known.user?.administrator ?? false,
        transaction: recovery.row.id,
        language: languageOf(request.ctx),
        now: at,
      }),
    ),
    origin: auditOrigin(request, recovery, user.id),
  };
}

/** A hook may have its code mailed all the same: the mailbox has been shown, and is not shown twice for two. */
const notByMail = (cx: FactorContext): FactorContext => ({
  ...cx,
  deliver: async (delivery) => (delivery.channel === 'mail' ? { ok: false, reason: 'not-allowed' } : cx.deliver(delivery)),
});

/** Begins the challenge at hand, or sends it once more. */
export async function beginStep(request: RecoveryRequest, recovery: Recovery): Promise<Stepped> {
  const judged = await rulesOf(request, recovery);
  const question = questionOf(request, recovery, judged);
  const beginning = question && (await beginQuestion(question));
  if (!question || !beginning) return { shown: {} };
  const event: RecoveryEvent = beginning.ok ? beginning.event : { type: 'unavailable', why: beginning.why };
  const moved = await advance(request, recovery, judged, event, {
    within: async (trx) => (beginning.ok ? record(trx, question.origin, beginning.audit) : undefined),
  });
  return { moved, ...(beginning.ok && beginning.event.again ? { shown: { notice: say('login.code.sentAgain') } } : {}) };
}

/** The step that a form is for; undefined when it does not fit what is due. */
export async function stepOf(request: RecoveryRequest, recovery: Recovery, form: LoginForm & NewPasswordForm): Promise<Stepped | undefined> {
  const { state } = recovery;
  const simply = async (event: RecoveryEvent): Promise<Stepped> => ({
    moved: await advance(request, recovery, await rulesOf(request, recovery), event),
  });
  if (form.do === 'cancel') return simply({ type: 'cancelled' });
  if (form.do === 'another') return simply({ type: 'another' });
  switch (state.at) {
    case 'choose':
      return form.factor === undefined ? undefined : simply({ type: 'chosen', factor: form.factor });
    case 'challenge':
      if (form.do === 'resend') return beginStep(request, recovery);
      return hasAnswer(form) ? answerStep(request, recovery, form) : undefined;
    case 'password':
      return form['password-new'] === undefined ? undefined : passwordStep(request, recovery, form);
    default:
      return undefined;
  }
}

async function answerStep(request: RecoveryRequest, recovery: Recovery, form: LoginForm): Promise<Stepped | undefined> {
  if (form.code !== undefined && form.code.trim() === '') return wrong([{ field: 'code', message: say('login.code.type') }]);
  const judged = await rulesOf(request, recovery);
  const question = questionOf(request, recovery, judged);
  if (!question) return { moved: await advance(request, recovery, judged, { type: 'another' }) };
  const answered = await answerQuestion(question, form);
  if (answered === undefined) return undefined;
  if (!answered.ok) {
    if (answered.ends) return { moved: await advance(request, recovery, judged, { type: 'failed', last: true }) };
    const shown = { errors: [answered.said], status: 400, ...(form.next_code === undefined ? {} : { resyncing: true }) };
    if (answered.challenge === undefined) return { shown };
    return { moved: await advance(request, recovery, judged, { type: 'begun', step: answered.challenge, again: true }), shown };
  }
  const way = { factor: question.factor.id, credentialId: answered.verdict.credentialId };
  return {
    moved: await advance(
      request,
      recovery,
      judged,
      { type: 'shown', way },
      {
        renew: true,
        within: async (trx) => {
          await answered.within(trx);
          await record(trx, question.origin, answered.audit);
        },
      },
    ),
  };
}

/**
 * The new password: stored with everything that ends with the old one, and told by every way. It signs nobody in, and it
 * lifts nothing that a sign-in asks for.
 */
async function passwordStep(request: RecoveryRequest, recovery: Recovery, form: NewPasswordForm): Promise<Stepped> {
  const { keyring, passwords, realm, at } = request;
  const judged = await rulesOf(request, recovery);
  const { user, known } = judged;
  const state = next(recovery.state, { type: 'changed' }, judged.rules);
  if (state.at !== 'done' || !user || !known) return { moved: await advance(request, recovery, judged, { type: 'changed' }) };
  const errors = await newPasswordErrors({ keyring, passwords }, { user, settings: realm.realm.settings, rows: known.credentials }, form);
  if (errors.length > 0) return wrong(errors);

  const whose = { realmId: user.realmId, userId: user.id };
  const row = await newPasswordCredential({ keyring, passwords }, whose, form['password-new'] ?? '', at);
  const tell = await request.tell(user, { kind: 'passwordReset' }, at);
  const origin = auditOrigin(request, recovery, user.id);
  const moved = await advance(
    request,
    recovery,
    judged,
    { type: 'changed' },
    {
      renew: true,
      within: async (trx) => {
        await lockUser(trx, user.realmId, user.id);
        await storePassword(trx, row, origin, { recovery: recovery.row.id });
        await noteReset(trx, whose, at);
        // The link was read in that mailbox.
        if (recovery.state.email !== null) await confirmEmail(trx, user, recovery.state.email, at);
        await settleInvitation(trx, user, state, at);
        await record(trx, origin, { type: 'recovery.done', details: { factor: state.shown?.factor ?? null } });
        await tell(trx);
      },
    },
  );
  return { moved };
}

type Options = Parameters<RecoveryRequest['recoveries']['advance']>[2];

/** Moves the recovery on by an event; a refusal is recorded with it. The same recovery where the event does not fit. */
async function advance(
  request: RecoveryRequest,
  recovery: Recovery,
  { rules, user }: Judged,
  event: RecoveryEvent,
  options: Options = {},
): Promise<{ cookie?: string; recovery: Recovery } | undefined> {
  const state: RecoveryState = next(recovery.state, event, rules);
  if (state === recovery.state) return undefined;
  const { refusal } = state;
  return request.recoveries.advance(recovery, state, {
    ...options,
    within: async (trx) => {
      await options.within?.(trx);
      if (refusal !== null)
        await record(trx, auditOrigin(request, recovery, user?.id ?? null), { type: 'recovery.refused', details: { reason: refusal } });
    },
  });
}

/** What may be said of what went wrong, on the page that is due; anything else is a fault. */
export function problemOf(error: unknown): PageShown {
  if (!(error instanceof AppError) || (error.status >= 500 && error.code !== 'busy')) throw error;
  return { errors: [{ field: error.field ?? null, message: error.said }], status: error.status };
}
