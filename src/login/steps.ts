/** The steps of a sign-in: each reads a form, has a factor verify it, and says which event that is. */
import { randomUUID } from 'node:crypto';
import type { AuditEvent } from '../audit/event.ts';
import { record } from '../audit/record.ts';
import { badInput, conflict } from '../errors.ts';
import type { Factor, FactorContext, Form } from '../factors/factor.ts';
import { openCredentials } from '../factors/held.ts';
import { factors } from '../factors/index.ts';
import type { FormError } from '../http/render.ts';
import { type MessageKey, say, type Words } from '../languages/messages.ts';
import type { Proof } from '../policy/assurance.ts';
import { isAlive } from '../sessions/sessions.ts';
import { Throttle } from '../sessions/throttle.ts';
import {
  type CredentialRow,
  credentialSeal,
  credentialsOf,
  disableFactor,
  insertCredential,
  replaceSecret,
  spendCounter,
} from '../store/credentials.ts';
import type { Queries } from '../store/rows.ts';
import { liveSessionByUid } from '../store/sessions.ts';
import { lockUser, type UserRow, userById, userByLogin } from '../store/users.ts';
import { rulesFor } from './facts.ts';
import { type LoginEvent, type LoginRules, mayConfirm } from './machine.ts';
import type { Login, LoginRequest } from './room.ts';

/** What a step leads to: an event for the machine, or an error to show on the same page. */
export type Outcome =
  | {
      event: LoginEvent;
      rules: LoginRules;
      /** The cookie is renewed with every accepted proof. */
      renew: boolean;
      audit?: AuditEvent;
      subject?: string;
      within?: (trx: Queries) => Promise<void>;
    }
  | { errors: FormError[]; status: number };

/** What is said of a code that was not accepted. */
const REFUSED: Readonly<Record<string, MessageKey>> = { replayed: 'login.code.used', malformed: 'login.code.notACode' };
const MAX_LABEL = 60;

/**
 * The rules for whoever the sign-in is about now, or will be after the event.
 *
 * @param rows the user's credentials, when they were read already
 */
export async function rulesOf(
  request: LoginRequest,
  login: { row: { createdAt: number }; state: { expected: boolean } | null },
  userId: string | null,
  rows?: readonly CredentialRow[],
): Promise<LoginRules> {
  const { db, realm, asked, at } = request;
  const credentials = rows ?? (userId === null ? [] : await credentialsOf(db.knex, realm.realm.id, userId));
  const expected = login.state === null || login.state.expected;
  const session =
    expected && asked.session && asked.session.accountId === userId
      ? await liveSessionByUid(db.knex, realm.realm.id, asked.session.uid, userId, at)
      : undefined;
  const alive = session && isAlive(session, realm.realm.settings, at) ? session : undefined;
  return rulesFor(realm.realm, { params: asked.params, startedAt: login.row.createdAt }, { credentials, session: alive }, at);
}

/** The name and password of whoever signs in, or the password of the user who is expected. */
export async function passwordStep(request: LoginRequest, login: Login, form: Form): Promise<Outcome> {
  const { db, keyring, realm, at } = request;
  const realmId = realm.realm.id;
  const known = login.state.userId === null ? undefined : await userById(db.knex, realmId, login.state.userId);
  const typed = known?.username ?? (form.username ?? '').trim();
  const errors: FormError[] = [];
  if (typed === '') errors.push({ field: 'username', message: say('login.signIn.typeUsername') });
  if (typed.length > 255) errors.push({ field: 'username', message: say('login.signIn.usernameTooLong') });
  if (!form.password) errors.push({ field: 'password', message: say('login.signIn.typePassword') });
  if (errors.length > 0) return { errors, status: 400 };

  const user = known ?? (await userByLogin(db.knex, realmId, typed));
  const throttle = new Throttle(db, { id: realmId, rootSecret: realm.rootSecret });
  const counted = await throttle.password(user ? { userId: user.id } : { typed }, login.row.id, at);
  // The same queries and one argon2id verification for a name that does not exist and for one that may not sign in.
  const rows = await credentialsOf(db.knex, realmId, user?.id ?? realmId);
  const factor = requireFactor('password');
  const held = await openCredentials(keyring, factor, rows, null);
  const verdict = await factor.verify(factorContext(request, user), form, held);

  if (!verdict.ok || !user?.enabled) {
    await counted.failed();
    await record(db.knex, auditOrigin(request, login, user?.id), {
      type: 'login.failed',
      details: { reason: user && !user.enabled ? 'disabled' : 'credentials' },
    });
    // Said of a wrong name, a wrong password and a disabled user alike.
    return wrong('password', say('login.signIn.wrong'));
  }
  await counted.succeeded();
  if (verdict.renewed !== undefined) await renew(request, rows, verdict.credentialId, verdict.renewed);
  const proof: Proof = { credentialId: verdict.credentialId, factor: factor.id, kinds: verdict.kinds, level: verdict.level, amr: verdict.amr, at };
  return {
    event: { type: 'proved', userId: user.id, proof, ...(known ? {} : { remember: form.remember !== undefined }) },
    rules: await rulesOf(request, login, user.id, rows),
    renew: true,
    subject: user.id,
  };
}

