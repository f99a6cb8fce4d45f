/** Attacks on the gate: whoever stands before a protected site, or beside it, and would be somebody else there. */
import { createGate } from '../../src/admin/resources/gates.ts';
import { createRole } from '../../src/admin/resources/roles.ts';
import { changeUser } from '../../src/admin/resources/user-changes.ts';
import { endSessionsOf } from '../../src/sessions/sessions.ts';
import { assignRole } from '../../src/store/roles.ts';
import { Agent, formsOf } from '../support/agent.ts';
import { startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { ask, cookiesFor, identityIn, open, send, startSite, told } from '../support/gate.ts';

forEachEngine((engine) => {
  let shared: ReturnType<typeof start> | undefined;
  const start = async () => startCardea(await engine.database());
  const world = async (input: Parameters<typeof startSite>[2] = {}) => {
    shared ??= start();
    const cardea = await shared;
    const realm = await cardea.realm();
    const site = await startSite(cardea, realm, input);
    return { cardea, realm, site, user: await cardea.user(realm) };
  };
  const signedIn = async (stage: Awaited<ReturnType<typeof world>>) => {
    const agent = new Agent();
    const page = await open(agent, `${stage.site.origin}/`, stage.user);
    if (page.status !== 200) throw new Error(`Not signed in: ${page.status} at ${page.url}`);
    return { agent, cookie: cookiesFor(agent, stage.site.hostname) };
  };

  engine.test('GATE identity headers that a browser sends are nobody’s identity', async (t) => {
    const { cardea, realm, site, user } = await world({ rules: [{ path: '/open', access: 'public' }] });
    const headers = { 'x-auth-request-user': user.id, 'x-auth-request-groups': '/admins', 'remote-user': user.username };
    t.is((await ask(cardea, realm, { origin: site.origin, path: '/x', headers })).statusCode, 401);
    const open = await ask(cardea, realm, { origin: site.origin, path: '/open', headers });
    t.is(open.statusCode, 200);
    t.deepEqual(identityIn(open), {});
  });

  engine.test('GATE a cookie is good at its own host, gate and realm, and in its own name', async (t) => {
    const stage = await world();
    const { cardea, realm, site } = stage;
    const { cookie } = await signedIn(stage);
    const asked = (origin: string, on = realm, sent = cookie) => ask(cardea, on, { origin, path: '/', cookie: sent });
    t.is((await asked(site.origin)).statusCode, 200);
    const neighbour = await startSite(cardea, realm);
    t.is((await asked(neighbour.origin)).statusCode, 401);
    const other = await cardea.realm();
    t.is((await asked(site.origin, other)).statusCode, 403);
    const twin = await startSite(cardea, other);
    t.is((await asked(twin.origin, other)).statusCode, 401);
    t.is((await asked(site.origin, realm, cookie.replace('cardea_gate', '__Host-cardea_gate'))).statusCode, 401);
    t.is((await asked(site.origin, realm, `${cookie.slice(0, -1)}${cookie.endsWith('A') ? 'B' : 'A'}`)).statusCode, 401);
    // The hash that is stored opens nothing.
    const row = await cardea.db.knex('gate_sessions').where({ realm_id: realm.id }).first('id');
    t.is((await asked(site.origin, realm, `cardea_gate=${row.id}`)).statusCode, 401);
    // Nor does the provider's own cookie, or that of an account console.
    t.is((await asked(site.origin, realm, cookie.replace('cardea_gate', 'cardea_account_session'))).statusCode, 401);
  });

  engine.test('GATE a session stands for the user who signed in, whatever its row is made to say', async (t) => {
    const stage = await world();
    const { cardea, realm, site } = stage;
    const { cookie } = await signedIn(stage);
    const victim = await cardea.user(realm);
    await cardea.db.knex('gate_sessions').where({ realm_id: realm.id }).update({ user_id: victim.id });
    t.is((await ask(cardea, realm, { origin: site.origin, path: '/', cookie })).statusCode, 401);
  });

  engine.test('GATE a host that has no gate, or is named twice or not at all, is refused', async (t) => {
    const stage = await world({ rules: [{ path: '/**', access: 'public' }] });
    const { cardea, realm, site } = stage;
    const { host } = new URL(site.origin);
    const at = (headers: Record<string, string | string[]>) => ask(cardea, realm, { path: '/', headers });
    t.is((await at({ 'x-forwarded-host': host, 'x-forwarded-proto': 'http' })).statusCode, 200);
    const wrong: Record<string, string | string[]>[] = [
      {},
      { 'x-forwarded-host': host },
      { 'x-forwarded-host': host, 'x-forwarded-proto': 'https' },
      { 'x-forwarded-host': host, 'x-forwarded-proto': 'http,http' },
      { 'x-forwarded-host': [host, host], 'x-forwarded-proto': 'http' },
      { 'x-forwarded-host': `${host}, evil.example`, 'x-forwarded-proto': 'http' },
      { 'x-forwarded-host': `evil@${host}`, 'x-forwarded-proto': 'http' },
      { 'x-forwarded-host': `${host}/x`, 'x-forwarded-proto': 'http' },
      { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' },
      { host, 'x-forwarded-proto': 'http' },
    ];
    for (const headers of wrong) t.is((await at(headers)).statusCode, 403, JSON.stringify(headers));
    t.is(
      (await send(cardea, `/realms/${realm.name}/gate/start?rd=/`, { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' })).statusCode,
      404,
    );
    t.is((await send(cardea, `/realms/${realm.name}/gate/callback?code=x&state=y`, {})).statusCode, 404);
  });

  engine.test('GATE path tricks never lead past a rule', async (t) => {
    const stage = await world({
      rules: [
        { path: '/admin/**', access: 'denied' },
        { path: '/**', access: 'public' },
      ],
    });
    const { cardea, realm, site } = stage;
    const at = async (path: string) => (await ask(cardea, realm, { origin: site.origin, path })).statusCode;
    t.is(await at('/x'), 200);
    const tricks = [
      '/admin',
      '/admin/',
      '/ADMIN',
      '/admin;x',
      '/admin;/y',
      '/x/../admin',
      '/x/..;/admin',
      '//admin',
      '/./admin',
      '/%61dmin',
      '/x%2f..%2fadmin',
      '/x\\..\\admin',
      '/admin.',
      '/admin ',
      'admin',
      '',
      '/x?/admin',
      '/ａdmin',
    ];
    for (const path of tricks) t.is(await at(path), 403, path);
    t.is((await ask(cardea, realm, { origin: site.origin })).statusCode, 403);
    t.is((await ask(cardea, realm, { origin: site.origin, headers: { 'x-cardea-path': ['/x', '/x'] } })).statusCode, 403);
    t.is((await ask(cardea, realm, { origin: site.origin, headers: { 'x-cardea-path': '/x\xff' } })).statusCode, 403);
    // Without the flag of the proxy's own configuration, the address as the browser wrote it is not what rules are asked about.
    t.is((await ask(cardea, realm, { origin: site.origin, path: '/admin', headers: { 'x-forwarded-uri': '/x' } })).statusCode, 403);
  });

  engine.test('GATE `rd` leads nowhere but to the host that was asked for', async (t) => {
    const stage = await world();
    const { site, user } = stage;
    const tricks = [
      '//evil.example/',
      '/\\evil.example',
      'https://evil.example/',
      '\\\\evil.example',
      '/%5cevil.example',
      '/\t/evil.example',
      '/.cardea/sign-out',
      '/x/../../evil',
      'javascript:alert(1)',
      '/%2f/evil.example',
      '/x\r\nSet-Cookie: a=b',
      '/.CARDEA/callback',
    ];
    for (const rd of tricks) {
      const agent = new Agent();
      const page = await open(agent, `${site.origin}/.cardea/start?rd=${encodeURIComponent(rd)}`, user);
      t.is(page.url, `${site.origin}/`, rd);
    }
  });

  engine.test('GATE an answer counts in the browser that asked, at the gate that asked, and once', async (t) => {
    const stage = await world();
    const { cardea, realm, site, user } = stage;
    const agent = new Agent();
    await open(agent, `${(await startSite(cardea, realm)).origin}/`, user);
    const begun = await agent.request(`${site.origin}/.cardea/start?rd=/`);
    const answered = await agent.request(begun.headers.get('location') ?? '');
    const back = answered.headers.get('location') ?? '';
    t.true(back.startsWith(`${site.origin}/.cardea/callback?`), `${answered.status} ${back}`);

    // The attacker's answer in the victim's browser, which never asked.
    const victim = new Agent();
    const refused = await victim.request(back);
    t.regex(refused.headers.get('location') ?? '', /why=not-begun/);
    t.deepEqual(victim.cookies(site.hostname), {});
    // With the attacker's cookie at another gate.
    const neighbour = await startSite(cardea, realm);
    const planted = new Agent();
    planted.plant(agent.jar.filter(({ host }) => host === site.hostname).map((cookie) => ({ ...cookie, host: neighbour.hostname })));
    const moved = await planted.request(back.replace(site.origin, neighbour.origin));
    t.regex(moved.headers.get('location') ?? '', /why=not-begun/);

    const kept = agent.jar.filter(({ host }) => host === site.hostname);
    const arrived = await agent.request(back);
    t.is(arrived.headers.get('location'), `${site.origin}/`);
    t.is((await agent.request(`${site.origin}/`)).status, 200);
    // Once more, with the cookie that was there before.
    const again = new Agent();
    again.plant(kept);
    t.regex((await again.request(back)).headers.get('location') ?? '', /why=used/);
    t.is(again.cookies(site.hostname).cardea_gate, undefined);
  });

  engine.test('GATE whoever signs in again has a new cookie, and the one of before is worth nothing', async (t) => {
    const stage = await world();
    const { cardea, realm, site } = stage;
    const { agent, cookie } = await signedIn(stage);
    t.is((await agent.get(`${site.origin}/.cardea/start?rd=/`)).status, 200);
    t.not(cookiesFor(agent, site.hostname), cookie);
    t.is((await ask(cardea, realm, { origin: site.origin, path: '/', cookie })).statusCode, 401);
  });

  engine.test('GATE a sign-out anywhere, a user who is switched off and a role that is taken end it at once', async (t) => {
    const stage = await world({ rules: [{ path: '/editors/**', roles: ['editor'] }] });
    const { cardea, realm, site, user } = stage;
    const role = await createRole(cardea.operator(), realm, { name: 'editor' });
    await assignRole(cardea.db.knex, realm.id, user.id, role.id);
    const { agent, cookie } = await signedIn(stage);
    const at = async (path: string, sent = cookie) => (await ask(cardea, realm, { origin: site.origin, path, cookie: sent })).statusCode;
    t.is(await at('/editors/x'), 200);
    await cardea.db.knex('user_roles').where({ realm_id: realm.id, user_id: user.id, role_id: role.id }).delete();
    t.is(await at('/editors/x'), 403);
    t.is(await at('/'), 200);

    await changeUser(cardea.operator(), realm, user.id, { enabled: false });
    t.is(await at('/'), 401);
    await changeUser(cardea.operator(), realm, user.id, { enabled: true });
    await endSessionsOf(cardea.db, realm.id, { userId: user.id }, Date.now());
    t.is(await at('/'), 401);
    t.is((await agent.request(`${site.origin}/.cardea/auth`)).status, 302);
  });

  engine.test('GATE a sign-out that races with checks and with an arrival leaves nobody signed in, whichever comes first', async (t) => {
    const stage = await world();
    const { cardea, realm, site, user } = stage;
    for (const order of ['sign-out first', 'both at once', 'arrival first']) {
      const { agent, cookie } = await signedIn(stage);
      const begun = await agent.request(`${site.origin}/.cardea/start?rd=/`);
      const answered = await agent.request(begun.headers.get('location') ?? '');
      const back = answered.headers.get('location') ?? '';
      // Two tabs of one browser: each request has the cookies of before.
      const tab = () => {
        const copy = new Agent();
        copy.plant(agent.jar);
        return copy;
      };
      const [leaving, arriving] = [tab(), tab()];
      const out = () => leaving.request(`${site.origin}/.cardea/sign-out`, { method: 'POST', headers: { origin: site.origin } });
      const arrive = () => arriving.request(back);
      const checks = () => Array.from({ length: 10 }, () => ask(cardea, realm, { origin: site.origin, path: '/', cookie }));
      let signedOut: Awaited<ReturnType<typeof out>>;
      if (order === 'both at once') [signedOut] = await Promise.all([out(), arrive(), ...checks()]);
      else if (order === 'sign-out first') {
        signedOut = await out();
        await arrive();
      } else {
        await arrive();
        signedOut = await out();
      }
      // Where the sign-out had nothing to show of the session, it is asked about, and the session is over all the same.
      const page = await leaving.get(signedOut.headers.get('location') ?? '');
      const [form] = formsOf(page);
      if (form) await leaving.submit(page, form, { logout: 'yes' });
      for (const sent of [cookie, cookiesFor(arriving, site.hostname), cookiesFor(leaving, site.hostname)])
        t.is((await ask(cardea, realm, { origin: site.origin, path: '/', cookie: sent })).statusCode, 401, order);
      const open = await cardea.db.knex('sessions').where({ realm_id: realm.id, user_id: user.id }).whereNull('ended_at');
      t.is(open.length, 0, order);
    }
  });

  engine.test('GATE no other site signs anybody out, and cookies are set by sign-in and sign-out alone', async (t) => {
    const stage = await world();
    const { cardea, realm, site } = stage;
    const { agent, cookie } = await signedIn(stage);
    const tries: RequestInit[] = [
      { method: 'POST' },
      { method: 'POST', headers: { origin: 'https://evil.example' } },
      { method: 'POST', headers: { origin: 'null' } },
      { headers: { 'sec-fetch-site': 'same-site' } },
      { headers: { referer: 'https://evil.example/' } },
      {},
    ];
    for (const init of tries) {
      const answer = await agent.request(`${site.origin}/.cardea/sign-out`, init);
      t.is(answer.status, 403, JSON.stringify(init));
      t.deepEqual(answer.headers.getSetCookie(), []);
    }
    const answer = await ask(cardea, realm, { origin: site.origin, path: '/', cookie });
    t.is(answer.statusCode, 200);
    t.is(answer.headers['set-cookie'], undefined);
    t.is(answer.headers['cache-control'], 'no-store');
  });

  engine.test('GATE more is asked for one path: less is not enough, and what `acr` says cannot lower it', async (t) => {
    const stage = await world({ rules: [{ path: '/vault/**', level: 'aal2' }] });
    const { site, user } = stage;
    const { agent } = await signedIn(stage);
    const refused = await agent.request(`${site.origin}/vault/x`);
    t.is(refused.headers.get('location'), '/.cardea/start?rd=%2Fvault%2Fx&acr=aal2');
    const lowered = await agent.request(`${site.origin}/.cardea/start?rd=%2Fvault%2Fx&acr=aal1`);
    t.is(new URL(lowered.headers.get('location') ?? '').searchParams.get('acr_values'), 'aal2');
    const page = await open(agent, `${site.origin}/vault/x`, { ...user });
    t.is(told(page).identity.acr, 'aal2');
  });

  engine.test('GATE on https the cookies are bound to the host by their names', async (t) => {
    const stage = await world();
    const { cardea, realm } = stage;
    await createGate(cardea.operator(), realm, cardea.origin, { origin: 'https://wiki.example.com' });
    const headers = { 'x-forwarded-host': 'wiki.example.com', 'x-forwarded-proto': 'https' };
    const answer = await send(cardea, `/realms/${realm.name}/gate/start?rd=/`, headers);
    t.is(answer.statusCode, 303);
    t.regex(answer.headers['set-cookie']?.[0] ?? '', /^__Host-cardea_gate_login_[^;]+; path=\/; expires=[^;]+; samesite=lax; secure; httponly$/i);
    await t.throwsAsync(createGate(cardea.operator(), realm, cardea.origin, { origin: cardea.origin }), { message: /is our own/ });
    await t.throwsAsync(createGate(cardea.operator(), realm, cardea.origin, { origin: 'https://wiki.example.com' }), { message: /already/ });
  });
});
