/** Hardware tokens: which counter may be used, and how one that is out of step is found again. */
import test from 'ava';
import type { Credential, StockToken } from '../../../src/factors/factor.ts';
import { hotp } from '../../../src/factors/hotp/hotp.ts';
import type { OtpSecret } from '../../../src/factors/otp.ts';
import { Counters, credentialOf, factorContext, hotpCode, hotpSecret, wrongHotpCode } from '../../support/factors.ts';
import fc from '../../support/property.ts';

/** A token whose last used counter is that. */
function held(last: number | null, secret: OtpSecret = hotpSecret()) {
  const credential = credentialOf('hotp', secret, { counter: last });
  const counters = new Counters(credential);
  const cx = factorContext({ spend: counters.spend });
  return {
    secret,
    credential,
    counters,
    at: (counter: number) => hotpCode(secret, counter),
    verify: (code: string) => hotp.verify(cx, null, { code }, [counters.stored(credential)]),
    resync: async (form: Record<string, string>) => {
      const verdict = await hotp.resync?.(cx, form, [counters.stored(credential)]);
      if (verdict === undefined) throw new Error('a token can be found again');
      return verdict;
    },
    counter: () => counters.stored(credential).counter,
  };
}

test('the values of RFC 4226 appendix D are the codes', async (t) => {
  const secret: OtpSecret = { secret: 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ', digits: 6, algorithm: 'sha1' };
  const token = held(null, secret);
  const values = ['755224', '287082', '359152', '969429', '338314', '254676', '287922', '162583', '399871', '520489'];
  for (const [counter, value] of values.entries()) {
    t.like(await token.verify(value), { ok: true, credentialId: token.credential.id, amr: ['otp'], level: 'aal2', kinds: ['possession'] });
    t.is(token.counter(), counter);
  }
});

test('the ten codes after the last one are looked at, and no more (A15)', async (t) => {
  for (const last of [null, 0, 41]) {
    const next = (last ?? -1) + 1;
    for (const ahead of [0, 1, 9]) t.true((await held(last, SECRET).verify(hotpCode(SECRET, next + ahead))).ok, `${last} + ${ahead}`);
    for (const ahead of [10, 11, 50]) {
      const token = held(last, SECRET);
      t.like(await token.verify(token.at(next + ahead)), { ok: false, reason: 'wrong', credentialId: token.credential.id }, `${last} + ${ahead}`);
      t.is(token.counter(), last);
    }
  }
});
const SECRET = hotpSecret();

test('a counter only ever grows: what was passed over is gone', async (t) => {
  const token = held(4);
  t.true((await token.verify(token.at(9))).ok);
  for (const used of [9, 8, 5, 4, 0]) t.like(await token.verify(token.at(used)), { ok: false, reason: 'replayed' }, String(used));
  t.is(token.counter(), 9);
  t.true((await token.verify(token.at(10))).ok);
});

test('two codes in a row within the next hundred find a token again', async (t) => {
  for (const ahead of [0, 5, 42, 98]) {
    const token = held(7);
    const first = 8 + ahead;
    t.like(await token.resync({ code: token.at(first), next_code: token.at(first + 1) }), { ok: true, credentialId: token.credential.id });
    t.is(token.counter(), first + 1, 'both are used');
    t.like(await token.verify(token.at(first + 1)), { ok: false, reason: 'replayed' });
    t.true((await token.verify(token.at(first + 2))).ok);
  }
});

test('what does not find a token again (A15)', async (t) => {
  const token = held(7);
  const tries: [string, Record<string, string>, string][] = [
    ['one code', { code: token.at(30) }, 'malformed'],
    ['one code, and nothing', { code: token.at(30), next_code: '' }, 'malformed'],
    ['the same code twice', { code: token.at(30), next_code: token.at(30) }, 'wrong'],
    ['two that do not follow each other', { code: token.at(30), next_code: token.at(32) }, 'wrong'],
    ['two in the wrong order', { code: token.at(31), next_code: token.at(30) }, 'wrong'],
    ['a right and a wrong one', { code: token.at(30), next_code: wrongHotpCode(token.secret, 7) }, 'wrong'],
    ['two that are too far ahead', { code: token.at(107), next_code: token.at(108) }, 'wrong'],
    ['two that were used', { code: token.at(6), next_code: token.at(7) }, 'replayed'],
    ['one that was used and the next', { code: token.at(7), next_code: token.at(8) }, 'wrong'],
    ['codes of different lengths', { code: token.at(30), next_code: `0${token.at(31)}0` }, 'malformed'],
  ];
  for (const [what, form, reason] of tries) t.like(await token.resync(form), { ok: false, reason }, what);
  t.is(token.counter(), 7);
});

test('two codes in a row, twenty times at once, are spent once', async (t) => {
  const token = held(null);
  const form = { code: token.at(50), next_code: token.at(51) };
  const verdicts = await Promise.all(Array.from({ length: 20 }, () => token.resync(form)));
  t.is(verdicts.filter(({ ok }) => ok).length, 1);
  t.is(token.counters.spent.length, 1);
});

test('whatever the order in which codes are sent, none is accepted twice and none after a later one', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat({ max: 25 }), { maxLength: 12 }), async (sent) => {
      const token = held(null, SECRET);
      let last = -1;
      for (const counter of sent) {
        const { ok } = await token.verify(token.at(counter));
        if (ok !== (counter > last && counter <= last + 10)) return false;
        if (ok) last = counter;
      }
      return true;
    }),
    { numRuns: 50 },
  );
  t.pass();
});

