/** Random tokens, their digests, and comparing without telling how far a guess was right. */
import { createHmac, createSecretKey, hash, type KeyObject, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';

/** A random token in base64url; 32 bytes are 256 bits, 43 characters. */
export function randomToken(bytes = 32): string {
  return randomBytes(bytes).toString('base64url');
}

const lastId = { at: Number.NaN, count: 0 };

/**
 * A UUID of version 7 (RFC 9562 section 5.7) for rows that are read in the order in which they were written: by its
 * moment, and within one moment by when this process made it (the 12 bits of section 6.2, method 1). 62 bits are random.
 * @param at milliseconds since the epoch
 */
export function timeOrderedId(at: number): string {
  lastId.count = lastId.at === at ? (lastId.count + 1) % 0x1000 : 0;
  lastId.at = at;
  const bytes = randomBytes(16);
  bytes.writeUIntBE(at, 0, 6);
  bytes.writeUInt16BE(0x7000 | lastId.count, 6);
  bytes.writeUInt8(0x80 | (bytes.readUInt8(8) & 0x3f), 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** SHA-256 in base64url. For high-entropy tokens only: a short code or a password is guessed from it. */
export function sha256(text: string): string {
  return hash('sha256', text, 'base64url');
}

/**
 * HMAC-SHA-256 in base64url over a list of parts, written as JSON so that `('ab', 'c')` and `('a', 'bc')` differ.
 * @param key at least 32 bytes, from `derive`
 */
export function hmac(key: Buffer, ...parts: string[]): string {
  const object = keyObjects.get(key) ?? createSecretKey(key);
  keyObjects.set(key, object);
  return createHmac('sha256', object).update(JSON.stringify(parts), 'utf8').digest('base64url');
}

/** Of keys in use. Of bytes, Node makes a key object for each digest, which costs more than the digest. */
const keyObjects = new WeakMap<Buffer, KeyObject>();

/**
 * Compares two secrets in time that depends neither on where they differ nor on whether their lengths do: what is
 * compared are digests of one length.
 */
export const safeEqual = (a: string, b: string): boolean => timingSafeEqual(hash('sha256', a, 'buffer'), hash('sha256', b, 'buffer'));

/** Without i, l, o, 0 and 1, which are read for one another. */
export const READABLE = 'abcdefghjkmnpqrstuvwxyz23456789';

/** A password to be read from a screen and typed: four groups of five characters, 99 bits. */
export function readablePassword(): string {
  const group = (): string => Array.from({ length: 5 }, () => READABLE.charAt(randomInt(READABLE.length))).join('');
  return [group(), group(), group(), group()].join('-');
}
