/** Signing keys as they are stored: made and sealed, and those that a realm of an earlier release lacks. */
import { record } from '../audit/record.ts';
import type { Keyring } from '../crypto/keyring.ts';
import type { Database } from '../store/database.ts';
import { lockRealm, touchRealm } from '../store/realms.ts';
import { insertSigningKey, type SigningKeyRow, signingKeySeal, signingKeys } from '../store/signing-keys.ts';
import { ALGORITHMS, type Algorithm } from './algorithms.ts';
import { generateSigningKey } from './keys.ts';

/** How far the clocks of nodes may be apart: to none of them a key that signs at once is one of the future. */
const CLOCKS_DIFFER_MS = 60_000;

/** A new signing key of a realm, with its private part sealed. */
export async function sealedSigningKey(
  { keyring, now }: { keyring: Keyring; now: number },
  realmId: string,
  algorithm: Algorithm,
  times: { publishAt: number; signFrom: number },
): Promise<SigningKeyRow> {
  const key = await generateSigningKey(algorithm);
  return {
    realmId,
    id: key.kid,
    algorithm,
    publicJwk: JSON.stringify(key.publicJwk),
    privateJwk: await keyring.seal(signingKeySeal({ realmId, id: key.kid }), JSON.stringify(key.privateJwk)),
    ...times,
    retireAt: null,
    createdAt: now,
  };
}

/**
 * The realm's keys, with one of each algorithm: realms of before there was one get it here, when they are first used.
 *
 * Of many nodes that find it missing one makes it, because they wait for the realm's row and look again. It signs at once:
 * nobody has a key of that algorithm from before. Nodes of an earlier release read past keys of algorithms that they do not
 * know, and sign with RS256 what they do not know how to sign, so that both can run side by side.
 */
export async function completedKeys({ db, keyring }: { db: Database; keyring: Keyring }, realmId: string, now: number): Promise<SigningKeyRow[]> {
  const found = await signingKeys(db.knex, realmId);
  const missing = missingOf(found);
  if (missing.length === 0) return found;
  const since = now - CLOCKS_DIFFER_MS;
  const made = await Promise.all(
    missing.map((algorithm) => sealedSigningKey({ keyring, now }, realmId, algorithm, { publishAt: since, signFrom: since })),
  );
  return db.transaction(async (trx) => {
    await lockRealm(trx, realmId);
    const standing = await signingKeys(trx, realmId);
    const still = missingOf(standing);
    const added = made.filter(({ algorithm }) => still.includes(algorithm));
    if (added.length === 0) return standing;
    for (const key of added) await insertSigningKey(trx, key);
    await touchRealm(trx, realmId, now);
    await record(trx, { realmId, at: now }, { type: 'keys.added', details: { kids: added.map(({ id }) => id) } });
    await db.changes.announce(`realm:${realmId}`, trx);
    return [...standing, ...added];
  });
}

const missingOf = (rows: readonly SigningKeyRow[]): Algorithm[] => ALGORITHMS.filter((algorithm) => !rows.some((row) => row.algorithm === algorithm));
