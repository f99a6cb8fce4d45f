/** A keyring for tests: one master key for all processes that share a database, and an eye on what is sealed. */
import { Keyring, masterKeyProvider } from '../../src/crypto/keyring.ts';
import { dataKeys } from '../../src/store/data-keys.ts';
import type { Database } from '../../src/store/database.ts';

export const MASTER_KEY = { id: 'test', bytes: Buffer.alloc(32, 7) };
export const AUDIT_KEY = Buffer.alloc(32, 8);

/** The keyring of a process on that database, which hears of its changes. */
export function keyringOn(db: Database, masterKeys = [MASTER_KEY]): Keyring {
  const keyring = new Keyring(masterKeyProvider(masterKeys), (realmId) => dataKeys(db.knex, realmId), AUDIT_KEY);
  db.changes.onChange((topic) => keyring.changed(topic));
  return keyring;
}
