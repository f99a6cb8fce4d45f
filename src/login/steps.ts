/** The steps of a sign-in: each reads a form, has a factor verify it, and says which event that is. */
import type { AuditEvent } from '../audit/event.ts';
import { record } from '../audit/record.ts';
import { badInput } from '../errors.ts';
import { factorContext } from '../factors/context.ts';
import type { Factor, FactorContext, Form, Refusal, Verdict } from '../factors/factor.ts';
import { openCredentials } from '../factors/held.ts';
import { languageOf } from '../http/language.ts';
import type { FormError } from '../http/render.ts';
import { type MessageKey, say, sayOr, type Words } from '../languages/messages.ts';
import type { Proof } from '../policy/assurance.ts';
import { deviceFacts, knownDevice } from '../sessions/devices.ts';
import { type KnownUser, knownUser, NOBODY } from '../sessions/facts.ts';
import { isAlive } from '../sessions/lifetimes.ts';
import { Throttle } from '../sessions/throttle.ts';
import { provedSince, wishOfUser } from '../sessions/wishes.ts';
import { type CredentialRow, credentialSeal, replaceSecret } from '../store/credentials.ts';
import type { Transaction } from '../store/rows.ts';
import { liveSessionByUid } from '../store/sessions.ts';
import { type UserRow, userById, userByLogin } from '../store/users.ts';
import { rulesFor } from './facts.ts';
import type { Shown } from './pages.ts';
import { actionOf, requiredOf } from './required.ts';
import type { Login, LoginRequest, Proving } from './room.ts';
import type { LoginEvent, LoginRules } from './state.ts';

/** What a step leads to: an event for the machine, or an error to show on the same page. */
export type Outcome =
  | {
      event: LoginEvent;
      rules: LoginRules;
      /** The cookie is renewed with every accepted proof. */
      renew: boolean;
      audit?: AuditEvent;
      subject?: string;
      within?: (trx: Transaction) => Promise<void>;
      /** What the page says that follows; without it, it follows by a redirect. */
      shown?: Shown;
    }
  | { errors: FormError[]; status: number };

/** What is said of an answer that was not accepted. */
const REFUSED: Readonly<Partial<Record<Refusal, MessageKey>>> = {
  replayed: 'login.code.used',
  malformed: 'login.code.notACode',
  expired: 'login.code.expired',
  cloned: 'login.code.cloned',
};

/**
 * The rules for whoever the sign-in is about now, or will be after the event.
 *
 * @param read the user as `knownOf` has read them already
 * @param done the required action that is done by the event
 */
export async function rulesOf(
  request: LoginRequest,
  login: { row: { createdAt: number }; state: { expected: boolean } | null },
  userId: string | null,
  read?: KnownUser,
  done?: string,
): Promise<LoginRules> {
  const { db, realm, asked, at } = request;
  const known = read ?? (userId === null ? NOBODY : await knownOf(request, userId));
  const expected = login.state === null || login.state.expected;
  const session =
    expected && asked.session && asked.session.accountId === userId
      ? await liveSessionByUid(db.knex, realm.realm.id, asked.session.uid, userId, at)
      : undefined;
  const alive = session && isAlive(session, realm.realm.settings, at) ? session : undefined;
  const device = userId === null ? undefined : await deviceAt(request, userId, known);
  const user = { known, session: alive, ...(device ? { device } : {}) };
  const { clientId } = asked;
  const { settings } = realm.realm;
  const { createdAt: startedAt } = login.row;
  const wish = wishOfUser(settings, asked.params, known);
  const { enrolment, offers } = requiredOf(request, known, wish, done);
  const params = { ...asked.params, kc_action: enrolment ?? (wish === undefined ? undefined : asked.params.kc_action) };
  const rules = rulesFor(request.factors, realm, { params, clientId, startedAt }, user, at);
  // An enrolment asks for proof itself, and waits for the pages of what an administrator wants: they are no less than the wish.
  const facts: LoginRules['facts'] =
    wish === undefined || enrolment !== undefined || offers.length === 0
      ? rules.facts
      : { ...rules.facts, action: 'change', actionFreshSince: provedSince(wish, settings, startedAt) };
  return { ...rules, facts, offers, required: enrolment, wish: wish && { factor: wish.enrols, action: actionOf(wish) } };
}

