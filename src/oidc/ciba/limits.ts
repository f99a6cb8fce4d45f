/**
 * How often may be asked by CIBA: nobody is to be worn down by questions until they say yes. By user, whoever asks; and by
 * client, which may also not find out by its questions which users there are.
 */
import type { KoaContextWithOIDC } from 'oidc-provider';
import { subjectsOf } from '../../sessions/throttle.ts';
import { countAttempt, giveBack, pausedUntil, type Rate } from '../../store/attempts.ts';
import type { RealmRoom } from '../room.ts';
import { TooMany } from '../too-many.ts';

/** Requests that may wait for one user at a time. */
export const MOST_WAITING = 3;

/** A person who needs more than these has pressed yes, or is being pressed to. */
const OF_USER = { failures: 6, withinMs: 15 * 60_000 };
/** A call centre at its busiest. */
const OF_CLIENT = { failures: 300, withinMs: 5 * 60_000 };
/** Names that are nobody's: of typing errors there are fewer, and whoever tries names gets nowhere. */
const GUESSES = { failures: 20, withinMs: 15 * 60_000 };

const SAID = {
  client: 'this client has asked too often; wait as long as Retry-After says',
  guess: 'this client has named too many users that do not exist; wait as long as Retry-After says',
  user: 'this user was asked too often; wait as long as Retry-After says',
};

export class CibaLimits {
  readonly #room: RealmRoom;

  constructor(room: RealmRoom) {
    this.#room = room;
  }

  /** @throws TooMany */
  client(ctx: KoaContextWithOIDC, clientId: string): Promise<void> {
    return this.#count(ctx, 'client', this.#rate('client', clientId, OF_CLIENT));
  }

  /** @throws TooMany */
  user(ctx: KoaContextWithOIDC, userId: string): Promise<void> {
    return this.#count(ctx, 'user', this.#rate('user', userId, OF_USER));
  }

  /**
   * A name is looked for: counted before it is, and not at all when it is somebody's.
   * @throws TooMany
   */
  async guess<T>(ctx: KoaContextWithOIDC, clientId: string, look: () => Promise<T | undefined>): Promise<T | undefined> {
    const rate = this.#rate('guess', clientId, GUESSES);
    await this.#count(ctx, 'guess', rate);
    const found = await look();
    const { db, context, now } = this.#room;
    if (found !== undefined) await giveBack(db.knex, { run: null, rate }, { realmId: context.realm.id, now: now() });
    return found;
  }

  #rate(what: 'client' | 'guess' | 'user', of: string, rate: Omit<Rate, 'subject'>): Rate {
    return { subject: subjectsOf(this.#room.context.rootSecret).ciba(what, of), ...rate };
  }

  async #count(ctx: KoaContextWithOIDC, what: keyof typeof SAID, rate: Rate): Promise<void> {
    const { db, context, now } = this.#room;
    const at = now();
    const counters = { run: null, rate };
    if ((await countAttempt(db.knex, counters, { realmId: context.realm.id, by: '', now: at })) !== undefined) return;
    const until = await pausedUntil(db.knex, context.realm.id, counters);
    ctx.set('Retry-After', String(Math.max(1, Math.ceil((until.rate - at) / 1000))));
    throw new TooMany(SAID[what]);
  }
}
