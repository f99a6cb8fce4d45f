/** The WebAuthn ceremonies with an authenticator in software, which says whatever is wanted: what is refused, and why. */
import test from 'ava';
import { z } from 'zod';
import type { Credential, FactorContext } from '../../../src/factors/factor.ts';
import type { Challenge, RegistrationChallenge } from '../../../src/factors/webauthn/challenge.ts';
import { passkey } from '../../../src/factors/webauthn/passkey.ts';
import { relyingPartyAt } from '../../../src/factors/webauthn/relying-party.ts';
import { securityKey } from '../../../src/factors/webauthn/security-key.ts';
import type { WebauthnSecret } from '../../../src/factors/webauthn/stored.ts';
import type { WebauthnFactor } from '../../../src/factors/webauthn/webauthn.ts';
import { type RealmSettings, realmSettings } from '../../../src/realms/settings.ts';
import { MAKER_ROOT, MODEL, OTHER_ROOT, statement } from '../../support/attestation.ts';
import { Authenticator, type Traits } from '../../support/authenticator.ts';
import { Counters, credentialOf, factorContext } from '../../support/factors.ts';
import { creationOptions, requestOptions } from '../../support/webauthn.ts';

const ORIGIN = 'https://id.example.com';
const FIVE_MINUTES = 300_000;

type WebauthnSettings = z.input<typeof realmSettings>['webauthn'];
const settingsWith = (webauthn: WebauthnSettings): RealmSettings => realmSettings.parse({ webauthn });

const context = (some: Partial<FactorContext> = {}): FactorContext => factorContext({ origin: ORIGIN, ...some });
const authenticator = (traits: Partial<Traits> = {}): Authenticator => new Authenticator({ origin: ORIGIN, ...traits });

async function began(factor: WebauthnFactor, cx: FactorContext): Promise<RegistrationChallenge> {
  const begun = await factor.enrol?.begin(cx);
  if (!begun?.ok) throw new Error('not begun');
  return begun.state;
}

/** Registers and answers what came of it. */
async function enrol(factor: WebauthnFactor, device: Authenticator, options: { cx?: FactorContext; traits?: Partial<Traits>; label?: string } = {}) {
  const cx = options.cx ?? context();
  const state = await began(factor, cx);
  const page = await factor.enrol?.show(cx, state);
  const response = device.create(creationOptions(page), options.traits);
  const enrolment = await factor.enrol?.finish(cx, state, { response, ...(options.label === undefined ? {} : { label: options.label }) });
  if (!enrolment) throw new Error('it cannot be enrolled');
  return enrolment;
}

/** A credential as the store would hand it out after its enrolment. */
async function bound(
  factor: WebauthnFactor,
  device: Authenticator,
  cx = context(),
  traits: Partial<Traits> = {},
): Promise<Credential<WebauthnSecret>> {
  const enrolment = await enrol(factor, device, { cx, traits });
  if (enrolment.ok !== true) throw new Error(`not enrolled: ${'reason' in enrolment ? enrolment.reason : 'next'}`);
  return credentialOf(factor.id, enrolment.secret, { counter: enrolment.counter, level: enrolment.level === 'phr' ? null : enrolment.level });
}

/** Answers a challenge with these traits. */
async function answer(
  factor: WebauthnFactor,
  device: Authenticator,
  held: Credential<WebauthnSecret>[],
  options: { cx?: FactorContext; later?: number; traits?: Partial<Traits> } = {},
) {
  const cx = options.cx ?? context({ spend: new Counters(...held).spend });
  const begun = await factor.begin?.(cx, held);
  if (!begun?.ok) throw new Error('not begun');
  const response = device.get(requestOptions(await factor.show(cx, begun.state, held)), options.traits);
  return factor.verify({ ...cx, now: cx.now + (options.later ?? 0) }, begun.state, { response }, held);
}

const openOptions = async (cx: FactorContext, state: Challenge) => requestOptions({ model: (await passkey.discover?.show(cx, state)) ?? {} });

