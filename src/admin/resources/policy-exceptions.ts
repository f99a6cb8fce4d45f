/**
 * Exceptions: the one way below what rules ask, for one user, with a reason and an end. They lower nothing that a client
 * or being an administrator asks (policy/policy.ts), and everybody who reads the audit sees them.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { conflict, notFound } from '../../errors.ts';
import { LEVELS } from '../../policy/assurance.ts';
import { deleteException, type ExceptionRow, insertException, listExceptions } from '../../store/policies.ts';
import type { RealmRow } from '../../store/realms.ts';
import type { UserRow } from '../../store/users.ts';
import { audit, type Operator, plainText, validated } from './context.ts';

const DAY_MS = 86_400_000;

const newException = z.object({
  /** What is asked of the user instead; with the highest there would be nothing to except. */
  level: z.string().pipe(z.enum(LEVELS).exclude(['phrh'])),
  /** Whoever needs it for longer needs another rule. */
  days: z.number().int().min(1).max(90),
  reason: plainText(300),
});
export type NewException = z.input<typeof newException>;

/** Excepts a user. 400 names the field that is wrong; 409 when the user has an exception that has not run out. */
export async function addException(operator: Operator, user: UserRow, input: NewException): Promise<ExceptionRow> {
  const { level, days, reason } = validated(newException, input);
  const { db, actor, now } = operator;
  const row: ExceptionRow = {
    realmId: user.realmId,
    userId: user.id,
    id: randomUUID(),
    level,
    reason,
    actor,
    createdAt: now,
    until: now + days * DAY_MS,
  };
  await db.transaction(async (trx) => {
    if (!(await insertException(trx, row)))
      throw conflict(`User "${user.username}" has an exception already. Remove it before you add another one.`, 'user');
    const details = { exception: row.id, level, until: row.until, reason };
    await audit(operator, { realmId: user.realmId, subject: user.id }, { type: 'mfa.exception.granted', details }, trx);
  });
  return row;
}

/** Ends a user's exception at once; 404 when there is none. */
export async function removeException(operator: Operator, user: UserRow): Promise<void> {
  await operator.db.transaction(async (trx) => {
    const removed = await deleteException(trx, user.realmId, user.id);
    if (!removed) throw notFound(`User "${user.username}" has no exception.`);
    const about = { realmId: user.realmId, subject: user.id };
    await audit(operator, about, { type: 'mfa.exception.revoked', details: { exception: removed.id } }, trx);
  });
}

/** The exceptions of a realm that have not run out, page by page. */
export async function* allExceptions(
  { db, now }: Pick<Operator, 'db' | 'now'>,
  realm: RealmRow,
): AsyncGenerator<ExceptionRow & { username: string }> {
  const limit = 200;
  for (let after: string | undefined; ; ) {
    const page = await listExceptions(db.knex, realm.id, { now, after, limit });
    yield* page;
    if (page.length < limit) return;
    after = page.at(-1)?.userId;
  }
}
