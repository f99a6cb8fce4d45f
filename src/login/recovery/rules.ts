/** What a recovery is judged by, computed anew for each step from what is stored. */
import { everybodys, ownedFactors } from '../../factors/owned.ts';
import { type KnownUser, knownUser } from '../../sessions/facts.ts';
import { normalise } from '../../store/rows.ts';
import { type UserRow, userById } from '../../store/users.ts';
import { type RecoveryRules, waysOf } from './machine.ts';
import type { Recovery } from './recoveries.ts';
import type { RecoveryRequest } from './room.ts';

export interface Judged {
  rules: RecoveryRules;
  /** Whoever it is about, as stored now; undefined where the account is not what it was when the mail was sent. */
  user: UserRow | undefined;
  known: KnownUser | undefined;
}

export async function rulesOf({ db, factors, realm, at }: RecoveryRequest, { state }: Recovery): Promise<Judged> {
  const { id: realmId, settings } = realm.realm;
  const user = state.userId === null ? undefined : await userById(db.knex, realmId, state.userId);
  // Whoever had the mailbox of before has no business with the account of now.
  if (!user?.enabled || user.email === null || normalise(user.email) !== normalise(state.email ?? ''))
    return { rules: { barrier: 'changed', ways: [], fallback: [] }, user: undefined, known: undefined };
  const known = await knownUser(db.knex, realm, { userId: user.id }, at);
  const owned = ownedFactors(factors, settings, known.credentials);
  const mailed = new Set([...factors.in(settings).values()].flatMap(({ id, byMail }) => (byMail === true ? [id] : [])));
  const { barrier, factors: usable } = waysOf({ owned, administrator: known.user?.administrator ?? false }, mailed);
  const ways = usable.flatMap((factor) => {
    const held = known.credentials.filter((row) => row.enabled && row.factor === factor);
    return held.length > 0 ? held.map(({ id }) => ({ factor, credentialId: id })) : [{ factor, credentialId: everybodys(factor) }];
  });
  return { rules: { barrier, ways, fallback: settings.fallback }, user, known };
}
