/** Enrolments during a sign-in: the one that is due, and the ones that are offered. */
import { randomUUID } from 'node:crypto';
import type { AuditEvent } from '../audit/event.ts';
import { record } from '../audit/record.ts';
import type { Notice } from '../delivery/notices.ts';
import { conflict } from '../errors.ts';
import type { Begun, Enrolment, Factor } from '../factors/factor.ts';
import { nameOf, textsOf } from '../factors/names.ts';
import { secondFactors } from '../factors/owned.ts';
import { say } from '../languages/messages.ts';
import { isCounted } from '../policy/decide.ts';
import type { KnownUser } from '../sessions/facts.ts';
import { revokeTrust } from '../sessions/trusted-devices.ts';
import { type CredentialRow, credentialSeal, credentialsOf, deleteOfFactor, insertCredential } from '../store/credentials.ts';
import { isUniqueViolation } from '../store/database.ts';
import { takeHardwareToken } from '../store/hardware-tokens.ts';
import { spendGrace } from '../store/policies.ts';
import type { Queries, Transaction } from '../store/rows.ts';
import { removeRequiredAction } from '../store/user-changes.ts';
import { setUserNote } from '../store/user-notes.ts';
import { confirmEmail, type UserRow } from '../store/users.ts';
import { fieldsOf, type LoginForm } from './form.ts';
import { offeredFactor, offerNote, offersAfter } from './offers.ts';
import { lostWith, passOf, resetFactors } from './pass.ts';
import { requiredHere } from './required.ts';
import type { Login, LoginRequest } from './room.ts';
import type { LoginRules } from './state.ts';
import { auditOrigin, contextOf, type Outcome, proofOf, refusalOf, requireFactor, rulesOf, signingIn, throttleOf, wrong } from './steps.ts';
import { requireStillProved } from './still-proved.ts';
import { isUnavailable, tooSoon, unavailableOf } from './verification.ts';
import { decisionOf, mayConfirm } from './walk.ts';

const MAX_LABEL = 60;

/** The factor that is being enrolled: the one that is due, or the one that is offered. */
export const enrolling = (request: LoginRequest, { state }: Login): Factor => requireFactor(request, offeredFactor(state.due) ?? state.factor);

/** The first page of an enrolment, or its code once more. */
export async function beginEnrolment(request: LoginRequest, login: Login): Promise<Outcome> {
  const { user, known } = await signingIn(request, login);
  const { enrol, id } = enrolling(request, login);
  if (!enrol) throw new Error(`Factor ${id} cannot be enrolled.`);
  const rules = await rulesOf(request, login, user.id, known);
  const cx = contextOf(request, login.row, user, rules);
  const again = login.state.step !== null;
  const begun: Begun<unknown> | undefined = again ? await enrol.resend?.(cx, login.state.step) : await enrol.begin(cx);
  if (begun === undefined) return { errors: [], status: 200 };
  if (begun.ok) {
    const shown = again ? { shown: { notice: say('login.code.sentAgain') } } : {};
    return { event: { type: 'begun', step: begun.state, again }, rules, renew: false, ...shown };
  }
  const until = begun.reason === 'wait' ? request.at + begun.retryAfterMs : null;
  if (again && begun.reason === 'wait') throw tooSoon(begun.retryAfterMs);
  if (again || login.state.at === 'action') return wrong(null, unavailableOf(`${id}.enrol`, begun.reason));
  return { event: { type: 'unavailable', why: { reason: begun.reason, until } }, rules, renew: false };
}

/** What confirms an enrolment; it counts as the factor's proof where the enrolment was due, and cannot be used again. */
export async function enrolStep(request: LoginRequest, login: Login, form: LoginForm): Promise<Outcome> {
  const { at } = request;
  const { state } = login;
  const { user, known } = await signingIn(request, login);
  const factor = enrolling(request, login);
  if (!factor.enrol) throw new Error(`Factor ${factor.id} cannot be enrolled.`);
  const rules = await rulesOf(request, login, user.id, known);
  if (!mayConfirm(state, rules, login.row.createdAt, at)) return { event: { type: 'another' }, rules, renew: false };
  const label = (form.label ?? '').trim();
  if (label.length > MAX_LABEL) return wrong('label', say('login.code.labelTooLong', { most: MAX_LABEL }));
  if (form.code !== undefined && form.code.trim() === '') return wrong('code', say('login.code.type'));

  const counted = await throttleOf(request).factor(`enrol-${factor.id}`, user.id, login.row.id, at);
  const { enrol } = factor;
  const enrolment = await counted.comparing(() => enrol.finish(contextOf(request, login.row, user, rules), state.step, fieldsOf(form)));
  if (enrolment.ok === 'next') {
    // One page more: nothing was right yet.
    await counted.undone();
    return { event: { type: 'begun', step: enrolment.state, again: true }, rules, renew: false };
  }
  if (!enrolment.ok) return refused(request, login, { factor, user, rules, enrolment, counted });
  await counted.succeeded();
  return confirmed(request, login, { factor, user, known, rules, enrolment });
}

