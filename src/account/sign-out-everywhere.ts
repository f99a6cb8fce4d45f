/**
 * Signing out everywhere, or everywhere else: a page that says what will end, with two boxes that are ticked, and the end of
 * it. No fresh sign-in is asked for (sessions.ts says why).
 */
import { z } from 'zod';
import { record } from '../audit/record.ts';
import { readForm } from '../http/input.ts';
import type { ConsoleSession } from '../http/relying.ts';
import { say } from '../languages/messages.ts';
import { browserOf } from '../sessions/browser.ts';
import { knownDevice, lookUp } from '../sessions/devices.ts';
import { endTrustEverywhere, signOutEverywhere } from '../sessions/endings.ts';
import { aliveIn } from '../sessions/lifetimes.ts';
import { isTrusted } from '../sessions/trusted-devices.ts';
import { devicesOf } from '../store/devices.ts';
import { countOwnSessions } from '../store/own-access.ts';
import { type AccountRequest, auditOrigin, common, done } from './room.ts';
import { accessOf } from './sessions.ts';

/** A box that is ticked sends something, and one that is not sends nothing. */
const boxes = z.object({ offline: z.string().optional(), devices: z.string().optional() });

export const askSignOutElsewhere = (request: AccountRequest): Promise<void> => ask(request, false);
export const askSignOutEverywhere = (request: AccountRequest): Promise<void> => ask(request, true);
export const signOutElsewhere = (request: AccountRequest): Promise<void> => end(request, false);
export const signOutOfAll = (request: AccountRequest): Promise<void> => end(request, true);

const pathOf = (all: boolean): string => (all ? 'sign-out-everywhere' : 'sign-out-elsewhere');

async function ask(request: AccountRequest, all: boolean): Promise<void> {
  const { ctx, realm, relying, db, at, render } = request;
  const signedIn = await relying.requireSession(ctx, realm, 'account');
  if (!signedIn) return;
  const { user, credentials } = signedIn;
  const whose = { realmId: realm.realm.id, userId: user.id };
  const [sessions, applications, devices, here] = await Promise.all([
    countOwnSessions(db.knex, whose, aliveIn(realm.realm.settings, at)),
    accessOf(request, user.id),
    devicesOf(db.knex, whose.realmId, whose.userId),
    deviceHere(request, signedIn),
  ]);
  const trusted = devices.filter((row) => isTrusted(row, credentials, at) && (all || row.id !== here));
  await render(
    ctx,
    'account/sign-out-everywhere',
    {
      ...common(request, user),
      all,
      others: Math.max(0, sessions - 1),
      away: applications.flatMap(({ name, offline }) => (offline === null ? [] : [name])),
      trusted: trusted.length,
    },
    200,
  );
}

async function end(request: AccountRequest, all: boolean): Promise<void> {
  const { ctx, realm, relying, db, at, base } = request;
  const form = await readForm(ctx, boxes);
  const signedIn = await relying.requireSession(ctx, realm, 'account', { returnTo: `${base}/${pathOf(all)}` });
  if (!signedIn) return;
  const { user, session } = signedIn;
  const whose = { realmId: realm.realm.id, userId: user.id };
  const origin = auditOrigin(request, user);
  const here = all ? undefined : await deviceHere(request, signedIn);
  await db.transaction(async (trx) => {
    const everywhere = { offline: form.offline !== undefined, ...(all ? {} : { butUid: session.uid }) };
    const ended = await signOutEverywhere(trx, whose, everywhere, at);
    if (form.devices !== undefined) await endTrustEverywhere(trx, whose, here, origin);
    await record(trx, origin, { type: 'session.ended', details: { ...ended } });
  });
  if (all) return farewell(request);
  done(request, 'elsewhereEnded', `${base}/sessions`);
}

/** The device that reads this. */
async function deviceHere({ ctx, realm, db, origin }: AccountRequest, { user }: ConsoleSession): Promise<string | undefined> {
  const browser = browserOf(ctx, { id: realm.realm.id, rootSecret: realm.rootSecret }, origin);
  return knownDevice(await lookUp(db.knex, { realmId: realm.realm.id, userId: user.id }, browser), browser)?.id;
}

/** Nobody is signed in here any more: the page is not the console's. */
function farewell({ ctx, realm: { realm }, base, render }: AccountRequest): Promise<void> {
  return render(
    ctx,
    'message',
    {
      realm: { name: realm.name, displayName: realm.displayName },
      title: say('sessions.farewell.title'),
      message: say('sessions.farewell.message'),
      hint: say('sessions.farewell.hint'),
      reference: null,
      link: { href: base, label: say('sessions.farewell.again') },
    },
    200,
  );
}
