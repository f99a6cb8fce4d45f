/** One message to somebody else's server, and how that ended. */
import { AppError } from '../errors.ts';

/** The guarded client, as far as it is needed here. */
export type Send = (
  url: string,
  init: { method: 'POST'; headers: Record<string, string>; body: string; timeoutMs: number; maxBytes: number },
) => Promise<{ status: number }>;

/** How an attempt ended. `gone`: it is of no use to try again. */
export interface Sent {
  ok: boolean;
  status: number | null;
  error: string | null;
  gone: boolean;
}

/** Whoever needs longer answers first and works then. Milliseconds. */
const TIMEOUT_MS = 10_000;
/** Nobody reads the answer. */
const MAX_ANSWER_BYTES = 64 * 1024;

/**
 * Sends a message. Never throws for what the other side does; what cannot be reached and what may not be reached look
 * alike, or an administrator of one realm could look around in our network.
 *
 * @param judge what a status means
 */
export async function post(
  send: Send,
  url: string,
  message: { headers: Record<string, string>; body: string },
  judge: (status: number) => { ok: boolean; gone: boolean },
): Promise<Sent> {
  try {
    const { status } = await send(url, { method: 'POST', ...message, timeoutMs: TIMEOUT_MS, maxBytes: MAX_ANSWER_BYTES });
    const { ok, gone } = judge(status);
    return { ok, status, error: ok ? null : `answered ${status}`, gone };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return unsent(error);
  }
}

/** How an attempt ended that the guarded client refused, or that got no answer; anything else is a fault of ours, and for the log. */
export function unsent(error: unknown): Sent & { error: string } {
  const code = error instanceof AppError ? error.code : '';
  return { ok: false, status: null, error: REASONS[code] ?? 'failed', gone: code === 'outbound_refused' };
}

const REASONS: Readonly<Record<string, string>> = {
  outbound_refused: 'the address may not be called',
  outbound_unreachable: 'cannot be reached',
  outbound_failed: 'no answer that can be used',
};
