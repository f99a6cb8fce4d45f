/** The gate's addresses, on one screen. */
import type Koa from 'koa';
import { notFound } from '../errors.ts';
import { securityHeaders } from '../http/headers.ts';
import { say } from '../languages/messages.ts';
import type { RealmContext } from '../realms/registry.ts';
import { answerProxy } from './auth.ts';
import type { GateDeps, GateRequest } from './room.ts';
import { callback, signOut, start } from './sign-in.ts';
import { showStopped } from './stopped.ts';

export type { GateDeps } from './room.ts';

const ROUTES: readonly [path: string, methods: readonly string[], handler: (request: GateRequest) => Promise<void>][] = [
  ['/auth', ['GET'], answerProxy],
  ['/start', ['GET'], start],
  ['/callback', ['GET'], callback],
  ['/sign-out', ['GET', 'POST'], signOut],
  ['/stopped', ['GET'], showStopped],
];

/**
 * Answers a request for the gate.
 * @param path what follows `/realms/NAME/gate`
 */
export async function handleGate(deps: GateDeps, ctx: Koa.Context, realm: RealmContext, path: string): Promise<void> {
  ctx.set('Cache-Control', 'no-store');
  if (path !== '/auth') ctx.set(securityHeaders({ origin: deps.origin }));
  const method = ctx.method === 'HEAD' ? 'GET' : ctx.method;
  const found = ROUTES.find(([wanted, methods]) => wanted === path && methods.includes(method));
  if (!found) throw notFound(say('error.noPage'));
  const [, , handler] = found;
  return handler({ ...deps, ctx, realm, at: deps.now() });
}
