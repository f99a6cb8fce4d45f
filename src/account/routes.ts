/** The account console's addresses, on one screen. */
import type Koa from 'koa';
import { forbidden, notFound } from '../errors.ts';
import { sameOrigin } from '../http/csrf.ts';
import { securityHeaders } from '../http/headers.ts';
import { say } from '../languages/messages.ts';
import { consolePath } from '../realms/consoles.ts';
import type { RealmContext } from '../realms/registry.ts';
import { addressOf } from '../sessions/addresses.ts';
import { addMethod, arrive } from './add-method.ts';
import { askTakeBack, showApplications, takeBack } from './applications.ts';
import { endTrust, forgetDevice, showDevices } from './devices.ts';
import { askPassword, changePassword } from './password.ts';
import { preferMethod } from './preferred-method.ts';
import { askRemoval, removeMethod } from './remove-method.ts';
import { renameMethod } from './rename-method.ts';
import type { AccountDeps, AccountRequest } from './room.ts';
import { endAway, endOneSession, showSessions } from './sessions.ts';
import { showMethods } from './sign-in-methods.ts';
import { askSignOutElsewhere, askSignOutEverywhere, signOutElsewhere, signOutOfAll } from './sign-out-everywhere.ts';

export type { AccountDeps } from './room.ts';

type Handler = (request: AccountRequest, id: string) => Promise<void>;

const ID = '([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})';
const ROUTES: readonly [method: 'GET' | 'POST', path: RegExp, handler: Handler][] = [
  ['GET', /^\/?$/, showMethods],
  ['GET', /^\/callback$/, arrive],
  ['POST', /^\/sign-out$/, (request) => request.relying.signOut(request.ctx, request.realm, 'account')],
  ['POST', /^\/methods\/add$/, addMethod],
  ['POST', new RegExp(`^/methods/${ID}/rename$`), renameMethod],
  ['POST', new RegExp(`^/methods/${ID}/prefer$`), preferMethod],
  ['GET', /^\/password$/, askPassword],
  ['POST', /^\/password$/, changePassword],
  ['GET', new RegExp(`^/methods/${ID}/remove$`), askRemoval],
  ['POST', new RegExp(`^/methods/${ID}/remove$`), removeMethod],
  ['GET', /^\/devices$/, showDevices],
  ['POST', /^\/devices\/untrust$/, endTrust],
  ['POST', new RegExp(`^/devices/${ID}/untrust$`), endTrust],
  ['POST', new RegExp(`^/devices/${ID}/forget$`), forgetDevice],
  ['GET', /^\/sessions$/, showSessions],
  ['POST', new RegExp(`^/sessions/${ID}/end$`), endOneSession],
  ['GET', /^\/sign-out-elsewhere$/, askSignOutElsewhere],
  ['POST', /^\/sign-out-elsewhere$/, signOutElsewhere],
  ['GET', /^\/sign-out-everywhere$/, askSignOutEverywhere],
  ['POST', /^\/sign-out-everywhere$/, signOutOfAll],
  ['GET', /^\/applications$/, showApplications],
  ['POST', new RegExp(`^/applications/${ID}/end-away$`), endAway],
  ['GET', new RegExp(`^/applications/${ID}/take-back$`), askTakeBack],
  ['POST', new RegExp(`^/applications/${ID}/take-back$`), takeBack],
];

/**
 * Answers a request for the account console.
 * @param path what follows `/realms/NAME/account`
 */
export async function handleAccount(deps: AccountDeps, ctx: Koa.Context, realm: RealmContext, path: string): Promise<void> {
  ctx.set(securityHeaders({ origin: deps.origin }));
  ctx.set('Cache-Control', 'no-store');
  const method = ctx.method === 'HEAD' ? 'GET' : ctx.method;
  for (const [wanted, pattern, handler] of ROUTES) {
    const match = pattern.exec(path);
    if (!match || wanted !== method) continue;
    if (method === 'POST' && !sameOrigin(ctx.req.headers, deps.origin)) throw forbidden(say('error.foreignForm'), 'foreign_origin');
    const passwords = deps.passwords.from(addressOf(ctx.ip));
    return handler({ ...deps, passwords, ctx, realm, base: consolePath('account', realm.realm.name), at: deps.now() }, match[1] ?? '');
  }
  throw notFound(say('error.noPage'));
}
