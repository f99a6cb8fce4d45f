/**
 * What is sent here by mistake, by an old bookmark or by a broken program: each answer says what happened and what to do,
 * with a status that programs understand, and the sign-in goes on where it was.
 */
import { formsOf, type Page, unescapeHtml } from '../support/agent.ts';
import { arena, at, atCode, begin, call, codeAt, codeFrom, credentialsOf, rawRequest, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, exchange, signIn } from '../support/sign-in.ts';

/** What a page says to whoever reads it. */
const said = (page: Page): string =>
  unescapeHtml((/<main[\s\S]*<\/main>/.exec(page.html)?.[0] ?? page.html).replace(/<svg[\s\S]*?<\/svg>/g, ' ').replace(/<[^>]+>/g, ' ')).replace(
    /\s+/g,
    ' ',
  );

const isPage = (page: Page): boolean => page.headers.get('content-type') === 'text/html; charset=utf-8' && page.html.includes('<main');
const asProgram = { headers: { accept: 'application/json' } };

/** The error that a form shows next to a field. */
const errorAt = (page: Page, field: string): string | undefined =>
  new RegExp(`id="wrong-${field}">(.*?)</p>`).exec(page.html)?.[1]?.replace(/<[^>]+>/g, '');
/** The field that the cursor is put in. */
const focused = (page: Page): string | undefined => /<(?:input|button)\b[^>]*\bautofocus/.exec(page.html)?.[0].match(/name="([^"]*)"/)?.[1];

const connect = ({ server, realm }: Scene, path: string): string => `${server.origin}/realms/${realm.name}/protocol/openid-connect/${path}`;