interface Refused {
  factor: Factor;
  user: UserRow;
  rules: LoginRules;
  enrolment: Extract<Enrolment, { ok: false }>;
  counted: { failed(): Promise<{ endsTransaction: boolean }>; undone(): Promise<void> };
}

async function refused(request: LoginRequest, login: Login, { factor, user, rules, enrolment, counted }: Refused): Promise<Outcome> {
  if (enrolment.reason === 'wait') {
    await counted.undone();
    throw tooSoon(enrolment.retryAfterMs);
  }
  if (isUnavailable(enrolment.reason)) {
    // Nothing was guessed: what was typed may be right, and cannot be reached.
    await counted.undone();
    return wrong('field' in enrolment ? (enrolment.field ?? null) : null, unavailableOf(`${factor.id}.enrol`, enrolment.reason));
  }
  const { endsTransaction } = await counted.failed();
  await record(request.db.knex, auditOrigin(request, login, user.id), {
    type: 'mfa.challenge.failed',
    details: { factor: `enrol-${factor.id}` },
  });
  if (endsTransaction) return { event: { type: 'failed', last: true }, rules, renew: false };
  const { reason } = enrolment;
  const said =
    reason === 'wrong' || reason === 'malformed' || reason === 'expired' || reason === 'replayed' || reason === 'cloned' ? reason : 'wrong';
  const shown = wrong(
    'field' in enrolment && enrolment.field !== undefined ? enrolment.field : 'code',
    refusalOf(`${textsOf(factor)}.enrol`, said, 'login.code.wrongAtEnrolment'),
  );
  if (!('state' in enrolment) || enrolment.state === undefined || 'event' in shown) return shown;
  return { event: { type: 'begun', step: enrolment.state, again: true }, rules, renew: false, shown };
}

interface Confirmed {
  factor: Factor;
  user: UserRow;
  known: KnownUser;
  rules: LoginRules;
  enrolment: Extract<Enrolment, { ok: true }>;
}

async function confirmed(request: LoginRequest, login: Login, done: Confirmed): Promise<Outcome> {
  const { factor, user, known, rules, enrolment } = done;
  const row = await credentialOf(request, done);
  const { id } = row;
  const lost = lostWith(request, login, known.credentials);
  const replaced = enrolment.replaces === true ? known.credentials.filter((one) => one.factor === factor.id) : [];
  const removed = new Set([...lost, ...replaced].map((one) => one.id));
  const common = {
    renew: true,
    audit: { type: 'mfa.factor.enrolled', details: { factor: factor.id, credential: id } } satisfies AuditEvent,
    subject: user.id,
    within: await storing(request, login, { ...done, row, lost }),
  };
  if (offeredFactor(login.state.due) !== undefined)
    return { ...common, event: { type: 'answered', action: login.state.due ?? '' }, rules: await withOffers(request, login, done) };
  const proof = proofOf(factor, { ...enrolment, credentialId: id }, request.at);
  const left = { ...known, credentials: known.credentials.filter((one) => !removed.has(one.id)) };
  const required = requiredHere(rules, factor.id);
  const now = removed.size === 0 && required === undefined ? rules : await rulesOf(request, login, user.id, left, required);
  const credential = { id, factor: factor.id, level: enrolment.level, kinds: factor.kinds };
  return {
    ...common,
    event: { type: 'enrolled', credential, proof, removed: goneWith(login, removed) },
    rules: { ...now, offers: await offersAfter(request, { user, rows: [...left.credentials, row], rules: now, capable: login.state.capable }) },
  };
}

/** The new credential as it is stored. */
async function credentialOf({ realm, keyring, at }: LoginRequest, { factor, user, enrolment }: Confirmed): Promise<CredentialRow> {
  const key = { realmId: realm.realm.id, userId: user.id, id: randomUUID() };
  return {
    ...key,
    factor: factor.id,
    label: enrolment.label,
    secret: await keyring.seal(credentialSeal(key), JSON.stringify(enrolment.secret)),
    counter: enrolment.counter,
    enabled: true,
    level: enrolment.level === factor.levelIn(realm.realm.settings) ? null : enrolment.level,
    lookup: enrolment.lookup ?? null,
    createdAt: at,
    lastUsedAt: at,
  };
}

