/** Sessions, consents, identities elsewhere and pauses, through Keycloak's own client. */
import { rootSecretOf } from '../../src/admin/resources/factor-operator.ts';
import { giveRoles } from '../../src/admin/resources/roles.ts';
import { subjectsOf } from '../../src/sessions/throttle.ts';
import { countFailure } from '../../src/store/attempts.ts';
import { allowScopes } from '../../src/store/consents.ts';
import { adminWorld } from '../support/admin.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal } from '../support/keycloak.ts';
import { openid, relyingParty, signIn } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const realmOf = async () => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    return { server, admin, realm, client: keycloakClient(server, realm, admin.token) };
  };

  const signedIn = async (parameters?: Record<string, string>) => {
    const here = await realmOf();
    const { server, realm } = here;
    const app = await server.client(realm);
    const rp = await relyingParty(server, realm, app);
    const user = await server.user(realm);
    const { tokens } = await signIn(server, rp, user, parameters ? { parameters } : {});
    const refresh = () => openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '');
    return { ...here, app, rp, user, tokens, refresh };
  };

  engine.test('a user’s sessions are listed with their clients, and end one by one', async (t) => {
    const { realm, client, app, user, refresh } = await signedIn();
    const listed = await client.users.listSessions({ id: user.id });
    t.is(listed.length, 1);
    const [session] = listed;
    t.like(session, { username: user.username, userId: user.id, clients: { [app.row.id]: app.clientId }, transientUser: false });
    t.regex(session?.ipAddress ?? '', /127\.0\.0\.1|::1/);
    t.true((session?.start ?? 0) > 0 && (session?.lastAccess ?? 0) >= (session?.start ?? 0));
    t.deepEqual(
      (await client.realms.getClientSessionStats({ realm: realm.name })).map(({ clientId, active }) => [clientId, active]),
      [[app.clientId, '1']],
    );
    await refresh();
    const other = await realmOf();
    const id = session?.id ?? '';
    t.is((await refusal(other.client.realms.deleteSession({ realm: other.realm.name, session: id, isOffline: false }))).status, 404);
    await client.realms.deleteSession({ realm: realm.name, session: id, isOffline: false });
    t.deepEqual(await client.users.listSessions({ id: user.id }), []);
    await t.throwsAsync(refresh());
    t.is((await refusal(client.realms.deleteSession({ realm: realm.name, session: id, isOffline: false }))).status, 404);
  });

  engine.test('a session ends by the sid of a token too, with its offline tokens where that is asked for', async (t) => {
    const { realm, client, user, tokens, refresh } = await signedIn({ scope: 'openid offline_access' });
    const sid = String(tokens.claims()?.sid);
    const other = await realmOf();
    t.is((await refusal(other.client.realms.deleteSession({ realm: other.realm.name, session: sid, isOffline: true }))).status, 404);
    await client.realms.deleteSession({ realm: realm.name, session: sid, isOffline: false });
    t.deepEqual(await client.users.listSessions({ id: user.id }), []);
    await refresh();
    await client.realms.deleteSession({ realm: realm.name, session: sid, isOffline: true });
    await t.throwsAsync(refresh());
    t.is((await refusal(client.realms.deleteSession({ realm: realm.name, session: sid, isOffline: true }))).status, 404);
  });

  engine.test('a realm’s notBefore makes every token from before void, offline ones and those of services too', async (t) => {
    const { server, realm, client, rp, tokens, refresh } = await signedIn({ scope: 'openid offline_access' });
    const service = await relyingParty(server, realm, await server.client(realm, { serviceAccount: true }));
    const machine = await openid.clientCredentialsGrant(service.configuration);
    const stands = async ({ access_token }: { access_token: string }, { configuration } = rp) =>
      (await openid.tokenIntrospection(configuration, access_token)).active;
    t.true(await stands(tokens));
    t.true(await stands(machine, service));
    t.is((await refresh())['not-before-policy'], 0);
    const notBefore = Math.floor(Date.now() / 1000) + 60;
    await client.realms.update({ realm: realm.name }, { notBefore });
    await t.throwsAsync(refresh());
    t.false(await stands(tokens));
    t.false(await stands(machine, service));
    t.is((await openid.clientCredentialsGrant(service.configuration))['not-before-policy'], notBefore);
    t.like(await (await fetch(`${server.origin}/realms/${realm.name}`)).json(), { 'tokens-not-before': notBefore });
    await client.realms.update({ realm: realm.name }, { notBefore: 0 });
    t.true(await stands(machine, service), 'what was not ended is good again, as in Keycloak');
  });

  engine.test('a user is signed out everywhere, and so is everybody', async (t) => {
    const one = await signedIn();
    await one.client.users.logout({ id: one.user.id });
    t.deepEqual(await one.client.users.listSessions({ id: one.user.id }), []);
    await t.throwsAsync(one.refresh());
    const two = await signedIn();
    t.deepEqual(await two.client.realms.logoutAll({ realm: two.realm.name }), Object({ successRequests: [], failedRequests: [] }));
    t.deepEqual(await two.client.users.listSessions({ id: two.user.id }), []);
    await t.throwsAsync(two.refresh());
    const { client: viewer } = await limitedClient(two.server, two.realm, ['view-users']);
    t.is((await refusal(viewer.users.logout({ id: two.user.id }))).status, 403);
  });

  engine.test('consents are listed, and taken back with the tokens', async (t) => {
    const { server, realm, client, app, user, refresh } = await signedIn();
    await allowScopes(server.db.knex, { realmId: realm.id, userId: user.id, clientRowId: app.row.id, scopes: ['email', 'profile'], now: 5 });
    const [consent] = await client.users.listConsents({ id: user.id });
    t.like(consent, { clientId: app.clientId, grantedClientScopes: ['email', 'profile'], createdDate: 5 });
    await client.users.revokeConsent({ id: user.id, clientId: app.clientId });
    t.deepEqual(await client.users.listConsents({ id: user.id }), []);
    await t.throwsAsync(refresh());
    t.is((await refusal(client.users.revokeConsent({ id: user.id, clientId: app.clientId }))).status, 404);
    t.deepEqual(await client.users.listOfflineSessions({ id: user.id, clientId: app.row.id }), []);
  });

  engine.test('identities elsewhere are linked once, listed and forgotten', async (t) => {
    const { server, realm, client } = await realmOf();
    const user = await server.user(realm);
    const other = await server.user(realm);
    const at = { id: user.id, federatedIdentityId: 'github' };
    const federatedIdentity = { identityProvider: 'github', userId: '4711', userName: 'alice' };
    await client.users.addToFederatedIdentity({ ...at, federatedIdentity });
    t.deepEqual(await client.users.listFederatedIdentities({ id: user.id }), [federatedIdentity]);
    t.is((await refusal(client.users.addToFederatedIdentity({ ...at, federatedIdentity }))).status, 409);
    t.is((await refusal(client.users.addToFederatedIdentity({ ...at, id: other.id, federatedIdentity }))).status, 409);
    t.is((await client.users.find(Object({ idpAlias: 'github', idpUserId: '4711' }))).length, 1);
    await client.users.delFromFederatedIdentity(at);
    t.deepEqual(await client.users.listFederatedIdentities({ id: user.id }), []);
    t.is((await refusal(client.users.delFromFederatedIdentity(at))).status, 404);
    await giveRoles(server.operator(), realm, user, [{ name: 'realm-admin', client: 'realm-management' }]);
    const { client: limited } = await limitedClient(server, realm, ['manage-users', 'impersonation']);
    t.is((await refusal(limited.users.addToFederatedIdentity({ ...at, federatedIdentity }))).status, 403);
    t.is((await refusal(limited.users.impersonation({ id: user.id }, { user: user.id, realm: realm.name }))).status, 403);
    // A program has no name that could be told.
    t.is((await refusal(limited.users.impersonation({ id: other.id }, { user: other.id, realm: realm.name }))).status, 403);
  });

  engine.test('wrong passwords are counted, shown and forgotten', async (t) => {
    const { server, realm, client } = await realmOf();
    const app = await server.client(realm);
    const rp = await relyingParty(server, realm, app);
    const user = await server.user(realm);
    t.deepEqual(await client.attackDetection.findOne({ id: user.id }), {
      ...{ numFailures: 0, numSecondaryAuthFailures: 0, numTemporaryLockouts: 0, disabled: false },
      ...{ lastIPFailure: 'n/a', lastFailure: 0, failedLoginNotBefore: 0 },
    });
    await t.throwsAsync(signIn(server, rp, { ...user, password: 'not the password' }));
    t.like(await client.attackDetection.findOne({ id: user.id }), { numFailures: 1, numSecondaryAuthFailures: 0, disabled: false });
    const { factor } = subjectsOf(await rootSecretOf(server.operator(), realm));
    const code = { subject: factor('totp', user.id), failures: 5, withinMs: 60_000 };
    await countFailure(server.db.knex, code, { realmId: realm.id, now: Date.now() });
    t.like(await client.attackDetection.findOne({ id: user.id }), { numFailures: 2, numSecondaryAuthFailures: 1 });
    await client.attackDetection.del({ id: user.id });
    t.like(await client.attackDetection.findOne({ id: user.id }), { numFailures: 0 });
    await t.throwsAsync(signIn(server, rp, { ...user, password: 'not the password' }));
    await client.attackDetection.delAll();
    t.like(await client.attackDetection.findOne({ id: user.id }), { numFailures: 0 });
    const { client: viewer } = await limitedClient(server, realm, ['view-users']);
    t.is((await refusal(viewer.attackDetection.delAll())).status, 403);
  });
});
