/**
 * Another email address, because an administrator or the application asked for it. It is the account's once a code that was
 * mailed there is typed here: until then nothing changes, and the one of before stays. A code and no link, as in verify-email.ts.
 *
 *     the new address ─► a code goes there ⇄ another address, another code ─► typed: it is the account's, and verified
 */
import { z } from 'zod';
import { record } from '../audit/record.ts';
import { conflict } from '../errors.ts';
import { emailOtp, isSame, maskedAddress } from '../factors/email-otp/email-otp.ts';
import { openCredentials } from '../factors/held.ts';
import { checkCode, sendCode, shownOf } from '../factors/sent-code.ts';
import { say } from '../languages/messages.ts';
import { revokeTrust } from '../sessions/trusted-devices.ts';
import { type CredentialRow, credentialSeal, renameCredential, replaceSecret } from '../store/credentials.ts';
import { normalise, type Transaction } from '../store/rows.ts';
import { removeRequiredAction } from '../store/user-changes.ts';
import { type UserRow, userById, userHasEmail } from '../store/users.ts';
import type { LoginForm } from './form.ts';
import { addressErrors, changing, isAnother } from './new-address.ts';
import { UPDATE_EMAIL } from './required.ts';
import type { Login, LoginRequest } from './room.ts';
import { auditOrigin, contextOf, type Outcome, refusalOf, rulesOf, signingIn, throttleOf, wrong } from './steps.ts';
import { requireStillProved } from './still-proved.ts';
import { tooSoon, unavailableOf } from './verification.ts';

/** Under which codes and attempts are counted, beside those of the factors. */
const ID = 'update-email';
const ACTION = 'UPDATE_EMAIL';

/** What the page remembers: where the code was sent. Nothing while no address was given. */
const kept = z.object({ address: z.string(), digits: z.number(), until: z.number(), nextAt: z.number() });
type Kept = z.infer<typeof kept>;

const keptOf = ({ state }: Login): Kept | undefined => kept.safeParse(state.step).data;

/** The code shows this very address: two that are asked for in one moment must not stand for each other. */
const shownBy = (address: string) => ({ factor: ID, purpose: 'enrol' as const, shows: normalise(address) });

/** @param typed what stood in the form that was refused */
export async function updateEmailPage(request: LoginRequest, login: Login, typed = ''): Promise<{ view: string; model: object }> {
  const sent = keptOf(login);
  if (sent) {
    const { address } = sent;
    // In full: whoever has mistyped it is to see that.
    return {
      view: 'login/verify-email',
      model: { ...shownOf(contextOf(request, login.row, undefined), sent), address, unavailable: null, moves: true },
    };
  }
  const { userId } = login.state;
  const user = userId === null ? undefined : await userById(request.db.knex, request.realm.realm.id, userId);
  return { view: 'login/update-email', model: { username: user?.username ?? '', now: user?.email ?? null, email: typed } };
}

/** Form field `email`, and then `code`; the buttons `resend` and `change`. */
export async function updateEmailStep(request: LoginRequest, login: Login, form: LoginForm, wished: boolean): Promise<Outcome | undefined> {
  const sent = keptOf(login);
  if (!sent) return form.email === undefined ? undefined : send(request, login, form.email.trim());
  if (form.do === 'resend') return send(request, login, sent.address);
  if (form.do === 'change') return back(request, login, {});
  return form.code === undefined ? undefined : typed(request, login, { sent, code: form.code, wished });
}

/** Whether somebody else has the address is not said here: only to whoever shows that it is theirs. */
async function send(request: LoginRequest, login: Login, address: string): Promise<Outcome> {
  const errors = addressErrors(address);
  if (errors.length > 0) return { errors, status: 400 };
  const { user, known } = await signingIn(request, login);
  const rules = await rulesOf(request, login, user.id, known);
  const { digits, lifetime } = request.realm.realm.settings.emailOtp;
  const cx = contextOf(request, login.row, user, rules);
  const sent = await sendCode(cx, { ...shownBy(address), channel: 'mail', to: address, digits, lifetime });
  const again = keptOf(login) !== undefined;
  if (!sent.ok && sent.reason === 'wait') throw tooSoon(sent.retryAfterMs);
  if (!sent.ok) return wrong(again ? null : 'email', unavailableOf(ID, sent.reason));
  return {
    event: { type: 'begun', step: { ...sent.state, address } satisfies Kept, again },
    rules,
    renew: false,
    audit: { type: 'mfa.challenge.issued', details: { factor: ID, ...(again ? { resent: true } : {}) } },
    subject: user.id,
    ...(again ? { shown: { notice: say('login.code.sentAgain') } } : {}),
  };
}

