/** An administrator acts as a user: what is begun, what its tokens say, where it is seen, and how it ends. */
import { decodeJwt } from 'jose';
import { changePolicy } from '../../src/admin/resources/policy.ts';
import { giveRoles, takeRoles } from '../../src/admin/resources/roles.ts';
import { changeUser } from '../../src/admin/resources/user-changes.ts';
import { sessionDocument } from '../../src/cli/session.ts';
import { createFactors } from '../../src/factors/index.ts';
import { aliveIn } from '../../src/sessions/lifetimes.ts';
import { auditEvents } from '../../src/store/audit.ts';
import { sessionsOfUser } from '../../src/store/session-lists.ts';
import { type Admin, adminOf } from '../support/admin.ts';
import { basic, call } from '../support/attack.ts';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { acting, asks, linkFor, offer, press, stage, tokenOf, tokensFor } from '../support/impersonation.ts';
import { keycloakClient } from '../support/keycloak.ts';
import { Browser, openid, signIn } from '../support/sign-in.ts';

forEachEngine((engine) => {
  let started: Promise<{ one: Cardea; admin: Admin }> | undefined;
  /** With realm master, from which other realms are managed. */
  const world = () => {
    started ??= engine.database().then(async (db) => {
      const one = await startCardea(db);
      return { one, admin: await adminOf(one) };
    });
    return started;
  };
  const server = async () => (await world()).one;
  const master = async () => (await world()).admin;

  engine.test('a link is answered, shows who is about to act as whom, and begins a session', async (t) => {
    const on = await stage(await server());
    const { status, body } = await offer(on, on.erin);
    t.is(status, 200);
    t.is(body.sameRealm, true);
    t.true(body.redirect.startsWith(`${on.server.origin}/realms/${on.realm.name}/impersonation?key=`));
    const browser = new Browser(on.server.origin);
    const page = await browser.visit(body.redirect);
    t.is(page.status, 200);
    t.true(page.html.includes(on.erin.username) && page.html.includes(on.boss.username));
    t.deepEqual(
      await sessionsOfUser(on.server.db.knex, on.realm.id, on.erin.id, aliveIn(on.realm.settings, Date.now())),
      [],
      'to look begins nothing',
    );
    const begun = await browser.send(page, {});
    t.is(begun.status, 200);
    t.true(begun.html.includes('/protocol/openid-connect/logout'));
    t.is((await asks(browser, on.rp)).error, null);
  });

  engine.test('its tokens say who acts, and nothing that the user has not shown', async (t) => {
    const on = await stage(await server());
    const before = Math.floor(Date.now() / 1000);
    const browser = await acting(on);
    const tokens = await tokensFor(browser, on.rp);
    const impersonator = { id: on.boss.id, username: on.boss.username };
    const said = (token: string) => decodeJwt(token);
    for (const claims of [said(tokens.access_token), said(tokens.id_token ?? '')]) {
      t.like(claims, { sub: on.erin.id, acr: 'aal1', amr: [], impersonator });
      t.true(Number(claims.auth_time) >= before && Number(claims.auth_time) <= Math.ceil(Date.now() / 1000));
    }
    const userinfo = await openid.fetchUserInfo(on.rp.configuration, tokens.access_token, on.erin.id);
    t.deepEqual(userinfo.impersonator, impersonator);
    const introspected = await call(on.server, on.realm, 'token/introspect', { token: tokens.access_token }, basic(on.app));
    t.like(introspected.body, { active: true, impersonator });
    const refreshed = await openid.refreshTokenGrant(on.rp.configuration, tokens.refresh_token ?? '');
    t.like(said(refreshed.access_token), { acr: 'aal1', amr: [], impersonator });
    t.like(said(refreshed.id_token ?? ''), { impersonator });

    const own = await signIn(on.server, on.rp, on.erin);
    t.is(said(own.tokens.access_token).impersonator, undefined);
    t.is((await openid.fetchUserInfo(on.rp.configuration, own.tokens.access_token, on.erin.id)).impersonator, undefined);
  });

  engine.test('it is listed with its impersonator, over REST and on the command line', async (t) => {
    const on = await stage(await server());
    await acting(on);
    const client = keycloakClient(on.server, on.realm, (await master()).token);
    const [listed] = await client.users.listSessions({ id: on.erin.id });
    const impersonator = { id: on.boss.id, username: on.boss.username, realm: on.realm.name };
    t.like(listed, { username: on.erin.username, impersonator });
    const [row] = await sessionsOfUser(on.server.db.knex, on.realm.id, on.erin.id, aliveIn(on.realm.settings, Date.now()));
    t.deepEqual(row && sessionDocument(row, on.realm.name).impersonator, impersonator);
    t.is(on.server.log.filter((line) => line.includes('impersonation?key=')).length, 0);
  });

  engine.test('it is recorded when the link is made, when it begins and where it is used', async (t) => {
    const on = await stage(await server());
    const browser = await acting(on);
    const page = await asks(browser, on.rp, { acr_values: 'aal2' });
    t.is(page.error, 'unmet_authentication_requirements');
    const rows = await auditEvents(on.server.db.knex, on.realm.id, { limit: 100 });
    for (const type of ['user.impersonation-offered', 'user.impersonated', 'stepup.unmet']) {
      const row = rows.find((one) => one.type === type);
      t.like(row, { actor: on.boss.id, subject: on.erin.id }, type);
    }
  });

  engine.test('the user is told of no new device, and nothing of the user changes', async (t) => {
    const on = await stage(await server());
    const browser = await acting(on);
    await tokensFor(browser, on.rp);
    const { knex } = on.server.db;
    t.deepEqual(await knex('devices').where({ realm_id: on.realm.id, user_id: on.erin.id }), []);
    t.deepEqual(await knex('outbox').where({ realm_id: on.realm.id }), []);
    t.deepEqual(await knex('known_networks').where({ realm_id: on.realm.id, user_id: on.erin.id }), []);
  });

  engine.test('to sign out ends it, and so does what ends the user’s sessions', async (t) => {
    const on = await stage(await server());
    const one = await acting(on);
    const tokens = await tokensFor(one, on.rp);
    const out = await one.visit(`${on.server.origin}/realms/${on.realm.name}/protocol/openid-connect/logout`);
    await one.send(out, { logout: 'yes' });
    await t.throwsAsync(openid.refreshTokenGrant(on.rp.configuration, tokens.refresh_token ?? ''));
    const rows = await auditEvents(on.server.db.knex, on.realm.id, { limit: 100 });
    t.like(
      rows.find(({ type }) => type === 'logout'),
      { actor: on.boss.id, subject: on.erin.id },
    );

    const two = await acting(on);
    const more = await tokensFor(two, on.rp);
    await changeUser(on.server.operator(), on.realm, on.erin.id, { enabled: false });
    await t.throwsAsync(openid.refreshTokenGrant(on.rp.configuration, more.refresh_token ?? ''));
  });

  engine.test('it ends with the role of the impersonator', async (t) => {
    const on = await stage(await server());
    const browser = await acting(on);
    const tokens = await tokensFor(browser, on.rp);
    await takeRoles(on.server.operator(), on.realm, on.boss, [{ name: 'impersonation', client: 'realm-management' }]);
    const introspected = await call(on.server, on.realm, 'token/introspect', { token: tokens.access_token }, basic(on.app));
    t.is(introspected.body.active, false);
    await t.throwsAsync(openid.fetchUserInfo(on.rp.configuration, tokens.access_token, on.erin.id));
    await t.throwsAsync(openid.refreshTokenGrant(on.rp.configuration, tokens.refresh_token ?? ''));
    t.true((await asks(browser, on.rp)).page.html.includes('name="password"'), 'nobody is signed in there');
    t.deepEqual(await sessionsOfUser(on.server.db.knex, on.realm.id, on.erin.id, aliveIn(on.realm.settings, Date.now())), []);
  });

  engine.test('it ends when the impersonator is switched off', async (t) => {
    const on = await stage(await server());
    const browser = await acting(on);
    const tokens = await tokensFor(browser, on.rp);
    await changeUser(on.server.operator(), on.realm, on.boss.id, { enabled: false });
    await t.throwsAsync(openid.refreshTokenGrant(on.rp.configuration, tokens.refresh_token ?? ''));
    t.true((await asks(browser, on.rp)).page.html.includes('name="password"'));
  });

  engine.test('it lives an hour, or as long as sessions of the realm, and so do its tokens', async (t) => {
    const on = await stage(await server(), { client: { attributes: { 'access.token.lifespan': '86400' } } });
    const browser = await acting(on);
    const { exp, iat } = decodeJwt((await tokensFor(browser, on.rp)).access_token);
    t.true(Number(exp) - Number(iat) <= 3600);
    const row = await on.server.db.knex('sessions').where({ realm_id: on.realm.id, user_id: on.erin.id }).first();
    t.is(Number(row.ends_at) - Number(row.created_at), 3_600_000);
    const short = await stage(await server(), { settings: { ssoSessionMaxLifespan: 600 } });
    await acting(short);
    const other = await short.server.db.knex('sessions').where({ realm_id: short.realm.id, user_id: short.erin.id }).first();
    t.is(Number(other.ends_at) - Number(other.created_at), 600_000);
  });

  engine.test('whoever was signed in in that browser is signed out', async (t) => {
    const on = await stage(await server());
    const { browser, tokens } = await signIn(on.server, on.rp, on.boss);
    await press(browser, await linkFor(on));
    await t.throwsAsync(openid.refreshTokenGrant(on.rp.configuration, tokens.refresh_token ?? ''));
    t.is(decodeJwt((await tokensFor(browser, on.rp)).access_token).sub, on.erin.id);
  });

  engine.test('an administrator of master acts in another realm, for as long as they have the role there', async (t) => {
    const on = await stage(await server());
    const { master: home } = await master();
    await changePolicy({ ...on.server.operator(), factors: createFactors() }, home, { floors: { administrator: 'aal1' } });
    const boss = await on.server.user(home);
    const role = { name: 'impersonation', client: `${on.realm.name}-realm` };
    await giveRoles(on.server.operator(), home, boss, [role]);
    const token = await tokenOf(on.server, home, boss);
    t.is((await offer({ ...on, token }, on.erin)).body.sameRealm, false);
    const browser = await acting({ ...on, token });
    const tokens = await tokensFor(browser, on.rp);
    t.like(decodeJwt(tokens.access_token), { sub: on.erin.id, impersonator: { id: boss.id, username: boss.username } });
    await takeRoles(on.server.operator(), home, boss, [role]);
    await t.throwsAsync(openid.refreshTokenGrant(on.rp.configuration, tokens.refresh_token ?? ''));
  });
});
