/** A keyring for tests: one master key for all processes that share a database, and an eye on what is sealed. */
import { Keyring, masterKeyProvider } from '../../src/crypto/keyring.ts';
import type { SealContext } from '../../src/crypto/seal.ts';
import { dataKeys } from '../../src/store/data-keys.ts';
import type { Database } from '../../src/store/database.ts';
import { SEALED_COLUMNS } from '../../src/store/sealed-columns.ts';

export const MASTER_KEY = { id: 'test', bytes: Buffer.alloc(32, 7) };
export const AUDIT_KEY = Buffer.alloc(32, 8);

/** One that refuses to seal what the rotation of data keys would not find again. */
class WatchfulKeyring extends Keyring {
  override async seal(cx: SealContext, plaintext: string | Buffer): Promise<string> {
    if (!isKnownPlace(cx)) throw new Error(`Nobody knows of what is sealed for ${cx.purpose}: add it to store/sealed-columns.ts.`);
    return super.seal(cx, plaintext);
  }
}

/** The keyring of a process on that database, which hears of its changes. */
export function keyringOn(db: Database, masterKeys = [MASTER_KEY]): Keyring {
  const keyring = new WatchfulKeyring(masterKeyProvider(masterKeys), (realmId) => dataKeys(db.knex, realmId), AUDIT_KEY);
  db.changes.onChange((topic) => keyring.changed(topic));
  return keyring;
}

const KNOWN_PLACES = SEALED_COLUMNS.map(({ place, also = [] }) => {
  const { purpose, column } = place({ realmId: 'realm', key: 'key', also: Object.fromEntries(also.map((name) => [name, name])) });
  return `${purpose}/${column}`;
});

/** Whether the rotation of data keys goes through what is sealed for this place. */
export const isKnownPlace = ({ purpose, column }: Pick<SealContext, 'purpose' | 'column'>): boolean => KNOWN_PLACES.includes(`${purpose}/${column}`);
