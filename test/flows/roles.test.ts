/** Roles in tokens over real HTTP, where Keycloak's clients look for them. */
import { decodeJwt } from 'jose';
import { addMember, createGroup } from '../../src/admin/resources/groups.ts';
import { createRole, giveRoles, takeRoles } from '../../src/admin/resources/roles.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { serviceAccountUser } from '../../src/store/users.ts';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { contain } from '../support/roles.ts';
import { openid, relyingParty, signIn } from '../support/sign-in.ts';

const ACCOUNT = { roles: ['manage-account', 'manage-account-links', 'view-profile'] };

forEachEngine((engine) => {
  let shared: Promise<{ server: Cardea; realm: RealmRow }> | undefined;
  const world = () => {
    shared ??= (async () => {
      const server = await startCardea(await engine.database());
      return { server, realm: await server.realm({ mfa: 'off' }) };
    })();
    return shared;
  };

  engine.test('an access token names the roles of the realm and of its clients, the ID token none', async (t) => {
    const { server, realm } = await world();
    const wiki = await server.client(realm);
    const shop = await server.client(realm);
    const rp = await relyingParty(server, realm, wiki);
    const user = await server.user(realm);
    await createRole(server.operator(), realm, { name: 'seller' });
    await createRole(server.operator(), realm, { name: 'editor', client: wiki.clientId });
    await createRole(server.operator(), realm, { name: 'buyer', client: shop.clientId });
    await createGroup(server.operator(), realm, { name: 'sales' }, [{ name: 'seller' }]);
    await createGroup(server.operator(), realm, { name: 'emea', parent: '/sales' });
    await addMember(server.operator(), realm, '/sales/emea', user);
    await giveRoles(server.operator(), realm, user, [{ name: 'editor', client: wiki.clientId }]);

    const { tokens } = await signIn(server, rp, user);
    const access = decodeJwt(tokens.access_token);
    t.deepEqual(access.realm_access, { roles: [`default-roles-${realm.name}`, 'offline_access', 'seller', 'uma_authorization'].sort() });
    t.deepEqual(access.resource_access, { account: ACCOUNT, [wiki.clientId]: { roles: ['editor'] } });
    t.is(access.aud, 'account', 'a client is no audience of its own');
    t.deepEqual(String(access.scope).split(' ').sort(), ['email', 'openid', 'profile']);
    t.false('realm_access' in (tokens.claims() ?? {}));
    t.false('resource_access' in (tokens.claims() ?? {}));

    // What changes shows in the next token.
    await contain(server.operator(), realm, { name: 'seller' }, { name: 'buyer', client: shop.clientId });
    await takeRoles(server.operator(), realm, user, [{ name: 'editor', client: wiki.clientId }]);
    const refreshed = await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '');
    const next = decodeJwt(refreshed.access_token);
    t.deepEqual(next.resource_access, { account: ACCOUNT, [shop.clientId]: { roles: ['buyer'] } });
    t.deepEqual(next.aud, ['account', shop.clientId], 'the client that the roles are for may take the token');

    const info = await openid.fetchUserInfo(rp.configuration, refreshed.access_token, user.id);
    t.false('realm_access' in info);
    const looked = await openid.tokenIntrospection(rp.configuration, refreshed.access_token);
    t.true(looked.active);
    t.deepEqual(looked.realm_access, JSON.parse(JSON.stringify(next.realm_access)));
    t.deepEqual(looked.resource_access, JSON.parse(JSON.stringify(next.resource_access)));
    t.deepEqual(looked.aud, ['account', shop.clientId]);
    await openid.tokenRevocation(rp.configuration, refreshed.access_token);
    t.false((await openid.tokenIntrospection(rp.configuration, refreshed.access_token)).active);
  });

  engine.test('a client without the full scope is told of its own roles and those mapped to it', async (t) => {
    const { server, realm } = await world();
    const narrow = await server.client(realm);
    const user = await server.user(realm);
    const { knex } = server.db;
    const own = await createRole(server.operator(), realm, { name: 'own', client: narrow.clientId });
    const mapped = await createRole(server.operator(), realm, { name: `mapped-${narrow.clientId}` });
    const scoped = await createRole(server.operator(), realm, { name: `scoped-${narrow.clientId}` });
    const inside = await createRole(server.operator(), realm, { name: `inside-${narrow.clientId}` });
    const hidden = await createRole(server.operator(), realm, { name: `hidden-${narrow.clientId}` });
    await contain(server.operator(), realm, mapped, inside);
    await knex('clients').where({ id: narrow.row.id }).update({ full_scope: false });
    const scope = await knex('client_scopes').where({ realm_id: realm.id, name: 'roles' }).first('id');
    const mapping = { realm_id: realm.id, client_id: null, scope_id: null };
    await knex('scope_mappings').insert([
      { ...mapping, id: mapped.id, client_id: narrow.row.id, role_id: mapped.id },
      { ...mapping, id: scoped.id, scope_id: scope.id, role_id: scoped.id },
    ]);
    await giveRoles(server.operator(), realm, user, [{ name: own.name, client: narrow.clientId }, inside, scoped, hidden]);

    const { tokens } = await signIn(server, await relyingParty(server, realm, narrow), user);
    const access = decodeJwt(tokens.access_token);
    t.deepEqual(access.realm_access, { roles: [inside.name, scoped.name] });
    t.deepEqual(access.resource_access, { [narrow.clientId]: { roles: ['own'] } });
    t.is(access.aud, 'account');
  });

  engine.test('without the scope "roles", and for lightweight tokens, there are none', async (t) => {
    const { server, realm } = await world();
    const user = await server.user(realm);
    const without = await server.client(realm);
    const { knex } = server.db;
    const scope = knex('client_scopes').where({ realm_id: realm.id, name: 'roles' }).select('id');
    await knex('client_scope_assignments').where({ client_id: without.row.id }).whereIn('scope_id', scope).delete();
    const light = await server.client(realm);
    const attributes = JSON.stringify({ 'client.use.lightweight.access.token.enabled': 'true' });
    await knex('clients').where({ id: light.row.id }).update({ attributes });
    for (const client of [without, light]) {
      const { tokens } = await signIn(server, await relyingParty(server, realm, client), user);
      const access = decodeJwt(tokens.access_token);
      t.false('realm_access' in access);
      t.false('resource_access' in access);
      t.is(access.aud, 'account');
    }
  });

  engine.test('a service account has its roles in its tokens, and nobody else’s', async (t) => {
    const { server, realm } = await world();
    const other = await server.realm({ mfa: 'off' });
    const robot = await server.client(realm, { serviceAccount: true, redirectUris: [] });
    const account = await serviceAccountUser(server.db.knex, realm.id, robot.row.id);
    if (!account) return t.fail();
    await giveRoles(server.operator(), realm, account, [{ client: 'realm-management', name: 'view-users' }]);
    const rp = await relyingParty(server, realm, robot);
    const { access_token } = await openid.clientCredentialsGrant(rp.configuration);
    const access = decodeJwt(access_token);
    t.is(access.sub, account.id);
    t.deepEqual(access.realm_access, { roles: [`default-roles-${realm.name}`, 'offline_access', 'uma_authorization'] });
    t.deepEqual(access.resource_access, { account: ACCOUNT, 'realm-management': { roles: ['query-groups', 'query-users', 'view-users'] } });
    t.deepEqual(access.aud, ['account', 'realm-management']);
    const looked = await openid.tokenIntrospection(rp.configuration, access_token);
    t.true(looked.active);
    t.deepEqual(looked.aud, ['account', 'realm-management']);

    // The same names in another realm are other roles.
    const stranger = await server.client(other, { clientId: robot.clientId, serviceAccount: true, redirectUris: [] });
    const theirs = await openid.clientCredentialsGrant((await relyingParty(server, other, stranger)).configuration);
    t.deepEqual(decodeJwt(theirs.access_token).resource_access, { account: ACCOUNT });
    t.deepEqual(decodeJwt(theirs.access_token).realm_access, { roles: [`default-roles-${other.name}`, 'offline_access', 'uma_authorization'] });
  });

  engine.serial('roles cost one statement a token', async (t) => {
    const { server, realm } = await world();
    const client = await server.client(realm, { serviceAccount: true });
    const rp = await relyingParty(server, realm, client);
    const user = await server.user(realm);
    const statements: string[] = [];
    server.db.knex.on('query', ({ sql }: { sql: string }) => statements.push(sql));
    const during = async <T>(work: () => Promise<T>): Promise<{ done: T; ofRoles: number }> => {
      statements.length = 0;
      const done = await work();
      return { done, ofRoles: statements.filter((sql) => /\brole/.test(sql)).length };
    };
    const signedIn = await during(() => signIn(server, rp, user));
    const { tokens } = signedIn.done;
    const refreshed = await during(() => openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? ''));
    const service = await during(() => openid.clientCredentialsGrant(rp.configuration));
    t.is(signedIn.ofRoles, 3, 'what the policy knows of the user, at the password and at the provider, and the token’s roles');
    t.is(refreshed.ofRoles, 1);
    t.is(service.ofRoles, 1);
    const looked = await during(() => openid.tokenIntrospection(rp.configuration, refreshed.done.access_token));
    t.is(looked.ofRoles, 0, 'introspection reads the token');
  });
});
