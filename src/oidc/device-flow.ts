/**
 * The device authorization grant (RFC 8628): what the library is told of it, and its pages.
 *
 * A device has no browser that could show where it is, so that a person may be made to approve somebody else's: the page
 * before the sign-in says which application asks, from where and when, what it will get, and that one goes on only with the
 * device in front of one. Then comes the ordinary sign-in; every page of it says what it is for (login/pages.ts).
 */
import type { Configuration, ErrorOut, KoaContextWithOIDC } from 'oidc-provider';
import { askedLanguage } from '../http/language.ts';
import { redirectTo } from '../http/redirect.ts';
import type { FormError } from '../http/render.ts';
import { say } from '../languages/messages.ts';
import { logoOf } from '../logos/shown.ts';
import { scopeWords } from '../realms/scope-words.ts';
import { browserName } from '../sessions/device-names.ts';
import { userById } from '../store/users.ts';
import { answerCiba, isAboutCiba, showEnd as showCibaEnd, toLink } from './ciba/page.ts';
import { rowOf } from './clients/client-metadata.ts';
import { PREFILLED } from './names.ts';
import { clientModel, type Pages } from './pages.ts';
import type { RealmRoom } from './room.ts';
import { CodeSpent, pollingInterval } from './storage/device-codes.ts';
import { TooMany } from './too-many.ts';

type DeviceFlow = NonNullable<NonNullable<Configuration['features']>['deviceFlow']>;

/** Names of the library's errors that it has this page shown for; it exports no classes of them. */
const WRONG: ReadonlySet<string | undefined> = new Set(['NotFoundError', 'ExpiredError', 'AlreadyUsedError']);
/** In the address of a page that took the place of an older one. */
const STALE = 'stale';
const OLD_PAGE: FormError = { field: null, message: say('approval.enter.stale') };
/** What is shown again of what was typed. */
const MOST_TYPED = 40;

/** Twenty letters that make no words and that nobody takes for one another, eight at a time: 25 milliards of codes (RFC 8628 section 6.1). */
export function deviceFlowOf(room: RealmRoom, pages: Pages): DeviceFlow {
  return {
    enabled: true,
    charset: 'base-20',
    mask: '****-****',
    deviceInfo: (ctx) => ({ ip: ctx.ip, userAgent: ctx.get('user-agent').slice(0, 300) }),
    userCodeInputSource: (ctx, _form, out, error) => answerInput(pages, ctx, out, error),
    userCodeConfirmSource: (ctx, _form, _client, deviceInfo, userCode) => showConfirmation({ room, pages }, ctx, deviceInfo, userCode),
    successSource: (ctx) => (isAboutCiba(ctx) ? showCibaEnd : showEnd)(pages, ctx, 'done'),
  };
}

/** The library leaves out how long a device is to wait between its questions (RFC 8628 section 3.2). */
export function addInterval({ context }: RealmRoom, { body, oidc }: KoaContextWithOIDC): void {
  if (typeof body === 'object' && body !== null && 'device_code' in body)
    Object.assign(body, { interval: pollingInterval(oidc.client, context.realm.settings) });
}

/** The page where a code is entered, which also says what is wrong with one, and where an approval ends that came to nothing. */
async function answerInput(pages: Pages, ctx: KoaContextWithOIDC, out?: ErrorOut, error?: Error): Promise<void> {
  if (isAboutCiba(ctx)) return answerCiba(pages, ctx, out, error);
  if (error?.name === 'AbortedError') return showEnd(pages, ctx, 'refused');
  const problem = error ? problemOf(ctx, error) : ctx.query[STALE] === undefined ? undefined : OLD_PAGE;
  if (out && error && !problem) return pages.renderError(ctx, out, error);
  const typed = error ? ctx.oidc.params?.user_code : ctx.query[PREFILLED];
  // A form without its session: the page has to be got anew, for a new one.
  if (problem && ctx.oidc.session?.exp === undefined) return reload(ctx, typed);
  if (error) ctx.status = error instanceof TooMany ? 429 : 400;
  await pages.show(ctx, 'login/device', {
    ...form(ctx),
    code: typeof typed === 'string' ? typed.slice(0, MOST_TYPED) : '',
    errors: problem ? [problem] : [],
  });
}

