/** Codes by mail and text message, beside what the contract suite holds of every factor. */
import test from 'ava';
import { emailOtp, maskedAddress } from '../../../src/factors/email-otp/email-otp.ts';
import type { FactorContext } from '../../../src/factors/factor.ts';
import { checkCode, sendCode } from '../../../src/factors/sent-code.ts';
import { maskedNumber, readNumber } from '../../../src/factors/sms-otp/numbers.ts';
import { smsOtp } from '../../../src/factors/sms-otp/sms-otp.ts';
import { DEFAULT_COUNTRIES } from '../../../src/realms/delivery-settings.ts';
import { defaultRealmSettings, realmSettings } from '../../../src/realms/settings.ts';
import { credentialOf, factorContext, Sent, stateOf } from '../../support/factors.ts';

const NUMBER = '+4915123456789';
const mailbox = credentialOf('email-otp', { address: 'Alice@Example.com' });
const cxWith = (some: Partial<FactorContext> & { sent?: Sent } = {}): FactorContext => factorContext(some);
const userWith = (email: string | null) => ({ id: 'u', username: 'alice', email, emailVerified: false, administrator: false });

test('a code has eight digits by mail and six by text message, zeros at the beginning too', async (t) => {
  const sent = new Sent();
  const cx = cxWith({ sent });
  for (let index = 0; index < 300; index += 1) {
    await emailOtp.begin?.(cx, [mailbox]);
    await smsOtp.begin?.(cx, [credentialOf('sms-otp', { number: NUMBER, usableFrom: 0 })]);
  }
  const codes = sent.deliveries.map(({ channel, code }) => [channel, code] as const);
  t.true(codes.every(([channel, code]) => (channel === 'mail' ? /^\d{8}$/ : /^\d{6}$/).test(code)));
  t.true(codes.some(([, code]) => code.startsWith('0')));
  t.is(new Set(codes.map(([, code]) => code)).size > 590, true);
});

test('a code goes to the address that was proved, while it is that of the account', async (t) => {
  const begun = async (email: string | null) => emailOtp.begin?.(cxWith({ user: userWith(email) }), [mailbox]);
  t.true((await begun('alice@example.com'))?.ok);
  t.true((await begun('ＡLICE@example.com '))?.ok, 'compared as addresses are everywhere');
  for (const email of ['eve@example.com', null]) t.deepEqual(await begun(email), { ok: false, reason: 'no-address' });
  t.deepEqual(await emailOtp.begin?.(cxWith(), []), { ok: false, reason: 'no-address' });
});

test('enrolling proves the address on file, and no other', async (t) => {
  const sent = new Sent();
  const cx = cxWith({ sent, user: userWith('alice@example.com') });
  const state = stateOf((await emailOtp.enrol?.begin(cx)) ?? { ok: false, reason: 'failed' });
  if (!state) throw new Error('not begun');
  t.is(sent.deliveries[0]?.purpose, 'enrol');
  const enrolled = await emailOtp.enrol?.finish(cx, state, { code: sent.code });
  t.like(enrolled, {
    ok: true,
    provesEmail: 'alice@example.com',
    replaces: true,
    label: 'a•••@example.com',
    secret: { address: 'alice@example.com' },
  });
  t.deepEqual(await emailOtp.enrol?.resend?.({ ...cx, user: userWith('eve@example.com') }, state), { ok: false, reason: 'no-address' });
  t.deepEqual(await emailOtp.enrol?.begin(cxWith({ user: userWith(null) })), { ok: false, reason: 'no-address' });
});

test('a code that shows an address shows no other, whatever the page says by then', async (t) => {
  const sent = new Sent();
  const cx = cxWith({ sent, user: userWith('alice@example.com') });
  const to = (address: string) => ({ factor: 'update-email', purpose: 'enrol' as const, shows: address });
  const state = stateOf(await sendCode(cx, { ...to('eve@example.com'), channel: 'mail', to: 'eve@example.com', digits: 8, lifetime: 300 }));
  if (!state) throw new Error('not begun');
  t.is(await checkCode(cx, state, to('victim@example.com'), sent.code), 'wrong');
  t.is(await checkCode(cx, state, { factor: 'update-email', purpose: 'enrol' }, sent.code), 'wrong');
  t.is(await checkCode(cx, state, to('eve@example.com'), sent.code), 'ok');
});

