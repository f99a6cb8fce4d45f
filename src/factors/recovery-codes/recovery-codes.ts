/**
 * Recovery codes: ten codes on paper for the day when everything else is lost. Each is good once, and all of them are
 * replaced by new ones. Something one has, aal2 for that sign-in.
 *
 * A code is four groups of four characters. The first two characters say which of the ten it is and are no secret; the
 * other fourteen are, 69 bits of them. So one argon2id verification answers for a code, and for one that does not exist.
 *
 * A code is spent through `cx.once` before a verdict says ok; what is then written into the list is there to tell a code
 * that was used from one that never was, and to count what is left.
 */
import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { READABLE } from '../../crypto/codes.ts';
import { corrupted } from '../../errors.ts';
import type { Begun, Credential, Enroller, Enrolment, Factor, FactorContext, Form, Page, Verdict } from '../factor.ts';
import { readableCodeOf } from '../typed.ts';

interface Entry {
  selector: string;
  /** Argon2id of the whole code. */
  phc: string;
  /** Milliseconds since the epoch; null while it is good. */
  usedAt: number | null;
}

/** What is stored, sealed. */
export interface RecoverySecret {
  codes: Entry[];
}

/** What an enrolment remembers until its codes are kept: the codes themselves. */
export interface NewCodes {
  codes: string[];
  /** Milliseconds since the epoch; it stands on the paper, so that old papers can be told from new ones. */
  madeAt: number;
}

const CODES = 10;
/** So few codes are left that it is time for new ones. */
export const FEW_CODES = 3;
const SELECTOR = 2;
/** 31 characters, so 4.95 bits each: 69 bits. NIST SP 800-63B-4 section 3.1.2.1 asks for 20, and for a slow hash below 112. */
const SECRET = 14;
const LENGTH = SELECTOR + SECRET;

const entry = z.strictObject({
  selector: z.string().length(SELECTOR),
  phc: z.string().startsWith('$argon2id$'),
  usedAt: z.number().nullable(),
});
const stored = z.strictObject({
  codes: z.array(entry).max(CODES),
});

/** As long as a row can be kept: a code that was used stays used, however long its list lives. */
const FOR_EVER = Number.MAX_SAFE_INTEGER;

export const recoveryCodes: Factor<RecoverySecret, null, NewCodes> = {
  id: 'recovery-codes',
  role: 'second',
  kinds: ['possession'],
  name: 'Recovery codes',
  strength: 'Codes on paper for when everything else is lost. Each works once.',
  auxiliary: true,

  levelIn: () => 'aal2',
  amrIn: () => ['recovery'],

  parseSecret(value: unknown): RecoverySecret {
    const parsed = stored.safeParse(value);
    if (!parsed.success) throw corrupted('Stored recovery codes are not what they must be.');
    return parsed.data;
  },

  enrol: {
    /** An administrator who has lost everything is let in by another administrator. */
    available: ({ user }: Enroller) => user?.administrator !== true,

    async begin(cx: FactorContext): Promise<Begun<NewCodes>> {
      return { ok: true, state: { codes: newCodes(), madeAt: cx.now } };
    },

    async show(cx: FactorContext, { codes, madeAt }: NewCodes): Promise<Page> {
      const model = { codes, account: cx.user?.username ?? '', madeAt: new Date(madeAt).toISOString() };
      return { view: 'factors/recovery-codes/enrol', model };
    },

    /**
     * Form field `confirm`, a box to tick: the codes were kept. They stand on the same page, so that typing one of them
     * would show no more than that they can be copied.
     *
     * To be given codes shows nothing of who one is, so that this enrolment raises no level.
     */
    async finish(cx: FactorContext, state: NewCodes, input: Form): Promise<Enrolment<RecoverySecret, NewCodes>> {
      if (input.confirm !== 'kept') return { ok: false, reason: 'malformed', field: 'confirm' };
      const codes: Entry[] = [];
      for (const code of state.codes) codes.push({ selector: selectorOf(plain(code)), phc: await cx.passwords.hash(plain(code)), usedAt: null });
      return { ok: true, secret: { codes }, counter: null, label: '', kinds: [], level: 'aal1', amr: [], replaces: true, left: codes.length };
    },
  },

  async show(): Promise<Page> {
    return { view: 'factors/recovery-codes/challenge', model: {} };
  },

  /** Form field `code`. One argon2id verification, whatever was typed. */
  async verify(cx: FactorContext, _state: unknown, input: Form, held: Credential<RecoverySecret>[]): Promise<Verdict<RecoverySecret>> {
    const code = readableCodeOf(input.code, LENGTH);
    const found = await codeOf(cx, code, held);
    if (code === undefined) return { ok: false, reason: 'malformed' };
    if (found === undefined) return { ok: false, reason: 'wrong', ...only(held) };
    const { credential, entry } = found;
    const { id, secret } = credential;
    if (entry.usedAt !== null || !(await cx.once(`recovery-code:${id}:${entry.selector}`, FOR_EVER)))
      return { ok: false, reason: 'replayed', credentialId: id };
    const codes = secret.codes.map((one) => (one === entry ? { ...one, usedAt: cx.now } : one));
    return { ok: true, credentialId: id, kinds: ['possession'], level: 'aal2', amr: ['recovery'], renewed: { codes }, left: codesLeft({ codes }) };
  },
};

/** How many codes are left. */
export const codesLeft = ({ codes }: RecoverySecret): number => codes.filter(({ usedAt }) => usedAt === null).length;

/** The code of that list that was typed; one verification, also where no code begins like it. */
async function codeOf(cx: FactorContext, code: string | undefined, held: readonly Credential<RecoverySecret>[]): Promise<Found | undefined> {
  const begins = (entry: Entry): boolean => code !== undefined && entry.selector === selectorOf(code);
  const alike = held.flatMap((credential) => credential.secret.codes.filter(begins).map((entry) => ({ credential, entry })));
  if (alike.length === 0) await cx.passwords.verify(undefined, code ?? '');
  // A user has one list, and it has one code that begins so.
  for (const found of alike) if (await cx.passwords.verify(found.entry.phc, code ?? '')) return found;
  return undefined;
}

interface Found {
  credential: Credential<RecoverySecret>;
  entry: Entry;
}

const only = (held: readonly Credential[]): { credentialId?: string } => (held.length === 1 && held[0] ? { credentialId: held[0].id } : {});

/** Ten codes with ten different selectors, each in groups of four: `k7xq-93fm-x2v8-hc4t`. */
export function newCodes(): string[] {
  const codes = new Map<string, string>();
  while (codes.size < CODES) {
    const code = Array.from({ length: LENGTH }, () => READABLE.charAt(randomInt(READABLE.length))).join('');
    if (!codes.has(selectorOf(code))) codes.set(selectorOf(code), code.replace(/(.{4})(?=.)/g, '$1-'));
  }
  return [...codes.values()];
}

const plain = (code: string): string => code.replaceAll('-', '');
const selectorOf = (code: string): string => code.slice(0, SELECTOR);
