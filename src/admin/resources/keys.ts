/** Signing keys of a realm: listed, and rotated by times in their rows that every node follows. */
import { ALGORITHMS, type Algorithm } from '../../realms/algorithms.ts';
import { KEEP_PUBLISHED_MS, type KeyUse, keyUses, PUBLISH_AHEAD_MS } from '../../realms/keys.ts';
import { sealedSigningKey } from '../../realms/signing-keys.ts';
import { type RealmRow, touchRealm } from '../../store/realms.ts';
import { deleteRetiredKeys, insertSigningKey, retireOlderKeys, type SigningKeyRow, signingKeys } from '../../store/signing-keys.ts';
import { audit, type Operator } from './context.ts';

export type ListedKey = Omit<SigningKeyRow, 'privateJwk' | 'publicJwk'> & { use: KeyUse };

export async function listKeys(operator: Pick<Operator, 'db' | 'now'>, realm: RealmRow): Promise<ListedKey[]> {
  const rows = await signingKeys(operator.db.knex, realm.id);
  const uses = keyUses(rows, operator.now);
  return rows.map(({ privateJwk: _sealed, publicJwk: _public, ...row }) => ({ ...row, use: uses.get(row.id) ?? 'gone' }));
}

/**
 * Makes a new key for each algorithm, or for those that are named: published at once, signing after `publishAheadMs`, while
 * the older ones of the same algorithms stay published for `keepMs` after that. No node restarts, and a sign-in under way goes on with whichever key signs when it finishes.
 */
export async function rotateKeys(
  operator: Operator,
  realm: RealmRow,
  options: { publishAheadMs?: number; keepMs?: number; algorithms?: readonly Algorithm[] } = {},
): Promise<SigningKeyRow[]> {
  const { db, now } = operator;
  const signFrom = now + (options.publishAheadMs ?? PUBLISH_AHEAD_MS);
  const algorithms = ALGORITHMS.filter((algorithm) => options.algorithms?.includes(algorithm) ?? true);
  const fresh = await Promise.all(algorithms.map((algorithm) => sealedSigningKey(operator, realm.id, algorithm, { publishAt: now, signFrom })));
  await db.transaction(async (trx) => {
    for (const key of fresh) {
      await insertSigningKey(trx, key);
      await retireOlderKeys(trx, key, signFrom + (options.keepMs ?? KEEP_PUBLISHED_MS));
    }
    await deleteRetiredKeys(trx, realm.id, now - KEEP_PUBLISHED_MS);
    await touchRealm(trx, realm.id, now);
    await audit(operator, { realmId: realm.id }, { type: 'keys.rotated', details: { kids: fresh.map((key) => key.id) } }, trx);
    await db.changes.announce(`realm:${realm.id}`, trx);
  });
  return fresh;
}
