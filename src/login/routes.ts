/** The dispatcher of the sign-in: loads what is stored, shows the page that is due, moves it on by one step. */
import type Koa from 'koa';
import type { AuditEvent } from '../audit/event.ts';
import { record } from '../audit/record.ts';
import { AppError, conflict, forbidden } from '../errors.ts';
import { alarmIsRecorded } from '../http/alarm.ts';
import { sameOrigin } from '../http/csrf.ts';
import { formActionOf, securityHeaders } from '../http/headers.ts';
import { askLanguage } from '../http/language.ts';
import { redirectTo } from '../http/redirect.ts';
import { say } from '../languages/messages.ts';
import type { RealmContext } from '../realms/registry.ts';
import { addressOf } from '../sessions/addresses.ts';
import { browserOf } from '../sessions/browser.ts';
import type { Transaction } from '../store/rows.ts';
import { currentRequestId } from '../telemetry/log.ts';
import { beginChallenge, challengeStep, mustBegin } from './challenge.ts';
import { answerConsent, showConsent } from './consent.ts';
import { currentLogin, requireNewestBrowser, selfOf, setCookie, signInAgain, storedLogin } from './current-login.ts';
import { discoveryStep, rediscover } from './discovery.ts';
import { beginEnrolment, declineStep, enrolStep, skipStep } from './enrolment.ts';
import { fieldsOf, hasAnswer, type LoginForm, type Posted, readPosted, retyped } from './form.ts';
import { next } from './machine.ts';
import { hasPage, problemOn, showLost, showPage } from './pages.ts';
import { isRequiredDue, requiredBegin, requiredLeave, requiredStep } from './required-actions.ts';
import type { Login, LoginDeps, LoginPort, LoginRequest } from './room.ts';
import type { LoginState } from './state.ts';
import { auditOrigin, chooseStep, type Outcome, passwordStep, rulesOf } from './steps.ts';

/** Answers `GET` and `POST /realms/{realm}/login/{uid}`. */
export async function handleLogin(deps: LoginDeps, ctx: Koa.Context, realm: RealmContext, port: LoginPort, uid: string): Promise<void> {
  ctx.set(securityHeaders({ origin: deps.origin, popups: true }));
  ctx.set('Cache-Control', 'no-store');
  if (ctx.method === 'POST' && !sameOrigin(ctx.req.headers, deps.origin)) throw forbidden(say('error.foreignForm'), 'foreign_origin');
  const asked = await port.load(ctx, uid);
  askLanguage(ctx, asked.params);
  // The way back to the application follows a POST of these pages, and Chromium applies form-action to it.
  const back = typeof asked.params.redirect_uri === 'string' ? formActionOf(asked.params.redirect_uri) : undefined;
  ctx.set(securityHeaders({ origin: deps.origin, popups: true, formActions: back ? [back] : [] }));
  const request = requestOf(deps, { ctx, realm, port, asked });

  if (asked.prompt === 'consent') {
    await requireNewestBrowser(request, await storedLogin(request));
    const posted = ctx.method === 'POST' ? await readPosted(ctx) : undefined;
    return posted && !posted.problem ? answerConsent(request, posted.form.do) : showConsent(request, posted?.problem);
  }
  const login = await currentLogin(request);
  // Another request of this browser began it in this moment: ask again, with the cookie that it got.
  if (!login) return redirectTo(ctx, selfOf(request));
  if (ctx.method === 'POST') return postStep(request, login, await readPosted(ctx));
  return getPage(request, login);
}

function requestOf(deps: LoginDeps, asked: Pick<LoginRequest, 'ctx' | 'realm' | 'port' | 'asked'>): LoginRequest {
  const { realm, rootSecret } = asked.realm;
  const browser = browserOf(asked.ctx, { id: realm.id, rootSecret }, deps.origin);
  const passwords = deps.passwords.from(addressOf(asked.ctx.ip));
  return { ...deps, ...asked, passwords, browser, at: deps.now() };
}

async function getPage(request: LoginRequest, login: Login): Promise<void> {
  const { state } = login;
  if (state.at === 'done') return finish(request, login);
  if (state.at === 'refused') return refuse(request, login);
  if (isLost(request.ctx, state)) return showLost(request, login);
  if (state.at === 'enrol' && state.step === null && !((state.factor ?? '') in state.unavailable))
    return apply(request, login, await beginEnrolment(request, login), {});
  const leave = await requiredLeave(request, login);
  if (leave) return apply(request, login, leave, {});
  const begin = state.step === null ? requiredBegin(login) : undefined;
  if (begin) return apply(request, login, await begin(request, login), {});
  if (mustBegin(request, login)) return apply(request, login, await beginChallenge(request, login), {});
  const fresh = await rediscover(request, login);
  if (fresh) return apply(request, login, fresh, {});
  try {
    return await showPage(request, login);
  } catch (error) {
    if (error instanceof AppError && error.code === 'corrupted') await alarm(request, login, error);
    throw error;
  }
}