/** A user at this browser, as a decision sees them; the same query for an id that is nobody's. */
export const knownOf = (
  { db, realm, asked, browser, at }: Pick<Proving, 'db' | 'realm' | 'asked' | 'browser' | 'at'>,
  userId: string,
): Promise<KnownUser> => knownUser(db.knex, realm, { userId, clientId: asked.clientId, browser }, at);

/** What the browser is to that user. */
export async function deviceAt(request: Proving, userId: string, { credentials, looked }: KnownUser) {
  const whom = { realmId: request.realm.realm.id, userId, credentials, clientId: request.asked.clientId };
  const { facts } = await deviceFacts(request.db, whom, request.browser, request.at, { risk: true, looked });
  return facts;
}

/** The name and password of whoever signs in, or the password of the user who is expected. */
export async function passwordStep(request: LoginRequest, login: Login, form: Form): Promise<Outcome> {
  const { db, realm } = request;
  const realmId = realm.realm.id;
  const known = login.state.userId === null ? undefined : await userById(db.knex, realmId, login.state.userId);
  const typed = known?.username ?? (form.username ?? '').trim();
  const errors: FormError[] = [];
  if (typed === '') errors.push({ field: 'username', message: say('login.signIn.typeUsername') });
  if (typed.length > 255) errors.push({ field: 'username', message: say('login.signIn.usernameTooLong') });
  if (!form.password) errors.push({ field: 'password', message: say('login.signIn.typePassword') });
  if (errors.length > 0) return { errors, status: 400 };

  const user = known ?? (await userByLogin(db.knex, realmId, typed));
  const checked = await checkPassword(request, login, { user, typed, form });
  // Said of a wrong name, a wrong password and a disabled user alike.
  if (!checked.ok) return wrong('password', say('login.signIn.wrong'));
  const { proof, known: read } = checked;
  return {
    event: {
      type: 'proved',
      userId: checked.user.id,
      proof,
      capable: form.webauthn === '1',
      ...(known ? {} : { remember: form.remember !== undefined }),
    },
    rules: await rulesOf(request, login, checked.user.id, read),
    renew: true,
    subject: checked.user.id,
  };
}

/** `right`: it was the password of somebody who is switched off. */
type CheckedPassword = { ok: true; user: UserRow; known: KnownUser; proof: Proof } | { ok: false; right: boolean };

/**
 * Compares a password: counted before, recorded when it was wrong, hashed anew where that is due. The same queries and one
 * argon2id verification for a name that does not exist and for one that may not sign in.
 *
 * @param given.user whose name was typed; undefined for a name that is nobody's
 * @throws 429 while the account, the name or the address is paused
 */
export async function checkPassword(
  request: Proving,
  login: { row: { id: string } },
  given: { user: UserRow | undefined; typed: string; form: Form },
): Promise<CheckedPassword> {
  const { db, keyring, realm, at } = request;
  const { user, typed, form } = given;
  const userId = user?.id ?? realm.realm.id;
  // Which counter it is depends on what the browser is to the user; one that shows nothing is counted before anything is read.
  const early = request.browser.token === null ? undefined : await knownOf(request, userId);
  const device = knownDevice(early?.looked, request.browser)?.id ?? null;
  const counted = await throttleOf(request).password(user ? { userId: user.id, device } : { typed }, login.row.id, at);
  const known = early ?? (await knownOf(request, userId));
  const rows = known.credentials;
  const factor = requireFactor(request, 'password');
  const cx = contextOf(request, login.row, user);
  const verdict = await counted.comparing(async () => factor.verify(cx, null, form, await openCredentials(keyring, factor, rows, null)));

  if (!verdict.ok || !user?.enabled) {
    await counted.failed();
    await record(db.knex, auditOrigin(request, login, user?.id), {
      type: 'login.failed',
      details: { reason: user && !user.enabled ? 'disabled' : 'credentials' },
    });
    return { ok: false, right: verdict.ok };
  }
  await counted.succeeded();
  if (verdict.renewed !== undefined) await renew(request, rows, verdict.credentialId, verdict.renewed);
  return { ok: true, user, known, proof: proofOf(factor, verdict, at) };
}

