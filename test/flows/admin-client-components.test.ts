/** Components and keys, through Keycloak's own client. */
import { z } from 'zod';
import { adminWorld } from '../support/admin.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, refusal } from '../support/keycloak.ts';

const KEYS = 'org.keycloak.keys.KeyProvider';

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const realmOf = async () => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    const client = keycloakClient(server, realm, admin.token);
    const published = async (): Promise<string[]> => {
      const answer = await fetch(`${server.origin}/realms/${realm.name}/protocol/openid-connect/certs`);
      const body = z.object({ keys: z.array(z.object({ kid: z.string() })) }).parse(await answer.json());
      return body.keys.map(({ kid }) => kid);
    };
    return { server, realm, client, published };
  };

  engine.test('what has no table of its own is kept as it was written', async (t) => {
    const { server, realm, client } = await realmOf();
    const federation = {
      name: 'the directory',
      parentId: realm.name,
      providerId: 'ldap',
      providerType: 'org.keycloak.storage.UserStorageProvider',
      config: { editMode: ['READ_ONLY'], bindDn: ['cn=admin'], bindCredential: ['a secret of the directory'], validatePasswordPolicy: ['false'] },
    };
    const { id } = await client.components.create(federation);
    const shown = { ...federation, id, config: { ...federation.config, bindCredential: ['**********'] } };
    t.deepEqual(await client.components.findOne({ id }), shown);
    t.deepEqual(await client.components.find({ parent: realm.id, type: federation.providerType }), [shown]);
    t.deepEqual(await client.components.find({ name: 'another' }), []);
    t.deepEqual(await client.components.listSubComponents({ id, type: 'x' }), []);
    await client.components.update({ id }, { ...shown, config: { ...shown.config, editMode: ['WRITABLE'] } });
    t.deepEqual(await client.components.findOne({ id }), { ...shown, config: { ...shown.config, editMode: ['WRITABLE'] } });
    const stored = await server.db.knex('components').where({ realm_id: realm.id, id }).first();
    t.false(JSON.stringify(stored).includes('a secret of the directory'));
    const other = await realmOf();
    t.falsy(await other.client.components.findOne({ id }));
    await client.components.del({ id });
    t.falsy(await client.components.findOne({ id }));
    t.is((await refusal(client.components.del({ id }))).status, 404);
    t.is((await refusal(client.components.create({ name: 'x' }))).status, 400);
    t.is((await refusal(client.components.create({ ...federation, parentId: other.realm.id }))).body.field, 'parentId');
  });

  engine.test('keys are components: one more is published, and signs when applications may know it', async (t) => {
    const { realm, client, published } = await realmOf();
    const keys = await client.components.find({ type: KEYS });
    t.deepEqual(keys.map(({ providerId }) => providerId).sort(), ['ecdsa-generated', 'eddsa-generated', 'rsa-generated']);
    const [rsa] = keys.filter(({ providerId }) => providerId === 'rsa-generated');
    const before = await client.realms.getKeys({ realm: realm.name });
    t.is(before.active?.RS256, rsa?.id);
    t.is(before.keys?.length, 3);

    const config = { priority: ['200'], enabled: ['true'], active: ['true'], algorithm: ['RS256'], keySize: ['2048'] };
    const { id } = await client.components.create({ name: 'mine', providerId: 'rsa-generated', providerType: KEYS, config });
    t.like(await client.components.findOne({ id }), { name: 'mine', config, parentId: realm.id });
    t.true((await published()).includes(id));
    const after = await client.realms.getKeys({ realm: realm.name });
    t.is(after.active?.RS256, rsa?.id, 'not yet');
    t.is(after.keys?.find(({ kid }) => kid === id)?.status, 'PASSIVE');

    await client.components.update({ id }, { config: { ...config, enabled: ['false'] } });
    t.false((await published()).includes(id));
    await client.components.update({ id }, { config });
    t.true((await published()).includes(id));
    await client.components.del({ id });
    t.false((await published()).includes(id));
    t.falsy(await client.components.findOne({ id }));
  });

  engine.test('a store of users is kept, has a name, and no user comes from it', async (t) => {
    const { client } = await realmOf();
    const ldap = { name: 'ldap', providerId: 'ldap', providerType: 'org.keycloak.storage.UserStorageProvider' };
    const { id } = await client.components.create({ ...ldap, config: { editMode: ['READ_ONLY'] } });
    t.deepEqual(await client.userStorageProvider.name({ id }), { id, name: 'ldap' });
    await client.userStorageProvider.removeImportedUsers({ id });
    await client.userStorageProvider.unlinkUsers({ id });
    t.is((await refusal(client.userStorageProvider.sync({ id, action: 'triggerFullSync' }))).status, 501);
    const elsewhere = await realmOf();
    t.is((await refusal(elsewhere.client.userStorageProvider.name({ id }))).status, 404);
    t.is((await refusal(elsewhere.client.userStorageProvider.unlinkUsers({ id }))).status, 404);
    const [key] = await client.components.find({ type: KEYS });
    for (const other of [key?.id ?? '', 'nothing']) t.is((await refusal(client.userStorageProvider.name({ id: other }))).status, 404);
  });

  engine.test('a realm always has a key to sign with', async (t) => {
    const { client } = await realmOf();
    const [rsa] = (await client.components.find({ type: KEYS })).filter(({ providerId }) => providerId === 'rsa-generated');
    const id = rsa?.id ?? '';
    t.is((await refusal(client.components.del({ id }))).status, 400);
    for (const off of ['enabled', 'active']) {
      const refused = await refusal(client.components.update({ id }, { config: { ...rsa?.config, [off]: ['false'] } }));
      t.is(refused.status, 400, off);
    }
    const odd = { name: 'x', providerType: KEYS, providerId: 'rsa-generated' };
    t.is((await refusal(client.components.create({ ...odd, config: { algorithm: ['PS512'] } }))).body.field, 'config.algorithm');
    t.is((await refusal(client.components.create({ ...odd, config: { priority: ['x'] } }))).body.field, 'config.priority');
    t.is((await refusal(client.components.create({ ...odd, providerId: 'java-keystore' }))).status, 501);
    const { id: hmac } = await client.components.create({ ...odd, providerId: 'hmac-generated', config: { algorithm: ['HS512'] } });
    t.like(await client.components.findOne({ id: hmac }), { providerId: 'hmac-generated', config: { algorithm: ['HS512'] } });
  });

  engine.test('one with a higher priority takes over from one that is deleted', async (t) => {
    const { realm, client } = await realmOf();
    const [rsa] = (await client.components.find({ type: KEYS })).filter(({ providerId }) => providerId === 'rsa-generated');
    const { id } = await client.components.create({ name: 'mine', providerId: 'rsa-generated', providerType: KEYS, config: { priority: ['1'] } });
    t.is((await client.realms.getKeys({ realm: realm.name })).active?.RS256, rsa?.id);
    await client.components.del({ id: rsa?.id ?? '' });
    const { keys } = await client.realms.getKeys({ realm: realm.name });
    t.deepEqual(
      keys?.filter(({ algorithm }) => algorithm === 'RS256').map(({ kid }) => kid),
      [id],
    );
  });
});