/** A sign-in without a name. */
async function discovered(device: Authenticator, held: Credential<WebauthnSecret>[], traits: Partial<Traits> = {}) {
  const cx = context({ spend: new Counters(...held).spend });
  const begun = await passkey.discover?.begin(cx);
  if (!begun) throw new Error('not begun');
  const input = { response: device.get(await openOptions(cx, begun.state), traits) };
  return { lookup: passkey.discover?.lookup(input), verdict: await passkey.verify(cx, begun.state, input, held) };
}

for (const algorithm of ['EdDSA', 'ES256', 'RS256'] as const) {
  test(`${algorithm}: a passkey is bound, and signs`, async (t) => {
    const device = authenticator({ algorithm });
    const held = await bound(passkey, device);
    t.like(await answer(passkey, device, [held]), {
      ok: true,
      credentialId: held.id,
      kinds: ['possession', 'inherence'],
      level: 'phr',
      amr: ['pop', 'hwk', 'user'],
    });
    const { lookup, verdict } = await discovered(device, [held]);
    t.is(lookup, held.secret.credentialId);
    t.true(verdict.ok);
  });
}

test('a security key shows that one has it, and asks for its PIN as the realm wants it', async (t) => {
  const device = authenticator({ uv: false, counts: true, transports: ['usb'] });
  const held = await bound(securityKey, device);
  t.deepEqual(held.secret.transports, ['usb']);
  t.like(await answer(securityKey, device, [held]), { ok: true, kinds: ['possession'], level: 'phr', amr: ['pop', 'hwk', 'user'] });
  const strict = settingsWith({ securityKey: { userVerification: 'required' } });
  t.like(await answer(securityKey, device, [held], { cx: context({ settings: strict }) }), { ok: false, reason: 'wrong' });
  t.true((await answer(securityKey, device, [held], { cx: context({ settings: strict, spend: new Counters().spend }), traits: { uv: true } })).ok);
  t.like(await enrol(securityKey, authenticator({ uv: false }), { cx: context({ settings: strict }) }), { ok: false, reason: 'wrong' });
});

test('the options ask for what the rules need', async (t) => {
  const cx = context({ lookups: async () => ['AAAA', 'BBBB'], handle: () => Buffer.alloc(64, 5) });
  const state = await began(passkey, cx);
  t.is(state.expiresAt, cx.now + FIVE_MINUTES);
  const options = creationOptions(await passkey.enrol?.show(cx, state));
  t.is(Buffer.from(options.challenge, 'base64url').length, 32);
  t.is(Buffer.from(options.user.id, 'base64url').length, 64);
  t.false(JSON.stringify(options).includes(cx.user?.id ?? '-'), 'the user handle is not the user id');
  t.like(options, {
    rp: { id: 'id.example.com', name: 'Demo' },
    attestation: 'none',
    timeout: FIVE_MINUTES,
    authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
  });
  t.deepEqual(
    options.pubKeyCredParams.map(({ alg }) => alg),
    [-8, -7, -257],
  );
  t.deepEqual(
    options.excludeCredentials?.map(({ id }) => id),
    ['AAAA', 'BBBB'],
  );
  const key = creationOptions(await securityKey.enrol?.show(cx, await began(securityKey, cx)));
  t.like(key, { authenticatorSelection: { residentKey: 'discouraged', userVerification: 'preferred' }, hints: ['security-key'] });
  t.not(options.challenge, key.challenge);

  const held = await bound(passkey, authenticator());
  const begun = await passkey.begin?.(cx, [held]);
  const challenge = requestOptions(begun?.ok ? await passkey.show(cx, begun.state, [held]) : undefined);
  t.like(challenge, { rpId: 'id.example.com', userVerification: 'required', allowCredentials: [{ id: held.secret.credentialId }] });
  const open = await passkey.discover?.begin(cx);
  t.deepEqual(open && (await openOptions(cx, open.state)).allowCredentials, [], 'the first page tells of no credential');
});

