/** What an application asks its user to do (`kc_action`): the page says who asks, the user does it or not, and the answer says which. */
import { randomUUID } from 'node:crypto';
import { addRequiredActions } from '../../src/store/user-changes.ts';
import type { Page } from '../support/agent.ts';
import { afterPassword, arena, audited, begin, giveApp, type Scene, type TestUser } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { messagesTo, newestCode } from '../support/sent-codes.ts';
import { authorizationRequest, type Browser, codeOf, exchange, keyOf, type Request, text } from '../support/sign-in.ts';

const MINE = 'four words without relation';
const NEW = { 'password-new': MINE, 'password-confirm': MINE };

forEachEngine((engine) => {
  const { scene } = arena(engine);

  /** Signs in without any wish, and asks for it by single sign-on a moment later. */
  const wishing = async (stage: Scene, user: TestUser, kc_action: string, parameters: Record<string, string> = {}) => {
    const { browser, page } = await afterPassword(stage, user);
    if (page.headers.get('location') === null) throw new Error(text(page));
    return { browser, first: page, ...(await ask(stage, browser, { kc_action, ...parameters })) };
  };
  const ask = async ({ rp }: Scene, browser: Browser, parameters: Record<string, string>): Promise<{ request: Request; page: Page }> => {
    const request = await authorizationRequest(rp, parameters);
    return { request, page: await browser.visit(request.url) };
  };
  const answerOf = (page: Page) => {
    const { searchParams } = new URL(page.headers.get('location') ?? 'about:blank');
    return {
      code: searchParams.has('code'),
      error: searchParams.get('error'),
      action: searchParams.get('kc_action'),
      status: searchParams.get('kc_action_status'),
    };
  };
  const success = (action: string) => ({ code: true, error: null, action, status: 'success' });

  engine.test('UPDATE_PASSWORD: the page names the application, and the password is another one after it', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm, rp } = stage;
    const user = await server.user(realm, { email: `${randomUUID()}@example.com` });
    const elsewhere = await afterPassword(stage, user);
    const tokens = await exchange(rp, elsewhere.request, elsewhere.page);
    t.truthy(tokens.refresh_token);
    const { browser, request, page } = await wishing(stage, user, 'UPDATE_PASSWORD');
    t.regex(text(page), /Choose a new password/);
    t.true(page.html.includes(rp.client.clientId), 'it says who asks');
    t.regex(page.html, /asks for this/);
    const short = await browser.send(page, { 'password-new': 'short', 'password-confirm': 'short' });
    t.is(short.status, 400);
    t.is((await browser.send(short, { 'password-new': user.password, 'password-confirm': user.password })).status, 400);
    const done = await browser.send(await browser.visit(page.url), NEW);
    t.deepEqual(answerOf(done), success('UPDATE_PASSWORD'));
    t.truthy((await exchange(rp, request, done)).id_token);
    t.deepEqual(answerOf((await ask(stage, browser, { prompt: 'none' })).page).error, null, 'this session goes on');
    t.is(answerOf((await ask(stage, elsewhere.browser, { prompt: 'none' })).page).error, 'login_required', 'the other one has ended');
    t.is((await afterPassword(stage, user)).page.status, 400, 'the password of before is none');
    t.true(answerOf((await afterPassword(stage, { ...user, password: MINE })).page).code);
    t.is((await audited(stage, 'user.password-set', { user: user.id })).length, 1);
    t.true((await messagesTo(server, user.email ?? '')).some(({ subject }) => /password/i.test(subject)));
  });

  engine.test('UPDATE_PASSWORD cancelled: nothing changes, and the application is told', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser, page } = await wishing(stage, user, 'UPDATE_PASSWORD');
    const back = await browser.send(page, { do: 'cancel' });
    t.deepEqual(answerOf(back), { code: true, error: null, action: 'UPDATE_PASSWORD', status: 'cancelled' });
    t.true(answerOf((await afterPassword(stage, user)).page).code);
    t.is((await audited(stage, 'user.password-set', { user: user.id })).length, 0);
  });

  engine.test('on the way of a sign-in, too, with a second factor where there is one', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    const { secret } = await giveApp(server, user);
    const { browser, request, page } = await afterPassword(stage, user, { parameters: { kc_action: 'UPDATE_PASSWORD' } });
    t.notRegex(text(page), /Choose a new password/);
    const asked = await browser.send(page, { code: codeOf(secret) });
    t.regex(text(asked), /Choose a new password/);
    const done = await browser.send(asked, NEW);
    t.deepEqual(answerOf(done), success('UPDATE_PASSWORD'));
    t.is((await exchange(rp, request, done)).claims()?.acr, 'aal2');
    t.false(answerOf((await ask(stage, browser, { prompt: 'none', acr_values: 'aal2' })).page).error !== null, 'and the session has it all');
  });

  engine.test('UPDATE_PROFILE: an address that changes is told to the one of before', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm } = stage;
    const address = `${randomUUID()}@example.com`;
    const user = await server.user(realm, { email: address, emailVerified: true });
    const { browser, page } = await wishing(stage, user, 'UPDATE_PROFILE');
    t.regex(text(page), /Check your details/);
    t.regex(page.html, /asks for this/);
    const done = await browser.send(page, { firstName: 'Ada', lastName: 'Lindqvist', email: `${randomUUID()}@example.com` });
    t.deepEqual(answerOf(done), success('UPDATE_PROFILE'));
    const row = await server.db.knex('users').where({ realm_id: realm.id, id: user.id }).first();
    t.like(row, { first_name: 'Ada', last_name: 'Lindqvist' });
    t.falsy(row.email_verified);
    t.true((await messagesTo(server, address)).length > 0);
  });

  engine.test('VERIFY_EMAIL: by a code; once it is verified there is nothing to ask, and without an address nothing to verify', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm } = stage;
    const address = `${randomUUID()}@example.com`;
    const user = await server.user(realm, { email: address });
    const { browser, page } = await wishing(stage, user, 'VERIFY_EMAIL');
    t.regex(text(page), /Verify your email address/);
    t.regex(page.html, /asks for this/);
    t.deepEqual(answerOf(await browser.send(page, { code: await newestCode(server, address) })), success('VERIFY_EMAIL'));
    t.deepEqual(answerOf((await ask(stage, browser, { kc_action: 'VERIFY_EMAIL', prompt: 'none' })).page), success('VERIFY_EMAIL'));
    t.deepEqual(answerOf((await afterPassword(stage, user, { parameters: { kc_action: 'VERIFY_EMAIL' } })).page), success('VERIFY_EMAIL'));
    const without = await server.user(realm);
    await server.db.knex('users').where({ realm_id: realm.id, id: without.id }).update({ email: null, email_shown: null });
    t.is(answerOf((await wishing(stage, without, 'VERIFY_EMAIL')).page).status, 'error');
  });

  engine.test('delete_credential: the method that is named is removed, and another one is asked for then', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const { server, realm, rp } = stage;
    const user = await server.user(realm, { email: `${randomUUID()}@example.com` });
    const [phone, tablet] = [await giveApp(server, user, { label: 'Old phone' }), await giveApp(server, user, { label: 'Tablet' })];
    const { browser, page: first } = await afterPassword(stage, user, { parameters: { kc_action: `delete_credential:${phone.id}` } });
    const page = await browser.send(first, { code: codeOf(phone.secret) });
    t.regex(text(page), /Old phone/);
    t.notRegex(text(page), /Tablet/);
    t.regex(page.html, /asks for this/);
    t.true(page.html.includes(rp.client.clientId));
    t.is(answerOf(await browser.send(page, { code: '123456' })).status, null, 'another form does nothing');
    const next = await browser.send(await browser.visit(page.url), { do: 'accept' });
    t.regex(text(next), /code/i, 'what was shown was shown with the one that is gone');
    t.deepEqual(answerOf(await browser.send(next, { code: codeOf(tablet.secret) })), success('delete_credential'));
    t.deepEqual(await server.db.knex('credentials').where({ realm_id: realm.id, user_id: user.id, factor: 'totp' }).pluck('id'), [tablet.id]);
    t.is((await audited(stage, 'mfa.factor.removed', { user: user.id })).length, 1);
    t.true((await messagesTo(server, user.email ?? '')).some(({ subject }) => /removed/i.test(subject)));
  });

  engine.test('delete_credential never takes what the policy asks for, a password, or what is not there', async (t) => {
    const stage = await scene({ mfa: 'required' });
    const { server, realm } = stage;
    const other = await giveApp(server, await server.user(realm));
    const held = async (user: TestUser): Promise<string[]> =>
      server.db.knex('credentials').where({ realm_id: realm.id, user_id: user.id }).pluck('id');
    for (const which of ['the app', 'the password', 'somebody else’s', 'nothing', 'no id']) {
      const user = await server.user(realm);
      const [password = ''] = await held(user);
      const { id, secret } = await giveApp(server, user);
      const named = { 'the app': id, 'the password': password, 'somebody else’s': other.id, nothing: randomUUID() }[which] ?? 'x';
      const { browser, page } = await afterPassword(stage, user, { parameters: { kc_action: `delete_credential:${named}` } });
      t.like(answerOf(await browser.send(page, { code: codeOf(secret) })), { code: true, status: 'error' }, which);
      t.deepEqual((await held(user)).toSorted(), [password, id].toSorted(), which);
    }
    t.truthy(await server.db.knex('credentials').where({ realm_id: realm.id, id: other.id }).first());
  });

  engine.test('what nobody knows, and what the realm has switched off, is answered at once', async (t) => {
    const off = { registered: true, enabled: false };
    const stage = await scene({ mfa: 'off', requiredActions: { UPDATE_PASSWORD: off, CONFIGURE_TOTP: off, delete_credential: off } });
    const { server, realm } = stage;
    const user = await server.user(realm);
    const { id } = await giveApp(server, user);
    const { browser } = await afterPassword(stage, user);
    for (const kc_action of [
      'UPDATE_PASSWORD',
      'CONFIGURE_TOTP',
      `delete_credential:${id}`,
      'TERMS_AND_CONDITIONS',
      'delete_account',
      'unheard of',
    ]) {
      const { page } = await ask(stage, browser, { kc_action });
      t.like(answerOf(page), { code: true, error: null, status: 'error' }, kc_action);
    }
  });

  engine.test('skip_if_exists: who has one of the kind is asked nothing, and who has none sets it up', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const kc_action = 'CONFIGURE_TOTP:skip_if_exists';
    const without = await afterPassword(stage, user);
    t.like(
      answerOf((await ask(stage, without.browser, { kc_action, prompt: 'none' })).page),
      { code: false, status: null },
      'it is still to be done',
    );
    const { browser, page } = await afterPassword(stage, user, { parameters: { kc_action } });
    const secret = keyOf(page);
    t.deepEqual(answerOf(await browser.send(page, { code: codeOf(secret) })), success('CONFIGURE_TOTP'));

    for (const prompt of [{}, { prompt: 'none' }] as Record<string, string>[])
      t.deepEqual(answerOf((await ask(stage, browser, { kc_action, ...prompt })).page), success('CONFIGURE_TOTP'));
    t.deepEqual(answerOf((await ask(stage, browser, { kc_action: 'enrol:totp:skip_if_exists', prompt: 'none' })).page), success('enrol:totp'));
    t.deepEqual(
      answerOf((await afterPassword(stage, user, { parameters: { kc_action } })).page),
      success('CONFIGURE_TOTP'),
      'on the way of a sign-in too',
    );
    t.is((await stage.server.db.knex('credentials').where({ user_id: user.id, factor: 'totp' })).length, 1);
    // No key is there, and the realm has none.
    for (const unknown of ['webauthn-register:skip_if_exists', 'CONFIGURE_TOTP:skip', 'UPDATE_PASSWORD:skip_if_exists', ':skip_if_exists'])
      t.like(answerOf((await ask(stage, browser, { kc_action: unknown })).page), { code: true, status: 'error' }, unknown);
  });

  engine.test('skip_if_exists spares the wish alone: what an administrator requires is asked, and what the policy asks for', async (t) => {
    const stage = await scene({ mfa: 'required' });
    const user = await stage.server.user(stage.realm);
    const { secret } = await giveApp(stage.server, user);
    await addRequiredActions(stage.server.db.knex, user, ['UPDATE_PASSWORD'], Date.now());
    const { browser, page } = await afterPassword(stage, user, { parameters: { kc_action: 'CONFIGURE_TOTP:skip_if_exists' } });
    t.is(answerOf(page).status, null);
    const required = await browser.send(page, { code: codeOf(secret) });
    t.regex(text(required), /Choose a new password/);
    t.deepEqual(answerOf(await browser.send(required, NEW)), success('CONFIGURE_TOTP'));
  });

  engine.test('prompt=none with a wish that needs the user is refused', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { page } = await wishing(stage, user, 'UPDATE_PASSWORD', { prompt: 'none' });
    t.like(answerOf(page), { code: false, error: 'interaction_required' });
  });

  engine.test('what an administrator requires comes first, an enrolment too, and then what the application wishes', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    await addRequiredActions(server.db.knex, user, ['CONFIGURE_TOTP', 'UPDATE_PROFILE'], Date.now());
    const { browser, request, page } = await afterPassword(stage, user, { parameters: { kc_action: 'UPDATE_PASSWORD' } });
    let shown = await browser.send(page, { code: codeOf(keyOf(page)) });
    t.regex(text(shown), /Check your details/);
    t.notRegex(shown.html, /asks for this/, 'nobody but the administrator asks');
    shown = await browser.send(shown, { firstName: 'Ada', lastName: 'Lindqvist', email: String(user.email) });
    t.regex(text(shown), /Choose a new password/);
    const done = await browser.send(shown, NEW);
    t.deepEqual(answerOf(done), success('UPDATE_PASSWORD'));
    t.truthy((await exchange(rp, request, done)).id_token);
    t.deepEqual(await server.db.knex('required_actions').where({ user_id: user.id }).pluck('action'), []);
  });

  engine.test('an enrolment that the application wishes does not put off what an administrator requires', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm } = stage;
    const user = await server.user(realm);
    await addRequiredActions(server.db.knex, user, ['UPDATE_PASSWORD'], Date.now());
    const { browser, page } = await afterPassword(stage, user, { parameters: { kc_action: 'CONFIGURE_TOTP' } });
    t.regex(text(page), /Choose a new password/);
    const app = await browser.send(page, NEW);
    t.deepEqual(answerOf(await browser.send(app, { code: codeOf(keyOf(app)) })), success('CONFIGURE_TOTP'));
  });

  engine.test('what is required and wished is done once, and cannot be cancelled', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm } = stage;
    const user = await server.user(realm);
    await addRequiredActions(server.db.knex, user, ['UPDATE_PASSWORD'], Date.now());
    const parameters = { kc_action: 'UPDATE_PASSWORD' };
    const first = await afterPassword(stage, user, { parameters });
    t.like(answerOf(await first.browser.send(first.page, { do: 'cancel' })), { code: false, error: 'access_denied' });
    const second = await afterPassword(stage, user, { parameters });
    t.deepEqual(answerOf(await second.browser.send(second.page, NEW)), success('UPDATE_PASSWORD'));
  });

  engine.test('a first page that is cancelled cancels the sign-in, and not the wish alone', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { browser, page } = await begin(stage, { parameters: { kc_action: 'UPDATE_PASSWORD' } });
    t.like(answerOf(await browser.send(page, { do: 'cancel' })), { code: false, error: 'access_denied' });
  });
});
