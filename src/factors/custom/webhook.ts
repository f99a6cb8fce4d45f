/**
 * The hooks of a custom factor as an HTTPS service: each is one POST of JSON, signed, and so is its answer.
 *
 *     POST url   cardea-timestamp, cardea-nonce, cardea-signature   {"event": "init" | "check", …HookContext, …}
 *     200        cardea-timestamp, cardea-signature                 what the hook answers (hooks.ts)
 *
 * Everything that is not a 200 with the right signature within the time is a fault. A request of which nothing was sent is
 * tried once more; a begun challenge also after a 5xx, with a nonce of its own and the same challenge, by which the service
 * knows it again. An answer to be checked is never sent twice: the service may have spent it.
 */
import { randomToken } from '../../crypto/codes.ts';
import { AppError } from '../../errors.ts';
import { type HookContext, HookFault, type Hooks, type Json } from './hooks.ts';
import { HOOK_LIMIT_MS } from './running.ts';
import { isSignedAnswer, NONCE, SIGNATURE, signRequest, TIMESTAMP } from './signature.ts';

/** The guarded client, as far as it is needed here. */
export type Send = (
  url: string,
  init: { method: 'POST'; headers: Record<string, string>; body: string; timeoutMs: number; maxBytes: number },
) => Promise<{ status: number; headers: Readonly<Record<string, string>>; body: Buffer }>;

export interface WebhookTerms {
  /** The factor's id. */
  id: string;
  url: string;
  /** Which hooks the service has. */
  events: readonly WebhookEvent[];
  /** The secrets that are accepted now, the newest first. */
  secrets(realmId: string): Promise<readonly string[]>;
  send: Send;
}

export type WebhookEvent = 'init' | 'check';

const MAX_ANSWER_BYTES = 32 * 1024;

export function webhookHooks(terms: WebhookTerms): Hooks {
  const has = (event: WebhookEvent): boolean => terms.events.includes(event);
  return {
    ...(has('init') ? { init: (context) => call(terms, context, { event: 'init' }) } : {}),
    ...(has('check') ? { check: (context, input, state) => call(terms, context, { event: 'check', input, state }) } : {}),
  };
}

type What = { event: 'init' } | { event: 'check'; input: string; state: Json };

async function call(terms: WebhookTerms, context: HookContext, what: What): Promise<unknown> {
  const until = performance.now() + HOOK_LIMIT_MS;
  const secrets = await terms.secrets(context.realm.id);
  if (secrets.length === 0) throw new HookFault('There is no secret to sign with.');
  const body = JSON.stringify({ ...what, factor: terms.id, ...context });
  const first = await attempt(terms, { secrets, body, now: context.now, until });
  if (first.ok) return first.answer;
  if (!first.again && !(what.event === 'init' && first.broken)) throw first.fault;
  const second = await attempt(terms, { secrets, body, now: context.now, until });
  if (second.ok) return second.answer;
  throw second.fault;
}

interface Attempt {
  secrets: readonly string[];
  body: string;
  now: number;
  /** On the clock of `performance`. */
  until: number;
}

type Attempted =
  | { ok: true; answer: unknown }
  /** `again`: nothing was sent. `broken`: the service said that it failed. */
  | { ok: false; fault: HookFault; again: boolean; broken: boolean };

async function attempt({ url, send }: WebhookTerms, { secrets, body, now, until }: Attempt): Promise<Attempted> {
  const timeoutMs = Math.floor(until - performance.now());
  if (timeoutMs <= 0) return failed('There is no time left to ask.');
  const nonce = randomToken(16);
  const timestamp = String(Math.floor(now / 1000));
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json',
    [TIMESTAMP]: timestamp,
    [NONCE]: nonce,
    [SIGNATURE]: signRequest(secrets, { nonce, timestamp, body }),
  };
  try {
    const answer = await send(url, { method: 'POST', headers, body, timeoutMs, maxBytes: MAX_ANSWER_BYTES });
    if (answer.status !== 200) return failed(`The service answered ${answer.status}.`, { broken: answer.status >= 500 });
    const text = answer.body.toString('utf8');
    const parts = { nonce, timestamp: answer.headers[TIMESTAMP] ?? '', body: text };
    if (!isSignedAnswer(secrets, answer.headers[SIGNATURE] ?? '', parts, now)) return failed('The signature of the answer is not right.');
    return { ok: true, answer: JSON.parse(text) };
  } catch (cause) {
    const again = cause instanceof AppError && cause.code === 'outbound_unreachable';
    return failed(cause instanceof SyntaxError ? 'The answer is no JSON.' : 'The service did not answer.', { again, cause });
  }
}

const failed = (message: string, why: { again?: boolean; broken?: boolean; cause?: unknown } = {}): Attempted => ({
  ok: false,
  fault: new HookFault(message, why.cause),
  again: why.again ?? false,
  broken: why.broken ?? false,
});
