/** The pages of a sign-in: which view a state shows, and what it is told. */

import type Koa from 'koa';
import type { AppError } from '../errors.ts';
import { openCredentials } from '../factors/held.ts';
import { factors } from '../factors/index.ts';
import { nameOf, strengthOf } from '../factors/names.ts';
import type { FormError } from '../http/render.ts';
import { inEnglish } from '../languages/messages.ts';
import { homeOf } from '../realms/home.ts';
import { clientByClientId } from '../store/clients.ts';
import { type CredentialRow, credentialsOf } from '../store/credentials.ts';
import { userById } from '../store/users.ts';
import { decisionOf, type LoginState } from './machine.ts';
import type { Login, LoginRequest } from './room.ts';
import { factorContext, rulesOf } from './steps.ts';

export interface Shown {
  errors?: FormError[];
  /** What was typed and may be shown again; never a password or a code. */
  username?: string;
  label?: string;
  remember?: boolean;
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
      ...model,
    },
    shown.status ?? 200,
  );
}

/** Whether there is a page for where a sign-in stands; otherwise asking for it leads on. */
export const hasPage = ({ at, step }: LoginState): boolean =>
  at !== 'done' && at !== 'refused' && at !== 'action' && (at !== 'enrol' || step !== null);

/** The fields that the page of a state has. */
const FIELDS: Partial<Record<LoginState['at'], readonly string[]>> = {
  identify: ['username', 'password'],
  password: ['password'],
  challenge: ['code'],
  enrol: ['code', 'label'],
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

export const realmModel = ({ realm: { realm } }: LoginRequest) => ({ name: realm.name, displayName: realm.displayName });

/** What a page says of the application. */
export async function clientModel(request: LoginRequest): Promise<{ name: string; uri: string | null } | null> {
  const row = await clientByClientId(request.db.knex, request.realm.realm.id, request.asked.clientId);
  return row ? { name: row.name ?? row.clientId, uri: homeOf(row) } : null;
}

async function pageOf(request: LoginRequest, login: Login, shown: Shown): Promise<{ view: string; model: object }> {
  const { state } = login;
  const { realm } = request.realm;
  switch (state.at) {
    case 'identify':
      return { view: 'login/sign-in', model: { username: shown.username ?? (await suggested(request)), remember: shown.remember ?? false } };
    case 'password': {
      const user = state.userId ? await userById(request.db.knex, realm.id, state.userId) : undefined;
      return { view: 'login/password', model: { username: user?.username ?? '', canSwitch: !state.expected } };
    }
    case 'choose':
      return { view: 'login/choose', model: await choices(request, login) };
    case 'challenge': {
      const factor = factors.get(state.factor ?? '');
      if (!factor || !state.userId) throw new Error('A challenge without a factor or a user.');
      const rows = await credentialsOf(request.db.knex, realm.id, state.userId);
      const held = await openCredentials(request.keyring, factor, rows, state.credentialId);
      const step = await factor.challenge(factorContext(request, undefined), held);
      return { view: step.view, model: { ...step.model, another: rows.filter(isActiveSecond).length > 1 } };
    }
    case 'enrol': {
      const factor = factors.get(state.factor ?? '');
      const user = state.userId ? await userById(request.db.knex, realm.id, state.userId) : undefined;
      if (!factor?.enrol || !user) throw new Error('An enrolment without a factor or a user.');
      const step = await factor.enrol.show(factorContext(request, user), state.step);
      return { view: step.view, model: { ...step.model, label: shown.label ?? '', another: false, cancellable: true } };
    }
    default:
      throw new Error(`There is no page for a sign-in at ${state.at}.`);
  }
}

async function choices(request: LoginRequest, login: Login): Promise<object> {
  const { state } = login;
  const rows = state.userId ? await credentialsOf(request.db.knex, request.realm.realm.id, state.userId) : [];
  const decision = decisionOf(state, await rulesOf(request, login, state.userId), request.at);
  const named = (id: string) => {
    const factor = factors.get(id);
    return { factor: id, name: factor ? nameOf(factor) : id, strength: factor ? strengthOf(factor) : '' };
  };
  if (decision.ask === 'enrol') {
    return { purpose: 'enrol', choices: decision.factors.map((id) => ({ ...named(id), credentialId: null, label: '', lastUsed: false })) };
  }
  const wanted = decision.ask === 'factor' ? decision.factors : [];
  const usable = rows.filter((row) => isActiveSecond(row) && wanted.includes(row.factor)).sort((a, b) => (b.lastUsedAt ?? 0) - (a.lastUsedAt ?? 0));
  return {
    purpose: 'challenge',
    choices: usable.map((row, index) => ({
      ...named(row.factor),
      credentialId: row.id,
      label: row.label,
      lastUsed: index === 0 && row.lastUsedAt !== null,
    })),
  };
}

const isActiveSecond = (row: CredentialRow): boolean => row.enabled && factors.get(row.factor)?.role === 'second';

/** The name to begin with: what the application suggests (OpenID Connect Core 1.0 section 3.1.2.1), or who is signed in and may choose another. */
async function suggested({ asked, db, realm }: LoginRequest): Promise<string> {
  const given = asked.params.login_hint;
  if (typeof given === 'string' && given.length <= 255) return given;
  const user = asked.selects && asked.session ? await userById(db.knex, realm.realm.id, asked.session.accountId) : undefined;
  return user?.username ?? '';
}
