/** The gate, from a browser's first look at a site that knows nothing of OpenID Connect to its sign-out. */
import { removeClient } from '../../src/admin/resources/client-changes.ts';
import { changeGate, removeGate } from '../../src/admin/resources/gates.ts';
import { createGroup } from '../../src/admin/resources/groups.ts';
import { changePolicy } from '../../src/admin/resources/policy.ts';
import { createRole } from '../../src/admin/resources/roles.ts';
import { createFactors } from '../../src/factors/index.ts';
import { revokeTrust } from '../../src/sessions/trusted-devices.ts';
import { assignRole } from '../../src/store/roles.ts';
import { Agent, formsOf } from '../support/agent.ts';
import { giveApp } from '../support/attack.ts';
import { startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { ask, cookiesFor, identityIn, open, startSite, told } from '../support/gate.ts';
import { statementsOf } from '../support/keycloak.ts';

forEachEngine((engine) => {
  let shared: ReturnType<typeof start> | undefined;
  const start = async () => startCardea(await engine.database());
  const world = async (rules: Parameters<typeof startSite>[2] = {}) => {
    shared ??= start();
    const cardea = await shared;
    const realm = await cardea.realm();
    const site = await startSite(cardea, realm, rules);
    return { cardea, realm, site, user: await cardea.user(realm, { emailVerified: true }) };
  };

  engine.test('somebody who looks at a page signs in and comes back to it, and the site is told who it is', async (t) => {
    const { site, user, cardea } = await world();
    const agent = new Agent();
    const page = await open(agent, `${site.origin}/pages/Caf%C3%A9?tab=2&x=a%2Fb`, user);
    t.is(page.url, `${site.origin}/pages/Caf%C3%A9?tab=2&x=a%2Fb`);
    t.is(page.status, 200);
    const { identity } = told(page);
    t.is(identity.user, user.id);
    t.is(identity['preferred-username'], user.username);
    t.is(identity.email, user.email ?? '');
    t.is(identity.acr, 'aal1');
    t.is(identity.amr, 'pwd');
    // Nothing of the sign-in stays but the session.
    t.deepEqual(Object.keys(agent.cookies(site.hostname)), ['cardea_gate']);
    const rows = await cardea.db.knex('gate_sessions').where({ realm_id: site.gate.realmId });
    t.is(rows.length, 1);
    t.false(JSON.stringify(rows).includes(agent.cookies(site.hostname).cardea_gate ?? '-'));
    t.is((await agent.get(`${site.origin}/other`)).status, 200);
  });

  engine.test('who is signed in elsewhere is signed in at a second site without a question', async (t) => {
    const { cardea, realm, site, user } = await world();
    const other = await startSite(cardea, realm);
    const agent = new Agent();
    await open(agent, `${site.origin}/`, user);
    const page = await agent.get(`${other.origin}/there`);
    t.is(page.url, `${other.origin}/there`);
    t.is(told(page).identity.user, user.id);
  });

  engine.test('rules by path: public, a role, a group, a level, and nobody at all', async (t) => {
    const { cardea, realm, site, user } = await world({
      rules: [
        { path: '/healthz', access: 'public' },
        { path: '/editors/**', roles: ['editor'] },
        { path: '/north/**', groups: ['/sales'] },
        { path: '/vault/**', level: 'aal2' },
        { path: '/internal/**', access: 'denied' },
      ],
      roles: ['reader'],
    });
    t.is((await ask(cardea, realm, { origin: site.origin, path: '/healthz' })).statusCode, 200);
    t.is((await ask(cardea, realm, { origin: site.origin, path: '/internal/x' })).statusCode, 403);
    const agent = new Agent();
    await open(agent, `${site.origin}/`, user);
    t.is((await agent.get(`${site.origin}/editors/1`)).status, 403);
    t.is((await agent.get(`${site.origin}/north/1`)).status, 403);
    t.is((await agent.get(`${site.origin}/internal/1`)).status, 403);

    const operator = cardea.operator();
    for (const name of ['editor', 'reader']) await assignRole(cardea.db.knex, realm.id, user.id, (await createRole(operator, realm, { name })).id);
    const sales = await createGroup(operator, realm, { name: 'sales' });
    const north = await createGroup(operator, realm, { name: 'north', parent: '/sales' });
    t.truthy(sales.id);
    await cardea.db.knex('user_groups').insert({ realm_id: realm.id, user_id: user.id, group_id: north.id });
    const { identity } = told(await agent.get(`${site.origin}/editors/1`));
    t.is(identity.groups, '/sales,/sales/north');
    t.deepEqual(identity.roles?.split(',').sort(), ['editor', 'reader']);
    t.is((await agent.get(`${site.origin}/north/1`)).status, 200);

    const visitor = { ...user };
    const vault = await open(agent, `${site.origin}/vault/1`, visitor);
    t.is(vault.url, `${site.origin}/vault/1`);
    t.is(told(vault).identity.acr, 'aal2');
    t.deepEqual(told(vault).identity.amr?.split(',').sort(), ['mfa', 'otp', 'pwd']);
  });

  engine.test('a program gets a bare 401 that says what it would need', async (t) => {
    const { cardea, realm, site, user } = await world({ rules: [{ path: '/vault/**', level: 'aal2' }] });
    const asked = { origin: site.origin, path: '/vault/x' };
    const programs: Record<string, string>[] = [
      { accept: 'application/json' },
      { accept: 'text/html', 'sec-fetch-mode': 'cors' },
      { accept: 'text/html', 'sec-websocket-key': 'x' },
    ];
    for (const headers of programs) {
      const answer = await ask(cardea, realm, { ...asked, headers });
      t.is(answer.statusCode, 401);
      t.is(answer.headers['x-cardea-start'], undefined);
      t.is(answer.headers.location, undefined);
      t.regex(answer.headers['www-authenticate'] ?? '', /^Bearer realm="127\.0\.0\.\d+:\d+", acr_values="aal2"$/);
    }
    const agent = new Agent();
    await open(agent, `${site.origin}/`, user);
    const more = await ask(cardea, realm, { ...asked, cookie: cookiesFor(agent, site.hostname) });
    t.regex(more.headers['www-authenticate'] ?? '', /error="insufficient_user_authentication", acr_values="aal2"$/);
    t.is(more.headers['set-cookie'], undefined);
  });

  engine.test('for Traefik and Caddy the answer is the browser’s own: a redirect, and the path from X-Forwarded-Uri', async (t) => {
    const { cardea, realm, site, user } = await world({ rules: [{ path: '/open/**', access: 'public' }] });
    const query = '?redirect&path=x-forwarded-uri';
    const asked = (uri: string, headers: Record<string, string> = {}) =>
      ask(cardea, realm, { origin: site.origin, query, headers: { 'x-forwarded-uri': uri, accept: 'text/html', ...headers } });
    const sent = await asked('/a/b?c=d');
    t.is(sent.statusCode, 302);
    t.is(sent.headers.location, `${site.origin}/.cardea/start?rd=${encodeURIComponent('/a/b?c=d')}`);
    const shown = await asked('/open/x?y');
    t.is(shown.statusCode, 200);
    // Caddy writes the name of its placeholder where a header is missing.
    t.deepEqual(identityIn(shown), { user: '', 'preferred-username': '', email: '', groups: '', roles: '', acr: '', amr: '' });
    t.is((await asked('/open/x', { 'x-cardea-path': '/other' })).statusCode, 200);
    for (const uri of ['/open/%2e%2e/a', '/open/..%2fa', '/open//a', '/open/%5c../a', '/open/%', 'open/x', '/open/%252e%252e/a'])
      t.is((await asked(uri)).statusCode, 403, uri);
    const agent = new Agent();
    await open(agent, `${site.origin}/`, user);
    await changeGate(cardea.operator(), realm, site.gate.id, { rules: [{ path: '/**', roles: ['nobody-has-it'] }] });
    const denied = await asked('/a', { cookie: cookiesFor(agent, site.hostname) });
    t.is(denied.statusCode, 302);
    const page = await agent.get(denied.headers.location ?? '');
    t.is(page.status, 403);
    t.true(page.html.includes(`href="${site.origin}/"`));
  });

  engine.serial('a check takes two statements, and one for a path that is everybody’s', async (t) => {
    const { cardea, realm, site, user } = await world({
      rules: [
        { path: '/healthz', access: 'public' },
        { path: '/**', roles: ['offline_access'] },
      ],
    });
    const agent = new Agent();
    await open(agent, `${site.origin}/`, user);
    const cookie = cookiesFor(agent, site.hostname);
    const signedIn = { origin: site.origin, path: '/x', cookie };
    t.is((await ask(cardea, realm, signedIn)).statusCode, 200);
    t.is(await statementsOf(cardea, () => ask(cardea, realm, signedIn)), 2);
    t.is(await statementsOf(cardea, () => ask(cardea, realm, { origin: site.origin, path: '/healthz' })), 1);
  });

  engine.test('signing out at the site ends its session and the provider’s, and comes back', async (t) => {
    const { cardea, realm, site, user } = await world({ rules: [{ path: '/', access: 'public' }] });
    const other = await startSite(cardea, realm);
    const agent = new Agent();
    await open(agent, `${site.origin}/x`, user);
    await open(agent, `${other.origin}/`, user);
    const cookie = cookiesFor(agent, site.hostname);
    const foreign = await agent.request(`${site.origin}/.cardea/sign-out`, { headers: { 'sec-fetch-site': 'cross-site' } });
    t.is(foreign.status, 403);
    t.is((await agent.get(`${site.origin}/x`)).status, 200);

    const sent = await agent.request(`${site.origin}/.cardea/sign-out`, { headers: { 'sec-fetch-site': 'same-origin' } });
    t.is(sent.status, 303);
    let page = await agent.get(sent.headers.get('location') ?? '');
    for (let pages = 0; pages < 3 && page.url.startsWith(cardea.origin); pages += 1) {
      const [form] = formsOf(page);
      if (!form) break;
      page = await agent.submit(page, form, { logout: 'yes' });
    }
    t.is(page.url, `${site.origin}/`);
    t.deepEqual(told(page).identity, {});
    t.is((await ask(cardea, realm, { origin: site.origin, path: '/x', cookie })).statusCode, 401);
    t.is((await ask(cardea, realm, { origin: other.origin, path: '/x', cookie: cookiesFor(agent, other.hostname) })).statusCode, 401);
  });

  engine.test('lifetimes of a gate end its session, not the provider’s', async (t) => {
    const { cardea, realm, site, user } = await world({ idle: 60, lifespan: 3600 });
    const agent = new Agent();
    await open(agent, `${site.origin}/`, user);
    const asked = { origin: site.origin, path: '/', cookie: cookiesFor(agent, site.hostname) };
    const { knex } = cardea.db;
    const of = { realm_id: realm.id };
    t.is((await ask(cardea, realm, asked)).statusCode, 200);
    await knex('gate_sessions')
      .where(of)
      .update({ last_seen_at: Date.now() - 61_000 });
    t.is((await ask(cardea, realm, asked)).statusCode, 401);
    await knex('gate_sessions')
      .where(of)
      .update({ last_seen_at: Date.now(), expires_at: Date.now() - 1 });
    t.is((await ask(cardea, realm, asked)).statusCode, 401);
    // The provider's goes on: no question.
    t.is((await agent.get(`${site.origin}/`)).status, 200);
  });

  engine.test('a trusted browser is spared the second step at the site, until its trust ends', async (t) => {
    const { cardea, realm, site, user } = await world();
    await changePolicy({ ...cardea.operator(), factors: createFactors() }, realm, {
      rules: [{ id: 'realm', when: {}, need: { level: 'aal2', remember: 86_400 } }],
    });
    const { secret } = await giveApp(cardea, user);
    const agent = new Agent();
    const first = await open(agent, `${site.origin}/`, { ...user, totpSecret: secret }, { remember: true });
    t.is(told(first).identity.acr, 'aal2');
    await cardea.db.knex('sessions').where({ realm_id: realm.id }).update({ ended_at: Date.now() });
    // Without a secret there would be no code.
    const again = told(await open(agent, `${site.origin}/`, user));
    t.is(again.identity.amr, 'pwd');
    t.is(again.identity.acr, 'aal1');
    const asked = { origin: site.origin, path: '/', cookie: cookiesFor(agent, site.hostname) };
    t.is((await ask(cardea, realm, asked)).statusCode, 200);
    const origin = { realmId: realm.id, at: Date.now(), ip: null, userAgent: null };
    await revokeTrust(cardea.db.knex, { realmId: realm.id, userId: user.id }, {}, 'user', origin);
    const answer = await ask(cardea, realm, asked);
    t.is(answer.statusCode, 401);
    t.regex(answer.headers['www-authenticate'] ?? '', /insufficient_user_authentication/);
  });

  engine.test('a gate that is deleted, or whose client is, lets nobody in', async (t) => {
    const { cardea, realm, site, user } = await world({ rules: [{ path: '/healthz', access: 'public' }] });
    const agent = new Agent();
    await open(agent, `${site.origin}/`, user);
    const asked = { origin: site.origin, path: '/', cookie: cookiesFor(agent, site.hostname) };
    await removeGate(cardea.operator(), realm, site.gate.id);
    t.is((await ask(cardea, realm, asked)).statusCode, 403);
    t.is((await ask(cardea, realm, { ...asked, path: '/healthz' })).statusCode, 403);
    t.is((await agent.request(`${site.origin}/.cardea/start?rd=/`)).status, 404);
    t.is(await cardea.db.knex('gate_sessions').where({ realm_id: realm.id }).first(), undefined);
    const other = await startSite(cardea, realm);
    await removeClient(cardea.operator(), realm, other.gate.clientRowId);
    t.is((await ask(cardea, realm, { origin: other.origin, path: '/' })).statusCode, 403);
  });

  engine.test('values are safe for headers', async (t) => {
    const { cardea, realm, site } = await world();
    const user = await cardea.user(realm, { username: 'zoë,100%«ok»', email: 'zoe@example.com' });
    const agent = new Agent();
    const { identity } = told(await open(agent, `${site.origin}/`, user));
    t.regex(identity['preferred-username'] ?? '', /^[\x21-\x7e]+$/);
    t.is(decodeURIComponent(identity['preferred-username'] ?? ''), user.username);
    t.false((identity['preferred-username'] ?? '').includes(','));
    t.is(identity.email, undefined);
    const answer = await ask(cardea, realm, { origin: site.origin, path: '/', cookie: cookiesFor(agent, site.hostname) });
    t.is(identityIn(answer).user, user.id);
  });
});
