/** The door of the REST API: who is let in, and what is said to whoever is not. */
import { adminOf, adminWorld, callAdmin, serviceToken } from '../support/admin.ts';
import { rawRequest } from '../support/attack.ts';
import { startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';

forEachEngine((engine) => {
  const world = adminWorld(engine);

  engine.test('an administrator of the installation sees every realm; a document says what there is', async (t) => {
    const { server, admin } = await world();
    const realm = await server.realm();
    const list = await admin.call('GET', '/realms');
    t.is(list.status, 200);
    t.true(list.body.some((one: { realm: string }) => one.realm === realm.name));
    t.is((await admin.call('GET', `/realms/${realm.name}`)).body.realm, realm.name);
    const document = await admin.call('GET', '/openapi.json', { token: null });
    t.is(document.body.openapi, '3.1.0');
    t.truthy(document.body.paths['/admin/realms/{realm}'].get);
  });

  engine.test('without a token, with a cookie, with somebody else’s token: nobody is let in', async (t) => {
    const { server, admin } = await world();
    const realm = await server.realm();
    const path = `/realms/${realm.name}`;
    for (const token of [null, 'x', `${admin.token}x`]) {
      const answer = await callAdmin(server, 'GET', path, { token });
      t.is(answer.status, 401);
      t.regex(answer.headers.get('www-authenticate') ?? '', /^Bearer/);
    }
    t.is((await callAdmin(server, 'GET', path, { headers: { cookie: `cardea_admin_session=${admin.token}` } })).status, 401);

    const secret = 'a secret of sixteen';
    const other = await server.realm();
    await server.client(other, { clientId: 'service', secret, serviceAccount: true });
    const foreign = await serviceToken(server, other.name, 'service', secret);
    t.is((await callAdmin(server, 'GET', path, { token: foreign })).status, 404, 'of another realm: not told that there is one');
    t.is((await callAdmin(server, 'GET', `/realms/${other.name}`, { token: foreign })).status, 403, 'of this realm, without a role');
  });

  engine.test('tokens that are no good are counted by address, and good ones go on', async (t) => {
    const db = await engine.open();
    const server = await startCardea(db);
    const admin = await adminOf(server);
    const answers = [];
    for (let index = 0; index < 32; index += 1) answers.push(await callAdmin(server, 'GET', '/realms', { token: `x${index}` }));
    t.is(answers[0]?.status, 401);
    t.is(answers.at(-1)?.status, 429);
    t.regex(answers.at(-1)?.headers.get('retry-after') ?? '', /^\d+$/);
    t.is((await admin.call('GET', '/realms')).status, 200);
  });

  engine.test('what is spelt otherwise is not there', async (t) => {
    const { server, admin } = await world();
    const { name } = await server.realm();
    const raw = async (path: string): Promise<number> =>
      (await rawRequest(server, { target: path, headers: { authorization: `Bearer ${admin.token}` } })).status;
    for (const path of [
      `/admin/realms/${name}/%2e%2e/master`,
      `/admin/realms/%2e%2e/realms`,
      `/admin/realms//${name}`,
      '/admin/realms/%00',
      '/admin/realms/%zz',
    ])
      t.is(await raw(path), 404, path);
    t.is((await admin.call('GET', '/realms/nobody')).status, 404);
    const wrong = await admin.call('PATCH', `/realms/${name}`);
    t.deepEqual([wrong.status, wrong.headers.get('allow')], [405, 'GET, PUT, DELETE']);
  });
});