test('the code of an enrolment is none for signing in, nor the other way round', async (t) => {
  const sent = new Sent();
  const cx = cxWith({ sent, user: userWith('alice@example.com') });
  const challenge = stateOf((await emailOtp.begin?.(cx, [mailbox])) ?? { ok: false, reason: 'failed' });
  const signIn = sent.code;
  const enrolment = stateOf((await emailOtp.enrol?.begin(cx)) ?? { ok: false, reason: 'failed' });
  const enrol = sent.code;
  if (!challenge || !enrolment || signIn === enrol) throw new Error('not begun');
  t.like(await emailOtp.verify(cx, challenge, { code: enrol }, [mailbox]), { ok: false, reason: 'wrong' });
  t.like(await emailOtp.enrol?.finish(cx, enrolment, { code: signIn }), { ok: false, reason: 'wrong' });
  t.true((await emailOtp.verify(cx, challenge, { code: signIn }, [mailbox])).ok);
});

test('a realm decides what a code by mail is worth, and what tokens call it', async (t) => {
  t.is(emailOtp.levelIn(defaultRealmSettings()), 'aal1');
  const settings = realmSettings.parse({ emailOtp: { level: 'aal2', amr: 'otp' } });
  t.is(emailOtp.levelIn(settings), 'aal2');
  const sent = new Sent();
  const cx = cxWith({ sent, settings, user: userWith('alice@example.com') });
  const state = stateOf((await emailOtp.begin?.(cx, [mailbox])) ?? { ok: false, reason: 'failed' });
  if (!state) throw new Error('not begun');
  t.like(await emailOtp.verify(cx, state, { code: sent.code }, [mailbox]), { ok: true, level: 'aal2', amr: ['otp'] });
  t.is(smsOtp.levelIn(settings), 'aal2');
  for (const amr of ['mfa', '', 'a b', 'é']) t.throws(() => realmSettings.parse({ emailOtp: { amr } }), undefined, amr);
});

test('a code that cannot be sent leaves the one from before as it is', async (t) => {
  const sent = new Sent();
  const cx = cxWith({ sent, user: userWith('alice@example.com') });
  const state = stateOf((await emailOtp.begin?.(cx, [mailbox])) ?? { ok: false, reason: 'failed' });
  if (!state) throw new Error('not begun');
  const deliver: FactorContext['deliver'] = async () => ({ ok: false, reason: 'wait', retryAfterMs: 20_000 });
  t.deepEqual(await emailOtp.resend?.({ ...cx, deliver }, state, [mailbox]), { ok: false, reason: 'wait', retryAfterMs: 20_000 });
  t.true((await emailOtp.verify(cx, state, { code: sent.code }, [mailbox])).ok);
  const failed: FactorContext['deliver'] = async () => ({ ok: false, reason: 'failed' });
  t.deepEqual(await emailOtp.begin?.({ ...cx, deliver: failed }, [mailbox]), { ok: false, reason: 'failed' });
});

test('a number that waits opens nothing, also with its code', async (t) => {
  const sent = new Sent();
  const cx = cxWith({ sent });
  const number = credentialOf('sms-otp', { number: NUMBER, usableFrom: cx.now + 1 });
  t.deepEqual(await smsOtp.begin?.(cx, [number]), { ok: false, reason: 'too-new' });
  t.deepEqual(sent.deliveries, []);
  const state = stateOf((await smsOtp.begin?.({ ...cx, now: cx.now + 1 }, [number])) ?? { ok: false, reason: 'failed' });
  if (!state) throw new Error('not begun');
  t.like(await smsOtp.verify(cx, state, { code: sent.code }, [number]), { ok: false, reason: 'wrong' });
});

