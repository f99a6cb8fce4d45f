/** Events of users and administrators, and the test of a mail server, through Keycloak's own client. */
import { type Admin, adminOf } from '../support/admin.ts';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal, statementsOf } from '../support/keycloak.ts';
import { startMailServer } from '../support/mail-server.ts';

forEachEngine((engine) => {
  let shared: Promise<{ server: Cardea; admin: Admin }> | undefined;
  const world = () => {
    shared ??= engine.database().then(async (db) => {
      const server = await startCardea(db, { CARDEA_OUTBOUND_ALLOW: 'localhost:*' });
      return { server, admin: await adminOf(server) };
    });
    return shared;
  };
  const realmOf = async () => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    return { server, admin, realm, client: keycloakClient(server, realm, admin.token) };
  };

  engine.test('what administrators did is listed, and looked for', async (t) => {
    const { server, admin, realm, client } = await realmOf();
    const user = await server.user(realm);
    await client.users.update({ id: user.id }, { firstName: 'Ada' });
    await client.realms.update({ realm: realm.name }, { displayName: 'Other' });
    const events = await client.realms.findAdminEvents({ realm: realm.name });
    t.like(events[0], { operationType: 'UPDATE', resourceType: 'REALM', realmId: realm.id, authDetails: { realmId: admin.master.id } });
    t.like(events[1], { operationType: 'UPDATE', resourceType: 'USER', resourcePath: `users/${user.id}` });
    t.true(events.some(({ operationType, resourceType }) => operationType === 'CREATE' && resourceType === 'REALM'));
    const found = (some: object) => client.realms.findAdminEvents({ realm: realm.name, ...some });
    t.deepEqual(new Set((await found({ resourceTypes: 'USER' })).map(({ resourceType }) => resourceType)), new Set(['USER']));
    t.is((await found({ operationTypes: 'UPDATE', resourcePath: `users/${user.id}` })).length, 1);
    t.is((await found({ first: 1, max: 1 }))[0]?.resourceType, 'USER');
    t.is((await found({ authRealm: admin.master.name, max: 10 })).length, 2);
    t.is((await found({ authRealm: 'another' })).length, 0);
    t.is((await found({ dateTo: '2020-01-01' })).length, 0);
    t.is((await found({ dateFrom: '2020-01-01' })).length, events.length);
    t.is((await refusal(found({ dateFrom: 'x' }))).body.field, 'dateFrom');
    await client.realms.clearAdminEvents({ realm: realm.name });
    t.deepEqual(await found({}), []);
    t.deepEqual(await found({ dateFrom: '2020-01-01' }), []);
    // The chain has all of it, and that the list was emptied.
    const kept = (await admin.call('GET', `/realms/${realm.name}/audit?max=100`)).body;
    t.true(JSON.stringify(kept).includes('admin-events.clearedAt'));
    await client.users.update({ id: user.id }, { firstName: 'Eve' });
    t.like(await found({}), [{ resourcePath: `users/${user.id}` }]);
  });

  engine.test('what users did is listed in Keycloak’s words', async (t) => {
    const { server, realm, client } = await realmOf();
    const user = await server.user(realm);
    const { clientId } = await server.client(realm, { clientId: 'app' });
    const at = Date.now();
    const rows = ['login.ok', 'login.failed', 'mfa.factor.enrolled', 'stepup.required'].map((type, index) => ({
      ...{ realm_id: realm.id, id: `row-${index}`, at: at + index, type, subject: user.id, client_id: clientId, ip: '192.0.2.1' },
      details: JSON.stringify(type === 'login.failed' ? { reason: 'credentials' } : { factor: 'totp' }),
    }));
    await server.db.knex('audit_events').insert(rows);
    const found = (some: object = {}) => client.realms.findEvents({ realm: realm.name, ...some });
    t.deepEqual(
      (await found()).map(({ type, error }) => [type, error]),
      [
        ['UPDATE_CREDENTIAL', undefined],
        ['LOGIN_ERROR', 'invalid_user_credentials'],
        ['LOGIN', undefined],
      ],
    );
    t.like((await found({ type: 'LOGIN' }))[0], { clientId, userId: user.id, ipAddress: '192.0.2.1', time: at });
    t.is((await found({ type: ['LOGIN', 'LOGIN_ERROR'] })).length, 2);
    t.is((await found({ client: 'another' })).length, 0);
    t.is((await found({ user: user.id, ipAddress: '192.0.2.1', max: 2 })).length, 2);
    // Whoever empties the list is shown nothing from before; the audit keeps it.
    await client.realms.clearEvents({ realm: realm.name });
    t.deepEqual(await found(), []);
    t.is(
      Number(
        (await server.db.knex('audit_events').where({ realm_id: realm.id, subject: user.id, client_id: clientId }).count({ n: '*' }).first())?.n,
      ),
      rows.length,
    );
  });

  engine.test('what is configured of events is kept', async (t) => {
    const { realm, client } = await realmOf();
    const config = await client.realms.getConfigEvents({ realm: realm.name });
    t.like(config, { eventsEnabled: false, adminEventsEnabled: false });
    await client.realms.updateConfigEvents({ realm: realm.name }, config);
    t.deepEqual(await client.realms.getConfigEvents({ realm: realm.name }), config);
    await client.realms.updateConfigEvents({ realm: realm.name }, { eventsEnabled: true, eventsExpiration: 1_000 });
    t.like(await client.realms.getConfigEvents({ realm: realm.name }), { eventsEnabled: true, eventsExpiration: 1_000 });
  });

  engine.test('a mail server is tried, and an administrator’s own address is written to', async (t) => {
    const { server, realm } = await realmOf();
    const mails = await startMailServer();
    const { client, userId } = await limitedClient(server, realm, ['manage-realm']);
    const config = { host: 'localhost', port: mails.port, from: 'no-reply@example.com' };
    const test = (some: object = {}) => client.realms.testSMTPConnection({ realm: realm.name }, { ...config, ...some });
    t.is((await refusal(test())).status, 400, 'nobody to write to');
    await server.db.knex('users').where({ id: userId }).update({ email: 'erin@example.com', email_shown: 'erin@example.com' });
    await test();
    t.is(mails.mails.length, 1);
    t.is((await refusal(test({ port: 1 }))).status, 400);
    t.is((await refusal(test({ host: '169.254.169.254' }))).body.field, 'smtpServer.host');
    t.is((await refusal(test({ host: '127.0.0.1' }))).body.field, 'smtpServer.host', 'only what the installation names');
  });

  engine.test('what is left out says so', async (t) => {
    const { realm, client } = await realmOf();
    t.deepEqual(await client.realms.pushRevocation({ realm: realm.name }), { successRequests: [], failedRequests: [] });
    t.is((await refusal(client.realms.testLDAPConnection({ realm: realm.name }, {}))).status, 501);
    t.deepEqual(await client.realms.getRealmSpecificLocales({ realm: realm.name }), []);
    t.deepEqual(await client.realms.getClientRegistrationPolicyProviders({ realm: realm.name }), []);
  });

  engine.test('a page of events costs the same however many there are', async (t) => {
    const db = await engine.open();
    const server = await startCardea(db);
    const admin = await adminOf(server);
    const realm = await server.realm();
    const client = keycloakClient(server, realm, admin.token);
    const page = () => client.realms.findAdminEvents({ realm: realm.name });
    const few = await statementsOf(server, page);
    for (let index = 0; index < 12; index += 1) await server.user(realm);
    t.is(await statementsOf(server, page), few);
  });
});