test('8 digits, SHA-256 and SHA-512; a code of 6 digits is none of a token of 8', async (t) => {
  for (const algorithm of ['sha256', 'sha512'] as const) {
    const token = held(3, hotpSecret({ digits: 8, algorithm }));
    t.is(token.at(4).length, 8);
    t.true((await token.verify(token.at(4))).ok);
    t.like(await token.verify(token.at(5).slice(2)), { ok: false, reason: 'malformed' });
    const code = token.at(6);
    t.true((await token.verify(`${code.slice(0, 4)} ${code.slice(4)}`)).ok, 'as it stands on some tokens');
  }
});

test('of two tokens the one that shows the code is used', async (t) => {
  const [first, second] = [credentialOf('hotp', hotpSecret()), credentialOf('hotp', hotpSecret({ digits: 8 }), { label: 'Office' })];
  const counters = new Counters(first, second);
  const cx = factorContext({ spend: counters.spend });
  t.like(await hotp.verify(cx, null, { code: hotpCode(second.secret, 0) }, [first, second]), { ok: true, credentialId: second.id });
  t.like((await hotp.show(cx, null, [second])).model, { digits: 8, label: 'Office' });
  t.like((await hotp.show(cx, null, [first, second])).model, { digits: 8, label: null });
});

/** An enrolment by a user, out of a stock of one token. */
function claiming(token: Partial<StockToken> & { counter: number | null }) {
  const secret = hotpSecret();
  const stocked: StockToken = { id: 'token-1', serial: 'SN 7', model: 'C100', secret, ...token };
  const asked: string[] = [];
  const cx = factorContext({
    stock: {
      find: async (serial) => {
        asked.push(serial);
        return serial === 'SN 7' ? stocked : undefined;
      },
    },
  });
  const { enrol } = hotp;
  if (!enrol) throw new Error('a token can be claimed');
  return { secret, asked, finish: (form: Record<string, string>) => enrol.finish(cx, {}, form) };
}

test('a token is claimed by its serial number and two codes in a row, which are used then', async (t) => {
  const { secret, finish } = claiming({ counter: 20 });
  const form = { serial: ' SN 7 ', code: hotpCode(secret, 40), next_code: hotpCode(secret, 41) };
  t.deepEqual(await finish(form), {
    ok: true,
    secret,
    counter: 41,
    label: 'C100 SN 7',
    takes: 'token-1',
    kinds: ['possession'],
    level: 'aal2',
    amr: ['otp'],
  });
  t.like(await finish({ ...form, label: ' Key\u202e ring ' }), { ok: true, label: 'Key ring' });
});

test('which of serial number and codes is wrong is not said', async (t) => {
  const { secret, finish, asked } = claiming({ counter: 20 });
  const right = { serial: 'SN 7', code: hotpCode(secret, 40), next_code: hotpCode(secret, 41) };
  const wrong = [
    { ...right, serial: 'SN 8' },
    { ...right, next_code: hotpCode(secret, 42) },
    { ...right, code: hotpCode(secret, 20), next_code: hotpCode(secret, 21) },
    { ...right, code: hotpCode(secret, 130), next_code: hotpCode(secret, 131) },
  ];
  for (const form of wrong) t.deepEqual(await finish(form), { ok: false, reason: 'wrong' });
  t.is(asked.length, wrong.length);
  const malformed: [Record<string, string>, string][] = [
    [{ ...right, serial: '' }, 'serial'],
    [{ ...right, serial: '--' }, 'serial'],
    [{ ...right, serial: 'x'.repeat(65) }, 'serial'],
    [{ ...right, code: '12' }, 'code'],
    [{ serial: 'SN 7', code: right.code }, 'next_code'],
  ];
  for (const [form, field] of malformed) t.deepEqual(await finish(form), { ok: false, reason: 'malformed', field });
});

test('users may claim tokens where the realm says so', (t) => {
  const { settings } = factorContext();
  const who = { user: { email: null, administrator: false }, channels: { mail: false, sms: false } };
  t.false(hotp.enrol?.available?.({ ...who, settings }));
  t.true(hotp.enrol?.available?.({ ...who, settings: { ...settings, hotp: { claim: true } } }));
});

test('nothing is held, nothing is accepted', async (t) => {
  const none: Credential<OtpSecret>[] = [];
  t.like(await hotp.verify(factorContext(), null, { code: '123456' }, none), { ok: false, reason: 'wrong' });
  t.like(await hotp.resync?.(factorContext(), { code: '123456', next_code: '123456' }, none), { ok: false, reason: 'wrong' });
});
