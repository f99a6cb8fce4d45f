/**
 * What a client and its realm say of requests that are answered elsewhere (OpenID Connect Client-Initiated Backchannel
 * Authentication Core 1.0, CIBA): Keycloak's attributes.
 */
import type { ClientRow } from '../store/clients.ts';
import type { RealmSettings } from './settings.ts';

/** Of clients. Off as made, and for clients that can show who they are. */
export const CIBA_ENABLED = 'oidc.ciba.grant.enabled';
/** `poll`, and nothing else is offered. */
export const CIBA_DELIVERY = 'ciba.backchannel.token.delivery.mode';
/** What the client signs its requests with; it then sends no others. */
export const CIBA_SIGNED = 'ciba.backchannel.auth.request.signing.alg';

/** Of realms: seconds that a request waits for its user, and that a client waits between its questions. */
const EXPIRES_IN = { name: 'cibaExpiresIn', least: 10, most: 3_600, otherwise: 600 };
const INTERVAL = { name: 'cibaInterval', least: 0, most: 600, otherwise: 5 };

export const mayAskElsewhere = ({ attributes, publicClient }: Pick<ClientRow, 'attributes' | 'publicClient'>): boolean =>
  attributes[CIBA_ENABLED] === 'true' && !publicClient;

/** Seconds. What was kept of a realm without being looked at counts as if it were not there. */
export const cibaLifetimes = ({ attributes }: Pick<RealmSettings, 'attributes'>): { expiresIn: number; interval: number } => ({
  expiresIn: secondsIn(attributes, EXPIRES_IN),
  // Keycloak's 0 is no wait; nobody needs to ask faster than each second.
  interval: Math.max(1, secondsIn(attributes, INTERVAL)),
});

type Bounds = typeof EXPIRES_IN;

const fits = (value: string, { least, most }: Bounds): boolean => /^\d{1,5}$/.test(value) && Number(value) >= least && Number(value) <= most;

function secondsIn(attributes: RealmSettings['attributes'], bounds: Bounds): number {
  const value = attributes[bounds.name] ?? '';
  return fits(value, bounds) ? Number(value) : bounds.otherwise;
}

/** What is wrong with an attribute of a realm; undefined when nothing is. */
export function cibaProblem(attributes: Readonly<Record<string, string>>): { name: string; says: string } | undefined {
  for (const bounds of [EXPIRES_IN, INTERVAL]) {
    const { name, least, most } = bounds;
    const value = attributes[name] ?? '';
    if (value !== '' && !fits(value, bounds)) return { name, says: `must be a number of seconds from ${least} to ${most}` };
  }
  return undefined;
}
