/**
 * Password hashes that came from Keycloak, verified as they are until their user signs in and the password is hashed anew.
 * They are of the text as it was typed, which Keycloak does not normalise; so they are told from our own by what they begin
 * with, also where the algorithm is the same.
 *
 *     $keycloak$argon2id$v=19$m=7168,t=5,p=1$salt$hash
 *     $keycloak$pbkdf2-sha512$i=210000$salt$hash
 */
import { pbkdf2, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const MARK = '$keycloak';
const derived = promisify(pbkdf2);

/** Bytes of a hash: what one block of PBKDF2 costs is as much as the iterations say, and a longer key takes more blocks. */
const DIGESTS = { pbkdf2: ['sha1', 20], 'pbkdf2-sha256': ['sha256', 32], 'pbkdf2-sha512': ['sha512', 64] } as const;
type Pbkdf2 = keyof typeof DIGESTS;

/**
 * What verifying one may cost: about two seconds of a processor at most, which is ten times what Keycloak's own settings
 * ask for. An import must not let one sign-in take minutes, or all of the memory.
 */
const MOST_ITERATIONS = 3_000_000;
const MOST_MEMORY_KIB = 256 * 1024;
const MOST_MEMORY_PASSES = 2 * 1024 * 1024;
const MOST_PARALLELISM = 16;
const SALT = { least: 8, most: 256 };
const HASH = { least: 16, most: 128 };

export interface KeycloakHash {
  algorithm: string;
  iterations: number;
  salt: Buffer;
  hash: Buffer;
  /** Of argon2. */
  memoryKiB?: number | undefined;
  parallelism?: number | undefined;
  type?: string | undefined;
  version?: string | undefined;
}

/** As it is stored; undefined for what is not known here, or costs more than a sign-in may. */
export function storedHash(given: KeycloakHash): string | undefined {
  const { algorithm, iterations, salt, hash } = given;
  const isSized = between(salt.length, SALT) && between(hash.length, HASH) && Number.isSafeInteger(iterations) && iterations > 0;
  if (!isSized) return undefined;
  if (algorithm === 'argon2') return storedArgon2(given);
  if (!isPbkdf2(algorithm) || blocksOf(algorithm, hash.length) * iterations > MOST_ITERATIONS) return undefined;
  return `${MARK}$${algorithm}$i=${iterations}$${base64(salt)}$${base64(hash)}`;
}

function storedArgon2({ iterations, salt, hash, memoryKiB = 0, parallelism = 0, type, version }: KeycloakHash): string | undefined {
  const isBounded =
    between(parallelism, { least: 1, most: MOST_PARALLELISM }) &&
    between(memoryKiB, { least: 8 * parallelism, most: MOST_MEMORY_KIB }) &&
    memoryKiB * iterations <= MOST_MEMORY_PASSES;
  if (!isBounded || version !== '1.3' || !['id', 'i', 'd'].includes(type ?? '')) return undefined;
  return `${MARK}$argon2${type}$v=19$m=${memoryKiB},t=${iterations},p=${parallelism}$${base64(salt)}$${base64(hash)}`;
}

export const isImported = (phc: string): boolean => phc.startsWith(`${MARK}$`);

/**
 * @param argon2 verifies a PHC string
 * @throws Error for what `storedHash` would not have made
 */
export async function verifyImported(phc: string, password: string, argon2: (phc: string, password: string) => Promise<boolean>): Promise<boolean> {
  const rest = phc.slice(MARK.length);
  if (rest.startsWith('$argon2')) return argon2(rest, password);
  const [, algorithm = '', parameters = '', salt = '', hash = ''] = rest.split('$');
  const iterations = Number(/^i=(\d+)$/.exec(parameters)?.[1]);
  const expected = Buffer.from(hash, 'base64');
  if (!isPbkdf2(algorithm) || !(blocksOf(algorithm, expected.length) * iterations <= MOST_ITERATIONS) || !between(expected.length, HASH))
    throw new Error('It is no imported hash.');
  const [digest] = DIGESTS[algorithm];
  return timingSafeEqual(await derived(password, Buffer.from(salt, 'base64'), iterations, expected.length, digest), expected);
}

const isPbkdf2 = (algorithm: string): algorithm is Pbkdf2 => algorithm in DIGESTS;
const blocksOf = (algorithm: Pbkdf2, bytes: number): number => Math.ceil(bytes / DIGESTS[algorithm][1]);
const between = (value: number, { least, most }: { least: number; most: number }): boolean => value >= least && value <= most;
const base64 = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');
