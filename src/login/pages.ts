/** The pages of a sign-in: which view a state shows, and what it is told. */

import type Koa from 'koa';
import type { AppError } from '../errors.ts';
import { ENROLMENT_PASS } from '../factors/enrolment-pass/stored.ts';
import { levelName, nameOf, strengthOf } from '../factors/names.ts';
import { secondFactors } from '../factors/owned.ts';
import { languageOf } from '../http/language.ts';
import type { FormError } from '../http/render.ts';
import { inEnglish, type MessageKey, say, type Words } from '../languages/messages.ts';
import { RECOVERY_CODES, type Skip } from '../policy/decide.ts';
import { knownDevice } from '../sessions/devices.ts';
import { NOBODY } from '../sessions/facts.ts';
import { PREFERRED_NOTE, userNotes } from '../store/user-notes.ts';
import { userById } from '../store/users.ts';
import { clientModel } from './application.ts';
import { discoveryModel } from './discovery.ts';
import { enrolling } from './enrolment.ts';
import { offeredFactor } from './offers.ts';
import { isOffered, recoveryAddress } from './recovery/room.ts';
import { requiredPage } from './required-actions.ts';
import type { Login, LoginRequest } from './room.ts';
import type { LoginState } from './state.ts';
import { contextOf, knownOf, requireFactor, rulesOf } from './steps.ts';
import { questionPage, unavailabilityOf } from './verification.ts';
import { challengeOf, decisionOf } from './walk.ts';

export interface Shown {
  errors?: FormError[];
  /** What was typed and may be shown again; never a password or a code. */
  username?: string;
  label?: string;
  remember?: boolean;
  number?: string;
  serial?: string;
  profile?: { firstName: string; lastName: string; email: string };
  /** What was done, such as that a code was sent again. */
  notice?: Words;
  /** The page of a token that is out of step. */
  resyncing?: boolean;
  status?: number;
}

/** Shows the page that is due. */
export async function showPage(request: LoginRequest, login: Login, shown: Shown = {}): Promise<void> {
  if (shown.errors && prefersJson(request.ctx)) return answerJson(request.ctx, shown.errors, shown.status ?? 400);
  const { view, model } = await pageOf(request, login, shown);
  await request.render(
    request.ctx,
    view,
    {
      realm: realmModel(request),
      client: await clientModel(request),
      version: login.row.version,
      errors: shown.errors ?? [],
      notice: shown.notice ?? noticeOf(request),
      ...model,
    },
    shown.status ?? 200,
  );
}

/** Whether there is a page for where a sign-in stands; otherwise asking for it leads on. */
export const hasPage = ({ at, step, factor, unavailable }: LoginState): boolean =>
  at !== 'done' && at !== 'refused' && (at !== 'enrol' || step !== null || (factor ?? '') in unavailable);

/** The fields that the page of a state has. */
const FIELDS: Partial<Record<LoginState['at'], readonly string[]>> = {
  identify: ['username', 'password'],
  password: ['password'],
  challenge: ['code', 'next_code'],
  enrol: ['code', 'next_code', 'label', 'number', 'serial', 'confirm'],
  action: ['code', 'label', 'confirm', 'password-new', 'password-confirm', 'firstName', 'lastName', 'email'],
};

/** What is wrong with a form, next to its field if the page has it. */
export const problemOn = (state: LoginState, { field, said }: AppError): FormError => ({
  field: field !== undefined && FIELDS[state.at]?.includes(field) ? field : null,
  message: said,
});

/** These are pages, and a script that reads them says nothing or anything; only one that wants no page gets none. */
const prefersJson = (ctx: Koa.Context): boolean => ctx.accepts('html', 'json') === 'json';

function answerJson(ctx: Koa.Context, errors: readonly FormError[], status: number): void {
  const field = errors.find((error) => error.field !== null)?.field;
  ctx.status = status;
  ctx.body = {
    error: status === 429 ? 'too_many_attempts' : 'bad_input',
    error_description: errors.map(({ message }) => inEnglish(message)).join(' '),
    ...(field ? { field } : {}),
  };
}

/** What a sign-in for another device says on each of its pages: whoever did not begin it there has been sent here by somebody else. */
export const noticeOf = ({ asked }: LoginRequest): Words | null =>
  asked.asks ? say('approval.request.notice') : asked.device ? say('approval.notice') : null;