/** Stores it, with all that comes and goes with it, in one transaction. */
async function storing(
  request: LoginRequest,
  login: Login,
  { factor, user, rules, enrolment, row, lost }: Confirmed & { row: CredentialRow; lost: readonly CredentialRow[] },
): Promise<(trx: Transaction) => Promise<void>> {
  const { realmId, id: userId } = user;
  const { at } = request;
  const origin = auditOrigin(request, login, userId);
  const offered = offeredFactor(login.state.due);
  const tell = await request.tell(user, noticeOf(login, factor, enrolment, at), at);
  return async (trx) => {
    await requireStillProved(trx, request, login, user);
    await requireNothingNew(request, trx, user, rules);
    await resetFactors(trx, request, login, { user, lost });
    if (enrolment.replaces === true) await deleteOfFactor(trx, realmId, userId, factor.id);
    await insertOnce(trx, row);
    if (enrolment.takes !== undefined) {
      await takeOnce(trx, row, enrolment.takes);
      await record(trx, origin, { type: 'mfa.token.assigned', details: { token: enrolment.takes, credential: row.id } });
    }
    if (enrolment.left !== undefined) await record(trx, origin, { type: 'mfa.recovery.generated', details: { codes: enrolment.left } });
    const required = requiredHere(rules, factor.id);
    if (required !== undefined) await removeRequiredAction(trx, user, required);
    if (enrolment.provesEmail !== undefined) await confirmEmail(trx, user, enrolment.provesEmail, at);
    if (offered !== undefined) await setUserNote(trx, { realmId, userId }, { name: offerNote(offered), value: 'accepted', now: at });
    await revokeTrust(trx, { realmId, userId }, {}, 'credentials', origin);
    await tell(trx);
  };
}

/** What the user is told. */
function noticeOf({ state }: Login, factor: Factor, { left, usableFrom }: Confirmed['enrolment'], now: number): Notice {
  if (passOf(state)) return { kind: 'passUsed' };
  if (usableFrom !== undefined) return { kind: 'numberChanged', waitMs: usableFrom - now };
  return left === undefined ? { kind: 'methodAdded', method: nameOf(factor) } : { kind: 'recoveryMade' };
}

/** What shows nothing any more: what was removed, and a pass, which went when it was typed. */
function goneWith({ state }: Login, removed: ReadonlySet<string>): string[] {
  const pass = passOf(state);
  return [...removed, ...(pass ? [pass.credentialId] : [])];
}

async function withOffers(request: LoginRequest, { state }: Login, { user, known, rules }: Confirmed): Promise<LoginRules> {
  return { ...rules, offers: await offersAfter(request, { user, rows: known.credentials, rules, capable: state.capable }) };
}

/** Two tabs in one moment: the second has to show what the first has bound. */
async function requireNothingNew({ factors, realm }: LoginRequest, trx: Queries, user: UserRow, rules: LoginRules): Promise<void> {
  const second = new Set(secondFactors(factors.in(realm.realm.settings)).map(({ id }) => id));
  const others = (await credentialsOf(trx, realm.realm.id, user.id)).filter((other) => other.enabled && second.has(other.factor));
  if (others.some((other) => !rules.choices.some((choice) => choice.credentialId === other.id))) throw conflict(say('login.code.anotherAdded'));
}

async function insertOnce(trx: Queries, row: CredentialRow): Promise<void> {
  try {
    await insertCredential(trx, row);
  } catch (error) {
    // The same authenticator, to the same or to somebody else's account.
    if (isUniqueViolation(error)) throw conflict(say('login.code.boundAlready'));
    throw error;
  }
}

/** The token that a credential is of: nobody else has it. */
async function takeOnce(trx: Queries, row: CredentialRow, token: string): Promise<void> {
  const given = { credentialId: row.id, userId: row.userId, at: row.createdAt };
  if (!(await takeHardwareToken(trx, { realmId: row.realmId, id: token }, given))) throw conflict(say('factor.hotp.enrol.taken'));
}

/** "Not now" and "Don't ask again" to what was offered. */
export async function declineStep(request: LoginRequest, login: Login, answer: 'skip' | 'never'): Promise<Outcome | undefined> {
  const { due } = login.state;
  const offered = offeredFactor(due);
  if (due === null || offered === undefined) return undefined;
  const { user, known } = await signingIn(request, login);
  const rows = known.credentials;
  const rules = await rulesOf(request, login, user.id, known);
  return {
    event: { type: 'answered', action: due },
    rules: { ...rules, offers: await offersAfter(request, { user, rows, rules, capable: login.state.capable }) },
    renew: false,
    within: (trx) => setUserNote(trx, { realmId: user.realmId, userId: user.id }, { name: offerNote(offered), value: answer, now: request.at }),
  };
}

/** "Skip for now": an enrolment that is due is put off. */
export async function skipStep(request: LoginRequest, login: Login): Promise<Outcome> {
  const { user, known } = await signingIn(request, login);
  const rules = await rulesOf(request, login, user.id, known);
  const decision = decisionOf(login.state, rules, request.at);
  const skip = decision.ask === 'enrol' ? decision.skip : null;
  const skipped: Outcome = { event: { type: 'skipped' }, rules, renew: false, subject: user.id };
  if (skip === null || !isCounted(skip)) return skipped;
  const allowed = skip.loginsLeft === null ? null : skip.loginsLeft + rules.facts.grace.used;
  return {
    ...skipped,
    within: async (trx) => {
      // The last one may have been taken in another browser, in this moment.
      if (!(await spendGrace(trx, { realmId: user.realmId, userId: user.id }, allowed, request.at))) throw conflict(say('login.skip.spent'));
    },
  };
}
