/** Who holds a token, and the texts of pages, through Keycloak's own client. */
import { adminWorld } from '../support/admin.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, limitedClient, refusal } from '../support/keycloak.ts';

forEachEngine((engine) => {
  const world = adminWorld(engine);

  engine.test('whoever manages a realm learns who they are and what they may do there', async (t) => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    const boss = keycloakClient(server, admin.master, admin.token);
    const me = await boss.whoAmI.find();
    t.like(me, { realm: 'master', createRealm: true, temporary: false });
    t.true(me.realm_access.master?.includes('manage-users'));
    const there = await boss.whoAmI.find({ currentRealm: realm.name });
    t.like(there, { userId: me.userId, realm: 'master' });
    t.deepEqual(Object.keys(there.realm_access), [realm.name]);

    const limited = await limitedClient(server, realm, ['view-users']);
    const { userId, realm_access, createRealm } = await limited.client.whoAmI.find();
    t.deepEqual([userId, createRealm], [limited.userId, false]);
    t.deepEqual(realm_access, { [realm.name]: ['query-groups', 'query-users', 'view-users'] });
    // Of other realms nothing is told, not even whether they are there.
    for (const currentRealm of ['master', 'no-such-realm']) t.deepEqual((await limited.client.whoAmI.find({ currentRealm })).realm_access, {});
    limited.client.setConfig({ realmName: 'master' });
    t.is((await refusal(limited.client.whoAmI.find())).status, 404);
  });

  engine.test('who manages nothing is told nothing, and no cookie stands for a token', async (t) => {
    const { server } = await world();
    const realm = await server.realm({ mfa: 'off' });
    const nobody = await limitedClient(server, realm, []);
    t.is((await refusal(nobody.client.whoAmI.find())).status, 403);
    t.is((await fetch(`${server.origin}/admin/${realm.name}/console/whoami`)).status, 401);
  });

  engine.test('the texts of a realm’s pages are a list, in the languages that there are', async (t) => {
    const { server, admin } = await world();
    const client = keycloakClient(server, admin.master, admin.token);
    const bundle = async (locale: string, themeType = 'login') =>
      client.serverInfo.findEffectiveMessageBundles({ realm: 'master', themeType, locale });
    const german = await bundle('de-AT');
    t.true(german.length > 100);
    const title = (texts: { key: string; value: string }[]) => texts.find(({ key }) => key === 'login.signIn.title')?.value;
    t.truthy(title(german));
    t.not(title(german), title(await bundle('en')));
    t.deepEqual(await bundle('xx'), await bundle('en'));
    t.is((await refusal(bundle('en', 'nothing'))).status, 404);
  });
});
