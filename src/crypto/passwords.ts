/**
 * Password hashing with argon2id (RFC 9106): bounded concurrency, a bounded queue, and the same work for a user who
 * does not exist as for one who does.
 */
import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import * as argon2 from '@node-rs/argon2';
import { AppError, badInput, corrupted } from '../errors.ts';
import { isImported, verifyImported } from './imported-hashes.ts';
import { Turns } from './turns.ts';

export interface Argon2Options {
  memoryKiB: number;
  passes: number;
  parallelism: number;
  /** Hashes at the same time. By default the processors, but at most three: libuv's pool has four threads, and files and DNS need one. */
  concurrency?: number;
  /** Hashes waiting for their turn; beyond it the answer is 503 at once. By default 100, about half a second of waiting a core. */
  queueLimit?: number;
}

/** The two functions of the library that are used; tests count their calls. */
export interface Argon2 {
  hash(password: string, options: { memoryCost: number; timeCost: number; parallelism: number; outputLen: number }): Promise<string>;
  verify(phc: string, password: string): Promise<boolean>;
}

/** A longer password is refused before it costs anything. 1 KiB holds any sentence that somebody types. */
const MAX_PASSWORD_BYTES = 1024;
const HASH_BYTES = 32;
const SALT_BYTES = 16;
/**
 * What a stored hash may ask of us. An imported row with larger parameters would let one sign-in take the machine's
 * memory or minutes of its time.
 */
const MAX_MEMORY_KIB = 1024 * 1024;
const MAX_PASSES = 100;
const MAX_PARALLELISM = 16;

/** A PHC string, as the factor `password` stores it; the factors' PasswordHasher. */
export class Argon2Hasher {
  readonly #memoryKiB: number;
  readonly #passes: number;
  readonly #parallelism: number;
  readonly #turns: Turns;
  readonly #argon2: Argon2;
  readonly #decoy: string;

  constructor(options: Argon2Options, library: Argon2 = argon2) {
    this.#memoryKiB = options.memoryKiB;
    this.#passes = options.passes;
    this.#parallelism = options.parallelism;
    this.#turns = new Turns({
      concurrency: options.concurrency ?? Math.max(1, Math.min(availableParallelism(), 3)),
      limit: options.queueLimit ?? 100,
    });
    this.#argon2 = library;
    // Random bytes where a hash would be: verifying costs what it costs for a real one, no password fits, and making it costs nothing.
    const base64 = (bytes: number): string => randomBytes(bytes).toString('base64').replaceAll('=', '');
    this.#decoy = `$argon2id$v=19$m=${this.#memoryKiB},t=${this.#passes},p=${this.#parallelism}$${base64(SALT_BYTES)}$${base64(HASH_BYTES)}`;
  }

  /** How many are being computed and how many wait, for the metrics. */
  get load(): { running: number; waiting: number } {
    return this.#turns.load;
  }

  /** Tells `listener` how long each hash waited for its turn, in milliseconds. */
  onWait(listener: (ms: number) => void): void {
    this.#turns.onWait = listener;
  }

  /**
   * The same for somebody at that address: when more wait than can be computed, each address gets its turn, and none can
   * keep the queue for itself.
   */
  from(address: string): Pick<Argon2Hasher, 'hash' | 'verify' | 'needsRehash'> {
    return {
      hash: (password) => this.hash(password, address),
      verify: (phc, password) => this.verify(phc, password, address),
      needsRehash: (phc) => this.needsRehash(phc),
    };
  }

  /**
   * Hashes a new password, as NFKC, so that it is the same from every keyboard (NIST SP 800-63B-4 section 3.1.1.2).
   * @throws AppError `bad_input` when it is longer than 1024 bytes, `busy` when the queue is full
   */
  async hash(password: string, from = ''): Promise<string> {
    const normal = normalise(password);
    if (normal === undefined)
      throw badInput('password', `This password is too long or holds characters that are no text. Use at most ${MAX_PASSWORD_BYTES} bytes.`);
    return this.#turns.take(from, () =>
      this.#argon2.hash(normal, { memoryCost: this.#memoryKiB, timeCost: this.#passes, parallelism: this.#parallelism, outputLen: HASH_BYTES }),
    );
  }

  /**
   * One argon2id verification in every case but that of a hash which was imported (imported-hashes.ts): also for a user who is not there (`undefined`), and for a password that
   * cannot be right because no such password is ever hashed.
   * @throws AppError `busy` when the queue is full, `corrupted` when the stored hash is none of argon2id
   */
  async verify(phc: string | undefined, password: string, from = ''): Promise<boolean> {
    const normal = normalise(password);
    const known = phc !== undefined && normal !== undefined;
    const imported = phc !== undefined && isImported(phc);
    if (phc !== undefined && !imported && !isVerifiable(phc)) throw corrupted('A stored password hash is not one of argon2id that can be verified.');
    try {
      const compare = (stored: string, typed: string) => this.#argon2.verify(stored, typed);
      const matches = await this.#turns.take(from, () =>
        // As it was typed: Keycloak does not normalise.
        known && imported ? verifyImported(phc, password, compare) : compare(known ? phc : this.#decoy, normal ?? ''),
      );
      return known && matches;
    } catch (error) {
      if (error instanceof AppError) throw error;
      throw corrupted('A stored password hash cannot be verified.', error);
    }
  }

  /** True when a stored hash was made with other parameters than those configured now. */
  needsRehash(phc: string): boolean {
    if (!phc.startsWith('$argon2id$v=19$')) return true;
    const parsed = parse(phc);
    return (
      parsed === undefined ||
      parsed.memoryCost !== this.#memoryKiB ||
      parsed.timeCost !== this.#passes ||
      parsed.parallelism !== this.#parallelism ||
      parsed.outputLen !== HASH_BYTES ||
      parsed.saltLen < SALT_BYTES
    );
  }
}

/** NFKC, or undefined when nothing like it is ever hashed: too long, or half a surrogate pair, which UTF-8 cannot tell from another. */
function normalise(password: string): string | undefined {
  // Before normalising: a hostile megabyte is not worth the work. NFKC lengthens a text at most 18-fold, so it is checked after as well.
  if (password.length > MAX_PASSWORD_BYTES || !password.isWellFormed()) return undefined;
  const normal = password.normalize('NFKC');
  return Buffer.byteLength(normal, 'utf8') > MAX_PASSWORD_BYTES ? undefined : normal;
}

function parse(phc: string): argon2.ParsedHashOptions | undefined {
  try {
    return argon2.parseOptions(phc);
  } catch {
    return undefined;
  }
}

function isVerifiable(phc: string): boolean {
  if (!phc.startsWith('$argon2id$')) return false;
  const parsed = parse(phc);
  return parsed !== undefined && parsed.memoryCost <= MAX_MEMORY_KIB && parsed.timeCost <= MAX_PASSES && parsed.parallelism <= MAX_PARALLELISM;
}
