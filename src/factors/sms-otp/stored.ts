/** What is stored of a number that codes are sent to. */
import { z } from 'zod';
import { corrupted } from '../../errors.ts';

export const SMS_OTP = 'sms-otp';

const stored = z.strictObject({
  /** E.164. */
  number: z.string().regex(/^\+[1-9]\d{6,14}$/),
  /** Before this time, in milliseconds, nobody signs in with it. */
  usableFrom: z.number().int().min(0),
});
export type SmsSecret = z.infer<typeof stored>;

/** @throws `corrupted` without quoting the number */
export function parseSmsSecret(value: unknown): SmsSecret {
  const parsed = stored.safeParse(value);
  if (!parsed.success) throw corrupted('A stored telephone number is not what it must be.');
  return parsed.data;
}
