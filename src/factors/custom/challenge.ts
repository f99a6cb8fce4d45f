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
import { randomInt } from 'node:crypto';
import { randomToken } from '../../crypto/codes.ts';
import type { Kind } from '../../policy/assurance.ts';
import type { Begun, Credential, Delivered, FactorContext, Refusal } from '../factor.ts';
import { type Challenge, type CustomLevel, type HookContext, HookFault, type Hooks, type Json, parseChallenge, parseChecked } from './hooks.ts';

/** A custom factor as one realm uses it. */
export interface CustomTerms {
  /** `custom-<slug>` of a module, `webhook-<slug>` of a webhook. */
  id: string;
  name: string;
  strength: string;
  kind: Kind;
  /** All that the factor may claim, and what it shows unless it claims less. */
  amr: readonly string[];
  level: CustomLevel;
  /** Every user of the realm has it; otherwise those who enrolled it. */
  everyone: boolean;
  hooks: Hooks;
  report: Report;
}

/** Told of every call of a hook; a `fault` is for the log. */
export type Report = (call: { factor: string; hook: HookName; ms: number; fault?: unknown }) => void;
type HookName = 'initMFA' | 'checkMFA';
type Purpose = HookContext['purpose'];

/** What is stored of a user's custom factor, sealed. */
export interface CustomSecret {
  kept: Json;
}

/** What a challenge has to remember. */
export interface CustomState {
  /** Random; the hooks know it too. */
  challenge: string;
  until: number;
  /** The credential that is asked for; null at enrolment, and where everybody has the factor. */
  credential: string | null;
  /** Whether there is a code that we compare. */
  coded: boolean;
  /** How we have sent it. */
  sent: 'mail' | 'sms' | null;
  page: { message: string | null; label: string | null; inputmode: 'text' | 'numeric' };
  /** The hook's own. */
  state: Json;
}

/** How long a hook may take, in milliseconds, with everything that it waits for. */
export const HOOK_LIMIT_MS = 5_000;
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
  const code = asked.code === undefined ? undefined : comparable(asked.code);
  const sent = await send(terms, cx, { purpose, asked, lifetime });
  if (sent?.ok === false) return sent;
  if (code !== undefined) await cx.codes.issue(codesOf(terms, purpose), code, lifetime);
  return {
    ok: true,
    state: {
      challenge,
      until: cx.now + lifetime,
      credential: held?.id ?? null,
      coded: code !== undefined,
      sent: asked.deliver === undefined ? null : asked.deliver === 'mail' ? 'mail' : 'sms',
      page: {
        message: asked.message ?? null,
        label: asked.label ?? null,
        inputmode: asked.inputmode ?? (/^\d+$/.test(code ?? '') ? 'numeric' : 'text'),
      },
      state: asked.state ?? null,
    },
  };
}

/** A challenge that was answered rightly, and what that shows; or why it was not. */
export type Answered = { ok: true; level: CustomLevel; amr: string[]; keep: Json } | { ok: false; reason: Refusal };

/** Whether an answer is right. A right one is accepted once; `failed` where the hook did not do its part. */
export async function checkAnswer(
  terms: CustomTerms,
  cx: FactorContext,
  answer: { purpose: Purpose; state: CustomState; input: unknown; held: Credential<CustomSecret> | undefined },
): Promise<Answered> {
  const { purpose, state, held } = answer;
  const input = inputOf(answer.input);
  if (input === undefined) return { ok: false, reason: 'malformed' };
  if (cx.now >= state.until) return { ok: false, reason: 'expired' };
  if (state.coded) {
    const compared = await cx.codes.check(codesOf(terms, purpose), comparable(input));
    if (compared !== 'ok') return { ok: false, reason: compared };
  }
  const context = contextOf(cx, { purpose, challenge: state.challenge, held });
  if (terms.hooks.check && !(await takesPlace(cx, `${terms.id} ${state.challenge} answer`, ANSWERS_A_CHALLENGE, state.until))) {
    return { ok: false, reason: 'expired' };
  }
  const verdict = terms.hooks.check ? await judgedBy(terms, context, input, state.state) : codeAlone(terms, state);
  if (!verdict.ok) return verdict;
  return (await cx.once(`${terms.id} ${state.challenge}`, state.until)) ? verdict : { ok: false, reason: 'replayed' };
}

