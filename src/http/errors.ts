/**
 * What is thrown becomes an answer: an AppError as it says, anything else as a 500 that says nothing, with a reference
 * that is in the log. Browsers get a page, programs JSON.
 */
import type Koa from 'koa';
import { AppError, notFound } from '../errors.ts';
import { inEnglish, say, sayOr, type Words } from '../languages/messages.ts';
import { currentRequestId, type Log } from '../telemetry/log.ts';
import { type Alarm, metBy } from './alarm.ts';
import { securityHeaders } from './headers.ts';
import type { Renderer } from './render.ts';

/** The realm under whose name an error is told, by request. */
const realms = new WeakMap<object, { name: string; displayName: string }>();

/** From here on this request is about a realm, and so is whatever goes wrong with it. */
export function underRealm(ctx: Koa.Context, { name, displayName }: { name: string; displayName: string }): void {
  realms.set(ctx, { name, displayName });
}

/** Requests to addresses that no person opens, such as the token endpoint. */
const programs = new WeakSet<object>();

/** From here on this request is a program's, unless it asks for a page by name. */
export const forPrograms = (ctx: Koa.Context): void => {
  programs.add(ctx);
};

/** Whether to answer with a page, as to every browser, or with JSON. */
export const wantsPage = (ctx: Koa.Context): boolean =>
  programs.has(ctx) ? ctx.accepts('json', 'html') === 'html' : ctx.accepts('html', 'json') !== 'json';

/** @param options.alarm is told of requests that met something stored which does not open */
export function answerErrors(options: { origin: string; renderer: Renderer; log: Log; alarm: Alarm }): Koa.Middleware {
  const { origin, renderer, log, alarm } = options;
  return async (ctx, next) => {
    try {
      await next();
      if (ctx.respond !== false && ctx.body === undefined) throwUnanswered(ctx.status);
    } catch (error) {
      const known = error instanceof AppError ? error : undefined;
      logError(log, error);
      const met = metBy(ctx, error);
      if (met) await alarm(met).catch((fault: unknown) => log.error({ err: fault }, 'an alarm could not be recorded'));
      // Nothing that was being prepared may go out with the error.
      ctx.set(securityHeaders({ origin, popups: true }));
      ctx.set('Cache-Control', 'no-store');
      if (known?.retryAfter !== undefined) ctx.set('Retry-After', String(known.retryAfter));
      await answer(ctx, renderer, toldOf(known));
    }
  };
}

function logError(log: Log, error: unknown): void {
  if (!(error instanceof AppError) || error.status >= 500) log.error({ err: error }, 'a request failed');
  else log.debug({ code: error.code, cause: error.cause instanceof Error ? error.cause.message : undefined }, 'a request was refused');
}

interface Told {
  status: number;
  code: string;
  message: Words;
  field: string | undefined;
  link: { href: string; label: Words } | undefined;
}

/** What may be said of an error. Of a fault, nothing but that there was one. */
function toldOf(error: AppError | undefined): Told {
  if (error && (error.status < 500 || error.code === 'busy'))
    return { status: error.status, code: error.code, message: error.said, field: error.field, link: error.link };
  return { status: error?.status ?? 500, code: error?.code ?? 'server_error', message: say('error.fault'), field: undefined, link: undefined };
}

async function answer(ctx: Koa.Context, renderer: Renderer, { status, code, message, field, link }: Told): Promise<void> {
  if (!wantsPage(ctx)) {
    ctx.status = status;
    ctx.body = { error: code, error_description: inEnglish(message), ...(field ? { field } : {}) };
    return;
  }
  const title = sayOr(`error.title.${code}`, sayOr(`error.title.${status}`, say('error.title.otherwise')));
  // What to do, where the message does not say it itself.
  const hint = code === 'expired' ? '' : sayOr(`error.hint.${code}`, sayOr(`error.hint.${status}`, ''));
  const model = { realm: realms.get(ctx) ?? null, title, message, hint, reference: currentRequestId() ?? null, link: link ?? null };
  await renderer.render(ctx, 'message', model, status);
}

/** What no route has answered, or none for this method (the router names those that there are in `Allow`). */
function throwUnanswered(status: number): void {
  if (status === 404) throw notFound(say('error.noPage'));
  if (status === 405) throw new AppError({ code: 'method_not_allowed', status, message: say('error.notForMethod') });
  // Not as a fault, and so not with its status of the family 5xx: the method is the caller's choice.
  if (status === 501) throw new AppError({ code: 'method_not_allowed', status: 405, message: say('error.unknownMethod') });
}
