/** Recovery codes: what is on the paper, what is stored of it, and that each works once. */
import test from 'ava';
import type { Credential, FactorContext } from '../../../src/factors/factor.ts';
import { codesLeft, newCodes, type RecoverySecret, recoveryCodes } from '../../../src/factors/recovery-codes/recovery-codes.ts';
import { CountingHasher, credentialOf, factorContext, recoverySecret, Sent } from '../../support/factors.ts';

/** A user's list, as it is read again before each answer. */
async function list() {
  const { secret, codes } = await recoverySecret();
  const credential: Credential<RecoverySecret> = credentialOf('recovery-codes', secret);
  const passwords = new CountingHasher();
  const cx = factorContext({ passwords });
  const verify = async (code: string) => {
    const verdict = await recoveryCodes.verify(cx, null, { code }, [credential]);
    if (verdict.ok && verdict.renewed) credential.secret = verdict.renewed;
    return verdict;
  };
  return { codes, credential, passwords, verify };
}

const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789';

test('ten codes of four groups, each with a beginning of its own and 69 bits behind it', (t) => {
  for (let round = 0; round < 20; round += 1) {
    const codes = newCodes();
    t.is(codes.length, 10);
    for (const code of codes) t.regex(code, new RegExp(`^[${alphabet}]{4}(-[${alphabet}]{4}){3}$`));
    t.is(new Set(codes.map((code) => code.slice(0, 2))).size, 10);
  }
  t.true(14 * Math.log2(alphabet.length) >= 64);
});

test('each code works once, and says how many are left', async (t) => {
  const { codes, credential, verify } = await list();
  for (const [index, code] of codes.entries()) {
    t.like(await verify(code), { ok: true, credentialId: credential.id, amr: ['recovery'], level: 'aal2', kinds: ['possession'], left: 9 - index });
    t.deepEqual(await verify(code), { ok: false, reason: 'replayed', credentialId: credential.id });
  }
  t.is(codesLeft(credential.secret), 0);
});

test('however a code is typed off the paper', async (t) => {
  const { codes, verify } = await list();
  const ways: ((code: string) => string)[] = [
    (code) => code.toUpperCase(),
    (code) => code.replaceAll('-', ''),
    (code) => code.replaceAll('-', ' '),
    (code) => `  ${code.replaceAll('-', ' - ')} `,
    (code) => code.replaceAll('-', '\u2011'),
    (code) => code.replaceAll('-', '\u2013'),
  ];
  for (const [index, way] of ways.entries()) t.true((await verify(way(codes[index] ?? ''))).ok, way('ab-cd'));
});

test('one argon2id verification, whatever is sent', async (t) => {
  const { codes, verify, passwords } = await list();
  const [code = '', other = ''] = codes;
  const unknown = `${['aa', 'bb', 'cc', 'dd', 'ee', 'ff', 'gg', 'hh', 'jj', 'kk', 'mm'].find((two) => !codes.some((one) => one.startsWith(two)))}${code.slice(2)}`;
  for (const sent of [code, code, `${other.slice(0, -1)}${other.endsWith('a') ? 'b' : 'a'}`, unknown, 'nonsense', '']) {
    const before = passwords.verifications;
    await verify(sent);
    t.is(passwords.verifications, before + 1, sent);
  }
  const before = passwords.verifications;
  t.like(await recoveryCodes.verify(factorContext({ passwords }), null, { code }, []), { ok: false, reason: 'wrong' });
  t.is(passwords.verifications, before + 1);
});

test('the same code twenty times at once works once, also on a list that was read before (C06)', async (t) => {
  const { secret, codes } = await recoverySecret();
  const credential = credentialOf('recovery-codes', secret);
  const cx = factorContext({ sent: new Sent() });
  const verdicts = await Promise.all(Array.from({ length: 20 }, () => recoveryCodes.verify(cx, null, { code: codes[3] ?? '' }, [credential])));
  t.is(verdicts.filter(({ ok }) => ok).length, 1);
  t.is(verdicts.filter((verdict) => !verdict.ok && verdict.reason === 'replayed').length, 19);
});

test('a new list takes the place of the old one, and raises no level', async (t) => {
  const cx: FactorContext = factorContext();
  const begun = await recoveryCodes.enrol?.begin(cx);
  if (!begun?.ok) throw new Error('a list can always be made');
  const page = await recoveryCodes.enrol?.show(cx, begun.state);
  t.deepEqual(page?.model, { codes: begun.state.codes, account: 'alice', madeAt: new Date(cx.now).toISOString() });
  for (const confirm of ['', 'on', 'no', 'KEPT'])
    t.deepEqual(await recoveryCodes.enrol?.finish(cx, begun.state, { confirm }), { ok: false, reason: 'malformed', field: 'confirm' });
  const enrolled = await recoveryCodes.enrol?.finish(cx, begun.state, { confirm: 'kept' });
  t.like(enrolled, { ok: true, replaces: true, kinds: [], level: 'aal1', amr: [], left: 10 });
  const stored = JSON.stringify(enrolled);
  for (const code of begun.state.codes) t.false(stored.includes(code.replaceAll('-', '').slice(2)) || stored.includes(code));
});

test('they are not for administrators', (t) => {
  const { settings } = factorContext();
  const available = (administrator: boolean) =>
    recoveryCodes.enrol?.available?.({ settings, channels: { mail: true, sms: true }, user: { email: null, administrator } });
  t.true(available(false));
  t.false(available(true));
});
