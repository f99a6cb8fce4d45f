/** Acting as a user: what an administrator is given is a link, good once and for a minute. */
import { randomToken, sha256 } from '../../crypto/codes.ts';
import { AppError, forbidden } from '../../errors.ts';
import { realmPath } from '../../realms/issuer.ts';
import { insertImpersonation } from '../../store/impersonations.ts';
import type { RealmRow } from '../../store/realms.ts';
import { type UserRow, userById } from '../../store/users.ts';
import { audit, type Operator } from './context.ts';

/** As long as it takes to open it. */
const LINK_MS = 60_000;

/**
 * A link by which this administrator may begin to act as a user of the realm. Whoever calls has looked at their roles.
 *
 * @param by the administrator's own realm, and whether that is a program
 * @throws 403 for programs, 400 for a user who is none, is switched off or is the administrator
 */
export async function offerImpersonation(
  operator: Operator,
  realm: RealmRow,
  user: UserRow,
  by: { userId: string; realm: Pick<RealmRow, 'id' | 'name'>; service: boolean; origin: string },
): Promise<{ redirect: string }> {
  const person = by.service ? undefined : await userById(operator.db.knex, by.realm.id, by.userId);
  // What is recorded, and told to applications, is the name of a person.
  if (!person || person.serviceAccountOf !== null) throw forbidden('Only a person may act as a user, and a service account is none.');
  if (user.serviceAccountOf !== null) throw refused('Nobody acts as a service account.');
  if (!user.enabled) throw refused('User is disabled');
  if (user.id === person.id) throw refused('You are this user.');
  const key = randomToken();
  await operator.db.transaction(async (trx) => {
    await insertImpersonation(trx, {
      ...{ realmId: realm.id, id: sha256(key), userId: user.id, expiresAt: operator.now + LINK_MS },
      impersonator: { id: person.id, username: person.username, realmId: by.realm.id, realm: by.realm.name },
    });
    await audit(operator, { realmId: realm.id, subject: user.id }, { type: 'user.impersonation-offered', details: {} }, trx);
  });
  return { redirect: `${by.origin}${realmPath(realm.name)}/impersonation?${new URLSearchParams({ key })}` };
}

const refused = (message: string): AppError => new AppError({ code: 'bad_input', status: 400, message });