/** Which of several factors, or of several credentials of one. */
export async function chooseStep(request: LoginRequest, login: Login, form: Form): Promise<Outcome> {
  const rules = await rulesOf(request, login, login.state.userId);
  return { event: { type: 'chosen', factor: form.factor ?? '', credentialId: form.credential || null }, rules, renew: false };
}

/** What a factor is handed. */
export function contextOf(request: Proving, row: { id: string }, user: UserRow | undefined, rules?: LoginRules): FactorContext {
  const { realm } = request;
  return factorContext(request, {
    realm: realm.realm,
    rootSecret: realm.rootSecret,
    user,
    administrator: rules?.facts.user?.administrator ?? false,
    transaction: row.id,
    language: languageOf(request.ctx),
    now: request.at,
  });
}

export const throttleOf = ({ db, realm, browser, log }: Pick<Proving, 'db' | 'realm' | 'browser' | 'log'>): Throttle =>
  new Throttle(db, { id: realm.realm.id, rootSecret: realm.rootSecret, settings: realm.realm.settings }, { ...browser, log });

/** A verdict as the proof that it is. */
export const proofOf = (factor: Factor, verdict: Extract<Verdict, { ok: true }>, at: number): Proof => ({
  credentialId: verdict.credentialId,
  factor: factor.id,
  kinds: verdict.kinds,
  level: verdict.level,
  amr: verdict.amr,
  at,
});

/** What a factor has to say of a refusal itself, or else what is said of all. `about` is its id, or `<id>.enrol`. */
export const refusalOf = (about: string, reason: Refusal, otherwise: MessageKey): Words =>
  sayOr(`factor.${about}.refused.${reason}`, say(REFUSED[reason] ?? otherwise));

export const auditOrigin = (
  request: Pick<Proving, 'realm' | 'at' | 'asked' | 'ctx'>,
  login: { row: { id: string } },
  subject: string | undefined,
) => ({
  realmId: request.realm.realm.id,
  at: request.at,
  actor: subject ?? null,
  subject: subject ?? null,
  clientId: request.asked.clientId,
  transactionId: login.row.id,
  ip: request.ctx.ip,
  userAgent: request.ctx.get('user-agent') || null,
});

/** Whose sign-in it is, as they are now. @throws 400 for an account that was switched off meanwhile */
export async function signingIn(request: LoginRequest, login: Login): Promise<{ user: UserRow; known: KnownUser }> {
  const known = login.state.userId === null ? NOBODY : await knownOf(request, login.state.userId);
  const user = known.row;
  if (!user?.enabled) throw badInput('username', say('error.unusableAccount'));
  return { user, known };
}

export function requireFactor({ factors, realm }: Pick<LoginRequest, 'factors' | 'realm'>, id: string | null): Factor {
  const factor = factors.in(realm.realm.settings).get(id ?? '');
  if (!factor) throw new Error(`There is no factor ${id}.`);
  return factor;
}

export async function renew(
  { db, keyring }: Pick<LoginRequest, 'db' | 'keyring'>,
  rows: readonly CredentialRow[],
  credentialId: string,
  secret: unknown,
): Promise<void> {
  const row = rows.find((one) => one.id === credentialId);
  if (row) await replaceSecret(db.knex, row, await keyring.seal(credentialSeal(row), JSON.stringify(secret)));
}

export const wrong = (field: string | null, message: Words): Outcome => ({ errors: [{ field, message }], status: 400 });
