/**
 * Somebody who acts as a user, or would like to: links that are used twice, elsewhere or late, and everything that such a
 * session must not open.
 */
import { randomUUID } from 'node:crypto';
import { decodeJwt } from 'jose';
import { giveRoles, takeRoles } from '../../src/admin/resources/roles.ts';
import { removeUser } from '../../src/admin/resources/user-changes.ts';
import { insertProtocolMappers } from '../../src/store/protocol-mappers.ts';
import { addRequiredActions } from '../../src/store/user-changes.ts';
import { callAdmin } from '../support/admin.ts';
import { basic, call, giveApp, parallel, tally } from '../support/attack.ts';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { startSite } from '../support/gate.ts';
import { acting, asks, linkFor, offer, press, stage, tokenOf, tokensFor } from '../support/impersonation.ts';
import { limitedClient, refusal } from '../support/keycloak.ts';
import { authorizationRequest, Browser, exchange, openid, relyingParty, signIn } from '../support/sign-in.ts';

forEachEngine((engine) => {
  let started: Promise<Cardea> | undefined;
  const server = () => {
    started ??= engine.database().then((db) => startCardea(db));
    return started;
  };
  const UNMET = 'unmet_authentication_requirements';

  engine.test('of twenty who press the button at once, one acts as the user', async (t) => {
    const on = await stage(await server());
    const link = await linkFor(on);
    const pages = await parallel(20, async () => new Browser(on.server.origin).visit(link).then((page) => ({ page })));
    const keyed = await Promise.all(
      pages.map(({ page }) => {
        const browser = new Browser(on.server.origin);
        return browser.send(page, {}).then(({ status }) => ({ status }));
      }),
    );
    t.deepEqual(tally(keyed), { 200: 1, 410: 19 });
    const rows = await on.server.db.knex('sessions').where({ realm_id: on.realm.id, user_id: on.erin.id });
    t.is(rows.length, 1);
    t.is((await press(new Browser(on.server.origin), link)).status, 410, 'another browser after use');
  });

  engine.test('a link is good for a minute, in its realm, from our own page', async (t) => {
    const on = await stage(await server());
    const link = await linkFor(on);
    const other = await stage(await server());
    const elsewhere = link.replace(`/realms/${on.realm.name}/`, `/realms/${other.realm.name}/`);
    t.is((await new Browser(on.server.origin).visit(elsewhere)).status, 410);
    const key = new URL(link).searchParams.get('key') ?? '';
    const at = `${on.server.origin}/realms/${on.realm.name}/impersonation`;
    t.is((await new Browser(on.server.origin).post(elsewhere, { key })).status, 410);
    const foreign = await fetch(at, { method: 'POST', body: new URLSearchParams({ key }), headers: { origin: 'https://evil.example' } });
    t.is(foreign.status, 403);
    const bare = await fetch(at, { method: 'POST', body: new URLSearchParams({ key }) });
    t.is(bare.status, 403);
    for (const wrong of ['', 'x', 'x'.repeat(43), `${key}x`]) t.is((await new Browser(on.server.origin).post(at, { key: wrong })).status, 410, wrong);
    const { knex } = on.server.db;
    const stored = await knex('impersonations').where({ realm_id: on.realm.id }).first();
    t.false(JSON.stringify(stored).includes(key), 'only its hash is stored');
    await knex('impersonations')
      .where({ realm_id: on.realm.id })
      .update({ expires_at: Date.now() - 1 });
    t.is((await press(new Browser(on.server.origin), link)).status, 410, 'expired');
    t.is((await knex('sessions').where({ realm_id: on.realm.id, user_id: on.erin.id })).length, 0);
  });

  engine.test('whoever may not act as somebody any more does not begin', async (t) => {
    const on = await stage(await server());
    const link = await linkFor(on);
    const opened = new Browser(on.server.origin);
    const page = await opened.visit(link);
    await takeRoles(on.server.operator(), on.realm, on.boss, [{ name: 'impersonation', client: 'realm-management' }]);
    t.is((await opened.send(page, {})).status, 410);
    t.is((await offer(on, on.erin)).status, 403);
  });

  engine.test('it ends when the impersonator is deleted', async (t) => {
    const on = await stage(await server());
    const tokens = await tokensFor(await acting(on), on.rp);
    await removeUser(on.server.operator(), on.realm, on.boss.id);
    await t.throwsAsync(openid.refreshTokenGrant(on.rp.configuration, tokens.refresh_token ?? ''));
  });

  engine.test('nobody acts as who holds more, as themselves, as a program, or as who is switched off; no program acts as anybody', async (t) => {
    const on = await stage(await server());
    const over = await on.server.user(on.realm);
    await giveRoles(on.server.operator(), on.realm, over, [{ name: 'manage-users', client: 'realm-management' }]);
    t.is((await offer(on, over)).status, 403);
    t.is((await offer(on, on.boss)).status, 400);
    t.is((await offer(on, await on.server.user(on.realm, { enabled: false }))).status, 400);
    const program = await limitedClient(on.server, on.realm, ['impersonation']);
    t.is((await offer(on, { id: program.userId })).status, 400);
    const idle = await limitedClient(on.server, on.realm, []);
    t.is((await offer(on, { id: idle.userId })).status, 400);
    t.is((await refusal(program.client.users.impersonation({ id: on.erin.id }, { user: on.erin.id, realm: on.realm.name }))).status, 403);
    t.is((await offer({ ...on, token: await tokenOf(on.server, on.realm, on.erin) }, on.boss)).status, 403);
  });

  engine.test('nothing above the first level, and nothing fresh, is opened', async (t) => {
    const on = await stage(await server());
    const browser = await acting(on);
    t.is((await asks(browser, on.rp)).error, null);
    const refused: Record<string, string>[] = [
      { acr_values: 'aal2' },
      { acr_values: 'phr' },
      { claims: JSON.stringify({ id_token: { acr: { essential: true, values: ['aal2'] } } }) },
      { max_age: '3600' },
      { max_age: '0' },
      { prompt: 'login' },
      { prompt: 'select_account' },
      { prompt: 'consent' },
      { kc_action: 'CONFIGURE_TOTP' },
      { kc_action: 'UPDATE_PASSWORD' },
      { kc_action: 'UPDATE_PROFILE' },
      { kc_action: 'VERIFY_EMAIL' },
      { kc_action: `delete_credential:${on.erin.id}` },
      { scope: 'openid offline_access', prompt: 'consent' },
      { scope: 'openid offline_access' },
    ];
    for (const parameters of refused) {
      t.is((await asks(browser, on.rp, parameters)).error, UNMET, JSON.stringify(parameters));
      if (parameters.prompt === undefined) t.is((await asks(browser, on.rp, { ...parameters, prompt: 'none' })).error, UNMET);
    }
    t.is((await asks(browser, on.rp)).error, null, 'and the session goes on');
  });

  engine.test('a second factor is never asked of the impersonator, whoever owns it', async (t) => {
    const on = await stage(await server());
    await giveApp(on.server, on.erin);
    const { error, page } = await asks(await acting(on), on.rp);
    t.is(error, UNMET);
    t.false(page.html.includes('name="code"'));
  });

  engine.test('an enrolment that is due, or a rule about age, refuses', async (t) => {
    const due = await stage(await server(), { policy: { rules: [{ id: 'all', when: {}, need: { level: 'aal2' } }] } });
    t.is((await asks(await acting(due), due.rp)).error, UNMET);
    const grace = await stage(await server(), { policy: { rules: [{ id: 'all', when: {}, need: { level: 'aal2', graceLogins: 3 } }] } });
    t.is((await asks(await acting(grace), grace.rp)).error, UNMET);
    const fresh = await stage(await server(), { policy: { rules: [{ id: 'all', when: {}, need: { maxAge: 3600 } }] } });
    t.is((await asks(await acting(fresh), fresh.rp)).error, UNMET);
  });

  engine.test('required actions and consent are the user’s', async (t) => {
    const on = await stage(await server());
    const browser = await acting(on);
    const asking = await on.server.client(on.realm, { firstParty: false });
    const rp = await relyingParty(on.server, on.realm, asking);
    t.is((await asks(browser, rp)).error, UNMET);
    t.deepEqual(await on.server.db.knex('consents').where({ realm_id: on.realm.id, user_id: on.erin.id }), []);
    await addRequiredActions(on.server.db.knex, on.erin, ['UPDATE_PASSWORD'], Date.now());
    t.is((await asks(browser, on.rp)).error, UNMET);
  });

  engine.test('the consoles and the REST API stay shut', async (t) => {
    const on = await stage(await server());
    const browser = await acting(on);
    const account = await browser.visit(`${on.server.origin}/realms/${on.realm.name}/account/`);
    t.not(account.status, 200);
    t.is((await on.server.db.knex('console_sessions').where({ realm_id: on.realm.id, user_id: on.erin.id })).length, 0);
    await giveRoles(on.server.operator(), on.realm, on.boss, [{ name: 'manage-users', client: 'realm-management' }]);
    const { access_token: token } = await tokensFor(browser, on.rp);
    await giveRoles(on.server.operator(), on.realm, on.erin, [{ name: 'view-users', client: 'realm-management' }]);
    t.is((await callAdmin(on.server, 'GET', `/realms/${on.realm.name}/users`, { token })).status, 401);
    t.is((await offer({ ...on, token }, on.erin)).status, 401);
    const own = await tokensFor((await signIn(on.server, on.rp, on.erin)).browser, on.rp);
    t.is((await callAdmin(on.server, 'GET', `/realms/${on.realm.name}/users`, { token: own.access_token })).status, 200);
  });

  engine.test('an address that the user has to verify first, and sites behind a gate, stay shut', async (t) => {
    const unverified = await stage(await server());
    await addRequiredActions(unverified.server.db.knex, unverified.erin, ['VERIFY_EMAIL'], Date.now());
    t.is((await asks(await acting(unverified), unverified.rp)).error, UNMET);
    const on = await stage(await server());
    const site = await startSite(on.server, on.realm);
    const page = await (await acting(on)).get(`${site.origin}/`);
    t.is(page.status, 403);
    t.false(page.html.includes(on.erin.username));
    t.is((await on.server.db.knex('gate_sessions').where({ realm_id: on.realm.id, user_id: on.erin.id })).length, 0);
  });

  engine.test('where the user signs in beside it, it ends with all that it was given, and never becomes the user’s own', async (t) => {
    const on = await stage(await server());
    const browser = new Browser(on.server.origin);
    const request = await authorizationRequest(on.rp);
    const first = await browser.visit(request.url);
    await press(browser, await linkFor(on));
    const tokens = await tokensFor(browser, on.rp);
    const own = await exchange(on.rp, request, await browser.send(first, { username: on.erin.username, password: on.erin.password }));
    t.like(decodeJwt(own.access_token), { sub: on.erin.id, amr: ['pwd'], impersonator: undefined });
    await t.throwsAsync(openid.refreshTokenGrant(on.rp.configuration, tokens.refresh_token ?? ''));
    const introspected = await call(on.server, on.realm, 'token/introspect', { token: tokens.access_token }, basic(on.app));
    t.is(introspected.body.active, false);
    const sessions = await on.server.db.knex('sessions').where({ realm_id: on.realm.id, user_id: on.erin.id }).whereNull('ended_at');
    t.is(sessions.length, 1);
    t.false(String(sessions[0].facts).includes('impersonator'));
  });

  engine.test('where somebody else signs in beside it, they are themselves', async (t) => {
    const on = await stage(await server());
    const browser = new Browser(on.server.origin);
    const request = await authorizationRequest(on.rp);
    const first = await browser.visit(request.url);
    await press(browser, await linkFor(on));
    const tokens = await tokensFor(browser, on.rp);
    const other = await on.server.user(on.realm);
    let page = await browser.send(first, { username: other.username, password: other.password });
    if (page.status === 200) page = await browser.send(page, {});
    t.like(decodeJwt((await exchange(on.rp, request, page)).access_token), { sub: other.id, impersonator: undefined });
    await t.throwsAsync(openid.refreshTokenGrant(on.rp.configuration, tokens.refresh_token ?? ''));
  });

  engine.test('what was given goes on at its level, and a factor that the user sets up meanwhile opens nothing new', async (t) => {
    const on = await stage(await server());
    const browser = await acting(on);
    const tokens = await tokensFor(browser, on.rp);
    await giveApp(on.server, on.erin);
    const refreshed = await openid.refreshTokenGrant(on.rp.configuration, tokens.refresh_token ?? '');
    t.like(decodeJwt(refreshed.access_token), { acr: 'aal1', impersonator: { id: on.boss.id } });
    t.is((await asks(browser, on.rp)).error, UNMET);
  });

  engine.test('a mapper says nothing else of who acts', async (t) => {
    const on = await stage(await server());
    const config = {
      'claim.name': 'impersonator',
      'claim.value': 'nobody',
      'access.token.claim': 'true',
      'id.token.claim': 'true',
      'userinfo.token.claim': 'true',
    };
    const mapper = { name: 'forged', protocol: 'openid-connect', protocolMapper: 'oidc-hardcoded-claim-mapper', config };
    const manager = await limitedClient(on.server, on.realm, ['manage-clients']);
    const refused = await refusal(manager.client.clients.addProtocolMapper({ id: on.app.row.id }, mapper));
    t.like(refused, { status: 400, body: { field: 'config.claim.name' } });
    // As one is stored that was made before that was refused.
    const stored = { realmId: on.realm.id, id: randomUUID(), parent: { client: on.app.row.id }, mapper: mapper.protocolMapper };
    await insertProtocolMappers(on.server.db.knex, [{ ...mapper, ...stored }]);
    const tokens = await tokensFor(await acting(on), on.rp);
    const impersonator = { id: on.boss.id, username: on.boss.username };
    t.deepEqual(decodeJwt(tokens.access_token).impersonator, impersonator);
    t.deepEqual(decodeJwt(tokens.id_token ?? '').impersonator, impersonator);
    t.deepEqual((await openid.fetchUserInfo(on.rp.configuration, tokens.access_token, on.erin.id)).impersonator, impersonator);
    const { tokens: own } = await signIn(on.server, on.rp, on.erin);
    t.is(decodeJwt(own.access_token).impersonator, undefined, 'nobody acts');
  });
});
