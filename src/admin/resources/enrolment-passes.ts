/**
 * Enrolment passes: for somebody who has lost every second factor. Asked for by one administrator and, where the realm wants
 * two of them (`dualControl`) or the user administers something, approved by another; only then is there a pass at all.
 *
 *     issue ─► a pass            one is enough
 *     issue ─► a request ─► approve (somebody else) ─► a pass
 *
 * Whoever makes the pass is shown it, once; what is kept is its hash. A user has one at a time.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { AppError, badInput, conflict, forbidden, notFound } from '../../errors.ts';
import { enrolmentPass, hashOfPass, newPass, type PassSecret } from '../../factors/enrolment-pass/enrolment-pass.ts';
import { managementClientFor } from '../../realms/management.ts';
import { type CredentialRow, credentialSeal, credentialsOf } from '../../store/credentials.ts';
import { rolesHeldOfClient } from '../../store/effective-roles.ts';
import {
  approveEnrolmentPass,
  type EnrolmentPassRow,
  endEnrolmentPasses,
  insertEnrolmentPass,
  insertPassCredential,
  listEnrolmentPasses,
  enrolmentPass as passById,
} from '../../store/enrolment-passes.ts';
import { type RealmRow, realmByName } from '../../store/realms.ts';
import type { Transaction } from '../../store/rows.ts';
import { userFactsRow } from '../../store/user-facts.ts';
import { lockUser, type UserRow, userById, userByUsername } from '../../store/users.ts';
import { audit, plainText, validated } from './context.ts';
import { about, type FactorOperator, factorsIn, requirePerson } from './factor-operator.ts';

const HOUR = 3_600_000;
const MASTER = 'master';

const newRequest = z.object({
  /** Why, for whoever approves it and whoever reads the audit. */
  reason: plainText(500),
  /** For how long the pass can be used once it is there; a request waits as long for its approval. */
  hours: z.number().int().min(1, 'must be 1 at least').max(72, 'must be 72 at most').default(24),
});
export type NewPass = z.input<typeof newRequest>;

export interface IssuedPass {
  pass: EnrolmentPassRow;
  user: UserRow;
  /** What the user types; null for a request that somebody has to approve first. */
  code: string | null;
}

/**
 * Makes a pass for a user, or asks for one where two administrators are needed. It takes the place of one from before.
 * @throws AppError 403 where two are needed and the actor is no administrator, 409 when there is nothing to be reset
 */
export async function issuePass(operator: FactorOperator, realm: RealmRow, user: UserRow, input: NewPass): Promise<IssuedPass> {
  const { reason, hours } = validated(newRequest, input);
  requirePerson(user);
  await requireSomethingLost(operator, realm, user);
  const dual = realm.settings.dualControl || (await administers(operator, realm, user));
  if (dual) await requireAdministrator(operator, realm);
  const { db, now, actor } = operator;
  const lifetimeMs = hours * HOUR;
  const pass: EnrolmentPassRow = {
    realmId: realm.id,
    id: randomUUID(),
    userId: user.id,
    reason,
    requestedBy: actor,
    approvedBy: null,
    dual,
    lifetimeMs,
    requestedAt: now,
    approvedAt: null,
    expiresAt: now + lifetimeMs,
    endedAs: null,
    endedAt: null,
  };
  const made = dual ? undefined : await passFor(operator, user, pass);
  await db.transaction(async (trx) => {
    await lockUser(trx, realm.id, user.id);
    await endEnrolmentPasses(trx, { realmId: realm.id, userId: user.id }, { as: 'replaced', at: now });
    await insertEnrolmentPass(trx, pass);
    await audit(operator, about(user), { type: 'mfa.reset.requested', details: { reset: pass.id, reason } }, trx);
    await made?.store(trx);
  });
  return { pass, user, code: made?.code ?? null };
}

/**
 * Approves what somebody else has asked for, and makes the pass.
 * @throws AppError 403 for one's own request or one's own account, and for whoever is no administrator (test/attacks, C09)
 */
