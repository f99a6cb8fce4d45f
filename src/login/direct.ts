/**
 * A sign-in without pages: name, password and, where one is due, a code, all in one request (RFC 6749 section 4.3;
 * Keycloak's direct grant). It is for scripts, and a shorter way around nothing: the same counters and the same comparisons
 * as on the pages, and the same `decide`. What only a page can do (a passkey, an enrolment, a new password) is refused, in
 * words that tell what is missing only once the password was right.
 */
import { randomUUID } from 'node:crypto';
import type Koa from 'koa';
import type { AuditEvent } from '../audit/event.ts';
import { record } from '../audit/record.ts';
import { AppError } from '../errors.ts';
import type { FactorMap } from '../factors/index.ts';
import type { Proof } from '../policy/assurance.ts';
import { type Decision, decide } from '../policy/decide.ts';
import type { RealmContext } from '../realms/registry.ts';
import { addressOf } from '../sessions/addresses.ts';
import { noBrowser } from '../sessions/browser.ts';
import { pendingActions } from '../sessions/pending.ts';
import type { DirectAnswer, DirectSignIn } from '../sessions/sign-ins.ts';
import type { CredentialRow } from '../store/credentials.ts';
import { type UserRow, userByLogin } from '../store/users.ts';
import { rulesFor } from './facts.ts';
import type { LoginDeps, Proving } from './room.ts';
import type { LoginRules } from './state.ts';
import { auditOrigin, checkPassword, contextOf, deviceAt, proofOf, requireFactor, throttleOf } from './steps.ts';
import { answerQuestion } from './verification.ts';

/** Factors that are answered by one code that the user has at hand. */
const TYPED = ['totp', 'hotp', 'recovery-codes'];

/** As Keycloak says it of all that it will not tell apart. */
const WRONG = 'Invalid user credentials';
const UNFINISHED = 'Account is not fully set up';

const refused = (status: 400 | 401, reason: string): DirectAnswer => ({ ok: false, status, reason });

/**
 * @throws AppError 429 while the account, the factor or the address is paused, 503 when too many passwords wait to be compared
 */
export async function signInDirectly(deps: LoginDeps, ctx: Koa.Context, realm: RealmContext, given: DirectSignIn): Promise<DirectAnswer> {
  const request = provingOf(deps, ctx, realm, given.clientId);
  const login = { row: { id: randomUUID() } };
  const username = given.username.trim();
  const user = username === '' || username.length > 255 ? undefined : await userByLogin(deps.db.knex, realm.realm.id, username);
  const typed = username.slice(0, 255);
  const checked = await recordingThrottle(request, login, { user, factor: null }, () =>
    checkPassword(request, login, { user, typed, form: { username: typed, password: given.password } }),
  );
  if (!checked.ok) return checked.right ? refused(400, 'Account disabled') : refused(401, WRONG);
  return decided(request, login, checked, given.code);
}

function provingOf(deps: LoginDeps, ctx: Koa.Context, realm: RealmContext, clientId: string): Proving {
  const { id } = realm.realm;
  const nobodys = noBrowser({ id, rootSecret: realm.rootSecret });
  const browser = { ...nobodys, ip: ctx.ip || null, userAgent: ctx.get('user-agent') || null };
  return {
    ...deps,
    ctx,
    realm,
    asked: { clientId },
    passwords: deps.passwords.from(addressOf(ctx.ip)),
    browser,
    at: deps.now(),
  };
}

type Transaction = { row: { id: string } };
type Proved = Extract<Awaited<ReturnType<typeof checkPassword>>, { ok: true }>;

/** What `decide` makes of the password, and of a code where one is due. */
async function decided(request: Proving, login: Transaction, { user, known, proof }: Proved, code: string | undefined): Promise<DirectAnswer> {
  const { realm, factors, asked, at } = request;
  const device = await deviceAt(request, user.id, known);
  const rules = rulesFor(factors, realm, { params: {}, clientId: asked.clientId, startedAt: at }, { known, session: undefined, device }, at);
  const proofs: Proof[] = [proof];
  let decision = decide({ ...rules.facts, now: at, proofs });
  if (decision.ask === 'factor') {
    const shown = await shownByCode(request, login, { user, rows: known.credentials, rules, wanted: decision.factors, code });
    if ('reason' in shown) return refuse(request, login, user, shown);
    proofs.push(shown.proof);
    decision = decide({ ...rules.facts, now: at, proofs });
  }
  if (decision.ask !== 'nothing') return refuse(request, login, user, insteadOf(decision));
  if (pendingActions(known, realm.realm.settings).length > 0) return refuse(request, login, user, { status: 400, reason: UNFINISHED });
  return { ok: true, user, known, proofs, facts: { ...rules.facts, now: at, proofs }, decision, transaction: login.row.id };
}

