/**
 * An enrolment pass: a code that an administrator gives to somebody who has lost every other factor. It is typed after the
 * password, once, and opens the enrolment of a new factor and nothing else; all that the user had
 * before goes with that enrolment (login/pass.ts). Something one has, and no method of its own in a token: whoever is let in has shown the new factor.
 *
 * Nobody enrols it. Its row is made by an administrator, approved by a second one where the realm or the user asks for
 * that (admin/resources/enrolment-passes.ts), and goes when it is used, replaced, revoked or too old.
 */
import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { READABLE, safeEqual, sha256 } from '../../crypto/codes.ts';
import { corrupted } from '../../errors.ts';
import type { Credential, Factor, FactorContext, Form, Page, Verdict } from '../factor.ts';
import { readableCodeOf } from '../typed.ts';
import { ENROLMENT_PASS } from './stored.ts';

/** What is stored, sealed. */
export interface PassSecret {
  /** SHA-256 of the code: with its entropy nothing slower is needed. */
  hash: string;
  /** Two administrators stand behind it: without that it lets in nobody who administers anything. */
  dual: boolean;
  /** Milliseconds since the epoch. */
  expiresAt: number;
}

/** 31 characters, so 4.95 bits each: 118 bits. */
const LENGTH = 24;

const stored = z.strictObject({
  hash: z.string().length(43),
  dual: z.boolean(),
  expiresAt: z.number(),
});

export const enrolmentPass: Factor<PassSecret> = {
  id: ENROLMENT_PASS,
  role: 'second',
  kinds: ['possession'],
  name: 'Enrolment pass',
  strength: 'From your administrator, when everything else is lost. It works once, and you set up something new with it.',
  auxiliary: true,

  levelIn: () => 'aal2',
  amrIn: () => [],

  parseSecret(value: unknown): PassSecret {
    const parsed = stored.safeParse(value);
    if (!parsed.success) throw corrupted('A stored enrolment pass is not what it must be.');
    return parsed.data;
  },

  /** Says before what will be gone afterwards. */
  async show(): Promise<Page> {
    return { view: 'factors/enrolment-pass/challenge', model: {} };
  },

  /** Form field `code`. */
  async verify(cx: FactorContext, _state: unknown, input: Form, held: Credential<PassSecret>[]): Promise<Verdict<PassSecret>> {
    const code = readableCodeOf(input.code, LENGTH);
    if (code === undefined) return { ok: false, reason: 'malformed' };
    const hash = sha256(code);
    const pass = held.find(({ secret }) => safeEqual(secret.hash, hash));
    if (pass === undefined) return { ok: false, reason: 'wrong' };
    const { id: credentialId, secret } = pass;
    // Who was made an administrator since it was issued needs two of them.
    if (cx.user?.administrator === true && !secret.dual) return { ok: false, reason: 'wrong', credentialId };
    if (secret.expiresAt <= cx.now) return { ok: false, reason: 'expired', credentialId };
    if (!(await cx.spend(credentialId, 1))) return { ok: false, reason: 'replayed', credentialId };
    return { ok: true, credentialId, kinds: ['possession'], level: 'aal2', amr: [] };
  },
};

/** A new pass, in groups of four: `k7xq-93fm-x2v8-hc4t-9wzn-3kdp`. */
export const newPass = (): string =>
  Array.from({ length: LENGTH }, () => READABLE.charAt(randomInt(READABLE.length)))
    .join('')
    .replace(/(.{4})(?=.)/g, '$1-');

/** What is kept of a code, whoever wrote it down with or without hyphens. */
export const hashOfPass = (code: string): string => sha256(readableCodeOf(code, LENGTH) ?? '');
