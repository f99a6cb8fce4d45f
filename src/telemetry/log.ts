/**
 * The log: one JSON line an event on standard output (a readable line in development), with the id of the request that
 * it belongs to, and without secrets (redact.ts). Nothing that a visitor sends can begin a line of its own or colour a
 * terminal: control and direction characters are written as escapes.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomFillSync } from 'node:crypto';
import type { Middleware } from 'koa';
import { type Logger, pino } from 'pino';
import { pathShown, redact, scrub } from './redact.ts';

export type Log = Logger;

export interface LogOptions {
  level: string;
  /** JSON lines; otherwise lines for a person at a terminal. */
  production: boolean;
  /** Where complete lines go; standard output by default. */
  write?: (line: string) => void;
}

/** Randomness is fetched for many ids at once: each time costs more than all else of an id. */
const ID_BYTES = 9;
const randomness = Buffer.alloc(256 * ID_BYTES);
let used = randomness.length;

function newRequestId(): string {
  if (used === randomness.length) {
    randomFillSync(randomness);
    used = 0;
  }
  used += ID_BYTES;
  return randomness.toString('base64url', used - ID_BYTES, used);
}

const requestIds = new AsyncLocalStorage<string>();

/** The id of the request that is being answered, if one is. */
export const currentRequestId = (): string | undefined => requestIds.getStore();

/** A logger as pino has them: `log.info({ realm: name }, 'realm created')`. */
export function createLog({ level, production, write = (line) => process.stdout.write(line) }: LogOptions): Log {
  const log = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: (object) => asObject(redact(object)),
      },
      // Done by redact; pino's own would look into the error again.
      serializers: { err: (error: unknown) => error },
      mixin: () => {
        const requestId = requestIds.getStore();
        return requestId === undefined ? {} : { requestId };
      },
      hooks: {
        // Messages and what is interpolated into them do not pass the formatters; nor does the message of a bare error.
        logMethod(args, method) {
          const [first, ...rest]: unknown[] = args;
          const clean = rest.map((argument) => redact(argument));
          if (first instanceof Error) Reflect.apply(method, this, [{ err: first }, ...(clean.length === 0 ? [scrub(first.message)] : clean)]);
          else Reflect.apply(method, this, [typeof first === 'string' ? scrub(first) : first, ...clean]);
        },
      },
    },
    { write: (line: string) => write(`${escaped(production ? line.trimEnd() : readable(line))}\n`) },
  );
  // Nor do the bindings of a child, which are written once, when it is made. Children inherit this method.
  const { child } = log;
  log.child = function (this: Log, bindings, options) {
    return child.call(this, asObject(redact(bindings)), options);
  } as typeof child;
  return log;
}

/**
 * Gives each request an id, answers it as X-Request-Id, and writes one line when the answer is out. An id that a proxy
 * chose is kept when it is a plain word, so that its log and ours can be read side by side.
 */
export function requestLog(log: Log): Middleware {
  return async (ctx, next) => {
    const proposed = ctx.get('x-request-id');
    const requestId = /^[A-Za-z0-9_.-]{8,64}$/.test(proposed) ? proposed : newRequestId();
    const begun = performance.now();
    ctx.set('X-Request-Id', requestId);
    ctx.res.once('close', () => {
      const line = {
        method: ctx.method,
        path: pathShown(ctx.originalUrl),
        status: ctx.res.statusCode,
        ms: Math.round(performance.now() - begun),
        ip: ctx.ip,
      };
      requestIds.run(requestId, () => log.info(ctx.res.writableFinished ? line : { ...line, aborted: true }, 'request'));
    });
    await requestIds.run(requestId, next);
  };
}

const asObject = (value: unknown): Record<string, unknown> => (typeof value === 'object' && value !== null ? { ...value } : { value });

/** Control, format (direction, zero width) and line-separating characters, which JSON leaves as they are from U+007F on. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
/** What is plain ASCII, as nearly every line is, has none of them; to find that out costs a tenth of looking for each. */
const BEYOND_ASCII = /[^\x20-\x7e]/;
const escaped = (line: string): string => (BEYOND_ASCII.test(line) ? escapedIn(line) : line);
const escapedIn = (line: string): string =>
  line.replaceAll(UNPRINTABLE, (character) =>
    Array.from({ length: character.length }, (_, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`).join(''),
  );

/** `12:00:00 INFO  message  key=value`, for a person; the stack of an error follows, its lines marked by ` | `. */
function readable(json: string): string {
  const { time, level, msg, err, ...rest } = asObject(JSON.parse(json));
  const values = Object.entries(rest).map(
    ([name, value]) => `${name}=${typeof value === 'string' && /^[\w./:-]+$/.test(value) ? value : JSON.stringify(value)}`,
  );
  const { stack } = asObject(err);
  const trace = typeof stack === 'string' ? stack.split('\n').map((line) => line.trim()) : [];
  return [
    `${String(time).slice(11, 19)} ${String(level).toUpperCase().padEnd(5)} ${String(msg ?? '')}`,
    ...values,
    ...trace.flatMap((line) => ['|', line]),
  ].join(' ');
}