/** What somebody can do something about on this page; undefined of all else. Which way a code is wrong is nobody's business. */
function problemOf(ctx: KoaContextWithOIDC, error: Error): FormError | undefined {
  if (error.name === 'NoCodeError') return { field: 'user_code', message: say('approval.enter.missing') };
  if (WRONG.has(error.name) || error instanceof CodeSpent) return { field: 'user_code', message: say('approval.enter.wrong') };
  // What is refused once the code is known is about the sign-in, and not about the form.
  if (ctx.oidc.route !== 'code_verification' || ctx.oidc.deviceCode) return undefined;
  if (error instanceof TooMany) return { field: 'user_code', message: error.said };
  return 'error' in error && error.error === 'invalid_request' ? OLD_PAGE : undefined;
}

function reload(ctx: KoaContextWithOIDC, typed: unknown): void {
  const query = new URLSearchParams({ ...(typeof typed === 'string' ? { user_code: typed.slice(0, MOST_TYPED) } : {}), [STALE]: 'true' });
  const { action } = form(ctx);
  redirectTo(ctx, `${action}${action.includes('?') ? '&' : '?'}${query}`);
}

async function showConfirmation(
  { room, pages }: { room: RealmRoom; pages: Pages },
  ctx: KoaContextWithOIDC,
  deviceInfo: Record<string, unknown>,
  userCode: string,
): Promise<void> {
  // Such a request is confirmed after the sign-in.
  if (isAboutCiba(ctx)) return toLink(ctx);
  const { session, deviceCode } = ctx.oidc;
  const { realm, scopes } = room.context;
  const user = session?.accountId ? await userById(room.db.knex, realm.id, session.accountId) : undefined;
  const { ip, userAgent } = deviceInfo;
  const described = new Map(scopes.map((scope) => [scope.name, scope.description]));
  const asked = deviceCode?.params?.scope;
  await pages.show(ctx, 'login/device-confirm', {
    ...form(ctx),
    client: await confirmedClient(room, ctx),
    code: userCode,
    program: browserName(typeof userAgent === 'string' ? userAgent : null),
    ip: typeof ip === 'string' ? ip : '',
    at: new Date((deviceCode?.iat ?? 0) * 1000).toISOString(),
    scopes: (typeof asked === 'string' ? asked.split(' ') : []).map((name) => ({ name, description: scopeWords(name, described.get(name) ?? name) })),
    username: user?.username ?? null,
  });
}

/** An application on a device has no host to show; only an administrator lets applications ask so. */
async function confirmedClient({ db, context, now }: RealmRoom, ctx: KoaContextWithOIDC) {
  const { client } = ctx.oidc;
  const logo = client ? await logoOf(db.knex, context.realm.name, rowOf(client), now()) : null;
  return { ...clientModel(ctx), host: null, logo };
}

const ENDS = {
  done: (application: string) => ({
    title: say('approval.done.title'),
    message: say('approval.done.message', { application }),
    hint: say('approval.done.hint'),
  }),
  refused: () => ({ title: say('approval.refused.title'), message: say('approval.refused.message'), hint: say('approval.refused.hint') }),
};

/** The last page: the device goes on, or was given nothing. */
function showEnd(pages: Pages, ctx: KoaContextWithOIDC, end: keyof typeof ENDS): Promise<void> {
  const words = ENDS[end](clientModel(ctx)?.name ?? '');
  return pages.show(ctx, 'message', { ...words, reference: null, link: null });
}

/** Where a page's form goes, in the language that the page is in, and what it is known by. */
function form(ctx: KoaContextWithOIDC): { action: string; xsrf: string } {
  const language = askedLanguage(ctx.query);
  const action = ctx.oidc.urlFor('code_verification');
  return { action: language === undefined ? action : `${action}?ui_locales=${language}`, xsrf: String(ctx.oidc.session?.state?.secret) };
}
