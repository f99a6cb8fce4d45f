/**
 * Who must prove what, as it is stored: a realm's policy by version, the newest of which is in force, users' exceptions,
 * and how often an enrolment was put off.
 */
import type { Knex } from 'knex';
import { corrupted } from '../errors.ts';
import { isLevel, type Level } from '../policy/assurance.ts';
import { type PolicyDocument, policyDocument, policyOf } from '../policy/document.ts';
import { fromJson } from './rows.ts';

export interface PolicyRow {
  realmId: string;
  /** From 1, without a gap. */
  version: number;
  document: PolicyDocument;
  /** A user id, or the name of a command. */
  actor: string;
  createdAt: number;
}

/** A realm's policy as it is in force. */
export type Policy = Pick<PolicyRow, 'version' | 'document'>;

interface PolicyRecord {
  realm_id: string;
  version: number;
  document: string;
  actor: string;
  created_at: number;
}

const fromRecord = (row: PolicyRecord): PolicyRow => ({
  realmId: row.realm_id,
  version: row.version,
  document: fromJson(policyDocument, row.document, `policy ${row.version} of realm ${row.realm_id}`),
  actor: row.actor,
  createdAt: row.created_at,
});

/** A realm that the release before this one makes beside it has none: it asks everybody, until somebody says otherwise. */
const NONE: Policy = { version: 0, document: policyOf('required') };

/** The policy in force. */
export async function policyInForce(knex: Knex, realmId: string): Promise<Policy> {
  const row = await knex<PolicyRecord>('mfa_policies').where({ realm_id: realmId }).orderBy('version', 'desc').first();
  return row ? fromRecord(row) : NONE;
}

/** The policy of a version; where there is none, the one that stands for it. */
export async function policyOfVersion(knex: Knex, realmId: string, version: number): Promise<Policy> {
  const row = await knex<PolicyRecord>('mfa_policies').where({ realm_id: realmId, version }).first();
  return row ? fromRecord(row) : NONE;
}

/** The policies in force of several realms, in one query. */
export async function policiesInForce(knex: Knex, realmIds: readonly string[]): Promise<(realmId: string) => Policy> {
  const newest = knex('mfa_policies')
    .whereIn('realm_id', [...realmIds])
    .groupBy('realm_id')
    .select('realm_id')
    .max({ version: 'version' })
    .as('newest');
  const rows: PolicyRecord[] = await knex('mfa_policies')
    .join(newest, (on) => on.on('newest.realm_id', 'mfa_policies.realm_id').andOn('newest.version', 'mfa_policies.version'))
    .select('mfa_policies.*');
  const found = new Map(rows.map((row) => [row.realm_id, fromRecord(row)]));
  return (realmId) => found.get(realmId) ?? NONE;
}

/** The versions of a realm's policy, newest first: those before the version `before`, at most `limit`. */
export async function policyVersions(knex: Knex, realmId: string, page: { before?: number; limit: number }): Promise<PolicyRow[]> {
  const query = knex<PolicyRecord>('mfa_policies').where({ realm_id: realmId }).orderBy('version', 'desc').limit(page.limit);
  if (page.before !== undefined) query.where('version', '<', page.before);
  return (await query).map(fromRecord);
}

/** False when there is such a version already: somebody else was first. */
export async function insertPolicy(trx: Knex, row: PolicyRow): Promise<boolean> {
  const inserted = await trx('mfa_policies')
    .insert({ realm_id: row.realmId, version: row.version, document: JSON.stringify(row.document), actor: row.actor, created_at: row.createdAt })
    .onConflict(['realm_id', 'version'])
    .ignore()
    .returning('version');
  return inserted.length === 1;
}

export interface ExceptionRow {
  realmId: string;
  userId: string;
  id: string;
  level: Level;
  reason: string;
  actor: string;
  createdAt: number;
  until: number;
}

interface ExceptionRecord {
  realm_id: string;
  user_id: string;
  id: string;
  level: string;
  reason: string;
  actor: string;
  created_at: number;
  until: number;
}

/** A stored level; one that nobody knows is a fault, never a default. */
export function storedLevel(level: string, where: string): Level {
  if (!isLevel(level)) throw corrupted(`The stored level of ${where} is not one.`);
  return level;
}

const exceptionFrom = (row: ExceptionRecord): ExceptionRow => ({
  realmId: row.realm_id,
  userId: row.user_id,
  id: row.id,
  level: storedLevel(row.level, `exception ${row.id}`),
  reason: row.reason,
  actor: row.actor,
  createdAt: row.created_at,
  until: row.until,
});

/** Gives a user an exception, in the place of one that has run out; false when there is one that has not. */
export async function insertException(trx: Knex, row: ExceptionRow): Promise<boolean> {
  const { realmId, userId, createdAt, ...rest } = row;
  const values = { ...rest, created_at: createdAt };
  const inserted = await trx('mfa_exceptions')
    .insert({ realm_id: realmId, user_id: userId, ...values })
    .onConflict(['realm_id', 'user_id'])
    .merge(values)
    .where('mfa_exceptions.until', '<=', createdAt)
    .returning('id');
  return inserted.length === 1;
}

/** Takes a user's exception; undefined when there was none. */
export async function deleteException(trx: Knex, realmId: string, userId: string): Promise<ExceptionRow | undefined> {
  const deleted: ExceptionRecord[] = await trx('mfa_exceptions').where({ realm_id: realmId, user_id: userId }).delete().returning('*');
  return deleted[0] && exceptionFrom(deleted[0]);
}

/** The exceptions of a realm that have not run out, with their users' names, one page: those after the user id `after`. */
export async function listExceptions(
  knex: Knex,
  realmId: string,
  page: { now: number; after?: string; limit: number },
): Promise<(ExceptionRow & { username: string })[]> {
  const query = knex('mfa_exceptions')
    .join('users', (on) => on.on('users.realm_id', 'mfa_exceptions.realm_id').andOn('users.id', 'mfa_exceptions.user_id'))
    .where('mfa_exceptions.realm_id', realmId)
    .where('until', '>', page.now)
    .orderBy('mfa_exceptions.user_id')
    .limit(page.limit)
    .select('mfa_exceptions.*', 'users.username_shown');
  if (page.after !== undefined) query.where('mfa_exceptions.user_id', '>', page.after);
  const rows: (ExceptionRecord & { username_shown: string })[] = await query;
  return rows.map((row) => ({ ...exceptionFrom(row), username: row.username_shown }));
}

/**
 * Counts a sign-in in which an enrolment was put off.
 * @param allowed how many there may be; null where only a deadline bounds them
 * @returns false when there are as many already
 */
export async function spendGrace(trx: Knex, whom: { realmId: string; userId: string }, allowed: number | null, now: number): Promise<boolean> {
  if (allowed !== null && allowed < 1) return false;
  const query = trx('mfa_grace')
    .insert({ realm_id: whom.realmId, user_id: whom.userId, used: 1, updated_at: now })
    .onConflict(['realm_id', 'user_id'])
    .merge({ used: trx.raw('mfa_grace.used + 1'), updated_at: now });
  const spent = await (allowed === null ? query : query.where('mfa_grace.used', '<', allowed)).returning('used');
  return spent.length === 1;
}
