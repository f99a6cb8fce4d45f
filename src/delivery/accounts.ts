/** The accounts that realms send by where they have their own, sealed as a whole. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { accountSid, authToken, type MailAccount, mailHost, messagingService, type SmsAccount, smsSender } from '../config/delivery.ts';
import type { Keyring } from '../crypto/keyring.ts';
import { corrupted } from '../errors.ts';
import { type DeliveryAccountRow, deliveryAccountSeal } from '../store/delivery-accounts.ts';
import { isMailAddress, oneLine } from './channel.ts';

const box = z.object({
  name: z
    .string()
    .max(100)
    .refine((text) => oneLine(text) === text, 'must be one line')
    .nullable(),
  address: z.string().refine(isMailAddress, 'is no mail address'),
});

export const mailAccount: z.ZodType<MailAccount> = z.object({
  host: mailHost,
  port: z.number().int().min(1).max(65_535),
  tls: z.enum(['implicit', 'required', 'optional', 'off']),
  login: z.object({ user: z.string().min(1).max(255), password: z.string().min(1).max(1_024) }).nullable(),
  from: box,
  replyTo: box.nullable(),
  ca: z
    .string()
    .max(100_000)
    .regex(/^\s*(-----BEGIN CERTIFICATE-----[\w+/=\s]+-----END CERTIFICATE-----\s*)+$/, 'is no certificate in PEM')
    .nullable(),
  guarded: z.boolean().optional(),
});

export const smsAccount: z.ZodType<SmsAccount> = z.object({
  accountSid,
  authToken,
  sender: z.union([z.strictObject({ from: smsSender }), z.strictObject({ messagingService })]),
});

/** The account of a row. */
export async function openAccount<T>(keyring: Keyring, row: DeliveryAccountRow, schema: z.ZodType<T>): Promise<T> {
  const opened: unknown = JSON.parse(await keyring.openText(deliveryAccountSeal(row), row.account));
  const result = schema.safeParse(opened);
  // The issues of zod would quote what is secret.
  if (!result.success) throw corrupted('A stored account for mail or text messages is not what it must be.');
  return result.data;
}

/** A row for an account, in the place of any other of the realm's. */
export async function sealAccount(
  keyring: Keyring,
  key: { realmId: string; channel: 'mail' | 'sms' },
  account: MailAccount | SmsAccount,
  now: number,
): Promise<DeliveryAccountRow> {
  return { ...key, account: await keyring.seal(deliveryAccountSeal(key), JSON.stringify(account)), version: randomUUID(), updatedAt: now };
}
