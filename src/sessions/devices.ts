/**
 * The browsers that users sign in with, as those users know them.
 *
 * A **known** device is a browser with which a sign-in of this user was complete. Its cookie holds a random token, is never
 * read as proof of anything, and does three things: a browser without it is a new device to the policy; the user's password
 * has a counter of its own on it (throttle.ts); and the factor that was used here last is asked first. When somebody else
 * signs in with the same browser, it gets a new cookie for everybody: one that was planted is worth nothing after that.
 *
 * A known device may be a **trusted** one as well (trusted-devices.ts). Both are read with one query, and judged here.
 */
import { randomUUID } from 'node:crypto';
import type { AuditOrigin } from '../audit/event.ts';
import { randomToken, sha256 } from '../crypto/codes.ts';
import type { Facts } from '../policy/policy.ts';
import type { Database } from '../store/database.ts';
import { type DeviceRow, insertDevice, noteNetwork, renameBrowser, touchDevice, trimDevices } from '../store/devices.ts';
import type { Queries } from '../store/rows.ts';
import { type At, devicesAt, type SeenAt } from '../store/seen-devices.ts';
import { lockUser } from '../store/users.ts';
import { networkOf } from './addresses.ts';
import type { Browser, Series } from './browser.ts';
import { basisOf, beginSeries, type CredentialShape, endCopied, isOfNow, type TrustedDevice, type Whom } from './trusted-devices.ts';

/** Who signs in with private windows has a new one each time. */
const MOST_KNOWN = 30;
/** A network that is known is written once a day. */
const NETWORK_EVERY_MS = 86_400_000;
const MAX_USER_AGENT = 300;

/** What is stored of a user at this browser. */
export type LookedUp = SeenAt;

/** What this browser is to this user. */
export interface DeviceStanding {
  /** Undefined for a browser that the user has not signed in with. */
  device: DeviceRow | undefined;
  /** The token of a device that is trusted now. */
  trusted: TrustedDevice | null;
  /** A device whose token was used before, or came from another browser. */
  copied: DeviceRow | undefined;
  /** How many devices the user has. */
  count: number;
  facts: Pick<Facts, 'device' | 'risk'>;
}

/** What a browser is looked up by. */
export const placeOf = (browser: Browser): At => ({
  browser: hashOf(browser),
  ids: browser.series.map(({ id }) => id),
  network: browser.ip === null ? null : networkOf(browser.ip),
});

/** One query; for a user who does not exist as well. Who reads the user's facts too has it with them (facts.ts). */
export const lookUp = (knex: Queries, whom: Whom, browser: Browser): Promise<LookedUp> => devicesAt(knex, { ...whom, ...placeOf(browser) });

/** The device that this browser is of the user who was looked up, if the user has signed in with it. */
export const knownDevice = (looked: LookedUp | undefined, browser: Browser): DeviceRow | undefined =>
  looked?.devices.find((row) => row.browser === hashOf(browser));

/**
 * What a browser is to a user. Pure.
 *
 * @param credentials all of the user's, as they are stored now: trust ends with any change of them
 */
function judge(looked: LookedUp, browser: Browser, credentials: readonly CredentialShape[], now: number): DeviceStanding {
  const device = knownDevice(looked, browser);
  const basis = basisOf(credentials);
  const standing: DeviceStanding = {
    ...{ device, trusted: null, copied: undefined, count: looked.count },
    facts: { device: null, risk: risksOf(looked, browser, device) },
  };
  for (const { id, token } of browser.series) {
    const row = looked.devices.find((one) => one.id === id);
    if (!row?.trust || row.trust.until <= now || row.trust.basis !== basis) continue;
    if (row !== device || !isOfNow(row.trust, token, now)) standing.copied = row;
    else {
      standing.trusted = { device: row, token };
      standing.facts = { ...standing.facts, device: { trustedAt: row.trust.trustedAt } };
    }
  }
  return standing;
}

/**
 * What `decide` is told of a browser: whether it is trusted, and what is unusual about it. A token that was used before
 * ends its series here, at once.
 *
 * @param options.risk whether what is unusual matters; where it does not, a browser without a token costs no query
 * @param options.looked what was read already
 */
