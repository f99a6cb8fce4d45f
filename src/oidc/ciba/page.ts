/**
 * The pages of a request of CIBA around its sign-in: the one behind the link, which says nothing of anybody and does nothing
 * by itself (mail programs open links too), and the last one. In between the sign-in's own pages ask (login/consent.ts).
 */
import type { ErrorOut, KoaContextWithOIDC } from 'oidc-provider';
import { askedLanguage } from '../../http/language.ts';
import { redirectTo } from '../../http/redirect.ts';
import { say } from '../../languages/messages.ts';
import { ASKED_ELSEWHERE } from '../names.ts';
import { clientModel, type Pages } from '../pages.ts';
import { isCibaCode, isCibaHandle, RequestOver } from '../storage/ciba-requests.ts';
import { requestCache } from '../storage/request-cache.ts';

/** Names of the library's errors about a code that is none, or not any more; it exports no classes of them. */
const OVER: ReadonlySet<string> = new Set(['NotFoundError', 'ExpiredError', 'AlreadyUsedError']);

/** Whether what is shown at the pages for devices is about such a request. */
export const isAboutCiba = ({ oidc, query }: KoaContextWithOIDC): boolean =>
  isCibaCode(oidc.deviceCode?.jti) ||
  isCibaCode(oidc.entities.Interaction?.deviceCode) ||
  isCibaHandle(oidc.params?.user_code) ||
  query[ASKED_ELSEWHERE] !== undefined;

/** Whether a request is answered here whose user has not yet said yes: the last prompt of its sign-in. */
export const awaitsAnswer = ({ oidc }: KoaContextWithOIDC): boolean => isCibaCode(oidc.deviceCode?.jti) && oidc.result?.consent === undefined;

/** The page behind the link, and where an answer ends that was no yes. */
export async function answerCiba(pages: Pages, ctx: KoaContextWithOIDC, out?: ErrorOut, error?: Error): Promise<void> {
  if (error instanceof RequestOver || OVER.has(error?.name ?? '')) return showEnd(pages, ctx, 'over');
  // Somebody else has signed in than who was asked.
  if (out?.error === 'login_required') return showEnd(pages, ctx, 'left');
  if (error?.name === 'AbortedError') return showEnd(pages, ctx, requestCache().ciba?.answered === 'denied' ? 'refused' : 'left');
  // A form without its session, or of an older page, is got anew.
  if (error && ctx.oidc.route === 'code_verification' && !ctx.oidc.deviceCode && 'error' in error && error.error === 'invalid_request')
    return toLink(ctx);
  if (out && error) return pages.renderError(ctx, out, error);
  const handle = ctx.query[ASKED_ELSEWHERE];
  if (!isCibaHandle(handle)) return showEnd(pages, ctx, 'over');
  await pages.show(ctx, 'login/ciba-begin', { action: actionOf(ctx), xsrf: String(ctx.oidc.session?.state?.secret), handle });
}

/** To the page behind the link, from a form that was not of it. */
export function toLink(ctx: KoaContextWithOIDC): void {
  const { user_code: handle } = ctx.oidc.params ?? {};
  const action = actionOf(ctx);
  redirectTo(ctx, `${action}${action.includes('?') ? '&' : '?'}${ASKED_ELSEWHERE}=${isCibaHandle(handle) ? handle : ''}`);
}

const ENDS = {
  done: (application: string) => ({
    title: say('approval.request.done.title'),
    message: say('approval.request.done.message', { application }),
    hint: say('approval.request.done.hint'),
  }),
  refused: () => ({
    title: say('approval.request.refused.title'),
    message: say('approval.request.refused.message'),
    hint: say('approval.request.refused.hint'),
  }),
  left: () => ({ title: say('approval.request.left.title'), message: say('approval.request.left.message'), hint: say('approval.request.left.hint') }),
  over: () => ({ title: say('approval.request.over.title'), message: say('approval.request.over.message'), hint: say('approval.request.over.hint') }),
};

/** The last page. */
export async function showEnd(pages: Pages, ctx: KoaContextWithOIDC, end: keyof typeof ENDS): Promise<void> {
  ctx.status = end === 'over' ? 410 : 200;
  await pages.show(ctx, 'message', { ...ENDS[end](clientModel(ctx)?.name ?? ''), reference: null, link: null });
}

function actionOf(ctx: KoaContextWithOIDC): string {
  const language = askedLanguage(ctx.query);
  const action = ctx.oidc.urlFor('code_verification');
  return language === undefined ? action : `${action}?ui_locales=${language}`;
}
