/**
 * A realm's data key is replaced while people sign in.
 *
 *     mint     a new key is stored; from now on it seals, on every node within a minute (crypto/keyring.ts)
 *     reseal   every sealed value of the realm is opened and sealed anew, batch by batch, unless it was changed meanwhile
 *     retire   an old key is deleted once nothing uses it and GRACE_MS have gone by
 *
 * Each step can be ended at any moment and is gone on with by whoever comes next: the work that is left is read from the
 * values themselves. Two at once do no harm, each finds less to do.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type DataKeyRow, inOrder } from '../../crypto/keyring.ts';
import { isCorrupted } from '../../errors.ts';
import { dataKeys, deleteDataKey, insertDataKey, realmsWithOldKeys } from '../../store/data-keys.ts';
import { lockRealm, type RealmRow, touchRealm } from '../../store/realms.ts';
import {
  columnName,
  countOutdated,
  isKeyUsed,
  outdatedValues,
  replaceValues,
  SEALED_COLUMNS,
  type SealedColumn,
  type SealedValue,
} from '../../store/sealed-columns.ts';
import { audit, type Operator } from './context.ts';

/**
 * How long an old key is kept after a newer one was made, in milliseconds. A node seals with the older one for a minute
 * at most, and what it sealed is stored by the end of its request: an hour is far more than both.
 */
export const GRACE_MS = 3_600_000;
/** Values sealed anew in one transaction: on SQLite everybody else waits for it. */
const BATCH = 100;
/** Between two batches, for everybody else. */
const PAUSE_MS = 2;
/** A row that somebody holds is left for the next time around; whoever holds it does so for less than this many of them. */
const ROUNDS = 20;
const ROUND_PAUSE_MS = 250;
/** A rotation that was begun this short a while ago and is not finished is gone on with, in milliseconds; after it, another key is made. */
const RESUMED_MS = 24 * 3_600_000;

export interface Rotated {
  /** The key that seals now. */
  key: string;
  /** An earlier rotation was gone on with: no key was made. */
  resumed: boolean;
  resealed: number;
  /** Values that others were busy with all the time; the next run takes them. */
  left: number;
  /** Columns with values that do not open, and how many: an alarm. They stay as they are, and so does the key that they name. */
  unreadable: { column: string; values: number }[];
  /** Keys that were deleted. */
  retired: string[];
  /** Keys that nothing uses any more, and when they may be deleted at the earliest. */
  waiting: { key: string; until: number }[];
}

export interface RotationOptions {
  graceMs?: number;
  /** Told how many values were sealed anew, and of how many. */
  progress?: (done: number, all: number) => void;
}

/** Makes a new data key, or goes on with a rotation that was not finished, and seals everything with it. */
export async function rotateDataKeys(operator: Operator, realm: Pick<RealmRow, 'id'>, options: RotationOptions = {}): Promise<Rotated> {
  const { db, now } = operator;
  const newest = inOrder(await dataKeys(db.knex, realm.id)).at(-1);
  const isUnderWay = newest !== undefined && now - newest.createdAt < RESUMED_MS && (await leftToDo(operator, realm.id, newest.id)) > 0;
  if (!isUnderWay) await mintKey(operator, realm.id, newest);
  const rotated = await finishRotation(operator, realm, options);
  for (const { column } of rotated.unreadable) await audit(operator, { realmId: realm.id }, { type: 'crypto.unreadable', details: { what: column } });
  return { ...rotated, resumed: isUnderWay };
}

/** Seals everything with the newest data key, and deletes the older ones as far as they may be. */
async function finishRotation(operator: Operator, realm: Pick<RealmRow, 'id'>, options: RotationOptions = {}): Promise<Rotated> {
  const key = await operator.keyring.newestKeyId(realm.id);
  const done = await reseal(operator, realm.id, key, options);
  return { key, resumed: true, ...done, ...(await retire(operator, realm.id, done.resealed, options.graceMs ?? GRACE_MS)) };
}

/**
 * What servers do by themselves from time to time: old keys whose time has come are deleted, and what was sealed with
 * one of them after all is sealed anew before.
 */
export async function* retireOldKeys(operator: Operator): AsyncGenerator<Rotated & { realmId: string }> {
  const limit = 100;
  for (let after = ''; ; ) {
    const ids = await realmsWithOldKeys(operator.db.knex, { madeBefore: operator.now - GRACE_MS, after, limit });
    for (const realmId of ids) yield { realmId, ...(await finishRotation(operator, { id: realmId })) };
    after = ids.at(-1) ?? after;
    if (ids.length < limit) return;
  }
}

