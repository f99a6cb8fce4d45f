/** The admin console's addresses, on one screen. */
import type Koa from 'koa';
import { forbidden, notFound } from '../../errors.ts';
import { sameOrigin } from '../../http/csrf.ts';
import { securityHeaders } from '../../http/headers.ts';
import { setLanguage } from '../../http/language.ts';
import { redirectTo } from '../../http/redirect.ts';
import type { ConsoleSession } from '../../http/relying.ts';
import { ENGLISH } from '../../languages/languages.ts';
import { say } from '../../languages/messages.ts';
import { consolePath } from '../../realms/consoles.ts';
import type { RealmContext } from '../../realms/registry.ts';
import { hasRealmRole } from '../../store/effective-roles.ts';
import { showOverview } from './overview.ts';
import { type AdminConsoleDeps, type AdminRequest, shownRealm, shownUser, standingWarning } from './room.ts';

export type { AdminConsoleDeps } from './room.ts';

type Handler = (request: AdminRequest) => Promise<void>;

const ROUTES: readonly [method: 'GET' | 'POST', path: RegExp, handler: Handler][] = [
  ['GET', /^\/?$/, (request) => asAdministrator(request, showOverview)],
  ['GET', /^\/callback$/, arrive],
  ['POST', /^\/sign-out$/, ({ relying, ctx, master }) => relying.signOut(ctx, master, 'admin')],
];

/** `/admin` leads to the console of realm master. */
export function redirectToConsole(ctx: Koa.Context): void {
  ctx.redirect(`${consolePath('admin', 'master')}/`);
}

/**
 * Answers a request for the admin console.
 * @param path what follows `/admin/master/console`
 */
export async function handleAdminConsole(deps: AdminConsoleDeps, ctx: Koa.Context, master: RealmContext, path: string): Promise<void> {
  setLanguage(ctx, ENGLISH);
  ctx.set(securityHeaders({ origin: deps.origin }));
  ctx.set('Cache-Control', 'no-store');
  const method = ctx.method === 'HEAD' ? 'GET' : ctx.method;
  for (const [wanted, pattern, handler] of ROUTES) {
    if (wanted !== method || !pattern.test(path)) continue;
    if (method === 'POST' && !sameOrigin(ctx.req.headers, deps.origin)) throw forbidden(say('error.foreignForm'), 'foreign_origin');
    return handler({ ...deps, ctx, master, base: consolePath('admin', master.realm.name) });
  }
  throw notFound(say('error.noPage'));
}

/** Runs a page for an administrator; everybody else is told why not. The role is looked up on every request. */
async function asAdministrator(request: AdminRequest, page: (request: AdminRequest, session: ConsoleSession) => Promise<void>): Promise<void> {
  const { ctx, master, relying, db, base, render } = request;
  const signedIn = await relying.requireSession(ctx, master, 'admin', { level: 'aal2' });
  if (!signedIn) return;
  const { user } = signedIn;
  if (await hasRealmRole(db.knex, master.realm.id, user.id, 'admin')) return page(request, signedIn);
  await render(ctx, 'admin/not-allowed', { realm: shownRealm(request), base, user: shownUser(signedIn), warning: standingWarning(request) }, 403);
}

async function arrive({ relying, ctx, master }: AdminRequest): Promise<void> {
  const arrival = await relying.callback(ctx, master, 'admin');
  if (!arrival) return;
  redirectTo(ctx, arrival.returnTo);
}
