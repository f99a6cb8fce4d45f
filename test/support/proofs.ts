/**
 * Proofs and factors for the tests of policy and sign-in, and fast-check arbitraries of them.
 *
 * The arbitraries make a small world on purpose (few factors, few credentials, few times), so that random cases meet:
 * the same credential twice, two proofs at one time, a proof exactly as old as it may be.
 */

import type { Proof } from '../../src/policy/assurance.ts';
import { LEVELS } from '../../src/policy/assurance.ts';
import type { Facts, OwnedFactor } from '../../src/policy/decide.ts';
import { policyOf } from '../../src/policy/document.ts';
import fc from './property.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
/** A fixed present. */
export const NOW = Date.UTC(2030, 0, 15, 12);

/** Every factor that the tests know, by id: `question` is a second factor of the password's own kind, the last two are for a lost one. */
export const FACTORS = {
  totp: { factor: 'totp', level: 'aal2', kinds: ['possession'] },
  hotp: { factor: 'hotp', level: 'aal2', kinds: ['possession'] },
  email: { factor: 'email', level: 'aal1', kinds: ['possession'] },
  question: { factor: 'question', level: 'aal2', kinds: ['knowledge'] },
  key: { factor: 'key', level: 'phr', kinds: ['possession'] },
  passkey: { factor: 'passkey', level: 'phr', kinds: ['possession', 'inherence'] },
  attested: { factor: 'attested', level: 'phrh', kinds: ['possession', 'inherence'] },
  'recovery-codes': { factor: 'recovery-codes', level: 'aal2', kinds: ['possession'] },
  'enrolment-pass': { factor: 'enrolment-pass', level: 'aal2', kinds: ['possession'] },
} as const satisfies Record<string, OwnedFactor>;

const AMR: Record<string, string[]> = { password: ['pwd'], totp: ['otp'], hotp: ['otp'], key: ['pop', 'hwk'], passkey: ['pop', 'user'] };

/** A password proof, `ago` milliseconds old. */
export const password = (ago = 0, credentialId = 'pw-1'): Proof => ({
  credentialId,
  factor: 'password',
  kinds: ['knowledge'],
  level: 'aal1',
  amr: ['pwd'],
  at: NOW - ago,
});

/** A proof of a second factor, `ago` milliseconds old. */
export const proofOf = (factor: OwnedFactor, ago = 0, credentialId = `${factor.factor}-1`): Proof => ({
  credentialId,
  factor: factor.factor,
  kinds: [...factor.kinds],
  level: factor.level,
  amr: AMR[factor.factor] ?? [factor.factor],
  at: NOW - ago,
});

export const totp = (ago = 0, credentialId = 'totp-1'): Proof => proofOf(FACTORS.totp, ago, credentialId);

/** What nothing is known about: nobody, from nowhere, with nothing allowed. */
export const neutralFacts = (): Pick<Facts, 'user' | 'client' | 'risk' | 'device' | 'grace' | 'skipped' | 'exception'> => ({
  user: null,
  client: null,
  risk: [],
  device: null,
  grace: { used: 0 },
  skipped: false,
  exception: null,
});

/** Facts of a plain request: one where nothing but a password is asked, unless told otherwise. */
export const factsWith = (some: Partial<Facts> = {}): Facts => ({
  policy: policyOf('optional'),
  ...neutralFacts(),
  now: NOW,
  proofs: [],
  owned: [],
  enrollable: [FACTORS.totp],
  requested: { acr: [], essential: false },
  ...some,
});

const ago = fc.constantFrom(0, 1, MINUTE, 5 * MINUTE, 5 * MINUTE + 1, HOUR, 3 * HOUR, 23 * HOUR, 2 * DAY, 29 * DAY);
const since = fc.option(ago, { nil: undefined }).map((value) => (value === undefined ? undefined : NOW - value));

export const factor = (): fc.Arbitrary<OwnedFactor> => fc.constantFrom<OwnedFactor>(...Object.values(FACTORS));

export const proof = (): fc.Arbitrary<Proof> =>
  fc.oneof(
    fc.tuple(ago, fc.constantFrom('pw-1', 'pw-2')).map(([a, id]) => password(a, id)),
    fc.tuple(factor(), ago, fc.constantFrom(1, 2)).map(([f, a, n]) => proofOf(f, a, `${f.factor}-${n}`)),
  );

export const acrList = (): fc.Arbitrary<string[]> => fc.array(fc.constantFrom(...LEVELS, 'urn:unknown', '0'), { maxLength: 3 });

export const facts = (): fc.Arbitrary<Facts> =>
  fc
    .record({
      mfa: fc.constantFrom('off' as const, 'optional' as const, 'required' as const),
      proofs: fc.array(proof(), { maxLength: 5 }),
      owned: fc.uniqueArray(factor(), { maxLength: 3 }),
      enrollable: fc.uniqueArray(factor(), { maxLength: 3 }),
      acr: acrList(),
      essential: fc.boolean(),
      freshSince: since,
      wish: fc.boolean(),
      actionFreshSince: since,
    })
    .map(({ mfa, acr, essential, freshSince, wish, actionFreshSince, ...rest }) => ({
      ...rest,
      policy: policyOf(mfa),
      ...neutralFacts(),
      now: NOW,
      requested: { acr, essential, ...(freshSince === undefined ? {} : { freshSince }) },
      ...(wish ? { action: 'enrol' as const } : {}),
      ...(wish && actionFreshSince !== undefined ? { actionFreshSince } : {}),
    }));
