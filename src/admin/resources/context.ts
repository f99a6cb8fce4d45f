/**
 * One operation, three doors: the command line, the REST API and the console call the same functions in this folder.
 * Each takes what it stands on and who asks, validates with its schema, and records what it changed in the same transaction.
 */
import { z } from 'zod';
import type { AuditEvent, AuditOrigin } from '../../audit/event.ts';
import { recordInChain } from '../../audit/record.ts';
import type { AllowedTarget } from '../../config/outbound.ts';
import type { Keyring } from '../../crypto/keyring.ts';
import { badInput, notFound } from '../../errors.ts';
import type { PasswordHasher } from '../../factors/factor.ts';
import type { Database } from '../../store/database.ts';
import { type RealmRow, realmByName } from '../../store/realms.ts';
import { realmRoleId } from '../../store/roles.ts';
import type { Queries } from '../../store/rows.ts';

export interface Operator {
  db: Database;
  keyring: Keyring;
  passwords: PasswordHasher;
  /** A user id, or the name of the door: `command line`, `first start`. */
  actor: string;
  now: number;
  /** Where the installation lets the server connect to besides public hosts; nowhere when it is left out. */
  outboundAllow?: readonly AllowedTarget[];
  /** Where the request came from, if it was one. */
  from?: { ip: string | null; userAgent: string | null };
}

/**
 * Records what an operation did, in the chain of administrators' rows. The row is appended right before the commit.
 * @param about which realm, user, client or sign-in
 * @param trx the transaction of the change; without one the row is written by itself
 */
export async function audit(
  operator: Pick<Operator, 'db' | 'keyring' | 'actor' | 'now' | 'from'>,
  about: Pick<AuditOrigin, 'realmId' | 'subject' | 'clientId' | 'transactionId'>,
  event: AuditEvent,
  trx?: Queries,
): Promise<void> {
  const { db, keyring, actor, now, from } = operator;
  const append = (within: Queries): void => recordInChain(within, keyring.auditKey, { ...about, ...from, actor, at: now }, event);
  if (trx) append(trx);
  else await db.transaction(async (own) => append(own));
}

/** Control characters and direction marks have no business in a name that others read (test/attacks, D04). */
export const plainText = (max: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(max)
    .refine((text) => !/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u.test(text), 'must not contain control characters');

/** Validates an operation's input; the error names the first field that is wrong. */
export function validated<T>(schema: z.ZodType<T>, input: unknown): T {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = issue ? placeOf(issue) : '';
  throw badInput(field, `${field === '' ? 'The input' : field}: ${issue?.message ?? 'is not valid'}`);
}

/** Where an issue is, such as `rules.0.when`; at the top, a name that is not known is where. */
export const placeOf = (issue: z.core.$ZodIssue): string =>
  issue.path.length === 0 && issue.code === 'unrecognized_keys' ? (issue.keys[0] ?? '') : issue.path.join('.');

/** The realm of that name, or a 404. */
export async function requireRealm(operator: Pick<Operator, 'db'>, name: string): Promise<RealmRow> {
  const realm = await realmByName(operator.db.knex, name);
  if (!realm) throw notFound(`There is no realm named "${name}".`);
  return realm;
}

/** The id of a realm role; 400 on `field` when there is none of that name. */
export async function requireRealmRole(operator: Pick<Operator, 'db'>, realm: RealmRow, name: string, field: string): Promise<string> {
  const id = await realmRoleId(operator.db.knex, realm.id, name);
  if (id === undefined) throw badInput(field, `There is no realm role "${name}" in realm "${realm.name}".`);
  return id;
}
