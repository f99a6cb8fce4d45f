/** What the two kinds of one-time passwords share (RFC 4226, RFC 6238): the key, the digits, the hash, and what a code shows. */
import { ScureBase32Plugin } from 'otplib';
import { z } from 'zod';

/** What is stored, sealed. */
export const otpSecret = z.strictObject({
  /** Base32, upper case, without padding. */
  secret: z.string().refine(isKey),
  digits: z.union([z.literal(6), z.literal(8)]),
  algorithm: z.enum(['sha1', 'sha256', 'sha512']),
});
export type OtpSecret = z.infer<typeof otpSecret>;

/** A key as it is stored. */
export const secretOfBytes = (key: Uint8Array): string => new ScureBase32Plugin().encode(key).replaceAll('=', '');

/** Something one has; a code of it can be told to a fake page. */
export const shownByCode = (): { kinds: ['possession']; level: 'aal2'; amr: string[] } => ({ kinds: ['possession'], level: 'aal2', amr: ['otp'] });

/** From 128 bits (RFC 4226 section 4, R6) to the longest hash. */
function isKey(value: string): boolean {
  try {
    const { length } = new ScureBase32Plugin().decode(value);
    return length >= 16 && length <= 64;
  } catch {
    return false;
  }
}
