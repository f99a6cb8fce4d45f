/** D · What can be learnt about who exists, and what a request's own Host can make us say. */
import { setTimeout as pause } from 'node:timers/promises';
import { formsOf, type Page } from '../support/agent.ts';
import { afterPassword, arena, atCode, audited, basic, begin, call, giveApp, rawRequest, type Scene, sessionsOf } from '../support/attack.ts';
import { startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, exchange, text } from '../support/sign-in.ts';

/** The id of the sign-in whose page it is. */
const uidOf = (page: Page): string => new URL(page.url).pathname.split('/').at(-1) ?? '-';

/** Everything of an answer that may differ only by what was typed, with that taken out. */
function shape(page: Page, typed: string, transaction: string | undefined): object {
  const names = page.headers
    .getSetCookie()
    .map((line) => (line.split('=')[0] ?? '').replace(transaction ?? '-', 'CID'))
    .sort();
  const without = (value: string) =>
    value
      .replaceAll(typed, 'TYPED')
      .replaceAll(/name="version" value="\d+"/g, 'VERSION')
      .replaceAll(uidOf(page), 'UID')
      .replaceAll(/[\w-]{21,}/g, (word) => (word === transaction ? 'CID' : word));
  const varying = new Set(['date', 'x-request-id', 'content-length', 'set-cookie', 'retry-after']);
  const headers = [...page.headers].filter(([name]) => !varying.has(name));
  return { status: page.status, names, headers, html: without(page.html) };
}

/** One guess at the first page; the answer, and how many argon2id verifications it took. */
async function guess(stage: Scene, username: string, password: string): Promise<{ shape: object; page: Page; verifications: number }> {
  const { browser, page } = await begin(stage);
  const before = stage.server.verifications();
  const answer = await browser.send(page, { username, password });
  // A computation that the answer did not wait for would be one as well.
  await pause(2);
  return { shape: shape(answer, username, undefined), page: answer, verifications: stage.server.verifications() - before };
}

