/** The addresses of a recovery, on one screen, and its dispatcher. */
import type Koa from 'koa';
import { AppError, conflict, forbidden, notFound } from '../../errors.ts';
import { sameOrigin } from '../../http/csrf.ts';
import { securityHeaders } from '../../http/headers.ts';
import { readForm } from '../../http/input.ts';
import { askLanguage, setLanguage } from '../../http/language.ts';
import { newPasswordFields } from '../../http/new-password.ts';
import { redirectTo } from '../../http/redirect.ts';
import { isLanguage } from '../../languages/languages.ts';
import { say } from '../../languages/messages.ts';
import type { RealmContext } from '../../realms/registry.ts';
import { addressOf as clientAddress } from '../../sessions/addresses.ts';
import { VOID } from '../../store/recoveries.ts';
import { loginForm } from '../form.ts';
import { explain } from './answers.ts';
import { postAsk, showAsk, showSent } from './ask.ts';
import { followLink, showLink } from './link.ts';
import { isUnderway } from './machine.ts';
import { showLost, showPage } from './pages.ts';
import type { Recovery } from './recoveries.ts';
import { basePath, cookieOf, isOffered, type RecoveryDeps, type RecoveryRequest, setCookie } from './room.ts';
import { beginStep, mustBegin, problemOf, type Stepped, stepOf } from './steps.ts';

type Handler = (request: RecoveryRequest) => Promise<void>;

const ROUTES: readonly [method: 'GET' | 'POST', path: string, handler: Handler][] = [
  ['GET', '/reset-credentials', showAsk],
  ['POST', '/reset-credentials', postAsk],
  ['GET', '/reset-credentials/sent', showSent],
  ['GET', '/action-token', showLink],
  ['POST', '/action-token', followLink],
  ['GET', '/reset-credentials/continue', getContinue],
  ['POST', '/reset-credentials/continue', postContinue],
];

/**
 * Answers a request for a forgotten password.
 * @param path what follows `/realms/NAME/login-actions`
 */
export async function handleRecovery(deps: RecoveryDeps, ctx: Koa.Context, realm: RealmContext, path: string): Promise<void> {
  ctx.set(securityHeaders({ origin: deps.origin, popups: true }));
  ctx.set('Cache-Control', 'no-store');
  askLanguage(ctx, ctx.query);
  const method = ctx.method === 'HEAD' ? 'GET' : ctx.method;
  const found = ROUTES.find(([wanted, pattern]) => wanted === method && pattern === path);
  // A link that an administrator has sent is good where nobody can ask for one (`linked`, `current`).
  if (!found || (isAsking(path) && !isOffered(deps, realm))) throw notFound(say('error.noPage'));
  if (method === 'POST' && !sameOrigin(ctx.req.headers, deps.origin)) throw forbidden(say('error.foreignForm'), 'foreign_origin');
  const passwords = deps.passwords.from(clientAddress(ctx.ip));
  const [, , handler] = found;
  await handler({ ...deps, passwords, ctx, realm, base: basePath(realm.realm.name), at: deps.now() });
}

const isAsking = (path: string): boolean => path === '/reset-credentials' || path === '/reset-credentials/sent';

/** The recovery of this browser, once its link was used; a page has said so where there is none. */
async function current(request: RecoveryRequest): Promise<Recovery | undefined> {
  const { recoveries, realm, at, ctx } = request;
  const recovery = await recoveries.load(realm.realm.id, cookieOf(request), at);
  if (!recovery?.state.asked && !isOffered(request, realm)) throw notFound(say('error.noPage'));
  if (!recovery || recovery.row.at === VOID || recovery.state.at === 'asked' || recovery.state.at === 'sent') {
    await explain(request, recovery ? 'link' : 'browser');
    return undefined;
  }
  if (isLanguage(recovery.state.language)) setLanguage(ctx, recovery.state.language);
  return recovery;
}

async function getContinue(request: RecoveryRequest): Promise<void> {
  const recovery = await current(request);
  if (!recovery) return;
  const { at } = recovery.state;
  if (request.ctx.query.lost !== undefined && (at === 'choose' || at === 'challenge')) return showLost(request, recovery);
  if (mustBegin(request, recovery)) return arrive(request, recovery, await beginStep(request, recovery));
  await showPage(request, recovery);
}

/** What the forms of these pages send. */
const form = loginForm.extend(newPasswordFields);

async function postContinue(request: RecoveryRequest): Promise<void> {
  const recovery = await current(request);
  if (!recovery) return;
  try {
    const typed = await readForm(request.ctx, form);
    if (!isUnderway(recovery.state)) return redirectTo(request.ctx, selfOf(request));
    // A page of before: the back button, or a second tab.
    if (typed.version !== undefined && typed.version !== String(recovery.row.version)) throw conflict(say('login.stepDone'));
    if (typed.do === 'resync' && typed.code === undefined) return await showPage(request, recovery, { resyncing: true });
    const stepped = await stepOf(request, recovery, typed);
    return stepped ? await arrive(request, recovery, stepped) : redirectTo(request.ctx, selfOf(request));
  } catch (error) {
    const shown = problemOf(error);
    if (error instanceof AppError && error.retryAfter !== undefined) request.ctx.set('Retry-After', String(error.retryAfter));
    await showPage(request, recovery, shown);
  }
}

/** After a step: the page that is due now, or the same one with what is to be said on it. */
async function arrive(request: RecoveryRequest, recovery: Recovery, stepped: Stepped): Promise<void> {
  if (!('moved' in stepped)) return showPage(request, recovery, stepped.shown);
  const { moved, shown } = stepped;
  if (moved?.cookie !== undefined) setCookie(request, moved.cookie, recovery.row.expiresAt);
  if (moved && shown) return showPage(request, moved.recovery, shown);
  redirectTo(request.ctx, selfOf(request));
}

const selfOf = ({ base }: RecoveryRequest): string => `${base}/reset-credentials/continue`;