/** What is refused at both ceremonies (test/attacks, C08). */
const LIES: [title: string, traits: Partial<Traits>][] = [
  ['another origin', { origin: 'https://id.example.com.evil.example' }],
  ['the origin with another port', { origin: 'https://id.example.com:8443' }],
  ['the origin without TLS', { origin: 'http://id.example.com' }],
  ['another RP ID', { rpId: 'evil.example' }],
  ['an RP ID above ours', { rpId: 'example.com' }],
  ['another challenge', { challenge: Buffer.alloc(32, 1).toString('base64url') }],
  ['the other ceremony', { type: 'webauthn.created' }],
  ['nobody there (UP=0)', { up: false }],
  ['nobody verified (UV=0)', { uv: false }],
  ['asked for in a frame', { crossOrigin: true }],
  ['asked for in a frame, by a newer browser', { crossOrigin: true, topOrigin: 'https://evil.example' }],
  ['a page above that there cannot be', { topOrigin: 'https://evil.example' }],
  ['backed up, but not eligible for it', { be: false, bs: true }],
];
for (const [title, traits] of LIES) {
  test(`C08 ${title}: refused`, async (t) => {
    const device = authenticator();
    t.like(await enrol(passkey, device, { traits }), { ok: false, reason: 'wrong', field: 'response' });
    const held = await bound(passkey, device);
    t.deepEqual(await answer(passkey, device, [held], { traits }), { ok: false, reason: 'wrong', credentialId: held.id });
    t.like((await discovered(device, [held], traits)).verdict, { ok: false, reason: 'wrong' });
    t.true((await answer(passkey, device, [held])).ok, 'the key itself is good');
  });
}

test('C08 an algorithm that the realm does not allow is not bound', async (t) => {
  t.like(await enrol(passkey, authenticator({ algorithm: 'ES384' })), { ok: false, reason: 'wrong', field: 'response' });
  const only = context({ settings: settingsWith({ algorithms: ['ES384'] }) });
  t.true((await enrol(passkey, authenticator({ algorithm: 'ES384' }), { cx: only })).ok === true);
  t.like(await enrol(passkey, authenticator({ algorithm: 'ES256' }), { cx: only }), { ok: false, reason: 'wrong', field: 'response' });
});

test('C08 a challenge is answered once, however many ask at once, and for five minutes', async (t) => {
  const device = authenticator();
  const cx = context();
  const state = await began(passkey, cx);
  const response = device.create(creationOptions(await passkey.enrol?.show(cx, state)));
  const enrolments = await Promise.all(Array.from({ length: 20 }, () => passkey.enrol?.finish(cx, state, { response })));
  t.is(enrolments.filter((enrolment) => enrolment?.ok === true).length, 1);
  t.is(enrolments.filter((enrolment) => enrolment?.ok === false && enrolment.reason === 'replayed').length, 19);

  const held = await bound(passkey, device);
  t.like(await answer(passkey, device, [held], { later: FIVE_MINUTES }), { ok: true });
  t.deepEqual(await answer(passkey, device, [held], { later: FIVE_MINUTES + 1 }), { ok: false, reason: 'expired', credentialId: held.id });
  const late = await began(passkey, cx);
  const tooLate = device.create(creationOptions(await passkey.enrol?.show(cx, late)));
  t.like(await passkey.enrol?.finish({ ...cx, now: cx.now + FIVE_MINUTES + 1 }, late, { response: tooLate }), { ok: false, reason: 'expired' });
});

test('an answer is to its own challenge: one that was made for binding a key does not sign in, nor the other way round', async (t) => {
  const device = authenticator();
  const cx = context();
  const held = await bound(passkey, device);
  const state = await began(passkey, cx);
  const creation = device.create(creationOptions(await passkey.enrol?.show(cx, state)));
  t.like(await passkey.verify(cx, state, { response: creation }, [held]), { ok: false, reason: 'malformed' });
  const begun = await passkey.begin?.(cx, [held]);
  if (!begun?.ok) return t.fail();
  const assertion = device.get(requestOptions(await passkey.show(cx, begun.state, [held])));
  t.like(await passkey.enrol?.finish(cx, state, { response: assertion }), { ok: false, reason: 'malformed' });
});

