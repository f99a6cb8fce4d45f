/**
 * What is thrown becomes an answer: an AppError as it says, anything else as a 500 that says nothing, with a reference
 * that is in the log. Browsers get a page, programs JSON.
 */
import type Koa from 'koa';
import { AppError, notFound } from '../errors.ts';
import { currentRequestId, type Log } from '../telemetry/log.ts';
import { securityHeaders } from './headers.ts';
import type { Renderer } from './render.ts';

const TITLES: Record<number, string> = {
  400: 'That request is not right',
  403: 'This is not allowed',
  404: 'There is nothing here',
  405: 'This cannot be done here',
  409: 'That does not fit what is here',
  410: 'This sign-in is over',
  413: 'That is too much',
  415: 'That form cannot be read',
  429: 'Too many attempts',
  500: 'Something went wrong here',
  503: 'Too busy at this moment',
};

/** What to do, where the message does not say it itself. */
const HINTS: Record<number, string> = {
  403: 'Go back to the application and start again.',
  404: 'Check the address. If you followed a link, tell the people who made it.',
  405: 'Go back to the page that you came from.',
  413: 'Go back and send less.',
  500: 'Try again in a moment. If it happens again, tell your administrator the reference below.',
  503: 'Try again in a moment.',
};

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

export function answerErrors(options: { origin: string; renderer: Renderer; log: Log }): Koa.Middleware {
  const { origin, renderer, log } = options;
  return async (ctx, next) => {
    try {
      await next();
      if (ctx.respond !== false && ctx.body === undefined) throwUnanswered(ctx.status);
    } catch (error) {
      const known = error instanceof AppError ? error : undefined;
      if (!known || known.status >= 500) log.error({ err: error }, 'a request failed');
      else log.debug({ code: known.code, cause: known.cause instanceof Error ? known.cause.message : undefined }, 'a request was refused');
      // Nothing that was being prepared may go out with the error.
      ctx.set(securityHeaders({ origin, popups: true }));
      ctx.set('Cache-Control', 'no-store');
      if (known?.retryAfter !== undefined) ctx.set('Retry-After', String(known.retryAfter));
      await answer(ctx, renderer, toldOf(known));
    }
  };
}

interface Told {
  status: number;
  code: string;
  message: string;
  field: string | undefined;
}

/** What may be said of an error. Of a fault, nothing but that there was one. */
function toldOf(error: AppError | undefined): Told {
  if (error && (error.status < 500 || error.code === 'busy')) return error;
  return { status: error?.status ?? 500, code: error?.code ?? 'server_error', message: 'The server met a fault. It was recorded.', field: undefined };
}

async function answer(ctx: Koa.Context, renderer: Renderer, { status, code, message, field }: Told): Promise<void> {
  if (!wantsPage(ctx)) {
    ctx.status = status;
    ctx.body = { error: code, error_description: message, ...(field ? { field } : {}) };
    return;
  }
  const title = TITLES[status] ?? 'This request cannot be answered';
  const model = { realm: realms.get(ctx) ?? null, title, message, hint: HINTS[status] ?? '', reference: currentRequestId() ?? null, link: null };
  await renderer.render(ctx, 'message', model, status);
}

/** What no route has answered, or none for this method (the router names those that there are in `Allow`). */
function throwUnanswered(status: number): void {
  if (status === 404) throw notFound('There is no such page.');
  if (status === 405) throw new AppError({ code: 'method_not_allowed', status, message: 'This address does not take requests of this kind.' });
  // Not as a fault, and so not with its status of the family 5xx: the method is the caller's choice.
  if (status === 501) throw new AppError({ code: 'method_not_allowed', status: 405, message: 'Requests of this kind are not known here.' });
}