export async function approvePass(operator: FactorOperator, realm: RealmRow, id: string): Promise<IssuedPass> {
  const { db, now, actor } = operator;
  const asked = await passOfRealm(operator, realm, id);
  const user = await userById(db.knex, realm.id, asked.userId);
  if (!user) throw notFound('The user of this request is gone.');
  if (!asked.dual || asked.approvedAt !== null) throw conflict('This pass needs no approval.');
  requireOpen(asked, now);
  await refusing(operator, asked, 'administrator', requireAdministrator(operator, realm));
  if (actor === asked.requestedBy || actor === asked.userId)
    await refusing(operator, asked, 'own-request', Promise.reject(forbidden('Somebody else has to approve this request.', 'dual_control')));
  const pass: EnrolmentPassRow = { ...asked, approvedBy: actor, approvedAt: now, expiresAt: now + asked.lifetimeMs };
  const made = await passFor(operator, user, pass);
  await db.transaction(async (trx) => {
    await lockUser(trx, realm.id, user.id);
    if (!(await approveEnrolmentPass(trx, asked, { by: actor, at: now, expiresAt: pass.expiresAt })))
      throw conflict('This request was approved, revoked or replaced in this moment.');
    await audit(operator, about(user), { type: 'mfa.reset.approved', details: { reset: id } }, trx);
    await made.store(trx);
  });
  return { pass, user, code: made.code };
}

/** Takes back a request, or a pass that was not used yet. */
export async function revokePass(operator: FactorOperator, realm: RealmRow, id: string): Promise<EnrolmentPassRow> {
  const { db, now } = operator;
  const pass = await passOfRealm(operator, realm, id);
  requireOpen(pass, now);
  await db.transaction(async (trx) => {
    const ended = await endEnrolmentPasses(trx, { realmId: realm.id, userId: pass.userId, id }, { as: 'revoked', at: now });
    if (ended.length === 0) throw conflict('This pass was used or replaced in this moment.');
    await audit(operator, { realmId: realm.id, subject: pass.userId }, { type: 'mfa.reset.revoked', details: { reset: id } }, trx);
  });
  return { ...pass, endedAs: 'revoked', endedAt: now };
}

/** Where a pass stands. */
export type PassStanding = 'waiting' | 'ready' | 'used' | 'revoked' | 'replaced' | 'expired';

export function standingOf(pass: EnrolmentPassRow, now: number): PassStanding {
  if (pass.endedAs !== null) return pass.endedAs;
  if (pass.expiresAt <= now) return 'expired';
  return pass.dual && pass.approvedAt === null ? 'waiting' : 'ready';
}

/** Passes of a realm or of one of its users, the newest first. */
export async function* allPasses(operator: Pick<FactorOperator, 'db'>, realm: RealmRow, user?: UserRow): AsyncGenerator<EnrolmentPassRow> {
  const limit = 200;
  for (let after: EnrolmentPassRow | undefined; ; ) {
    const page = await listEnrolmentPasses(operator.db.knex, realm.id, { userId: user?.id, after, limit });
    yield* page;
    if (page.length < limit) return;
    after = page.at(-1);
  }
}

/** An administrator of this realm by name, of master or of the realm itself. */
export async function administratorNamed(operator: Pick<FactorOperator, 'db'>, realm: RealmRow, username: string): Promise<UserRow> {
  for (const home of await homesOf(operator, realm)) {
    const user = await userByUsername(operator.db.knex, home.id, username);
    if (user && (await mayManageUsers(operator, home, realm, user.id))) return user;
  }
  throw badInput(
    'as',
    `"${username}" is no administrator of realm "${realm.name}": a user of master, or of the realm itself, who manages its users.`,
  );
}

/** @throws AppError 404 when the realm has none of this id */
export async function passOfRealm({ db }: Pick<FactorOperator, 'db'>, realm: RealmRow, id: string): Promise<EnrolmentPassRow> {
  const pass = await passById(db.knex, realm.id, id);
  if (!pass) throw notFound(`There is no enrolment pass "${id}" in realm "${realm.name}".`);
  return pass;
}

