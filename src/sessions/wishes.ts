/**
 * Whether what an application asks of its user (policy/wish.ts) is done in this realm, and open to this user: the same for
 * the sign-in pages, which have it done, and for the provider, which asks them to.
 */
import type { Factors } from '../factors/index.ts';
import { ENROL_FRESH_MS } from '../policy/policy.ts';
import { type Wish, wishOf } from '../policy/wish.ts';
import { isActionEnabled } from '../realms/keycloak-settings.ts';
import type { RealmContext } from '../realms/registry.ts';
import type { RealmSettings } from '../realms/settings.ts';
import { isEnoughLeftOf } from './enough.ts';
import type { KnownUser } from './facts.ts';

/** What the request asks for; undefined for what is not done here, and for what the realm has switched off. */
export function wishIn(settings: RealmSettings, { kc_action: asked }: Readonly<Record<string, unknown>>): Wish | undefined {
  const wish = wishOf(asked);
  return wish && (wish.alias === null || isActionEnabled(settings, wish.alias)) ? wish : undefined;
}

/**
 * `open`: a page of its own can do it. `done`: it is so already. `closed`: it cannot be done for this user; or it is an
 * enrolment, of which `decide` says what is to be asked.
 */
export type Openness = 'open' | 'done' | 'closed';

/** How a wish stands for a user as stored now. */
export function opennessOf(wish: Wish, known: KnownUser, { factors, on, now }: { factors: Factors; on: RealmContext; now: number }): Openness {
  if (known.user === null) return 'closed';
  if (wish.enrols !== undefined) return isSpared(wish, known) ? 'done' : 'closed';
  if (wish.alias === 'VERIFY_EMAIL') return known.emailVerified ? 'done' : known.email === null ? 'closed' : 'open';
  // The new address shows itself by a code that is mailed there.
  if (wish.alias === 'UPDATE_EMAIL') return factors.channels(on.realm.settings).mail ? 'open' : 'closed';
  if (wish.removes === undefined) return 'open';
  const row = known.credentials.find(({ id }) => id === wish.removes);
  const isSecond = row !== undefined && factors.in(on.realm.settings).get(row.factor)?.role === 'second';
  const left = known.credentials.filter((other) => other !== row);
  return isSecond && isEnoughLeftOf(factors, on, known, left, now) ? 'open' : 'closed';
}

/** Whether an enrolment is not asked for, because the user has one of the kind and the application wants no more. */
const isSpared = ({ enrols, unlessOwned }: Wish, { credentials }: Pick<KnownUser, 'credentials'>): boolean =>
  unlessOwned === true && credentials.some(({ factor }) => factor === enrols);

/** The enrolment or the page that is asked of this user by the request; undefined where there is none to ask for. */
export function wishOfUser(
  settings: RealmSettings,
  params: Readonly<Record<string, unknown>>,
  known: Pick<KnownUser, 'credentials'>,
): Wish | undefined {
  const wish = wishIn(settings, params);
  return wish && !isSpared(wish, known) ? wish : undefined;
}

/**
 * Since when the user has to have shown who they are before the pages do anything of it.
 *
 * Keycloak's `max_auth_age` of the action counts from the beginning of the sign-in, and only makes it shorter than what is
 * asked before any such change (policy.ts).
 *
 * @param startedAt when the sign-in began
 */
export function provedSince({ alias }: Wish, { requiredActions }: RealmSettings, startedAt: number): number {
  const said = alias !== null && Object.hasOwn(requiredActions, alias) ? requiredActions[alias]?.config?.max_auth_age : undefined;
  const age = said !== undefined && /^\d{1,9}$/.test(said) ? Number(said) * 1000 : ENROL_FRESH_MS;
  return startedAt - Math.min(age, ENROL_FRESH_MS);
}
