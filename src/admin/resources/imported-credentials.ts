/**
 * Credentials as Keycloak exports them: JSON in texts inside of JSON. A password's hash is kept as it is until the next
 * sign-in; apps and tokens keep the secret that their owner has.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { storedHash } from '../../crypto/imported-hashes.ts';
import type { Keyring } from '../../crypto/keyring.ts';
import { badInput } from '../../errors.ts';
import { otpSecret, secretOfBytes } from '../../factors/otp.ts';
import { type CredentialRow, credentialSeal } from '../../store/credentials.ts';
import { plainText } from './context.ts';

/** The part of a CredentialRepresentation that is read. */
export interface KeycloakCredential {
  type?: string | null | undefined;
  secretData?: string | null | undefined;
  credentialData?: string | null | undefined;
  userLabel?: string | null | undefined;
}

/** A credential before it is anybody's. */
export interface ImportedCredential {
  factor: 'password' | 'totp' | 'hotp';
  label: string;
  secret: unknown;
  counter: number | null;
}

const whole = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
/** Keycloak keeps these as lists of one. */
const one = z
  .union([z.string(), z.number(), z.array(z.union([z.string(), z.number()])).min(1)])
  .transform((value) => String(Array.isArray(value) ? value[0] : value));
const base64 = z
  .string()
  .max(1_000)
  .regex(/^[A-Za-z0-9+/]*={0,2}$/)
  .transform((text) => Buffer.from(text, 'base64'));

const passwordSecret = z.object({ value: base64, salt: base64 });
const passwordData = z.object({
  hashIterations: whole,
  algorithm: z.string().max(50),
  additionalParameters: z.object({ memory: one, type: one, version: one, parallelism: one }).partial().default({}),
});
const otpText = z.object({ value: z.string().min(1).max(500) });
const otpData = z.object({
  subType: z.enum(['totp', 'hotp']),
  digits: z.coerce.number(),
  counter: whole.default(0),
  period: z.coerce.number().int().min(1).max(3_600).default(30),
  algorithm: z.enum(['HmacSHA1', 'HmacSHA256', 'HmacSHA512']).default('HmacSHA1'),
  secretEncoding: z.enum(['BASE32']).optional(),
});
const ALGORITHMS = { HmacSHA1: 'sha1', HmacSHA256: 'sha256', HmacSHA512: 'sha512' } as const;

/** What can be taken over. */
export const isKnownType = (type: string): boolean => type === 'password' || type === 'otp' || type === 'totp' || type === 'hotp';

/**
 * @param at the field that it stands in, such as `credentials.0`
 * @throws AppError 400 naming the field, for what cannot be read, is not known here, or would cost a sign-in too much
 */
export function importedCredential(given: KeycloakCredential, at: string): ImportedCredential {
  return given.type === 'password' || given.type == null ? importedPassword(given, at) : importedOtp(given, at);
}

function importedPassword({ secretData, credentialData }: KeycloakCredential, at: string): ImportedCredential {
  const { value: hash, salt } = read(passwordSecret, secretData, `${at}.secretData`);
  const { hashIterations, algorithm, additionalParameters: more } = read(passwordData, credentialData, `${at}.credentialData`);
  const { memory, parallelism, type, version } = more;
  const phc = storedHash({
    ...{ algorithm, iterations: hashIterations, salt, hash, type, version },
    memoryKiB: memory === undefined ? undefined : Number(memory),
    parallelism: parallelism === undefined ? undefined : Number(parallelism),
  });
  const problem = 'is not known here, or would take a sign-in longer than it may';
  if (phc === undefined) throw badInput(`${at}.credentialData`, `${at}.credentialData: the hash ${problem}`);
  return { factor: 'password', label: 'Password', secret: { phc }, counter: null };
}

function importedOtp({ secretData, credentialData, userLabel }: KeycloakCredential, at: string): ImportedCredential {
  const { value } = read(otpText, secretData, `${at}.secretData`);
  const { subType, digits, counter, period, algorithm, secretEncoding } = read(otpData, credentialData, `${at}.credentialData`);
  // Keycloak's key is the text itself, unless it says otherwise.
  const key = secretEncoding === 'BASE32' ? value.replaceAll('=', '').toUpperCase() : secretOfBytes(Buffer.from(value, 'utf8'));
  const secret = otpSecret.safeParse({ secret: key, digits, algorithm: ALGORITHMS[algorithm] });
  // The issues of zod would quote the secret.
  if (!secret.success) throw badInput(`${at}.secretData`, `${at}: not a secret of 16 to 64 bytes for codes of 6 or 8 digits`);
  const label = plainText(60).safeParse(userLabel ?? '').data ?? '';
  if (subType === 'totp') return { factor: 'totp', label, secret: { ...secret.data, period }, counter: null };
  // Keycloak counts the next code, and here the last one stands.
  return { factor: 'hotp', label, secret: secret.data, counter: counter === 0 ? null : counter - 1 };
}

function read<T>(schema: z.ZodType<T>, text: string | null | undefined, field: string): T {
  const refused = () => badInput(field, `${field}: not what Keycloak exports`);
  let json: unknown;
  try {
    json = JSON.parse(text ?? '');
  } catch {
    throw refused();
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw refused();
  return parsed.data;
}

/** As they are stored. Sealing takes its time: it is done before the transaction. */
export function credentialRows(
  { keyring, now }: { keyring: Keyring; now: number },
  whose: { realmId: string; userId: string },
  imported: readonly ImportedCredential[],
): Promise<CredentialRow[]> {
  return Promise.all(
    imported.map(async ({ factor, label, secret, counter }, index) => {
      const key = { ...whose, id: randomUUID() };
      return {
        ...{ ...key, factor, label, counter, secret: await keyring.seal(credentialSeal(key), JSON.stringify(secret)) },
        ...{ enabled: true, level: null, lookup: null, createdAt: now + index, lastUsedAt: null },
      };
    }),
  );
}