test('B04 a key of somebody else, or none that is held, is a wrong answer like any other', async (t) => {
  const [mine, theirs] = [authenticator(), authenticator()];
  const [held, other] = [await bound(passkey, mine), await bound(passkey, theirs)];
  const cx = context();
  const begun = await passkey.begin?.(cx, [held]);
  if (!begun?.ok) return t.fail();
  const options = { ...requestOptions(await passkey.show(cx, begun.state, [held])), allowCredentials: [] };
  t.deepEqual(await passkey.verify(cx, begun.state, { response: theirs.get(options) }, [held]), { ok: false, reason: 'wrong' });
  // Their signature under my credential's id.
  const forged = { ...JSON.parse(theirs.get(options)), id: held.secret.credentialId, rawId: held.secret.credentialId };
  t.like(await passkey.verify(cx, begun.state, { response: JSON.stringify(forged) }, [held]), { ok: false, reason: 'wrong' });
  t.true((await passkey.verify(cx, begun.state, { response: mine.get(options) }, [held, other])).ok, 'and the challenge still stands');
});

test('whose key it is: a handle of somebody else is refused, and none is only good where the user is known', async (t) => {
  const device = authenticator();
  const held = await bound(passkey, device);
  const stranger = { ...held, secret: { ...held.secret, handle: Buffer.alloc(64, 9).toString('base64url') } };
  t.like(await answer(passkey, device, [stranger]), { ok: false, reason: 'wrong' });
  t.like((await discovered(device, [stranger])).verdict, { ok: false, reason: 'wrong' });
  t.true((await answer(passkey, device, [held], { traits: { tellsUser: false } })).ok);
  t.like((await discovered(device, [held], { tellsUser: false })).verdict, { ok: false, reason: 'wrong' });
});

test('backup flags: eligibility never changes, and being backed up may', async (t) => {
  const device = authenticator({ be: true, bs: false });
  const held = await bound(passkey, device);
  t.like(held.secret, { backupEligible: true, backedUp: false });
  t.like(await answer(passkey, device, [held]), { ok: true, amr: ['pop', 'swk', 'user'] });
  const backedUp = await answer(passkey, device, [held], { traits: { bs: true } });
  t.like(backedUp, { ok: true, renewed: { backedUp: true, backupEligible: true } });
  t.deepEqual(passkey.parseSecret(JSON.parse(JSON.stringify(backedUp.ok && backedUp.renewed))), { ...held.secret, backedUp: true });
  t.deepEqual(await answer(passkey, device, [held], { traits: { be: false } }), { ok: false, reason: 'cloned', credentialId: held.id });
  const single = authenticator();
  const kept = await bound(passkey, single);
  t.deepEqual(await answer(passkey, single, [kept], { traits: { be: true, bs: true } }), { ok: false, reason: 'cloned', credentialId: kept.id });
});

test('a counter that goes back is an alarm, but only from whoever has the key', async (t) => {
  const device = authenticator({ counts: true });
  const held = await bound(securityKey, device);
  const counters = new Counters(held);
  const cx = context({ spend: counters.spend });
  t.is(held.counter, 1);
  t.true((await answer(securityKey, device, [held], { cx })).ok);
  const used = counters.stored(held);
  t.is(used.counter, 2);
  for (const counter of [2, 1, 0]) {
    device.counter = counter;
    t.deepEqual(await answer(securityKey, device, [used], { cx }), { ok: false, reason: 'cloned', credentialId: held.id }, String(counter));
  }
  t.deepEqual(await answer(securityKey, device, [used], { cx, traits: { counts: false } }), { ok: false, reason: 'cloned', credentialId: held.id });
  device.counter = 1;
  t.deepEqual(await answer(securityKey, device, [used], { cx, traits: { origin: 'https://evil.example' } }), {
    ok: false,
    reason: 'wrong',
    credentialId: held.id,
  });
  device.counter = 3;
  t.true((await answer(securityKey, device, [used], { cx })).ok);

  const without = authenticator();
  const zero = await bound(securityKey, without);
  t.is(zero.counter, 0);
  for (let times = 0; times < 2; times += 1) t.true((await answer(securityKey, without, [zero])).ok, 'without a counter there is no alarm');
});

