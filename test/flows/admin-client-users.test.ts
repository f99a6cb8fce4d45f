/** Users, through Keycloak's own client. */
import { UnmanagedAttributePolicy } from '@keycloak/keycloak-admin-client/lib/defs/userProfileMetadata.js';
import { createGroup } from '../../src/admin/resources/groups.ts';
import { giveRoles } from '../../src/admin/resources/roles.ts';
import { auditEvents } from '../../src/store/audit.ts';
import { adminWorld } from '../support/admin.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal, statementsOf } from '../support/keycloak.ts';
import { openid, relyingParty, signIn } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const realmOf = async () => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    return { server, admin, realm, client: keycloakClient(server, realm, admin.token) };
  };

  engine.test('a user is made, read, changed in part and deleted', async (t) => {
    const { server, realm, client } = await realmOf();
    const { id } = await client.users.create({
      username: 'Alice',
      email: 'Alice@Example.com',
      firstName: 'Alice',
      attributes: { team: ['sales'], floor: '3' },
      requiredActions: ['UPDATE_PASSWORD', 'unheard-of'],
    });
    const made = await client.users.findOne({ id });
    t.like(made, { id, username: 'Alice', email: 'Alice@Example.com', firstName: 'Alice', enabled: false, emailVerified: false, totp: false });
    t.deepEqual(made?.attributes, { team: ['sales'], floor: ['3'] });
    t.deepEqual(made?.requiredActions, ['UPDATE_PASSWORD']);
    t.is(made?.access?.manage, true);

    await client.users.update({ id }, { lastName: 'Archer', enabled: true, emailVerified: true, requiredActions: [] });
    const changed = await client.users.findOne({ id });
    t.like(changed, { username: 'Alice', firstName: 'Alice', lastName: 'Archer', enabled: true, emailVerified: true, requiredActions: [] });
    t.deepEqual(changed?.attributes, { team: ['sales'], floor: ['3'] }, 'what is not there stays');
    await client.users.update({ id }, { email: 'alice@example.org', attributes: { team: ['support', 'sales'] } });
    const moved = await client.users.findOne({ id });
    t.like(moved, { email: 'alice@example.org', emailVerified: false, firstName: 'Alice' });
    t.deepEqual(moved?.attributes, { team: ['support', 'sales'] });
    await client.users.update({ id }, { ...moved, email: '' });
    t.is((await client.users.findOne({ id }))?.email, undefined, 'an empty address is none');

    await client.users.del({ id });
    t.falsy(await client.users.findOne({ id }));
    t.is((await refusal(client.users.del({ id }))).status, 404);
    const types = (await auditEvents(server.db.knex, realm.id, { limit: 20 })).map(({ type }) => type);
    t.deepEqual(types.filter((type) => type.startsWith('user.')).sort(), [
      'user.created',
      'user.deleted',
      'user.updated',
      'user.updated',
      'user.updated',
    ]);
  });

  engine.test('names and addresses are one user’s each, however they are written', async (t) => {
    const { client } = await realmOf();
    const { id } = await client.users.create({ username: 'bob', email: 'bob@example.com' });
    const name = await refusal(client.users.create({ username: ' BOB ' }));
    t.deepEqual([name.status, name.body.errorMessage], [409, 'User exists with same username']);
    const email = await refusal(client.users.create({ username: 'bobby', email: 'BOB@example.com' }));
    t.deepEqual([email.status, email.body.errorMessage], [409, 'User exists with same email']);
    const other = await client.users.create({ username: 'erin', email: 'erin@example.com' });
    t.is((await refusal(client.users.update({ id: other.id }, { username: 'Bob' }))).body.errorMessage, 'User exists with same username');
    t.is((await refusal(client.users.update({ id: other.id }, { email: 'bob@Example.com' }))).body.errorMessage, 'User exists with same email');
    await client.users.update({ id }, { username: 'BOB' });
    t.is((await client.users.findOne({ id }))?.username, 'BOB', 'the same name, written otherwise');
    for (const [body, field] of [
      [{}, 'username'],
      [{ username: 'a b' }, 'username'],
      [{ username: 'x', email: 'nowhere' }, 'email'],
      [{ username: 'x', credentials: [{ type: 'otp', value: 'x' }] }, 'credentials.0.secretData'],
      [{ username: 'x', credentials: [{ type: 'password', value: 'short' }] }, 'password'],
    ] as const) {
      const answer = await refusal(client.users.create(JSON.parse(JSON.stringify(body))));
      t.deepEqual([answer.status, answer.body.field], [400, field]);
    }
    t.is((await refusal(client.users.create({ username: 'x', groups: ['/nowhere'] }))).status, 404);
  });

  engine.test('users are looked for by parts of names, by quotes, by stars and by attributes', async (t) => {
    const { server, client } = await realmOf();
    for (const [username, firstName, lastName, team] of [
      ['anna.berg', 'Anna', 'Berg', 'sales'],
      ['bernd.ost', 'Bernd', 'Öst', 'sales'],
      ['carl_oberg', 'Carl', 'Oberg', 'west wing'],
      ['dora', 'Dora', '100%', 'x'],
    ] as const)
      await client.users.create({
        username,
        firstName,
        lastName,
        email: `${username}@example.com`,
        enabled: username !== 'dora',
        attributes: { team },
      });
    const found = async (query: Parameters<typeof client.users.find>[0]) => (await client.users.find(query)).map(({ username }) => username);
    t.deepEqual(await found({}), ['anna.berg', 'bernd.ost', 'carl_oberg', 'dora']);
    t.deepEqual(await found({ search: 'ber' }), ['anna.berg', 'bernd.ost'], 'a word begins a name');
    t.deepEqual(await found({ search: '*berg' }), ['anna.berg', 'carl_oberg']);
    t.deepEqual(await found({ search: '*BERG*' }), ['anna.berg', 'carl_oberg']);
    t.deepEqual(await found({ search: '"Berg"' }), ['anna.berg']);
    t.deepEqual(await found({ search: 'anna berg' }), ['anna.berg']);
    t.deepEqual(await found({ search: 'Öst' }), ['bernd.ost']);
    t.deepEqual(await found({ lastName: 'Öst' }), ['bernd.ost']);
    // PostgreSQL folds such letters as its locale has them.
    if (server.db.engine === 'sqlite') t.deepEqual(await found({ search: 'öst' }), ['bernd.ost']);
    t.deepEqual(await found({ search: '*%' }), ['dora'], 'a sign of the database is a sign like another');
    t.deepEqual(await found({ search: 'carl_' }), ['carl_oberg']);
    t.deepEqual(await found({ username: 'er' }), ['anna.berg', 'bernd.ost', 'carl_oberg']);
    t.deepEqual(await found({ username: 'DORA', exact: true }), ['dora']);
    t.deepEqual(await found({ username: 'dor', exact: true }), []);
    t.deepEqual(await found({ email: 'dora@' }), ['dora']);
    t.deepEqual(await found({ lastName: 'berg', exact: true }), ['anna.berg']);
    t.deepEqual(await found({ firstName: 'n', lastName: 'b' }), ['anna.berg']);
    t.deepEqual(await found({ q: 'email:ANNA' }), await found({ email: 'anna' }));
    t.deepEqual(await found({ q: 'team:sales username:anna' }), ['anna.berg']);
    t.deepEqual(await found({ q: 'team:sales' }), ['anna.berg', 'bernd.ost']);
    t.deepEqual(await found({ q: 'team:"west wing"' }), ['carl_oberg']);
    t.deepEqual(await found({ q: 'team:sales nothing:x' }), []);
    t.deepEqual(await found(Object({ enabled: false })), ['dora']);
    t.deepEqual(await found(Object({ emailVerified: true })), []);
    t.deepEqual(await found({ first: 1, max: 2 }), ['bernd.ost', 'carl_oberg']);
    t.is(await client.users.count({ search: 'ber' }), 2);
    t.is(await client.users.count(), 4);
    t.is(await client.users.count(Object({ enabled: true })), 3);
    const [brief] = await client.users.find({ briefRepresentation: true, max: 1 });
    t.is(brief?.attributes, undefined);
    const [whole] = await client.users.find({ max: 1 });
    t.deepEqual(whole?.attributes, { team: ['sales'] });
  });

  engine.serial('a list costs the same however long it is, and holds a hundred unless asked for more', async (t) => {
    const { server, realm, client } = await realmOf();
    for (let index = 0; index < 105; index += 1) await server.user(realm, { username: `u${1000 + index}` });
    const few = await statementsOf(server, () => client.users.find({ max: 2 }));
    const many = await statementsOf(server, () => client.users.find({ max: 105 }));
    t.is(few, many);
    t.is((await client.users.find()).length, 100);
    // As Keycloak's clients ask for all: -1, and the greatest integer of Java.
    for (const max of [1000, -1, 2_147_483_647]) t.is((await client.users.find({ first: max === -1 ? -1 : 0, max })).length, 105);
    t.is((await refusal(client.users.find({ max: -2 }))).body.field, 'max');
  });

  engine.test('with a user go sessions, grants and tokens', async (t) => {
    const { server, realm, client } = await realmOf();
    const app = await server.client(realm);
    const rp = await relyingParty(server, realm, app);
    const user = await server.user(realm);
    const { tokens } = await signIn(server, rp, user);
    await client.users.del({ id: user.id });
    await t.throwsAsync(openid.refreshTokenGrant(rp.configuration, tokens.refresh_token ?? ''));
    await t.throwsAsync(openid.fetchUserInfo(rp.configuration, tokens.access_token, user.id));
    t.is(await server.db.knex('sessions').where({ realm_id: realm.id, user_id: user.id }).first('id'), undefined);
    const left = await server.db.knex('oidc_payloads').where({ realm_id: realm.id }).whereNotNull('grant_id').first('id');
    t.is(left, undefined);
  });

  engine.test('a realm’s users are nobody else’s', async (t) => {
    const one = await realmOf();
    const other = await realmOf();
    const { id } = await one.client.users.create({ username: 'alice' });
    t.falsy(await other.client.users.findOne({ id }));
    t.is((await refusal(other.client.users.update({ id }, { enabled: true }))).status, 404);
    t.is((await refusal(other.client.users.del({ id }))).status, 404);
    t.deepEqual(await other.client.users.find({ search: `id:${id}` }), []);
    t.is((await one.client.users.find({ search: `id:${id}` })).length, 1);
  });

  engine.test('who may view, who may ask and who may manage', async (t) => {
    const { server, realm, client } = await realmOf();
    const { id } = await client.users.create({ username: 'alice', enabled: true });
    const view = await limitedClient(server, realm, ['view-users']);
    t.is((await view.client.users.find()).length, 1);
    t.is((await refusal(view.client.users.update({ id }, { enabled: false }))).status, 403);
    t.is((await refusal(view.client.users.create({ username: 'x' }))).status, 403);
    const query = await limitedClient(server, realm, ['query-users']);
    t.deepEqual(await query.client.users.find(), []);
    t.is(await query.client.users.count(), 0);
    t.is((await refusal(query.client.users.findOne({ id }))).status, 403);
  });

  engine.test('who manages more is not a limited administrator’s to change, and no group makes anybody more', async (t) => {
    const { server, realm, client } = await realmOf();
    const boss = await server.user(realm, { username: 'boss' });
    await giveRoles(server.operator(), realm, boss, [{ name: 'realm-admin', client: 'realm-management' }]);
    await createGroup(server.operator(), realm, { name: 'bosses' }, [{ name: 'manage-realm', client: 'realm-management' }]);
    await createGroup(server.operator(), realm, { name: 'below', parent: '/bosses' });
    const { client: limited } = await limitedClient(server, realm, ['manage-users']);
    t.is((await refusal(limited.users.update({ id: boss.id }, { email: 'mine@example.com' }))).status, 403);
    t.is((await refusal(limited.users.del({ id: boss.id }))).status, 403);
    t.is((await refusal(limited.users.create({ username: 'x', groups: ['/bosses/below'] }))).status, 403);
    const { id } = await limited.users.create({ username: 'erin', enabled: true });
    await limited.users.update({ id }, { firstName: 'Erin' });
    await client.users.update({ id: boss.id }, { firstName: 'Boss' });
    await client.users.create({ username: 'y', groups: ['/bosses/below'] });
  });

  engine.test('the profile is a document that is there, and is fixed', async (t) => {
    const { client } = await realmOf();
    const profile = await client.users.getProfile();
    t.deepEqual(
      profile.attributes?.map(({ name }) => name),
      ['username', 'email', 'firstName', 'lastName'],
    );
    t.deepEqual(await client.users.updateProfile({ ...profile, attributes: [] }), profile);
    t.is((await client.users.getProfileMetadata()).attributes?.length, 4);
    // What Keycloak's clients say before they give users attributes is kept, for administrators write them anyway.
    const open = await client.users.updateProfile({ ...profile, unmanagedAttributePolicy: UnmanagedAttributePolicy.Enabled });
    t.is(open.unmanagedAttributePolicy, UnmanagedAttributePolicy.Enabled);
    t.deepEqual(await client.users.getProfile(), open);
    const closed = await refusal(client.users.updateProfile({ unmanagedAttributePolicy: UnmanagedAttributePolicy.AdminView }));
    t.like(closed, { status: 501, body: { field: 'unmanagedAttributePolicy' } });
    t.deepEqual(await client.users.updateProfile(profile), profile);
  });
});
