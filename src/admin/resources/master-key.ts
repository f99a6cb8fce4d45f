/**
 * The master key is replaced: what it wraps (the realms' data keys, the canary, the audit key) is wrapped anew by the
 * first of the keys in the settings. Nothing that is sealed changes, and nobody notices. It may be ended at any moment
 * and is gone on with by the next run.
 */
import { AUDIT_KEY_PLACE, CANARY_PLACE, type KeyProvider, wrappedFor } from '../../crypto/keyring.ts';
import { isCorrupted } from '../../errors.ts';
import { countDataKeys, pageOfDataKeys, replaceWrapped } from '../../store/data-keys.ts';
import { AUDIT_KEY, CANARY, installationValue, realmByName, replaceInstallationValue } from '../../store/realms.ts';
import { audit, type Operator } from './context.ts';

const PAGE = 100;

export interface MasterKeyRotated {
  /** The key that wraps now. */
  key: string;
  rewrapped: number;
  /** Everything that is wrapped. */
  all: number;
  /** What could not be unwrapped, by the id of the master key that it names: that key is not in the settings, or was another one. */
  unreadable: Record<string, number>;
}

/** @param keys the settings' master keys, the new one first */
export async function rotateMasterKey(
  operator: Operator,
  keys: KeyProvider,
  progress: (done: number, all: number) => void = () => undefined,
): Promise<MasterKeyRotated> {
  const { db } = operator;
  const result: MasterKeyRotated = { key: keys.keyId, rewrapped: 0, all: await countDataKeys(db.knex), unreadable: {} };
  const rewrap = async (wrapped: string, place: string, replace: (renewed: string) => Promise<boolean>): Promise<void> => {
    const by = keys.wrappedBy(wrapped);
    if (by === keys.keyId) return;
    const plain = await keys.unwrap(wrapped, place).catch(undefinedIfCorrupted);
    if (!plain) result.unreadable[by] = (result.unreadable[by] ?? 0) + 1;
    // Another run at the same time may have been first, with the same key.
    else if (await replace(await keys.wrap(plain, place))) result.rewrapped += 1;
  };

  let seen = 0;
  for (let page = await pageOfDataKeys(db.knex, { after: undefined, limit: PAGE }); page.length > 0; ) {
    for (const row of page) {
      await rewrap(row.wrapped, wrappedFor(row.realmId, row.id), (renewed) => replaceWrapped(db.knex, row, renewed));
      progress(++seen, result.all);
    }
    page = await pageOfDataKeys(db.knex, { after: page.at(-1), limit: PAGE });
  }
  for (const [name, place] of [
    [AUDIT_KEY, AUDIT_KEY_PLACE],
    // Last: it says which keys a start needs.
    [CANARY, CANARY_PLACE],
  ] as const) {
    const value = await installationValue(db.knex, name);
    if (value === undefined) continue;
    result.all += 1;
    await rewrap(value, place, (renewed) => replaceInstallationValue(db.knex, name, value, renewed));
  }
  await note(operator, result);
  return result;
}

/** In the chain of realm master: it is the installation's. */
async function note(operator: Operator, { key, rewrapped, unreadable }: MasterKeyRotated): Promise<void> {
  const master = await realmByName(operator.db.knex, 'master');
  if (!master) return;
  const about = { realmId: master.id };
  if (rewrapped > 0) await audit(operator, about, { type: 'crypto.master_key.rotated', details: { key, rewrapped } });
  if (Object.keys(unreadable).length > 0) await audit(operator, about, { type: 'crypto.unreadable', details: { what: 'data_keys.wrapped' } });
}

function undefinedIfCorrupted(error: unknown): undefined {
  if (!isCorrupted(error)) throw error;
}
