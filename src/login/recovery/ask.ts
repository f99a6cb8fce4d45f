/**
 * Somebody says whose password was forgotten. The answer knows nothing of users: nobody is looked up before it is out, so
 * that neither its words nor its time tell whether there is such a user (test/attacks, D01). What is looked up after it
 * shows in nothing that the browser sees.
 */
import { z } from 'zod';
import { record } from '../../audit/record.ts';
import { randomToken } from '../../crypto/codes.ts';
import { isMailAddress } from '../../delivery/channel.ts';
import { sayPlainly } from '../../delivery/letter.ts';
import { AppError } from '../../errors.ts';
import { readForm } from '../../http/input.ts';
import { languageOf } from '../../http/language.ts';
import { redirectTo } from '../../http/redirect.ts';
import type { FormError } from '../../http/render.ts';
import { say } from '../../languages/messages.ts';
import { issuerOf } from '../../realms/issuer.ts';
import { voidRecoveries } from '../../store/recoveries.ts';
import { type UserRow, userByLogin } from '../../store/users.ts';
import { addressOf, queryOf } from './answers.ts';
import { ask, next } from './machine.ts';
import type { Recovery } from './recoveries.ts';
import { auditOrigin, LIFETIME_MS, type RecoveryRequest, realmModel, setCookie, throttleOf, uidOf, wayBack } from './room.ts';

const form = z.object({ username: z.string().default(''), login: z.string().optional() });
const MOST = 255;

export async function showAsk(request: RecoveryRequest): Promise<void> {
  await askPage(request, { username: '', login: uidOf(request.ctx.query.login) });
}

async function askPage(
  request: RecoveryRequest,
  shown: { username: string; login: string | null; errors?: FormError[]; status?: number },
): Promise<void> {
  const { username, login, errors = [], status = 200 } = shown;
  const model = { realm: realmModel(request), username, login, back: wayBack(request, login), errors };
  await request.render(request.ctx, 'login/recovery/ask', model, status);
}

/** What the page says that follows, whoever's name it was. */
export async function showSent(request: RecoveryRequest): Promise<void> {
  const login = uidOf(request.ctx.query.login);
  const model = { realm: realmModel(request), minutes: LIFETIME_MS / 60_000, again: addressOf(request, login), back: wayBack(request, login) };
  await request.render(request.ctx, 'login/recovery/sent', model);
}

export async function postAsk(request: RecoveryRequest): Promise<void> {
  const { ctx, realm, recoveries, base, at } = request;
  const typed = await readForm(ctx, form);
  const login = uidOf(typed.login);
  const username = typed.username.trim();
  const problem = username === '' ? say('login.signIn.typeUsername') : username.length > MOST ? say('login.signIn.usernameTooLong') : undefined;
  if (problem) return askPage(request, { username: username.slice(0, MOST), login, errors: [{ field: 'username', message: problem }], status: 400 });
  try {
    await throttleOf(request).asking(username, realm.realm.id, at);
  } catch (error) {
    if (!(error instanceof AppError) || error.status !== 429) throw error;
    ctx.set('Retry-After', String(error.retryAfter ?? 60));
    return askPage(request, { username, login, errors: [{ field: null, message: error.said }], status: 429 });
  }
  const state = ask({ login, language: languageOf(ctx) });
  const begun = await recoveries.begin({ realmId: realm.realm.id, state, now: at, expiresAt: at + LIFETIME_MS });
  setCookie(request, begun.cookie, begun.recovery.row.expiresAt);
  // What is known of a user is none of this answer's business, nor of the time that it takes.
  ctx.res.once('close', () => {
    send(request, begun.recovery, username).catch((err: unknown) =>
      request.log.error({ err, realm: realm.realm.name }, 'a recovery could not be sent'),
    );
  });
  redirectTo(ctx, `${base}/reset-credentials/sent${queryOf(request, login)}`);
}

/** Writes to whoever's name it is, if it is anybody's who can be written to. A link of before, which nobody used, is void. */
async function send(request: RecoveryRequest, recovery: Recovery, typed: string): Promise<void> {
  const { db, realm, recoveries, at } = request;
  const user = await userByLogin(db.knex, realm.realm.id, typed);
  const origin = auditOrigin(request, recovery, user?.id ?? null);
  const asked = { ...origin, actor: null };
  if (!user?.enabled || user.email === null || !isMailAddress(user.email)) {
    await record(db.knex, asked, { type: 'recovery.requested', details: { sent: false } });
    return;
  }
  const link = randomToken();
  const tell = await request.writeTo(user, letterOf(request, user, link), at);
  const state = next(recovery.state, { type: 'sent', userId: user.id, email: user.email }, { barrier: null, ways: [], fallback: [] });
  await recoveries.advance(recovery, state, {
    link,
    within: async (trx) => {
      await voidRecoveries(trx, { realmId: realm.realm.id, userId: user.id, but: recovery.row.id }, 'sent');
      await record(trx, asked, { type: 'recovery.requested', details: { sent: true } });
      await tell(trx);
    },
  });
}

/** In the language of the page. The address is ours, whatever Host the request had (test/attacks, D03). */
function letterOf({ ctx, origin, realm: { realm } }: RecoveryRequest, user: UserRow, link: string) {
  const href = `${issuerOf(origin, realm.name)}/login-actions/action-token?key=${link}`;
  return {
    language: languageOf(ctx),
    subject: sayPlainly('recovery.mail.subject', { realm: realm.displayName }),
    parts: [
      { kind: 'text' as const, words: sayPlainly('recovery.mail.said', { realm: realm.displayName, account: user.username }) },
      { kind: 'link' as const, words: say('recovery.mail.link'), href },
      { kind: 'text' as const, words: say('recovery.mail.valid', { valid: LIFETIME_MS / 1_000 }) },
      { kind: 'text' as const, words: say('recovery.mail.notYou') },
    ],
  };
}