/** Where there is no checkMFA, the comparison of our code was the check; without a code there was none. */
const codeAlone = ({ level, amr }: CustomTerms, { coded }: CustomState): Answered =>
  coded ? { ok: true, level, amr: [...amr], keep: null } : { ok: false, reason: 'wrong' };

/** Undefined when the hook failed. */
async function askedBy(terms: CustomTerms, context: HookContext): Promise<Challenge | undefined> {
  const { init, check } = terms.hooks;
  try {
    return await bounded(terms, 'initMFA', async (signal) => {
      const asked = parseChallenge(await init?.(context, signal));
      if (asked.code === undefined && asked.unavailable !== true && !check)
        throw new HookFault('initMFA gave no code, and there is no checkMFA to say what is right.');
      return asked;
    });
  } catch {
    return undefined;
  }
}

async function judgedBy(terms: CustomTerms, context: HookContext, input: string, state: Json): Promise<Answered> {
  const { check } = terms.hooks;
  try {
    return await bounded(terms, 'checkMFA', async (signal) => {
      const said = parseChecked(await check?.(context, input, state, signal));
      if (!said.ok) return { ok: false, reason: said.reason ?? 'wrong' };
      const { level = terms.level, amr = terms.amr } = said;
      if (level !== 'aal1' && level !== terms.level) throw new HookFault('checkMFA claims a level that the realm does not allow.');
      if (amr.length === 0 || !amr.every((name) => terms.amr.includes(name)))
        throw new HookFault('checkMFA claims an amr that the realm does not allow.');
      return { ok: true, level, amr: [...amr], keep: said.keep ?? null };
    });
  } catch {
    return { ok: false, reason: 'failed' };
  }
}

/** Runs a hook within its time, and reports how it went. */
async function bounded<T>({ id, report }: CustomTerms, hook: HookName, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const began = performance.now();
  const call = (fault?: unknown) => ({ factor: id, hook, ms: performance.now() - began, ...(fault === undefined ? {} : { fault }) });
  const { promise: late, reject } = Promise.withResolvers<never>();
  const stop = new AbortController();
  const limit = setTimeout(() => {
    const fault = new HookFault(`${hook} took longer than ${HOOK_LIMIT_MS} ms.`);
    stop.abort(fault);
    reject(fault);
  }, HOOK_LIMIT_MS);
  try {
    const answer = await Promise.race([work(stop.signal), late]);
    report(call());
    return answer;
  } catch (fault) {
    report(call(fault));
    throw fault;
  } finally {
    clearTimeout(limit);
  }
}

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

const randomDigits = (count: number): string => Array.from({ length: count }, () => randomInt(10)).join('');

/** Undefined when there is nothing for us to send. */
async function send(
  { id }: CustomTerms,
  cx: FactorContext,
  { purpose, asked: { code, deliver }, lifetime }: { purpose: Purpose; asked: Challenge; lifetime: number },
): Promise<Delivered | undefined> {
  if (code === undefined || deliver === undefined) return undefined;
  const to = deliver === 'mail' ? userOf(cx).email : deliver.sms;
  if (to === null) return { ok: false, reason: 'no-address' };
  return cx.deliver({ factor: id, channel: deliver === 'mail' ? 'mail' : 'sms', to, code, purpose, validMs: lifetime });
}

const codesOf = ({ id }: CustomTerms, purpose: Purpose): string => `${id} ${purpose}`;

/** A code without what people and typefaces do to it. */
const comparable = (code: string): string => code.replace(/[\s-]/g, '').toUpperCase();

/** What was typed: one line, not too long, and something. */
function inputOf(typed: unknown): string | undefined {
  if (typeof typed !== 'string' || typed.length > MAX_INPUT || !typed.isWellFormed()) return undefined;
  const input = typed.trim();
  return input === '' || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(input) ? undefined : input;
}

function contextOf(cx: FactorContext, of: { purpose: Purpose; challenge: string; held: Credential<CustomSecret> | undefined }): HookContext {
  const { id, username, email, emailVerified } = userOf(cx);
  const { realm, language, now } = cx;
  const { purpose, challenge, held } = of;
  return structuredClone({
    purpose,
    challenge,
    realm: { id: realm.id, name: realm.name, displayName: realm.displayName },
    user: { id, username, email, emailVerified },
    language: language ?? null,
    now,
    kept: held?.secret.kept ?? null,
  });
}

function userOf({ user }: FactorContext): NonNullable<FactorContext['user']> {
  if (!user) throw new Error('a custom factor is asked of a user who is known');
  return user;
}
