/**
 * Browsers that users have signed in with: one row a browser and user, with the token by which it may be trusted, and the
 * networks that a user is known from. Tokens are stored as their SHA-256, and every change of one is a compare-and-set.
 * What all of it says of the browser of a request is read in seen-devices.ts.
 */
import type { Knex } from 'knex';

export interface DeviceRow {
  realmId: string;
  id: string;
  userId: string;
  /** SHA-256 of the browser's cookie. */
  browser: string;
  firstSeenAt: number;
  lastSeenAt: number;
  /** When a sign-in with all that the user had to show was first complete here. */
  confirmedAt: number | null;
  /** The second factor that was used last here. */
  lastFactor: string | null;
  userAgent: string | null;
  ip: string | null;
  /** Null where the device is not trusted, or not any more. */
  trust: Trust | null;
}

export interface Trust {
  /** SHA-256 of the newest token, and of the one that it took the place of. */
  hash: string;
  before: string | null;
  rotatedAt: number;
  /** When a factor was shown for it. */
  trustedAt: number;
  until: number;
  /** A digest of the credentials that the user had then. */
  basis: string;
}

export interface DeviceRecord {
  realm_id: string;
  id: string;
  user_id: string;
  browser: string;
  first_seen_at: number;
  last_seen_at: number;
  confirmed_at: number | null;
  last_factor: string | null;
  user_agent: string | null;
  ip: string | null;
  trust_hash: string | null;
  trust_before: string | null;
  trust_rotated_at: number | null;
  trusted_at: number | null;
  trust_until: number | null;
  trust_basis: string | null;
}

const NO_TRUST = { trust_hash: null, trust_before: null, trust_rotated_at: null, trusted_at: null, trust_until: null, trust_basis: null };

/** A row as the rest of the house has it. */
export const fromRecord = (row: DeviceRecord): DeviceRow => ({
  realmId: row.realm_id,
  id: row.id,
  userId: row.user_id,
  browser: row.browser,
  firstSeenAt: row.first_seen_at,
  lastSeenAt: row.last_seen_at,
  confirmedAt: row.confirmed_at,
  lastFactor: row.last_factor,
  userAgent: row.user_agent,
  ip: row.ip,
  trust:
    row.trust_hash === null
      ? null
      : {
          hash: row.trust_hash,
          before: row.trust_before,
          rotatedAt: row.trust_rotated_at ?? 0,
          trustedAt: row.trusted_at ?? 0,
          until: row.trust_until ?? 0,
          basis: row.trust_basis ?? '',
        },
});

type Key = Pick<DeviceRow, 'realmId' | 'id'>;
const where = ({ realmId, id }: Key) => ({ realm_id: realmId, id });

/** Records that a user signed in on a device that is known; answers its id, or undefined when it is not known. */
export async function touchDevice(
  knex: Knex,
  seen: {
    realmId: string;
    userId: string;
    browser: string;
    factor: string | null;
    userAgent: string | null;
    ip: string | null;
    confirmed: boolean;
    now: number;
  },
): Promise<string | undefined> {
  const touched = await knex('devices')
    .where({ realm_id: seen.realmId, user_id: seen.userId, browser: seen.browser })
    .update({
      last_seen_at: seen.now,
      user_agent: seen.userAgent,
      ip: seen.ip,
      ...(seen.factor === null ? {} : { last_factor: seen.factor }),
      ...(seen.confirmed ? { confirmed_at: knex.raw('COALESCE(confirmed_at, ?)', [seen.now]) } : {}),
    })
    .returning('id');
  return touched[0]?.id;
}

export async function insertDevice(trx: Knex, row: Omit<DeviceRow, 'trust'>): Promise<void> {
  await trx('devices').insert({
    realm_id: row.realmId,
    id: row.id,
    user_id: row.userId,
    browser: row.browser,
    first_seen_at: row.firstSeenAt,
    last_seen_at: row.lastSeenAt,
    confirmed_at: row.confirmedAt,
    last_factor: row.lastFactor,
    user_agent: row.userAgent,
    ip: row.ip,
  });
}