/** The code of a second factor. */
export async function challengeStep(request: LoginRequest, login: Login, form: Form): Promise<Outcome> {
  const { db, keyring, realm, at } = request;
  const { state } = login;
  const user = await signingIn(request, login);
  const factor = requireFactor(state.factor);
  if (!form.code?.trim()) return wrong('code', say('login.code.type'));

  const counted = await new Throttle(db, { id: realm.realm.id, rootSecret: realm.rootSecret }).factor(factor.id, user.id, login.row.id, at);
  const rows = await credentialsOf(db.knex, realm.realm.id, user.id);
  const held = await openCredentials(keyring, factor, rows, state.credentialId);
  const verdict = await factor.verify(factorContext(request, user), form, held);
  const rules = await rulesOf(request, login, user.id, rows);

  if (!verdict.ok) {
    const { endsTransaction, disables } = await counted.failed();
    if (disables) await disableFactor(db.knex, realm.realm.id, user.id, factor.id);
    const origin = auditOrigin(request, login, user.id);
    await record(db.knex, origin, { type: verdict.reason === 'replayed' ? 'mfa.replay' : 'mfa.challenge.failed', details: { factor: factor.id } });
    if (disables) await record(db.knex, origin, { type: 'mfa.factor.disabled', details: { factor: factor.id } });
    // Of right codes sent at once all but one are replays. They count, but must not end the sign-in under the one that won.
    if (endsTransaction && verdict.reason !== 'replayed') return { event: { type: 'failed', last: true }, rules, renew: false };
    return wrong('code', say(REFUSED[verdict.reason] ?? 'login.code.wrong'));
  }
  await counted.succeeded();
  const proof: Proof = { credentialId: verdict.credentialId, factor: factor.id, kinds: verdict.kinds, level: verdict.level, amr: verdict.amr, at };
  return {
    event: { type: 'proved', userId: user.id, proof },
    rules,
    renew: true,
    audit: { type: 'mfa.challenge.ok', details: { factor: factor.id, credential: verdict.credentialId } },
    subject: user.id,
  };
}

/** Which of several factors, or of several credentials of one. */
export async function chooseStep(request: LoginRequest, login: Login, form: Form): Promise<Outcome> {
  const rules = await rulesOf(request, login, login.state.userId);
  return { event: { type: 'chosen', factor: form.factor ?? '', credentialId: form.credential || null }, rules, renew: false };
}

/** The first page of an enrolment: what the factor shows, kept until it is confirmed. */
export async function beginEnrolment(request: LoginRequest, login: Login): Promise<Outcome> {
  const user = await signingIn(request, login);
  const factor = requireFactor(login.state.factor);
  if (!factor.enrol) throw new Error(`Factor ${factor.id} cannot be enrolled.`);
  const step = await factor.enrol.begin(factorContext(request, user));
  return { event: { type: 'begun', step: step.state }, rules: await rulesOf(request, login, user.id), renew: false };
}

