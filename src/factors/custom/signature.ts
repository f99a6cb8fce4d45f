/**
 * Signatures between the server and a webhook: HMAC-SHA-256 (RFC 2104) in both directions, over what each message was made
 * for. An answer is bound to the nonce of the one request that it answers, and a request can never be sent back as an
 * answer, because the first line of what is signed says which it is.
 */
import { createHmac } from 'node:crypto';
import { safeEqual } from '../../crypto/codes.ts';

export const TIMESTAMP = 'cardea-timestamp';
export const NONCE = 'cardea-nonce';
export const SIGNATURE = 'cardea-signature';

export interface SignedParts {
  /** Of the request, in both directions. */
  nonce: string;
  /** Of the message itself: seconds since the epoch, in decimal. */
  timestamp: string;
  body: string;
}

/** Clocks of the two sides may differ by this much; what keeps an answer from being used again is the nonce. */
const CLOCKS_DIFFER_SECONDS = 5 * 60;

/** One signature for each secret that is accepted now, so that the other side can change to a new one when it likes. */
export const signRequest = (secrets: readonly string[], parts: SignedParts): string =>
  secrets.map((secret) => `v1=${mac(secret, 'cardea-request-v1', parts)}`).join(',');

export const signAnswer = (secret: string, parts: SignedParts): string => `v1=${mac(secret, 'cardea-answer-v1', parts)}`;

/**
 * Whether an answer was made by somebody who knows one of the secrets, for this request, about now.
 * @param now milliseconds since the epoch
 */
export function isSignedAnswer(secrets: readonly string[], signature: string, parts: SignedParts, now: number): boolean {
  if (!/^\d{1,12}$/.test(parts.timestamp)) return false;
  if (Math.abs(Number(parts.timestamp) - now / 1000) > CLOCKS_DIFFER_SECONDS) return false;
  // Every secret is compared, whichever it is.
  return secrets.map((secret) => safeEqual(signature, signAnswer(secret, parts))).includes(true);
}

const mac = (secret: string, what: string, { nonce, timestamp, body }: SignedParts): string =>
  createHmac('sha256', secret).update([what, timestamp, nonce, body].join('\n'), 'utf8').digest('hex');