forEachEngine((engine) => {
  const { scene, server } = arena(engine);

  engine.serial('D01 known, unknown, disabled: one answer and one argon2id verification', async (t) => {
    const stage = await scene();
    const { knex } = stage.server.db;
    const disable = (id: string) => knex('users').where({ realm_id: stage.realm.id, id }).update({ enabled: false });
    const service = await stage.server.client(stage.realm, { redirectUris: [], serviceAccount: true });
    const kinds: Record<string, () => Promise<string>> = {
      known: async () => (await stage.server.user(stage.realm)).username,
      unknown: async () => (await stage.server.user(stage.realm)).username.replace('user', 'nobody'),
      disabled: async () => {
        const user = await stage.server.user(stage.realm);
        await disable(user.id);
        return user.username;
      },
      'by address': async () => (await stage.server.user(stage.realm)).email ?? '',
      'with an app': async () => {
        const user = await stage.server.user(stage.realm);
        await giveApp(stage.server, user);
        return user.username;
      },
      'without a password': async () => {
        const user = await stage.server.user(stage.realm);
        await knex('credentials').where({ realm_id: stage.realm.id, user_id: user.id }).delete();
        return user.username;
      },
    };
    const expected = (await guess(stage, 'somebody-first', 'not the password')).shape;
    for (let round = 0; round < 10; round += 1) {
      for (const [kind, name] of Object.entries(kinds)) {
        const username = await name();
        const answer = await guess(stage, username, 'not the password');
        t.deepEqual(answer.shape, expected, kind);
        t.is(answer.verifications, 1, kind);
        t.is(answer.page.status, 400);
      }
    }
    const account = await guess(stage, `service-account-${service.clientId}`, 'not the password');
    t.deepEqual(account.shape, expected, 'a service account');
    t.is(account.verifications, 1);

    // The right password of somebody who may not sign in says no more than a wrong one.
    const barred = await stage.server.user(stage.realm);
    await disable(barred.id);
    const right = await guess(stage, barred.username, barred.password);
    t.deepEqual(right.shape, expected);
    t.is(right.verifications, 1);
    t.is((await sessionsOf(stage, barred)).length, 0);
    t.is((await audited(stage, 'login.failed', { user: barred.id })).length, 1, 'it is recorded all the same');

    // Nor does a password that cannot be one.
    for (const password of ['x'.repeat(1_500), '\ud800', 'p'.repeat(4_096)]) {
      const username = (await stage.server.user(stage.realm)).username;
      const odd = await guess(stage, username, password);
      t.is(odd.verifications, 1, `${password.length} characters`);
      t.is(odd.page.status, 400);
    }
  });

  engine.serial('D01 names that do not exist are paused like those that do, however they are spelled', async (t) => {
    const stage = await scene();
    const { knex } = stage.server.db;
    const known = await stage.server.user(stage.realm, {
      username: `Élodie-${Date.now()}-${engine.engine}`,
      email: `elodie-${engine.engine}@example.com`,
    });
    const disabled = await stage.server.user(stage.realm);
    await knex('users').where({ realm_id: stage.realm.id, id: disabled.id }).update({ enabled: false });
    const answers: { shape: object; verifications: number }[] = [];
    for (const username of [known.username, `no-${known.username}`, disabled.username]) {
      for (let attempt = 0; attempt < 10; attempt += 1) t.is((await guess(stage, username, `wrong ${attempt}`)).page.status, 400);
      const paused = await guess(stage, username, known.password);
      t.is(paused.page.status, 429);
      t.is(Math.round(Number(paused.page.headers.get('retry-after')) / 60), 15);
      answers.push({ shape: shape(paused.page, username, undefined), verifications: paused.verifications });
    }
    for (const answer of answers) t.deepEqual(answer, { shape: answers[0]?.shape ?? {}, verifications: 0 });

    const [first = ''] = known.username;
    const wide = [...known.username.slice(1)]
      .map((letter) => (/[a-z0-9]/.test(letter) ? String.fromCodePoint((letter.codePointAt(0) ?? 0) + 0xfee0) : letter))
      .join('');
    for (const spelling of [known.username.toUpperCase(), ` ${known.username} `, known.username.normalize('NFD'), `${first}${wide}`]) {
      t.is((await guess(stage, spelling, known.password)).page.status, 429, spelling);
    }
    const rows = await knex('attempts').where({ realm_id: stage.realm.id }).select('subject');
    t.false(
      rows.some(({ subject }) => /user|lodie|@/i.test(subject)),
      'who was guessed at cannot be read from the counters',
    );
  });

  engine.test('D03 the address of every link is ours, whatever the request calls its host', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const behindProxy = await startCardea(stage.server.db, { CARDEA_TRUST_PROXY: '1', CARDEA_ORIGIN: stage.server.origin });
    const { realm, rp } = stage;
    const own = new URL(stage.server.origin);
    const evil: Record<string, string>[] = [
      { host: 'evil.test' },
      { host: own.host, 'x-forwarded-host': 'evil.test' },
      { host: own.host, 'x-forwarded-host': 'evil.test', 'x-forwarded-proto': 'https', 'x-forwarded-port': '444', 'x-forwarded-for': '1.2.3.4' },
      { host: own.host, forwarded: 'host=evil.test;proto=https' },
      { host: `${own.host}@evil.test` },
      { host: own.host, 'x-forwarded-server': 'evil.test', 'x-original-url': 'http://evil.test/', 'x-rewrite-url': '/evil.test' },
    ];
    const request = new URL((await authorizationRequest(rp)).url);
    const targets = [
      `/realms/${realm.name}/.well-known/openid-configuration`,
      `/.well-known/oauth-authorization-server/realms/${realm.name}`,
      `/realms/${realm.name}`,
      `${request.pathname}${request.search}`,
      `${request.pathname}?client_id=${rp.client.clientId}&redirect_uri=https://evil.invalid/`,
      `/realms/${realm.name}/protocol/openid-connect/logout`,
      `/realms/${realm.name}/protocol/openid-connect/certs`,
      '/realms/nothing-here/login',
    ];
    // The application's own address is where its page may send a form.
    const allowed = new Set([stage.server.origin, new URL(rp.client.redirectUri).origin]);
    for (const node of [stage.server, behindProxy]) {
      for (const headers of evil) {
        for (const target of targets) {
          const answer = await rawRequest(node, { target, headers: { ...headers, accept: 'text/html,application/json' } });
          const said = JSON.stringify(answer.headers) + answer.body;
          t.false(said.includes('evil.test'), `${target} ${JSON.stringify(headers)}`);
          const foreign = [...said.matchAll(/https?:\/\/[^/"'\s&<>\\;]+/g)].map(([found]) => found).filter((found) => !allowed.has(found));
          t.deepEqual(foreign, [], `${target} ${JSON.stringify(headers)}`);
        }
      }
      // An absolute-form target takes the place of Host (RFC 9112 section 3.2.2).
      for (const target of [
        `http://evil.test/realms/${realm.name}/.well-known/openid-configuration`,
        `${stage.server.origin}/realms/${realm.name}`,
      ]) {
        const answer = await rawRequest(node, { target, headers: { host: own.host } });
        t.true(answer.status === 404 || answer.status === 400, `${target}: ${answer.status}`);
        t.false(answer.body.includes('evil.test'));
      }
    }
  });

  engine.test('D03 a sign-in that a foreign Host began goes on at our origin', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const request = await authorizationRequest(stage.rp);
    const browser = new Browser(stage.server.origin);
    const { pathname, search } = new URL(request.url);
    const first = await rawRequest(stage.server, { target: `${pathname}${search}`, headers: { host: 'evil.test', 'x-forwarded-host': 'evil.test' } });
    t.true(String(first.headers.location).startsWith(`${stage.server.origin}/realms/`));
    for (const line of first.headers['set-cookie'] ?? []) t.notRegex(line, /domain=/i);
    const page = await browser.visit(request.url);
    const back = await browser.send(page, { username: user.username, password: user.password });
    t.is((await exchange(stage.rp, request, back)).claims()?.iss, `${stage.server.origin}/realms/${stage.realm.name}`);
  });

  engine.test('D05 a name that the application suggests is shown, and nothing is said about it', async (t) => {
    const stage = await scene();
    const user = await stage.server.user(stage.realm);
    const pages = await Promise.all(
      [user.username, user.email ?? '', `no-${user.username}`, 'a'.repeat(255)].map(async (hint) => {
        const { page } = await begin(stage, { parameters: { login_hint: hint } });
        return {
          status: page.status,
          html: page.html
            .replaceAll(hint, 'HINT')
            .replaceAll(/value="\d+"/g, '')
            .replaceAll(uidOf(page), 'UID'),
        };
      }),
    );
    for (const page of pages) t.deepEqual(page, pages[0]);
    const hinted = await begin(stage, { parameters: { login_hint: `"><script>alert(1)</script>` } });
    t.false(hinted.page.html.includes('<script>alert'));
  });

  engine.test('D06 that a second factor is there is not said before the password is right', async (t) => {
    const stage = await scene({ mfa: 'required' });
    const [plain, protectedUser] = [await stage.server.user(stage.realm), await stage.server.user(stage.realm)];
    await giveApp(stage.server, protectedUser, { label: 'Secret phone' });
    const requests: Record<string, string>[] = [
      {},
      { acr_values: 'aal2' },
      { claims: JSON.stringify({ id_token: { acr: { essential: true, value: 'aal2' } } }) },
      { kc_action: 'CONFIGURE_TOTP' },
    ];
    for (const parameters of requests) {
      const shapes = [];
      for (const { username } of [plain, protectedUser]) {
        const { browser, page } = await begin(stage, { parameters });
        const answer = await browser.send(page, { username, password: 'not the password' });
        t.false(answer.html.includes('Secret phone'));
        shapes.push(shape(answer, username, undefined));
      }
      t.deepEqual(shapes[0], shapes[1], JSON.stringify(parameters));
    }
    const underway = await afterPassword(stage, protectedUser);
    t.true(underway.page.html.includes('Secret phone'), text(underway.page));
  });

  engine.test('D07 a client that does not exist is answered like one with a wrong secret', async (t) => {
    const stage = await scene();
    const { rp, realm } = stage;
    const answers = await Promise.all(
      [
        { clientId: rp.client.clientId, secret: 'not-the-secret-of-this-client' },
        { clientId: 'no-such-client', secret: 'not-the-secret-of-this-client' },
      ].flatMap((client) =>
        ['token', 'token/introspect', 'revoke', 'ext/par/request'].map(async (endpoint) => {
          const { status, body } = await call(stage.server, realm, endpoint, { grant_type: 'client_credentials', token: 'x' }, basic(client));
          return { endpoint, status, body };
        }),
      ),
    );
    t.deepEqual(answers.slice(0, 4), answers.slice(4));
    t.true(
      answers.every(({ status, body }) => status === 401 && body.error === 'invalid_client'),
      JSON.stringify(answers),
    );
  });

  engine.test('D08 a realm that is switched off, one that never was and one that cannot be look alike', async (t) => {
    const node = await server();
    const realm = await node.realm();
    await node.db
      .knex('realms')
      .where({ id: realm.id })
      .update({ enabled: false, version: realm.version + 1 });
    await node.db.changes.announce(`realm:${realm.id}`);
    const answers = await Promise.all(
      [realm.name, 'never-was', 'MASTER', 'a_b', '__proto__', 'constructor', 'x'.repeat(300)].map(async (name) => {
        const paths = [
          '',
          '/protocol/openid-connect/auth',
          '/protocol/openid-connect/certs',
          '/.well-known/openid-configuration',
          '/login/abc',
          '/account/',
        ];
        return Promise.all(
          paths.map(async (path) => {
            const response = await fetch(`${node.url}/realms/${name}${path}`, { headers: { accept: 'application/json' } });
            return { status: response.status, body: (await response.text()).replaceAll(name, 'NAME') };
          }),
        );
      }),
    );
    for (const answer of answers) {
      t.deepEqual(answer, answers[1]);
      t.true(
        answer.every(({ status }) => status === 404),
        JSON.stringify(answer),
      );
    }
  });

  engine.test('D09 what a sign-in was about cannot be read without its cookies', async (t) => {
    const stage = await scene();
    const { page, user } = await atCode(stage);
    const stranger = new Browser(stage.server.origin);
    const unknown = await stranger.visit(page.url.replace(/[^/]+$/, 'A'.repeat(21)));
    const foreign = await stranger.visit(page.url);
    const bare = (html: string) => html.replaceAll(/<code[^>]*>[^<]*<\/code>/g, '');
    t.is(foreign.status, unknown.status);
    t.is(bare(foreign.html), bare(unknown.html));
    t.is(formsOf(foreign).length, 0);
    const posted = await stranger.post(page.url, { username: user.username, password: user.password });
    t.is(posted.status, unknown.status);
  });
});
