/**
 * The one error class that crosses rooms, and its constructors.
 *
 * An AppError carries a stable `code` for machines, a `message` that is safe to show to whoever caused it,
 * and a `cause` that is for the log only. What users may meet is a text of locales/ (`say`), which a page shows in its own
 * language; programs, logs and the command line get it in English. What only operators meet is written where it is thrown.
 *
 * Anything else that is thrown is a fault: it is logged and answered with a plain 500 that says nothing.
 */
import { inEnglish, type Words } from './languages/messages.ts';

export class AppError extends Error {
  /** The message, for pages. */
  readonly said: Words;
  readonly code: string;
  readonly status: number;
  /** The input field that is wrong, when one is. */
  readonly field: string | undefined;
  /** Seconds after which trying again makes sense; sent as Retry-After. */
  readonly retryAfter: number | undefined;
  /** Where a person can go on from here. */
  readonly link: { href: string; label: Words } | undefined;

  constructor(options: {
    code: string;
    status: number;
    message: Words;
    field?: string;
    retryAfter?: number;
    link?: { href: string; label: Words };
    cause?: unknown;
  }) {
    super(inEnglish(options.message), options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.said = options.message;
    this.code = options.code;
    this.status = options.status;
    this.field = options.field;
    this.retryAfter = options.retryAfter;
    this.link = options.link;
  }
}

/** 400: one named field of the input is wrong. The message says what to change. */
export const badInput = (field: string, message: Words): AppError => new AppError({ code: 'bad_input', status: 400, message, field });

/** 403: the caller is known, or need not be, and may not do this. */
export const forbidden = (message: Words, code = 'forbidden'): AppError => new AppError({ code, status: 403, message });

/** 404: no such thing here, or none that the caller may know of. */
export const notFound = (message: Words, code = 'not_found'): AppError => new AppError({ code, status: 404, message });

/** 409: what is asked contradicts what is stored. */
export const conflict = (message: Words, field?: string): AppError => new AppError({ code: 'conflict', status: 409, message, field });

/** 410: it was valid once; the message says how to start again. */
export const gone = (message: Words, code = 'expired'): AppError => new AppError({ code, status: 410, message });

/** 429: too many attempts. `retryAfter` in seconds. */
export const tooMany = (message: Words, retryAfter: number): AppError =>
  new AppError({ code: 'too_many_attempts', status: 429, message, retryAfter });

/** 501: Keycloak has it, and we leave it out on purpose. The message says what there is instead. */
export const notOffered = (message: Words, field?: string): AppError => new AppError({ code: 'not_implemented', status: 501, message, field });

/** 503: a bounded resource is full; trying again shortly will work. */
export const busy = (message: Words, retryAfter = 1): AppError => new AppError({ code: 'busy', status: 503, message, retryAfter });

/** Not over HTTP: the process cannot start or a command cannot run with what it was given. The message says what to change. */
export const cannotStart = (message: string, cause?: unknown): AppError => new AppError({ code: 'cannot_start', status: 503, message, cause });

/** 500: a stored secret does not open or a stored value is not what it must be. Never treated as "absent". */
export const corrupted = (message: string, cause?: unknown): AppError => new AppError({ code: 'corrupted', status: 500, message, cause });

/** Whether it is one of those. Whoever catches it raises an alarm. */
export const isCorrupted = (error: unknown): boolean => error instanceof AppError && error.code === 'corrupted';
