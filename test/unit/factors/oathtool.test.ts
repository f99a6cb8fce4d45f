/**
 * Codes of an independent generator: oathtool of the OATH Toolkit (Debian: oathtool). What it makes is accepted, in every
 * combination of hash, digits and period that a realm can be set to.
 */
import { spawnSync } from 'node:child_process';
import test, { type ExecutionContext } from 'ava';
import { hotp } from '../../../src/factors/hotp/hotp.ts';
import { totp } from '../../../src/factors/totp/totp.ts';
import { defaultRealmSettings, realmSettings } from '../../../src/realms/settings.ts';
import { Counters, credentialOf, factorContext, hotpSecret, stateOf } from '../../support/factors.ts';

const found = spawnSync('oathtool', ['--version']).status === 0;
const withOathtool = (title: string, body: (t: ExecutionContext) => Promise<void>): void =>
  found ? test(title, body) : test.skip(`${title} (needs oathtool)`, body);

function oathtool(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('oathtool', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return stdout.trim();
}

const NOW = Date.UTC(2030, 0, 15, 12, 0, 7);
const at = (now: number): string => `${new Date(now).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
const ALGORITHMS = ['sha1', 'sha256', 'sha512'] as const;

for (const algorithm of ALGORITHMS) {
  for (const digits of [6, 8] as const) {
    for (const period of [30, 60]) {
      withOathtool(`TOTP by ${algorithm} of ${digits} digits every ${period} s: from the enrolment to the sign-in`, async (t) => {
        const settings = { ...defaultRealmSettings(), totp: realmSettings.shape.totp.parse({ algorithm, digits, period }) };
        const cx = factorContext({ settings, now: NOW });
        const state = stateOf(await totp.enrol?.begin(cx));
        if (state === null || !totp.enrol) throw new Error('an app can be enrolled');
        // As an app reads them: from the link, by nothing else.
        const link = new URL(String((await totp.enrol.show(cx, state)).model.otpauth));
        const told = { algorithm: link.searchParams.get('algorithm') ?? 'SHA1', digits: link.searchParams.get('digits') ?? '6' };
        const step = link.searchParams.get('period') ?? '30';
        const secret = link.searchParams.get('secret') ?? '';
        t.true(Buffer.from(secret).length * 5 >= 160, 'at least 160 bits');
        const code = (now: number): string =>
          oathtool(`--totp=${told.algorithm}`, `--digits=${told.digits}`, `--time-step-size=${step}s`, `--now=${at(now)}`, '--base32', secret);

        t.is(code(NOW).length, digits);
        const enrolled = await totp.enrol.finish(cx, state, { code: code(NOW), label: 'oathtool' });
        if (enrolled.ok !== true) throw new Error('the code was not accepted');
        const credential = credentialOf('totp', enrolled.secret, { counter: enrolled.counter });
        const counters = new Counters(credential);
        const verify = (now: number, typed: string) =>
          totp.verify({ ...cx, now, spend: counters.spend }, null, { code: typed }, [counters.stored(credential)]);
        t.like(await verify(NOW, code(NOW)), { ok: false, reason: 'replayed' });
        const later = NOW + 2 * period * 1000;
        t.like(await verify(later, code(later)), { ok: true });
        t.like(await verify(later + 5 * period * 1000, code(later + 2 * period * 1000)), { ok: false, reason: 'wrong' }, 'three steps late');
      });
    }
  }
}

withOathtool('HOTP of 6 and 8 digits: code after code', async (t) => {
  for (const digits of [6, 8] as const) {
    const secret = hotpSecret({ digits });
    const credential = credentialOf('hotp', secret);
    const counters = new Counters(credential);
    const cx = factorContext({ spend: counters.spend });
    const codes = oathtool('--hotp', `--digits=${digits}`, '--counter=0', '--window=15', '--base32', secret.secret).split('\n');
    for (const counter of [0, 1, 5, 15])
      t.like(await hotp.verify(cx, null, { code: codes[counter] ?? '' }, [counters.stored(credential)]), { ok: true }, String(counter));
  }
});

test('the floors of a realm: window, period and digits', (t) => {
  const { totp: shape } = realmSettings.shape;
  t.deepEqual(shape.parse({}), { digits: 6, period: 30, algorithm: 'sha1', window: 1 });
  for (const wrong of [{ window: 3 }, { window: -1 }, { period: 14 }, { period: 121 }, { digits: 7 }, { algorithm: 'md5' }, { digits: '6' }])
    t.false(shape.safeParse(wrong).success, JSON.stringify(wrong));
  for (const right of [{ window: 0 }, { window: 2 }, { period: 15 }, { digits: 8 }]) t.true(shape.safeParse(right).success);
});
