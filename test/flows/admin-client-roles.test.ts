/** Roles of a realm and of its clients, through Keycloak's own client. */
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

  engine.test('a realm role is made, found by name and id, changed in part and deleted', async (t) => {
    const { realm, client } = await realmOf();
    t.deepEqual(await client.roles.create({ name: 'sales lead', description: 'Leads', attributes: { floor: ['3'] } }), { roleName: 'sales%20lead' });
    const role = await client.roles.findOneByName({ name: 'sales lead' });
    t.like(role, { name: 'sales lead', description: 'Leads', composite: false, clientRole: false, containerId: realm.id });
    t.deepEqual(role?.attributes, { floor: ['3'] });
    const id = role?.id ?? '';
    t.deepEqual(await client.roles.findOneById({ id }), role);
    await client.roles.updateByName({ name: 'sales lead' }, { description: 'Leads the sales' });
    t.like(await client.roles.findOneById({ id }), { description: 'Leads the sales', attributes: { floor: ['3'] } });
    await client.roles.updateById({ id }, { name: 'a/b', attributes: {} });
    t.like(await client.roles.findOneByName({ name: 'a/b' }), { id, attributes: {} });
    t.true((await client.roles.find({ search: 'A/' })).some(({ name }) => name === 'a/b'));
    t.is((await refusal(client.roles.create({ name: 'a/b' }))).status, 409);
    await client.roles.delByName({ name: 'a/b' });
    t.falsy(await client.roles.findOneById({ id }));
    t.is((await refusal(client.roles.delById({ id }))).status, 404);
  });

  engine.test('roles come in pages; what the realm and its management need stays', async (t) => {
    const { realm, client } = await realmOf();
    t.deepEqual(
      (await client.roles.find()).map(({ name }) => name),
      [`default-roles-${realm.name}`, 'offline_access', 'uma_authorization'],
    );
    t.deepEqual(
      (await client.roles.find({ first: 1, max: 1 })).map(({ name }) => name),
      ['offline_access'],
    );
    t.is((await refusal(client.roles.delByName({ name: `default-roles-${realm.name}` }))).status, 409);
    t.is((await refusal(client.roles.updateByName({ name: `default-roles-${realm.name}` }, { name: 'x' }))).status, 409);
    t.is((await refusal(client.roles.create({ name: '' }))).status, 400);
  });

  engine.test('client roles', async (t) => {
    const { server, realm, client } = await realmOf();
    const { row } = await server.client(realm);
    const id = row.id;
    t.deepEqual(await client.clients.createRole({ id, name: 'editor', description: 'Edits' }), { roleName: 'editor' });
    t.like(await client.clients.findRole({ id, roleName: 'editor' }), { clientRole: true, containerId: id });
    await client.clients.updateRole({ id, roleName: 'editor' }, { name: 'writer' });
    t.deepEqual(
      (await client.clients.listRoles({ id })).map(({ name }) => name),
      ['writer'],
    );
    const other = await realmOf();
    t.is((await refusal(other.client.clients.listRoles({ id }))).status, 404);
    t.falsy(await other.client.clients.findRole({ id, roleName: 'writer' }));
    await client.clients.delRole({ id, roleName: 'writer' });
    t.deepEqual(await client.clients.listRoles({ id }), []);
  });

  engine.test('roles contain roles, of the realm and of clients, and never themselves', async (t) => {
    const { server, realm, client } = await realmOf();
    const { row, clientId } = await server.client(realm);
    await client.clients.createRole({ id: row.id, name: 'editor' });
    await client.roles.create({ name: 'inner' });
    await client.roles.create({ name: 'outer', composite: true, composites: { realm: ['inner'], client: { [clientId]: ['editor'] } } });
    const outer = await client.roles.findOneByName({ name: 'outer' });
    const inner = await client.roles.findOneByName({ name: 'inner' });
    const editor = await client.clients.findRole({ id: row.id, roleName: 'editor' });
    const [outerId, innerId] = [outer?.id ?? '', inner?.id ?? ''];
    t.true(outer?.composite);
    const names = async (list: Promise<{ name?: string }[]>) => (await list).map(({ name }) => name).sort();
    t.deepEqual(await names(client.roles.getCompositeRoles({ id: outerId })), ['editor', 'inner']);
    t.deepEqual(await names(client.roles.getCompositeRoles({ id: outerId, search: 'EDI' })), ['editor']);
    t.deepEqual(await names(client.roles.getCompositeRoles({ id: outerId, search: 'in_er' })), []);
    t.deepEqual(await names(client.roles.getCompositeRolesForRealm({ id: outerId })), ['inner']);
    t.deepEqual(await names(client.roles.getCompositeRolesForClient({ id: outerId, clientId: row.id })), ['editor']);
    t.is((await refusal(client.roles.createComposite({ roleId: innerId }, [{ id: outerId, name: 'outer' }]))).status, 409);
    t.is((await refusal(client.roles.createComposite({ roleId: innerId }, [{ id: innerId, name: 'inner' }]))).status, 409);
    await client.roles.delCompositeRoles({ id: outerId }, [{ id: editor?.id ?? '', name: 'editor' }]);
    t.deepEqual(await names(client.roles.getCompositeRoles({ id: outerId })), ['inner']);
    await client.roles.createComposite({ roleId: outerId }, [{ id: editor?.id ?? '', name: 'editor' }]);
    t.deepEqual(await names(client.roles.getCompositeRoles({ id: outerId })), ['editor', 'inner']);
  });

  engine.serial('users and groups with a role, and what it costs to list them', async (t) => {
    const { server, realm, admin, client } = await realmOf();
    await client.roles.create({ name: 'seller' });
    const { id = '' } = (await client.roles.findOneByName({ name: 'seller' })) ?? {};
    for (const username of ['anna', 'bernd', 'carl']) {
      const user = await client.users.create({ username });
      await client.users.addRealmRoleMappings({ id: user.id, roles: [{ id, name: 'seller' }] });
    }
    const group = await client.groups.create({ name: 'sales' });
    await client.groups.addRealmRoleMappings({ id: group.id, roles: [{ id, name: 'seller' }] });
    t.deepEqual(
      (await client.roles.findUsersWithRole({ name: 'seller', first: 1, max: 1 })).map(({ username }) => username),
      ['bernd'],
    );
    const groups = await admin.call('GET', `/realms/${realm.name}/roles/seller/groups`);
    t.deepEqual(
      groups.body.map(({ path }: { path: string }) => path),
      ['/sales'],
    );
    const one = await statementsOf(server, () => client.roles.findUsersWithRole({ name: 'seller', max: 1 }));
    t.is(await statementsOf(server, () => client.roles.findUsersWithRole({ name: 'seller' })), one);
    const few = await statementsOf(server, () => client.roles.find({ max: 1 }));
    t.is(await statementsOf(server, () => client.roles.find()), few);
  });

  engine.test('who manages clients does not manage the realm’s roles, and no role is made to manage what its maker does not', async (t) => {
    const { server, realm, client } = await realmOf();
    const { row } = await server.client(realm);
    await client.roles.create({ name: 'plain' });
    const plain = (await client.roles.findOneByName({ name: 'plain' }))?.id ?? '';
    const { client: limited } = await limitedClient(server, realm, ['manage-clients', 'view-realm']);
    t.is((await refusal(limited.roles.create({ name: 'x' }))).status, 403);
    t.is((await refusal(limited.roles.updateById({ id: plain }, { description: 'x' }))).status, 403);
    t.is((await refusal(limited.roles.delById({ id: plain }))).status, 403);
    await limited.clients.createRole({ id: row.id, name: 'mine' });
    const mine = (await limited.clients.findRole({ id: row.id, roleName: 'mine' }))?.id ?? '';
    const management = await server.db.knex('clients').where({ realm_id: realm.id, client_id: 'realm-management' }).first('id');
    const role = async (roleName: string) => (await client.clients.findRole({ id: management.id, roleName }))?.id ?? '';
    const manageUsers = { id: await role('manage-users'), name: 'manage-users' };
    t.is((await refusal(limited.roles.createComposite({ roleId: mine }, [manageUsers]))).status, 403);
    const twice = { name: 'x', composites: { client: { 'realm-management': ['manage-users'] } } };
    t.is((await refusal(limited.clients.createRole({ id: row.id, ...twice }))).status, 403);
    await limited.roles.createComposite({ roleId: mine }, [{ id: await role('manage-clients'), name: 'manage-clients' }]);
    t.is((await refusal(limited.clients.delRole({ id: management.id, roleName: 'manage-users' }))).status, 403, 'nothing else takes its place');
    t.is((await refusal(limited.clients.updateRole({ id: management.id, roleName: 'manage-users' }, { name: 'x' }))).status, 409);
  });
});
