/**
 * A client's part of a session: for how long its refresh tokens last, and how long they may lie unused. Keycloak's attributes
 * of the client say so, else the realm's settings of the same meaning, else what holds for the session itself, which is never
 * exceeded.
 */

import { notBeforeOf } from '../../realms/keycloak-settings.ts';
import type { RealmSettings } from '../../realms/settings.ts';
import { lifetimeOf } from '../../sessions/lifetimes.ts';
import type { ClientRow } from '../../store/clients.ts';
import { secondsOf } from './client-metadata.ts';

/** As long as nothing else ends them, where the realm gives offline tokens no end: in seconds. */
const NO_END = 10 * 365 * 86_400;

/** The longest that an offline token of the realm may last, in seconds. */
export const offlineLongest = ({ offlineSessionMaxLifespanEnabled, offlineSessionMaxLifespan }: RealmSettings): number =>
  offlineSessionMaxLifespanEnabled ? offlineSessionMaxLifespan : NO_END;

/** Seconds from the first refresh token of a family on; undefined where there is no bound but the session's. */
export function longestOf(row: ClientRow, settings: RealmSettings, offline: boolean): number | undefined {
  return offline
    ? (secondsOf(row, 'client.offline.session.max.lifespan') ?? (settings.clientOfflineSessionMaxLifespan || undefined))
    : (secondsOf(row, 'client.session.max.lifespan') ?? (settings.clientSessionMaxLifespan || undefined));
}

/** Seconds without a refresh after which a client's tokens of a session end; undefined where only the session lies idle. */
export function idleOf(row: ClientRow, settings: RealmSettings): number | undefined {
  return secondsOf(row, 'client.session.idle.timeout') ?? (settings.clientSessionIdleTimeout || undefined);
}

/** The same of offline tokens, which have no session to be active in. */
export function offlineIdleOf(row: ClientRow, settings: RealmSettings): number {
  const own = secondsOf(row, 'client.offline.session.idle.timeout') ?? (settings.clientOfflineSessionIdleTimeout || undefined);
  return Math.min(own ?? Number.POSITIVE_INFINITY, settings.offlineSessionIdleTimeout);
}

/** Seconds that a refresh token which was used just now may lie unused from then on. */
export function unusedFor(row: ClientRow, settings: RealmSettings, of: { offline: boolean; remember: boolean }): number {
  if (of.offline) return offlineIdleOf(row, settings);
  return Math.min(idleOf(row, settings) ?? Number.POSITIVE_INFINITY, lifetimeOf(settings, of).idle / 1000);
}

/** Tokens of a client that were issued before are void, offline ones too: by the client's `notBefore`, or the realm's. In seconds. */
export const voidBefore = (row: ClientRow, settings: RealmSettings): number => Math.max(row.kept.notBefore, notBeforeOf(settings));
