/**
 * The challenge of a custom factor. A hook is somebody else's program, and is trusted with little:
 *
 *     begin    at most so many challenges a user in five minutes ─► initMFA, 5 s ─► its code sent and stored as an HMAC
 *     answer   not too late ─► our comparison of a code that is in play ─► checkMFA, 5 s ─► its claims within what the
 *              realm allows ─► the challenge is spent, once ─► ok
 *
 * A hook that throws, is late, or answers what it may not lets nobody in: that counts as a wrong answer, and the page says
 * that the factor does not answer.
 */
import { randomToken } from '../../crypto/codes.ts';
import type { RealmSettings } from '../../realms/settings.ts';
import { isSame } from '../email-otp/email-otp.ts';
import type { Begun, Credential, FactorContext, Refusal } from '../factor.ts';
import { randomDigits } from '../sent-code.ts';
import type { Challenge, CustomLevel, HookContext, Json } from './hooks.ts';
import { askedBy, type CustomSecret, type CustomTerms, contextOf, type Judged, judgedBy, userOf } from './running.ts';

type Purpose = HookContext['purpose'];

/** What a challenge has to remember. */
export interface CustomState {
  /** Random; the hooks know it too. */
  challenge: string;
  until: number;
  /** The credential that is asked for; null at enrolment, and where everybody has the factor. */
  credential: string | null;
  /** Whether there is a code that we compare. */
  coded: boolean;
  /** How we have sent it, and a mail to where. */
  sent: 'mail' | 'sms' | null;
  address: string | null;
  page: { message: string | null; label: string | null; inputmode: 'text' | 'numeric' };
  /** The hook's own. */
  state: Json;
}

/** How long a challenge that a hook has made is good for. */
const CHALLENGE_MS = 5 * 60_000;
/** How many answers to one challenge reach checkMFA, however it fares with them. */
const ANSWERS_A_CHALLENGE = 5;
/** A hook may ring somebody's telephone: whoever knows the password must not be able to do that all night. */
const CHALLENGES_A_WINDOW = 5;
const WINDOW_MS = 5 * 60_000;
const MAX_INPUT = 256;

/** Begins a challenge, or begins it again: what was sent before is then worth nothing. */
export async function beginChallenge(
  terms: CustomTerms,
  cx: FactorContext,
  purpose: Purpose,
  held: Credential<CustomSecret> | undefined,
): Promise<Begun<CustomState>> {
  const { hooks } = terms;
  if (hooks.init && !(await mayBegin(terms, cx))) return { ok: false, reason: 'wait', retryAfterMs: WINDOW_MS - (cx.now % WINDOW_MS) };
  const challenge = randomToken(16);
  const asked = hooks.init ? await askedBy(terms, contextOf(cx, { purpose, challenge, held })) : ourCode(cx);
  if (asked === undefined) return { ok: false, reason: 'failed' };
  if (asked.unavailable === true) return { ok: false, reason: 'no-address' };

  const lifetime = hooks.init ? CHALLENGE_MS : cx.settings.emailOtp.lifetime * 1000;
  const sent = await sendCode(terms, cx, { purpose, asked, lifetime, held });
  if (!sent.ok) return sent;
  if (asked.code !== undefined) await cx.codes.issue(codesOf(terms, purpose), comparable(asked.code), lifetime);
  const { by, address } = sent;
  return {
    ok: true,
    state: {
      ...{ challenge, until: cx.now + lifetime, credential: held?.id ?? null },
      ...{ coded: asked.code !== undefined, sent: by, address, page: pageOf(asked), state: asked.state ?? null },
    },
  };
}

export type Answered = Extract<Judged, { ok: true }> | { ok: false; reason: Refusal };

/** Whether an answer is right. A right one is accepted once. */
export async function checkAnswer(
  terms: CustomTerms,
  cx: FactorContext,
  answer: { purpose: Purpose; state: CustomState; input: unknown; held: Credential<CustomSecret> | undefined },
): Promise<Answered> {
  const { purpose, state, held } = answer;
  const { challenge, until } = state;
  const input = inputOf(answer.input);
  if (input === undefined) return { ok: false, reason: 'malformed' };
  if (cx.now >= until) return { ok: false, reason: 'expired' };
  if (state.coded) {
    const compared = await cx.codes.check(codesOf(terms, purpose), comparable(input));
    if (compared !== 'ok') return { ok: false, reason: compared };
  }
  const judged = terms.hooks.check ? await judge() : codeAlone(terms, cx, state);
  if (!judged.ok) return judged;
  return (await cx.once(`${terms.id} ${challenge}`, until)) ? judged : { ok: false, reason: 'replayed' };

  async function judge(): Promise<Judged> {
    if (!(await takesPlace(cx, `${terms.id} ${challenge} answer`, ANSWERS_A_CHALLENGE, until))) return { ok: false, reason: 'expired' };
    return judgedBy(terms, contextOf(cx, { purpose, challenge, held }), input ?? '', state.state);
  }
}