/** To the form for the address. */
async function back(request: LoginRequest, login: Login, shown: Extract<Outcome, { event: unknown }>['shown']): Promise<Outcome> {
  const rules = await rulesOf(request, login, login.state.userId);
  return { event: { type: 'begun', step: null, again: true }, rules, renew: false, ...(shown ? { shown } : {}) };
}

async function typed(request: LoginRequest, login: Login, { sent, code, wished }: { sent: Kept; code: string; wished: boolean }): Promise<Outcome> {
  if (code.trim() === '') return wrong('code', say('login.code.type'));
  const { user, known } = await signingIn(request, login);
  const { address } = sent;
  const counted = await throttleOf(request).factor(ID, user.id, login.row.id, request.at);
  const checked = await counted.comparing(() => checkCode(contextOf(request, login.row, user), sent, shownBy(address), code));
  if (checked !== 'ok') {
    await counted.failed();
    await record(request.db.knex, auditOrigin(request, login, user.id), { type: 'mfa.challenge.failed', details: { factor: ID } });
    return wrong('code', refusalOf(ID, checked, 'login.code.wrong'));
  }
  await counted.succeeded();
  const moved = isAnother(user, address);
  if (moved && (await userHasEmail(request.db.knex, user.realmId, address)))
    return back(request, login, { errors: [{ field: 'email', message: say('login.profile.taken') }], status: 409 });

  const change = await changing(request, user, { email: address, emailVerified: true });
  const follow = moved ? await following(request, login, { user, rows: known.credentials, address }) : undefined;
  return {
    event: { type: 'answered', action: UPDATE_EMAIL },
    rules: await rulesOf(request, login, user.id, { ...known, email: address, emailVerified: true }, ACTION),
    renew: true,
    audit: { type: 'user.updated', details: { fields: ['email', 'emailVerified'] } },
    subject: user.id,
    within: async (trx) => {
      await requireStillProved(trx, request, login, user);
      if (!(await removeRequiredAction(trx, user, ACTION)) && !wished) throw conflict(say('login.stepDone'));
      await removeRequiredAction(trx, user, 'VERIFY_EMAIL');
      await change(trx);
      await follow?.(trx);
    },
  };
}

/**
 * Codes by mail go to the address that was just proved, or whoever signs in with them could not any more. Nothing more is asked
 * for than to set them up anew: what is strongest was shown moments ago, and the mailbox now.
 */
async function following(
  request: LoginRequest,
  login: Login,
  { user, rows, address }: { user: UserRow; rows: readonly CredentialRow[]; address: string },
): Promise<((trx: Transaction) => Promise<void>) | undefined> {
  const { keyring } = request;
  const held = await openCredentials(keyring, emailOtp, rows, null);
  const mailbox = held.find(({ secret }) => isSame(secret.address, user.email));
  const row = rows.find(({ id }) => id === mailbox?.id);
  if (!row) return undefined;
  const sealed = await keyring.seal(credentialSeal(row), JSON.stringify({ address }));
  const origin = auditOrigin(request, login, user.id);
  return async (trx) => {
    await replaceSecret(trx, row, sealed);
    if (user.email !== null && row.label === maskedAddress(user.email))
      await renameCredential(trx, row.realmId, row.userId, row.id, maskedAddress(address));
    await record(trx, origin, { type: 'mfa.factor.enrolled', details: { factor: emailOtp.id, credential: row.id } });
    await revokeTrust(trx, row, {}, 'credentials', origin);
  };
}
