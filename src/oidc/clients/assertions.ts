/**
 * Signed statements by which clients authenticate (`client_secret_jwt` and `private_key_jwt`, RFC 7523): what we ask of them
 * beyond the library, which has compared issuer, subject and client, found the audience and verified the signature.
 */
import { errors, type Provider } from 'oidc-provider';
import { LONGEST_ASSERTION } from '../../realms/client-credentials.ts';
import { AlreadyUsed } from '../storage/adapter.ts';
import { rowOf, secondsOf } from './client-metadata.ts';

/** Seconds that an assertion may be good for. Most clients say a minute; some libraries an hour. */
const LONGEST = 3_600;

/** 401; the library would say less, and whoever signed it may know what is wrong with it. */
class UnfitAssertion extends errors.InvalidClientAuth {
  constructor(what: string) {
    super(what);
    this.error_description = `client authentication failed: ${what}`;
  }
}

/** The library's `assertJwtClientAuthClaimsAndHeader`. @param tolerance seconds */
export function checkAssertion(
  { now, tolerance }: { now: () => number; tolerance: number },
  claims: Readonly<Record<string, unknown>>,
  header: Readonly<Record<string, unknown>>,
  client: { [key: string]: unknown },
): void {
  const seconds = Math.floor(now() / 1000);
  const { exp, iat, jti, aud, sub } = claims;
  // The signature covers it, and yet nobody here knows what it asks for (RFC 7515 section 4.1.11).
  if (header.crit !== undefined) throw new UnfitAssertion('its header has a crit');
  // One that is made out to others too could be theirs to use.
  if (Array.isArray(aud) && aud.length !== 1) throw new UnfitAssertion('its aud names more than one audience; name the issuer alone');
  if (sub !== client.clientId) throw new UnfitAssertion('its sub is not the client_id');
  if (typeof jti !== 'string' || jti === '') throw new UnfitAssertion('its jti is no text');
  if (iat !== undefined && (typeof iat !== 'number' || iat > seconds + tolerance)) throw new UnfitAssertion('its iat is not in the past');
  const longest = Math.min(secondsOf(rowOf(client), LONGEST_ASSERTION) ?? LONGEST, LONGEST);
  if (typeof exp !== 'number' || !Number.isFinite(exp) || exp > seconds + longest + tolerance)
    throw new UnfitAssertion(`its exp is more than ${longest} seconds away`);
}

/**
 * What was used is used, whichever of several nodes sees it first: the library looks and then saves, but the save is one
 * conditional INSERT (adapter.ts), and whoever is too late is told as the library tells its own finds.
 */
export function installReplayDetection({ ReplayDetection }: Provider): void {
  const unique = ReplayDetection.unique.bind(ReplayDetection);
  ReplayDetection.unique = async (issuer, jti, exp) => {
    try {
      // The library puts both together as they are: `ab` and `c` would be `a` and `bc`. No client_id has a space.
      return await unique(`${issuer} `, jti, exp);
    } catch (error) {
      if (error instanceof AlreadyUsed) return false;
      throw error;
    }
  };
}
