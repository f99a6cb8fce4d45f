/** Mails that ask users to do something, sent through Keycloak's own client and followed in a browser. */
import { giveRoles } from '../../src/admin/resources/roles.ts';
import { adminWorld } from '../support/admin.ts';
import { formsOf } from '../support/agent.ts';
import { audited, codeAt, giveApp } from '../support/attack.ts';
import type { Cardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal } from '../support/keycloak.ts';
import { Forgetful, linkFor, mailsTo } from '../support/recovery.ts';
import { Browser, relyingParty, signIn, text } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const world = adminWorld(engine);
  let addresses = 0;
  const realmOf = async (input: Parameters<Cardea['realm']>[0] = {}) => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off', ...input });
    addresses += 1;
    const email = `somebody-${addresses}@example.com`;
    const testClient = await server.client(realm);
    const rp = await relyingParty(server, realm, testClient);
    const user = await server.user(realm, { email });
    const stored = async () => {
      const row = await server.db.knex('users').where({ realm_id: realm.id, id: user.id }).first();
      const actions = await server.db.knex('required_actions').where({ realm_id: realm.id, user_id: user.id }).pluck('action');
      return { verified: Boolean(row.email_verified), actions };
    };
    return { server, admin, realm, user, email, testClient, rp, stored, client: keycloakClient(server, realm, admin.token) };
  };
  /** Opens a link and presses its button. */
  const follow = async (server: Cardea, link: string, browser = new Browser(server.origin)) => {
    const opened = await browser.visit(link);
    return { browser, opened, page: formsOf(opened)[0] ? await browser.send(opened, {}) : opened };
  };

  engine.test('a link verifies the address, once, in whatever browser, and signs nobody in', async (t) => {
    const { server, realm, user, email, client, stored, rp } = await realmOf();
    await client.users.sendVerifyEmail({ id: user.id });
    const link = await linkFor(server, realm, email);
    t.regex((await mailsTo(server, realm, email)).at(-1)?.text ?? '', /Verify your email address/);
    const guard = await new Browser(server.origin).visit(link);
    t.regex(text(guard), /Verify your email address/);
    t.false((await stored()).verified, 'to open it does nothing');
    const { browser, page } = await follow(server, link);
    t.regex(text(page), /Nothing more is to be done/);
    t.true((await stored()).verified);
    t.is((await follow(server, link)).opened.status, 410);
    const account = await browser.visit(`${server.origin}/realms/${realm.name}/account/`);
    t.true(account.html.includes('name="password"'), 'nobody is signed in');
    t.is((await audited({ server, realm, rp }, 'user.actions-sent', { user: user.id })).length, 1);
  });

  engine.test('a new user chooses the first password by a link, and is asked for the rest at the sign-in', async (t) => {
    const { server, realm, client, testClient, rp } = await realmOf();
    const email = `new-${realm.name}@example.com`;
    const { id } = await client.users.create({ username: `new-${realm.name}`, email, enabled: true, requiredActions: ['UPDATE_PASSWORD'] });
    await client.users.executeActionsEmail({
      id,
      actions: ['UPDATE_PASSWORD', 'VERIFY_EMAIL', 'CONFIGURE_TOTP'] as never[],
      clientId: testClient.clientId,
      redirectUri: testClient.redirectUri,
      lifespan: 3_600,
    });
    const followed = await follow(server, await linkFor(server, realm, email));
    const { browser } = followed;
    let { page } = followed;
    t.regex(text(followed.opened), /Choose a new password.*Set up an authenticator app/s);
    t.regex(text(page), /Choose a new password/);
    page = await browser.send(page, { 'password-new': 'a first password', 'password-confirm': 'a first password' });
    t.regex(text(page), /asked for when you sign in/);
    t.true(page.html.includes(`href="${testClient.redirectUri}"`));
    const [user] = await client.users.find({ username: `new-${realm.name}`, exact: true });
    t.like(user, { emailVerified: true, requiredActions: ['CONFIGURE_TOTP'] });
    const signedIn = await signIn(server, rp, { username: `new-${realm.name}`, password: 'a first password' });
    t.truthy(signedIn.totpSecret, 'the app is set up after the password was shown');
    t.deepEqual((await client.users.findOne({ id }))?.requiredActions, []);
  });

  engine.test('whoever owns a second factor shows it before a new password is set', async (t) => {
    const { server, admin, realm, user, email, rp } = await realmOf();
    const { secret } = await giveApp(server, user);
    t.is((await admin.call('PUT', `/realms/${realm.name}/users/${user.id}/reset-password-email`)).status, 204);
    const followed = await follow(server, await linkFor(server, realm, email));
    t.notRegex(followed.page.html, /password-new/);
    let page = await followed.browser.send(followed.page, { code: codeAt(secret) });
    page = await followed.browser.send(page, { 'password-new': 'another password', 'password-confirm': 'another password' });
    t.regex(text(page), /Nothing more is to be done/);
    t.truthy((await signIn(server, rp, { ...user, password: 'another password' })).tokens.access_token);
  });

  engine.test('a link is worth nothing once the account has another address, is switched off, or the time is over', async (t) => {
    const { server, realm, user, email, client, stored } = await realmOf({ resetPasswordAllowed: false });
    await client.users.executeActionsEmail({ id: user.id, actions: ['VERIFY_EMAIL'] as never[] });
    const link = await linkFor(server, realm, email);
    await client.users.update({ id: user.id }, { email: `moved-${email}` });
    const { page } = await follow(server, link);
    t.is(page.status, 403);
    t.deepEqual(await stored(), { verified: false, actions: [] });

    await client.users.executeActionsEmail({ id: user.id, actions: ['UPDATE_PROFILE'] as never[] });
    const second = await linkFor(server, realm, `moved-${email}`);
    await client.users.update({ id: user.id }, { enabled: false });
    t.is((await follow(server, second)).page.status, 403);
    await client.users.update({ id: user.id }, { enabled: true });

    await client.users.executeActionsEmail({ id: user.id, actions: ['UPDATE_PROFILE'] as never[], lifespan: 60 });
    const third = await linkFor(server, realm, `moved-${email}`, 2);
    await server.db
      .knex('recoveries')
      .where({ realm_id: realm.id })
      .update({ expires_at: Date.now() - 1 });
    t.is((await follow(server, third)).opened.status, 410);
    t.is((await follow(server, `${third.slice(0, -3)}abc`)).opened.status, 410);
    t.deepEqual((await stored()).actions, []);
    t.is((await new Browser(server.origin).visit(`${server.origin}/realms/${realm.name}/login-actions/reset-credentials`)).status, 404);
  });

  engine.test('a link is good in its own realm, and only from a page of ours', async (t) => {
    const { server, realm, user, email, client, stored } = await realmOf();
    const other = await server.realm({ mfa: 'off' });
    await client.users.executeActionsEmail({ id: user.id, actions: ['UPDATE_PROFILE'] as never[] });
    const link = await linkFor(server, realm, email);
    t.is((await follow(server, link.replace(`/realms/${realm.name}/`, `/realms/${other.name}/`))).opened.status, 410);
    const key = new URL(link).searchParams.get('key') ?? '';
    const foreign = await fetch(link.split('?')[0] ?? '', {
      method: 'POST',
      body: new URLSearchParams({ key }),
      headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    });
    t.is(foreign.status, 403);
    t.deepEqual((await stored()).actions, []);
    t.regex(text((await follow(server, link)).page), /asked for when you sign in/);
    t.deepEqual((await stored()).actions, ['UPDATE_PROFILE']);
    t.notRegex(server.log.join('\n'), new RegExp(key.slice(37, 60)));
  });

  engine.test('who forgets the password beside it, or says so of somebody else, does not void the link of an administrator', async (t) => {
    const { server, realm, user, email, client } = await realmOf();
    await client.users.executeActionsEmail({ id: user.id, actions: ['UPDATE_PASSWORD'] as never[] });
    const link = await linkFor(server, realm, email);
    const forgetful = new Forgetful(server, realm);
    await forgetful.ask(user.username);
    await linkFor(server, realm, email, 2);
    const { browser, page } = await follow(server, link);
    const done = await browser.send(page, { 'password-new': 'another password', 'password-confirm': 'another password' });
    t.regex(text(done), /Nothing more is to be done/);
    t.is((await forgetful.browser.visit(await linkFor(server, realm, email, 2))).status, 410, 'a new password voids all links of before');
  });

  engine.test('of many who press the button of one link at once, one goes on', async (t) => {
    const { server, realm, user, email, client } = await realmOf();
    await client.users.executeActionsEmail({ id: user.id, actions: ['UPDATE_PASSWORD'] as never[] });
    const link = await linkFor(server, realm, email);
    const opened = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const browser = new Browser(server.origin);
        return { browser, page: await browser.visit(link) };
      }),
    );
    const pages = await Promise.all(opened.map(({ browser, page }) => browser.send(page, {})));
    t.is(pages.filter((page) => page.html.includes('password-new')).length, 1);
    t.is(pages.filter(({ status }) => status === 410).length, 7);
  });

  engine.test("what is wrong is said in Keycloak's words", async (t) => {
    const { server, realm, user, client, testClient } = await realmOf();
    const ask = (some: object) => refusal(client.users.executeActionsEmail({ id: user.id, actions: ['VERIFY_EMAIL'] as never[], ...some }));
    const said = async (some: object) => {
      const { status, body } = await ask(some);
      t.is(status, 400);
      return body.errorMessage;
    };
    t.is(await said({ redirectUri: 'https://app.example/callback' }), 'Client id missing');
    t.is(await said({ clientId: 'nobody' }), "Client doesn't exist");
    t.is(await said({ clientId: testClient.clientId, redirectUri: 'https://evil.example/' }), 'Invalid redirect uri.');
    t.is(await said({ clientId: testClient.clientId, redirectUri: 'javascript:alert(1)' }), 'Invalid redirect uri.');
    t.is(await said({ actions: ['UNHEARD_OF'] }), 'Provided invalid required actions');
    t.is(await said({ actions: [] }), 'Provided invalid required actions');
    t.is((await ask({ lifespan: 5 })).status, 400);
    await client.users.update({ id: user.id }, { enabled: false });
    t.is(await said({}), 'User is disabled');
    await client.users.update({ id: user.id }, { enabled: true, email: '' });
    t.is(await said({}), 'User email missing');
    t.is((await refusal(client.users.sendVerifyEmail({ id: crypto.randomUUID() }))).status, 404);
    t.is((await server.db.knex('recoveries').where({ realm_id: realm.id })).length, 0);
  });

  engine.test('a user is written to five times an hour, and no more', async (t) => {
    const { user, client } = await realmOf();
    for (let count = 0; count < 5; count += 1) await client.users.sendVerifyEmail({ id: user.id });
    t.is((await refusal(client.users.sendVerifyEmail({ id: user.id }))).status, 429);
  });

  engine.test('who may only look sends nothing, and nobody writes to those who may more', async (t) => {
    const { server, realm, user } = await realmOf();
    const viewer = await limitedClient(server, realm, ['view-users']);
    t.is((await refusal(viewer.client.users.sendVerifyEmail({ id: user.id }))).status, 403);
    const manager = await limitedClient(server, realm, ['manage-users']);
    const boss = await server.user(realm);
    await giveRoles(server.operator(), realm, boss, [{ name: 'realm-admin', client: 'realm-management' }]);
    t.is((await refusal(manager.client.users.executeActionsEmail({ id: boss.id, actions: ['UPDATE_PASSWORD'] as never[] }))).status, 403);
    await t.notThrowsAsync(manager.client.users.sendVerifyEmail({ id: user.id }));
  });
});
