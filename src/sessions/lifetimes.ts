/**
 * For how long sessions stand: until they lie idle for too long, and until their absolute end. What was proved in them ends
 * earlier, by its level (policy/proofs.ts), and no setting here makes it last longer.
 *
 * A user who asks to stay signed in, where the realm lets them, has a session with lifetimes of its own. Where the realm no
 * longer does, it is one like any other, at once.
 */
import type { RealmSettings } from '../realms/settings.ts';
import type { Alive } from '../store/session-lists.ts';
import type { SessionRow } from '../store/sessions.ts';

/** Whether a session outlives its browser, as its user wished and the realm still lets. */
export const isRemembered = ({ remember }: Pick<SessionRow, 'remember'>, { rememberMe }: RealmSettings): boolean => remember && rememberMe;

/** How long a session may last and lie idle, in milliseconds; what is 0 for a remembered one is as for the others (Keycloak's way). */
export function lifetimeOf(settings: RealmSettings, session: Pick<SessionRow, 'remember'>): { longest: number; idle: number } {
  const own = isRemembered(session, settings);
  return {
    longest: ((own && settings.ssoSessionMaxLifespanRememberMe) || settings.ssoSessionMaxLifespan) * 1000,
    idle: ((own && settings.ssoSessionIdleTimeoutRememberMe) || settings.ssoSessionIdleTimeout) * 1000,
  };
}

/** Use is written down at most this often, in milliseconds. */
const NOTED_EVERY_MS = 60_000;

/**
 * How old what is stored of the last use may be before another is written down, in milliseconds: a tenth at most of the time
 * after which it would lie idle, so that what is in use does not end because nobody wrote it down.
 * @param idle milliseconds
 */
export const notedEvery = (idle: number): number => Math.min(NOTED_EVERY_MS, idle / 10);

/** How long any session of the realm may last, in milliseconds. */
export const longestOf = (settings: RealmSettings): number =>
  Math.max(lifetimeOf(settings, { remember: false }).longest, lifetimeOf(settings, { remember: true }).longest);

/** When a session ends at the latest. */
export const endOf = (session: Pick<SessionRow, 'createdAt' | 'endsAt' | 'remember'>, settings: RealmSettings): number =>
  Math.min(session.endsAt, session.createdAt + lifetimeOf(settings, session).longest);

/** True while neither the idle nor the absolute end has come. */
export function isAlive(
  session: Pick<SessionRow, 'createdAt' | 'endedAt' | 'endsAt' | 'lastSeenAt' | 'remember'>,
  settings: RealmSettings,
  now: number,
): boolean {
  return session.endedAt === null && endOf(session, settings) > now && session.lastSeenAt + lifetimeOf(settings, session).idle > now;
}

/** The same for lists. */
export function aliveIn(settings: RealmSettings, now: number): Alive {
  const since = (remember: boolean) => {
    const { idle, longest } = lifetimeOf(settings, { remember });
    return { seenSince: now - idle, begunSince: now - longest };
  };
  return { now, ...since(false), remembered: since(true) };
}
