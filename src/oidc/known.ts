/** What is known of the user of a request, and what its browser is to the user: one query, whoever asks first. */
import type { KoaContextWithOIDC } from 'oidc-provider';
import { browserOf } from '../sessions/browser.ts';
import { type KnownUser, knownUser } from '../sessions/facts.ts';
import type { RealmRoom } from './room.ts';
import { requestCache } from './storage/request-cache.ts';

/** The library asks for the account first, and our checks for all that a decision needs of the same user. */
export async function knownHere(room: RealmRoom, ctx: KoaContextWithOIDC, userId: string): Promise<KnownUser> {
  const cache = requestCache();
  if (cache.known?.userId === userId) return cache.known.user;
  const { realm, rootSecret } = room.context;
  const browser = browserOf(ctx, { id: realm.id, rootSecret }, room.origin);
  const user = await knownUser(room.db.knex, room.context, { userId, browser }, room.now());
  cache.known = { userId, user };
  return user;
}
