import { at, DAY, forgetSession, guess, known, someAddress, throttling } from '../support/addresses.ts';
import { formsOf, type Page } from '../support/agent.ts';
import { arena, audited, basic, begin, call, codeFrom, parallel, postTo, type Scene, tally } from '../support/attack.ts';
import { forEachEngine, onPostgres } from '../support/databases.ts';
import { proofKey, proofOf } from '../support/dpop.ts';
import { authorizationRequest, Browser, text } from '../support/sign-in.ts';

/** How many rows count something of this realm. */
const counters = async ({ server, realm }: Scene) =>
  server.db.knex('attempts').where({ realm_id: realm.id }).where('failures', '>', 0).select('subject', 'failures', 'paused_until');

forEachEngine((engine) => {
  const { scene } = arena(engine, { CARDEA_TRUST_PROXY: '1' });

  engine.serial('A22 more failures in a realm than its ceiling: an alarm, and new devices wait, while nobody is locked out', async (t) => {
    const stage = await scene({ throttling: throttling({ address: { failures: 10_000 }, realm: { failures: 50, within: 3_600 } }) });
    const user = await stage.server.user(stage.realm);
    const own = at(stage, someAddress());
    await known(stage, user, own);
    const starts = await parallel(8, () => begin(stage, { browser: at(stage, someAddress()) }));
    await parallel(60, (index) => {
      const { browser, page } = starts[index % 8] ?? { browser: own, page: { url: '', status: 0, headers: new Headers(), html: '' } };
      return postTo(
        stage.server,
        browser,
        page.url,
        { ...formsOf(page)[0]?.fields, username: `nobody-${index}`, password: 'guess' },
        { 'x-forwarded-for': someAddress() },
      );
    });
    t.is((await audited(stage, 'login.flood')).length, 1, 'one alarm');
    t.true(stage.server.log.some((line) => line.includes('more sign-ins fail in this realm')));
    const timed = async (browser: Browser) => {
      const { page } = await begin(stage, { browser });
      const before = performance.now();
      const answer = await browser.send(page, { username: user.username, password: user.password });
      t.truthy(codeFrom(answer, stage.rp), text(answer));
      return performance.now() - before;
    };
    t.true((await timed(at(stage, someAddress()))) >= 2_900, 'a new device waits, and gets in');
    // On a busy machine a sign-in may take as long by itself, but not each time.
    let quickest = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < 5 && quickest >= 2_000; tries += 1)
      quickest = Math.min(quickest, await timed(forgetSession(own, stage.server.origin)));
    t.true(quickest < 2_000, 'a known one does not wait');
  });

  engine.serial('A23 what is not compared is not counted: a machine that is too busy locks nobody out', async (t) => {
    const stage = await scene();
    const user = await stage.server.user(stage.realm);
    const starts = await parallel(20, () => begin(stage, { browser: at(stage, someAddress()) }));
    const answers: Page[] = [];
    for (let round = 0; round < 4; round += 1) {
      answers.push(
        ...(await parallel(100, (index) => {
          const { browser, page } = starts[index % 20] ?? {
            browser: new Browser(''),
            page: { url: '', status: 0, headers: new Headers(), html: '' },
          };
          const fields = { ...formsOf(page)[0]?.fields, username: `${user.username}-${round}-${index}`, password: 'guess' };
          return postTo(stage.server, browser, page.url, fields, { 'x-forwarded-for': someAddress() });
        })),
      );
    }
    const { 400: compared = 0, 503: busy = 0 } = tally(answers);
    t.is(compared + busy, 400, JSON.stringify(tally(answers)));
    const counted = (await counters(stage)).filter((row) => row.failures > 0 && row.failures < 10);
    t.true(counted.length >= compared, 'what was compared is counted');
    t.truthy(codeFrom(await guess(stage, someAddress(), user.username, user.password), stage.rp));
  });

  engine.serial('A26 one address cannot keep the queue of passwords busy', async (t) => {
    const stage = await scene({ throttling: throttling({ address: { failures: 10_000, openSignIns: 20_000 } }) });
    const user = await stage.server.user(stage.realm);
    const flooder = someAddress();
    const starts = await parallel(10, () => begin(stage, { browser: at(stage, flooder) }));
    const others = await parallel(5, () => begin(stage, { browser: at(stage, someAddress()) }));
    const flood = parallel(400, (index) => {
      const { browser, page } = starts[index % 10] ?? { browser: new Browser(''), page: { url: '', status: 0, headers: new Headers(), html: '' } };
      const fields = { ...formsOf(page)[0]?.fields, username: `nobody-${index}`, password: 'guess' };
      return postTo(stage.server, browser, page.url, fields, { 'x-forwarded-for': flooder });
    });
    const signedIn = await Promise.all(others.map(({ browser, page }) => browser.send(page, { username: user.username, password: user.password })));
    t.true(
      signedIn.every((page) => codeFrom(page, stage.rp)),
      JSON.stringify(tally(signedIn)),
    );
    const answers = tally(await flood);
    t.is((answers[400] ?? 0) + (answers[503] ?? 0), 400, JSON.stringify(answers));
  });

  engine.test('A24 sign-ins that are begun and left behind are bounded by address', async (t) => {
    const stage = await scene({ throttling: throttling({ address: { openSignIns: 20 } }) });
    const ip = someAddress();
    for (let index = 0; index < 20; index += 1) t.is((await begin(stage, { browser: at(stage, ip) })).page.status, 200, `sign-in ${index}`);
    const refused = await begin(stage, { browser: at(stage, ip) });
    t.is(refused.page.status, 429, text(refused.page));
    t.true(Number(refused.page.headers.get('retry-after')) > 0);
    t.is((await begin(stage, { browser: at(stage, someAddress()) })).page.status, 200, 'elsewhere they are not');
    const rows = await stage.server.db.knex('oidc_payloads').where({ realm_id: stage.realm.id, model: 'Interaction' }).select('address');
    t.false(
      rows.some(({ address }) => String(address).includes('198.18')),
      'no address is stored',
    );
  });

  engine.test('A24 sign-ins that are finished are no longer open', async (t) => {
    const stage = await scene({ throttling: throttling({ address: { openSignIns: 20 } }) });
    const ip = someAddress();
    const user = await stage.server.user(stage.realm);
    for (let index = 0; index < 30; index += 1) {
      t.truthy(codeFrom(await guess(stage, ip, user.username, user.password), stage.rp), `sign-in ${index}`);
    }
  });

  engine.test('A24 sessions that nobody signs in to, requests that anybody pushes and their proofs are bounded by address too', async (t) => {
    // A realm of its own: its rows are counted.
    const settings = { throttling: throttling({ address: { openSignIns: 21 } }) };
    const stage = await scene(settings, { publicClient: true });
    const { server, realm, rp } = stage;
    const rows = async (model: string) => (await server.db.knex('oidc_payloads').where({ realm_id: realm.id, model })).length;
    const path = `${server.url}/realms/${realm.name}`;
    const visitor = { 'x-forwarded-for': someAddress() };
    for (let index = 0; index < 25; index += 1) {
      const nobody = await fetch(`${path}/protocol/openid-connect/logout`, { headers: visitor });
      t.deepEqual([nobody.status, nobody.headers.getSetCookie()], [200, []]);
    }
    t.is(await rows('Session'), 0, 'a sign-out of nobody needs no session');
    const page = `${path}/device`;
    for (let index = 0; index < 21; index += 1) t.is((await fetch(page, { headers: visitor })).status, 200, page);
    const refused = await fetch(page, { headers: visitor });
    t.is(refused.status, 429, page);
    t.true(Number(refused.headers.get('retry-after')) > 0);
    t.is(await rows('Session'), 21);
    t.is((await begin(stage, { browser: at(stage, visitor['x-forwarded-for']) })).page.status, 429, 'all of them together');
    t.is((await fetch(page, { headers: { 'x-forwarded-for': someAddress() } })).status, 200, 'elsewhere they are not');
    const from = { 'x-forwarded-for': someAddress() };
    const pushed = Object.fromEntries(new URL((await authorizationRequest(rp)).url).searchParams);
    const key = await proofKey();
    const prove = () => proofOf(key, { method: 'POST', url: `${server.origin}/realms/${realm.name}/protocol/openid-connect/ext/par/request` });
    t.is((await call(server, realm, 'ext/par/request', pushed, from)).status, 201);
    for (let index = 0; index < 10; index += 1)
      t.is((await call(server, realm, 'ext/par/request', pushed, { ...from, dpop: await prove() })).status, 201);
    for (let index = 0; index < 5; index += 1)
      t.is((await call(server, realm, 'ext/par/request', pushed, { ...from, ...(index % 2 ? { dpop: await prove() } : {}) })).status, 429);
    t.is(await rows('PushedAuthorizationRequest'), 11);
    t.is(await rows('ReplayDetection'), 10);
    const own = await scene(settings);
    const { redirect_uri = '' } = pushed;
    for (let index = 0; index < 25; index += 1) {
      const ofBackend = { client_id: own.rp.client.clientId, response_type: 'code', scope: 'openid', redirect_uri };
      t.is(
        (await call(server, realm, 'ext/par/request', ofBackend, { ...from, ...basic(own.rp.client) })).status,
        201,
        'who shows who it is, is not counted',
      );
    }
  });

  engine.test('A24 a session that was begun before its user signed in is open no longer', async (t) => {
    const stage = await scene({ throttling: throttling({ address: { openSignIns: 20 } }), mfa: 'off' });
    const ip = someAddress();
    const user = await stage.server.user(stage.realm);
    for (let index = 0; index < 25; index += 1) {
      const browser = at(stage, ip);
      t.is((await browser.visit(`${stage.server.origin}/realms/${stage.realm.name}/device`)).status, 200, `browser ${index}`);
      const { page } = await begin(stage, { browser });
      t.truthy(codeFrom(await browser.send(page, { username: user.username, password: user.password }), stage.rp), `sign-in ${index}`);
    }
  });

  engine.test('A25 client secrets are guessed at in vain, and only by whoever guesses', async (t) => {
    const stage = await scene({ throttling: throttling({ client: { failures: 5, within: DAY } }) });
    const { clientId } = stage.rp.client;
    const ip = someAddress();
    const ask = (secret: string | null, from: string, client = clientId, endpoint = 'token') =>
      call(
        stage.server,
        stage.realm,
        endpoint,
        { grant_type: 'client_credentials', token: 'x' },
        { ...basic({ clientId: client, secret }), 'x-forwarded-for': from },
      );
    for (let index = 0; index < 5; index += 1) {
      const answer = await ask(`guess ${index}`, ip);
      t.is(answer.status, 401);
      t.is(answer.body.error, 'invalid_client');
    }
    for (const endpoint of ['token', 'token/introspect', 'revoke', 'ext/par/request']) {
      const refused = await ask(stage.rp.client.secret, ip, clientId, endpoint);
      t.is(refused.status, 429, endpoint);
      t.true(Number(refused.headers.get('retry-after')) > 0);
    }
    t.not((await ask(stage.rp.client.secret, someAddress())).status, 429, 'the client itself goes on from where it is');
    for (let index = 0; index < 6; index += 1) {
      t.is((await ask(`guess ${index}`, ip, 'no-such-client')).status, index < 5 ? 401 : 429, 'one that does not exist is counted alike');
    }
  });

  engine.test('A25 names of clients that nobody has fill no table', async (t) => {
    const stage = await scene({ throttling: throttling({ client: { failures: 5, within: DAY - 1 } }) });
    const before = await counters(stage);
    const ip = someAddress();
    const ask = (client: { clientId: string; secret: string | null }) =>
      call(stage.server, stage.realm, 'token', { grant_type: 'client_credentials' }, { ...basic(client), 'x-forwarded-for': ip });
    for (let index = 0; index < 20; index += 1) t.is((await ask({ clientId: `nobody-${index}`, secret: 'guess' })).status, index < 5 ? 401 : 429);
    t.is((await counters(stage)).length - before.length, 1);
    t.is((await ask({ clientId: stage.rp.client.clientId, secret: 'guess' })).status, 401, 'one that there is has a count of its own');
    t.not((await ask(stage.rp.client)).status, 429);
  });

  engine.test('A25 a right secret is never counted', async (t) => {
    const stage = await scene({ throttling: throttling({ client: { failures: 6, within: DAY } }) }, { serviceAccount: true });
    const before = await counters(stage);
    for (let index = 0; index < 20; index += 1) {
      const answer = await call(stage.server, stage.realm, 'token', { grant_type: 'client_credentials' }, basic(stage.rp.client));
      t.is(answer.status, 200, JSON.stringify(answer.body));
    }
    t.is((await counters(stage)).length, before.length);
  });
});

onPostgres.test('A25 what one process counted, the other meets at its first failure', async (t) => {
  const { scene, nodes } = arena(onPostgres, { CARDEA_TRUST_PROXY: '1' });
  const stage = await scene({ throttling: throttling({ client: { failures: 5, within: DAY } }) });
  const [one, two] = await nodes();
  if (!one || !two) return t.fail('two processes');
  const ip = someAddress();
  const ask = (node: typeof one, secret: string | null) =>
    call(
      node,
      stage.realm,
      'token',
      { grant_type: 'client_credentials' },
      { ...basic({ clientId: stage.rp.client.clientId, secret }), 'x-forwarded-for': ip },
    );
  for (let index = 0; index < 5; index += 1) t.is((await ask(one, `guess ${index}`)).status, 401);
  t.is((await ask(one, stage.rp.client.secret)).status, 429);
  t.is((await ask(two, 'guess')).status, 401);
  t.is((await ask(two, stage.rp.client.secret)).status, 429);
});
