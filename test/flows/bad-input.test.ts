/**
 * What is sent here by mistake, by an old bookmark or by a broken program: each answer says what happened and what to do,
 * with a status that programs understand.
 */
import { connect as connectTo } from 'node:net';
import { arena, begin, call, codeFrom, credentialsOf, rawRequest, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { isPage, linkOf, said } from '../support/reading.ts';
import { authorizationRequest, Browser, exchange, signIn } from '../support/sign-in.ts';

const asProgram = { headers: { accept: 'application/json' } };
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
    t.is(lost.status, 404);
    t.regex(said(lost), /go back to the application and sign in again/);

    const transaction = await begin(stage);
    transaction.browser.plant(
      transaction.browser.jar.filter(({ name }) => name.startsWith('cardea_tx_')).map((cookie) => ({ ...cookie, value: 'x' })),
    );
    const elsewhere = await transaction.browser.send(transaction.page, { username: user.username, password: user.password });
    t.is(elsewhere.status, 403);
    t.regex(said(elsewhere), /another browser, or the answer to your last step got lost/);
    const again = linkOf(elsewhere);
    const anew = await transaction.browser.visit(again);
    const back = await transaction.browser.send(anew, { username: user.username, password: user.password });
    t.is((await exchange(stage.rp, transaction.request, back)).claims()?.sub, user.id, 'the same request, anew');
  });

  engine.test('what is no request, or has more headers than can be read, is told so', async (t) => {
    const { url } = await server();
    const { hostname, port } = new URL(url);
    const talk = (sent: string) =>
      new Promise<string>((resolve, reject) => {
        const socket = connectTo(Number(port), hostname, () => socket.write(sent));
        let answer = '';
        socket
          .on('data', (data) => (answer += data))
          .on('end', () => resolve(answer))
          .on('error', reject);
      });
    const start = 'GET /realms/master HTTP/1.1\r\nHost: localhost\r\n';
    t.regex(await talk(`${start}Cookie: ${'x'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431 [\s\S]*\r\n\r\n.*Delete the cookies of this site/);
    t.regex(await talk(`GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`), /^HTTP\/1\.1 431 /);
    t.regex(await talk('hello\r\n\r\n'), /^HTTP\/1\.1 400 [\s\S]*\r\n\r\nThis is not a request that can be read\./);
    t.is((await fetch(`${url}/health/live`)).status, 200, 'and everybody else is served');
  });
});
