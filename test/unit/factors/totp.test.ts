import { execFileSync, spawnSync } from 'node:child_process';
import test from 'ava';
import { ScureBase32Plugin } from 'otplib';
import type { Verdict } from '../../../src/factors/factor.ts';
import type { TotpSecret } from '../../../src/factors/totp/totp.ts';
import { totp } from '../../../src/factors/totp/totp.ts';
import { realmSettings } from '../../../src/realms/settings.ts';
import { Counters, credentialOf, factorContext, stateOf, totpCode, totpSecret, wrongTotpCode } from '../../support/factors.ts';

const STEP = 30_000;
const T0 = Date.UTC(2030, 0, 15, 12, 0, 10);
const stepAt = (now: number, period = 30): number => Math.floor(now / 1000 / period);

/** One app of one user, as it stands in the store between attempts. */
const app = (secret: TotpSecret = totpSecret(), counter: number | null = null) => {
  const credential = credentialOf('totp', secret, { counter });
  const counters = new Counters(credential);
  return {
    credential,
    counters,
    code: (now: number) => totpCode(secret, now),
    verify: (code: unknown, now: number, settings = {}): Promise<Verdict> =>
      totp.verify(
        factorContext({ now, spend: counters.spend, settings: realmSettings.parse({ totp: settings }) }),
        null,
        { code } as Record<string, string>,
        [counters.stored(credential)],
      ),
  };
};
const reason = (verdict: Verdict): string => (verdict.ok ? 'ok' : verdict.reason);

test('a code is accepted once in its step (A01)', async (t) => {
  const one = app();
  const verdict = await one.verify(one.code(T0), T0);
  t.deepEqual(verdict, { ok: true, credentialId: one.credential.id, kinds: ['possession'], level: 'aal2', amr: ['otp'] });
  t.deepEqual(one.counters.spent, [[one.credential.id, stepAt(T0)]]);
  t.is(reason(await one.verify(one.code(T0), T0 + 1)), 'replayed');
});

test('a used code is refused in the next step, too (A02)', async (t) => {
  const one = app();
  t.is(reason(await one.verify(one.code(T0), T0)), 'ok');
  t.is(reason(await one.verify(one.code(T0), T0 + STEP)), 'replayed');
  t.is(reason(await one.verify(one.code(T0), T0 + 3 * STEP)), 'wrong', 'out of the window it is no code at all');
});

test('after a later code, an earlier one is refused (A03)', async (t) => {
  const one = app();
  t.is(reason(await one.verify(one.code(T0 + STEP), T0)), 'ok');
  t.is(reason(await one.verify(one.code(T0), T0)), 'replayed');
  t.is(reason(await one.verify(one.code(T0 + 2 * STEP), T0 + STEP)), 'ok');
});

test('the window is a step before and a step after, as the realm says', async (t) => {
  for (const window of [0, 1, 2]) {
    for (const off of [-3, -2, -1, 0, 1, 2, 3]) {
      const one = app();
      t.is(reason(await one.verify(one.code(T0 + off * STEP), T0, { window })), Math.abs(off) <= window ? 'ok' : 'wrong', `${off} of ${window}`);
    }
  }
});

test('steps begin and end where RFC 6238 says', async (t) => {
  const start = stepAt(T0) * STEP;
  for (const [now, result] of [
    [start, 'ok'],
    [start + STEP - 1, 'ok'],
    [start - 1, 'wrong'],
    [start + STEP, 'wrong'],
  ] as const) {
    const one = app();
    t.is(reason(await one.verify(one.code(start), now, { window: 0 })), result);
  }
});

test('a counter beyond the window (a clock that was set back) refuses and does not fault', async (t) => {
  const one = app(totpSecret(), stepAt(T0) + 100);
  t.is(reason(await one.verify(one.code(T0), T0)), 'replayed');
  t.is(reason(await one.verify(wrongTotpCode(one.credential.secret, T0), T0)), 'wrong');
});

test('a lost race is a replay', async (t) => {
  const one = app();
  const cx = factorContext({ now: T0, spend: async () => false });
  t.deepEqual(await totp.verify(cx, null, { code: one.code(T0) }, [one.credential]), {
    ok: false,
    reason: 'replayed',
    credentialId: one.credential.id,
  });
});