export const realmModel = ({ realm: { realm } }: LoginRequest) => ({ name: realm.name, displayName: realm.displayName });

async function pageOf(request: LoginRequest, login: Login, shown: Shown): Promise<{ view: string; model: object }> {
  const { state } = login;
  const { realm } = request.realm;
  switch (state.at) {
    case 'identify': {
      const typed = { username: shown.username ?? (await suggested(request)), remember: shown.remember ?? false };
      return {
        view: 'login/sign-in',
        model: { ...typed, canRemember: realm.settings.rememberMe, forgot: forgotAt(request), discovery: await discoveryModel(request, login) },
      };
    }
    case 'password': {
      const user = state.userId ? await userById(request.db.knex, realm.id, state.userId) : undefined;
      const discovery = await discoveryModel(request, login);
      return { view: 'login/password', model: { username: user?.username ?? '', canSwitch: !state.expected, forgot: forgotAt(request), discovery } };
    }
    case 'choose':
      return { view: 'login/choose', model: await choices(request, login) };
    case 'challenge':
      return challengePage(request, login, shown);
    case 'action':
      return (await requiredPage(request, login, shown)) ?? enrolmentPage(request, login, shown);
    case 'enrol':
      return enrolmentPage(request, login, shown);
    default:
      throw new Error(`There is no page for a sign-in at ${state.at}.`);
  }
}

/** Where a new password is set by mail; null where that is not offered. */
const forgotAt = (request: LoginRequest): string | null =>
  isOffered(request, request.realm)
    ? recoveryAddress(request.realm.realm.name, { login: request.asked.uid, language: languageOf(request.ctx) })
    : null;

async function challengePage(request: LoginRequest, login: Login, shown: Shown): Promise<{ view: string; model: object }> {
  const { state } = login;
  const factor = requireFactor(request, state.factor);
  if (!state.userId) throw new Error('A challenge without a user.');
  const known = await knownOf(request, state.userId);
  const rows = known.credentials;
  const rules = await rulesOf(request, login, state.userId, known);
  const decision = decisionOf(state, rules, request.at);
  const others = decision.ask === 'factor' ? decision.factors.filter((id) => rules.choices.some((choice) => choice.factor === id)) : [];
  const asked = {
    ...{ keyring: request.keyring, rows, factor, credentialId: state.credentialId },
    challenge: challengeOf(state),
    cx: contextOf(request, login.row, known.row, rules),
  };
  return questionPage(asked, {
    another: new Set(others).size > 1,
    why: state.unavailable[factor.id],
    rememberDays: decision.ask === 'factor' ? Math.ceil(decision.remember / 86_400) : 0,
    resyncing: shown.resyncing ?? false,
  });
}

/** What can be done by whoever has none of what is asked for. */
export async function showLost(request: LoginRequest, login: Login): Promise<void> {
  const rules = await rulesOf(request, login, login.state.userId);
  const decision = decisionOf(login.state, rules, request.at);
  const ways = decision.ask === 'factor' ? decision.factors.filter((id) => rules.choices.some((choice) => choice.factor === id)) : [];
  const model = { realm: realmModel(request), client: await clientModel(request), version: login.row.version, errors: [] };
  await request.render(request.ctx, 'login/lost', {
    ...model,
    ...lostModel(ways),
    another: login.state.at === 'challenge' && ways.length > 1,
    forgotten: false,
  });
}

/** @param ways the factors that would do */
export const lostModel = (ways: readonly string[]) => ({ codes: ways.includes(RECOVERY_CODES), pass: ways.includes(ENROLMENT_PASS) });

/** Until when, and how often, an enrolment may be put off. */
const skipModel = (skip: Skip | null) => skip && { ...skip, until: skip.until === null ? null : new Date(skip.until).toISOString() };

/** Why one would want what is offered. */
const WHY: Readonly<Record<string, MessageKey>> = { passkey: 'login.offer.passkey', 'recovery-codes': 'login.offer.recoveryCodes' };

