/**
 * The browser behind a request, to the user of its session: what `decide` is told of it, and what is remembered of it once
 * a sign-in is complete. Both happen here and not in the sign-in pages, because here is where it is decided for good.
 */
import type { KoaContextWithOIDC } from 'oidc-provider';
import { type Decision, PASSWORD } from '../policy/decide.ts';
import { browserOf, keepSeries, keepToken } from '../sessions/browser.ts';
import { type DeviceStanding, deviceFacts, type LookedUp, rememberDevice } from '../sessions/devices.ts';
import type { SignIn, SignInState } from '../sessions/sign-ins.ts';
import { useTrust } from '../sessions/trusted-devices.ts';
import type { CredentialRow } from '../store/credentials.ts';
import type { RealmRoom } from './room.ts';

interface Whose {
  userId: string;
  /** The sign-in that the browser comes back from. */
  signIn: SignIn<SignInState> | undefined;
  credentials: readonly CredentialRow[];
}

/** What this request's browser is to the user. */
export function deviceOf(
  room: RealmRoom,
  ctx: KoaContextWithOIDC,
  { userId, signIn, credentials, looked }: Whose & { looked: LookedUp | undefined },
): Promise<DeviceStanding> {
  const { realm, rootSecret } = room.context;
  const whom = { realmId: realm.id, userId, credentials, clientId: ctx.oidc.client?.clientId ?? null };
  const browser = browserOf(ctx, { id: realm.id, rootSecret }, room.origin);
  // What is unusual is asked of sign-ins; a session goes on wherever its user goes.
  return deviceFacts(room.db, whom, browser, room.now(), { risk: signIn !== undefined, looked });
}

/**
 * Acts on a decision: the token of a trusted device that spared a question moves on, and after a sign-in the browser is
 * remembered, and trusted if its user asked for that.
 *
 * @param complete what was decided of a sign-in that was claimed by this request; the owned factors are those of that moment
 * @returns false when the trust that it stands on is gone since: the question has to be asked after all
 */
export async function settleDevice(
  room: RealmRoom,
  ctx: KoaContextWithOIDC,
  whose: Whose & { device: DeviceStanding; isNew: boolean },
  decision: Extract<Decision, { ask: 'nothing' }>,
  ownsFactors: boolean,
): Promise<boolean> {
  const { userId, signIn, credentials, device, isNew } = whose;
  const { realm, rootSecret } = room.context;
  const browser = browserOf(ctx, { id: realm.id, rootSecret }, room.origin);
  const origin = {
    realmId: realm.id,
    at: room.now(),
    actor: userId,
    subject: userId,
    clientId: ctx.oidc.client?.clientId ?? null,
    transactionId: signIn?.row.id ?? null,
    ip: browser.ip,
    userAgent: browser.userAgent,
  };
  if (decision.spared === 'device') {
    const series = device.trusted && (await useTrust(room.db, device.trusted, browser, origin));
    if (!series) return false;
    keepSeries(ctx, browser, room.origin, series);
  }
  if (!isNew || !signIn) return true;
  const { proofs, rememberDevice: wished } = signIn.state;
  const factor = proofs.findLast((proof) => proof.factor !== PASSWORD)?.factor ?? null;
  const confirmed = !ownsFactors || decision.spared === 'device' || decision.counted.some((proof) => proof.factor !== PASSWORD);
  const remember = wished ? decision.remember : null;
  const seen = { realmId: realm.id, userId, credentials, factor, confirmed, remember, devices: device.count };
  const kept = await rememberDevice(room.db, seen, browser, origin);
  keepToken(ctx, browser, room.origin, kept.token);
  if (kept.series) keepSeries(ctx, browser, room.origin, kept.series);
  return true;
}