/** The code that confirms an enrolment; it counts as the factor's proof, and cannot be used again. */
export async function enrolStep(request: LoginRequest, login: Login, form: Form): Promise<Outcome> {
  const { db, keyring, realm, at } = request;
  const user = await signingIn(request, login);
  const factor = requireFactor(login.state.factor);
  if (!factor.enrol) throw new Error(`Factor ${factor.id} cannot be enrolled.`);
  const rules = await rulesOf(request, login, user.id);
  if (!mayConfirm(login.state, rules, login.row.createdAt, at)) return { event: { type: 'another' }, rules, renew: false };
  const label = (form.label ?? '').trim();
  if (label.length > MAX_LABEL) return wrong('label', say('login.code.labelTooLong', { most: MAX_LABEL }));
  if (!form.code?.trim()) return wrong('code', say('login.code.type'));

  const counted = await new Throttle(db, { id: realm.realm.id, rootSecret: realm.rootSecret }).factor(
    `enrol-${factor.id}`,
    user.id,
    login.row.id,
    at,
  );
  const enrolment = await factor.enrol.finish(factorContext(request, user), login.state.step, form);
  if (!enrolment.ok) {
    const { endsTransaction } = await counted.failed();
    await record(db.knex, auditOrigin(request, login, user.id), { type: 'mfa.challenge.failed', details: { factor: `enrol-${factor.id}` } });
    if (endsTransaction) return { event: { type: 'failed', last: true }, rules, renew: false };
    return wrong('code', say(REFUSED[enrolment.reason] ?? 'login.code.wrongAtEnrolment'));
  }
  await counted.succeeded();

  const id = randomUUID();
  const key = { realmId: realm.realm.id, userId: user.id, id };
  const row: CredentialRow = {
    ...key,
    factor: factor.id,
    label: enrolment.label,
    secret: await keyring.seal(credentialSeal(key), JSON.stringify(enrolment.secret)),
    counter: enrolment.counter,
    enabled: true,
    createdAt: at,
    lastUsedAt: at,
  };
  const tell = await request.tellOfNewFactor(user, factor.name, at);
  const proof: Proof = { credentialId: id, factor: factor.id, kinds: enrolment.kinds, level: enrolment.level, amr: enrolment.amr, at };
  return {
    event: { type: 'enrolled', credential: { id, factor: factor.id, level: factor.level, kinds: factor.kinds }, proof },
    rules,
    renew: true,
    audit: { type: 'mfa.factor.enrolled', details: { factor: factor.id, credential: id } },
    subject: user.id,
    within: async (trx) => {
      await lockUser(trx, realm.realm.id, user.id);
      const others = (await credentialsOf(trx, realm.realm.id, user.id)).filter(
        (other) => other.enabled && factors.get(other.factor)?.role === 'second',
      );
      // Two tabs in one moment: the second has to show what the first has bound.
      if (others.some((other) => !rules.choices.some((choice) => choice.credentialId === other.id))) {
        throw conflict(say('login.code.anotherAdded'));
      }
      await insertCredential(trx, row);
      await tell(trx);
    },
  };
}

/** What a factor is handed. */
export function factorContext(request: LoginRequest, user: UserRow | undefined): FactorContext {
  const { db, realm, at, passwords } = request;
  return {
    realm: { id: realm.realm.id, name: realm.realm.name, displayName: realm.realm.displayName },
    ...(user ? { user: { id: user.id, username: user.username, email: user.email } } : {}),
    now: at,
    settings: realm.realm.settings,
    passwords,
    spend: (credentialId, counter) =>
      user ? spendCounter(db.knex, { realmId: realm.realm.id, userId: user.id, id: credentialId }, counter, at) : Promise.resolve(false),
  };
}

export const auditOrigin = (request: LoginRequest, login: Pick<Login, 'row'>, subject: string | undefined) => ({
  realmId: request.realm.realm.id,
  at: request.at,
  actor: subject ?? null,
  subject: subject ?? null,
  clientId: request.asked.clientId,
  transactionId: login.row.id,
  ip: request.ctx.ip,
  userAgent: request.ctx.get('user-agent') || null,
});

async function signingIn(request: LoginRequest, login: Login): Promise<UserRow> {
  const user = login.state.userId === null ? undefined : await userById(request.db.knex, request.realm.realm.id, login.state.userId);
  if (!user?.enabled) throw badInput('username', say('error.unusableAccount'));
  return user;
}

function requireFactor(id: string | null): Factor {
  const factor = factors.get(id ?? '');
  if (!factor) throw new Error(`There is no factor ${id}.`);
  return factor;
}

async function renew(request: LoginRequest, rows: CredentialRow[], credentialId: string, secret: unknown): Promise<void> {
  const row = rows.find((one) => one.id === credentialId);
  if (row) await replaceSecret(request.db.knex, row, await request.keyring.seal(credentialSeal(row), JSON.stringify(secret)));
}

const wrong = (field: string | null, message: Words): Outcome => ({ errors: [{ field, message }], status: 400 });
