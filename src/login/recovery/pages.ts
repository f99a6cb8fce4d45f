/** The pages of a recovery that is under way: which view a state shows, and what it is told. */
import { nameOf, strengthOf } from '../../factors/names.ts';
import type { FormError } from '../../http/render.ts';
import { type MessageKey, say, type Words } from '../../languages/messages.ts';
import { consolePath } from '../../realms/consoles.ts';
import { lostModel } from '../pages.ts';
import { questionPage } from '../verification.ts';
import { addressOf, explain } from './answers.ts';
import { laterOf } from './invite.ts';
import { factorsOf, type RecoveryState } from './machine.ts';
import type { Recovery } from './recoveries.ts';
import { type RecoveryRequest, realmModel, wayBack } from './room.ts';
import { type Judged, rulesOf } from './rules.ts';
import { questionOf } from './steps.ts';

export interface PageShown {
  errors?: FormError[];
  notice?: Words;
  /** The page of a token that is out of step. */
  resyncing?: boolean;
  status?: number;
}

/** Shows the page that is due. */
export async function showPage(request: RecoveryRequest, recovery: Recovery, shown: PageShown = {}): Promise<void> {
  const { state, row } = recovery;
  if (state.at === 'refused') return refusedPage(request, state);
  const page = await pageOf(request, recovery, shown);
  if (!page) return explain(request, 'link');
  const common = { realm: realmModel(request), version: row.version, notice: shown.notice ?? null, errors: errorsOn(state, shown.errors ?? []) };
  await request.render(request.ctx, page.view, { ...common, ...page.model }, shown.status ?? 200);
}

/** The fields that the page of a state has. */
const FIELDS: Partial<Record<RecoveryState['at'], readonly string[]>> = {
  challenge: ['code', 'next_code'],
  password: ['password-new', 'password-confirm'],
};

const errorsOn = ({ at }: RecoveryState, errors: readonly FormError[]): FormError[] =>
  errors.map(({ field, message }) => ({ field: field !== null && FIELDS[at]?.includes(field) ? field : null, message }));

async function pageOf(request: RecoveryRequest, recovery: Recovery, shown: PageShown): Promise<{ view: string; model: object } | undefined> {
  const { state } = recovery;
  const judged = await rulesOf(request, recovery);
  switch (state.at) {
    case 'choose':
      return { view: 'login/recovery/choose', model: choicesOf(request, judged) };
    case 'challenge': {
      const question = questionOf(request, recovery, judged);
      if (!question) return undefined;
      const another = factorsOf(judged.rules).length > 1;
      const why = state.unavailable[question.factor.id];
      return questionPage(question, { another, why, rememberDays: 0, resyncing: shown.resyncing ?? false });
    }
    case 'password': {
      if (!judged.user) return undefined;
      const least = request.realm.realm.settings.passwordMinLength;
      return { view: 'login/recovery/password', model: { username: judged.user.username, least } };
    }
    case 'done':
      if (state.asked) {
        const back = state.asked.back ?? `${consolePath('account', request.realm.realm.name)}/`;
        return { view: 'login/recovery/invited-done', model: { back, later: laterOf(state.asked.actions).length > 0 } };
      }
      return { view: 'login/recovery/done', model: { back: wayBack(request, state.login) ?? consolePath('account', request.realm.realm.name) } };
    default:
      return undefined;
  }
}

/** What can be done by whoever has none of what is asked for. */
export async function showLost(request: RecoveryRequest, recovery: Recovery): Promise<void> {
  const { rules } = await rulesOf(request, recovery);
  const ways = factorsOf(rules);
  const model = { realm: realmModel(request), version: recovery.row.version, errors: [], ...lostModel(ways) };
  await request.render(request.ctx, 'login/lost', { ...model, another: recovery.state.at === 'challenge' && ways.length > 1, forgotten: true });
}

function choicesOf({ factors, realm }: RecoveryRequest, { rules, known }: Judged): object {
  const map = factors.in(realm.realm.settings);
  const usedAt = (id: string): number => Math.max(0, ...(known?.credentials ?? []).map((row) => (row.factor === id ? (row.lastUsedAt ?? 0) : 0)));
  const choices = factorsOf(rules)
    .flatMap((id) => map.get(id) ?? [])
    .sort((a, b) => usedAt(b.id) - usedAt(a.id))
    .map((factor) => ({
      factor: factor.id,
      credentialId: null,
      name: nameOf(factor),
      strength: strengthOf(factor),
      level: null,
      label: '',
      lastUsed: false,
    }));
  return { purpose: 'challenge', choices, skip: null };
}

type Refusal = NonNullable<RecoveryState['refusal']>;

const REFUSED = {
  attempts: { status: 403, title: 'login.code.tooMany.title', message: 'recovery.refused.attempts' },
  cancelled: { status: 200, title: 'recovery.refused.cancelledTitle', message: 'recovery.refused.cancelled' },
  administrator: { status: 403, title: 'recovery.refused.title', message: 'recovery.refused.administrator' },
  mailbox: { status: 403, title: 'recovery.refused.title', message: 'recovery.refused.mailbox' },
  'switched-off': { status: 403, title: 'recovery.refused.title', message: 'recovery.refused.switchedOff' },
  changed: { status: 403, title: 'recovery.refused.title', message: 'recovery.refused.changed' },
} as const satisfies Record<Refusal, { status: number; title: MessageKey; message: MessageKey }>;

/** What another link would meet as well. */
const isLasting = (refusal: Refusal | null): boolean => refusal === 'administrator' || refusal === 'mailbox' || refusal === 'switched-off';

async function refusedPage(request: RecoveryRequest, { refusal, login }: RecoveryState): Promise<void> {
  const { status, title, message } = REFUSED[refusal ?? 'changed'];
  const back = wayBack(request, login) ?? (isLasting(refusal) ? consolePath('account', request.realm.realm.name) : null);
  const link = back === null ? { href: addressOf(request, null), label: say('recovery.again') } : { href: back, label: say('recovery.back') };
  const model = { realm: realmModel(request), title: say(title), message: say(message), hint: null, reference: null, link };
  await request.render(request.ctx, 'message', model, status);
}
