/** Runs the hooks of a custom factor: what they are told, how long they have, and what is believed of their answers. */
import type { Kind } from '../../policy/assurance.ts';
import type { Credential, FactorContext } from '../factor.ts';
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

/** What is stored of a user's custom factor, sealed. */
export interface CustomSecret {
  kept: Json;
  /** The address that the user has proved by enrolling: codes by mail go there or nowhere. Null where none was sent. */
  address: string | null;
}

/** What a right answer shows, and what is to be kept of it; or why it is not right. `failed`: the hook did not do its part. */
export type Judged = { ok: true; level: CustomLevel; amr: string[]; keep: Json } | { ok: false; reason: 'wrong' | 'expired' | 'replayed' | 'failed' };

/** How long a hook may take, in milliseconds, with everything that it waits for. */
export const HOOK_LIMIT_MS = 5_000;

/** What initMFA wants asked. Undefined when it failed. */
export async function askedBy(terms: CustomTerms, context: HookContext): Promise<Challenge | undefined> {
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

/** What checkMFA says of an answer, within what the realm allows it to claim. */
export async function judgedBy(terms: CustomTerms, context: HookContext, input: string, state: Json): Promise<Judged> {
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

/** A copy of what a hook may know. */
export function contextOf(
  cx: FactorContext,
  of: Pick<HookContext, 'purpose' | 'challenge'> & { held: Credential<CustomSecret> | undefined },
): HookContext {
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

export function userOf({ user }: FactorContext): NonNullable<FactorContext['user']> {
  if (!user) throw new Error('a custom factor is asked of a user who is known');
  return user;
}
