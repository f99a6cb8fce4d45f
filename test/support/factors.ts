/**
 * What the contract suite needs of each factor: how to make a credential, and what a right and a wrong answer are.
 * A new factor adds one harness here; the suite fails for a factor without one.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { generateSync, ScureBase32Plugin } from 'otplib';
import { Argon2Hasher } from '../../src/crypto/passwords.ts';
import type { EmailSecret } from '../../src/factors/email-otp/email-otp.ts';
import { hashOfPass, newPass, type PassSecret } from '../../src/factors/enrolment-pass/enrolment-pass.ts';
import type { Begun, Credential, Delivery, FactorContext, Form, OneTimeCodes, PasswordHasher, TokenStock } from '../../src/factors/factor.ts';
import type { OtpSecret } from '../../src/factors/otp.ts';
import type { PasswordSecret } from '../../src/factors/password/password.ts';
import { newCodes, type RecoverySecret, recoveryCodes } from '../../src/factors/recovery-codes/recovery-codes.ts';
import type { SmsSecret } from '../../src/factors/sms-otp/stored.ts';
import type { TotpSecret } from '../../src/factors/totp/totp.ts';
import { defaultRealmSettings, type RealmSettings } from '../../src/realms/settings.ts';
import { webauthnHarness } from './webauthn.ts';

/** Argon2id as small as it goes: what is tested is the factor, not the hash. */
export const quickHasher = (): Argon2Hasher => new Argon2Hasher({ memoryKiB: 8, passes: 1, parallelism: 1, queueLimit: 1000 });

/** What a hasher was asked, for tests that count. */
export class CountingHasher implements PasswordHasher {
  readonly #inner = quickHasher();
  verifications = 0;
  hashes = 0;
  hash(password: string): Promise<string> {
    this.hashes += 1;
    return this.#inner.hash(password);
  }
  verify(phc: string | undefined, password: string): Promise<boolean> {
    this.verifications += 1;
    return this.#inner.verify(phc, password);
  }
  needsRehash(phc: string): boolean {
    return this.#inner.needsRehash(phc);
  }
}

/** The counters behind `cx.spend`: one conditional write, after a turn of the event loop in which others may come first. */
export class Counters {
  readonly #used = new Map<string, number>();
  readonly spent: [credentialId: string, counter: number][] = [];

  constructor(...credentials: Credential[]) {
    for (const { id, counter } of credentials) if (counter !== null) this.#used.set(id, counter);
  }

