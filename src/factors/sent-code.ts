/**
 * What factors that send a code of ours have in common: making it, sending it, and keeping what its page shows.
 *
 * A code is sent before it becomes the live one: where it is not sent, because a limit says no, the one from before stays
 * good. It is bound to the transaction, so that it is worth nothing in another sign-in of the same user.
 */
import { randomInt } from 'node:crypto';
import type { Begun, Delivery, FactorContext, Refusal } from './factor.ts';
import { codeOf } from './typed.ts';

/** A code that is on its way. */
export interface SentCode {
  digits: number;
  /** Milliseconds since the epoch: until when it is good, and from when another may be asked for. */
  until: number;
  nextAt: number;
}

export interface Sending {
  factor: string;
  channel: Delivery['channel'];
  to: string;
  purpose: Delivery['purpose'];
  digits: number;
  /** Seconds. */
  lifetime: number;
  /** What the code is to show besides, such as the address it was sent to: as the code for anything else it is wrong. */
  shows?: string;
}

/** Makes a code and sends it. */
export async function sendCode(cx: FactorContext, { digits, lifetime, shows, ...sending }: Sending): Promise<Begun<SentCode>> {
  const code = randomDigits(digits);
  const validMs = lifetime * 1_000;
  const delivered = await cx.deliver({ ...sending, code, validMs });
  if (!delivered.ok) return delivered;
  await cx.codes.issue(liveOf(sending), boundTo(shows, code), validMs);
  return { ok: true, state: { digits, until: cx.now + validMs, nextAt: cx.now + (delivered.nextAfterMs ?? 0) } };
}

/** Tries what was typed against the live code, and spends it when it is right. */
export async function checkCode(
  cx: FactorContext,
  sent: SentCode,
  of: Pick<Sending, 'factor' | 'purpose' | 'shows'>,
  typed: unknown,
): Promise<'ok' | Extract<Refusal, 'wrong' | 'expired' | 'malformed' | 'replayed'>> {
  const code = codeOf(typed, [sent.digits]);
  return code === undefined ? 'malformed' : cx.codes.check(liveOf(of), boundTo(of.shows, code));
}

/** What a page says of it, in seconds. */
export const shownOf = (cx: FactorContext, { digits, until, nextAt }: SentCode) => ({
  digits,
  valid: secondsUntil(until, cx.now),
  wait: secondsUntil(nextAt, cx.now),
});

const secondsUntil = (at: number, now: number): number => Math.max(0, Math.ceil((at - now) / 1_000));

/** The purpose of the live code: that of a sign-in and that of an enrolment do not take each other's place. */
const liveOf = ({ factor, purpose }: Pick<Sending, 'factor' | 'purpose'>): string => `${factor} ${purpose}`;

/** As the code is kept, under an HMAC. */
const boundTo = (shows: string | undefined, code: string): string => (shows === undefined ? code : `${code} ${shows}`);

/** Every number of that many digits as likely as any other, the ones that begin with zeros too. */
export const randomDigits = (count: number): string => String(randomInt(10 ** count)).padStart(count, '0');