interface Refusal {
  status: 400 | 401;
  reason: string;
  audit?: AuditEvent;
}

/** What is said where a page would ask. */
function insteadOf(decision: Exclude<Decision, { ask: 'nothing' }>): Refusal {
  switch (decision.ask) {
    case 'unmet':
      return { status: 400, reason: decision.reason, audit: { type: 'stepup.unmet', details: { reason: decision.reason } } };
    case 'factor':
      return { status: 401, reason: `${WRONG}: one more sign-in method is needed, in a browser` };
    default:
      return { status: 400, reason: UNFINISHED };
  }
}

async function refuse(request: Proving, login: Transaction, user: UserRow, { status, reason, audit }: Refusal): Promise<DirectAnswer> {
  await record(request.db.knex, auditOrigin(request, login, user.id), audit ?? { type: 'login.failed', details: { reason: 'refused' } });
  return refused(status, reason);
}

interface Question {
  user: UserRow;
  rows: readonly CredentialRow[];
  rules: LoginRules;
  /** Factors of which one is enough. */
  wanted: readonly string[];
  code: string | undefined;
}

/** The code, compared by the one factor that it can be of: of several, by the one that was used last. */
async function shownByCode(request: Proving, login: Transaction, asked: Question): Promise<{ proof: Proof } | Refusal> {
  const { db, keyring, tell, factors, realm, at } = request;
  const { user, rows, rules, wanted, code } = asked;
  const known = factors.in(realm.realm.settings);
  const usable = TYPED.filter((id) => wanted.includes(id) && isTyped(known, id));
  const id = ofShape(code ?? '', usable, rows);
  if (id === undefined) return { status: 400, reason: 'This account signs in with a method that needs a browser' };
  if (code === undefined || code === '') return { status: 401, reason: `${WRONG}: a code is needed, as parameter totp` };
  const factor = requireFactor(request, id);
  const answered = await recordingThrottle(request, login, { user, factor: id }, () =>
    answerQuestion(
      {
        ...{ db, keyring, tell, user, rows, factor, credentialId: null, challenge: null },
        throttle: throttleOf(request),
        cx: contextOf(request, login.row, user, rules),
        origin: auditOrigin(request, login, user.id),
      },
      { code },
    ),
  );
  if (!answered?.ok) return { status: 401, reason: `${WRONG}: the code is not right` };
  await db.transaction(async (trx) => {
    await answered.within(trx);
    await record(trx, auditOrigin(request, login, user.id), answered.audit);
  });
  return { proof: proofOf(factor, answered.verdict, at) };
}

/** What needs no challenge to be begun. A custom factor may send something by itself, and is for pages. */
const isTyped = (known: FactorMap, id: string): boolean => known.get(id)?.begin === undefined;

/** Recovery codes have letters, or are longer than any other. */
function ofShape(code: string, usable: readonly string[], rows: readonly CredentialRow[]): string | undefined {
  const isNumber = /^[\d\s-]{1,11}$/.test(code.trim());
  const usedAt = (id: string) => Math.max(0, ...rows.filter((row) => row.enabled && row.factor === id).map((row) => row.lastUsedAt ?? 0));
  const [first] = usable.filter((id) => (id === 'recovery-codes') !== isNumber).sort((a, b) => usedAt(b) - usedAt(a));
  return first ?? usable[0];
}

async function recordingThrottle<T>(
  request: Proving,
  login: Transaction,
  { user, factor }: { user: UserRow | undefined; factor: string | null },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AppError && error.status === 429) {
      const event: AuditEvent =
        factor === null ? { type: 'login.failed', details: { reason: 'throttled' } } : { type: 'mfa.challenge.throttled', details: { factor } };
      await record(request.db.knex, auditOrigin(request, login, user?.id), event);
    }
    throw error;
  }
}
