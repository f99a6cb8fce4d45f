/**
 * Logos of applications: one row for each client that names one, from where it is fetched and what came of it.
 *
 *     a client is saved, or shown ─► waiting ─► delivered, with a picture, or failed ─► waiting again when it is next shown, much later
 *
 * Pictures are bound to the address that they came from: one of before is nothing any more once the client names another.
 */
import type { Knex } from 'knex';
import { sha256 } from '../crypto/codes.ts';
import {
  type Attempted,
  type Claim,
  type Claimed,
  claimRows,
  type DeliveryTable,
  finishClaimed,
  isAnythingDue,
  putOffClaimed,
} from './deliveries.ts';
import { isTransaction, onceCommitted } from './lastly.ts';
import { fromJson, type Queries, stringMap } from './rows.ts';

/** Keycloak's attribute: where the logo is. */
export const LOGO = 'logoUri';

/** A client, as far as its logo goes. */
export interface LogoClient {
  realmId: string;
  /** The row id. */
  id: string;
  attributes: Readonly<Record<string, string>>;
}

/** Between two questions for one client's logo, however often it names another; milliseconds. */
const SOONEST_AGAIN_MS = 60_000;
const NO_PICTURE = { picture: null, picture_hash: null, width: null, height: null };

/**
 * Has the client's logo fetched, unless it was, or is going to be, from this address; without an address there is none.
 * @param now milliseconds since the epoch
 */
export async function orderLogo(queries: Queries, { realmId, id, attributes }: LogoClient, now: number): Promise<void> {
  const address = attributes[LOGO];
  const logos = () => queries('client_logos').where({ realm_id: realmId, id });
  const before: { address_hash: string; attempts: number; due_at: number } | undefined = await logos().first('address_hash', 'attempts', 'due_at');
  const addressHash = sha256(address ?? '');
  if (before?.address_hash === addressHash || (!before && address === undefined)) return;
  const blank = { address_hash: addressHash, claimed_until: null, last_status: null, last_error: null, ...NO_PICTURE };
  if (address === undefined) {
    // When it was asked for last stays: whoever names one again waits as well.
    await logos().update({ ...blank, state: 'failed', finished_at: now });
    return;
  }
  const askedFor = before !== undefined && before.attempts > 0;
  const dueAt = Math.max(now, before ? before.due_at + (askedFor ? SOONEST_AGAIN_MS : 0) : now);
  const order = { ...blank, host: URL.parse(address)?.host ?? '', state: 'waiting', attempts: 0, due_at: dueAt, finished_at: null };
  await queries('client_logos')
    .insert({ realm_id: realmId, id, ...order })
    .onConflict(['realm_id', 'id'])
    .merge(order);
  tell(queries);
}

/** Has it fetched again, if nobody else has by now. @param before what finished since then stays */
export async function orderAgain(queries: Queries, { realmId, id }: LogoClient, { before, now }: { before: number; now: number }): Promise<void> {
  const done = queries('client_logos').where({ realm_id: realmId, id }).whereNot({ state: 'waiting' }).where('finished_at', '<=', before);
  if ((await done.update({ state: 'waiting', attempts: 0, due_at: now, claimed_until: null })) > 0) tell(queries);
}

type Listener = () => void;
const listeners = new Set<Listener>();

