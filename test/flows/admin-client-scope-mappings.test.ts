/** Scope mappings through Keycloak's own client, and their effect on the tokens of clients without the full scope. */
import { decodeJwt } from 'jose';
import { createRole, giveRoles } from '../../src/admin/resources/roles.ts';
import { adminWorld } from '../support/admin.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal } from '../support/keycloak.ts';
import { contain } from '../support/roles.ts';
import { openid, relyingParty, signIn } from '../support/sign-in.ts';

const names = (list: { name?: string }[]) => list.map(({ name }) => name);

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const realmOf = async () => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    const client = keycloakClient(server, realm, admin.token);
    const application = await server.client(realm);
    await client.clients.update({ id: application.row.id }, { fullScopeAllowed: false });
    return { server, admin, realm, client, application };
  };

  engine.test('mapped roles, and those in them, are in the next token, and no others', async (t) => {
    const { server, realm, client, application } = await realmOf();
    const operator = server.operator();
    const [outer, inner, hidden] = await Promise.all(['outer', 'inner', 'hidden'].map((name) => createRole(operator, realm, { name })));
    if (!outer || !inner || !hidden) return t.fail();
    await contain(operator, realm, { name: 'outer' }, { name: 'inner' });
    const shop = await server.client(realm);
    const buyer = await createRole(operator, realm, { name: 'buyer', client: shop.clientId });
    const user = await server.user(realm);
    await giveRoles(operator, realm, user, [{ name: 'outer' }, { name: 'hidden' }, { name: 'buyer', client: shop.clientId }]);
    const rp = await relyingParty(server, realm, application);
    const { tokens } = await signIn(server, rp, user);
    t.false('realm_access' in decodeJwt(tokens.access_token));

    const { id } = application.row;
    await client.clients.addRealmScopeMappings({ id }, [{ id: outer.id, name: 'outer' }]);
    await client.clients.addClientScopeMappings({ id, client: shop.row.id }, [{ id: buyer.id, name: 'buyer' }]);
    const refresh = async () => decodeJwt((await openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? '')).access_token);
    const next = await refresh();
    t.deepEqual(next.realm_access, { roles: ['inner', 'outer'] });
    t.deepEqual(next.resource_access, { [shop.clientId]: { roles: ['buyer'] } });
    t.deepEqual(next.aud, ['account', shop.clientId]);

    const all = await client.clients.listScopeMappings({ id });
    t.deepEqual(names(all.realmMappings ?? []), ['outer']);
    t.deepEqual(names(all.clientMappings?.[shop.clientId].mappings), ['buyer']);
    t.deepEqual(names(await client.clients.listRealmScopeMappings({ id })), ['outer']);
    t.deepEqual(names(await client.clients.listCompositeRealmScopeMappings({ id })), ['inner', 'outer']);
    t.true(names(await client.clients.listAvailableRealmScopeMappings({ id })).includes('hidden'));
    t.false(names(await client.clients.listAvailableRealmScopeMappings({ id })).includes('outer'));
    const at = { id, client: shop.row.id };
    t.deepEqual(names(await client.clients.listClientScopeMappings(at)), ['buyer']);
    t.deepEqual(names(await client.clients.listCompositeClientScopeMappings(at)), ['buyer']);
    t.deepEqual(names(await client.clients.listAvailableClientScopeMappings(at)), []);

    await client.clients.delRealmScopeMappings({ id }, [{ id: outer.id, name: 'outer' }]);
    await client.clients.delRealmScopeMappings({ id }, [{ id: outer.id, name: 'outer' }]);
    await client.clients.delClientScopeMappings(at, [{ id: buyer.id, name: 'buyer' }]);
    const last = await refresh();
    t.false('realm_access' in last);
    t.false('resource_access' in last);
    t.is((await refusal(client.clients.addRealmScopeMappings({ id }, [{ id: crypto.randomUUID(), name: 'x' }]))).status, 404);
  });

  engine.test('roles mapped to a client scope count for clients that have it', async (t) => {
    const { server, realm, client, application } = await realmOf();
    const operator = server.operator();
    const role = await createRole(operator, realm, { name: 'auditor' });
    const user = await server.user(realm);
    await giveRoles(operator, realm, user, [{ name: 'auditor' }]);
    const { id } = await client.clientScopes.create({ name: 'audit', attributes: { 'include.in.token.scope': 'true' } });
    await client.clientScopes.addRealmScopeMappings({ id }, [{ id: role.id, name: 'auditor' }]);
    t.deepEqual(names(await client.clientScopes.listRealmScopeMappings({ id })), ['auditor']);
    t.deepEqual(names(await client.clientScopes.listCompositeRealmScopeMappings({ id })), ['auditor']);
    t.false(names(await client.clientScopes.listAvailableRealmScopeMappings({ id })).includes('auditor'));
    t.deepEqual(names((await client.clientScopes.listScopeMappings({ id })).realmMappings ?? []), ['auditor']);
    await client.clients.addOptionalClientScope({ id: application.row.id, clientScopeId: id });
    const rp = await relyingParty(server, realm, application);
    const roles = async (scope: string) => decodeJwt((await signIn(server, rp, user, { parameters: { scope } })).tokens.access_token).realm_access;
    t.is(await roles('openid'), undefined);
    t.deepEqual(await roles('openid audit'), { roles: ['auditor'] });

    const evaluated = { id: application.row.id, roleContainer: realm.name };
    t.deepEqual(names(await client.clients.evaluatePermission({ ...evaluated, type: 'granted', scope: 'audit' })), ['auditor']);
    t.deepEqual(names(await client.clients.evaluatePermission({ ...evaluated, type: 'granted', scope: 'openid' })), []);
    t.true(names(await client.clients.evaluatePermission({ ...evaluated, type: 'not-granted', scope: 'openid' })).includes('auditor'));
    await client.clientScopes.delRealmScopeMappings({ id }, [{ id: role.id, name: 'auditor' }]);
    t.is(await roles('openid audit'), undefined);
  });

  engine.test('a limited administrator maps no role that manages more than they do, nor gives a scope that has one', async (t) => {
    const { server, realm, client, application } = await realmOf();
    const { client: limited } = await limitedClient(server, realm, ['manage-clients', 'view-realm']);
    const [management] = await client.clients.find({ clientId: 'realm-management' });
    const at = { id: application.row.id, client: management?.id ?? '' };
    const roles = await client.clients.listAvailableClientScopeMappings(at);
    const [all, mine] = ['realm-admin', 'manage-clients'].map((name) => roles.filter((role) => role.name === name));
    t.is((await refusal(limited.clients.addClientScopeMappings(at, all ?? []))).status, 403);
    await limited.clients.addClientScopeMappings(at, mine ?? []);
    t.deepEqual(names(await client.clients.listClientScopeMappings(at)), ['manage-clients']);

    const scope = await client.clientScopes.create({ name: 'mighty' });
    const theirs = { id: scope.id, client: management?.id ?? '' };
    t.is((await refusal(limited.clientScopes.addClientScopeMappings(theirs, all ?? []))).status, 403);
    await client.clientScopes.addClientScopeMappings(theirs, all ?? []);
    t.is((await refusal(limited.clients.addDefaultClientScope({ id: application.row.id, clientScopeId: scope.id }))).status, 403);
    const { client: viewer } = await limitedClient(server, realm, ['view-clients']);
    t.is((await refusal(viewer.clients.delClientScopeMappings(at, mine ?? []))).status, 403);
    t.is((await refusal(limited.clients.addRealmScopeMappings({ id: management?.id ?? '' }, []))).status, 403, 'it comes with the realm');
  });
});
