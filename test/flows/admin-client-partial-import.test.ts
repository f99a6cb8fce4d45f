/** A realm written down and read in again, through Keycloak's own client. */
import type RealmRepresentation from '@keycloak/keycloak-admin-client/lib/defs/realmRepresentation.js';
import { adminOf, adminWorld } from '../support/admin.ts';
import { startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal, statementsOf } from '../support/keycloak.ts';

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const realmOf = async () => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    return { server, admin, realm, client: keycloakClient(server, realm, admin.token) };
  };

  const company: RealmRepresentation = {
    clients: [{ clientId: 'shop', redirectUris: ['https://shop.example/cb'] }],
    roles: {
      realm: [
        { name: 'buyer', description: 'Buys' },
        { name: 'boss', composites: { realm: ['buyer'], client: { shop: ['cashier'] } } },
      ],
      client: { shop: [{ name: 'cashier' }] },
    },
    groups: [{ name: 'sales', realmRoles: ['buyer'], subGroups: [{ name: 'emea', attributes: { floor: ['3'] } }] }],
    users: [
      { username: 'alice', email: 'alice@example.com', groups: ['/sales/emea'], realmRoles: ['boss'], clientRoles: { shop: ['cashier'] } },
      { username: 'erin', credentials: [{ type: 'password', value: 'correct horse battery', temporary: false }] },
    ],
  };

  engine.test('what is imported is there, with what holds it together', async (t) => {
    const { realm, client } = await realmOf();
    const answer = await client.realms.partialImport({ realm: realm.name, rep: { ...company, ifResourceExists: 'FAIL' } });
    t.deepEqual([answer.added, answer.overwritten, answer.skipped], [7, 0, 0]);
    t.deepEqual(
      answer.results.map(({ action, resourceType, resourceName }) => `${action} ${resourceType} ${resourceName}`),
      ['CLIENT shop', 'REALM_ROLE buyer', 'REALM_ROLE boss', 'CLIENT_ROLE shop-->cashier', 'GROUP sales', 'USER alice', 'USER erin'].map(
        (what) => `ADDED ${what}`,
      ),
    );
    const [alice] = await client.users.find({ username: 'alice', exact: true });
    t.is(alice?.id, answer.results.find(({ resourceName }) => resourceName === 'alice')?.id);
    const groups = await client.users.listGroups({ id: alice?.id ?? '' });
    t.deepEqual(
      groups.map(({ path }) => path),
      ['/sales/emea'],
    );
    const roles = await client.users.listCompositeRealmRoleMappings({ id: alice?.id ?? '' });
    for (const name of ['boss', 'buyer'])
      t.true(
        roles.some((role) => role.name === name),
        name,
      );
  });

  engine.test('what is there already is refused, skipped or changed, as it is asked for', async (t) => {
    const { realm, client } = await realmOf();
    const go = (ifResourceExists: 'FAIL' | 'SKIP' | 'OVERWRITE', rep: RealmRepresentation) =>
      client.realms.partialImport({ realm: realm.name, rep: { ...rep, ifResourceExists } });
    await go('FAIL', company);
    const refused = await refusal(go('FAIL', { ...company, users: [{ username: 'somebody' }] }));
    t.deepEqual([refused.status, refused.body.errorMessage], [409, "CLIENT 'shop' already exists"]);
    t.is((await client.users.find({ username: 'somebody', exact: true })).length, 0, 'nothing was begun');

    t.like(await go('SKIP', company), { added: 0, skipped: 7, overwritten: 0 });
    const changed = {
      ...company,
      users: [{ username: 'alice', firstName: 'Alice' }],
      roles: { realm: [{ name: 'buyer', description: 'Buys much' }] },
    };
    t.like(await go('OVERWRITE', changed), { added: 0, skipped: 0, overwritten: 4 });
    t.is((await client.users.find({ username: 'alice', exact: true }))[0]?.firstName, 'Alice');
    t.is((await client.roles.findOneByName({ name: 'buyer' }))?.description, 'Buys much');
  });

  engine.test('what is exported is imported elsewhere, and holds no secret', async (t) => {
    const { realm, client } = await realmOf();
    await client.realms.partialImport({ realm: realm.name, rep: { ...company, ifResourceExists: 'FAIL' } });
    const exported = await client.realms.export({ realm: realm.name, exportClients: true, exportGroupsAndRoles: true });
    t.is(exported.realm, realm.name);
    const shop = exported.clients?.find(({ clientId }) => clientId === 'shop');
    t.is(shop?.secret, '**********');
    t.deepEqual(exported.roles?.realm?.find(({ name }) => name === 'boss')?.composites, { realm: ['buyer'], client: { shop: ['cashier'] } });
    t.like(exported.groups?.[0], { name: 'sales', realmRoles: ['buyer'] });
    t.deepEqual(exported.groups?.[0]?.subGroups?.[0]?.attributes, { floor: ['3'] });
    t.is((await client.realms.export({ realm: realm.name })).clients, undefined);

    const other = await realmOf();
    const { clients, roles, groups } = exported;
    const own = { clients: clients?.filter(({ clientId }) => clientId === 'shop'), roles, groups };
    const answer = await other.client.realms
      .partialImport({ realm: other.realm.name, rep: { ...Object(own), ifResourceExists: 'SKIP' } })
      .catch((error) => error);
    t.true(answer.added >= 3, JSON.stringify(answer.responseData ?? answer));
  });

  engine.test('a realm is made out of a whole export, or not at all', async (t) => {
    const { server, admin, realm, client } = await realmOf();
    await client.realms.partialImport({ realm: realm.name, rep: { ...company, ifResourceExists: 'FAIL' } });
    const exported = await client.realms.export({ realm: realm.name, exportClients: true, exportGroupsAndRoles: true });
    await client.realms.del({ realm: realm.name });
    const users = [{ username: 'alice', groups: ['/sales/emea'], realmRoles: ['boss'] }];
    const wrong = { ...exported, users: [{ username: 'alice', realmRoles: ['nobody'] }] };
    t.is((await refusal(client.realms.create(wrong))).status, 400);
    t.falsy(await client.realms.findOne({ realm: realm.name }));
    await client.realms.create({ ...exported, users });
    const again = keycloakClient(server, realm, admin.token);
    const [alice] = await again.users.find({ username: 'alice', exact: true });
    t.true((await again.users.listRealmRoleMappings({ id: alice?.id ?? '' })).some(({ name }) => name === 'boss'));
    t.like(await again.realms.findOne({ realm: realm.name }), { id: realm.id, accessTokenLifespan: exported.accessTokenLifespan });
    t.is((await again.clients.find({ clientId: 'shop' })).length, 1);
  });

  engine.test('whoever imports gains nothing that they could not make by itself', async (t) => {
    const { server, realm } = await realmOf();
    const { client } = await limitedClient(server, realm, ['manage-realm']);
    const go = (rep: RealmRepresentation) => refusal(client.realms.partialImport({ realm: realm.name, rep: { ...rep, ifResourceExists: 'FAIL' } }));
    t.is((await go({ users: [{ username: 'mallory' }] })).status, 403);
    t.is((await go({ clients: [{ clientId: 'mine' }] })).status, 403);
    const users = await limitedClient(server, realm, ['manage-realm', 'manage-users', 'view-clients']);
    const rep = { users: [{ username: 'mallory', clientRoles: { 'realm-management': ['realm-admin'] } }] };
    t.is((await refusal(users.client.realms.partialImport({ realm: realm.name, rep: { ...rep, ifResourceExists: 'FAIL' } }))).status, 403);
    t.is((await refusal(client.realms.export({ realm: realm.name, exportClients: true }))).status, 403);
    t.is((await go({ users: [{ email: 'nobody@example.com' }] })).body.field, 'username');
  });

  engine.test('an export costs the same however much there is', async (t) => {
    const db = await engine.open();
    const server = await startCardea(db);
    const admin = await adminOf(server);
    const realm = await server.realm();
    const client = keycloakClient(server, realm, admin.token);
    const all = () => client.realms.export({ realm: realm.name, exportClients: true, exportGroupsAndRoles: true });
    const few = await statementsOf(server, all);
    for (let index = 0; index < 6; index += 1) {
      await client.groups.create({ name: `group-${index}` });
      await client.roles.create({ name: `role-${index}` });
      await server.client(realm);
    }
    t.is(await statementsOf(server, all), few);
  });
});
