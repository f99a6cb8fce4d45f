/** Realms, through Keycloak's own client. */
import { randomUUID } from 'node:crypto';
import { createClient } from '../../src/admin/resources/clients.ts';
import { policyInForce } from '../../src/store/policies.ts';
import { realmByName } from '../../src/store/realms.ts';
import { serviceAccountUser } from '../../src/store/users.ts';
import { adminOf, adminWorld, serviceToken } from '../support/admin.ts';
import { startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal, statementsOf } from '../support/keycloak.ts';

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const installation = async () => {
    const { server, admin } = await world();
    return { server, admin, client: keycloakClient(server, admin.master, admin.token) };
  };
  let names = 0;
  const unused = (): string => {
    names += 1;
    return `Made_${names}.${randomUUID().slice(0, 6)}`;
  };
  const rowOf = async (name: string) => {
    const { server } = await world();
    const row = await realmByName(server.db.knex, name);
    if (!row) throw new Error(`There is no realm ${name}.`);
    return row;
  };

  engine.test('a realm is made, read, changed and deleted', async (t) => {
    const { server, client } = await installation();
    const name = unused();
    t.deepEqual(await client.realms.create({ id: name.toLowerCase(), realm: name, displayName: 'Acme' }), { realmName: name });
    t.like(await client.realms.findOne({ realm: name }), { id: name.toLowerCase(), realm: name, displayName: 'Acme', enabled: true });
    t.true((await client.realms.find()).some(({ realm }) => realm === name));

    await client.realms.update({ realm: name }, { displayName: 'Other', accessTokenLifespan: 120, otpPolicyDigits: 8, passwordPolicy: 'length(10)' });
    const found = await client.realms.findOne({ realm: name });
    t.like(found, { displayName: 'Other', accessTokenLifespan: 120, otpPolicyDigits: 8, passwordPolicy: 'length(10)' });
    t.like((await rowOf(name)).settings, { passwordMinLength: 10, accessTokenLifespan: 120 });
    t.is((await client.realms.findOne({ realm: name }))?.defaultRole?.name, `default-roles-${name}`);

    t.is((await fetch(`${server.origin}/realms/${name}`)).status, 200);
    await client.realms.update({ realm: name }, { enabled: false });
    t.is((await fetch(`${server.origin}/realms/${name}`)).status, 404);
    await client.realms.update({ realm: name }, { enabled: true });
    t.is((await fetch(`${server.origin}/realms/${name}`)).status, 200);

    await client.realms.del({ realm: name });
    t.falsy(await client.realms.findOne({ realm: name }));
    t.is((await fetch(`${server.origin}/realms/${name}`)).status, 404);
    t.is((await refusal(client.realms.del({ realm: name }))).status, 404);
  });

  engine.test('a PUT of what GET answered changes nothing', async (t) => {
    const { server, client } = await installation();
    const name = unused();
    await client.realms.create({
      realm: name,
      displayName: '',
      attributes: { 'acr.loa.map': '{"gold":2}', color: 'blue' },
      registrationAllowed: true,
    });
    for (let round = 0; round < 2; round += 1) {
      const before = await rowOf(name);
      const shown = await client.realms.findOne({ realm: name });
      if (!shown) throw new Error('It was made.');
      await client.realms.update({ realm: name }, shown);
      t.is((await rowOf(name)).version, before.version);
      t.deepEqual(await client.realms.findOne({ realm: name }), shown);
      t.like(shown, { displayName: '', registrationAllowed: true, attributes: { 'acr.loa.map': '{"gold":2}', color: 'blue' } });
    }
    const { id } = await rowOf(name);
    t.deepEqual((await policyInForce(server.db.knex, id)).document.acr, { gold: 'aal2' });
    await client.realms.update({ realm: name }, { attributes: { color: 'red' } });
    t.deepEqual((await client.realms.findOne({ realm: name }))?.attributes, { color: 'red', 'acr.loa.map': '{"gold":2}' });
    await client.realms.update({ realm: name }, { attributes: { 'acr.loa.map': '{}' } });
    t.deepEqual((await policyInForce(server.db.knex, id)).document.acr, {});
  });

  engine.test('what cannot be is refused, and the field named', async (t) => {
    const { client } = await installation();
    const name = unused();
    await client.realms.create({ realm: name });
    const same = await refusal(client.realms.create({ realm: name.toUpperCase() }));
    t.is(same.status, 409, 'not even in other letters');
    for (const wrong of ['', 'a b', '../x', 'admin']) t.deepEqual((await refusal(client.realms.create({ realm: wrong }))).body.field, 'realm', wrong);
    const refusals: [object, string, number][] = [
      [{ accessTokenLifespan: 1 }, 'accessTokenLifespan', 400],
      [{ duplicateEmailsAllowed: true }, 'duplicateEmailsAllowed', 400],
      [{ attributes: { 'acr.loa.map': '{"gold":7}' } }, 'attributes.acr.loa.map', 400],
      [{ smtpServer: { host: '127.0.0.1', from: 'a@example.com' } }, 'smtpServer.host', 400],
      [{ smtpServer: { host: 'mail.example.com' } }, 'smtpServer.from', 400],
      [{ realm: 'another' }, 'realm', 501],
    ];
    for (const [body, field, status] of refusals) {
      const answer = await refusal(client.realms.update({ realm: name }, body));
      t.deepEqual([answer.status, answer.body.field], [status, field], JSON.stringify(body));
    }
    t.is((await refusal(client.realms.del({ realm: 'master' }))).status, 400);
  });

  engine.test('the account for mail keeps its password to itself', async (t) => {
    const { client } = await installation();
    const name = unused();
    const smtpServer = { host: 'mail.example.com', port: '587', from: 'no-reply@example.com', starttls: 'true', auth: 'true', user: 'cardea' };
    await client.realms.create({ realm: name, smtpServer: { ...smtpServer, password: 'a secret of mail' } });
    const shown = await client.realms.findOne({ realm: name });
    t.deepEqual(shown?.smtpServer, { ...smtpServer, password: '**********' });
    t.is((await rowOf(name)).settings.channels.mail, 'realm');
    await client.realms.update({ realm: name }, { smtpServer: { ...shown?.smtpServer, fromDisplayName: 'Acme' } });
    t.is((await client.realms.findOne({ realm: name }))?.smtpServer?.fromDisplayName, 'Acme');
    const elsewhere = await refusal(client.realms.update({ realm: name }, { smtpServer: { ...shown?.smtpServer, host: 'evil.example' } }));
    t.deepEqual([elsewhere.status, elsewhere.body.field], [400, 'smtpServer.password']);
    const nobody = { auth: 'true', from: 'no-reply@example.com', host: 'mail.example.com' };
    await client.realms.update({ realm: name }, { smtpServer: nobody });
    t.deepEqual((await client.realms.findOne({ realm: name }))?.smtpServer, nobody, 'who names nobody signs in as nobody');
    await client.realms.update({ realm: name }, { smtpServer: {} });
    t.deepEqual((await client.realms.findOne({ realm: name }))?.smtpServer, {});
  });

  engine.test('who may make realms manages what they made, and nobody else does', async (t) => {
    const { server, admin } = await installation();
    const secret = 'a secret of a maker';
    const { client: row } = await createClient(server.operator(), admin.master, {
      ...{ clientId: 'maker', secret, firstParty: true, serviceAccount: true, serviceAccountRoles: ['create-realm'] },
    });
    const maker = keycloakClient(server, admin.master, await serviceToken(server, 'master', 'maker', secret));
    const name = unused();
    await maker.realms.create({ realm: name });
    t.deepEqual(
      (await maker.realms.find()).map(({ realm }) => realm),
      [name],
    );
    await maker.realms.update({ realm: name }, { displayName: 'Mine' });
    t.is((await refusal(maker.realms.update({ realm: 'master' }, { displayName: 'Mine' }))).status, 403);
    const user = await serviceAccountUser(server.db.knex, admin.master.id, row.id);
    t.truthy(user);
    await maker.realms.del({ realm: name });
    t.is((await refusal(maker.realms.find())).status, 403);

    const other = await server.realm();
    const { client: limited } = await limitedClient(server, other, ['view-users']);
    t.deepEqual(await limited.realms.findOne({ realm: other.name }), { realm: other.name });
    t.deepEqual(await limited.realms.find(), [{ realm: other.name }]);
    t.is((await refusal(limited.realms.create({ realm: unused() }))).status, 403);
    t.is((await refusal(limited.realms.update({ realm: other.name }, {}))).status, 403);
    t.is((await refusal(limited.realms.del({ realm: other.name }))).status, 403);
  });

  engine.test('what a deleted realm had is gone, but for the record in master', async (t) => {
    const { server, admin, client } = await installation();
    const name = unused();
    await client.realms.create({ realm: name });
    const realm = await rowOf(name);
    for (let index = 0; index < 3; index += 1) await server.user(realm);
    await client.realms.del({ realm: name });
    const { knex } = server.db;
    for (const table of ['users', 'clients', 'roles', 'audit_events', 'signing_keys', 'data_keys', 'client_scopes', 'audit_chains'])
      t.is((await knex(table).where({ realm_id: realm.id })).length, 0, table);
    t.is((await knex('clients').where({ realm_id: admin.master.id, client_id: `${name}-realm` })).length, 0);
    const rows = await knex('audit_events').where({ realm_id: admin.master.id, type: 'realm.deleted' });
    t.true(rows.some(({ details }) => String(details).includes(name)));
    await client.realms.create({ realm: name, id: realm.id });
    t.is((await server.user(await rowOf(name))).realmId, realm.id, 'one of the same id seals with keys of its own');
  });

  engine.test('a list costs the same however many realms there are', async (t) => {
    const db = await engine.open();
    const server = await startCardea(db);
    const admin = await adminOf(server);
    const client = keycloakClient(server, admin.master, admin.token);
    const few = await statementsOf(server, () => client.realms.find());
    for (let index = 0; index < 12; index += 1) await server.realm();
    t.is((await client.realms.find()).length, 13);
    t.true((await statementsOf(server, () => client.realms.find())) <= few);
    t.true((await statementsOf(server, () => client.realms.find({ briefRepresentation: true }))) <= few);
  });
});