async function postStep(request: LoginRequest, login: Login, { form, problem }: Posted): Promise<void> {
  if (login.state.refusal === 'attempts') {
    // What comes after the last attempt is turned away like what came beside it.
    await record(request.db.knex, auditOrigin(request, login, login.state.userId ?? undefined), {
      type: 'login.failed',
      details: { reason: 'throttled' },
    });
    return refuse(request, login, 429);
  }
  if (!hasPage(login.state)) return redirectTo(request.ctx, selfOf(request));
  if (problem) return showProblem(request, login, form, problem);
  // A page of before: the back button, or a second tab.
  if (form.version !== undefined && form.version !== String(login.row.version)) {
    return showProblem(request, login, {}, conflict(say('login.stepDone')));
  }
  if (form.do === 'resync' && form.next_code === undefined) return showPage(request, login, { resyncing: true });
  try {
    const outcome = await stepOf(request, login, form);
    if (outcome) return await apply(request, login, outcome, form);
    return redirectTo(request.ctx, selfOf(request));
  } catch (error) {
    if (error instanceof AppError && error.code === 'corrupted') await alarm(request, login, error);
    if (!(error instanceof AppError) || (error.status >= 500 && error.code !== 'busy')) throw error;
    if (error.status === 429) await recordThrottled(request, login);
    return showProblem(request, login, form, error);
  }
}

/** Whoever asks what to do without any of it is shown that, and nothing is sent meanwhile. */
const isLost = (ctx: Koa.Context, { at }: LoginState): boolean => ctx.query.lost !== undefined && (at === 'choose' || at === 'challenge');

/** The page that is due, and what is wrong with the form: the sign-in goes on where it was, and what was typed is there. */
function showProblem(request: LoginRequest, login: Login, form: LoginForm, error: AppError): Promise<void> {
  if (error.retryAfter !== undefined) request.ctx.set('Retry-After', String(error.retryAfter));
  return showPage(request, login, { ...retyped(form), errors: [problemOn(login.state, error)], status: error.status });
}

async function recordThrottled(request: LoginRequest, login: Login): Promise<void> {
  const { factor, userId } = login.state;
  const event: AuditEvent =
    factor === null ? { type: 'login.failed', details: { reason: 'throttled' } } : { type: 'mfa.challenge.throttled', details: { factor } };
  await record(request.db.knex, auditOrigin(request, login, userId ?? undefined), event);
}

/** Something stored does not open: an alarm and a refused sign-in, never "no factor". */
async function alarm(request: LoginRequest, login: Login, error: AppError): Promise<void> {
  const { userId } = login.state;
  request.log.error({ realm: request.realm.realm.name, userId, err: error }, 'a stored secret does not open');
  await record(request.db.knex, auditOrigin(request, login, userId ?? undefined), { type: 'crypto.unreadable', details: { what: login.state.at } });
  alarmIsRecorded(error);
}

/** Buttons that mean the same on every page. */
const EVENTS = { cancel: 'cancelled', another: 'another', switch: 'other-account' } as const;

type Step = (request: LoginRequest, login: Login, form: LoginForm) => Promise<Outcome | undefined>;

/** The step that a form is for; undefined when it does not fit what is due. */
async function stepOf(request: LoginRequest, login: Login, form: LoginForm): Promise<Outcome | undefined> {
  const { state } = login;
  if (form.do === 'cancel' || form.do === 'another' || form.do === 'switch')
    return { event: { type: EVENTS[form.do] }, rules: await rulesOf(request, login, state.userId), renew: false };
  return STEPS[state.at]?.(request, login, form);
}

const firstFactor: Step = async (request, login, form) => {
  if (form.response !== undefined) return discoveryStep(request, login, form);
  if (form.password === undefined && (login.state.at === 'password' || form.username === undefined)) return undefined;
  return passwordStep(request, login, fieldsOf(form));
};

