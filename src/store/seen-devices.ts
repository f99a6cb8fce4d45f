/** What a browser is to a user: the user's devices there, and whether the network is one of theirs. One query, or part of another. */
import type { Knex } from 'knex';
import { type DeviceRecord, type DeviceRow, fromRecord } from './devices.ts';

/** What is known of a user at a browser. */
export interface SeenAt {
  /** Of that browser, or of the ids that were asked for. */
  devices: DeviceRow[];
  networkIsKnown: boolean;
  /** The user has signed in from somewhere before: there is something to be unlike. */
  hasHistory: boolean;
  /** Of the user, at any browser. */
  count: number;
}

/** A browser, and where it is: what is null nobody has. */
export interface At {
  /** SHA-256 of its cookie. */
  browser: string | null;
  /** Of devices, as its other cookie names them. */
  ids: readonly string[];
  network: string | null;
}

type Prefixed<Row> = { [Column in keyof Row & string as `device_${Column}`]: Row[Column] };

/** What `joinSeen` selects: a device, or nulls where there is none. */
export type SeenRecord = Prefixed<Omit<DeviceRecord, 'id'>> & {
  device_id: string | null;
  network_known: string | null;
  any_network: string | null;
  user_not_before: number;
  device_count: number;
};

const COLUMNS: readonly (keyof DeviceRecord)[] = [
  ...(['realm_id', 'id', 'user_id', 'browser', 'first_seen_at', 'last_seen_at', 'confirmed_at', 'last_factor', 'user_agent', 'ip'] as const),
  ...(['trust_hash', 'trust_before', 'trust_rotated_at', 'trusted_at', 'trust_until', 'trust_basis'] as const),
];

/** One query, for a user who does not exist as well. */
export async function devicesAt(knex: Knex, at: At & { realmId: string; userId: string }): Promise<SeenAt> {
  const query = knex('users').where({ 'users.realm_id': at.realmId, 'users.id': at.userId });
  const rows: SeenRecord[] = await joinSeen(knex, query, at);
  return seenFrom(rows);
}

/** Joins what a browser is to a user to a query that has that user's row: a row a device. */
export function joinSeen(knex: Knex, query: Knex.QueryBuilder, at: At & { realmId: string; userId: string }): Knex.QueryBuilder {
  const networks = () => knex('known_networks').where({ realm_id: at.realmId, user_id: at.userId }).select('network').limit(1);
  return query
    .leftJoin('devices', (on) =>
      on
        .on('devices.realm_id', 'users.realm_id')
        .andOn('devices.user_id', 'users.id')
        .andOn((either) => either.onVal('devices.browser', at.browser ?? '').orOnIn('devices.id', [...at.ids])),
    )
    .select({
      ...Object.fromEntries(COLUMNS.map((column) => [`device_${column}`, `devices.${column}`])),
      user_not_before: 'users.not_before',
      network_known: networks().where({ network: at.network ?? '' }),
      any_network: networks(),
      device_count: knex('devices').where({ realm_id: at.realmId, user_id: at.userId }).count('*'),
    });
}

/** What such rows say. */
export function seenFrom(rows: readonly SeenRecord[]): SeenAt {
  const each = new Map(rows.flatMap((row) => (row.device_id === null ? [] : [[row.device_id, deviceIn({ ...row, device_id: row.device_id })]])));
  return {
    devices: [...each.values()],
    networkIsKnown: rows.some((row) => row.network_known !== null),
    hasHistory: rows.some((row) => row.any_network !== null),
    count: Number(rows[0]?.device_count ?? 0),
  };
}

function deviceIn(row: Prefixed<DeviceRecord> & Pick<SeenRecord, 'user_not_before'>): DeviceRow {
  const device = fromRecord({
    ...{ realm_id: row.device_realm_id, id: row.device_id, user_id: row.device_user_id, browser: row.device_browser },
    ...{ first_seen_at: row.device_first_seen_at, last_seen_at: row.device_last_seen_at, confirmed_at: row.device_confirmed_at },
    ...{ last_factor: row.device_last_factor, user_agent: row.device_user_agent, ip: row.device_ip },
    ...{ trust_hash: row.device_trust_hash, trust_before: row.device_trust_before, trust_rotated_at: row.device_trust_rotated_at },
    ...{ trusted_at: row.device_trusted_at, trust_until: row.device_trust_until, trust_basis: row.device_trust_basis },
  });
  // What the user's sessions ended with, trust ended with.
  return device.trust !== null && device.trust.trustedAt < row.user_not_before ? { ...device, trust: null } : device;
}