async function mintKey(operator: Operator, realmId: string, newest: DataKeyRow | undefined): Promise<void> {
  const { db, keyring, now } = operator;
  // Later than the one before, whatever the clocks of two machines say: the newest seals.
  const row = await keyring.mintNext(realmId, Math.max(now, (newest?.createdAt ?? 0) + 1));
  await db.transaction(async (trx) => {
    await lockRealm(trx, realmId);
    // Somebody else has made one in this moment: theirs is gone on with.
    if (inOrder(await dataKeys(trx, realmId)).at(-1)?.id !== newest?.id) return;
    await insertDataKey(trx, row);
    await touchRealm(trx, realmId, now);
    await audit(operator, { realmId }, { type: 'crypto.data_key.made', details: { key: row.id } }, trx);
    await db.changes.announce(`realm:${realmId}`, trx);
  });
  keyring.changed(`realm:${realmId}`);
}

async function leftToDo({ db }: Pick<Operator, 'db'>, realmId: string, key: string): Promise<number> {
  let left = 0;
  for (const column of SEALED_COLUMNS) left += await countOutdated(db.knex, column, realmId, key);
  return left;
}

async function reseal(
  operator: Operator,
  realmId: string,
  key: string,
  { progress }: RotationOptions,
): Promise<Pick<Rotated, 'resealed' | 'left' | 'unreadable'>> {
  const all = await leftToDo(operator, realmId, key);
  const done = { resealed: 0, left: 0, unreadable: new Map<string, number>() };
  for (let round = 0; round < ROUNDS && (round === 0 || done.left > 0); round += 1) {
    if (round > 0) await pause(ROUND_PAUSE_MS);
    done.left = 0;
    done.unreadable.clear();
    for (const column of SEALED_COLUMNS) {
      for await (const batch of resealColumn(operator, column, realmId, key)) {
        done.resealed += batch.resealed;
        done.left += batch.left;
        if (batch.unreadable > 0) done.unreadable.set(columnName(column), (done.unreadable.get(columnName(column)) ?? 0) + batch.unreadable);
        progress?.(done.resealed, all);
      }
    }
  }
  return { ...done, unreadable: [...done.unreadable].map(([column, values]) => ({ column, values })) };
}

interface Batch {
  resealed: number;
  /** Locked by somebody, or changed meanwhile. */
  left: number;
  unreadable: number;
}

async function* resealColumn(operator: Operator, column: SealedColumn, realmId: string, key: string): AsyncGenerator<Batch> {
  for (let after: string | undefined; ; await pause(PAUSE_MS)) {
    const values = await outdatedValues(operator.db.knex, column, realmId, key, { after, limit: BATCH });
    if (values.length > 0) yield await resealBatch(operator, column, realmId, values);
    if (values.length < BATCH) return;
    after = values.at(-1)?.key;
  }
}

async function resealBatch({ db, keyring }: Operator, column: SealedColumn, realmId: string, values: readonly SealedValue[]): Promise<Batch> {
  // Opened and sealed before the transaction begins: it must wait for nothing but queries.
  const renewed: (SealedValue & { renewed: string })[] = [];
  for (const value of values) {
    const plain = await keyring.open(value.place, value.sealed).catch(undefinedIfCorrupted);
    if (plain) renewed.push({ ...value, renewed: await keyring.seal(value.place, plain) });
  }
  const resealed = renewed.length === 0 ? 0 : await db.transaction((trx) => replaceValues(trx, column, realmId, renewed));
  return { resealed, left: renewed.length - resealed, unreadable: values.length - renewed.length };
}

/** Deletes old keys that nothing uses; looked at twice, the second time where nothing else can happen to the keys. */
async function retire(operator: Operator, realmId: string, resealed: number, graceMs: number): Promise<Pick<Rotated, 'retired' | 'waiting'>> {
  const { db, keyring, now } = operator;
  const keys = inOrder(await dataKeys(db.knex, realmId));
  const retired: string[] = [];
  const waiting: Rotated['waiting'] = [];
  for (const [index, row] of keys.entries()) {
    const newer = keys[index + 1];
    if (!newer || (await isUsed(operator, realmId, row.id))) continue;
    const until = newer.createdAt + graceMs;
    if (until > now) waiting.push({ key: row.id, until });
    else if (await deleteUnused(operator, row)) retired.push(row.id);
  }
  if (retired.length > 0) {
    keyring.changed(`realm:${realmId}`);
    await audit(operator, { realmId }, { type: 'crypto.data_key.retired', details: { keys: retired, resealed } });
  }
  return { retired, waiting };
}

async function deleteUnused({ db }: Operator, row: DataKeyRow): Promise<boolean> {
  return db.transaction(async (trx) => {
    await lockRealm(trx, row.realmId);
    for (const column of SEALED_COLUMNS) if (await isKeyUsed(trx, column, row.realmId, row.id)) return false;
    await deleteDataKey(trx, row);
    return true;
  });
}

async function isUsed({ db }: Operator, realmId: string, keyId: string): Promise<boolean> {
  for (const column of SEALED_COLUMNS) if (await isKeyUsed(db.knex, column, realmId, keyId)) return true;
  return false;
}

function undefinedIfCorrupted(error: unknown): undefined {
  if (!isCorrupted(error)) throw error;
}