test('a number is typed, proved by its code, and may be corrected between', async (t) => {
  const sent = new Sent();
  const cx = cxWith({ sent, proveNumber: async () => 7 });
  const first = stateOf((await smsOtp.enrol?.begin(cx)) ?? { ok: false, reason: 'failed' });
  if (!first) throw new Error('not begun');
  t.like(await smsOtp.enrol?.finish(cx, first, { number: '0151 23456789' }), { ok: false, reason: 'no-address', field: 'number' });
  t.like(await smsOtp.enrol?.finish(cx, first, { number: '+1 900 555 0123' }), { ok: false, reason: 'not-allowed', field: 'number' });
  t.deepEqual(sent.deliveries, []);
  const wrong = await smsOtp.enrol?.finish(cx, first, { number: '+49 151 23456780' });
  if (wrong?.ok !== 'next') throw new Error('no code page');
  const code = sent.code;
  const right = await smsOtp.enrol?.finish(cx, wrong.state, { number: '+49 151 23456789' });
  if (right?.ok !== 'next') throw new Error('no code page');
  t.false((await smsOtp.enrol?.finish(cx, right.state, { code }))?.ok === true && code !== sent.code);
  t.like(await smsOtp.enrol?.finish(cx, right.state, { code: sent.code }), {
    ok: true,
    secret: { number: NUMBER, usableFrom: 7 },
    label: '•••• 89',
    replaces: true,
    amr: ['sms', 'mca'],
  });
});

test('a number that takes the place of another says from when it is good', async (t) => {
  const sent = new Sent();
  const cx = cxWith({ sent });
  const waits = { ...cx, proveNumber: async () => cx.now + 1_000 };
  const first = stateOf((await smsOtp.enrol?.begin(waits)) ?? { ok: false, reason: 'failed' });
  if (!first) throw new Error('not begun');
  const next = await smsOtp.enrol?.finish(waits, first, { number: NUMBER });
  if (next?.ok !== 'next') throw new Error('no code page');
  t.like(await smsOtp.enrol?.finish(waits, next.state, { code: sent.code }), { usableFrom: cx.now + 1_000, secret: { usableFrom: cx.now + 1_000 } });
});

test('a factor is offered where its channel is, and a mailbox to whoever has an address', (t) => {
  const who = (mail: boolean, sms: boolean, email: string | null = 'a@b.example') => ({
    settings: defaultRealmSettings(),
    user: { email, administrator: false },
    channels: { mail, sms },
  });
  t.true(emailOtp.enrol?.available?.(who(true, false)));
  t.false(emailOtp.enrol?.available?.(who(false, true)));
  t.false(emailOtp.enrol?.available?.(who(true, true, null)));
  t.true(smsOtp.enrol?.available?.(who(false, true)));
  t.false(smsOtp.enrol?.available?.(who(true, false)));
});

test('numbers: mobile ones, of the countries that the realm names', (t) => {
  for (const [typed, number] of [
    ['+49 151 23456789', NUMBER],
    ['0049 (151) 2345-6789', NUMBER],
    ['+49\u00a0151\u202f23456789', NUMBER],
    ['+33 6 12 34 56 78', '+33612345678'],
    ['+1 212 555 0123', '+12125550123'],
  ] as const) {
    t.like(readNumber(typed, DEFAULT_COUNTRIES), { ok: true, number });
  }
  for (const [typed, reason] of [
    ['015123456789', 'malformed'],
    ['+49 151 2345678９', 'malformed'],
    ['+49 151 23456789 ext 3', 'malformed'],
    ['tel:+4915123456789', 'malformed'],
    ['+4915123456789,+4915123456780', 'malformed'],
    ['', 'malformed'],
    ['+49 30 123456', 'kind'],
    ['+49 180 5 123456', 'kind'],
    ['+49 900 1234567', 'kind'],
    ['+44 70 1234 5678', 'kind'],
    ['+1 900 555 0123', 'kind'],
    ['+1 876 555 0123', 'country'],
    ['+7 701 234 5678', 'country'],
    ['+8816 2345 6789', 'country'],
    ['+870 773 111632', 'country'],
    ['+883 5100 01234567', 'country'],
  ] as const) {
    t.like(readNumber(typed, DEFAULT_COUNTRIES), { ok: false, reason }, typed);
  }
  t.like(readNumber('0151 23456789', ['DE']), { ok: true, number: NUMBER }, 'of one country only, its code may be left out');
  t.like(readNumber(NUMBER, []), { ok: false, reason: 'country' });
});

test('what is shown of an address or a number says nothing to whoever does not know it', (t) => {
  t.is(maskedAddress('alice@example.com'), 'a•••@example.com');
  t.is(maskedAddress('é@example.com'), 'é•••@example.com');
  t.is(maskedAddress('nonsense'), '•••');
  t.is(maskedNumber(NUMBER), '•••• 89');
});
