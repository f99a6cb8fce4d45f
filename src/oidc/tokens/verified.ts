/**
 * Signatures of access tokens that were verified before. Who calls an API shows it the same token again and again, and each
 * time the signature would be computed anew, by far the dearest part of it.
 *
 * It is the signature alone that is remembered, and what it signs: whether the token has expired, was revoked, and whether
 * session and user still stand is asked each time. Tokens are not kept, but their hashes, for as many of them as fit, and
 * for as long as the realm has the same keys.
 */
import { hash } from 'node:crypto';
import { type JWTPayload, type JWTVerifyGetKey, type JWTVerifyOptions, jwtVerify } from 'jose';
import { LRUCache } from 'lru-cache';

/** About two kilobytes each. */
const KEPT = 4_000;

interface Verified {
  /** A realm has others after a change of its keys: what they have signed is verified anew. */
  keys: JWTVerifyGetKey;
  claims: Promise<JWTPayload>;
}

const kept = new LRUCache<string, Verified>({ max: KEPT });

/**
 * The claims of a token, as `jwtVerify` of jose answers them; nobody may change them.
 * @param options always the same with the same keys, but for `at`
 * @param options.at the time that counts, in milliseconds since the epoch
 * @throws JOSEError for what is no good token of these keys
 */
export async function verifiedClaims(
  token: string,
  keys: JWTVerifyGetKey,
  { at, ...options }: Omit<JWTVerifyOptions, 'currentDate'> & { at: number },
): Promise<JWTPayload> {
  const verify = async (): Promise<JWTPayload> => (await jwtVerify(token, keys, { ...options, currentDate: new Date(at) })).payload;
  const key = hash('sha256', token, 'base64url');
  const before = kept.get(key);
  if (before?.keys === keys) {
    const claims = await before.claims;
    // Whatever depends on the time is for jose to judge.
    return claims.nbf === undefined && (claims.exp ?? 0) > Math.floor(at / 1000) ? claims : verify();
  }
  // The library asks for the same token under several names at once, which is one question.
  const claims = verify().then(frozen);
  kept.set(key, { keys, claims });
  claims.catch(() => {
    if (kept.get(key)?.claims === claims) kept.delete(key);
  });
  return claims;
}

/** What several requests read, none may change. */
function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(frozen);
    Object.freeze(value);
  }
  return value;
}