/** Tells `listener` when this process has ordered a logo: nobody waits for the next look. Answers how to stop it. */
export function onLogos(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(queries: Queries): void {
  const all = (): void => {
    for (const listener of listeners) listener();
  };
  if (isTransaction(queries)) onceCommitted(queries, all);
  else all();
}

/** What is known of a client's logo. */
export interface KnownLogo {
  state: 'waiting' | 'delivered' | 'failed';
  finishedAt: number | null;
  /** Null where there is none. */
  picture: { hash: string; width: number; height: number } | null;
}

interface KnownRecord {
  id: string;
  address_hash: string;
  state: KnownLogo['state'];
  finished_at: number | null;
  picture_hash: string | null;
  width: number | null;
  height: number | null;
}

/** What is known of the logos of these clients of one realm, from the addresses that they name now; by their row ids. */
export async function knownLogos(queries: Queries, realmId: string, clients: readonly LogoClient[]): Promise<Map<string, KnownLogo>> {
  const hashes = new Map(clients.map(({ id, attributes }) => [id, sha256(attributes[LOGO] ?? '')]));
  const rows: KnownRecord[] = await queries('client_logos')
    .where({ realm_id: realmId })
    .whereIn('id', [...hashes.keys()])
    .select('id', 'address_hash', 'state', 'finished_at', 'picture_hash', 'width', 'height');
  const current = rows.filter((row) => row.address_hash === hashes.get(row.id));
  return new Map(current.map((row) => [row.id, { state: row.state, finishedAt: row.finished_at, picture: pictureIn(row) }]));
}

const pictureIn = ({ picture_hash: hash, width, height }: KnownRecord): KnownLogo['picture'] =>
  hash === null || width === null || height === null ? null : { hash, width, height };

/** The picture itself; undefined for any that is not this client's now. */
export async function logoPicture(knex: Knex, realmId: string, id: string, hash: string): Promise<Buffer | undefined> {
  const row: { picture: Uint8Array } | undefined = await knex('client_logos')
    .where({ realm_id: realmId, id, picture_hash: hash })
    .whereNotNull('picture')
    .first('picture');
  return row && Buffer.from(row.picture);
}

/** A logo to be fetched. */
export interface LogoRow extends Claimed {
  addressHash: string;
  host: string;
}

interface LogoRecord {
  realm_id: string;
  id: string;
  address_hash: string;
  host: string;
  attempts: number;
  claimed_until: number | null;
}

const TABLE: DeliveryTable = { table: 'client_logos', receiver: 'host' };

/** Takes logos that are due for as long as the claim lasts, and counts an attempt of each. Of several workers each goes to one. */
export async function claimLogos(knex: Knex, claim: Claim): Promise<LogoRow[]> {
  if (!(await isAnythingDue(knex, TABLE, claim.now))) return [];
  return (await claimRows<LogoRecord>(knex, TABLE, claim)).map((row) => ({
    ...{ realmId: row.realm_id, id: row.id, addressHash: row.address_hash, host: row.host },
    ...{ attempts: row.attempts, claimedUntil: row.claimed_until },
  }));
}

/** Where it is; undefined when the client is gone, is switched off, or names another by now. */
export async function logoAddress(knex: Knex, { realmId, id, addressHash }: LogoRow): Promise<string | undefined> {
  const found: { attributes: string } | undefined = await knex('clients').where({ realm_id: realmId, id, enabled: true }).first('attributes');
  const address = found && fromJson(stringMap, found.attributes, `client ${id}`)[LOGO];
  return address !== undefined && sha256(address) === addressHash ? address : undefined;
}

/** A picture as it is shown. */
export interface Picture {
  bytes: Buffer;
  /** Of the bytes. */
  hash: string;
  /** In pixels. */
  width: number;
  height: number;
}

/**
 * It was fetched, or is given up; false when the claim had run out.
 * @param picture null for none, undefined for the one of before, if there is one
 */
export async function finishLogo(
  knex: Knex,
  row: LogoRow,
  { state, picture, attempted }: { state: 'delivered' | 'failed'; picture: Picture | null | undefined; attempted: Attempted },
  now: number,
): Promise<boolean> {
  const shown = picture && { picture: picture.bytes, picture_hash: picture.hash, width: picture.width, height: picture.height };
  return finishClaimed(knex, TABLE, row, state, attempted, now, picture === undefined ? {} : (shown ?? NO_PICTURE));
}

/** It will be tried again at `dueAt`. */
export const putOffLogo = (knex: Knex, row: LogoRow, dueAt: number, attempted: Attempted): Promise<boolean> =>
  putOffClaimed(knex, TABLE, row, dueAt, attempted);
