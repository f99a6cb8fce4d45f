/**
 * The key-encryption key: how it is written, where it lives, and what it does.
 *
 * It never encrypts data itself. It wraps the realms' data keys (keyring.ts) behind `KeyProvider`, so that a key
 * management service can take its place without another line changing.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { isCorrupted } from '../errors.ts';
import { decryptFor, encryptFor, isKeyId, keyIdOf } from './seal.ts';

/** A key-encryption key; the first of a list wraps, the others only unwrap what they wrapped before. */
export interface MasterKey {
  id: string;
  /** 32 bytes. */
  bytes: Buffer;
}

/** Wraps data keys. `aad` names what is wrapped, and must be the same when it is unwrapped. */
export interface KeyProvider {
  /** The key that wraps now. */
  readonly keyId: string;
  wrap(plain: Buffer, aad: string): Promise<string>;
  unwrap(wrapped: string, aad: string): Promise<Buffer>;
  /** The id of the key that something was wrapped with. */
  wrappedBy(wrapped: string): string;
}

/** Beside the database in the data folder, when no key is given in the environment. */
const MASTER_KEY_FILE = 'master.key';
/** Encrypted for this place; whoever opens it holds the right key. */
const CANARY = 'cardea';
/** What the canary and the installation's audit key are wrapped for. */
export const CANARY_PLACE = 'canary';
export const AUDIT_KEY_PLACE = 'audit-key';

/**
 * Reads `id:base64url of 32 bytes[,older…]`.
 * @throws Error whose message says what is wrong and never repeats any part of the text, which is secret
 */
export function parseMasterKeys(text: string): MasterKey[] {
  const keys: MasterKey[] = [];
  for (const [index, entry] of text.trim().split(',').entries()) {
    const which = index === 0 ? 'the first key' : `key ${index + 1}`;
    const match = /^([^:]*):([A-Za-z0-9_-]*)=?$/.exec(entry.trim());
    if (match?.[1] === undefined || match[2] === undefined) throw new Error(`${which} is not of the form id:base64url`);
    const [, id, encoded] = match;
    if (!isKeyId(id)) throw new Error(`${which} has an id that is not 1 to 64 letters, digits, dots, dashes or underscores`);
    const bytes = Buffer.from(encoded, 'base64url');
    if (bytes.length !== 32 || bytes.toString('base64url') !== encoded)
      throw new Error(`${which} is not 32 bytes in base64url, which are 43 characters`);
    if (bytes.every((byte) => byte === bytes[0])) throw new Error(`${which} is one byte over and over, not a random key`);
    if (keys.some((other) => other.id === id)) throw new Error(`${which} has the id of a key before it`);
    keys.push({ id, bytes });
  }
  return keys;
}

/** A key-encryption key held in this process. The first key wraps, any of them unwraps. */
export function masterKeyProvider(keys: readonly MasterKey[]): KeyProvider {
  const [current] = keys;
  if (current === undefined) throw new Error('There is no master key.');
  const byId = new Map(keys.map((key) => [key.id, key.bytes]));
  return {
    keyId: current.id,
    async wrap(plain, aad) {
      return encryptFor(current, ['wrap', aad], plain);
    },
    async unwrap(wrapped, aad) {
      return decryptFor((id) => byId.get(id), ['wrap', aad], wrapped);
    },
    wrappedBy: keyIdOf,
  };
}

/**
 * The master key of the data folder, and undefined when there is none.
 * @throws Error when others may read the file, or it holds no key
 */
export function masterKeyOfFolder(dataDir: string): MasterKey[] | undefined {
  return readMasterKey(join(dataDir, MASTER_KEY_FILE));
}

/**
 * The master key of the data folder; makes folder and key when there are none.
 * @returns the keys, and whether they were made now (whoever starts the server then warns to keep a copy)
 * @throws Error when others may read the file, or it holds no key
 */
export function readOrCreateMasterKey(dataDir: string): { keys: MasterKey[]; created: boolean } {
  const path = join(dataDir, MASTER_KEY_FILE);
  const found = readMasterKey(path);
  if (found !== undefined) return { keys: found, created: false };
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const created = createMasterKey(path);
  const keys = readMasterKey(path);
  if (keys === undefined) throw new Error(`The master key ${path} was removed while it was being made.`);
  return { keys, created };
}

function readMasterKey(path: string): MasterKey[] | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  let text: string;
  try {
    // On the open file, not on the name: between a check and the reading another file could be put there.
    const { mode } = fstatSync(file);
    if ((mode & 0o077) !== 0) {
      throw new Error(
        `The master key ${path} may be read or changed by others (mode ${(mode & 0o777).toString(8)}). Run: chmod 600 ${path}. If others had access to it, change the key.`,
      );
    }
    text = readFileSync(file, 'utf8');
  } finally {
    closeSync(file);
  }
  try {
    return parseMasterKeys(text);
  } catch (error) {
    throw new Error(`The master key ${path} cannot be used: ${error instanceof Error ? error.message : 'unknown fault'}.`);
  }
}

/** False when another process was first. The link appears with its whole content or not at all. */
function createMasterKey(path: string): boolean {
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  const file = openSync(draft, 'wx', 0o600);
  try {
    writeSync(file, `k${randomBytes(4).toString('hex')}:${randomBytes(32).toString('base64url')}\n`);
    fsyncSync(file);
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    closeSync(file);
    unlinkSync(draft);
  }
}

/** A small known value under the master key, kept in the database. */
export function makeCanary(provider: KeyProvider): Promise<string> {
  return provider.wrap(Buffer.from(CANARY), CANARY_PLACE);
}

/** Whether the key that made the canary is among ours. False means: wrong key, do not start. Other faults are thrown. */
export async function checkCanary(provider: KeyProvider, canary: string): Promise<boolean> {
  try {
    return (await provider.unwrap(canary, CANARY_PLACE)).equals(Buffer.from(CANARY));
  } catch (error) {
    if (isCorrupted(error)) return false;
    throw error;
  }
}

/** A new key under which the ends of the audit chains are kept, wrapped. */
export function makeAuditKey(provider: KeyProvider): Promise<string> {
  return provider.wrap(randomBytes(32), AUDIT_KEY_PLACE);
}

const isCode = (error: unknown, code: string): boolean => error instanceof Error && 'code' in error && error.code === code;