  readonly spend = async (credentialId: string, counter: number): Promise<boolean> => {
    await new Promise((resolve) => setImmediate(resolve));
    if ((this.#used.get(credentialId) ?? Number.NEGATIVE_INFINITY) >= counter) return false;
    this.#used.set(credentialId, counter);
    this.spent.push([credentialId, counter]);
    return true;
  };

  /** The credential as the store would hand it out now. */
  stored<S>(credential: Credential<S>): Credential<S> {
    return { ...credential, counter: this.#used.get(credential.id) ?? null };
  }
}

const PRESENT = Date.UTC(2030, 0, 15, 12, 0, 7);

/** What was sent, and the live codes, in memory; the statements of the store are tested in test/unit/store. */
export class Sent {
  readonly deliveries: Delivery[] = [];
  readonly #live = new Map<string, { code: string; tries: number; until: number; spent?: boolean }>();
  readonly #spent = new Set<string>();

  readonly deliver: FactorContext['deliver'] = async (delivery) => {
    this.deliveries.push(delivery);
    return { ok: true };
  };

  readonly once: FactorContext['once'] = async (value) => {
    await new Promise((resolve) => setImmediate(resolve));
    return this.#spent.size < this.#spent.add(value).size;
  };

  /** The code that was sent last. */
  get code(): string {
    return this.deliveries.at(-1)?.code ?? '';
  }

  codes(now: number): OneTimeCodes {
    return {
      issue: async (purpose, code, lifetimeMs) => void this.#live.set(purpose, { code, tries: 0, until: now + lifetimeMs }),
      check: async (purpose, code) => {
        await new Promise((resolve) => setImmediate(resolve));
        const live = this.#live.get(purpose);
        if (live?.spent) return live.code === code ? 'replayed' : 'expired';
        if (live === undefined || live.tries >= 5 || live.until <= now) return 'expired';
        live.tries += 1;
        if (live.code !== code) return 'wrong';
        live.spent = true;
        return 'ok';
      },
    };
  }
}

/** A context for realm `demo` and user `alice`; `sent` sees what it sends. */
export const factorContext = ({ sent = new Sent(), ...some }: Partial<FactorContext> & { sent?: Sent } = {}): FactorContext => ({
  realm: { id: randomUUID(), name: 'demo', displayName: 'Demo' },
  user: { id: randomUUID(), username: 'alice', email: 'alice@example.com', emailVerified: true, administrator: false },
  origin: 'https://id.example',
  transaction: randomUUID(),
  once: sent.once,
  codes: sent.codes(some.now ?? PRESENT),
  deliver: sent.deliver,
  proveNumber: async () => some.now ?? PRESENT,
  lookups: async () => [],
  handle: () => Buffer.alloc(64, 7),
  stock: { find: async () => undefined },
  now: PRESENT,
  settings: defaultRealmSettings(),
  passwords: quickHasher(),
  spend: new Counters().spend,
  ...some,
});

/** A credential as the store hands it out, its secret opened. */
export const credentialOf = <S>(factor: string, secret: S, some: Partial<Credential<S>> = {}): Credential<S> => ({
  id: randomUUID(),
  factor,
  label: 'Mine',
  secret,
  counter: null,
  level: null,
  createdAt: Date.UTC(2029, 0, 1),
  lastUsedAt: null,
  ...some,
});

/** A challenge that was begun: what an answer is made from. */
export interface Asked {
  secret: unknown;
  /** Null where the factor begins nothing. */
  state: unknown;
  sent: Sent;
  now: number;
  /** Of the credential, where the answer depends on it; null for one that was not used yet. */
  counter?: number | null;
}

/** What the contract suite asks of a factor. `secret` is narrowed by the factor's own parseSecret. */
export interface FactorHarness {
  credential(): Promise<Credential>;
  /** The form that answers a challenge rightly. */
  right(asked: Asked): Form | Promise<Form>;
  wrong(asked: Asked): Form | Promise<Form>;
  /** What a wrong answer is called; `wrong` by default. */
  wrongReason?: 'wrong' | 'malformed';
  /** The fields of its forms; the suite fills them with anything. */
  fields: readonly string[];
  /** Whether a right answer is accepted once only: by a counter, by a live code, or by what is remembered of it. */
  spends: false | 'counter' | 'code' | 'once';
  /** Texts that no page but the enrolment may show. */
  secrets(secret: unknown): string[];
  /** What the realm of the suite needs to be set to. */
  settings?: RealmSettings;
  /** The tokens that are in stock. */
  stock?: TokenStock;
  /** The forms that confirm an enrolment page by page, and one that does not; absent where the factor cannot be enrolled. */
  confirm?(asked: Omit<Asked, 'secret'>): Promise<{ right: Form; wrong: Form }> | { right: Form; wrong: Form };
  /** An enrolment that shows nothing of who one is, and so raises no level. */
  provesNothing?: true;
  /** Pages before the one that `confirm` is about: the form that each is answered with. */
  before?(asked: Omit<Asked, 'secret'>): Form[];
}

/** The state of what was begun. */
export function stateOf<State>(begun: Begun<State> | undefined): State | null {
  if (begun === undefined) return null;
  if (!begun.ok) throw new Error(`not begun: ${begun.reason}`);
  return begun.state;
}

/** A secret of the right length for its algorithm (RFC 6238 appendix A: as long as the hash). */
export const totpSecret = (some: Partial<TotpSecret> = {}): TotpSecret => ({
  secret: new ScureBase32Plugin().encode(randomBytes(20)),
  digits: 6,
  period: 30,
  algorithm: 'sha1',
  ...some,
});

/** The code of an app at a time. */
export const totpCode = (secret: TotpSecret, now: number): string => generateSync({ ...secret, epoch: Math.floor(now / 1000) });

/** A code that none of the steps around a time has. */
export const wrongTotpCode = (secret: TotpSecret, now: number): string => {
  const near = [-3, -2, -1, 0, 1, 2, 3].map((steps) => totpCode(secret, now + steps * secret.period * 1000));
  for (let guess = 0; ; guess += 1) {
    const code = String(guess).padStart(secret.digits, '0');
    if (!near.includes(code)) return code;
  }
};

const PASSWORD = 'correct horse battery staple';
const asTotp = (secret: unknown): TotpSecret => secret as TotpSecret;

/** A secret of a hardware token. */
export const hotpSecret = (some: Partial<OtpSecret> = {}): OtpSecret => ({
  secret: new ScureBase32Plugin().encode(randomBytes(20)),
  digits: 6,
  algorithm: 'sha1',
  ...some,
});

/** The code of a token at a counter. */
export const hotpCode = (secret: OtpSecret, counter: number): string => generateSync({ ...secret, strategy: 'hotp', counter });

/** A code that none of the next counters has, nor any of those before. */
export const wrongHotpCode = (secret: OtpSecret, last = -1): string => {
  const near = Array.from({ length: 150 }, (_, index) => last - 20 + index).flatMap((counter) => (counter < 0 ? [] : [hotpCode(secret, counter)]));
  for (let guess = 0; ; guess += 1) {
    const code = String(guess).padStart(secret.digits, '0');
    if (!near.includes(code)) return code;
  }
};

const asHotp = (secret: unknown): OtpSecret => secret as OtpSecret;
const STOCKED = hotpSecret();

/** Codes by their hashes, which alone are stored. */
const recoveryCodesMade = new Map<string, string>();
const asRecovery = (secret: unknown): RecoverySecret => secret as RecoverySecret;
const recoveryCodeOf = (secret: unknown): string => recoveryCodesMade.get(asRecovery(secret).codes[0]?.phc ?? '') ?? '';

/** A list of ten codes, and its codes as they are on the paper. */
export async function recoverySecret(): Promise<{ secret: RecoverySecret; codes: string[] }> {
  const codes = newCodes();
  const enrolled = await recoveryCodes.enrol?.finish(factorContext(), { codes, madeAt: PRESENT }, { confirm: 'kept' });
  if (enrolled?.ok !== true) throw new Error('no recovery codes were made');
  for (const [index, { phc }] of enrolled.secret.codes.entries()) recoveryCodesMade.set(phc, codes[index] ?? '');
  return { secret: enrolled.secret, codes };
}

const passes = new Map<string, string>();
const passOf = (secret: unknown): string => passes.get((secret as PassSecret).hash) ?? '';
/** A pass as an administrator gave it, which only its paper knows. */
function passSecret(): PassSecret {
  const code = newPass();
  const hash = hashOfPass(code);
  passes.set(hash, code);
  return { hash, dual: false, expiresAt: PRESENT + 3_600_000 };
}

/** A code of the same length that is another one. */
const otherThan = (code: string): string => String((Number(code) + 1) % 10 ** code.length).padStart(code.length, '0');

export const harnesses: Readonly<Record<string, FactorHarness>> = {
  password: {
    credential: async () => credentialOf<PasswordSecret>('password', { phc: await quickHasher().hash(PASSWORD) }),
    right: () => ({ password: PASSWORD }),
    wrong: () => ({ password: `${PASSWORD} ` }),
    fields: ['password'],
    spends: false,
    secrets: (secret) => [(secret as PasswordSecret).phc],
  },
  totp: {
    credential: async () => credentialOf('totp', totpSecret()),
    right: ({ secret, now }) => ({ code: totpCode(asTotp(secret), now) }),
    wrong: ({ secret, now }) => ({ code: wrongTotpCode(asTotp(secret), now) }),
    fields: ['code', 'label'],
    spends: 'counter',
    secrets: (secret) => [asTotp(secret).secret],
    confirm: ({ state, now }) => ({
      right: { code: totpCode(asTotp(state), now), label: 'New phone' },
      wrong: { code: wrongTotpCode(asTotp(state), now) },
    }),
  },
  'email-otp': {
    credential: async () => credentialOf('email-otp', { address: 'alice@example.com' }),
    right: ({ sent }) => ({ code: sent.code }),
    wrong: ({ sent }) => ({ code: otherThan(sent.code) }),
    fields: ['code'],
    spends: 'code',
    secrets: (secret) => [(secret as EmailSecret).address],
    confirm: ({ sent }) => ({ right: { code: sent.code }, wrong: { code: otherThan(sent.code) } }),
  },
  'sms-otp': {
    credential: async () => credentialOf('sms-otp', { number: '+4915123456789', usableFrom: PRESENT }),
    right: ({ sent }) => ({ code: sent.code }),
    wrong: ({ sent }) => ({ code: otherThan(sent.code) }),
    fields: ['code', 'number'],
    spends: 'code',
    secrets: (secret) => [(secret as SmsSecret).number],
    before: () => [{ number: '+49 151 23456789' }],
    confirm: ({ sent }) => ({ right: { code: sent.code }, wrong: { code: otherThan(sent.code) } }),
  },
  'security-key': webauthnHarness('security-key'),
  passkey: webauthnHarness('passkey'),
  hotp: {
    credential: async () => credentialOf('hotp', hotpSecret()),
    right: ({ secret, counter }) => ({ code: hotpCode(asHotp(secret), (counter ?? -1) + 3) }),
    wrong: ({ secret, counter }) => ({ code: wrongHotpCode(asHotp(secret), counter ?? -1) }),
    fields: ['code', 'next_code', 'serial', 'label'],
    spends: 'counter',
    secrets: (secret) => [asHotp(secret).secret],
    stock: {
      find: async (serial) => (serial === 'SN-1' ? { id: 'token', serial, model: 'C100', secret: STOCKED, counter: null } : undefined),
    },
    confirm: () => ({
      right: { serial: 'SN-1', code: hotpCode(STOCKED, 5), next_code: hotpCode(STOCKED, 6) },
      wrong: { serial: 'SN-1', code: hotpCode(STOCKED, 5), next_code: wrongHotpCode(STOCKED) },
    }),
  },
  'recovery-codes': {
    credential: async () => credentialOf('recovery-codes', (await recoverySecret()).secret),
    right: ({ secret }) => ({ code: recoveryCodeOf(secret) }),
    // The right selector, and a wrong secret.
    wrong: ({ secret }) => ({ code: `${recoveryCodeOf(secret).slice(0, -1)}${recoveryCodeOf(secret).endsWith('x') ? 'y' : 'x'}` }),
    fields: ['code', 'confirm'],
    spends: 'once',
    secrets: (secret) => [...asRecovery(secret).codes.map(({ phc }) => phc), recoveryCodeOf(secret)],
    confirm: () => ({ right: { confirm: 'kept' }, wrong: {} }),
    provesNothing: true,
  },
  'enrolment-pass': {
    credential: async () => credentialOf('enrolment-pass', passSecret()),
    right: ({ secret }) => ({ code: passOf(secret) }),
    wrong: () => ({ code: newPass() }),
    fields: ['code'],
    spends: 'counter',
    secrets: (secret) => [(secret as PassSecret).hash, passOf(secret)],
  },
};
