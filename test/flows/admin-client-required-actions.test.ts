/** What an administrator wants of a user, as it is asked for at the next sign-in. */
import { adminWorld } from '../support/admin.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient } from '../support/keycloak.ts';
import { authorizationRequest, Browser, codeOf, exchange, keyOf, relyingParty, signIn, text } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const realmOf = async () => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    return { server, admin, realm, client: keycloakClient(server, realm, admin.token) };
  };

  const signingIn = async () => {
    const here = await realmOf();
    const rp = await relyingParty(here.server, here.realm, await here.server.client(here.realm));
    const user = await here.server.user(here.realm);
    const begin = async (password = user.password, parameters: Record<string, string> = {}) => {
      const browser = new Browser(here.server.origin);
      const request = await authorizationRequest(rp, parameters);
      const page = await browser.visit(request.url);
      return { browser, request, page: await browser.send(page, { username: user.username, password }) };
    };
    const actions = async () => (await here.client.users.findOne({ id: user.id }))?.requiredActions;
    return { ...here, rp, user, begin, actions };
  };

  engine.test('a temporary password is replaced at the next sign-in, and not again after', async (t) => {
    const { server, realm, client, rp, user, begin, actions } = await signingIn();
    const elsewhere = await signIn(server, rp, user);
    t.truthy(elsewhere.tokens.access_token);
    await client.users.resetPassword({ id: user.id, credential: { type: 'password', value: 'handed over on paper', temporary: true } });
    t.is((await client.users.listSessions({ id: user.id })).length, 1, 'a new password ends nothing');

    let { browser, request, page } = await begin('handed over on paper');
    t.regex(text(page), /Choose a new password/);
    page = await browser.send(page, { 'password-new': 'short', 'password-confirm': 'short' });
    t.is(page.status, 400);
    page = await browser.send(page, { 'password-new': 'handed over on paper', 'password-confirm': 'handed over on paper' });
    t.is(page.status, 400, 'the same again is no new one');
    page = await browser.send(page, { 'password-new': 'a password of my own', 'password-confirm': 'another one altogether' });
    t.is(page.status, 400);
    t.deepEqual(await actions(), ['UPDATE_PASSWORD']);
    page = await browser.send(page, { 'password-new': 'a password of my own', 'password-confirm': 'a password of my own' });
    const tokens = await exchange(rp, request, page);
    t.truthy(tokens.id_token);
    t.deepEqual(await actions(), []);
    t.is((await client.users.listSessions({ id: user.id })).length, 1, 'whoever else was signed in is not');
    t.truthy((await signIn(server, rp, { ...user, password: 'a password of my own' })).tokens.access_token);
    await t.throwsAsync(signIn(server, rp, { ...user, password: 'handed over on paper' }));
    const event = await server.db
      .knex('audit_events')
      .where({ realm_id: realm.id, type: 'user.password-set', subject: user.id, actor: user.id })
      .first();
    t.truthy(event);
  });

  engine.test('the page is not gone around: asked for anew, it is there still', async (t) => {
    const { client, user, begin } = await signingIn();
    await client.users.update({ id: user.id }, { requiredActions: ['UPDATE_PASSWORD'] });
    const { browser, request, page } = await begin();
    t.regex(text(page), /Choose a new password/);
    const others: Record<string, string>[] = [{ do: 'skip' }, { do: 'never' }, { do: 'accept' }, { code: '123456' }];
    for (const fields of others) t.regex(text(await browser.send(page, fields)), /Choose a new password|done already/);
    t.regex(text(await browser.visit(request.url)), /Sign in|Choose a new password|password/i);
    const cancelled = await browser.send(page, { do: 'cancel' });
    t.regex(cancelled.headers.get('location') ?? '', /error=access_denied/);
  });

  engine.test('an app is enrolled at the next sign-in, then a password is chosen', async (t) => {
    const { client, rp, user, begin, actions } = await signingIn();
    await client.users.update({ id: user.id }, { requiredActions: ['UPDATE_PASSWORD', 'CONFIGURE_TOTP', 'webauthn-register'] });
    let { browser, request, page } = await begin();
    const key = keyOf(page);
    page = await browser.send(page, { code: codeOf(key), label: 'Phone' });
    t.regex(text(page), /Choose a new password/);
    t.deepEqual([...((await actions()) ?? [])].sort(), ['UPDATE_PASSWORD', 'webauthn-register'], 'what the realm does not use is not asked for');
    page = await browser.send(page, { 'password-new': 'a password of my own', 'password-confirm': 'a password of my own' });
    t.truthy((await exchange(rp, request, page)).access_token);
    t.deepEqual(await actions(), ['webauthn-register']);
  });

  engine.test('an action that nobody knows does not put an enrolment off', async (t) => {
    const { client, user, begin } = await signingIn();
    await client.users.update({ id: user.id }, { requiredActions: ['CONFIGURE_TOTP'] });
    for (const kc_action of ['unheard-of', 'UPDATE_PASSWORD', 'delete_account']) {
      const { page } = await begin(user.password, { kc_action });
      t.truthy(keyOf(page), kc_action);
    }
  });

  engine.test('a second app is bound only by whoever shows the first', async (t) => {
    const { server, client, rp, user, begin, actions } = await signingIn();
    await client.users.update({ id: user.id }, { requiredActions: ['CONFIGURE_TOTP'] });
    const { totpSecret = '' } = await signIn(server, rp, user);
    t.deepEqual(await actions(), []);
    await client.users.update({ id: user.id }, { requiredActions: ['CONFIGURE_TOTP'] });
    const { page } = await begin();
    t.throws(() => keyOf(page));
    t.regex(text(page), /code/i);
    t.truthy(totpSecret);
  });
});
