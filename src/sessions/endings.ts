/**
 * What is ended of somebody's, whoever ends it: the user on a page of the account console, or an administrator. Each runs
 * in a transaction that its caller records in; every ending of a session itself is `endSessionsIn`.
 *
 *     sign-out of one session    its grants end with it; offline access lives on
 *     sign-out everywhere        all sessions, and offline access where that was asked for
 *     access taken back          the consent and every grant of one application
 */
import type { AuditOrigin } from '../audit/event.ts';
import { devicesOf } from '../store/devices.ts';
import { deleteGrants } from '../store/oidc-payloads.ts';
import type { Transaction } from '../store/rows.ts';
import { deleteConsent, grantsAt, offlineGrants } from '../store/session-lists.ts';
import { updateUser } from '../store/user-changes.ts';
import { lockUser } from '../store/users.ts';
import { endSessionsIn } from './sessions.ts';
import { revokeTrust } from './trusted-devices.ts';

interface Whose {
  realmId: string;
  userId: string;
}

/** How many of each ended. */
export interface Ended {
  sessions: number;
  /** Grants of offline tokens. */
  offline: number;
}

/** What ends in a sign-out everywhere besides the sessions. */
export interface Everywhere {
  /** The provider's session that goes on. */
  butUid?: string;
  /** The access that applications have without a session. */
  offline: boolean;
}

/**
 * Signs a user out everywhere, or everywhere else.
 *
 * The sessions end first: a grant that another request is just making either finds its session ended, or is found here.
 * Where nothing at all is to go on, everything from before this moment is void besides, such as a sign-in that is about to
 * be finished in another browser.
 */
export async function signOutEverywhere(trx: Transaction, { realmId, userId }: Whose, { butUid, offline }: Everywhere, now: number): Promise<Ended> {
  await lockUser(trx, realmId, userId);
  const sessions = await endSessionsIn(trx, realmId, { userId, ...(butUid === undefined ? {} : { butUid }) }, now);
  const grants = offline ? await offlineGrants(trx, realmId, { userId }) : [];
  await deleteGrants(trx, realmId, grants);
  if (offline && butUid === undefined) await updateUser(trx, { realmId, id: userId }, { notBefore: now }, now);
  return { sessions, offline: grants.length };
}

/** Ends the offline access of one application. Answers how many grants that were. */
export async function endOfflineAccess(trx: Transaction, { realmId, userId }: Whose, clientRowId: string): Promise<number> {
  const grants = await offlineGrants(trx, realmId, { userId, clientRowId });
  await deleteGrants(trx, realmId, grants);
  return grants.length;
}

/** Takes back what a user allowed an application, with the tokens that it has. False when there was neither a consent nor offline access. */
export async function takeBackAccess(trx: Transaction, { realmId, userId }: Whose, clientRowId: string): Promise<boolean> {
  const offline = await offlineGrants(trx, realmId, { userId, clientRowId });
  const consented = await deleteConsent(trx, realmId, userId, clientRowId);
  if (!consented && offline.length === 0) return false;
  await deleteGrants(trx, realmId, await grantsAt(trx, realmId, userId, clientRowId));
  return true;
}

/** Ends the trust of all devices of a user but one. Answers of how many. */
export async function endTrustEverywhere(trx: Transaction, whose: Whose, but: string | undefined, origin: AuditOrigin): Promise<number> {
  if (but === undefined) return (await revokeTrust(trx, whose, {}, 'sign-out', origin)).length;
  const others = (await devicesOf(trx, whose.realmId, whose.userId)).filter(({ id, trust }) => trust !== null && id !== but);
  let ended = 0;
  for (const { id } of others) ended += (await revokeTrust(trx, whose, { id }, 'sign-out', origin)).length;
  return ended;
}
