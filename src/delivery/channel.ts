/**
 * Delivery: what leaves Cardea for a person, and by which way.
 *
 *     codes.ts ── a code, at once, within the request ──────────────────────┐
 *                                                                           ├─► channels.ts ─► smtp.ts    (nodemailer)
 *     notices.ts ─► outbox.ts ─ sealed row, in the transaction of ─► postman.ts               twilio.ts  (its SDK)
 *                               what it tells about                                           inbox.ts   (development)
 *
 * A code is sent by whoever asks for it, who waits a bounded time and may fall back to another factor. A notice is a row of
 * the outbox, written in the transaction of what it tells about, and sent by whichever process gets to it first. Both are
 * put into words and markup by letter.ts, and both are recorded in the outbox, from which their text goes once they are sent.
 */

export interface Address {
  kind: 'mail' | 'sms';
  /** An email address, or a telephone number in E.164. */
  value: string;
}

export interface Message {
  /** The id of its row: the same message, however often it is tried. */
  id: string;
  /** The name that a mail comes from: the realm's. */
  from: string;
  /** Of a mail; empty for a text message. */
  subject: string;
  text: string;
  /** Of a mail, beside the text. */
  html: string | null;
  /** How long it is worth anything, in milliseconds; a provider that holds it for longer throws it away. */
  validMs: number | null;
}

/** A way to a person. */
export interface Channel {
  /** `smtp`, `twilio` or `inbox`. */
  readonly id: string;
  /** Whether what it takes stays in the outbox to be read there: the development inbox. */
  readonly keeps: boolean;
  /**
   * Resolves when the message was taken over by whoever brings it further.
   * @param signal ends the waiting
   * @throws DeliveryError
   */
  deliver(to: Address, message: Message, signal: AbortSignal): Promise<void>;
  /** Lets go of connections. */
  close(): void;
}

/** A message was not taken over. Its message is a short code for logs, such as `EAUTH` or `550 5.1.1`, without any address. */
export class DeliveryError extends Error {
  /** Trying again would change nothing: there is no such address. */
  readonly permanent: boolean;

  constructor(code: string, options: { permanent: boolean; cause?: unknown }) {
    super(code, { cause: options.cause });
    this.name = 'DeliveryError';
    this.permanent = options.permanent;
  }
}

/** What a failed delivery is recorded as. */
export const reasonOf = (error: unknown): string => (error instanceof DeliveryError ? error.message : 'fault');

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

/** RFC 5321 section 4.5.3.1.3 allows 254 characters between the brackets. */
const MAX_MAIL_ADDRESS = 254;

/** Whether a mail can be addressed so: one address, without a name, a list, a quoted part or a line break. */
export const isMailAddress = (text: string): boolean =>
  text.length <= MAX_MAIL_ADDRESS && oneLine(text) === text && /^[^\s@,;:<>()[\]\\"]{1,64}@[^\s@,;:<>()[\]\\"]+$/.test(text);
