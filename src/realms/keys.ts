/**
 * A realm's signing keys: made in pairs, and ordered by their times alone, so that every node signs with the same key at
 * the same moment without being told.
 *
 * A key is published from `publishAt`, signs from `signFrom` until a newer one does, and stays published until `retireAt`
 * so that what it signed still verifies.
 */
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose';
import { corrupted } from '../errors.ts';
import type { SigningKeyRow } from '../store/signing-keys.ts';
import { ALGORITHMS, type Algorithm } from './algorithms.ts';

export type KeyUse = 'signing' | 'next' | 'retired' | 'gone' | 'planned';

/** How long a new key is published before it signs: as long as resource servers may cache a JWKS. */
export const PUBLISH_AHEAD_MS = 10 * 60_000;
/** How long a key that no longer signs stays published: as long as the longest session, or logout by id_token_hint breaks. */
export const KEEP_PUBLISHED_MS = 60 * 86_400_000;

export interface NewKey {
  kid: string;
  algorithm: Algorithm;
  publicJwk: JWK;
  privateJwk: JWK;
}

/** A new key pair; its kid is the RFC 7638 thumbprint. */
export async function generateSigningKey(algorithm: Algorithm): Promise<NewKey> {
  const pair = await generateKeyPair(algorithm, { extractable: true, modulusLength: 2048 });
  const publicJwk = await exportJWK(pair.publicKey);
  const kid = await calculateJwkThumbprint(publicJwk);
  const marks = { kid, alg: algorithm, use: 'sig' };
  return { kid, algorithm, publicJwk: { ...publicJwk, ...marks }, privateJwk: { ...(await exportJWK(pair.privateKey)), ...marks } };
}

/** A JWK as its column has it. */
export function storedJwk(text: string): JWK {
  const value: JWK | null = JSON.parse(text);
  if (typeof value?.kty !== 'string') throw corrupted('A stored signing key is not a JWK.');
  return value;
}

/** What each key is for at a moment. */
export function keyUses(rows: readonly SigningKeyRow[], now: number): Map<string, KeyUse> {
  const uses = new Map<string, KeyUse>();
  for (const algorithm of ALGORITHMS) {
    const signing = rows
      .filter((row) => row.algorithm === algorithm && row.signFrom <= now && (row.retireAt === null || row.retireAt > now))
      .sort((a, b) => b.signFrom - a.signFrom || (a.id < b.id ? -1 : 1))[0];
    for (const row of rows.filter((candidate) => candidate.algorithm === algorithm)) {
      if (row.retireAt !== null && row.retireAt <= now) uses.set(row.id, 'gone');
      else if (row === signing) uses.set(row.id, 'signing');
      else if (row.publishAt > now) uses.set(row.id, 'planned');
      else uses.set(row.id, row.signFrom > now ? 'next' : 'retired');
    }
  }
  return uses;
}

/** The keys to publish, those that sign first: oidc-provider signs with the first key that matches. */
export function orderedKeys(rows: readonly SigningKeyRow[], now: number): SigningKeyRow[] {
  const uses = keyUses(rows, now);
  const rank: Record<KeyUse, number> = { signing: 0, next: 1, retired: 2, planned: 3, gone: 3 };
  const position = (row: SigningKeyRow) => rank[uses.get(row.id) ?? 'gone'];
  return rows
    .filter((row) => position(row) < 3)
    .sort((a, b) => position(a) - position(b) || ALGORITHMS.indexOf(a.algorithm) - ALGORITHMS.indexOf(b.algorithm) || b.signFrom - a.signFrom);
}

/** The next moment at which the order changes; Infinity when it never does. */
export function nextKeyChange(rows: readonly SigningKeyRow[], now: number): number {
  const moments = rows.flatMap((row) => [row.publishAt, row.signFrom, row.retireAt ?? Number.POSITIVE_INFINITY]);
  return Math.min(Number.POSITIVE_INFINITY, ...moments.filter((moment) => moment > now));
}
