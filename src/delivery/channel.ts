/**
 * Delivery: what leaves Cardea for a person. A room hands a message to the outbox (outbox.ts) within the transaction of
 * what it tells about; a channel takes it from there to the person. In development nothing leaves the machine: inbox.ts
 * shows what would have.
 *
 *     notices.ts ─ message ─► outbox.ts ─ sealed row ─► a channel
 *                                             └──────► inbox.ts (development)
 */

export interface Address {
  kind: 'mail' | 'sms';
  /** An email address, or a telephone number in E.164. */
  value: string;
}

export interface Message {
  /** Of a mail; text messages have none. */
  subject: string | null;
  text: string;
}

/** A way to a person. */
export interface Channel {
  readonly id: string;
  /** Resolves when the message was taken over; rejects on a fault, after which it is tried again. */
  deliver(to: Address, message: Message): Promise<void>;
}

/**
 * One line of text that somebody else chose: without line breaks, which would begin another header of a mail or another
 * line of its text, and without characters that turn the writing around.
 */
export function oneLine(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu, ' ')
    .replaceAll(/ {2,}/g, ' ')
    .trim();
}
