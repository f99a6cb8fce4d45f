/** Roles given to users and groups, through Keycloak's own client; and what a limited administrator cannot give. */
import { adminWorld } from '../support/admin.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal, statementsOf } from '../support/keycloak.ts';

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const realmOf = async () => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    return { server, admin, realm, client: keycloakClient(server, realm, admin.token) };
  };

  engine.test('realm roles are given, listed, and taken', async (t) => {
    const { realm, client } = await realmOf();
    const { id } = await client.users.create({ username: 'alice' });
    await client.roles.create({ name: 'inner' });
    await client.roles.create({ name: 'outer', composites: { realm: ['inner'] } });
    const outer = { id: (await client.roles.findOneByName({ name: 'outer' }))?.id ?? '', name: 'outer' };
    const names = (roles: { name?: string }[]) => roles.map(({ name }) => name);
    const byDefault = `default-roles-${realm.name}`;
    t.deepEqual(names(await client.users.listRealmRoleMappings({ id })), [byDefault]);
    t.true(names(await client.users.listAvailableRealmRoleMappings({ id })).includes('outer'));
    await client.users.addRealmRoleMappings({ id, roles: [outer] });
    t.deepEqual(names(await client.users.listRealmRoleMappings({ id })), [byDefault, 'outer']);
    t.false(names(await client.users.listAvailableRealmRoleMappings({ id })).includes('outer'));
    t.deepEqual(names(await client.users.listCompositeRealmRoleMappings({ id })), [
      byDefault,
      'inner',
      'offline_access',
      'outer',
      'uma_authorization',
    ]);
    t.deepEqual(names((await client.users.listRoleMappings({ id })).realmMappings ?? []), [byDefault, 'outer']);
    await client.users.delRealmRoleMappings({ id, roles: [outer] });
    await client.users.delRealmRoleMappings({ id, roles: [outer] });
    t.deepEqual(names(await client.users.listRealmRoleMappings({ id })), [byDefault]);
    t.is((await refusal(client.users.addRealmRoleMappings({ id, roles: [{ ...outer, name: 'inner' }] }))).status, 404, 'a name that is not the id’s');
    t.is((await refusal(client.users.addRealmRoleMappings({ id, roles: [{ id: realm.id, name: 'outer' }] }))).status, 404);
  });

  engine.test('client roles are given to users and groups; members have those of their groups', async (t) => {
    const { server, realm, client } = await realmOf();
    const { row, clientId } = await server.client(realm);
    await client.clients.createRole({ id: row.id, name: 'editor' });
    await client.clients.createRole({ id: row.id, name: 'reader' });
    const role = async (name: string) => ({ id: (await client.clients.findRole({ id: row.id, roleName: name }))?.id ?? '', name });
    const { id } = await client.users.create({ username: 'alice' });
    const group = await client.groups.create({ name: 'sales' });
    const below = await client.groups.createChildGroup({ id: group.id }, { name: 'emea' });
    await client.users.addToGroup({ id, groupId: below.id });
    const at = { id, clientUniqueId: row.id };
    await client.users.addClientRoleMappings({ ...at, roles: [await role('editor')] });
    await client.groups.addClientRoleMappings({ id: group.id, clientUniqueId: row.id, roles: [await role('reader')] });
    const names = (roles: { name?: string }[]) => roles.map(({ name }) => name);
    t.deepEqual(names(await client.users.listClientRoleMappings(at)), ['editor']);
    t.deepEqual(names(await client.users.listAvailableClientRoleMappings(at)), ['reader']);
    t.deepEqual(names(await client.users.listCompositeClientRoleMappings(at)), ['editor', 'reader']);
    t.deepEqual(names(await client.groups.listCompositeClientRoleMappings({ id: below.id, clientUniqueId: row.id })), ['reader']);
    t.like((await client.users.listRoleMappings({ id })).clientMappings?.[clientId], { id: row.id, client: clientId });
    t.deepEqual((await client.groups.findOne({ id: group.id }))?.clientRoles, { [clientId]: ['reader'] });
    await client.users.delClientRoleMappings({ ...at, roles: [await role('editor')] });
    t.deepEqual(names(await client.users.listCompositeClientRoleMappings(at)), ['reader']);
    t.is((await refusal(client.users.listClientRoleMappings({ id, clientUniqueId: realm.id }))).status, 404);
  });

  engine.test('a limited administrator gives what they manage and plain roles, and no more: directly, in a role, to a group', async (t) => {
    const { server, realm, client } = await realmOf();
    const management = await server.db.knex('clients').where({ realm_id: realm.id, client_id: 'realm-management' }).first('id');
    const of = async (name: string) => ({ id: (await client.clients.findRole({ id: management.id, roleName: name }))?.id ?? '', name });
    const { client: limited, userId } = await limitedClient(server, realm, ['manage-users', 'view-realm']);
    const { id } = await limited.users.create({ username: 'friend' });
    for (const user of [userId, id])
      for (const name of ['manage-realm', 'realm-admin', 'impersonation', 'manage-clients']) {
        const answer = await refusal(limited.users.addClientRoleMappings({ id: user, clientUniqueId: management.id, roles: [await of(name)] }));
        t.is(answer.status, 403, name);
      }
    await limited.users.addClientRoleMappings({ id, clientUniqueId: management.id, roles: [await of('manage-users'), await of('view-realm')] });

    await client.roles.create({ name: 'plain' });
    await client.roles.create({ name: 'hidden', composites: { client: { 'realm-management': ['manage-realm'] } } });
    await client.roles.create({ name: 'deeper', composites: { realm: ['hidden'] } });
    const realmRole = async (name: string) => ({ id: (await client.roles.findOneByName({ name }))?.id ?? '', name });
    await limited.users.addRealmRoleMappings({ id, roles: [await realmRole('plain')] });
    for (const name of ['hidden', 'deeper'])
      t.is((await refusal(limited.users.addRealmRoleMappings({ id, roles: [await realmRole(name)] }))).status, 403, name);
    t.is((await refusal(limited.users.addRealmRoleMappings({ id, roles: [await realmRole('plain'), await realmRole('deeper')] }))).status, 403);

    const group = await limited.groups.create({ name: 'friends' });
    t.is((await refusal(limited.groups.addRealmRoleMappings({ id: group.id, roles: [await realmRole('deeper')] }))).status, 403);
    await client.users.addRealmRoleMappings({ id, roles: [await realmRole('deeper')] });
    t.is((await refusal(limited.users.update({ id }, { email: 'mine@example.com' }))).status, 403, 'who manages more now');
    t.is((await refusal(limited.users.delRealmRoleMappings({ id, roles: [await realmRole('plain')] }))).status, 403);
  });

  engine.test('in master, who manages users of master gives no realm away', async (t) => {
    const { server, admin, realm } = await realmOf();
    const master = keycloakClient(server, admin.master, admin.token);
    const { client: limited, userId } = await limitedClient(server, admin.master, ['manage-users', 'view-realm', 'view-clients']);
    const role = async (name: string) => ({ id: (await master.roles.findOneByName({ name }))?.id ?? '', name });
    for (const name of ['admin', 'create-realm'])
      t.is((await refusal(limited.users.addRealmRoleMappings({ id: userId, roles: [await role(name)] }))).status, 403, name);
    const management = await server.db
      .knex('clients')
      .where({ realm_id: admin.master.id, client_id: `${realm.name}-realm` })
      .first('id');
    const manage = await master.clients.findRole({ id: management.id, roleName: 'view-users' });
    const roles = [{ id: manage?.id ?? '', name: 'view-users' }];
    t.is((await refusal(limited.users.addClientRoleMappings({ id: userId, clientUniqueId: management.id, roles }))).status, 403);
    await master.users.addClientRoleMappings({ id: userId, clientUniqueId: management.id, roles });
    const { id } = await limited.users.create({ username: `helper-${realm.name}` });
    await limited.users.addClientRoleMappings({ id, clientUniqueId: management.id, roles });
    t.is((await keycloakClient(server, realm, admin.token).users.find()).length, 0);
  });

  engine.serial('what an administrator has in the end is found without reading what lies below', async (t) => {
    const { server, admin } = await realmOf();
    const master = keycloakClient(server, admin.master, admin.token);
    const { id } = await master.users.create({ username: `root-${crypto.randomUUID()}` });
    const role = await master.roles.findOneByName({ name: 'admin' });
    await master.users.addRealmRoleMappings({ id, roles: [{ id: role?.id ?? '', name: 'admin' }] });
    const before = await statementsOf(server, () => master.users.listCompositeRealmRoleMappings({ id }));
    await server.realm();
    t.is(await statementsOf(server, () => master.users.listCompositeRealmRoleMappings({ id })), before);
    t.true((await master.users.listCompositeRealmRoleMappings({ id })).some(({ name }) => name === 'create-realm'));
  });
});
