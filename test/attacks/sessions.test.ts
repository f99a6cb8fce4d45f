/** Sessions that somebody else would end, keep, or have last longer: by their id, from another page, and in the moment of an ending. */
import { auditEvents } from '../../src/store/audit.ts';
import { arena, basic, call, copyOf, parallel, type Scene, sessionsOf, type TestUser } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { acting, stage } from '../support/impersonation.ts';
import { authorizationRequest, Browser, exchange, openid, signIn } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const { scene, server } = arena(engine);
  const accountOf = ({ server: { origin }, realm }: Scene): string => `${origin}/realms/${realm.name}/account`;
  /** A browser that is signed in to the application and to the account console. */
  async function inAccount(on: Scene, user: TestUser) {
    const { browser, tokens } = await signIn(on.server, on.rp, user);
    const page = await browser.visit(`${accountOf(on)}/sessions`);
    if (page.status !== 200) throw new Error(`no account console: ${page.status}`);
    return { browser, tokens };
  }
  const stands = async (on: Scene, tokens: { access_token: string }): Promise<boolean> =>
    (await openid.tokenIntrospection(on.rp.configuration, tokens.access_token)).active;

  engine.test('the session of somebody else, or of another realm, is none that could be ended', async (t) => {
    const on = await scene({ mfa: 'off' });
    const elsewhere = await scene({ mfa: 'off', ssoSessionMaxLifespan: 86_400 });
    const [mallory, victim, stranger] = [await on.server.user(on.realm), await on.server.user(on.realm), await on.server.user(elsewhere.realm)];
    const { browser } = await inAccount(on, mallory);
    const held = await signIn(on.server, on.rp, victim);
    const foreign = await signIn(on.server, elsewhere.rp, stranger);
    const [theirs] = await sessionsOf(on, victim);
    const [far] = await sessionsOf(elsewhere, stranger);
    for (const id of [theirs?.id, far?.id, '00000000-0000-4000-8000-000000000000', `${theirs?.id}/../${theirs?.id}`, theirs?.id.toUpperCase()])
      t.is((await browser.post(`${accountOf(on)}/sessions/${id}/end`, {})).status, 404, id);
    t.is((await browser.post(`${accountOf(on)}/applications/${on.rp.client.row.id}/end-away`, {})).status, 404);
    t.is((await browser.post(`${accountOf(on)}/applications/${on.rp.client.row.id}/take-back`, {})).status, 404);
    t.is((await browser.post(`${accountOf(on)}/applications/${elsewhere.rp.client.row.id}/take-back`, {})).status, 404);
    t.true(await stands(on, held.tokens));
    t.true(await stands(elsewhere, foreign.tokens));
    t.deepEqual(await auditEvents(on.server.db.knex, on.realm.id, { type: 'session.ended', subject: victim.id, limit: 5 }), []);
  });

  engine.test('signing out everywhere ends nobody else', async (t) => {
    const on = await scene({ mfa: 'off' });
    const [user, other] = [await on.server.user(on.realm), await on.server.user(on.realm)];
    const { browser } = await inAccount(on, user);
    const parameters = { scope: 'openid offline_access' };
    const held = await signIn(on.server, on.rp, other, { parameters });
    t.is(
      (await browser.post(`${accountOf(on)}/sign-out-everywhere`, { offline: 'on', devices: 'on', user: other.id, userId: other.id })).status,
      200,
    );
    t.is((await sessionsOf(on, user)).length, 0);
    t.is((await sessionsOf(on, other)).length, 1);
    t.truthy((await openid.refreshTokenGrant(on.rp.configuration, held.tokens.refresh_token ?? '')).access_token);
  });

  engine.test('C03 no page of another origin ends anything, nor does a link', async (t) => {
    const on = await scene({ mfa: 'off' });
    const user = await on.server.user(on.realm);
    const { browser, tokens } = await inAccount(on, user);
    const other = await signIn(on.server, on.rp, user);
    const [session] = (await sessionsOf(on, user)).slice(-1);
    const id = on.rp.client.row.id;
    const posts = [`/sessions/${session?.id}/end`, '/sign-out-elsewhere', '/sign-out-everywhere', `/applications/${id}/end-away`];
    for (const path of [...posts, `/applications/${id}/take-back`]) {
      const url = `${accountOf(on)}${path}`;
      const body = new URLSearchParams({ offline: 'on' });
      const from: Record<string, string>[] = [
        { origin: 'https://evil.example' },
        { origin: 'null' },
        {},
        { 'sec-fetch-site': 'cross-site' },
        { 'sec-fetch-site': 'same-site' },
      ];
      for (const headers of from)
        t.is((await browser.visit(url, { method: 'POST', body, headers })).status, 403, `${path} ${JSON.stringify(headers)}`);
    }
    for (const path of posts.slice(1, 3)) t.is((await browser.visit(`${accountOf(on)}${path}`)).status, 200, 'a question, and no more');
    t.is((await sessionsOf(on, user)).length, 2);
    t.true(await stands(on, tokens));
    t.true(await stands(on, other.tokens));
  });

  engine.test('the cookies of a session that has ended open nothing, whoever kept them', async (t) => {
    const on = await scene({ mfa: 'off' });
    const user = await on.server.user(on.realm);
    const { browser, tokens } = await inAccount(on, user);
    const kept = copyOf(browser);
    t.is((await browser.post(`${accountOf(on)}/sign-out-everywhere`, { offline: 'on' })).status, 200);
    t.regex((await kept.visit(`${accountOf(on)}/sessions`)).html, /name="password"/);
    const silent = await kept.visit((await authorizationRequest(on.rp, { prompt: 'none' })).url);
    t.regex(silent.headers.get('location') ?? '', /error=login_required/);
    t.false(await stands(on, tokens));
    const [row] = await on.server.db.knex('sessions').where({ user_id: user.id });
    t.truthy(row.ended_at);
    const ended = { url: `${accountOf(on)}/sessions/${row.id}/end`, fields: {} };
    t.regex((await kept.post(ended.url, ended.fields)).html, /name="password"/, 'nor can anything be ended with them');
  });

  engine.test('of refreshes and a sign-out at the same moment, nothing survives', async (t) => {
    const on = await scene({ mfa: 'off' });
    for (let round = 0; round < 4; round += 1) {
      const user = await on.server.user(on.realm);
      const { browser } = await inAccount(on, user);
      const held = await Promise.all(
        [0, 1, 2].map(async (n) => (await signIn(on.server, on.rp, user, n === 0 ? { parameters: { scope: 'openid offline_access' } } : {})).tokens),
      );
      const refresh = (token: string | undefined) =>
        call(on.server, on.realm, 'token', { grant_type: 'refresh_token', refresh_token: token ?? '' }, basic(on.rp.client));
      const [out, ...answers] = await Promise.all([
        browser.post(`${accountOf(on)}/sign-out-everywhere`, { offline: 'on' }),
        ...held.map(({ refresh_token }) => refresh(refresh_token)),
      ]);
      t.is(out.status, 200);
      for (const { body } of answers) {
        if (typeof body.refresh_token === 'string') t.is((await refresh(body.refresh_token)).status, 400);
        if (typeof body.access_token === 'string') t.false(await stands(on, { access_token: body.access_token }));
      }
      t.is((await sessionsOf(on, user)).length, 0);
    }
  });

  engine.test('of step-ups and first visits to an application at the moment of a sign-out, nothing survives', async (t) => {
    const on = await scene({ mfa: 'off' });
    for (let round = 0; round < 4; round += 1) {
      const user = await on.server.user(on.realm);
      const { browser } = await inAccount(on, user);
      const other = await signIn(on.server, on.rp, user);
      // The password is asked once more, and sent while everything ends.
      const stepUp = await authorizationRequest(on.rp, { prompt: 'login', scope: 'openid offline_access' });
      const page = await other.browser.visit(stepUp.url);
      const silent = await authorizationRequest(on.rp, { prompt: 'none', scope: 'openid offline_access' });
      const visitor = copyOf(other.browser);
      const [out, arrived, sso] = await Promise.all([
        browser.post(`${accountOf(on)}/sign-out-everywhere`, { offline: 'on' }),
        other.browser.send(page, { password: user.password }),
        visitor.visit(silent.url),
      ]);
      t.is(out.status, 200);
      for (const [request, answer] of [
        [stepUp, arrived],
        [silent, sso],
      ] as const) {
        const tokens = await exchange(on.rp, request, answer).catch(() => undefined);
        if (tokens) t.false(await stands(on, tokens));
        if (tokens?.refresh_token) await t.throwsAsync(openid.refreshTokenGrant(on.rp.configuration, tokens.refresh_token));
      }
      t.is((await sessionsOf(on, user)).length, 0);
      const offline = on.server.db.knex('session_clients').where({ realm_id: on.realm.id, offline: true });
      t.is((await offline.whereIn('session_id', on.server.db.knex('sessions').where({ user_id: user.id }).select('id'))).length, 0);
    }
  });

  engine.test('of visits to an application at the moment in which its access is taken back, none goes on without a consent', async (t) => {
    const on = await scene({ mfa: 'off' }, { firstParty: false });
    const { knex } = on.server.db;
    const places = () => knex('session_clients').where({ realm_id: on.realm.id, client_id: on.rp.client.row.id });
    for (let round = 0; round < 4; round += 1) {
      const user = await on.server.user(on.realm);
      const { browser } = await inAccount(on, user);
      const others = [(await inAccount(on, user)).browser, (await inAccount(on, user)).browser];
      // Their places at the application are gone, and are made anew.
      await places().delete();
      const urls = await Promise.all(others.map(async () => (await authorizationRequest(on.rp, { prompt: 'none' })).url));
      const [out] = await Promise.all([
        browser.post(`${accountOf(on)}/applications/${on.rp.client.row.id}/take-back`, {}),
        ...others.map((other, index) => other.visit(urls[index] ?? '')),
      ]);
      t.is(out.status, 200);
      t.is((await knex('consents').where({ user_id: user.id })).length, 0);
      t.is((await places()).length, 0);
    }
  });

  engine.test('a sign-in that was finished before everybody was signed out cannot be brought back after it', async (t) => {
    const on = await scene({ mfa: 'off' });
    const user = await on.server.user(on.realm);
    const thief = new Browser(on.server.origin);
    const request = await authorizationRequest(on.rp);
    const page = await thief.visit(request.url);
    // Not followed: the answer leads to where the session would begin.
    const finished = await thief.request(page.url, {
      method: 'POST',
      body: new URLSearchParams({ ...fieldsOf(page.html), username: user.username, password: user.password }),
      headers: { origin: on.server.origin, 'sec-fetch-site': 'same-origin' },
    });
    t.is(finished.status, 303);
    const { browser } = await inAccount(on, user);
    t.is((await browser.post(`${accountOf(on)}/sign-out-everywhere`, { offline: 'on' })).status, 200);
    const resumed = await thief.visit(finished.headers.get('location') ?? '');
    t.regex(resumed.headers.get('location') ?? '', /error=access_denied/);
    t.is((await sessionsOf(on, user)).length, 0);
  });

  engine.test('who acts as a user can sign the user out nowhere else, and the user can end that', async (t) => {
    const on = await stage(await server());
    const { user, ...own } = { user: on.erin, ...(await signIn(on.server, on.rp, on.erin)) };
    const boss = await acting(on);
    const base = `${on.server.origin}/realms/${on.realm.name}/account`;
    for (const path of ['/sign-out-everywhere', '/sign-out-elsewhere', '/sessions']) {
      const page = await boss.visit(`${base}${path}`);
      t.not(page.status, 200, path);
    }
    const [mine] = await on.server.db.knex('sessions').where({ user_id: user.id }).orderBy('created_at');
    for (const path of ['/sign-out-everywhere', '/sign-out-elsewhere', `/sessions/${mine.id}/end`])
      t.not((await boss.post(`${base}${path}`, { offline: 'on', devices: 'on' })).status, 200, path);
    t.true((await openid.tokenIntrospection(on.rp.configuration, own.tokens.access_token)).active);
    t.is((await on.server.db.knex('sessions').where({ user_id: user.id }).whereNull('ended_at')).length, 2);

    const page = await own.browser.visit(`${base}/sessions`);
    t.regex(page.html, new RegExp(`The administrator <bdi>${on.boss.username}</bdi> acts as you here`));
    t.is((await own.browser.post(`${base}/sign-out-elsewhere`, { offline: 'on' })).status, 200);
    const left = await on.server.db.knex('sessions').where({ user_id: user.id }).whereNull('ended_at');
    t.deepEqual(
      left.map(({ id }) => id),
      [mine.id],
    );
    const silent = await boss.visit((await authorizationRequest(on.rp, { prompt: 'none' })).url);
    t.regex(silent.headers.get('location') ?? '', /error=login_required/);
  });

  engine.test('twenty who end one session at once: one does, and it is recorded once', async (t) => {
    const on = await scene({ mfa: 'off' });
    const user = await on.server.user(on.realm);
    const { browser } = await inAccount(on, user);
    await signIn(on.server, on.rp, user);
    const rows = await on.server.db.knex('sessions').where({ user_id: user.id }).orderBy('created_at');
    const url = `${accountOf(on)}/sessions/${rows.at(-1)?.id}/end`;
    const answers = await parallel(20, () => browser.request(url, { method: 'POST', body: new URLSearchParams(), headers: sameOrigin(on) }));
    t.deepEqual(
      [303, 404].map((status) => answers.filter((answer) => answer.status === status).length),
      [1, 19],
    );
    t.is((await auditEvents(on.server.db.knex, on.realm.id, { type: 'session.ended', subject: user.id, limit: 50 })).length, 1);
  });

  const sameOrigin = (on: Scene) => ({ origin: on.server.origin, 'sec-fetch-site': 'same-origin' });
});

/** The hidden fields of a page's first form. */
const fieldsOf = (html: string): Record<string, string> =>
  Object.fromEntries(
    [...html.matchAll(/<input type="hidden" name="(version|webauthn)" value="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
  );
