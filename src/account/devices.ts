/** The devices of a user: browsers that are known, which of them are spared the second step, and an end to either. */
import { z } from 'zod';
import { record } from '../audit/record.ts';
import { notFound } from '../errors.ts';
import { readForm } from '../http/input.ts';
import type { ConsoleSession } from '../http/relying.ts';
import { say, type Words } from '../languages/messages.ts';
import { browserOf } from '../sessions/browser.ts';
import { browserName } from '../sessions/device-names.ts';
import { knownDevice, lookUp } from '../sessions/devices.ts';
import { isTrusted, revokeTrust } from '../sessions/trusted-devices.ts';
import { type DeviceRow, deleteDevice, devicesOf } from '../store/devices.ts';
import { type AccountRequest, auditOrigin, common, done, takeNotice } from './room.ts';

interface DeviceModel {
  id: string;
  name: Words;
  /** The browser that is reading this. */
  here: boolean;
  /** ISO 8601. */
  firstSeenAt: string;
  lastSeenAt: string;
  ip: string | null;
  /** Until when the second step is not asked for; null where it is. */
  trustedUntil: string | null;
}

export async function showDevices(request: AccountRequest): Promise<void> {
  const { ctx, realm, relying, db, at, origin, render } = request;
  const signedIn = await relying.requireSession(ctx, realm, 'account');
  if (!signedIn) return;
  const { user, credentials } = signedIn;
  const whom = { realmId: realm.realm.id, userId: user.id };
  const browser = browserOf(ctx, { id: realm.realm.id, rootSecret: realm.rootSecret }, origin);
  const [rows, looked] = await Promise.all([devicesOf(db.knex, whom.realmId, whom.userId), lookUp(db.knex, whom, browser)]);
  const here = knownDevice(looked, browser)?.id;
  const trusted = (row: DeviceRow) => isTrusted(row, credentials, at) && (row.trust?.trustedAt ?? 0) >= user.notBefore;
  const devices = rows.map((row) => modelOf(row, { here: row.id === here, trusted: trusted(row) }));
  await render(
    ctx,
    'account/devices',
    { ...common(request, user), notice: takeNotice(request), devices, trusts: devices.some(({ trustedUntil }) => trustedUntil !== null) },
    200,
  );
}

/** Asks for the second step again: on one device, or on all of them. */
export async function endTrust(request: AccountRequest, id: string): Promise<void> {
  const signedIn = await recently(request);
  if (!signedIn) return;
  const { user } = signedIn;
  const whom = { realmId: request.realm.realm.id, userId: user.id };
  await request.db.transaction((trx) => revokeTrust(trx, whom, id === '' ? {} : { id }, 'user', auditOrigin(request, user)));
  done(request, id === '' ? 'untrustedAll' : 'untrusted', `${request.base}/devices`);
}

/** Forgets a device: the next sign-in with it is one with a new device. */
export async function forgetDevice(request: AccountRequest, id: string): Promise<void> {
  const signedIn = await recently(request);
  if (!signedIn) return;
  const { user } = signedIn;
  const realmId = request.realm.realm.id;
  const forgotten = await request.db.transaction(async (trx) => {
    const origin = auditOrigin(request, user);
    await revokeTrust(trx, { realmId, userId: user.id }, { id }, 'user', origin);
    const gone = await deleteDevice(trx, realmId, user.id, id);
    if (gone) await record(trx, origin, { type: 'device.forgotten', details: { device: id } });
    return gone;
  });
  if (!forgotten) throw notFound(say('devices.gone'));
  done(request, 'forgotten', `${request.base}/devices`);
}

async function recently({ ctx, realm, relying, base }: AccountRequest): Promise<ConsoleSession | undefined> {
  await readForm(ctx, z.object({}));
  return relying.requireSession(ctx, realm, 'account', { recent: true, returnTo: `${base}/devices` });
}

function modelOf(row: DeviceRow, is: { here: boolean; trusted: boolean }): DeviceModel {
  return {
    id: row.id,
    name: browserName(row.userAgent),
    here: is.here,
    firstSeenAt: new Date(row.firstSeenAt).toISOString(),
    lastSeenAt: new Date(row.lastSeenAt).toISOString(),
    ip: row.ip,
    trustedUntil: is.trusted && row.trust ? new Date(row.trust.until).toISOString() : null,
  };
}