/** The browser gets another cookie: everybody's device that it is goes with it. */
export async function renameBrowser(trx: Knex, realmId: string, browser: string, to: string): Promise<void> {
  await trx('devices').where({ realm_id: realmId, browser }).update({ browser: to });
}

/** Keeps the devices of a user that were seen last. */
export async function trimDevices(trx: Knex, realmId: string, userId: string, most: number): Promise<void> {
  const older = trx('devices').where({ realm_id: realmId, user_id: userId }).orderBy('last_seen_at', 'desc').offset(most).limit(1_000).pluck('id');
  const ids = await older;
  if (ids.length > 0) await trx('devices').where({ realm_id: realmId, user_id: userId }).whereIn('id', ids).delete();
}

/** Records where a user signed in from; one that is known is written at most once in `everyMs`. */
export async function noteNetwork(
  trx: Knex,
  seen: { realmId: string; userId: string; network: string; now: number; everyMs: number },
): Promise<void> {
  await trx.raw(
    `INSERT INTO known_networks (realm_id, user_id, network, first_seen_at, last_seen_at) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (realm_id, user_id, network) DO UPDATE SET last_seen_at = excluded.last_seen_at WHERE known_networks.last_seen_at < ?`,
    [seen.realmId, seen.userId, seen.network, seen.now, seen.now, seen.now - seen.everyMs],
  );
}

/** Begins the series of a device, in the place of one that there may be. */
export async function trustDevice(trx: Knex, key: Key, trust: Trust): Promise<boolean> {
  const trusted = await trx('devices').where(where(key)).update({
    trust_hash: trust.hash,
    trust_before: trust.before,
    trust_rotated_at: trust.rotatedAt,
    trusted_at: trust.trustedAt,
    trust_until: trust.until,
    trust_basis: trust.basis,
  });
  return trusted === 1;
}

/** Puts the next token in the place of the newest one; false when that is another by now. */
export async function rotateTrust(knex: Knex, key: Key, hash: { newest: string; next: string }, now: number): Promise<boolean> {
  const rotated = await knex('devices')
    .where({ ...where(key), trust_hash: hash.newest })
    .where('trust_until', '>', now)
    .update({ trust_hash: hash.next, trust_before: hash.newest, trust_rotated_at: now });
  return rotated === 1;
}

/** The hash of the newest token as it is stored now; null when the device is not trusted. */
export async function newestTrust(knex: Knex, key: Key): Promise<string | null> {
  const row = await knex('devices').where(where(key)).first('trust_hash');
  return row?.trust_hash ?? null;
}

/**
 * Ends the trust of a user's devices; answers those of which it ended, each once.
 *
 * @param which one of them, if its newest token is still that one, or all but those trusted last
 */
export async function endTrust(
  knex: Knex,
  realmId: string,
  userId: string,
  which: { id?: string; hash?: string; butNewest?: number } = {},
): Promise<string[]> {
  const query = knex('devices').where({ realm_id: realmId, user_id: userId }).whereNotNull('trust_hash');
  if (which.id !== undefined) query.where({ id: which.id });
  if (which.hash !== undefined) query.where({ trust_hash: which.hash });
  if (which.butNewest !== undefined) {
    const kept = await knex('devices')
      .where({ realm_id: realmId, user_id: userId })
      .whereNotNull('trust_hash')
      .orderBy([{ column: 'trusted_at', order: 'desc' }, 'id'])
      .limit(which.butNewest)
      .pluck('id');
    query.whereNotIn('id', kept);
  }
  const ended: { id: string }[] = await query.update(NO_TRUST).returning('id');
  return ended.map(({ id }) => id);
}

/** A user's devices, the one seen last first. */
export async function devicesOf(knex: Knex, realmId: string, userId: string): Promise<DeviceRow[]> {
  const rows = await knex<DeviceRecord>('devices')
    .where({ realm_id: realmId, user_id: userId })
    .orderBy([{ column: 'last_seen_at', order: 'desc' }, 'id']);
  return rows.map(fromRecord);
}

/** True when there was such a device of this user. */
export async function deleteDevice(trx: Knex, realmId: string, userId: string, id: string): Promise<boolean> {
  return (await trx('devices').where({ realm_id: realmId, user_id: userId, id }).delete()) === 1;
}
