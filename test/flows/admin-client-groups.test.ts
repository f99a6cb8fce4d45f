/** Groups, through Keycloak's own client. */
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

  engine.test('a group is made, read, renamed, given attributes and deleted', async (t) => {
    const { client } = await realmOf();
    const { id } = await client.groups.create({ name: 'sales', attributes: { floor: ['3'] } });
    t.like(await client.groups.findOne({ id }), { id, name: 'sales', path: '/sales', attributes: { floor: ['3'] }, subGroupCount: 0 });
    await client.groups.update({ id }, { name: 'trade' });
    t.like(await client.groups.findOne({ id }), { name: 'trade', path: '/trade', attributes: { floor: ['3'] } });
    await client.groups.update({ id }, { name: 'trade', attributes: { floor: ['4', '5'] } });
    t.deepEqual((await client.groups.findOne({ id }))?.attributes, { floor: ['4', '5'] });
    const same = await refusal(client.groups.create({ name: 'trade' }));
    t.deepEqual([same.status, same.body.errorMessage], [409, "Top level group named 'trade' already exists."]);
    t.is((await refusal(client.groups.create({ name: '' }))).status, 400);
    await client.groups.del({ id });
    t.falsy(await client.groups.findOne({ id }));
    t.is((await refusal(client.groups.del({ id }))).status, 404);
  });

  engine.test('groups below groups are made, moved, listed and found by their path', async (t) => {
    const { admin, realm, client } = await realmOf();
    const top = await client.groups.create({ name: 'sales' });
    const other = await client.groups.create({ name: 'support' });
    const child = await client.groups.createChildGroup({ id: top.id }, { name: 'emea' });
    const deep = await client.groups.createChildGroup({ id: child.id }, { name: 'berlin' });
    t.like(await client.groups.findOne({ id: child.id }), { path: '/sales/emea', parentId: top.id, subGroupCount: 1 });
    t.deepEqual(
      (await client.groups.listSubGroups({ parentId: top.id })).map(({ name }) => name),
      ['emea'],
    );
    t.is(
      (await refusal(client.groups.createChildGroup({ id: top.id }, { name: 'emea' }))).body.errorMessage,
      "Sibling group named 'emea' already exists.",
    );
    await client.groups.updateChildGroup({ id: other.id }, { id: child.id, name: 'emea' });
    t.is((await client.groups.findOne({ id: deep.id }))?.path, '/support/emea/berlin');
    t.is((await refusal(client.groups.updateChildGroup({ id: deep.id }, { id: child.id, name: 'emea' }))).status, 409);
    await client.groups.updateRoot({ id: child.id, name: 'emea' });
    t.is((await client.groups.findOne({ id: deep.id }))?.path, '/emea/berlin');
    t.is((await client.realms.getGroupByPath({ realm: realm.name, path: '/emea/berlin' })).id, deep.id);
    const plain = await admin.call('GET', `/realms/${realm.name}/group-by-path/emea/berlin`);
    t.is(plain.body.id, deep.id);
    t.is((await admin.call('GET', `/realms/${realm.name}/group-by-path/nowhere`)).status, 404);
  });

  engine.serial('groups are listed at the top, and found below the groups that they are in', async (t) => {
    const { server, client } = await realmOf();
    const top = await client.groups.create({ name: 'sales', attributes: { floor: ['3'] } });
    await client.groups.create({ name: 'support' });
    const emea = await client.groups.createChildGroup({ id: top.id }, { name: 'emea' });
    await client.groups.createChildGroup({ id: emea.id }, { name: 'sales berlin' });
    const names = (groups: { name?: string }[]) => groups.map(({ name }) => name);
    t.deepEqual(names(await client.groups.find()), ['sales', 'support']);
    t.deepEqual(names(await client.groups.find({ first: 1, max: 1 })), ['support']);
    const found = await client.groups.find({ search: 'BERLIN' });
    t.deepEqual(names(found), ['sales']);
    t.is(found[0]?.subGroups?.[0]?.subGroups?.[0]?.name, 'sales berlin');
    t.deepEqual(names(await client.groups.find({ search: 'berlin', populateHierarchy: false })), ['sales berlin']);
    t.deepEqual(names(await client.groups.find({ search: 'sales', exact: true })), ['sales']);
    t.deepEqual(names(await client.groups.find({ q: 'floor:3' })), ['sales']);
    t.is((await client.groups.find({ max: 1 }))[0]?.attributes, undefined);
    t.deepEqual((await client.groups.find({ max: 1, briefRepresentation: false }))[0]?.attributes, { floor: ['3'] });
    t.deepEqual(await client.groups.count(), { count: 4 });
    t.deepEqual(await client.groups.count({ search: 'sales' }), { count: 2 });
    t.deepEqual(await client.groups.count({ top: true }), { count: 2 });
    const few = await statementsOf(server, () => client.groups.find({ search: 'support' }));
    t.true((await statementsOf(server, () => client.groups.find({ search: 's' }))) <= few + 1, 'one more for the groups above');
  });

  engine.serial('members come and go, in pages', async (t) => {
    const { server, realm, client } = await realmOf();
    const { id } = await client.groups.create({ name: 'sales' });
    const ids: string[] = [];
    for (const username of ['anna', 'bernd', 'carl']) {
      const user = await server.user(realm, { username: `${username}-${realm.name}` });
      ids.push(user.id);
      await client.users.addToGroup({ id: user.id, groupId: id });
    }
    t.deepEqual(
      (await client.groups.listMembers({ id })).map((user) => user.id),
      ids,
    );
    t.deepEqual(
      (await client.groups.listMembers({ id, first: 1, max: 1 })).map((user) => user.id),
      [ids[1]],
    );
    const [first = ''] = ids;
    t.deepEqual(await client.users.listGroups({ id: first }), [{ id, name: 'sales', path: '/sales' }]);
    t.like((await client.users.listGroups({ id: first, briefRepresentation: false }))[0], { id, attributes: {}, subGroups: [] });
    // Exactly what is said of a user, without what the caller may do.
    const { access, ...user } = (await client.users.findOne({ id: first })) ?? {};
    t.true(access?.manage);
    t.deepEqual((await client.groups.listMembers({ id }))[0], user);
    t.deepEqual(await client.users.countGroups({ id: first }), { count: 1 });
    t.deepEqual(await client.users.listGroups({ id: first, search: 'x' }), []);
    await client.users.addToGroup({ id: first, groupId: id });
    await client.users.delFromGroup({ id: first, groupId: id });
    t.deepEqual(await client.users.listGroups({ id: first }), []);
    const one = await statementsOf(server, () => client.groups.listMembers({ id, max: 1 }));
    t.is(await statementsOf(server, () => client.groups.listMembers({ id })), one);
  });

  engine.test('every new user is put into the default groups', async (t) => {
    const { realm, client } = await realmOf();
    const { id } = await client.groups.create({ name: 'everybody' });
    await client.realms.addDefaultGroup({ realm: realm.name, id });
    t.deepEqual(
      (await client.realms.getDefaultGroups({ realm: realm.name })).map(({ path }) => path),
      ['/everybody'],
    );
    const first = await client.users.create({ username: 'first', groups: ['/everybody'] });
    t.deepEqual(
      (await client.users.listGroups({ id: first.id })).map(({ name }) => name),
      ['everybody'],
    );
    await client.realms.removeDefaultGroup({ realm: realm.name, id });
    const second = await client.users.create({ username: 'second' });
    t.deepEqual(await client.users.listGroups({ id: second.id }), []);
  });

  engine.test('no group makes a limited administrator, or anybody else, more than they are', async (t) => {
    const { server, realm, client } = await realmOf();
    const bosses = await client.groups.create({ name: 'bosses' });
    const below = await client.groups.createChildGroup({ id: bosses.id }, { name: 'below' });
    const management = await server.db.knex('clients').where({ realm_id: realm.id, client_id: 'realm-management' }).first('id');
    const role = await client.clients.findRole({ id: management.id, roleName: 'manage-realm' });
    const roles = [{ id: role?.id ?? '', name: 'manage-realm' }];
    await client.groups.addClientRoleMappings({ id: bosses.id, clientUniqueId: management.id, roles });
    const { client: limited, userId } = await limitedClient(server, realm, ['manage-users']);
    for (const groupId of [bosses.id, below.id]) t.is((await refusal(limited.users.addToGroup({ id: userId, groupId }))).status, 403);
    const mine = await limited.groups.create({ name: 'mine' });
    await limited.users.addToGroup({ id: userId, groupId: mine.id });
    t.is((await refusal(limited.groups.addClientRoleMappings({ id: mine.id, clientUniqueId: management.id, roles }))).status, 403);
    t.is((await refusal(limited.groups.updateChildGroup({ id: below.id }, { id: mine.id, name: 'mine' }))).status, 403);
    const { client: ofRealm } = await limitedClient(server, realm, ['view-realm']);
    t.is((await refusal(ofRealm.realms.addDefaultGroup({ realm: realm.name, id: bosses.id }))).status, 403);
  });

  engine.test('a realm’s groups are nobody else’s', async (t) => {
    const one = await realmOf();
    const other = await realmOf();
    const { id } = await one.client.groups.create({ name: 'sales' });
    t.falsy(await other.client.groups.findOne({ id }));
    t.is((await refusal(other.client.groups.update({ id }, { name: 'x' }))).status, 404);
    const user = await other.server.user(other.realm);
    t.is((await refusal(other.client.users.addToGroup({ id: user.id, groupId: id }))).status, 404);
    t.is((await refusal(one.client.users.addToGroup({ id: user.id, groupId: id }))).status, 404);
  });
});
