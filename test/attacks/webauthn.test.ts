/** Security keys and passkeys over HTTP, with an authenticator in software that says whatever an attacker wants (C08, B04, C01). */
import { randomBytes } from 'node:crypto';
import { realmSettings } from '../../src/realms/settings.ts';
import { DAY } from '../support/addresses.ts';
import { formsOf, type Page } from '../support/agent.ts';
import {
  afterPassword,
  arena,
  atCode,
  audited,
  begin,
  codeAt,
  codeFrom,
  giveApp,
  parallel,
  postTo,
  type Scene,
  sessionsOf,
  storedLogin,
  type TestUser,
  tally,
  transactionOf,
  type Underway,
} from '../support/attack.ts';
import { MAKER_ROOT, MODEL, statement } from '../support/attestation.ts';
import { Authenticator, type Traits } from '../support/authenticator.ts';
import { forEachEngine } from '../support/databases.ts';
import { creationOn, giveKey, keyForm, requestOn } from '../support/passkeys.ts';
import { exchange, text } from '../support/sign-in.ts';

/** What an attacker may have a browser or an authenticator say. */
const LIES: Record<string, Partial<Traits>> = {
  'another origin': { origin: 'https://evil.example' },
  'another RP ID': { rpId: 'evil.example' },
  'another challenge': { challenge: randomBytes(32).toString('base64url') },
  'UV=0': { uv: false },
  'UP=0': { up: false },
  'in a frame': { crossOrigin: true },
};

/** A realm with keys beside the app, and nothing that offers itself on the way. */
const KEYS = { disabledFactors: ['hotp', 'recovery-codes', 'email-otp', 'sms-otp'] };

/** What may differ between two refusals: the new challenge, and the version of the sign-in. */
const shape = ({ status, html }: Page): object => ({ status, html: html.replaceAll(/value="\d+"/g, '').replaceAll(/[\w-]{21,}/g, '') });

/** Answers the question for a key that a page holds. */
function answer({ browser, page }: Underway, device: Authenticator, traits: Parameters<Authenticator['get']>[1] = {}): Promise<Page> {
  return browser.send(page, { response: device.get(requestOn(page), traits) }, keyForm(page));
}

