/**
 * Files of hardware tokens as their makers hand them out: CSV (csv.ts) and PSKC (pskc.ts). Both are read into entries, one
 * a token, each good or with what is wrong with it.
 *
 * What is wrong is said without quoting the file: a key stands in it, and not always in the column where it should.
 */
import { ScureBase32Plugin } from 'otplib';
import { z } from 'zod';
import { badInput } from '../../../errors.ts';

export interface NewToken {
  /** As it is printed on the token. */
  serial: string;
  model: string | null;
  /** The factor that it is: codes that a counter counts, or codes of the time. */
  factor: 'hotp' | 'totp';
  /** The key in base32, upper case, without padding. */
  secret: string;
  digits: 6 | 8;
  algorithm: 'sha1' | 'sha256' | 'sha512';
  /** Seconds a step; null where a counter counts. */
  period: number | null;
  /** The last counter that was used; null before the first. */
  counter: number | null;
  /** Whose it is to be. */
  username: string | null;
}

/** A token of the file, or what is wrong with it. */
export type Entry = { place: number; serial: string | null } & ({ token: NewToken } | { problem: string });

export interface TokenFile {
  /** What `place` counts. */
  counts: 'line' | 'key';
  entries: Entry[];
}

/** A token as a file has it, before it is known to be one. */
export interface RawToken {
  serial: string | undefined;
  model?: string | undefined;
  factor?: string | undefined;
  key: Uint8Array | undefined;
  digits?: string | undefined;
  algorithm?: string | undefined;
  period?: string | undefined;
  /** The counter of the next code. */
  counter?: string | undefined;
  username?: string | undefined;
}

/** Hundreds of bytes a token: a hundred thousand of them. */
const MAX_FILE_BYTES = 32 * 1024 * 1024;
export const MAX_TOKENS = 100_000;
/** RFC 4226 section 4, R6: at least 128 bits. More than the longest of the three hashes is no key of a token. */
const KEY_BYTES = { least: 16, most: 64 };

const base32 = new ScureBase32Plugin();

/** @throws AppError `bad_input` (field `file`): the file as a whole cannot be read */
export const wrongFile = (message: string) => badInput('file', message);

/** The text of a file; only UTF-8, with or without a byte order mark. */
export function textOf(bytes: Uint8Array): string {
  if (bytes.length > MAX_FILE_BYTES) throw wrongFile(`The file is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB. Import it in parts.`);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw wrongFile('The file is not text in UTF-8.');
  }
}

const plain = (most: number, what: string) =>
  z
    .string()
    .max(most, `${what} has more than ${most} characters`)
    .refine((text) => text.isWellFormed() && !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text), `${what} is not plain text`);
const integer = (least: number, most: number, problem: string) =>
  z
    .string()
    .regex(/^\d{1,16}$/, problem)
    .transform(Number)
    .refine((value) => Number.isSafeInteger(value) && value >= least && value <= most, problem);

/** No button is pressed so often; what is larger was misread. */
const MOST_CODES = 1_000_000_000_000;

/** Every message is ours: those of zod would quote the input. */
const token = z.object({
  factor: z
    .string()
    .toLowerCase()
    .pipe(z.enum(['hotp', 'totp'], 'the type is neither hotp nor totp')),
  key: z
    .instanceof(Uint8Array, { error: 'the secret is missing, or not in the encoding that was named' })
    .refine(
      ({ length }) => length >= KEY_BYTES.least && length <= KEY_BYTES.most,
      `the secret must have from ${KEY_BYTES.least * 8} to ${KEY_BYTES.most * 8} bits`,
    ),
  digits: z.enum(['6', '8'], 'the digits are neither 6 nor 8').transform((digits) => (digits === '6' ? 6 : 8)),
  algorithm: z
    .string()
    .transform((name) =>
      name
        .toLowerCase()
        .replace(/^hmac[-_]?/, '')
        .replaceAll('-', ''),
    )
    .pipe(z.enum(['sha1', 'sha256', 'sha512'], 'the algorithm is none of sha1, sha256 and sha512')),
  counter: integer(0, MOST_CODES, 'the counter is not a whole number'),
  period: integer(15, 120, 'the period is not a whole number of seconds from 15 to 120'),
  model: plain(100, 'the model'),
  username: plain(255, 'the username'),
});
const DEFAULTS = { factor: 'hotp', digits: '6', algorithm: 'sha1', counter: '0', period: '30', model: '', username: '' };

/** The one place where a token of either format is looked at. */
export function entryOf(place: number, raw: RawToken): Entry {
  const printed = plain(64, 'the serial number')
    .regex(/[\p{L}\p{N}]/u)
    .safeParse(raw.serial);
  if (!printed.success) return { place, serial: null, problem: 'the serial number is missing, or not plain text of up to 64 characters' };
  const serial = printed.data;
  const given = Object.fromEntries(Object.entries(raw).filter(([, value]) => value !== undefined && value !== ''));
  const read = token.safeParse({ ...DEFAULTS, ...given });
  if (!read.success) return { place, serial, problem: read.error.issues[0]?.message ?? 'it cannot be read' };
  const { factor, key, digits, algorithm, counter, period, model, username } = read.data;
  const counts = factor === 'hotp';
  return {
    place,
    serial,
    token: {
      serial,
      model: model || null,
      factor,
      secret: base32.encode(key, { padding: false }),
      digits,
      algorithm,
      period: counts ? null : period,
      counter: counts && counter > 0 ? counter - 1 : null,
      username: username || null,
    },
  };
}

/** The bytes of a key, or undefined when that is not how it is written. Spaces and hyphens between groups do not count. */
export function keyBytes(text: string, encoding: 'hex' | 'base32' | 'base64'): Uint8Array | undefined {
  const joined = text.replace(/[\s-]/g, '');
  if (joined === '') return undefined;
  if (encoding === 'hex') return /^(?:[0-9a-f]{2})+$/i.test(joined) ? Buffer.from(joined, 'hex') : undefined;
  if (encoding === 'base64') {
    const bytes = /^[A-Za-z0-9+/]+={0,2}$/.test(joined) ? Buffer.from(joined, 'base64') : undefined;
    return bytes?.toString('base64') === joined ? bytes : undefined;
  }
  try {
    return base32.decode(joined.toUpperCase().replace(/=+$/, ''));
  } catch {
    return undefined;
  }
}