test('000000 is a code like any other (A13)', async (t) => {
  const secret = totpSecret({ secret: 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ' });
  // The first step after T0 at which this secret's code is all zeros.
  const now = 64_478_343 * STEP;
  t.is(totpCode(secret, now), '000000');
  t.is(reason(await app(secret).verify('000000', now)), 'ok');
});

test('what is no code is malformed, and spends nothing (A13)', async (t) => {
  const one = app();
  const code = one.code(T0);
  const fullWidth = [...code].map((digit) => String.fromCodePoint(0xff10 + Number(digit))).join('');
  const arabic = [...code].map((digit) => String.fromCodePoint(0x0660 + Number(digit))).join('');
  for (const typed of [
    '',
    ' ',
    '1e5',
    '1e5000',
    `+${code}`,
    `-${code}`,
    `${code}-`,
    `0${code}`,
    code.slice(1),
    `${code}.0`,
    fullWidth,
    arabic,
    `${code}\u0000`,
    [code],
    { 0: code },
    123456,
    null,
    undefined,
  ]) {
    t.is(reason(await one.verify(typed, T0)), 'malformed', JSON.stringify(typed));
  }
  t.deepEqual(one.counters.spent, []);
});

test('spaces and hyphens that people paste are not part of a code', async (t) => {
  for (const write of [
    (c: string) => `${c.slice(0, 3)} ${c.slice(3)}`,
    (c: string) => `  ${c}\t`,
    (c: string) => `${c.slice(0, 3)}-${c.slice(3)}`,
    (c: string) => [...c].join(' '),
    (c: string) => `${c.slice(0, 3)}\u00a0${c.slice(3)}\r\n`,
  ]) {
    const one = app();
    t.is(reason(await one.verify(write(one.code(T0)), T0)), 'ok');
  }
});

test('of two apps, each has its own counter', async (t) => {
  const [a, b] = [credentialOf('totp', totpSecret()), credentialOf('totp', totpSecret({ digits: 8, algorithm: 'sha256' }))];
  const counters = new Counters(a, b);
  const cx = factorContext({ now: T0, spend: counters.spend });
  const held = () => [counters.stored(a), counters.stored(b)];
  t.is(reason(await totp.verify(cx, null, { code: totpCode(a.secret, T0) }, held())), 'ok');
  t.is(reason(await totp.verify(cx, null, { code: totpCode(b.secret, T0) }, held())), 'ok');
  t.is(reason(await totp.verify(cx, null, { code: totpCode(a.secret, T0) }, held())), 'replayed');
  t.deepEqual(await totp.verify(cx, null, { code: wrongTotpCode(a.secret, T0) }, held()), { ok: false, reason: 'wrong' });
  t.is(reason(await totp.verify(cx, null, { code: '1234567' }, held())), 'malformed');
});

test('the challenge says how many digits, and which app when there is one', async (t) => {
  const [a, b] = [credentialOf('totp', totpSecret(), { label: 'Pixel' }), credentialOf('totp', totpSecret({ digits: 8 }))];
  t.deepEqual((await totp.show(factorContext(), null, [a])).model, { digits: 6, label: 'Pixel' });
  t.deepEqual((await totp.show(factorContext(), null, [a, b])).model, { digits: 8, label: null });
});

test('an enrolment follows the settings of the realm, with a key as long as the hash and never under 160 bits', async (t) => {
  for (const [algorithm, shown, bytes] of [
    ['sha1', 'SHA-1', 20],
    ['sha256', 'SHA-256', 32],
    ['sha512', 'SHA-512', 64],
  ] as const) {
    const settings = realmSettings.parse({ totp: { digits: 8, period: 60, algorithm } });
    const cx = factorContext({ settings });
    const state = stateOf(await totp.enrol?.begin(cx));
    if (state === null) return t.fail('it was begun');
    t.like(state, { digits: 8, period: 60, algorithm });
    t.is(new ScureBase32Plugin().decode(state.secret).length, bytes);
    const key = state.secret.match(/.{1,4}/g)?.join(' ');
    t.like((await totp.enrol?.show(cx, state))?.model, { digits: 8, period: 60, algorithm: shown, issuer: 'Demo', account: 'alice', key });
  }
});

test("the user's own name for an app is kept short and plain", async (t) => {
  const labelled = async (label?: string) => {
    const cx = factorContext({ now: T0 });
    const state = totpSecret();
    const enrolled = await totp.enrol?.finish(cx, state, { code: totpCode(state, T0), ...(label !== undefined && { label }) });
    return enrolled?.ok === true ? enrolled.label : undefined;
  };
  t.is(await labelled('  Pixel 9 '), 'Pixel 9');
  t.is(await labelled(), '');
  t.is(await labelled('   '), '');
  t.is(await labelled('a\u202eb\u0000c\r\nd'), 'abcd');
  t.is(await labelled('😀'.repeat(100)), '😀'.repeat(64));
  t.is(await labelled('x\ud800'), 'x\ufffd');
});

// RFC 6238 appendix B: the secrets are ASCII digits, as long as each hash.
const DIGITS = '1234567890'.repeat(7);
const RFC_SECRETS = { sha1: 20, sha256: 32, sha512: 64 } as const;
const RFC_CODES = [
  [59, '94287082', '46119246', '90693936'],
  [1111111109, '07081804', '68084774', '25091201'],
  [1111111111, '14050471', '67062674', '99943326'],
  [1234567890, '89005924', '91819424', '93441116'],
  [2000000000, '69279037', '90698825', '38618901'],
  [20000000000, '65353130', '77737706', '47863826'],
] as const;

test('the codes of RFC 6238 appendix B are accepted', async (t) => {
  for (const [time, sha1, sha256, sha512] of RFC_CODES) {
    for (const [algorithm, code] of Object.entries({ sha1, sha256, sha512 }) as [keyof typeof RFC_SECRETS, string][]) {
      const secret = new ScureBase32Plugin().encode(Buffer.from(DIGITS.slice(0, RFC_SECRETS[algorithm])));
      t.is(reason(await app({ secret, digits: 8, period: 30, algorithm }).verify(code, time * 1000, { window: 0 })), 'ok', `${algorithm} at ${time}`);
    }
  }
});

const oathtool = spawnSync('oathtool', ['--version']).status === 0;
const independent = oathtool ? test : test.skip;

independent('the codes of an independent generator (oathtool) are accepted', async (t) => {
  for (const algorithm of ['sha1', 'sha256', 'sha512'] as const) {
    for (const digits of [6, 8] as const) {
      for (const period of [30, 60]) {
        const secret = totpSecret({ algorithm, digits, period });
        const args = [
          `--totp=${algorithm}`,
          '--base32',
          `--digits=${digits}`,
          `--time-step-size=${period}`,
          `--now=@${Math.floor(T0 / 1000)}`,
          secret.secret,
        ];
        const code = execFileSync('oathtool', args, { encoding: 'utf8' }).trim();
        const one = app(secret);
        t.is(reason(await one.verify(code, T0, { window: 0 })), 'ok', args.slice(0, 4).join(' '));
        t.deepEqual(one.counters.spent, [[one.credential.id, stepAt(T0, period)]]);
      }
    }
  }
});