async function enrolmentPage(request: LoginRequest, login: Login, shown: Shown): Promise<{ view: string; model: object }> {
  const { state } = login;
  const factor = enrolling(request, login);
  const offered = offeredFactor(state.due) !== undefined;
  const names = { factor: factor.id, factorName: nameOf(factor), strength: strengthOf(factor) };
  if (offered && state.step === null) return { view: 'login/offer', model: { ...names, why: say(WHY[factor.id] ?? 'login.offer.passkey') } };
  const known = state.userId ? await knownOf(request, state.userId) : NOBODY;
  const user = known.row;
  if (!factor.enrol || !user) throw new Error('An enrolment without a factor or a user.');
  const rules = await rulesOf(request, login, user.id, known);
  const decision = decisionOf(state, rules, request.at);
  const asked = decision.ask === 'enrol' ? decision : undefined;
  const ways = { another: (asked?.factors.length ?? 0) > 1, skip: skipModel(asked?.skip ?? null), offered, cancellable: !offered };
  const why = state.unavailable[factor.id];
  if (why !== undefined && state.step === null)
    return { view: 'login/unavailable', model: { ...names, ...ways, message: unavailabilityOf(`${factor.id}.enrol`, why, request.at) } };
  const page = await factor.enrol.show(contextOf(request, login.row, user, rules), state.step);
  const typed = { label: shown.label ?? '', number: shown.number ?? '', serial: shown.serial ?? '' };
  return { view: page.view, model: { ...typed, ...page.model, ...names, ...ways, resend: factor.enrol.resend !== undefined } };
}

async function choices(request: LoginRequest, login: Login): Promise<object> {
  const { state } = login;
  const factors = request.factors.in(request.realm.realm.settings);
  const known = state.userId ? await knownOf(request, state.userId) : NOBODY;
  const rows = known.credentials;
  const rules = await rulesOf(request, login, state.userId, known);
  const decision = decisionOf(state, rules, request.at);
  const named = (id: string) => {
    const factor = factors.get(id);
    const { level, kinds } = [...rules.facts.owned, ...rules.facts.enrollable].find((one) => one.factor === id) ?? { level: null, kinds: [] };
    const shown = { level, levelName: level === null ? null : levelName(level), kinds };
    return { factor: id, name: factor ? nameOf(factor) : id, strength: factor ? strengthOf(factor) : '', ...shown };
  };
  if (decision.ask === 'enrol') {
    const offered = decision.factors.map((id) => ({ ...named(id), credentialId: null, label: '', lastUsed: false }));
    return { purpose: 'enrol', choices: offered, skip: skipModel(decision.skip) };
  }
  const wanted = decision.ask === 'factor' ? decision.factors : [];
  // What was used in this very browser comes first, then what the user prefers, then what was used last anywhere.
  const here = knownDevice(known.looked, request.browser)?.lastFactor;
  const preferred = state.userId ? (await userNotes(request.db.knex, request.realm.realm.id, state.userId)).get(PREFERRED_NOTE) : undefined;
  const first = here ?? preferred;
  const usable = secondFactors(factors)
    .filter(({ id }) => wanted.includes(id) && rules.choices.some((choice) => choice.factor === id))
    .map(({ id }) => ({ id, held: rows.filter((row) => row.enabled && row.factor === id) }))
    .map(({ id, held }) => ({ id, held, usedAt: Math.max(0, ...held.map((row) => row.lastUsedAt ?? 0)) }))
    .sort((a, b) => Number(b.id === first) - Number(a.id === first) || b.usedAt - a.usedAt);
  return {
    purpose: 'challenge',
    skip: null,
    choices: usable.map(({ id, held, usedAt }, index) => ({
      ...named(id),
      credentialId: null,
      label: held.length === 1 ? (held[0]?.label ?? '') : '',
      lastUsed: index === 0 && (id === here || (first === undefined && usedAt > 0)),
    })),
  };
}

/** The name to begin with: what the application suggests (OpenID Connect Core 1.0 section 3.1.2.1), or who is signed in and may choose another. */
async function suggested({ asked, db, realm }: LoginRequest): Promise<string> {
  const given = asked.params.login_hint;
  if (typeof given === 'string' && given.length <= 255) return given;
  const user = asked.selects && asked.session ? await userById(db.knex, realm.realm.id, asked.session.accountId) : undefined;
  return user?.username ?? '';
}