function requireOpen(pass: EnrolmentPassRow, now: number): void {
  const standing = standingOf(pass, now);
  if (standing !== 'waiting' && standing !== 'ready')
    throw conflict(`This pass is over: it was ${standing === 'expired' ? 'not used in time' : standing}.`);
}

/** Whoever has nothing that could be lost signs in without a pass. */
async function requireSomethingLost(operator: FactorOperator, realm: RealmRow, user: UserRow): Promise<void> {
  const known = factorsIn(operator, realm);
  if (!known.has(enrolmentPass.id)) throw conflict(`Realm "${realm.name}" does not use enrolment passes: they are among its disabledFactors.`);
  const rows = await credentialsOf(operator.db.knex, realm.id, user.id);
  const second = rows.filter((row) => row.factor !== enrolmentPass.id && known.get(row.factor)?.role === 'second');
  if (second.length === 0) throw conflict(`${user.username} has no second factor that could be lost. Whoever has none sets one up when signing in.`);
}

async function administers({ db, now }: FactorOperator, realm: RealmRow, user: UserRow): Promise<boolean> {
  const asked = { realmId: realm.id, isMaster: realm.name === MASTER, userId: user.id, roles: [] };
  return (await userFactsRow(db.knex, asked, now)).administrator;
}

/** Whose users may be administrators of a realm. */
async function homesOf({ db }: Pick<FactorOperator, 'db'>, realm: RealmRow): Promise<RealmRow[]> {
  const master = realm.name === MASTER ? undefined : await realmByName(db.knex, MASTER);
  return master ? [master, realm] : [realm];
}

async function mayManageUsers({ db }: Pick<FactorOperator, 'db'>, home: RealmRow, realm: RealmRow, userId: string): Promise<boolean> {
  const user = await userById(db.knex, home.id, userId);
  if (!user?.enabled) return false;
  const client = managementClientFor(home, realm);
  return client !== undefined && (await rolesHeldOfClient(db.knex, home.id, userId, client)).includes('manage-users');
}

/** Where two are needed each of them is somebody: a user who manages the users of this realm. */
async function requireAdministrator(operator: FactorOperator, realm: RealmRow): Promise<void> {
  for (const home of await homesOf(operator, realm)) if (await mayManageUsers(operator, home, realm, operator.actor)) return;
  throw forbidden('This needs two administrators who are known by name, and you are none.', 'dual_control');
}

/** What is refused is recorded. */
async function refusing(
  operator: FactorOperator,
  pass: EnrolmentPassRow,
  reason: 'administrator' | 'own-request',
  allowed: Promise<void>,
): Promise<void> {
  try {
    await allowed;
  } catch (error) {
    if (error instanceof AppError && error.status === 403)
      await audit(operator, { realmId: pass.realmId, subject: pass.userId }, { type: 'mfa.reset.refused', details: { reset: pass.id, reason } });
    throw error;
  }
}

/** A pass that is ready to be stored, and what its user is told. */
async function passFor(
  { keyring, notices, now }: FactorOperator,
  user: UserRow,
  pass: EnrolmentPassRow,
): Promise<{ code: string; store(trx: Transaction): Promise<void> }> {
  const code = newPass();
  const key = { realmId: user.realmId, userId: user.id, id: pass.id };
  const secret: PassSecret = { hash: hashOfPass(code), dual: pass.dual, expiresAt: pass.expiresAt };
  const row: CredentialRow = {
    ...key,
    factor: enrolmentPass.id,
    label: '',
    secret: await keyring.seal(credentialSeal(key), JSON.stringify(secret)),
    counter: null,
    enabled: true,
    level: null,
    lookup: null,
    createdAt: now,
    lastUsedAt: null,
  };
  const tell = await notices.tell(user, { kind: 'passIssued' }, now);
  return {
    code,
    async store(trx) {
      await insertPassCredential(trx, row, pass.expiresAt);
      await tell(trx);
    },
  };
}
