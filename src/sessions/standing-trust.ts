/**
 * Trusted devices as seen from a place that never sees their cookies, such as a host behind the gate: which one has spared
 * a sign-in a question, and whether it would do so now.
 */
import type { Facts } from '../policy/policy.ts';
import { devicesOf } from '../store/devices.ts';
import type { Queries } from '../store/rows.ts';
import { devicesAt } from '../store/seen-devices.ts';
import { type CredentialShape, isTrusted } from './trusted-devices.ts';

interface Whom {
  realmId: string;
  userId: string;
}

/** Of two requests of one browser at once, the second finds its token moved on by the first, a moment ago. */
const JUST_BEFORE_MS = 10_000;

/** What `decide` is told of a device; null for one that is not trusted, or not any more. One query. */
export async function standingTrust(
  knex: Queries,
  whom: Whom,
  id: string,
  credentials: readonly CredentialShape[],
  now: number,
): Promise<Facts['device']> {
  const { devices } = await devicesAt(knex, { ...whom, browser: null, ids: [id], network: null });
  const device = devices.find((row) => row.id === id);
  return device?.trust && isTrusted(device, credentials, now) ? { trustedAt: device.trust.trustedAt } : null;
}

/** The id of the device whose trust was used last, if that was after a time: it has spared a sign-in a question. */
export async function recentTrust(knex: Queries, { realmId, userId }: Whom, since: number): Promise<string | null> {
  const used = (await devicesOf(knex, realmId, userId)).flatMap(({ id, trust }) => (trust ? [{ id, at: trust.rotatedAt }] : []));
  const [last] = used.filter(({ at }) => at >= since - JUST_BEFORE_MS).sort((a, b) => b.at - a.at);
  return last?.id ?? null;
}