/** Where there is no checkMFA, the comparison of our code was the check; without a code there was none. */
const codeAlone = (terms: CustomTerms, { settings }: FactorContext, { coded }: CustomState): Judged =>
  coded ? { ok: true, level: levelOf(terms, settings), amr: [...terms.amr], keep: null } : { ok: false, reason: 'wrong' };

/** Without a hook it is a code by mail under another name, and worth no more than those are in the realm. */
export const levelOf = ({ hooks, level }: CustomTerms, { emailOtp }: RealmSettings): CustomLevel =>
  hooks.init || hooks.check || emailOtp.level === 'aal2' ? level : 'aal1';

/** So many challenges of a user and factor in each window. */
function mayBegin({ id }: CustomTerms, cx: FactorContext): Promise<boolean> {
  const window = Math.floor(cx.now / WINDOW_MS);
  return takesPlace(cx, `${id} ${userOf(cx).id} ${window}`, CHALLENGES_A_WINDOW, (window + 1) * WINDOW_MS);
}

/** One of so many places, each of which is taken once. */
async function takesPlace(cx: FactorContext, what: string, places: number, until: number): Promise<boolean> {
  for (let place = 1; place <= places; place += 1) {
    if (await cx.once(`${what} ${place}`, until)) return true;
  }
  return false;
}

/** The built-in behaviour: a code by mail. */
const ourCode = (cx: FactorContext): Challenge => ({ code: randomDigits(cx.settings.emailOtp.digits), deliver: 'mail' });

/** Sends the code of a challenge, where it is us who send it; answers how, and a mail to where. */
async function sendCode(
  { id }: CustomTerms,
  cx: FactorContext,
  { purpose, asked, lifetime, held }: { purpose: Purpose; asked: Challenge; lifetime: number; held: Credential<CustomSecret> | undefined },
): Promise<{ ok: true; by: CustomState['sent']; address: string | null } | Extract<Begun<never>, { ok: false }>> {
  const { code, deliver } = asked;
  if (code === undefined || deliver === undefined) return { ok: true, by: null, address: null };
  const channel = deliver === 'mail' ? 'mail' : 'sms';
  const to = deliver === 'mail' ? mailAddress(cx, purpose, held) : deliver.sms;
  if (to === null) return { ok: false, reason: 'no-address' };
  const delivered = await cx.deliver({ factor: id, channel, to, code, purpose, validMs: lifetime });
  return delivered.ok ? { ok: true, by: channel, address: channel === 'mail' ? to : null } : delivered;
}

/**
 * Where a code by mail may go: at enrolment to the address of the account, which it proves; afterwards to the one that was
 * proved, as long as it is still that of the account. Where nobody enrols, the account has to know that it is the user's.
 */
function mailAddress(cx: FactorContext, purpose: Purpose, held: Credential<CustomSecret> | undefined): string | null {
  const { email, emailVerified } = userOf(cx);
  if (purpose === 'enrol') return email;
  const proved = held?.secret.address ?? null;
  if (proved !== null) return isSame(proved, email) ? proved : null;
  return emailVerified ? email : null;
}

const pageOf = ({ message, label, inputmode, code }: Challenge): CustomState['page'] => ({
  message: message ?? null,
  label: label ?? null,
  inputmode: inputmode ?? (/^\d+$/.test(code ?? '') ? 'numeric' : 'text'),
});

const codesOf = ({ id }: CustomTerms, purpose: Purpose): string => `${id} ${purpose}`;

/** A code without what people and typefaces do to it. */
const comparable = (code: string): string => code.replace(/[\s-]/g, '').toUpperCase();

/** What was typed: one line, not too long, and something. */
function inputOf(typed: unknown): string | undefined {
  if (typeof typed !== 'string' || typed.length > MAX_INPUT || !typed.isWellFormed()) return undefined;
  const input = typed.trim();
  return input === '' || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(input) ? undefined : input;
}
