/**
 * The password: the first factor. Something one knows, aal1 by itself.
 *
 * It does one argon2id verification in every case (no such user, no password set, unusable input), so that time tells
 * nobody which of them it was. A password is never trimmed or cut: what was typed is what is verified.
 */
import { z } from 'zod';
import { AppError, corrupted } from '../../errors.ts';
import type { Credential, Factor, FactorContext, Form, Page, Verdict } from '../factor.ts';

/** What is stored, sealed or not: an argon2id PHC string. */
export interface PasswordSecret {
  phc: string;
}

const stored = z.strictObject({ phc: z.string().min(1) });

/** The hasher refuses what is longer too; here it is told from a wrong password (OWASP: bound the input, do not cut it). */
const MAX_BYTES = 1024;

export const password: Factor<PasswordSecret, null> = {
  id: 'password',
  role: 'first',
  kinds: ['knowledge'],
  name: 'Password',
  strength: 'Can be guessed, reused and phished: a second factor beside it keeps the account safe.',

  levelIn: () => 'aal1',
  amrIn: () => ['pwd'],

  parseSecret(value: unknown): PasswordSecret {
    const parsed = stored.safeParse(value);
    if (!parsed.success) throw corrupted('A stored password is not what it must be.');
    return parsed.data;
  },

  async show(): Promise<Page> {
    return { view: 'factors/password/challenge', model: {} };
  },

  /** Form field `password`. */
  async verify(cx: FactorContext, _state: unknown, input: Form, held: Credential<PasswordSecret>[]): Promise<Verdict<PasswordSecret>> {
    const typed: unknown = input.password;
    if (!isUsable(typed)) {
      await cx.passwords.verify(undefined, '');
      return { ok: false, reason: 'malformed' };
    }
    const [credential] = held;
    const matches = await cx.passwords.verify(credential?.secret.phc, typed);
    if (credential === undefined || !matches) return { ok: false, reason: 'wrong', ...(credential && { credentialId: credential.id }) };

    const renewed = cx.passwords.needsRehash(credential.secret.phc) ? await rehash(cx, typed) : undefined;
    return {
      ok: true,
      credentialId: credential.id,
      kinds: ['knowledge'],
      level: 'aal1',
      amr: ['pwd'],
      ...(renewed && { renewed }),
    };
  },
};

function isUsable(typed: unknown): typed is string {
  return typeof typed === 'string' && typed.length > 0 && Buffer.byteLength(typed, 'utf8') <= MAX_BYTES;
}

/** Renewing can wait for the next sign-in; a full queue is no reason to refuse a right password. */
async function rehash(cx: FactorContext, typed: string): Promise<PasswordSecret | undefined> {
  try {
    return { phc: await cx.passwords.hash(typed) };
  } catch (error) {
    if (error instanceof AppError && error.code === 'busy') return undefined;
    throw error;
  }
}
