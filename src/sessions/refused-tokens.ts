/** Bearer tokens that are no good, at APIs that take any realm's: counted by the address that they come from, like wrong client secrets. */
import { tooMany } from '../errors.ts';
import { say } from '../languages/messages.ts';
import type { RealmSettings } from '../realms/settings.ts';
import { countFailure } from '../store/attempts.ts';
import type { Database } from '../store/database.ts';
import { subjectsOf } from './throttle.ts';

/**
 * One more of them; what is good is not counted.
 * @param realm whose limits hold: master, for a token that is no good may name any realm
 * @throws 429 while there are too many
 */
export async function countRefusedToken(
  db: Database,
  realm: { id: string; rootSecret: Buffer; settings: Pick<RealmSettings, 'throttling'> },
  address: string,
  now: number,
): Promise<void> {
  const { failures, within } = realm.settings.throttling.client;
  const counted = { subject: subjectsOf(realm.rootSecret).client('admin rest', address), failures, withinMs: within * 1000 };
  const freeAt = await countFailure(db.knex, counted, { realmId: realm.id, now });
  if (freeAt <= now) return;
  const seconds = Math.ceil((freeAt - now) / 1000);
  throw tooMany(say('error.paused', { wait: seconds }), seconds);
}
