/**
 * A realm, deleted with everything in it. It is switched off first, so that every node stops serving it, and then emptied
 * in batches: what is interrupted is a realm that is switched off, and to delete it again goes on. The record of it is in
 * master.
 */
import { badInput, notFound } from '../../errors.ts';
import { deleteClientWithRoles, deleteRealm, deleteSomeOfRealm } from '../../store/realm-removal.ts';
import { type RealmRow, realmById, realmByName, touchRealm, updateRealm } from '../../store/realms.ts';
import { audit, type Operator } from './context.ts';
import { managementClientIn } from './realm-defaults.ts';

const MASTER = 'master';
/** Rows in one transaction: on SQLite everybody else waits for it. */
const BATCH = 500;

/** @throws AppError 400 for master, 404 when somebody else has just deleted it */
export async function removeRealm(operator: Operator, realm: RealmRow): Promise<void> {
  if (realm.name === MASTER) throw badInput('realm', 'Realm master is what all others are managed from, and cannot be deleted.');
  const { db, keyring } = operator;
  await switchOff(operator, realm.id);
  while (await db.transaction((trx) => deleteSomeOfRealm(trx, realm.id, BATCH)));
  const master = await realmByName(db.knex, MASTER);
  await db.transaction(async (trx) => {
    if (!(await deleteRealm(trx, realm.id))) throw notFound('Realm not found.');
    if (master) {
      await deleteClientWithRoles(trx, master.id, managementClientIn(realm.name).clientId);
      await touchRealm(trx, master.id, operator.now);
      await audit(operator, { realmId: master.id }, { type: 'realm.deleted', details: { name: realm.name, id: realm.id } }, trx);
      await db.changes.announce(`realm:${master.id}`, trx);
      await db.changes.announce(`client:${master.id}`, trx);
    }
    await db.changes.announce(`realm:${realm.id}`, trx);
    await db.changes.announce(`realm-name:${realm.name}`, trx);
  });
  keyring.forget(realm.id);
}

async function switchOff({ db, now }: Operator, realmId: string): Promise<void> {
  await db.transaction(async (trx) => {
    const realm = await realmById(trx, realmId);
    if (!realm) throw notFound('Realm not found.');
    await updateRealm(trx, { ...realm, enabled: false, version: realm.version + 1, updatedAt: now }, realm.version);
    await db.changes.announce(`realm:${realmId}`, trx);
  });
}
