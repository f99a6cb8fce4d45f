/** Gates over REST: made, read, listed, changed and deleted, what is wrong about them by its field, and who may do it. */

import { type Admin, adminOf, callAdmin } from '../support/admin.ts';
import { Agent } from '../support/agent.ts';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { ask, cookiesFor, open, startSite } from '../support/gate.ts';
import { limitedClient } from '../support/keycloak.ts';

forEachEngine((engine) => {
  let shared: Promise<{ cardea: Cardea; admin: Admin }> | undefined;
  const start = async () => {
    const cardea = await startCardea(await engine.database());
    return { cardea, admin: await adminOf(cardea) };
  };
  const world = async () => {
    shared ??= start();
    const { cardea, admin } = await shared;
    const realm = await cardea.realm();
    return { cardea, admin, realm, path: `/realms/${realm.name}/gates` };
  };
  const WIKI = 'https://wiki.example.com';

  engine.test('gates over REST: one is made with its client, read, changed and deleted with it, and the audit says so', async (t) => {
    const { admin, realm, path, cardea } = await world();
    const rules = [
      { path: '/healthz', access: 'public' },
      { path: '/admin/**', level: 'phr', roles: ['wiki-admin'], groups: ['/staff'] },
    ];
    const made = await admin.call('POST', path, {
      body: { origin: `${WIKI}/`, name: 'The wiki', rules, roles: ['reader'], idle: 600, lifespan: null },
    });
    t.is(made.status, 201, JSON.stringify(made.body));
    const { id } = made.body;
    t.true((made.headers.get('location') ?? '').endsWith(`${path}/${id}`));
    t.like(made.body, { origin: WIKI, clientId: 'gate-wiki.example.com', roles: ['reader'], idle: 600, lifespan: null });
    t.deepEqual(made.body.rules, [rules[0], { ...rules[1], access: 'signed-in' }]);
    t.deepEqual((await admin.call('GET', `${path}/${id}`)).body, made.body);

    // Its client lets nobody be somewhere else, and has no part in administration.
    const [client] = (await admin.call('GET', `/realms/${realm.name}/clients?clientId=gate-wiki.example.com`)).body;
    t.like(client, { name: 'The wiki', publicClient: true, redirectUris: [`${WIKI}/.cardea/callback`], fullScopeAllowed: false });

    t.deepEqual((await admin.call('PUT', `${path}/${id}`, { body: {} })).body, made.body, 'nothing named, nothing changed');
    const changed = await admin.call('PUT', `${path}/${id}`, { body: { rules: [{ path: '/**', access: 'denied' }], idle: null } });
    t.is(changed.status, 200);
    t.like(changed.body, { id, origin: WIKI, idle: null, roles: ['reader'], rules: [{ path: '/**', access: 'denied' }] });
    t.true(changed.body.updatedAt > made.body.updatedAt);
    t.is((await admin.call('PUT', `${path}/${id}`, { body: { origin: 'https://other.example.com' } })).body.origin, WIKI, 'its host never changes');

    t.is((await admin.call('DELETE', `${path}/${id}`)).status, 204);
    for (const method of ['GET', 'DELETE']) t.is((await admin.call(method, `${path}/${id}`)).status, 404);
    t.is((await admin.call('PUT', `${path}/${id}`, { body: { idle: 60 } })).status, 404);
    t.deepEqual((await admin.call('GET', `/realms/${realm.name}/clients?clientId=gate-wiki.example.com`)).body, []);
    const types = await cardea.db.knex('audit_events').where({ realm_id: realm.id }).where('type', 'like', 'gate.%').orderBy('at').pluck('type');
    t.deepEqual(types, ['gate.created', 'gate.updated', 'gate.deleted']);
  });

  engine.test('gates over REST: they are listed by origin, page by page', async (t) => {
    const { admin, path } = await world();
    const origins = ['a', 'b', 'c'].map((name) => `https://${name}.example.com`);
    for (const origin of origins.toReversed()) t.is((await admin.call('POST', path, { body: { origin } })).status, 201);
    const first = (await admin.call('GET', `${path}?max=2`)).body;
    t.deepEqual(
      first.gates.map(({ origin }: { origin: string }) => origin),
      origins.slice(0, 2),
    );
    const second = (await admin.call('GET', `${path}?max=2&after=${encodeURIComponent(first.next)}`)).body;
    t.deepEqual([second.gates.length, second.gates[0].origin, second.next], [1, origins[2], null]);
    t.is((await admin.call('GET', `${path}?after=nonsense`)).status, 400);
  });

  engine.test('gates over REST: what is wrong is said with its field, and makes nothing', async (t) => {
    const { admin, path, cardea, realm } = await world();
    const origin = WIKI;
    const wrong: [field: string, body: Record<string, unknown>][] = [
      ['origin', {}],
      ['origin', { origin: 'wiki.example.com' }],
      ['origin', { origin: `${WIKI}/path` }],
      ['origin', { origin: 'https://a:b@wiki.example.com' }],
      ['origin', { origin: 'ftp://wiki.example.com' }],
      ['origin', { origin: cardea.origin }],
      ['clientId', { origin, clientId: '' }],
      ['rules.0.path', { origin, rules: [{ path: 'admin' }] }],
      ['rules.0.path', { origin, rules: [{ path: '/a/../b' }] }],
      ['rules.0.path', { origin, rules: [{ path: '/a%2fb' }] }],
      ['rules.1.path', { origin, rules: [{ path: '/a' }, { path: '//b' }] }],
      ['rules.0.access', { origin, rules: [{ path: '/a', access: 'publik' }] }],
      ['rules.0.access', { origin, rules: [{ path: '/a', access: 'public', level: 'aal2' }] }],
      ['rules.0.level', { origin, rules: [{ path: '/a', level: 'aal9' }] }],
      ['rules.0.roles', { origin, rules: [{ path: '/a', roles: [] }] }],
      ['rules.0.groups.0', { origin, rules: [{ path: '/a', groups: ['staff'] }] }],
      ['rules.0', { origin, rules: [{ path: '/a', role: 'misspelt' }] }],
      ['idle', { origin, idle: 5 }],
      ['lifespan', { origin, lifespan: '600' }],
      ['roles.0', { origin, roles: [''] }],
    ];
    for (const [field, body] of wrong) {
      const { status, body: said } = await admin.call('POST', path, { body });
      t.is(status, 400, JSON.stringify(body));
      t.is(said.field, field, JSON.stringify(body));
    }
    t.deepEqual((await admin.call('GET', path)).body, { gates: [], next: null });
    t.is(await cardea.db.knex('clients').where({ realm_id: realm.id }).whereLike('client_id', 'gate-%').first(), undefined);

    t.is((await admin.call('POST', path, { body: { origin } })).status, 201);
    for (const body of [
      { origin },
      { origin: `${WIKI}/`, clientId: 'another' },
      { origin: 'https://x.example.com', clientId: 'gate-wiki.example.com' },
    ])
      t.is((await admin.call('POST', path, { body })).status, 409, JSON.stringify(body));
    // Two at once: one is made.
    const both = await Promise.all([1, 2].map(() => admin.call('POST', path, { body: { origin: 'https://y.example.com' } })));
    t.deepEqual(both.map(({ status }) => status).toSorted(), [201, 409]);
  });

  engine.test('gates over REST: one realm’s are not there for another, and limited administrators do what they may', async (t) => {
    const { admin, path, realm, cardea } = await world();
    const other = await cardea.realm();
    const { id } = (await admin.call('POST', path, { body: { origin: WIKI } })).body;
    const foreign = `/realms/${other.name}/gates`;
    t.is((await admin.call('GET', `${foreign}/${id}`)).status, 404);
    t.is((await admin.call('PUT', `${foreign}/${id}`, { body: { idle: 60 } })).status, 404);
    t.is((await admin.call('DELETE', `${foreign}/${id}`)).status, 404);
    t.deepEqual((await admin.call('GET', foreign)).body.gates, []);
    t.is((await admin.call('POST', foreign, { body: { origin: WIKI } })).status, 201, 'the same host in another realm is another gate');

    const { token: viewer } = await limitedClient(cardea, realm, ['view-clients']);
    const { token: manager } = await limitedClient(cardea, realm, ['manage-clients']);
    const { token: users } = await limitedClient(cardea, realm, ['manage-users']);
    const { token: stranger } = await limitedClient(cardea, other, ['realm-admin']);
    const status = async (token: string | null, method: string, at: string, body?: unknown) =>
      (await callAdmin(cardea, method, at, { token, ...(body !== undefined && { body }) })).status;
    t.is(await status(viewer, 'GET', `${path}/${id}`), 200);
    t.is(await status(manager, 'GET', path), 200);
    for (const [token, expected] of [
      [viewer, 403],
      [users, 403],
      [stranger, 404],
      [null, 401],
    ] as const) {
      t.is(await status(token, 'POST', path, { origin: 'https://z.example.com' }), expected);
      t.is(await status(token, 'PUT', `${path}/${id}`, { rules: [{ path: '/**', access: 'public' }] }), expected);
      t.is(await status(token, 'DELETE', `${path}/${id}`), expected);
      if (token !== viewer) t.is(await status(token, 'GET', `${path}/${id}`), expected);
    }
    t.is(await status(manager, 'PUT', `${path}/${id}`, { idle: 60 }), 200);
    t.is(await status(manager, 'DELETE', `${path}/${id}`), 204);
  });

  engine.test('gates over REST: a change, one session that is ended and a gate that is deleted count from the next request on', async (t) => {
    const { admin, path, realm, cardea } = await world();
    const site = await startSite(cardea, realm);
    const user = await cardea.user(realm);
    const [here, elsewhere] = [new Agent(), new Agent()];
    for (const agent of [here, elsewhere]) t.is((await open(agent, `${site.origin}/x`, user)).status, 200);
    const at = async (agent: Agent) =>
      (await ask(cardea, realm, { origin: site.origin, path: '/x', cookie: cookiesFor(agent, site.hostname) })).statusCode;
    await admin.call('PUT', `${path}/${site.gate.id}`, { body: { rules: [{ path: '/**', access: 'denied' }] } });
    t.deepEqual([await at(here), await at(elsewhere)], [403, 403]);
    await admin.call('PUT', `${path}/${site.gate.id}`, { body: { rules: [] } });
    t.deepEqual([await at(here), await at(elsewhere)], [200, 200]);

    const sessions: { id: string; start: number }[] = (await admin.call('GET', `/realms/${realm.name}/users/${user.id}/sessions`)).body;
    t.is(sessions.length, 2);
    t.is((await admin.call('DELETE', `/realms/${realm.name}/sessions/${sessions[0]?.id}`)).status, 204);
    t.deepEqual([await at(here), await at(elsewhere)].toSorted(), [200, 401], 'that one alone');
    t.is((await admin.call('DELETE', `${path}/${site.gate.id}`)).status, 204);
    t.deepEqual([await at(here), await at(elsewhere)], [403, 403]);
  });
});
