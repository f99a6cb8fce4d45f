/** Credentials, through Keycloak's own client: listed without secrets, named, ordered, switched off, removed; passwords set. */
import { randomUUID } from 'node:crypto';
import { giveRoles } from '../../src/admin/resources/roles.ts';
import { credentialSeal, insertCredential } from '../../src/store/credentials.ts';
import type { UserRow } from '../../src/store/users.ts';
import { adminWorld } from '../support/admin.ts';
import type { Cardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal } from '../support/keycloak.ts';

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const realmOf = async () => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    return { server, admin, realm, client: keycloakClient(server, realm, admin.token) };
  };

  /** An app of that user, as it is stored. */
  const giveApp = async (server: Cardea, user: UserRow, label: string, factor = 'totp'): Promise<string> => {
    const key = { realmId: user.realmId, userId: user.id, id: randomUUID() };
    await insertCredential(server.db.knex, {
      ...key,
      factor,
      label,
      secret: await server.keyring.seal(credentialSeal(key), JSON.stringify({ secret: 'THE SECRET OF THE APP' })),
      counter: null,
      enabled: true,
      level: null,
      lookup: null,
      createdAt: Date.now(),
      lastUsedAt: null,
    });
    return key.id;
  };

  engine.test('credentials are listed by Keycloak’s names and without secrets', async (t) => {
    const { server, realm, client } = await realmOf();
    const user = await server.user(realm);
    await giveApp(server, user, 'Phone');
    await giveApp(server, user, 'Key', 'security-key');
    await giveApp(server, user, 'Passkey', 'passkey');
    await giveApp(server, user, 'Mail', 'email-otp');
    const listed = await client.users.getCredentials({ id: user.id });
    t.deepEqual(
      listed.map(({ type, userLabel }) => [type, userLabel]),
      [
        ['password', undefined],
        ['otp', 'Phone'],
        ['webauthn', 'Key'],
        ['webauthn-passwordless', 'Passkey'],
        ['email-otp', 'Mail'],
      ],
    );
    t.notRegex(JSON.stringify(listed), /THE SECRET|argon2|phc/);
    t.true((await client.users.findOne({ id: user.id }))?.totp);
    t.deepEqual(await client.users.getUserStorageCredentialTypes({ id: user.id }), []);
  });

  engine.test('credentials are named, moved and removed', async (t) => {
    const { server, realm, client } = await realmOf();
    const user = await server.user(realm);
    const { id } = user;
    const one = await giveApp(server, user, 'One');
    const two = await giveApp(server, user, 'Two');
    await client.users.updateCredentialLabel({ id, credentialId: one }, 'My "phone"');
    const labels = async () => (await client.users.getCredentials({ id })).map(({ userLabel }) => userLabel);
    t.deepEqual(await labels(), [undefined, 'My "phone"', 'Two']);
    await client.users.moveCredentialPositionUp({ id, credentialId: two });
    t.deepEqual(await labels(), ['Two', undefined, 'My "phone"']);
    await client.users.moveCredentialPositionDown({ id, credentialId: two, newPreviousCredentialId: one });
    t.deepEqual(await labels(), [undefined, 'My "phone"', 'Two']);
    await giveApp(server, user, 'Three');
    t.deepEqual(await labels(), [undefined, 'My "phone"', 'Two', 'Three'], 'a new one comes last');
    await client.users.deleteCredential({ id, credentialId: one });
    t.deepEqual(await labels(), [undefined, 'Two', 'Three']);
    t.is((await refusal(client.users.deleteCredential({ id, credentialId: one }))).status, 404);
    t.is((await refusal(client.users.updateCredentialLabel({ id, credentialId: one }, 'x'))).status, 404);
    t.is((await refusal(client.users.moveCredentialPositionUp({ id, credentialId: one }))).status, 404);
    const [password] = await client.users.getCredentials({ id });
    await client.users.deleteCredential({ id, credentialId: password?.id ?? '' });
    t.deepEqual(await labels(), ['Two', 'Three']);
  });

  engine.test('a type of second factor is switched off; a password is not', async (t) => {
    const { server, admin, realm } = await realmOf();
    const user = await server.user(realm);
    await giveApp(server, user, 'Phone');
    const path = `/realms/${realm.name}/users/${user.id}`;
    t.is((await admin.call('PUT', `${path}/disable-credential-types`, { body: ['otp'] })).status, 204);
    const [, app] = (await admin.call('GET', `${path}/credentials`)).body;
    t.false(JSON.parse(app.credentialData).enabled);
    t.is((await admin.call('PUT', `${path}/disable-credential-types`, { body: ['password'] })).status, 400);
    t.is((await admin.call('PUT', `${path}/disable-credential-types`, { body: ['unheard-of'] })).status, 204);
  });

  engine.test('a password is set by the realm’s rules, for good or until the next sign-in', async (t) => {
    const { server, realm, client } = await realmOf();
    const { id } = await client.users.create({ username: 'alice', enabled: true, email: 'alice@example.com' });
    const credential = { type: 'password', value: 'a long enough password', temporary: false };
    await client.users.resetPassword({ id, credential });
    t.is((await client.users.getCredentials({ id })).length, 1);
    t.deepEqual((await client.users.findOne({ id }))?.requiredActions, []);
    await client.users.resetPassword({ id, credential: { ...credential, temporary: true } });
    t.deepEqual((await client.users.findOne({ id }))?.requiredActions, ['UPDATE_PASSWORD']);
    for (const value of ['short', '', undefined]) {
      const answer = await refusal(client.users.resetPassword({ id, credential: { type: 'password', ...(value === undefined ? {} : { value }) } }));
      t.is(answer.status, 400, String(value));
    }
    t.is((await refusal(client.users.resetPassword({ id, credential: { type: 'otp', value: 'x' } }))).status, 400);
    const mail = await server.db.knex('outbox').where({ realm_id: realm.id }).first('id');
    t.truthy(mail, 'the user is told');
  });

  engine.test('credentials of somebody who manages more, and of another realm, are out of reach', async (t) => {
    const { server, realm } = await realmOf();
    const boss = await server.user(realm);
    const app = await giveApp(server, boss, 'Phone');
    await giveRoles(server.operator(), realm, boss, [{ name: 'realm-admin', client: 'realm-management' }]);
    const { client: limited } = await limitedClient(server, realm, ['manage-users']);
    const at = { id: boss.id, credentialId: app };
    const credential = { type: 'password', value: 'a long enough password' };
    t.is((await refusal(limited.users.resetPassword({ id: boss.id, credential }))).status, 403);
    t.is((await refusal(limited.users.deleteCredential(at))).status, 403);
    t.is((await refusal(limited.users.updateCredentialLabel(at, 'x'))).status, 403);
    t.is((await refusal(limited.users.moveCredentialPositionUp(at))).status, 403);
    const other = await realmOf();
    const stranger = await other.server.user(other.realm);
    t.is((await refusal(other.client.users.getCredentials({ id: boss.id }))).status, 404);
    t.is((await refusal(other.client.users.deleteCredential({ id: stranger.id, credentialId: app }))).status, 404);
    const { client: viewer } = await limitedClient(server, realm, ['view-users']);
    t.is((await viewer.users.getCredentials({ id: boss.id })).length, 2);
    t.is((await refusal(viewer.users.resetPassword({ id: boss.id, credential }))).status, 403);
  });
});
