/** How the path of a request may be written. */
import type Koa from 'koa';
import { notFound } from '../errors.ts';
import { say } from '../languages/messages.ts';

/**
 * One spelling a path: encoded characters, dot segments, doubled slashes and absolute-form targets would reach a realm by
 * another name than the one that cookies, throttles and proxies know (test/attacks, F01).
 */
export const plainPathsOnly: Koa.Middleware = async (ctx, next) => {
  // Names of roles stand in paths of the REST API, which reads them segment by segment (admin/rest/mount.ts).
  if (ctx.path.startsWith('/admin/realms/') && !/\\|\/\/|\/\.{1,2}(?:\/|$)|[^\x21-\x7e]/.test(ctx.path)) return next();
  if (!ctx.req.url?.startsWith('/') || /%|\\|\/\/|\/\.{1,2}(?:\/|$)|[^\x21-\x7e]/.test(ctx.path)) throw notFound(say('error.noPage'));
  await next();
};
