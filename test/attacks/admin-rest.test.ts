/** B42 and B43: what the REST API must not let an application or a limited administrator do. */
import { randomUUID } from 'node:crypto';
import { createClient } from '../../src/admin/resources/clients.ts';
import { createGroup, giveGroupRoles } from '../../src/admin/resources/groups.ts';
import { createRole, type RoleName } from '../../src/admin/resources/roles.ts';
import { adminWorld, callAdmin, serviceToken } from '../support/admin.ts';
import { forEachEngine } from '../support/databases.ts';
import { limitedClient } from '../support/keycloak.ts';
import { contain } from '../support/roles.ts';

const SECRET = 'a secret of sixteen characters';

forEachEngine((engine) => {
  const world = adminWorld(engine);

  engine.test('B42 an application without the full scope uses no role of its user that it was not given', async (t) => {
    const { server, admin } = await world();
    const realm = await server.realm();
    const account = { clientId: 'narrow', secret: SECRET, serviceAccount: true, serviceAccountRoles: ['admin'] };
    const { client } = await createClient(server.operator(), admin.master, account);
    await server.db.knex('clients').where({ realm_id: admin.master.id, id: client.id }).update({ full_scope: false });
    const token = await serviceToken(server, 'master', 'narrow', SECRET);
    const call = (method: string, path: string, body?: unknown) =>
      callAdmin(server, method, path, { token, ...(body === undefined ? {} : { body }) });
    t.is((await call('GET', `/realms/${realm.name}/users`)).status, 403);
    t.is((await call('POST', '/realms/master/users', { username: 'mallory' })).status, 403);

    // Given a role, it uses that one, and gives nothing beyond.
    const roles = server.db.knex('roles').join('clients', 'clients.id', 'roles.client_id').where('roles.realm_id', admin.master.id);
    const mapped = await roles.where({ 'clients.client_id': 'master-realm', 'roles.name': 'manage-users' }).first('roles.id');
    await server.db
      .knex('scope_mappings')
      .insert({ id: randomUUID(), realm_id: admin.master.id, client_id: client.id, scope_id: null, role_id: mapped.id });
    const made = await call('POST', '/realms/master/users', { username: 'erin' });
    t.is(made.status, 201);
    const everything = (await admin.call('GET', '/realms/master/roles/admin')).body;
    const user = made.headers.get('location')?.split('/').at(-1) ?? '';
    t.is((await call('POST', `/realms/master/users/${user}/role-mappings/realm`, [everything])).status, 403);
  });

  engine.test('B43 a limited administrator does not make others manage less, to change them afterwards', async (t) => {
    const { server } = await world();
    const realm = await server.realm();
    const operator = server.operator();
    const bosses = await createGroup(operator, realm, { name: 'bosses' });
    const below = await createGroup(operator, realm, { name: 'berlin', parent: bosses.path });
    const above = await createGroup(operator, realm, { name: 'house' });
    const deep = await createGroup(operator, realm, { name: 'board', parent: above.path });
    const role: RoleName = { client: 'realm-management', name: 'realm-admin' };
    await giveGroupRoles(operator, realm, bosses.path, [role]);
    await giveGroupRoles(operator, realm, deep.path, [role]);
    const alice = await server.user(realm, { groups: [below.path] });
    const { token } = await limitedClient(server, realm, ['manage-users', 'manage-realm', 'view-users', 'manage-clients']);
    const status = async (method: string, path: string, body?: unknown) =>
      (await callAdmin(server, method, `/realms/${realm.name}${path}`, { token, ...(body === undefined ? {} : { body }) })).status;

    const { id: management } = await server.db.knex('clients').where({ realm_id: realm.id, client_id: 'realm-management' }).first('id');
    t.is(await status('DELETE', `/users/${alice.id}/groups/${below.id}`), 403);
    t.is(await status('DELETE', `/groups/${bosses.id}/role-mappings/clients/${management}`), 403);
    for (const { id, name } of [bosses, below, above]) {
      t.is(await status('DELETE', `/groups/${id}`), 403, name);
    }
    t.is(await status('POST', '/groups', { id: below.id, name: 'berlin' }), 403, 'out from below');
    t.is(await status('PUT', `/users/${alice.id}/reset-password`, { type: 'password', value: 'four words without relation' }), 403);

    await createRole(operator, realm, { name: 'lead' });
    await contain(operator, realm, { name: 'lead' }, role);
    const { id: contained } = await server.db.knex('roles').where({ realm_id: realm.id, name: 'realm-admin' }).first('id');
    t.is(await status('DELETE', '/roles/lead/composites', [{ id: contained }]), 403);
    t.is(await status('DELETE', '/roles/lead'), 403);
    t.is(await status('POST', '/groups', { name: 'mine' }), 201, 'what gives nothing is made');
  });
});