forEachEngine((engine) => {
  const { scene, server } = arena(engine);

  engine.test('an authorization request that cannot be answered stops on a page, and nobody is sent anywhere', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const asked = async (parameters: Record<string, string>) => (await authorizationRequest(stage.rp, parameters)).url;
    const without = (url: string, name: string) => {
      const left = new URL(url);
      left.searchParams.delete(name);
      return left.href;
    };
    const cases: [name: string, url: string, says: RegExp][] = [
      ['wrong redirect_uri', await asked({ redirect_uri: 'https://evil.example/callback' }), /not registered.*redirect_uri.*exactly/],
      ['a path below it', await asked({ redirect_uri: `${stage.rp.client.redirectUri}/more` }), /not registered/],
      ['no redirect_uri', without(await asked({}), 'redirect_uri'), /missing required parameter 'redirect_uri'/],
      ['redirect_uri twice', `${await asked({})}&redirect_uri=https://evil.example/`, /must not be provided twice/],
      ['unknown client', await asked({ client_id: 'nobody' }), /application.*not registered, or is switched off/],
      ['no client', without(await asked({}), 'client_id'), /missing required parameter 'client_id'/],
      ['nothing at all', connect(stage, 'auth'), /missing required parameter/],
    ];
    for (const [name, url, says] of cases) {
      const page = await new Browser(stage.server.origin).visit(url);
      t.is(page.status, 400, name);
      t.true(isPage(page), name);
      t.regex(said(page), says, name);
      t.regex(said(page), /Go back|Check|Tell/, `${name}: what to do`);
      t.is(page.headers.get('location'), null, name);
      t.false(page.html.includes('evil.example'), `${name}: what was sent is not repeated`);
      const json = await new Browser(stage.server.origin).visit(url, asProgram);
      t.is(json.status, 400, name);
      t.regex(JSON.parse(json.html).error, /^invalid_(request|client|redirect_uri)$/, name);
    }
  });

  engine.test('a client that is switched off is like one that is not there, also in the middle of a sign-in', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { tokens } = await signIn(stage.server, stage.rp, user);
    const { browser, page } = await begin(stage);
    await stage.server.db.knex('clients').where({ realm_id: stage.realm.id, client_id: stage.rp.client.clientId }).update({ enabled: false });
    await stage.server.db.changes.announce(`client:${stage.realm.id}`);

    const back = await browser.send(page, { username: user.username, password: user.password });
    t.is(codeFrom(back, stage.rp), undefined);
    t.is(back.status, 400, said(back));
    t.regex(said(back), /switched off/);
    const fresh = await new Browser(stage.server.origin).visit((await authorizationRequest(stage.rp)).url);
    t.regex(said(fresh), /switched off/);
    const refresh = await call(
      stage.server,
      stage.realm,
      'token',
      { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' },
      credentialsOf(stage.rp),
    );
    t.is(refresh.status, 401);
    t.is(refresh.body.error, 'invalid_client');
  });

  engine.serial('a realm that is not there is a 404 at every address, and is looked for once', async (t) => {
    const { origin, db } = await server();
    const paths = [
      '',
      '/protocol/openid-connect/auth?client_id=x',
      '/protocol/openid-connect/token',
      '/.well-known/openid-configuration',
      '/login/abc',
      '/account/',
    ];
    const browser = new Browser(origin);
    let queries = 0;
    const count = ({ bindings }: { bindings?: unknown[] }) => {
      if (bindings?.includes('not-there-at-all')) queries += 1;
    };
    db.knex.on('query', count);
    for (const path of paths) {
      const page = await browser.visit(`${origin}/realms/not-there-at-all${path}`);
      t.is(page.status, 404, path);
      t.regex(said(page), /no such realm/, path);
      t.regex(said(page), /Check the address/, path);
      const json = await browser.visit(`${origin}/realms/not-there-at-all${path}`, asProgram);
      t.deepEqual([json.status, JSON.parse(json.html).error], [404, 'realm_not_found'], path);
    }
    db.knex.off('query', count);
    t.is(queries, 1);
    t.is((await browser.post(`${origin}/realms/not-there-at-all/protocol/openid-connect/token`, { grant_type: 'x' })).status, 404);
    t.deepEqual(browser.cookies('localhost'), {});
    for (const name of ['MASTER', 'mäster', '%6daster', 'a', '-x', 'x'.repeat(80), '__proto__'])
      t.is((await browser.visit(`${origin}/realms/${name}`)).status, 404, name);
  });

  engine.test('what is not there below a realm, and what does not take a method, says so on a page of ours', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const base = `${stage.server.origin}/realms/${stage.realm.name}`;
    const browser = new Browser(stage.server.origin);
    const missing = [
      '/nope',
      '/',
      '/login',
      '/login/',
      '/login/a/b',
      '/protocol/saml',
      '/protocol/openid-connect/nope',
      '/protocol/openid-connect/AUTH',
      '/protocol/openid-connect/auth/a/b',
      '/.well-known/nope',
    ];
    for (const path of missing) {
      const page = await browser.visit(`${base}${path}`);
      t.is(page.status, 404, path);
      t.true(isPage(page), path);
      t.regex(said(page), /no such page/, path);
      t.is(JSON.parse((await browser.visit(`${base}${path}`, asProgram)).html).error, 'not_found', path);
    }
    const methods: [method: string, path: string, allow: string][] = [
      ['PUT', 'auth', 'GET, HEAD, POST'],
      ['DELETE', 'logout', 'GET, HEAD, POST'],
      ['GET', 'token', 'POST, OPTIONS'],
      ['GET', 'logout/confirm', 'POST'],
      ['POST', 'certs', 'GET, HEAD, OPTIONS'],
    ];
    for (const [method, path, allow] of methods) {
      const page = await browser.visit(connect(stage, path), { method });
      t.is(page.status, 405, `${method} ${path}`);
      t.is(page.headers.get('allow'), allow);
      t.regex(said(page), /This address takes requests by/);
    }
    const options = await browser.visit(connect(stage, 'auth'), { method: 'OPTIONS' });
    t.deepEqual([options.status, options.headers.get('allow')], [204, 'GET, HEAD, POST']);
  });

  engine.test('the sign-in page is read and its form is sent, and nothing else', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser, page, request } = await begin(stage);
    for (const method of ['PUT', 'PATCH', 'DELETE']) {
      const refused = await browser.visit(page.url, { method, headers: { origin: stage.server.origin } });
      t.is(refused.status, 405, method);
      t.is(refused.headers.get('allow'), 'HEAD, GET, POST');
      t.regex(said(refused), /does not take requests of this kind/);
    }
    const options = await browser.visit(page.url, { method: 'OPTIONS' });
    t.deepEqual([options.status, options.html], [200, '']);
    const head = await browser.visit(page.url, { method: 'HEAD' });
    t.deepEqual([head.status, head.html, head.headers.get('cache-control')], [200, '', 'no-store']);
    t.is((await exchange(stage.rp, request, await browser.send(page, { username: user.username, password: user.password }))).claims()?.sub, user.id);
  });

  engine.test('empty fields and wrong ones are named, and the name that was typed stays', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser, page, request } = await begin(stage);

    const empty = await browser.send(page, { username: '', password: '' });
    t.is(empty.status, 400);
    t.truthy(errorAt(empty, 'username'));
    t.truthy(errorAt(empty, 'password'));
    t.is(focused(empty), 'username');
    t.regex(empty.html, /<title>Error: /);

    const blank = await browser.send(page, { username: '   ', password: 'x' });
    t.truthy(errorAt(blank, 'username'));

    const noPassword = await browser.send(page, { username: user.username, password: '' });
    t.truthy(errorAt(noPassword, 'password'));
    t.is(focused(noPassword), 'password');
    t.is(formsOf(noPassword)[0]?.fields.username, user.username);

    const wrong = await browser.send(page, { username: user.username, password: 'not this', remember: 'on' });
    t.is(wrong.status, 400);
    t.regex(errorAt(wrong, 'password') ?? '', /do not belong together/);
    t.is(focused(wrong), 'password');
    t.is(formsOf(wrong)[0]?.fields.username, user.username);
    t.is(formsOf(wrong)[0]?.fields.remember, 'on');
    t.false(wrong.html.includes('not this'));

    const long = await browser.send(page, { username: 'a'.repeat(2_000), password: 'x' });
    t.is(long.status, 400);
    t.regex(errorAt(long, 'username') ?? '', /longer than/);
    const longPassword = await browser.send(page, { username: user.username, password: 'x'.repeat(5_000) });
    t.is(longPassword.status, 400);
    t.is(formsOf(longPassword)[0]?.fields.username, user.username);

    const program = await browser.visit(page.url, {
      method: 'POST',
      body: new URLSearchParams({ username: user.username, password: 'not this' }),
      headers: { accept: 'application/json', origin: stage.server.origin },
    });
    t.is(program.status, 400);
    t.like(JSON.parse(program.html), { error: 'bad_input', field: 'password' });

    const back = await browser.send(longPassword, { password: user.password });
    t.is((await exchange(stage.rp, request, back)).claims()?.sub, user.id);
  });

  engine.test('what is no code is refused next to the field, and the right code goes on', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const shapes: [name: string, body: (code: string) => string][] = [
      ['letters', () => 'code=abcdef'],
      ['full-width digits', (code) => `code=${encodeURIComponent(code.replace(/\d/g, (digit) => String.fromCodePoint(0xff10 + Number(digit))))}`],
      ['a number', () => 'code=1e5'],
      ['too short', (code) => `code=${code.slice(1)}`],
      ['too long', (code) => `code=${code}0`],
      ['much too long', () => `code=${'1'.repeat(3_000)}`],
      ['a sign', (code) => `code=-${code}`],
      ['a list', (code) => `code[]=${code}`],
      ['twice', (code) => `code=${code}&code=${code}`],
      ['nothing', () => 'code='],
      ['a zero byte', (code) => `code=${code}%00`],
      ['no UTF-8', (code) => `code=${code}%ff`],
    ];
    // Four a user: the fifth wrong code would end the sign-in.
    for (let first = 0; first < shapes.length; first += 4) {
      const { browser, page, secret, user, request } = await atCode(stage);
      const version = formsOf(page)[0]?.fields.version ?? '';
      for (const [name, body] of shapes.slice(first, first + 4)) {
        const refused = await browser.visit(page.url, {
          method: 'POST',
          body: `version=${version}&${body(codeAt(secret))}`,
          headers: { origin: stage.server.origin, 'content-type': 'application/x-www-form-urlencoded' },
        });
        t.is(refused.status, 400, name);
        t.truthy(errorAt(refused, 'code'), `${name}: ${said(refused)}`);
        t.is(focused(refused), 'code', name);
      }
      const back = await browser.send(page, { code: codeAt(secret) });
      t.is((await exchange(stage.rp, request, back)).claims()?.sub, user.id);
    }
  });

  engine.test('a body that is too large or of another kind: the page says so, and the sign-in goes on', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser, page, request } = await begin(stage);
    const form = new FormData();
    form.set('username', user.username);
    const sent: [status: number, name: string, init: RequestInit][] = [
      [413, 'large', { body: new URLSearchParams({ username: user.username, password: 'x'.repeat(20_000) }) }],
      [
        413,
        'large, in pieces',
        {
          body: new Blob(['username=', 'x'.repeat(200_000)]).stream(),
          duplex: 'half',
          headers: { 'content-type': 'application/x-www-form-urlencoded' },
        },
      ],
      [415, 'JSON', { body: JSON.stringify({ username: user.username }), headers: { 'content-type': 'application/json' } }],
      [415, 'multipart', { body: form }],
      [415, 'text', { body: `username=${user.username}`, headers: { 'content-type': 'text/plain' } }],
      [
        415,
        'another charset',
        { body: `username=${user.username}`, headers: { 'content-type': 'application/x-www-form-urlencoded; charset=iso-8859-1' } },
      ],
      [
        400,
        'a field twice',
        { body: `username=${user.username}&username=other&password=x`, headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      ],
    ];
    for (const [status, name, init] of sent) {
      const refused = await browser.visit(page.url, { ...init, method: 'POST', headers: { ...init.headers, origin: stage.server.origin } });
      t.is(refused.status, status, name);
      t.regex(said(refused), /There is a problem/, name);
      t.deepEqual(
        formsOf(refused)[0]?.names.filter((field) => field !== 'version'),
        ['username', 'password', 'remember'],
        name,
      );
    }
    t.is((await exchange(stage.rp, request, await browser.send(page, { username: user.username, password: user.password }))).claims()?.sub, user.id);
  });

  engine.test('the token endpoint answers what it cannot read in JSON', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const url = connect(stage, 'token');
    const post = async (init: RequestInit): Promise<{ status: number; body: Record<string, unknown> }> => {
      const answer = await fetch(url, { method: 'POST', ...init, headers: { ...credentialsOf(stage.rp), ...init.headers } });
      return { status: answer.status, body: JSON.parse(await answer.text()) };
    };
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    t.like(await post({ body: new URLSearchParams({ grant_type: 'authorization_code', code: 'x'.repeat(60_000) }) }), {
      status: 413,
      body: { error: 'invalid_request' },
    });
    t.like(await post({ body: JSON.stringify({ grant_type: 'client_credentials' }), headers: { 'content-type': 'application/json' } }), {
      status: 400,
      body: { error: 'invalid_request' },
    });
    t.like(await post({ body: '', headers: form }), { status: 400, body: { error: 'invalid_request' } });
    t.like(await post({ body: 'grant_type=refresh_token&refresh_token=a&refresh_token=b', headers: form }), {
      status: 400,
      body: { error: 'invalid_request' },
    });
    t.like(await post({ body: 'grant_type=refresh_token&refresh_token=nothing', headers: form }), { status: 400, body: { error: 'invalid_grant' } });
    const { status, body } = await rawRequest(stage.server, { target: new URL(url).pathname, headers: { host: new URL(url).host } });
    t.is(status, 405);
    t.is(JSON.parse(body).error, 'method_not_allowed');
  });

  engine.test('broken cookies are like none', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const garbage = ['', 'x', '%', '{}', '"', 'ä'.repeat(3), '../../etc/passwd', 'a'.repeat(2_000)];
    const path = `/realms/${stage.realm.name}`;
    for (const value of garbage) {
      const browser = new Browser(stage.server.origin);
      const written = encodeURIComponent(value);
      const plant = (...names: string[]) => browser.plant(names.map((name) => ({ host: 'localhost', path, name, value: written })));
      plant('cardea_session', 'cardea_session.sig', 'unknown');
      const { page, request } = await begin(stage, { browser });
      t.is(page.status, 200, value);
      const back = await browser.send(page, { username: user.username, password: user.password });
      t.is((await exchange(stage.rp, request, back)).claims()?.sub, user.id, value);
    }

    const interaction = await begin(stage);
    interaction.browser.plant(
      interaction.browser.jar.filter(({ name }) => name === 'cardea_interaction').map((cookie) => ({ ...cookie, value: 'x' })),
    );
    const lost = await interaction.browser.visit(interaction.page.url);
    t.is(lost.status, 410);
    t.regex(said(lost), /go back to the application and sign in again/);

    const transaction = await begin(stage);
    transaction.browser.plant(
      transaction.browser.jar.filter(({ name }) => name.startsWith('cardea_tx_')).map((cookie) => ({ ...cookie, value: 'x' })),
    );
    const elsewhere = await transaction.browser.send(transaction.page, { username: user.username, password: user.password });
    t.is(elsewhere.status, 403);
    t.regex(said(elsewhere), /another browser, or the answer to your last step got lost/);
    const again = /<a class="button primary" href="([^"]+)"/.exec(elsewhere.html)?.[1];
    const anew = await transaction.browser.visit(unescapeHtml(again ?? ''));
    const back = await transaction.browser.send(anew, { username: user.username, password: user.password });
    t.is((await exchange(stage.rp, transaction.request, back)).claims()?.sub, user.id, 'the same request, anew');
  });

  engine.serial('a sign-in that took too long says so, and a new one is begun at the application', async (t) => {
    const stage = await scene({ mfa: 'off', accessCodeLifespanLogin: 120, accessCodeLifespan: 60 });
    const user = await stage.server.user(stage.realm);
    const { browser, page } = await begin(stage);
    const other = await begin(stage);
    const done = await other.browser.send(other.page, { username: user.username, password: user.password });
    await at(61_000, async () => {
      await t.throwsAsync(exchange(stage.rp, other.request, done), { message: /./, code: 'OAUTH_RESPONSE_BODY_ERROR' }, 'the code has expired');
    });
    await at(121_000, async () => {
      const late: [string, () => Promise<Page>][] = [
        ['reload', () => browser.visit(page.url)],
        ['submit', () => browser.send(page, { username: user.username, password: user.password })],
      ];
      for (const [name, answer] of late) {
        const over = await answer();
        t.is(over.status, 410, name);
        t.regex(said(over), /took too long/, name);
        t.regex(said(over), /go back to the application and sign in again/, name);
      }
      const next = await begin(stage, { browser });
      t.truthy(codeFrom(await browser.send(next.page, { username: user.username, password: user.password }), stage.rp));
    });
  });

  engine.test('too many passwords in a row: how long to wait, and the name stays', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser, page } = await begin(stage);
    let last = page;
    for (let tries = 0; tries < 11; tries += 1) last = await browser.send(last, { username: user.username, password: 'not this' });
    t.is(last.status, 429);
    t.regex(said(last), /Try again in \d+ minutes/);
    t.true(Number(last.headers.get('retry-after')) > 60);
    t.is(formsOf(last)[0]?.fields.username, user.username);
  });

  engine.test('five wrong codes end the sign-in, and the page leads to a new one', async (t) => {
    const stage = await scene({ mfa: 'optional' });
    const { browser, page, user, secret, request } = await atCode(stage);
    let last = page;
    for (let tries = 0; tries < 5; tries += 1) last = await browser.send(page, { code: 'abcdef' });
    t.is(last.status, 403);
    t.regex(said(last), /too many codes were wrong/);
    const again = unescapeHtml(/<a class="button primary" href="([^"]+)"/.exec(last.html)?.[1] ?? '');
    const anew = await browser.visit(again);
    const code = await browser.send(anew, { username: user.username, password: user.password });
    t.is((await exchange(stage.rp, request, await browser.send(code, { code: codeAt(secret) }))).claims()?.acr, 'aal2');
  });
});
