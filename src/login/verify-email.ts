/**
 * An address is verified by a code that is mailed there and typed here. A code and no link: it is bound to this sign-in, so
 * that whoever opens the mail elsewhere, a guard of mailboxes too, does nothing by it. It shows a mailbox, and raises no level.
 */
import { z } from 'zod';
import { record } from '../audit/record.ts';
import { isSame, maskedAddress } from '../factors/email-otp/email-otp.ts';
import { checkCode, sendCode, shownOf } from '../factors/sent-code.ts';
import { say } from '../languages/messages.ts';
import { normalise } from '../store/rows.ts';
import { removeRequiredAction } from '../store/user-changes.ts';
import { confirmEmail } from '../store/users.ts';
import type { LoginForm } from './form.ts';
import { VERIFY_EMAIL } from './required.ts';
import type { Login, LoginRequest } from './room.ts';
import { auditOrigin, contextOf, type Outcome, refusalOf, rulesOf, signingIn, throttleOf, wrong } from './steps.ts';
import { tooSoon, unavailabilityOf } from './verification.ts';

/** Under which codes and attempts are counted, beside those of the factors. */
const ID = 'verify-email';
const ACTION = 'VERIFY_EMAIL';
/** The code shows this very address: whatever comes between, it confirms no other. */
const shownBy = (address: string) => ({ factor: ID, purpose: 'enrol' as const, shows: normalise(address) });

/** What the page remembers: where the code was sent, or why there is none. */
const kept = z.object({
  address: z.string(),
  digits: z.number(),
  until: z.number(),
  nextAt: z.number(),
  why: z.object({ reason: z.string(), until: z.number().nullable() }).nullable(),
});

const keptOf = ({ state }: Login) => kept.safeParse(state.step).data;

/** Sends the code, or another one. */
export async function beginVerifyEmail(request: LoginRequest, login: Login): Promise<Outcome> {
  const { user, known } = await signingIn(request, login);
  const rules = await rulesOf(request, login, user.id, known);
  const before = keptOf(login);
  const again = before !== undefined;
  const event = (step: z.infer<typeof kept>) => ({ type: 'begun', step, again }) as const;
  const address = user.email ?? '';
  const { digits, lifetime } = request.realm.realm.settings.emailOtp;
  const sent = await sendCode(contextOf(request, login.row, user, rules), { ...shownBy(address), channel: 'mail', to: address, digits, lifetime });
  if (sent.ok) {
    const audit = { type: 'mfa.challenge.issued', details: { factor: ID, ...(again ? { resent: true } : {}) } } as const;
    const shown = again ? { shown: { notice: say('login.code.sentAgain') } } : {};
    return { event: event({ ...sent.state, address, why: null }), rules, renew: false, audit, subject: user.id, ...shown };
  }
  // What was sent before stays good.
  if (sent.reason === 'wait' && before?.why === null) throw tooSoon(sent.retryAfterMs);
  const until = sent.reason === 'wait' ? request.at + sent.retryAfterMs : null;
  return { event: event({ address, digits, until: 0, nextAt: until ?? 0, why: { reason: sent.reason, until } }), rules, renew: false };
}

export function verifyEmailPage(request: LoginRequest, login: Login): { view: string; model: object } {
  const step = keptOf(login);
  if (!step) throw new Error('The page of a code that was not sent.');
  const { address, why, ...sent } = step;
  const cx = contextOf(request, login.row, undefined);
  const unavailable = why === null ? null : unavailabilityOf(ID, why, request.at);
  return { view: 'login/verify-email', model: { ...shownOf(cx, sent), address: maskedAddress(address), unavailable } };
}

/** Form field `code`. */
export async function verifyEmailStep(request: LoginRequest, login: Login, form: LoginForm): Promise<Outcome | undefined> {
  if (form.do === 'resend') return beginVerifyEmail(request, login);
  const sent = keptOf(login);
  if (form.code === undefined || sent === undefined || sent.why !== null) return undefined;
  if (form.code.trim() === '') return wrong('code', say('login.code.type'));
  const { user, known } = await signingIn(request, login);
  const cx = contextOf(request, login.row, user);
  const counted = await throttleOf(request).factor(ID, user.id, login.row.id, request.at);
  const checked = await counted.comparing(() => checkCode(cx, sent, shownBy(sent.address), form.code));
  if (checked !== 'ok' || !isSame(sent.address, user.email)) {
    await counted.failed();
    await record(request.db.knex, auditOrigin(request, login, user.id), { type: 'mfa.challenge.failed', details: { factor: ID } });
    return wrong('code', refusalOf(ID, checked === 'ok' ? 'expired' : checked, 'login.code.wrong'));
  }
  await counted.succeeded();
  return {
    event: { type: 'answered', action: VERIFY_EMAIL },
    rules: await rulesOf(request, login, user.id, { ...known, emailVerified: true }),
    renew: true,
    audit: { type: 'user.updated', details: { fields: ['emailVerified'] } },
    subject: user.id,
    within: async (trx) => {
      await confirmEmail(trx, user, sent.address, request.at);
      await removeRequiredAction(trx, user, ACTION);
    },
  };
}
