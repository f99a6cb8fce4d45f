/**
 * For how long sessions stand: until they lie idle for too long, and until their absolute end. What was proved in them ends
 * earlier, by its level (policy/proofs.ts), and no setting here makes it last longer.
 */
import type { RealmSettings } from '../realms/settings.ts';
import type { Alive } from '../store/session-lists.ts';
import type { SessionRow } from '../store/sessions.ts';

/** How long a session may last and lie idle, in milliseconds. */
export const lifetimeOf = (settings: RealmSettings): { longest: number; idle: number } => ({
  longest: settings.ssoSessionMaxLifespan * 1000,
  idle: settings.ssoSessionIdleTimeout * 1000,
});

/** True while neither the idle nor the absolute end has come. */
export function isAlive(session: Pick<SessionRow, 'createdAt' | 'endedAt' | 'endsAt' | 'lastSeenAt'>, settings: RealmSettings, now: number): boolean {
  const { idle, longest } = lifetimeOf(settings);
  return session.endedAt === null && session.endsAt > now && session.createdAt + longest > now && session.lastSeenAt + idle > now;
}

/** The same for lists. */
export function aliveIn(settings: RealmSettings, now: number): Alive {
  const { idle, longest } = lifetimeOf(settings);
  return { now, seenSince: now - idle, begunSince: now - longest };
}