const STEPS: Partial<Record<LoginState['at'], Step>> = {
  identify: firstFactor,
  password: firstFactor,
  choose: async (request, login, form) => {
    if (form.do === 'skip') return skipStep(request, login);
    return form.factor === undefined ? undefined : chooseStep(request, login, fieldsOf(form));
  },
  challenge: async (request, login, form) => {
    if (form.do === 'resend') return beginChallenge(request, login);
    return hasAnswer(form) ? challengeStep(request, login, form) : undefined;
  },
  enrol: async (request, login, form) => {
    if (form.do === 'skip') return skipStep(request, login);
    if (form.do === 'resend') return beginEnrolment(request, login);
    return hasAnswer(form) && login.state.step !== null ? enrolStep(request, login, form) : undefined;
  },
  action: async (request, login, form) => {
    if (isRequiredDue(login)) return requiredStep(request, login, form);
    if (form.do === 'skip' || form.do === 'never') return declineStep(request, login, form.do);
    if (form.do === 'accept' || form.do === 'resend') return beginEnrolment(request, login);
    return hasAnswer(form) && login.state.step !== null ? enrolStep(request, login, form) : undefined;
  },
};

/** Moves the sign-in on, or shows the page again with what was wrong. */
async function apply(request: LoginRequest, login: Login, outcome: Outcome, form: LoginForm): Promise<void> {
  const { ctx } = request;
  if ('errors' in outcome) return showPage(request, login, { ...retyped(form), ...outcome });
  const state = next(login.state, outcome.event, outcome.rules, request.at);
  if (state === login.state) {
    if (outcome.event.type === 'chosen') {
      await record(request.db.knex, auditOrigin(request, login, login.state.userId ?? undefined), {
        type: 'flow.refused',
        details: { reason: 'a choice that was not offered' },
      });
      return showPage(request, login, { errors: [{ field: null, message: say('login.choose.notAChoice') }], status: 400 });
    }
    return redirectTo(ctx, selfOf(request));
  }

  const { audit, within } = outcome;
  const together = async (trx: Transaction) => {
    await within?.(trx);
    if (audit) await record(trx, auditOrigin(request, login, outcome.subject), audit);
  };
  const moved = await request.signIns.advance(login, state, { renew: outcome.renew, ...(within || audit ? { within: together } : {}) });
  if (!moved) return redirectTo(ctx, selfOf(request));
  if (moved.cookie !== undefined) setCookie(request, moved.cookie);
  const after: Login = { row: { ...login.row, at: state.at, version: login.row.version + 1 }, state };
  if (state.at === 'done') return finish(request, after);
  if (state.at === 'refused') return refuse(request, after);
  if (outcome.shown) return showPage(request, after, { ...retyped(form), ...outcome.shown });
  return redirectTo(ctx, selfOf(request));
}

/** The machine is done: the provider is told, and looks for itself. */
async function finish(request: LoginRequest, login: Login): Promise<void> {
  const { state } = login;
  if (state.userId === null) throw new Error('A sign-in that is done has no user.');
  const { port, ctx, asked } = request;
  if (asked.subject !== undefined && asked.subject !== state.userId) {
    return redirectTo(
      ctx,
      await port.deny(ctx, { error: 'login_required', error_description: 'another user signed in than the one that was asked for' }),
    );
  }
  redirectTo(ctx, await port.finish(ctx));
}

const REFUSALS = {
  cancelled: { error: 'access_denied', error_description: 'the user cancelled the sign-in' },
  unmet: { error: 'unmet_authentication_requirements', error_description: 'no sign-in method that this user can use here is enough' },
} as const;

/** The sign-in has ended without success: the application is told, or the user is, when it was for too many attempts. */
async function refuse(request: LoginRequest, login: Login, status = 403): Promise<void> {
  const { port, ctx } = request;
  const { refusal } = login.state;
  if (refusal === 'attempts') {
    return request.render(
      ctx,
      'message',
      {
        realm: { name: request.realm.realm.name, displayName: request.realm.realm.displayName },
        title: say('login.code.tooMany.title'),
        message: say('login.code.tooMany.message'),
        hint: say('login.code.tooMany.hint'),
        reference: currentRequestId() ?? null,
        link: signInAgain(request),
      },
      status,
    );
  }
  const ended: AuditEvent =
    refusal === 'unmet'
      ? { type: 'stepup.unmet', details: { reason: 'no factor of this user is enough' } }
      : { type: 'login.cancelled', details: {} };
  if (ctx.method === 'POST') await record(request.db.knex, auditOrigin(request, login, login.state.userId ?? undefined), ended);
  redirectTo(ctx, await port.deny(ctx, REFUSALS[refusal ?? 'cancelled']));
}