export async function deviceFacts(
  db: Database,
  whom: Whom & { credentials: readonly CredentialShape[]; clientId?: string | null },
  browser: Browser,
  now: number,
  options: { risk: boolean; looked?: LookedUp | undefined },
): Promise<DeviceStanding> {
  if (!options.risk && browser.series.length === 0)
    return { device: undefined, trusted: null, copied: undefined, count: 0, facts: { device: null, risk: [] } };
  const standing = judge(options.looked ?? (await lookUp(db.knex, whom, browser)), browser, whom.credentials, now);
  if (!options.risk) standing.facts = { ...standing.facts, risk: [] };
  if (!standing.copied) return standing;
  await endCopied(db, whom, standing.copied, browser, now);
  return { ...standing, trusted: null, facts: { ...standing.facts, device: null } };
}

/** A sign-in that is complete. */
export interface CompleteSignIn extends Whom {
  credentials: readonly CredentialShape[];
  /** The second factor that was shown, if one was. */
  factor: string | null;
  /** Everything was shown that this user has: the device and the network are not new from now on. */
  confirmed: boolean;
  /** The user asked to be spared the factor here, for as many seconds as the policy lets; null or 0 for not at all. */
  remember: number | null;
  /** How many devices of the user there were when the browser was looked up. */
  devices: number;
}

/**
 * Remembers where somebody signed in, and trusts the device if that was asked for.
 *
 * @returns what the browser's cookies are to hold
 */
export async function rememberDevice(
  db: Database,
  signIn: CompleteSignIn,
  browser: Browser,
  origin: AuditOrigin,
): Promise<{ token: string; series: Series | null }> {
  const { realmId, userId, factor, confirmed } = signIn;
  const now = origin.at;
  const seen = { realmId, userId, factor, confirmed, now, userAgent: browser.userAgent?.slice(0, MAX_USER_AGENT) ?? null, ip: browser.ip };
  const before = hashOf(browser);
  const known = before === null ? undefined : await touchDevice(db.knex, { ...seen, browser: before });
  const network = confirmed && browser.ip !== null ? networkOf(browser.ip) : null;
  const noted = async (queries: Queries) => {
    if (network !== null) await noteNetwork(queries, { realmId, userId, network, now, everyMs: NETWORK_EVERY_MS });
  };
  const trust = signIn.remember !== null && signIn.remember > 0 && factor !== null ? signIn.remember : null;
  if (known !== undefined && browser.token !== null && trust === null) {
    await noted(db.knex);
    return { token: browser.token, series: null };
  }
  const token = known === undefined ? randomToken() : (browser.token ?? randomToken());
  const id = known ?? randomUUID();
  const inserted = async (queries: Queries) => {
    const { userAgent, ip } = seen;
    const times = { firstSeenAt: now, lastSeenAt: now, confirmedAt: confirmed ? now : null };
    await insertDevice(queries, { realmId, id, userId, browser: sha256(token), ...times, lastFactor: factor, userAgent, ip });
    if (signIn.devices >= MOST_KNOWN) await trimDevices(queries, realmId, userId, MOST_KNOWN);
  };
  if (known === undefined && before === null && trust === null) {
    // A row each, of which neither needs the other.
    await inserted(db.knex);
    await noted(db.knex);
    return { token, series: null };
  }
  return db.transaction(async (trx) => {
    // First of all: each row below takes a share of this lock by its foreign key, and two that want the rest wait for each other.
    await lockUser(trx, realmId, userId);
    if (known === undefined) {
      if (before !== null) await renameBrowser(trx, realmId, before, sha256(token));
      await inserted(trx);
    }
    await noted(trx);
    return { token, series: trust === null ? null : await beginSeries(trx, { ...signIn, id, seconds: trust }, origin) };
  });
}

/**
 * What is unusual. Until everything that a user has was shown once, a browser stays new: a password alone must not make it
 * known. The very first sign-in of a user is unlike nothing.
 */
function risksOf({ networkIsKnown, hasHistory }: LookedUp, browser: Browser, device: DeviceRow | undefined): Facts['risk'] {
  if (!hasHistory) return [];
  const isNewDevice = device === undefined || device.confirmedAt === null;
  const isNewNetwork = browser.ip !== null && !networkIsKnown;
  return [...(isNewDevice ? ['new-device' as const] : []), ...(isNewNetwork ? ['new-network' as const] : [])];
}

const hashOf = (browser: Browser): string | null => (browser.token === null ? null : sha256(browser.token));
