/** The password grant: who may use it, what it asks, and what comes of it. */
import KeycloakAdminClient from '@keycloak/keycloak-admin-client';
import { changePolicy } from '../../src/admin/resources/policy.ts';
import { giveRoles } from '../../src/admin/resources/roles.ts';
import { createFactors } from '../../src/factors/index.ts';
import { adminOf } from '../support/admin.ts';
import { audited, basic, call, giveApp } from '../support/attack.ts';
import { startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient } from '../support/keycloak.ts';
import { lasts } from '../support/lasting.ts';
import { claimsOf, directClient, passwordGrant, textOf } from '../support/password-grant.ts';
import { codeOf, relyingParty } from '../support/sign-in.ts';

forEachEngine((engine) => {
  let shared: ReturnType<typeof start> | undefined;
  const start = async () => {
    const server = await startCardea(await engine.database());
    return { server, admin: await adminOf(server) };
  };
  const world = () => {
    shared ??= start();
    return shared;
  };
  const realmOf = async (input: Parameters<Awaited<ReturnType<typeof startCardea>>['realm']>[0] = { mfa: 'off' }) => {
    const { server, admin } = await world();
    const realm = await server.realm(input);
    return { server, admin, realm, user: await server.user(realm) };
  };

  engine.test('a name and a password bring tokens of a session that is listed, refreshed and ended', async (t) => {
    const { server, admin, realm, user } = await realmOf();
    const given = { username: user.username, password: user.password };
    const answer = await passwordGrant(server, realm, given);
    t.is(answer.status, 200, JSON.stringify(answer.body));
    t.like(answer.body, { token_type: 'Bearer', expires_in: 300, 'not-before-policy': 0 });
    t.is(answer.body.id_token, undefined, 'there was no scope openid');
    t.deepEqual(answer.headers.getSetCookie(), [], 'no browser is signed in by it');
    const claims = claimsOf(answer);
    t.like(claims, { azp: 'admin-cli', sub: user.id, acr: 'aal1', amr: ['pwd'], preferred_username: user.username, typ: 'Bearer' });
    t.is(answer.body.session_state, claims.sid);
    t.true(Math.abs(Number(claims.auth_time) - Date.now() / 1000) < 60);

    const client = keycloakClient(server, realm, admin.token);
    const [session] = await client.users.listSessions({ id: user.id });
    t.like(session, { username: user.username, rememberMe: false });
    t.deepEqual(Object.values(session?.clients ?? {}), ['admin-cli']);
    const refresh = () => call(server, realm, 'token', { grant_type: 'refresh_token', client_id: 'admin-cli', refresh_token: refreshToken });
    let refreshToken = textOf(answer, 'refresh_token');
    const again = await refresh();
    t.is(again.status, 200, JSON.stringify(again.body));
    t.like(claimsOf(again), { acr: 'aal1', amr: ['pwd'], sid: claims.sid, auth_time: claims.auth_time });
    refreshToken = textOf(again, 'refresh_token');
    await client.users.logout({ id: user.id });
    t.like((await refresh()).body, { error: 'invalid_grant' });
    t.is(
      (await audited({ server, realm, rp: await relyingParty(server, realm, await server.client(realm)) }, 'login.ok', { user: user.id })).length,
      1,
    );
  });

  engine.test('with scope openid there is an ID token, and userinfo answers', async (t) => {
    const { server, realm, user } = await realmOf();
    const { headers, client } = await directClient(server, realm);
    const answer = await passwordGrant(server, realm, { username: user.username, password: user.password, scope: 'openid' }, headers);
    t.is(answer.status, 200, JSON.stringify(answer.body));
    t.like(claimsOf(answer, 'id_token'), {
      aud: client.clientId,
      sub: user.id,
      acr: 'aal1',
      amr: ['pwd'],
      typ: 'ID',
      preferred_username: user.username,
      sid: claimsOf(answer).sid,
      auth_time: claimsOf(answer).auth_time,
    });
    const info = await call(server, realm, 'userinfo', {}, { authorization: `Bearer ${textOf(answer, 'access_token')}` });
    t.like(info.body, { sub: user.id, preferred_username: user.username });
    t.like((await call(server, realm, 'token/introspect', { token: textOf(answer, 'access_token') }, basic(client))).body, { active: true });
    const wrong = await passwordGrant(server, realm, { username: user.username, password: user.password, scope: 'openid unheard' }, headers);
    t.like(wrong, { status: 400 });
    t.like(wrong.body, { error: 'invalid_scope' });
    const offline = await passwordGrant(server, realm, { username: user.username, password: user.password, scope: 'openid offline_access' }, headers);
    lasts(t, offline.body.refresh_expires_in, 30 * 86_400, 'unless it is used before');
  });

  engine.test('clients that do not allow it may not, and those that ask for consent cannot', async (t) => {
    const { server, realm, user } = await realmOf();
    const client = await server.client(realm);
    const given = { username: user.username, password: user.password };
    const refused = await passwordGrant(server, realm, given, basic(client));
    t.like(refused, { status: 400 });
    t.like(refused.body, { error: 'unauthorized_client' });
    const consenting = await directClient(server, realm);
    await server.db.knex('clients').where({ realm_id: realm.id, id: consenting.client.row.id }).update({ consent_required: true });
    t.like((await passwordGrant(server, realm, given, consenting.headers)).body, {
      error: 'invalid_client',
      error_description: 'Client requires user consent',
    });
    const bound = await directClient(server, realm);
    const attributes = JSON.stringify({ 'dpop.bound.access.tokens': 'true' });
    await server.db.knex('clients').where({ realm_id: realm.id, id: bound.client.row.id }).update({ attributes });
    t.like((await passwordGrant(server, realm, given, bound.headers)).body, { error: 'invalid_grant' });
    const plain = await directClient(server, realm);
    const without = JSON.stringify({ 'use.refresh.tokens': 'false' });
    await server.db.knex('clients').where({ realm_id: realm.id, id: plain.client.row.id }).update({ attributes: without });
    const once = await passwordGrant(server, realm, given, plain.headers);
    t.is(once.status, 200);
    t.deepEqual([once.body.refresh_token, once.body.refresh_expires_in], [undefined, 0]);
    t.like(claimsOf(once), { acr: 'aal1', amr: ['pwd'] });
    const direct = await directClient(server, realm);
    t.is((await passwordGrant(server, realm, given, basic({ ...direct.client, secret: 'not the secret' }))).status, 401);
    t.like((await passwordGrant(server, realm, { username: user.username })).body, { error: 'invalid_request' });
  });

  engine.test('whoever owns an app shows a code of it; what is missing is said once the password was right', async (t) => {
    const { server, realm, user } = await realmOf({ mfa: 'optional' });
    const { secret } = await giveApp(server, user);
    const given = { username: user.username, password: user.password };
    const wrong = await passwordGrant(server, realm, { ...given, password: 'another' });
    t.like(wrong, { status: 401 });
    t.deepEqual(wrong.body, { error: 'invalid_grant', error_description: 'Invalid user credentials' });
    const without = await passwordGrant(server, realm, given);
    t.like(without, { status: 401 });
    t.regex(String(without.body.error_description), /^Invalid user credentials: a code is needed/);
    const bad = await passwordGrant(server, realm, { ...given, totp: '000000' });
    t.regex(String(bad.body.error_description), /the code is not right/);
    const code = codeOf(secret);
    const right = await passwordGrant(server, realm, { ...given, totp: code });
    t.like(claimsOf(right), { acr: 'aal2', amr: ['pwd', 'otp', 'mfa'] });
    t.is((await passwordGrant(server, realm, { ...given, totp: code })).status, 401, 'a code is used once');
  });

  engine.test('what only a page can do is refused: an enrolment, an action, a level that nothing reaches', async (t) => {
    const { server, realm, user } = await realmOf({ mfa: 'required' });
    const given = { username: user.username, password: user.password };
    const unfinished = await passwordGrant(server, realm, given);
    t.like(unfinished, { status: 400 });
    t.deepEqual(unfinished.body, { error: 'invalid_grant', error_description: 'Account is not fully set up' });

    const other = await realmOf();
    const acting = await server.user(other.realm, { requiredActions: ['UPDATE_PASSWORD'] });
    const pending = { username: acting.username, password: acting.password };
    t.deepEqual((await passwordGrant(server, other.realm, pending)).body, unfinished.body);
    t.like((await passwordGrant(server, other.realm, { ...pending, password: 'wrong' })).body, { error_description: 'Invalid user credentials' });

    const off = await server.user(other.realm, { enabled: false });
    t.like((await passwordGrant(server, other.realm, { username: off.username, password: off.password })).body, {
      error: 'invalid_grant',
      error_description: 'Account disabled',
    });
    t.like((await passwordGrant(server, other.realm, { username: off.username, password: 'wrong' })).body, {
      error_description: 'Invalid user credentials',
    });
  });

  engine.test('a rule that denies a client denies it here', async (t) => {
    const { server, realm, user } = await realmOf();
    const operator = { ...server.operator(), factors: createFactors() };
    await changePolicy(operator, realm, { rules: [{ id: 'nobody', when: { client: ['admin-cli'] }, need: { deny: true } }] });
    const refused = await passwordGrant(server, realm, { username: user.username, password: user.password });
    t.like(refused, { status: 400 });
    t.like(refused.body, { error: 'invalid_grant' });
    const { headers } = await directClient(server, realm);
    t.is((await passwordGrant(server, realm, { username: user.username, password: user.password }, headers)).status, 200);
  });

  engine.test("Keycloak's client signs in as an administrator with a code, calls the API and refreshes", async (t) => {
    const { server, admin } = await world();
    const boss = await server.user(admin.master, { realmRoles: ['admin'] });
    const { secret } = await giveApp(server, boss);
    const client = new KeycloakAdminClient({ baseUrl: server.origin, realmName: 'master' });
    const given = { grantType: 'password', clientId: 'admin-cli', username: boss.username, password: boss.password } as const;
    await t.throwsAsync(client.auth(given));
    await client.auth({ ...given, totp: codeOf(secret) });
    t.true((await client.realms.find()).some(({ realm }) => realm === 'master'));
    await client.auth({ grantType: 'refresh_token', clientId: 'admin-cli', refreshToken: client.refreshToken ?? '' });
    t.truthy(await client.users.find({ max: 1 }));
  });

  engine.test('an administrator without a second factor is let in only where the floor was lowered', async (t) => {
    const { server } = await world();
    const realm = await server.realm({ mfa: 'off' });
    const boss = await server.user(realm);
    await giveRoles(server.operator(), realm, boss, [{ name: 'view-users', client: 'realm-management' }]);
    const given = { username: boss.username, password: boss.password };
    t.like((await passwordGrant(server, realm, given)).body, { error_description: 'Account is not fully set up' });
    await changePolicy({ ...server.operator(), factors: createFactors() }, realm, { floors: { administrator: 'aal1' } });
    const tokens = await passwordGrant(server, realm, given);
    t.is(tokens.status, 200, JSON.stringify(tokens.body));
    const own = keycloakClient(server, realm, textOf(tokens, 'access_token'));
    t.is((await own.users.find({ username: boss.username, exact: true })).length, 1);
  });
});