test('of a key and its copy at the same time, one is accepted and the other is an alarm', async (t) => {
  const device = authenticator({ counts: true });
  const held = await bound(securityKey, device);
  const copy = authenticator({ counts: true });
  copy.keys.push(...device.keys);
  copy.counter = device.counter;
  const cx = context({ spend: new Counters(held).spend });
  const verdicts = await Promise.all([device, copy].map((one) => answer(securityKey, one, [held], { cx })));
  t.is(verdicts.filter(({ ok }) => ok).length, 1);
  t.is(verdicts.filter((verdict) => !verdict.ok && verdict.reason === 'cloned').length, 1);
});

const listed = { attestation: 'direct' as const, aaguids: [MODEL.toUpperCase()], trustAnchors: [MAKER_ROOT] };
const attested = (some: object = {}) => context({ settings: settingsWith({ securityKey: { ...listed, ...some }, passkey: { ...listed, ...some } }) });
const made = (traits: Partial<Traits> = {}) => authenticator({ aaguid: MODEL, attestation: statement, counts: true, ...traits });

test('phrh: a model of the list whose maker a trust anchor stands behind, and whose key stays in it', async (t) => {
  for (const factor of [securityKey, passkey]) {
    const held = await bound(factor, made(), attested());
    t.like(held.secret, { aaguid: MODEL, attested: true });
    t.is(held.level, 'phrh');
  }
  const device = made();
  const held = await bound(passkey, device, attested());
  t.like(await answer(passkey, device, [held], { cx: attested() }), { ok: true, level: 'phrh' });
  t.is((await bound(passkey, made({ be: true }), attested())).level, null, 'a key that can be copied is no hardware');
  t.is((await bound(passkey, made(), context({ settings: settingsWith({ passkey: { attestation: 'direct' } }) }))).level, null, 'nothing is listed');
  const unvouched = await bound(passkey, made(), attested({ trustAnchors: [] }));
  t.is(unvouched.level, null, 'anybody can make a certificate that names a model');
  t.false(unvouched.secret.attested);
});

test('with a list, a model that is not on it or does not prove itself is not bound', async (t) => {
  const refused = async (traits: Partial<Traits>, some: object = {}) => {
    t.like(
      await enrol(passkey, made(traits), { cx: attested(some) }),
      { ok: false, reason: 'not-allowed', field: 'response' },
      JSON.stringify([traits, some]),
    );
  };
  await refused({ aaguid: '11111111-1111-4111-8111-111111111111' });
  await refused({ attestation: 'none' });
  await refused({ attestation: 'self' });
  await refused({ attestation: 'none' }, { trustAnchors: [] });
  await refused({ attestation: 'self' }, { trustAnchors: [] });
  await refused({}, { trustAnchors: [OTHER_ROOT] });
  t.true((await enrol(passkey, made(), { cx: attested({ trustAnchors: [OTHER_ROOT, MAKER_ROOT] }) })).ok === true);
  const asked = creationOptions(await passkey.enrol?.show(attested({ attestation: 'none' }), await began(passkey, attested())));
  t.is(asked.attestation, 'direct', 'a list is of no use when none is asked for');
});

test('a statement that does not hold is refused, listed or not', async (t) => {
  const forged = { key: new Authenticator({ origin: ORIGIN }).maker(), chain: statement.chain };
  t.like(await enrol(passkey, made({ attestation: forged }), { cx: attested() }), { ok: false, reason: 'wrong', field: 'response' });
  t.like(await enrol(passkey, made({ attestation: forged })), { ok: false, reason: 'wrong', field: 'response' });
});