/** A user with a key, whose password was accepted. */
async function atKey(stage: Scene, factor: 'passkey' | 'security-key', traits: Partial<Traits> = {}) {
  const user = await stage.server.user(stage.realm);
  const key = await giveKey(stage.server, user, factor, { traits });
  return { user, ...key, underway: await afterPassword(stage, user) };
}

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine);

  engine.test('a passkey alone is a complete sign-in, and the tokens say how', async (t) => {
    const stage = await scene(KEYS);
    const user = await stage.server.user(stage.realm);
    const { device, id } = await giveKey(stage.server, user);
    const underway = await begin(stage, { parameters: { acr_values: 'phr' } });
    const tokens = await exchange(stage.rp, underway.request, await answer(underway, device));
    t.like(tokens.claims(), { sub: user.id, acr: 'phr', amr: ['pop', 'hwk', 'user', 'mfa'] });
    const [row] = await stage.server.db.knex('credentials').where({ realm_id: stage.realm.id, id }).select('last_used_at');
    t.not(row?.last_used_at, null);

    const copied = await stage.server.user(stage.realm);
    const synced = await giveKey(stage.server, copied, 'passkey', { traits: { be: true, bs: true } });
    const again = await begin(stage);
    t.like((await exchange(stage.rp, again.request, await answer(again, synced.device))).claims(), {
      acr: 'phr',
      amr: ['pop', 'swk', 'user', 'mfa'],
    });
  });

  engine.test('a security key after the password, and a passkey after it', async (t) => {
    const stage = await scene(KEYS);
    for (const factor of ['security-key', 'passkey'] as const) {
      const { underway, device, user } = await atKey(stage, factor, { counts: true, uv: factor === 'passkey' });
      const tokens = await exchange(stage.rp, underway.request, await answer(underway, device));
      t.like(tokens.claims(), { sub: user.id, acr: 'phr', amr: ['pwd', 'pop', 'hwk', 'user', 'mfa'] });
    }
  });

  engine.test('hardware whose maker vouches for it shows phrh, and nothing else does', async (t) => {
    const { webauthn } = realmSettings.parse({ webauthn: { securityKey: { aaguids: [MODEL], trustAnchors: [MAKER_ROOT] } } });
    const stage = await scene({ ...KEYS, webauthn });
    const user = await stage.server.user(stage.realm);
    const underway = await afterPassword(stage, user, { parameters: { acr_values: 'phrh' } });
    t.deepEqual(
      formsOf(underway.page).flatMap(({ fields }) => fields.factor ?? []),
      [],
      'a security key is all that reaches it',
    );
    const device = new Authenticator({ origin: stage.server.origin, aaguid: MODEL, attestation: statement, counts: true, uv: false });
    const unproved = device.create(creationOn(underway.page), { attestation: 'self' });
    const refused = await underway.browser.send(underway.page, { response: unproved }, keyForm(underway.page));
    t.regex(refused.html, /Keys of this model may not be used here/);
    const made = device.create(creationOn(refused));
    const tokens = await exchange(stage.rp, underway.request, await underway.browser.send(refused, { response: made }, keyForm(refused)));
    t.like(tokens.claims(), { acr: 'phrh', amr: ['pwd', 'pop', 'hwk', 'user', 'mfa'] });
    const again = await afterPassword(stage, user, { parameters: { acr_values: 'phrh' } });
    t.is((await exchange(stage.rp, again.request, await answer(again, device))).claims()?.acr, 'phrh');

    const other = await stage.server.user(stage.realm);
    const { device: phone } = await giveKey(stage.server, other);
    const wanting = await begin(stage, { parameters: { acr_values: 'phrh' } });
    const page = await answer(wanting, phone);
    t.regex(page.html, /Set up a security key/, 'a passkey is phr, and what it lacks is asked for');
  });

  engine.test('C08 on the first page: refused, recorded, and nobody is signed in', async (t) => {
    const stage = await scene(KEYS);
    const user = await stage.server.user(stage.realm);
    const { device } = await giveKey(stage.server, user);
    for (const [title, traits] of Object.entries(LIES)) {
      const underway = await begin(stage);
      const transaction = transactionOf(underway.browser);
      const refused = await answer(underway, device, traits);
      t.is(refused.status, 400, title);
      t.regex(refused.html, /That passkey did not work here/);
      const login = await storedLogin(stage, transaction);
      t.is(login.at, 'identify', title);
      t.is((await audited(stage, 'login.failed', { transaction })).length, 1, title);
      const tokens = await exchange(stage.rp, underway.request, await answer({ ...underway, page: refused }, device));
      t.is(tokens.claims()?.sub, user.id, 'the page holds another challenge, and the key is good');
    }
  });

  engine.test('C08 after the password: refused, recorded, and the next answer needs another challenge', async (t) => {
    const stage = await scene(KEYS);
    for (const [title, traits] of Object.entries(LIES)) {
      const { underway, device, user } = await atKey(stage, 'passkey');
      const transaction = transactionOf(underway.browser);
      const refused = await answer(underway, device, traits);
      t.is(refused.status, 400, title);
      t.is((await audited(stage, 'mfa.challenge.failed', { transaction })).length, 1, title);
      t.deepEqual(await sessionsOf(stage, user), []);
      t.not(requestOn(refused).challenge, requestOn(underway.page).challenge);
      const late = device.get(requestOn(underway.page));
      t.is((await underway.browser.send(refused, { response: late }, keyForm(refused))).status, 400, 'the one before is worth nothing');
    }
  });

  engine.test('C08 a disallowed algorithm, a wrong origin, UV=0: no key is bound', async (t) => {
    const stage = await scene(KEYS);
    const lies: Record<string, Partial<Traits>> = { ...LIES, 'a disallowed algorithm': { algorithm: 'ES384' } };
    for (const [title, traits] of Object.entries(lies)) {
      const { underway, user } = await atEnrolment(stage);
      const device = new Authenticator({ origin: stage.server.origin });
      const response = device.create(creationOn(underway.page), traits);
      const refused = await underway.browser.send(underway.page, { response }, keyForm(underway.page));
      t.is(refused.status, 400, title);
      t.regex(refused.html, /could not be set up/);
      t.deepEqual(await keysOf(stage, user.id), [], title);
    }
  });

  engine.test('C08 a challenge is answered once: of many answers at once one signs in, and none afterwards', async (t) => {
    const stage = await scene(KEYS);
    const [first, second] = await nodes();
    const { underway, device, user } = await atKey(stage, 'passkey');
    const fields = { ...keyForm(underway.page).fields, response: device.get(requestOn(underway.page)) };
    const answers = await parallel(20, (index) => {
      const node = (index % 2 === 0 ? first : second) ?? stage.server;
      return postTo(node, underway.browser, underway.page.url, fields);
    });
    t.is(
      answers.filter((page) => page.headers.getSetCookie().some((line) => line.startsWith('cardea_tx_'))).length,
      1,
      JSON.stringify(tally(answers)),
    );
    t.is((await audited(stage, 'mfa.challenge.ok', { user: user.id })).length, 1);

    // The same answer in a sign-in of its own.
    const other = await afterPassword(stage, user);
    const replayed = await other.browser.send(other.page, { response: fields.response ?? '' }, keyForm(other.page));
    t.is(replayed.status, 400);
    t.is(codeFrom(replayed, stage.rp), undefined);
  });

  engine.test('B04 a key of somebody else: refused like any that is wrong, and like one that nobody has', async (t) => {
    const stage = await scene(KEYS);
    const theirs = await giveKey(stage.server, await stage.server.user(stage.realm));
    const nobodys = new Authenticator({ origin: stage.server.origin });
    nobodys.create({ challenge: 'AAAA', rp: { id: 'localhost', name: '' }, user: { id: 'AAAA', name: '', displayName: '' }, pubKeyCredParams: [] });
    const shapes: object[] = [];
    for (const device of [theirs.device, nobodys]) {
      const { underway, user } = await atKey(stage, 'passkey');
      const [key] = device.keys;
      const refused = await answer(underway, device, { ...(key ? { key } : {}) });
      t.is(refused.status, 400);
      shapes.push(shape(refused));
      t.deepEqual(await sessionsOf(stage, user), []);
    }
    const { underway, device } = await atKey(stage, 'passkey');
    shapes.push(shape(await answer(underway, device, { origin: 'https://evil.example' })));
    t.deepEqual(shapes[1], shapes[0]);
    t.deepEqual(shapes[2], shapes[0]);
  });

  engine.test('B04 the id of my key over the signature of theirs, and the other way round', async (t) => {
    const stage = await scene(KEYS);
    const theirs = await giveKey(stage.server, await stage.server.user(stage.realm));
    const { underway, device, credentialId } = await atKey(stage, 'passkey');
    const open = { ...requestOn(underway.page), allowCredentials: [] };
    const forged = JSON.stringify({ ...JSON.parse(theirs.device.get(open)), id: credentialId, rawId: credentialId });
    const refused = await underway.browser.send(underway.page, { response: forged }, keyForm(underway.page));
    t.is(refused.status, 400);
    const mine = JSON.stringify({
      ...JSON.parse(device.get({ ...requestOn(refused), allowCredentials: [] })),
      id: theirs.credentialId,
      rawId: theirs.credentialId,
    });
    t.is((await underway.browser.send(refused, { response: mine }, keyForm(refused))).status, 400);
  });

  engine.test('the first page tells nothing: unknown, wrong, disabled and from another realm', async (t) => {
    const stage = await scene(KEYS);
    const elsewhere = await scene({ ...KEYS, accessTokenLifespan: 301 });
    const foreign = await giveKey(elsewhere.server, await elsewhere.server.user(elsewhere.realm));
    const user = await stage.server.user(stage.realm);
    const known = await giveKey(stage.server, user);
    const barred = await stage.server.user(stage.realm);
    const disabled = await giveKey(stage.server, barred);
    await stage.server.db.knex('users').where({ realm_id: stage.realm.id, id: barred.id }).update({ enabled: false });
    const unknown = await giveKey(stage.server, user);
    await stage.server.db.knex('credentials').where({ realm_id: stage.realm.id, id: unknown.id }).delete();
    const expected = shape(await answer(await begin(stage), known.device, { uv: false }));
    for (const { device } of [unknown, disabled, foreign]) {
      const underway = await begin(stage);
      t.deepEqual(requestOn(underway.page).allowCredentials, []);
      t.deepEqual(shape(await answer(underway, device)), expected);
    }
    const blank = await begin(stage);
    t.deepEqual(shape(await blank.browser.send(blank.page, { response: '{}' }, keyForm(blank.page))), expected);
  });

  engine.test('C01 whoever has the password alone binds no passkey: the app is asked first, and the answer is no way around it', async (t) => {
    const stage = await scene(KEYS);
    const user = await stage.server.user(stage.realm);
    const { secret } = await giveApp(stage.server, user);
    const mallory = await afterPassword(stage, user, { parameters: { acr_values: 'phr' } });
    t.regex(mallory.page.html, /name="code"/);
    const device = new Authenticator({ origin: stage.server.origin });
    const made = device.create({
      challenge: randomBytes(32).toString('base64url'),
      rp: { id: 'localhost', name: '' },
      user: { id: randomBytes(64).toString('base64url'), name: '', displayName: '' },
      pubKeyCredParams: [],
    });
    for (const fields of [{ response: made }, { response: made, do: 'accept' }, { response: made, factor: 'passkey' }] as Record<string, string>[]) {
      const refused = await mallory.browser.post(mallory.page.url, fields);
      t.true([303, 400].includes(refused.status) || refused.html.includes('name="code"'), `${refused.status} ${text(refused)}`);
    }
    t.deepEqual(await keysOf(stage, user.id), []);

    // The user has the app, and may.
    const page = await mallory.browser.visit(mallory.page.url);
    const offered = await mallory.browser.send(page, { code: codeAt(secret) });
    const choice = formsOf(offered).find(({ fields }) => fields.factor === 'passkey');
    const enrolling = await mallory.browser.send(offered, {}, choice);
    const done = await mallory.browser.send(enrolling, { response: device.create(creationOn(enrolling)) }, keyForm(enrolling));
    t.like((await exchange(stage.rp, mallory.request, done)).claims(), { acr: 'phr', amr: ['pwd', 'pop', 'hwk', 'user', 'otp', 'mfa'] });
    t.is((await keysOf(stage, user.id)).length, 1);
  });

  engine.test('a code is no answer to a challenge for a key, nor a key to one for a code', async (t) => {
    const stage = await scene(KEYS);
    const { underway } = await atKey(stage, 'security-key');
    const coded = await underway.browser.post(underway.page.url, { code: '123456' });
    t.is(codeFrom(coded, stage.rp), undefined);
    const at = await atCode(stage);
    const device = await giveKey(stage.server, at.user);
    const challenge = randomBytes(32).toString('base64url');
    const response = device.device.get({ challenge, rpId: 'localhost', allowCredentials: [] });
    const refused = await at.browser.post(at.page.url, { response });
    t.is(codeFrom(refused, stage.rp), undefined);
    t.deepEqual(await sessionsOf(stage, at.user), []);
  });

  engine.test('a copy of a key: its counter tells, nobody is signed in, and there is an alarm', async (t) => {
    const stage = await scene(KEYS);
    const { underway, device, user, id } = await atKey(stage, 'security-key', { counts: true });
    const copy = new Authenticator({ ...device.traits });
    copy.keys.push(...device.keys);
    copy.counter = device.counter;
    const tokens = await exchange(stage.rp, underway.request, await answer(underway, device));
    t.is(tokens.claims()?.sub, user.id);
    const again = await afterPassword(stage, user);
    const refused = await answer(again, copy);
    t.is(refused.status, 400);
    t.regex(refused.html, /there may be a copy of it/);
    const [alarm] = await audited(stage, 'mfa.clone_suspected', { user: user.id });
    t.deepEqual(JSON.parse(alarm?.details ?? '{}'), { factor: 'security-key', credential: id });

    const passkey = await stage.server.user(stage.realm);
    const { device: phone } = await giveKey(stage.server, passkey, 'passkey', { traits: { be: false } });
    t.is((await answer(await begin(stage), phone, { be: true, bs: true })).status, 400);
    t.is((await audited(stage, 'mfa.clone_suspected', { user: passkey.id })).length, 1);
  });

  engine.test('a key that is bound to somebody is bound to nobody else', async (t) => {
    const stage = await scene(KEYS);
    const { credentialId } = await giveKey(stage.server, await stage.server.user(stage.realm));
    const { underway, user } = await atEnrolment(stage);
    const device = new Authenticator({ origin: stage.server.origin });
    const response = device.create(creationOn(underway.page), { id: credentialId });
    const refused = await underway.browser.send(underway.page, { response }, keyForm(underway.page));
    t.is(refused.status, 409);
    t.deepEqual(await keysOf(stage, user.id), []);
  });

  engine.test('the user handle: 64 bytes, one for each user of a realm, the same each time, and nothing of the user in it', async (t) => {
    const stage = await scene(KEYS);
    const handles: string[] = [];
    for (const user of [await stage.server.user(stage.realm), await stage.server.user(stage.realm)]) {
      const [first, second] = [await enrolling(stage, user), await enrolling(stage, user)];
      const handle = creationOn(first.page).user.id;
      t.is(creationOn(second.page).user.id, handle);
      t.is(Buffer.from(handle, 'base64url').length, 64);
      t.false(Buffer.from(handle, 'base64url').includes(user.id) || first.page.html.includes(user.id));
      t.not(creationOn(first.page).challenge, creationOn(second.page).challenge);
      t.deepEqual(creationOn(first.page).excludeCredentials, []);
      handles.push(handle);
    }
    t.not(handles[0], handles[1]);

    const owner = await stage.server.user(stage.realm);
    const [key, phone] = [await giveKey(stage.server, owner, 'security-key'), await giveKey(stage.server, owner, 'passkey')];
    const underway = await afterPassword(stage, owner, { parameters: { kc_action: 'webauthn-register' } });
    const choice = formsOf(underway.page).find(({ fields }) => fields.factor === 'passkey');
    const asked = await underway.browser.send(underway.page, {}, choice);
    const { excludeCredentials = [] } = creationOn(await answer({ ...underway, page: asked }, phone.device));
    const excluded = excludeCredentials.map(({ id }) => id);
    t.deepEqual(excluded.sort(), [key.credentialId, phone.credentialId].sort());
  });

  engine.test('who is asked to prove it again does so with a passkey of their own, and with nobody else’s', async (t) => {
    const stage = await scene(KEYS);
    const user = await stage.server.user(stage.realm);
    const mine = await giveKey(stage.server, user);
    const theirs = await giveKey(stage.server, await stage.server.user(stage.realm));
    const first = await begin(stage);
    const before = await exchange(stage.rp, first.request, await answer(first, mine.device));
    const again = await begin(stage, { browser: first.browser, parameters: { prompt: 'login' } });
    t.regex(again.page.html, /Confirm it/);
    const refused = await answer(again, theirs.device);
    t.is(refused.status, 400);
    const tokens = await exchange(stage.rp, again.request, await answer({ ...again, page: refused }, mine.device));
    t.like(tokens.claims(), { sub: user.id, acr: 'phr' });
    t.true(Number(tokens.claims()?.auth_time) >= Number(before.claims()?.auth_time));
  });

  engine.test('guessing: one key from many sign-ins, and keys that nobody has from one address', async (t) => {
    const { throttling } = realmSettings.parse({ throttling: { address: { failures: 20, within: DAY } } });
    const stage = await scene({ ...KEYS, throttling });
    const { device } = await giveKey(stage.server, await stage.server.user(stage.realm));
    const statuses: number[] = [];
    for (let guess = 0; guess < 12; guess += 1) statuses.push((await answer(await begin(stage), device, { uv: false })).status);
    t.deepEqual(statuses, [...Array.from({ length: 10 }, () => 400), 429, 429], 'the key is paused, right or wrong');
    t.is((await answer(await begin(stage), device)).status, 429);

    const others: number[] = [];
    for (let guess = 0; guess < 12; guess += 1) {
      const underway = await begin(stage);
      const nobodys = new Authenticator({ origin: stage.server.origin });
      nobodys.create({ challenge: 'AAAA', rp: { id: 'localhost', name: '' }, user: { id: 'AAAA', name: '', displayName: '' }, pubKeyCredParams: [] });
      others.push((await answer(underway, nobodys)).status);
    }
    t.is(others[0], 400, 'another key is another matter');
    t.is(others.at(-1), 429, others.join(' '));
  });

  /** Somebody without a second factor, of whom the application wants phr: at the page that sets up a passkey. */
  async function atEnrolment(stage: Scene) {
    const user = await stage.server.user(stage.realm);
    return { user, underway: await enrolling(stage, user) };
  }

  async function enrolling(stage: Scene, user: TestUser): Promise<Underway> {
    const underway = await afterPassword(stage, user, { parameters: { acr_values: 'phr' } });
    const choice = formsOf(underway.page).find(({ fields }) => fields.factor === 'passkey');
    const page = choice ? await underway.browser.send(underway.page, {}, choice) : underway.page;
    return { ...underway, page };
  }

  async function keysOf({ server, realm }: Scene, userId: string): Promise<unknown[]> {
    return server.db.knex('credentials').where({ realm_id: realm.id, user_id: userId }).whereIn('factor', ['passkey', 'security-key']).select('id');
  }
});
