/** Realms, their settings, and the installation's own values. */
import type { Knex } from 'knex';
import type { SealContext } from '../crypto/seal.ts';
import { type RealmSettings, realmSettings } from '../realms/settings.ts';
import { bool, fromJson } from './rows.ts';
import type { SealedColumn } from './sealed-columns.ts';

export interface RealmRow {
  id: string;
  name: string;
  displayName: string;
  enabled: boolean;
  settings: RealmSettings;
  /** Sealed; what cookie keys and the like are derived from. */
  rootSecret: string;
  /** Grows with every change of the realm, its keys or its scopes. */
  version: number;
  createdAt: number;
  updatedAt: number;
}

interface RealmRecord {
  id: string;
  name: string;
  display_name: string;
  enabled: boolean | number;
  settings: string;
  root_secret: string;
  version: number;
  created_at: number;
  updated_at: number;
}

const fromRecord = (row: RealmRecord): RealmRow => ({
  id: row.id,
  name: row.name,
  displayName: row.display_name,
  enabled: bool(row.enabled),
  settings: fromJson(realmSettings, row.settings, `realm ${row.name}`),
  rootSecret: row.root_secret,
  version: row.version,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

/** What a realm's root secret is bound to. */
export const rootSecretSeal = (realmId: string): SealContext => ({ purpose: 'realm', realm: realmId, row: realmId, column: 'root_secret' });

export const sealedRealms: SealedColumn = { table: 'realms', column: 'root_secret', realm: 'id', place: ({ realmId }) => rootSecretSeal(realmId) };

export async function realmByName(knex: Knex, name: string): Promise<RealmRow | undefined> {
  const row = await knex<RealmRecord>('realms').where({ name }).first();
  return row && fromRecord(row);
}

/** Whether a realm has this name, however it is written. */
export async function realmNameTaken(knex: Knex, name: string): Promise<boolean> {
  const row = await knex('realms').where({ name_key: name.toLowerCase() }).orWhere({ name }).first('id');
  return row !== undefined;
}

export async function realmById(knex: Knex, id: string): Promise<RealmRow | undefined> {
  const row = await knex<RealmRecord>('realms').where({ id }).first();
  return row && fromRecord(row);
}

/** Realms by name, one page: those after `after`, at most `limit`. */
export async function listRealms(knex: Knex, page: { after?: string; limit: number }): Promise<RealmRow[]> {
  const query = knex<RealmRecord>('realms').orderBy('name').limit(page.limit);
  if (page.after !== undefined) query.where('name', '>', page.after);
  return (await query).map(fromRecord);
}

export async function insertRealm(trx: Knex, realm: RealmRow): Promise<void> {
  await trx('realms').insert({
    id: realm.id,
    name: realm.name,
    name_key: realm.name.toLowerCase(),
    display_name: realm.displayName,
    enabled: realm.enabled,
    settings: JSON.stringify(realm.settings),
    root_secret: realm.rootSecret,
    version: realm.version,
    created_at: realm.createdAt,
    updated_at: realm.updatedAt,
  });
}

/** Replaces the settings if nobody else did since `version` was read; false when somebody did. */
export async function updateRealmSettings(trx: Knex, realm: { id: string; version: number }, settings: RealmSettings, now: number): Promise<boolean> {
  const changed = await trx('realms')
    .where({ id: realm.id, version: realm.version })
    .update({ settings: JSON.stringify(settings), version: realm.version + 1, updated_at: now });
  return changed === 1;
}

/** Stores a realm as it is to be, if nobody else changed it since that version; false when somebody did. Its name and keys stay. */
export async function updateRealm(trx: Knex, realm: RealmRow, since: number): Promise<boolean> {
  const changed = await trx('realms')
    .where({ id: realm.id, version: since })
    .update({
      display_name: realm.displayName,
      enabled: realm.enabled,
      settings: JSON.stringify(realm.settings),
      version: realm.version,
      updated_at: realm.updatedAt,
    });
  return changed === 1;
}

/** Says that something the realm's cached context was built from has changed. */
export async function touchRealm(trx: Knex, realmId: string, now: number): Promise<void> {
  await trx('realms')
    .where({ id: realmId })
    .update({ version: trx.raw('version + 1'), updated_at: now });
}

/**
 * Makes every other change of the realm's roles and groups wait for the end of this one: what they may not become is read
 * and then written. Users may be made meanwhile.
 */
export async function lockRealm(trx: Knex, realmId: string): Promise<void> {
  await trx('realms').where({ id: realmId }).forNoKeyUpdate().first('id');
}

/** The installation's value that only the right master key opens. */
export const CANARY = 'master-key-canary';
/** The installation's key under which the ends of the audit chains are kept, wrapped by the master key. */
export const AUDIT_KEY = 'audit-key';

/** One of the installation's own values. */
export async function installationValue(knex: Knex, name: string): Promise<string | undefined> {
  const row = await knex('installation').where({ name }).first('value');
  return row?.value;
}

/** Writes a value that is not there yet; the first writer wins. */
export async function insertInstallationValue(knex: Knex, name: string, value: string): Promise<void> {
  await knex('installation').insert({ name, value }).onConflict('name').ignore();
}

/** Replaces a value that is still the one that was read; false when somebody else did. */
export async function replaceInstallationValue(knex: Knex, name: string, before: string, value: string): Promise<boolean> {
  return (await knex('installation').where({ name, value: before }).update({ value })) === 1;
}