test('a statement for which the library would fetch what it names is not looked at', async (t) => {
  for (const format of ['android-key', 'android-safetynet', 'something-else']) {
    const device = made({ attestation: { ...statement, format } });
    for (const cx of [attested(), context()]) t.like(await enrol(passkey, device, { cx }), { ok: false, reason: 'not-allowed' }, format);
  }
});

test('a maker whose certificates are over, or not yet valid, vouches for nothing', async (t) => {
  t.like(await enrol(passkey, made(), { cx: { ...attested(), now: Date.UTC(2130, 0, 1) } }), { ok: false, reason: 'not-allowed' });
  t.like(await enrol(passkey, made(), { cx: { ...attested(), now: Date.UTC(2019, 0, 1) } }), { ok: false, reason: 'not-allowed' });
});

test('a key that the user has already is not bound twice', async (t) => {
  const device = authenticator();
  const cx = context();
  const state = await began(passkey, cx);
  const response = device.create(creationOptions(await passkey.enrol?.show(cx, state)));
  const taken = { ...state, exclude: [z.object({ id: z.string() }).parse(JSON.parse(response)).id] };
  t.like(await passkey.enrol?.finish(cx, taken, { response }), { ok: false, reason: 'replayed' });
});

test('the name that the user gives it', async (t) => {
  const named = async (label: string | undefined) => {
    const enrolment = await enrol(passkey, authenticator(), label === undefined ? {} : { label });
    return enrolment.ok === true ? enrolment.label : undefined;
  };
  t.is(await named('  Work laptop '), 'Work laptop');
  t.is(await named(undefined), '');
  t.is(await named('a\u202Eb\u0007'), 'ab');
  t.is((await named('é'.repeat(500)))?.length, 64);
});

test('where there is no WebAuthn, none is begun', async (t) => {
  for (const origin of ['http://127.0.0.1:8080', 'https://192.0.2.7', 'https://[::1]', 'http://id.example.com']) {
    const cx = context({ origin });
    t.deepEqual(await passkey.enrol?.begin(cx), { ok: false, reason: 'not-configured' }, origin);
    t.deepEqual(await passkey.begin?.(cx, []), { ok: false, reason: 'not-configured' }, origin);
    t.is(await passkey.discover?.begin(cx), undefined, origin);
  }
  t.is(await passkey.discover?.begin(context({ settings: settingsWith({ passkey: { signIn: false } }) })), undefined, 'the realm does not want it');
});

test('a trust anchor is a certificate', (t) => {
  t.notThrows(() => settingsWith({ passkey: { trustAnchors: [MAKER_ROOT, `\n${OTHER_ROOT}\n`] } }));
  for (const anchor of ['', 'a certificate', MAKER_ROOT.replaceAll('M', 'A'), MAKER_ROOT.slice(0, 200)])
    t.throws(() => settingsWith({ passkey: { trustAnchors: [anchor] } }), undefined, anchor);
});

test('the domain that keys are bound to', (t) => {
  const at = (origin: string, rpId: string | null = null) => relyingPartyAt(origin, settingsWith({ rpId }))?.id;
  t.is(at('https://id.example.com'), 'id.example.com');
  t.is(at('http://localhost:8080'), 'localhost');
  t.is(at('http://cardea.localhost:8080'), 'cardea.localhost');
  t.is(at('https://id.example.com', 'example.com'), 'example.com');
  t.is(at('https://id.example.com', 'id.example.com'), 'id.example.com');
  for (const rpId of ['other.example.com', 'ample.com', 'login.id.example.com']) t.is(at('https://id.example.com', rpId), undefined, rpId);
  for (const rpId of ['', 'Example.com', 'example.com.', '.com', 'https://example.com', '192.0.2.7', 'a b']) {
    t.throws(() => settingsWith({ rpId }), undefined, rpId);
  }
});
