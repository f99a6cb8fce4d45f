/** An address that is verified, and a profile that is looked over, before a sign-in is complete. */
import { changeUser } from '../../src/admin/resources/user-changes.ts';
import { readInbox } from '../../src/delivery/inbox.ts';
import type { Page } from '../support/agent.ts';
import { audited, type TestUser } from '../support/attack.ts';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { passwordGrant } from '../support/password-grant.ts';
import { codesTo, newestCode, otherThan } from '../support/sent-codes.ts';
import { authorizationRequest, Browser, exchange, relyingParty, text } from '../support/sign-in.ts';

forEachEngine((engine) => {
  let shared: Promise<Cardea> | undefined;
  const world = () => {
    shared ??= engine.database().then((db) => startCardea(db));
    return shared;
  };
  const scene = async (input: Parameters<Cardea['realm']>[0] = {}) => {
    const server = await world();
    const realm = await server.realm({ mfa: 'off', ...input });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const begin = async (user: Pick<TestUser, 'username' | 'password'>) => {
      const browser = new Browser(server.origin);
      const request = await authorizationRequest(rp);
      const page = await browser.visit(request.url);
      return { browser, request, page: await browser.send(page, { username: user.username, password: user.password }) };
    };
    const stored = (user: TestUser) => server.db.knex('users').where({ realm_id: realm.id, id: user.id }).first();
    const actions = (user: TestUser) => server.db.knex('required_actions').where({ realm_id: realm.id, user_id: user.id }).pluck('action');
    return { server, realm, rp, begin, stored, actions };
  };
  const leaves = (page: Page) => page.headers.get('location') !== null;

  engine.test('an address is verified by a code that was mailed there, once', async (t) => {
    const { server, realm, rp, begin, stored, actions } = await scene();
    const user = await server.user(realm, { email: 'ada@example.com', requiredActions: ['VERIFY_EMAIL'] });
    let { browser, request, page } = await begin(user);
    t.regex(text(page), /Verify your email address/);
    t.regex(text(page), /a•••@example\.com/);
    const code = await newestCode(server, 'ada@example.com');
    page = await browser.send(page, { code: otherThan(code) });
    t.is(page.status, 400);
    t.regex(text(page), /not right|wrong/i);
    const others: Record<string, string>[] = [{ do: 'skip' }, { do: 'never' }, { do: 'accept' }, { do: 'another' }];
    for (const fields of others) {
      page = await browser.send(page, fields);
      t.false(leaves(page));
      t.regex(text(page), /Verify your email address/);
    }
    const elsewhere = await begin(user);
    t.false(leaves(await elsewhere.browser.send(elsewhere.page, { code })), 'the code is bound to the sign-in that asked for it');
    page = await browser.visit(page.url);
    t.truthy((await exchange(rp, request, await browser.send(page, { code }))).id_token);
    t.truthy((await stored(user)).email_verified);
    t.deepEqual(await actions(user), []);
    const next = await begin(user);
    t.true(leaves(next.page), 'it is not asked again');
    const again = await elsewhere.browser.visit(elsewhere.page.url);
    t.false(leaves(again));
  });

  engine.test('another code is sent on wish, and not too soon', async (t) => {
    const { server, realm, begin } = await scene();
    const user = await server.user(realm, { email: 'erin@example.com', requiredActions: ['VERIFY_EMAIL'] });
    const { browser, page } = await begin(user);
    const early = await browser.send(page, { do: 'resend' });
    t.is(early.status, 429);
    t.is((await codesTo(server, 'erin@example.com')).length, 1);
    await browser.visit(page.url);
    t.is((await codesTo(server, 'erin@example.com')).length, 1, 'to look at the page sends nothing');
    const second = await begin(user);
    t.is((await codesTo(server, 'erin@example.com')).length, 1, 'nor does another sign-in, so soon');
    t.regex(text(second.page), /before you go on/);
  });

  engine.test('five wrong codes end the trying', async (t) => {
    const { server, realm, begin } = await scene();
    const user = await server.user(realm, { email: 'joan@example.com', requiredActions: ['VERIFY_EMAIL'] });
    const { browser, page } = await begin(user);
    const code = await newestCode(server, 'joan@example.com');
    let shown = page;
    for (let guess = 1; guess <= 5; guess += 1) shown = await browser.send(shown, { code: String((Number(code) + guess) % 1e8).padStart(8, '0') });
    shown = await browser.send(shown, { code });
    t.false(leaves(shown));
    t.is(shown.status, 429);
  });

  engine.test('a realm asks it of everybody whose address is not verified, and the password grant refuses them meanwhile', async (t) => {
    const { server, realm, rp, begin, stored } = await scene({ verifyEmail: true });
    const user = await server.user(realm, { email: 'grace@example.com' });
    const given = { username: user.username, password: user.password };
    t.like((await passwordGrant(server, realm, given)).body, { error_description: 'Account is not fully set up' });
    const { browser, request, page } = await begin(user);
    const done = await browser.send(page, { code: await newestCode(server, 'grace@example.com') });
    t.truthy((await exchange(rp, request, done)).id_token);
    t.truthy((await stored(user)).email_verified);
    t.is((await passwordGrant(server, realm, given)).status, 200);
    const without = await server.user(realm, { email: undefined });
    await server.db.knex('users').where({ realm_id: realm.id, id: without.id }).update({ email: null, email_shown: null });
    t.true(leaves((await begin(without)).page), 'who has no address is not asked');
  });

  engine.test('a profile is looked over; another address is not verified, and the one of before is told', async (t) => {
    const { server, realm, rp, begin, stored, actions } = await scene();
    const taken = await server.user(realm, { email: 'taken@example.com' });
    const user = await server.user(realm, { email: 'old@example.com', emailVerified: true, requiredActions: ['UPDATE_PROFILE', 'VERIFY_EMAIL'] });
    const began = await begin(user);
    const { browser, request } = began;
    let { page } = began;
    t.regex(text(page), /Check your details/);
    const profile = { firstName: 'Ada', lastName: 'Lindqvist', email: 'new@example.com' };
    for (const [wrong, said] of [
      [{ firstName: '' }, /Type your first name/],
      [{ lastName: 'L\u202eist' }, /cannot be seen/],
      [{ firstName: 'x'.repeat(256) }, /at most 255/],
      [{ email: 'no address' }, /not an email address/],
      [{ email: '' }, /Type your email address/],
      [{ email: String(taken.email).toUpperCase() }, /Another account/],
    ] as const) {
      page = await browser.send(page, { ...profile, ...wrong });
      t.true(page.status >= 400 && page.status < 500);
      t.regex(text(page), said);
    }
    t.regex(page.html, /value="Lindqvist"/, 'what was typed is there');
    page = await browser.send(page, profile);
    t.regex(text(page), /Verify your email address/, 'it was verified before, and is not any more');
    t.like(await stored(user), { first_name: 'Ada', last_name: 'Lindqvist', email: 'new@example.com' });
    t.falsy((await stored(user)).email_verified);
    t.deepEqual(await actions(user), ['VERIFY_EMAIL']);
    t.true(
      (await readInbox(server)).some(({ to, subject }) => to === 'old@example.com' && /address of your account was changed/.test(subject ?? '')),
    );
    page = await browser.send(page, { code: await newestCode(server, 'new@example.com') });
    t.truthy((await exchange(rp, request, page)).id_token);
    t.truthy((await stored(user)).email_verified);
    const updated = await audited({ server, realm, rp }, 'user.updated', { user: user.id });
    t.is(updated.length, 2);
    t.notRegex(JSON.stringify(updated.map(({ details }) => details)), /example\.com|Lindqvist/);
  });

  engine.test('all that is asked is done in one order, and none of it twice', async (t) => {
    const { server, realm, rp, begin, actions } = await scene();
    const user = await server.user(realm, { email: 'lin@example.com', requiredActions: ['VERIFY_EMAIL', 'UPDATE_PROFILE', 'UPDATE_PASSWORD'] });
    const { browser, request, page } = await begin(user);
    let shown = page;
    t.regex(text(shown), /Choose a new password/);
    shown = await browser.send(shown, { firstName: 'Lin', lastName: 'Berg', email: 'lin@example.com' });
    t.regex(text(shown), /Choose a new password/, 'a form of another page does nothing');
    shown = await browser.send(shown, { 'password-new': 'another long password', 'password-confirm': 'another long password' });
    t.regex(text(shown), /Check your details/);
    shown = await browser.send(shown, { firstName: 'Lin', lastName: 'Berg', email: 'lin@example.com' });
    t.regex(text(shown), /Verify your email/);
    // An administrator gives the account another address meanwhile: the code to the one before shows nothing of it.
    await changeUser(server.operator(), realm, user.id, { email: 'other@example.com' });
    shown = await browser.send(shown, { code: await newestCode(server, 'lin@example.com') });
    t.false(leaves(shown));
    await changeUser(server.operator(), realm, user.id, { email: 'lin@example.com', emailVerified: true, requiredActions: [] });
    const fresh = await begin({ ...user, password: 'another long password' });
    t.truthy((await exchange(rp, fresh.request, fresh.page)).id_token);
    t.truthy(request);
    t.deepEqual(await actions(user), []);
  });
});
