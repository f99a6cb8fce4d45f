/**
 * Trusted devices: known ones (devices.ts) whose user asked to be spared the second factor there. Trust raises nothing:
 * it spares a question where the policy lets it (policy/decide.ts). The device's second cookie holds a token of a series, which moves on with each use:
 *
 *     T0 ─ use ─► T1 ─ use ─► T2      each is HMAC(the realm's secret, device and the token before)
 *
 * Only hashes are stored. A token that was used before says that somebody has a copy: the series ends, for the thief and
 * for the owner. Two requests of one browser at once both come with T0, though, and an answer may get lost on its way.
 * So for TOLERANCE_MS after a move the token before it is answered with the very same T1, which can be computed from it
 * and nothing else; a thief with a copy of T0 in those seconds gets the same T1 as its owner, and the series ends at the
 * next use by either.
 */
import type { AuditOrigin } from '../audit/event.ts';
import { record } from '../audit/record.ts';
import { hmac, randomToken, sha256 } from '../crypto/codes.ts';
import { derive } from '../crypto/keyring.ts';
import type { Database } from '../store/database.ts';
import { type DeviceRow, endTrust, newestTrust, rotateTrust, trustDevice } from '../store/devices.ts';
import type { Queries, Transaction } from '../store/rows.ts';
import type { Browser, Series } from './browser.ts';

const SECOND = 1_000;

/** For how long the token before the newest is still that of the same browser: longer than a page takes to load, shorter than somebody takes to use a copy. */
const TOLERANCE_MS = 10 * SECOND;
/** Thirty days, whatever the policy says. */
const LONGEST_TRUST_MS = 30 * 86_400 * SECOND;
const MOST_TRUSTED = 5;

/** A user of a realm. */
export interface Whom {
  realmId: string;
  userId: string;
}

/** What trust depends on. */
export interface CredentialShape {
  id: string;
  enabled: boolean;
}

/** A device that is trusted now, and the token that its browser came with. */
export interface TrustedDevice {
  device: DeviceRow;
  token: string;
}

/**
 * Uses the trust of a device: the token moves on. Undefined when it is worth nothing any more, because it was revoked, or
 * used by somebody else, since it was read.
 */
export async function useTrust(db: Database, trusted: TrustedDevice, browser: Browser, origin: AuditOrigin): Promise<Series | undefined> {
  const { device, token } = trusted;
  const next = nextToken(browser, device.id, token);
  const hash = { newest: sha256(token), next: sha256(next) };
  const moved = await rotateTrust(db.knex, device, hash, origin.at);
  if (!moved && (await newestTrust(db.knex, device)) !== hash.next) return undefined;
  await record(db.knex, origin, { type: 'mfa.trusted_device.used', details: { device: device.id } });
  return { id: device.id, token: next };
}

/** The first token of a series. The oldest of a user's trusted devices makes room for a sixth. */
export async function beginSeries(
  trx: Transaction,
  { realmId, userId, credentials, id, seconds }: Whom & { credentials: readonly CredentialShape[]; id: string; seconds: number },
  origin: AuditOrigin,
): Promise<Series> {
  const now = origin.at;
  const token = randomToken();
  const until = now + Math.min(seconds * SECOND, LONGEST_TRUST_MS);
  await trustDevice(trx, { realmId, id }, { hash: sha256(token), before: null, rotatedAt: now, trustedAt: now, until, basis: basisOf(credentials) });
  await record(trx, origin, { type: 'mfa.trusted_device.added', details: { device: id, until } });
  await revokeTrust(trx, { realmId, userId }, { butNewest: MOST_TRUSTED }, 'limit', origin);
  return { id, token };
}

/**
 * Ends the trust of a user's devices, in the transaction of what it ends with: a password that is set, a factor that comes,
 * goes or is switched off, a sign-out everywhere. Also without it trust is worth nothing once the credentials are others;
 * this says so, and keeps it from coming back with a factor that is switched on again.
 */
export async function revokeTrust(
  queries: Queries,
  { realmId, userId }: Whom,
  which: { id?: string; hash?: string; butNewest?: number },
  reason: 'user' | 'administrator' | 'credentials' | 'sign-out' | 'reuse' | 'limit',
  origin: AuditOrigin,
): Promise<string[]> {
  const devices = await endTrust(queries, realmId, userId, which);
  if (devices.length > 0) await record(queries, { ...origin, subject: userId }, { type: 'mfa.trusted_device.revoked', details: { devices, reason } });
  return devices;
}

/** Whether a device is trusted as of now, for lists: the same as for a sign-in, but for the token. */
export const isTrusted = ({ trust }: DeviceRow, credentials: readonly CredentialShape[], now: number): boolean =>
  trust !== null && trust.until > now && trust.basis === basisOf(credentials);

/** A token that was used before: the series ends, for whoever has it. */
export async function endCopied(
  db: Database,
  { realmId, userId, clientId = null }: Whom & { clientId?: string | null },
  device: DeviceRow,
  browser: Browser,
  now: number,
) {
  const { id, trust } = device;
  if (!trust) return;
  const origin = { realmId, at: now, actor: userId, subject: userId, clientId, ip: browser.ip, userAgent: browser.userAgent };
  await db.transaction(async (trx) => {
    const ended = await revokeTrust(trx, { realmId, userId }, { id, hash: trust.hash }, 'reuse', origin);
    if (ended.length > 0) await record(trx, origin, { type: 'mfa.trusted_device.reuse_detected', details: { device: id } });
  });
}

/** A digest of the credentials, which trust is bound to. */
export const basisOf = (credentials: readonly CredentialShape[]): string =>
  sha256(JSON.stringify(credentials.map(({ id, enabled }) => `${id} ${enabled}`).sort()));

/** Whether a token is the newest of its series, or the one before within the tolerance. */
export function isOfNow(trust: NonNullable<DeviceRow['trust']>, token: string, now: number): boolean {
  const hash = sha256(token);
  return hash === trust.hash || (hash === trust.before && now - trust.rotatedAt <= TOLERANCE_MS);
}

const nextToken = (browser: Browser, id: string, token: string): string => hmac(derive(browser.realm.rootSecret, 'trusted devices'), id, token);
