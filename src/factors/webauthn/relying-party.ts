/** Who we are to an authenticator: the origin that the browser must name, and the domain that keys are bound to. */
import type { RealmSettings } from '../../realms/settings.ts';

export interface RelyingParty {
  origin: string;
  /** The RP ID (WebAuthn section 5.1.2). */
  id: string;
}

/**
 * Undefined where browsers offer no WebAuthn at our origin, or the realm's domain is none that it belongs to: an address
 * in numbers has no domain, and anything but https only counts as safe on this very machine. Whether the domain is one
 * that is open to registration, such as `co.uk`, browsers know and check.
 */
export function relyingPartyAt(origin: string, settings: RealmSettings): RelyingParty | undefined {
  const { protocol, hostname } = new URL(origin);
  const isNumeric = /^\d+(\.\d+){3}$/.test(hostname) || hostname.startsWith('[');
  const isLocal = hostname === 'localhost' || hostname.endsWith('.localhost');
  if (isNumeric || (protocol !== 'https:' && !isLocal)) return undefined;
  const id = settings.webauthn.rpId ?? hostname;
  return hostname === id || hostname.endsWith(`.${id}`) ? { origin, id } : undefined;
}
