/**
 * What keeps secrets: sealing to a row (this file), the keys for it (master-key.ts, keyring.ts), passwords (passwords.ts)
 * and the small tools for codes and tokens (codes.ts). This room knows neither the database nor HTTP.
 *
 * A sealed value is `v1|keyId|iv|ciphertext|tag`, AES-256-GCM with a random IV, the last three parts base64url. The
 * additional data name the place it was made for, so that a ciphertext that was copied to another user, realm, row or
 * column does not open there: an attacker who can write to the database cannot give himself somebody else's secret.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { corrupted } from '../errors.ts';

/** The place that a sealed value belongs to. All four are compared, byte for byte, when it is opened. */
export interface SealContext {
  /** What it is, such as `totp-secret`. */
  purpose: string;
  /** The realm's id. */
  realm: string;
  /** The id of the row. */
  row: string;
  /** Table and column, such as `credentials.secret`. */
  column: string;
}

/** A 256-bit key and the name that sealed values carry for it. */
export interface SealKey {
  id: string;
  bytes: Buffer;
}

const VERSION = 'v1';
const KEY_BYTES = 32;
/** NIST SP 800-38D section 8.2.2: 96 random bits are good for 2^32 values a key, far more than a realm has rows. */
const IV_BYTES = 12;
/** The full tag. Node would accept a shorter one on decryption, and a four-byte tag can be guessed. */
const TAG_BYTES = 16;
/** Key ids stand between bars and in file names, environment variables and logs. */
const KEY_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** True when `id` may name a key. */
export const isKeyId = (id: string): boolean => KEY_ID.test(id);

/**
 * Encrypts `plaintext` for the place that `place` names. A JSON array of strings is its own canonical form: no two
 * lists of strings are written alike.
 */
export function encryptFor(key: SealKey, place: readonly string[], plaintext: string | Buffer): string {
  if (!isKeyId(key.id) || key.bytes.length !== KEY_BYTES) throw corrupted('A key is not a 256-bit key with a name.');
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key.bytes, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(additionalData(place, key.id));
  const ciphertext = Buffer.concat([typeof plaintext === 'string' ? cipher.update(plaintext, 'utf8') : cipher.update(plaintext), cipher.final()]);
  return [VERSION, key.id, base64url(iv), base64url(ciphertext), base64url(cipher.getAuthTag())].join('|');
}

/** Opens what `encryptFor` made for the same place. Throws `corrupted` on anything else, without saying which part was wrong. */
export function decryptFor(find: (keyId: string) => Buffer | undefined, place: readonly string[], sealed: string): Buffer {
  const { keyId, iv, ciphertext, tag } = parts(sealed);
  const key = find(keyId);
  if (key === undefined) throw corrupted('A sealed value names a key that is not there.');
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG_BYTES });
    decipher.setAAD(additionalData(place, keyId));
    decipher.setAuthTag(tag);
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
  } catch (cause) {
    throw corrupted('A sealed value does not open.', cause);
  }
}

/** Seals a value to its row. */
export function sealWith(key: SealKey, cx: SealContext, plaintext: string | Buffer): string {
  return encryptFor(key, placeOf(cx), plaintext);
}

/**
 * Opens a sealed value in its row.
 * @param find the key of that id, or undefined when there is none
 * @throws AppError `corrupted` when it was changed, moved, or sealed with another key
 */
export function openWith(find: (keyId: string) => Buffer | undefined, cx: SealContext, sealed: string): Buffer {
  return decryptFor(find, placeOf(cx), sealed);
}

/** The id of the key that a value was sealed with; throws `corrupted` when it is no sealed value. */
export const keyIdOf = (sealed: string): string => parts(sealed).keyId;

const placeOf = (cx: SealContext): string[] => [cx.purpose, cx.realm, cx.row, cx.column];
const additionalData = (place: readonly string[], keyId: string): Buffer => Buffer.from(JSON.stringify([...place, keyId]), 'utf8');
const base64url = (bytes: Buffer): string => bytes.toString('base64url');

function parts(sealed: string): { keyId: string; iv: Buffer; ciphertext: Buffer; tag: Buffer } {
  const [version, keyId, iv, ciphertext, tag, ...rest] = sealed.split('|');
  if (
    version !== VERSION ||
    keyId === undefined ||
    !isKeyId(keyId) ||
    iv === undefined ||
    ciphertext === undefined ||
    tag === undefined ||
    rest.length > 0
  ) {
    throw corrupted('A stored secret is not a sealed value.');
  }
  return { keyId, iv: bytes(iv, IV_BYTES), ciphertext: bytes(ciphertext), tag: bytes(tag, TAG_BYTES) };
}

/** Node's decoder skips what it does not know; here one value has exactly one written form. */
function bytes(text: string, length?: number): Buffer {
  const decoded = Buffer.from(text, 'base64url');
  if (base64url(decoded) !== text || (length !== undefined && decoded.length !== length)) throw corrupted('A stored secret is not a sealed value.');
  return decoded;
}
