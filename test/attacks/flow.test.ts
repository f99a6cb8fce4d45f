/** B · Attacks on the way through a sign-in: steps left out, replayed, mixed up, or walked by somebody else. */
import { randomUUID } from 'node:crypto';
import { decodeJwt } from 'jose';
import { setPassword } from '../../src/admin/resources/users.ts';
import { consentedScopes } from '../../src/store/consents.ts';
import { type Cookie, formsOf, type Page } from '../support/agent.ts';
import {
  afterPassword,
  arena,
  atCode,
  audited,
  backAtApplication,
  begin,
  call,
  codeAt,
  codeExchange,
  codeFrom,
  copyOf,
  credentialsOf,
  getFrom,
  giveApp,
  parallel,
  postTo,
  type Scene,
  sessionsOf,
  storedLogin,
  type TestUser,
  tally,
  transactionOf,
  type Underway,
} from '../support/attack.ts';
import { allBut } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, Browser, exchange, relyingParty, type SignedIn, signIn, text } from '../support/sign-in.ts';

const uidOf = (page: Page): string => page.url.split('/').at(-1) ?? '';
const resumeOf = ({ server, realm }: Scene, uid: string): string => `${server.origin}/realms/${realm.name}/protocol/openid-connect/auth/${uid}`;
const errorAt = (page: Page, { rp }: Scene): string | null | undefined => backAtApplication(page, rp.client.redirectUri)?.get('error');

/** One POST of the page's form, without following where it leads. */
function sendOnly(browser: Browser, page: Page, fields: Record<string, string>): Promise<Page> {
  const body = new URLSearchParams({ ...formsOf(page)[0]?.fields, ...fields });
  return browser.request(page.url, { method: 'POST', body, headers: { origin: browser.origin, 'sec-fetch-site': 'same-origin' } });
}

/** A sign-in that is done, in a browser that has not come back from it yet. */
async function parked(stage: Scene, user: TestUser): Promise<Underway & { resume: string }> {
  const underway = await begin(stage);
  const done = await sendOnly(underway.browser, underway.page, { username: user.username, password: user.password });
  const resume = done.headers.get('location') ?? '';
  if (!resume.includes('/protocol/openid-connect/auth/')) throw new Error(`It is not done: ${done.status} ${text(done)}`);
  return { ...underway, resume };
}

/** Puts the times of a session's proofs back, as if it had stood for a while. */
async function age({ server, realm }: Scene, user: TestUser, ms: number): Promise<void> {
  const { knex } = server.db;
  for (const session of await knex('sessions').where({ realm_id: realm.id, user_id: user.id })) {
    const proofs: { at: number }[] = JSON.parse(session.proofs);
    const older = JSON.stringify(proofs.map((proof) => ({ ...proof, at: proof.at - ms })));
    await knex('sessions')
      .where({ realm_id: realm.id, id: session.id })
      .update({ proofs: older, created_at: session.created_at - ms });
  }
}

/** Whatever leads back to a sign-in, spelled in every way that could be taken for another. */
const spellings = (stage: Scene, uid: string): string[] => {
  const resume = resumeOf(stage, uid);
  return [
    resume,
    `${resume}/`,
    `${resume}?`,
    `${resume}?x=1`,
    resume.replace('/auth/', '/AUTH/'),
    resume.replace('/auth/', '//auth/'),
    resume.replace('/protocol/', '/Protocol/'),
    resume.replace('/realms/', '/Realms/'),
    resume.replace('/auth/', '/auth/%2e/'),
    resumeOf(stage, 'A'.repeat(21)),
    resumeOf(stage, `${uid}x`),
    resumeOf(stage, uid.toLowerCase()),
    resumeOf(stage, 'A'.repeat(80)),
    resumeOf(stage, `${uid}.`),
    resumeOf(stage, `${uid};a=b`),
  ];
};

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine);

  engine.test('B01 the password alone was right: whoever opens the way back is asked again', async (t) => {
    const stage = await scene();
    const { browser, page, user } = await atCode(stage);
    for (const url of spellings(stage, uidOf(page))) {
      const back = await browser.visit(url);
      t.is(backAtApplication(back, stage.rp.client.redirectUri), undefined, url);
      t.true(back.status >= 400 || back.html.includes('name="code"'), `${url}: ${back.status}`);
    }
    t.is((await sessionsOf(stage, user)).length, 0);
    t.is((await storedLogin(stage, transactionOf(browser))).at, 'challenge');
    const page2 = await browser.visit((await authorizationRequest(stage.rp)).url);
    t.true(page2.html.includes('name="password"'), 'nobody is signed in');
  });

  engine.test('B01 before the password, too', async (t) => {
    const stage = await scene();
    const { browser, page } = await begin(stage);
    const back = await browser.visit(resumeOf(stage, uidOf(page)));
    t.true(back.html.includes('name="password"'), text(back));
  });

  engine.test('B02 a sign-in that is over: neither its forms nor its way back do anything', async (t) => {
    const stage = await scene();
    const { browser, page, user, secret } = await atCode(stage);
    const transaction = transactionOf(browser);
    const code = codeAt(secret);
    const done = await sendOnly(browser, page, { code });
    const resume = done.headers.get('location') ?? '';
    const copy = copyOf(browser);
    t.truthy(codeFrom(await browser.visit(resume), stage.rp));
    const stored = await storedLogin(stage, transaction);

    const fields = { ...formsOf(page)[0]?.fields, code };
    for (const replay of [
      () => copy.visit(resume),
      () => copy.visit(page.url),
      () => copy.post(page.url, fields),
      () => copy.post(page.url, { ...fields, version: String(stored.version) }),
      () => copy.post(page.url, { do: 'cancel' }),
      () => copy.post(page.url, { username: user.username, password: user.password }),
      () => browser.visit(resume),
      () => browser.post(page.url, fields),
    ]) {
      const refused = await replay();
      t.true(refused.status >= 400 && refused.status < 500, `${refused.status}`);
      t.is(backAtApplication(refused, stage.rp.client.redirectUri), undefined);
      t.false(refused.html.includes('<form'), 'there is nothing to go on with');
    }
    t.deepEqual(await storedLogin(stage, transaction), stored);
    t.is((await sessionsOf(stage, user)).length, 1);
  });

  engine.test('B03 the password alone was right: prompt=none is told that nobody is signed in', async (t) => {
    const stage = await scene();
    const { browser } = await atCode(stage);
    const silent = await browser.visit((await authorizationRequest(stage.rp, { prompt: 'none' })).url);
    t.is(errorAt(silent, stage), 'login_required');
    t.is(codeFrom(silent, stage.rp), undefined);
  });

  engine.test('B04 an app of another user is refused like one that does not exist', async (t) => {
    const stage = await scene({ disabledFactors: allBut('totp', 'hotp') });
    const other = await stage.server.user(stage.realm);
    const theirs = await giveApp(stage.server, other);
    const { user } = await atCode(stage);
    await giveApp(stage.server, user, { label: 'Token', factor: 'hotp' });
    const { browser, page } = await afterPassword(stage, user);
    t.is(formsOf(page).filter((form) => form.fields.factor).length, 2, text(page));
    const transaction = transactionOf(browser);
    const stored = await storedLogin(stage, transaction);

    const choose = (credential: string) => browser.post(page.url, { version: String(stored.version), factor: 'totp', credential });
    const [foreign, unknown] = [await choose(theirs.id), await choose(randomUUID())];
    t.is(foreign.status, 400);
    t.is(foreign.html, unknown.html, 'no oracle');
    const tries: Record<string, string>[] = [
      { factor: 'password' },
      { factor: 'webauthn' },
      { factor: '__proto__' },
      { factor: 'totp', credential: `${theirs.id}'--` },
    ];
    for (const fields of tries) {
      const refused = await browser.post(page.url, { version: String(stored.version), ...fields });
      t.is(refused.status, 400, JSON.stringify(fields));
    }
    t.deepEqual(await storedLogin(stage, transaction), stored);
    t.true((await audited(stage, 'flow.refused', { transaction })).length >= 2);

    // Nor at the page for a code: the code of that app, and its id beside it.
    const mine = await atCode(stage);
    const refused = await mine.browser.send(mine.page, { factor: 'totp', credential: theirs.id, code: codeAt(theirs.secret) });
    t.is(refused.status, 400);
    t.is((await sessionsOf(stage, mine.user)).length + (await sessionsOf(stage, other)).length, 0);
  });

  for (const opened of [true, false]) {
    engine.test(
      `B05 an attacker's sign-in is planted in the victim's browser, ${opened ? 'its page opened' : 'its page not opened'} before: the attacker gets nothing`,
      async (t) => {
        const stage = await scene({ mfa: 'off' });
        const victim = await stage.server.user(stage.realm);
        const mallory = await stage.server.user(stage.realm);
        const attacker = new Browser(stage.server.origin);
        const request = await authorizationRequest(stage.rp);
        const first = await attacker.request(request.url);
        const login = first.headers.get('location') ?? '';
        const uid = login.split('/').at(-1) ?? '';
        if (opened) await attacker.visit(login);

        const browser = new Browser(stage.server.origin);
        browser.plant(attacker.jar.filter(({ name }) => !name.startsWith('cardea_resume')));
        const page = await browser.visit(login);
        t.is(page.status, 200, 'the victim sees a sign-in');
        const done = await sendOnly(browser, page, { username: victim.username, password: victim.password });
        t.is(done.status, 303);
        t.is((await storedLogin(stage, transactionOf(browser))).at, 'done', 'and finishes it');

        // Another sign-in of the attacker, done, whose way back it may open.
        const own = await parked(stage, mallory);
        attacker.plant(own.browser.jar.filter(({ name }) => name.startsWith('cardea_tx_')));
        const ownUid = own.resume.split('/').at(-1) ?? '';
        for (const url of [...spellings(stage, uid), resumeOf(stage, ownUid), login]) {
          for (const method of ['GET', 'POST', 'HEAD']) {
            const refused = await attacker.request(url, { method, headers: { origin: stage.server.origin } });
            t.is(codeFrom(refused, stage.rp), undefined, `${method} ${url}`);
            t.true(refused.status >= 400 && refused.status < 500, `${method} ${url}: ${refused.status}`);
            t.false(
              refused.headers.getSetCookie().some((line) => line.startsWith('cardea_session=')),
              `${method} ${url}`,
            );
          }
        }
        t.is((await sessionsOf(stage, victim)).length, 0);
        t.true((await audited(stage, 'flow.refused', { transaction: transactionOf(browser) })).length >= 1);
        const silent = await attacker.visit((await authorizationRequest(stage.rp, { prompt: 'none' })).url);
        t.is(errorAt(silent, stage), 'login_required');
      },
    );
  }

  engine.test('B05 the cookie of the first page is worth nothing after a proof', async (t) => {
    const stage = await scene();
    const user = await stage.server.user(stage.realm);
    const { secret } = await giveApp(stage.server, user);
    const { browser, page } = await begin(stage);
    const planted = copyOf(browser);
    const second = await browser.send(page, { username: user.username, password: user.password });
    const between = copyOf(browser);
    for (const thief of [planted]) {
      for (const answer of [
        await thief.visit(page.url),
        await thief.post(page.url, { code: codeAt(secret) }),
        await thief.post(page.url, { do: 'cancel' }),
      ]) {
        t.is(answer.status, 403, text(answer));
      }
    }
    const done = await sendOnly(browser, second, { code: codeAt(secret) });
    const resume = done.headers.get('location') ?? '';
    for (const thief of [planted, between]) {
      t.is((await thief.visit(resume)).status, 403);
      t.is((await thief.visit(page.url)).status, 403);
    }
    t.is((await audited(stage, 'flow.refused', { transaction: transactionOf(browser) })).length, 7);
    t.truthy(codeFrom(await browser.visit(resume), stage.rp), 'the browser that made the proofs goes on');
  });

  engine.test('B11 max_age=0 and prompt=login: an old session is asked again, and auth_time is new', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser, tokens } = await signIn(stage.server, stage.rp, user);
    await age(stage, user, 600_000);
    const since = Math.floor(Date.now() / 1000);
    const asked = async (parameters: Record<string, string>, expected: 'asked' | 'not asked'): Promise<void> => {
      const request = await authorizationRequest(stage.rp, parameters);
      let page = await browser.visit(request.url);
      t.is(page.html.includes('name="password"') ? 'asked' : 'not asked', expected, JSON.stringify(parameters));
      if (expected === 'asked') {
        // Neither the way back nor a second request makes the answer unnecessary.
        const skipped = await browser.visit(resumeOf(stage, uidOf(page)));
        t.true(skipped.html.includes('name="password"'));
        page = await browser.send(page, { password: user.password });
      }
      if (page.html.includes('value="allow"')) page = await browser.send(page, { do: 'allow' });
      const claims = (await exchange(stage.rp, request, page)).claims();
      t.is(claims?.sub, user.id);
      t.is(Number(claims?.auth_time) >= since, expected === 'asked', JSON.stringify(parameters));
    };
    await asked({}, 'not asked');
    await asked({ max_age: '3600' }, 'not asked');
    await asked({ max_age: '300' }, 'asked');
    await age(stage, user, 600_000);
    await asked({ max_age: '0' }, 'asked');
    await age(stage, user, 600_000);
    await asked({ prompt: 'login' }, 'asked');
    await age(stage, user, 600_000);
    await asked({ prompt: 'login consent' }, 'asked');
    t.truthy(tokens.claims()?.auth_time);
    const silent = await browser.visit((await authorizationRequest(stage.rp, { prompt: 'none', max_age: '0' })).url);
    t.is(errorAt(silent, stage), 'login_required');
  });

  engine.test('B12 a sign-in that is done but not come back from does not outlive the password or the user', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { knex } = stage.server.db;
    const refusedAfter = async (what: string, change: (user: TestUser) => Promise<unknown>) => {
      const user = await stage.server.user(stage.realm);
      const { browser, resume } = await parked(stage, user);
      await change(user);
      const back = await browser.visit(resume);
      t.is(codeFrom(back, stage.rp), undefined, what);
      t.is((await sessionsOf(stage, user)).length, 0, what);
    };
    await refusedAfter('password set', (user) => setPassword(stage.server.operator(), stage.realm, user.username, 'another password 1'));
    await refusedAfter('user disabled', (user) => knex('users').where({ realm_id: stage.realm.id, id: user.id }).update({ enabled: false }));
    await refusedAfter('user deleted', (user) => knex('users').where({ realm_id: stage.realm.id, id: user.id }).delete());
  });

  engine.test('B12 nor does a session outlive its user, or the time before which all is void', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { knex } = stage.server.db;
    const changes: [string, object][] = [
      ['disabled', { enabled: false }],
      ['void', { not_before: Date.now() + 60_000 }],
    ];
    for (const [what, change] of changes) {
      const user = await stage.server.user(stage.realm);
      const { browser, tokens } = await signIn(stage.server, stage.rp, user);
      await knex('users').where({ realm_id: stage.realm.id, id: user.id }).update(change);
      const silent = await browser.visit((await authorizationRequest(stage.rp, { prompt: 'none' })).url);
      t.is(errorAt(silent, stage), 'login_required', what);
      const refreshed = await call(
        stage.server,
        stage.realm,
        'token',
        { grant_type: 'refresh_token', refresh_token: tokens.refresh_token ?? '' },
        credentialsOf(stage.rp),
      );
      t.is(refreshed.body.error, 'invalid_grant', what);
      const looked = await call(stage.server, stage.realm, 'token/introspect', { token: tokens.access_token }, credentialsOf(stage.rp));
      t.deepEqual(looked.body, { active: false }, what);
    }
  });

  engine.test('B12 between password and code: disabled, or with another password, nobody gets in', async (t) => {
    const stage = await scene();
    const { knex } = stage.server.db;
    const one = await atCode(stage);
    await knex('users').where({ realm_id: stage.realm.id, id: one.user.id }).update({ enabled: false });
    const disabled = await one.browser.send(one.page, { code: codeAt(one.secret) });
    t.is(codeFrom(disabled, stage.rp), undefined);
    t.true(disabled.status >= 400 && disabled.status < 500, `${disabled.status}`);
    t.is((await sessionsOf(stage, one.user)).length, 0);

    const two = await atCode(stage);
    await setPassword(stage.server.operator(), stage.realm, two.user.username, 'another password 1');
    const changed = await two.browser.send(two.page, { code: codeAt(two.secret) });
    t.is(codeFrom(changed, stage.rp), undefined, text(changed));
    t.is((await sessionsOf(stage, two.user)).length, 0);
  });

  engine.test('B13 cookies tossed beside the right ones lead nowhere else', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const victim = await stage.server.user(stage.realm);
    const mallory = await stage.server.user(stage.realm);
    const attacker = await signIn(stage.server, stage.rp, mallory);
    const toss = (cookies: readonly Cookie[], path: string) => cookies.map((cookie) => ({ ...cookie, path }));

    // A session of the attacker's, before and after the victim's own in the header.
    for (const path of ['/', `/realms/${stage.realm.name}/protocol`]) {
      const { browser, page, request } = await begin(stage);
      browser.plant(
        toss(
          attacker.browser.jar.filter(({ name }) => name.startsWith('cardea_session')),
          path,
        ),
      );
      const back = await browser.send(page, { username: victim.username, password: victim.password });
      const code = codeFrom(back, stage.rp);
      if (code !== undefined) t.is((await exchange(stage.rp, request, back)).claims()?.sub, victim.id, path);
      else t.true(back.status < 500, `${path}: ${back.status}`);
    }

    // A transaction cookie of the same name: the victim is stopped at most, and the attacker gets no further.
    const { browser, page } = await begin(stage);
    const transaction = transactionOf(browser);
    browser.plant([{ host: 'localhost', path: '/', name: `cardea_tx_${transaction}`, value: 'x'.repeat(43) }]);
    const stopped = await browser.send(page, { username: victim.username, password: victim.password });
    t.is(stopped.status, 403);
    t.is((await storedLogin(stage, transaction)).at, 'identify');

    // The attacker's own finished sign-in behind the victim's uid.
    const own = await parked(stage, mallory);
    const other = await begin(stage);
    other.browser.plant(
      own.browser.jar
        .filter(({ name }) => name.startsWith('cardea_interaction'))
        .map((cookie) => ({ ...cookie, path: `/realms/${stage.realm.name}/login/${uidOf(other.page)}` })),
    );
    const mixed = await other.browser.post(other.page.url, { username: victim.username, password: victim.password });
    t.is(codeFrom(mixed, stage.rp), undefined);
    t.true(mixed.status >= 400 && mixed.status < 500, `${mixed.status}`);
  });

  engine.test('B14 the account cannot change in the middle: neither by the form nor by another session', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const alice = await stage.server.user(stage.realm);
    const bob = await stage.server.user(stage.realm);
    const { browser } = await signIn(stage.server, stage.rp, alice);

    // Re-authentication as Alice, answered with Bob's name and password.
    const asked = await begin(stage, { browser, parameters: { prompt: 'login' } });
    const answered = await browser.post(asked.page.url, { ...formsOf(asked.page)[0]?.fields, username: bob.username, password: bob.password });
    t.is(answered.status, 400);
    t.is(codeFrom(answered, stage.rp), undefined);
    t.is((await sessionsOf(stage, bob)).length, 0);
    const switched = await browser.post(asked.page.url, { do: 'switch' });
    t.is(codeFrom(switched, stage.rp), undefined);

    // A step-up of Alice's session that comes back into Bob's.
    const stepUp = await begin(stage, { browser, parameters: { prompt: 'login' } });
    const done = await sendOnly(browser, stepUp.page, { password: alice.password });
    const bobs = await signIn(stage.server, stage.rp, bob);
    const swapped = copyOf(browser);
    swapped.plant(bobs.browser.jar.filter(({ name }) => name.startsWith('cardea_session')));
    const back = await swapped.visit(done.headers.get('location') ?? '');
    t.is(codeFrom(back, stage.rp), undefined, text(back));
    const after = await swapped.visit((await authorizationRequest(stage.rp, { prompt: 'none' })).url);
    const code = codeFrom(after, stage.rp);
    t.true(code !== undefined || errorAt(after, stage) === 'login_required');
    const [session] = await sessionsOf(stage, bob);
    t.is(JSON.parse(session?.proofs ?? '[]').length, 1, 'what Alice proved is not among what Bob proved');
  });

  engine.test('B15 the way back is walked once, however many walk it at once', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const processes = await nodes();
    const codesOf = async (browser: Browser, resume: string): Promise<number> => {
      const answers = await parallel(20, (index) => getFrom(processes[index % processes.length] ?? stage.server, browser, resume));
      t.true(
        answers.every(({ status }) => status < 500),
        JSON.stringify(tally(answers)),
      );
      return answers.filter((answer) => codeFrom(answer, stage.rp) !== undefined).length;
    };
    for (let round = 0; round < 3; round += 1) {
      const user = await stage.server.user(stage.realm);
      const first = await parked(stage, user);
      t.is(await codesOf(first.browser, first.resume), 1, 'a first sign-in');
      t.is((await sessionsOf(stage, user)).length, 1);

      // In a session that stands already, where the same account comes back.
      const { browser } = await signIn(stage.server, stage.rp, user);
      const again = await begin(stage, { browser, parameters: { prompt: 'login' } });
      const done = await sendOnly(browser, again.page, { password: user.password });
      t.is(await codesOf(browser, done.headers.get('location') ?? ''), 1, 'a step-up');
    }
  });

  engine.test('B16 consent is given by the browser that was asked, from the page that asked', async (t) => {
    const stage = await scene({ mfa: 'off' }, { firstParty: false, name: 'Third party' });
    const user = await stage.server.user(stage.realm);
    const { browser, page } = await afterPassword(stage, user);
    t.true(page.html.includes('value="allow"'), text(page));
    const allowed = () => consentedScopes(stage.server.db.knex, stage.realm.id, user.id, stage.rp.client.row.id);

    const without = copyOf(browser);
    without.plant([{ host: 'localhost', path: `/realms/${stage.realm.name}`, name: `cardea_tx_${transactionOf(browser)}`, value: 'y'.repeat(43) }]);
    t.is((await without.post(page.url, { do: 'allow' })).status, 403);
    t.is((await without.visit(page.url)).status, 403);
    for (const headers of [
      {},
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      const forged = await browser.request(page.url, { method: 'POST', body: new URLSearchParams({ do: 'allow' }), headers });
      t.is(forged.status, 403, JSON.stringify(headers));
    }
    for (const answer of ['', 'Allow', 'allow ', 'true']) t.is(codeFrom(await browser.post(page.url, { do: answer }), stage.rp), undefined);
    t.is((await browser.visit(resumeOf(stage, uidOf(page)))).headers.get('location'), null, 'the way back asks again');
    t.deepEqual(await allowed(), []);
  });

  engine.test('B16 consent allowed and denied at once: one answer, once', async (t) => {
    const stage = await scene({ mfa: 'off' }, { firstParty: false, name: 'Third party' });
    const processes = await nodes();
    const user = await stage.server.user(stage.realm);
    const { browser, page } = await afterPassword(stage, user);
    const answers = await parallel(20, (index) =>
      postTo(processes[index % processes.length] ?? stage.server, browser, page.url, { do: index % 2 === 0 ? 'allow' : 'deny' }),
    );
    t.true(
      answers.every(({ status }) => status < 500),
      JSON.stringify(tally(answers)),
    );
    const resume = answers.find(({ status }) => status === 303)?.headers.get('location') ?? '';
    const back = await parallel(20, (index) => getFrom(processes[index % processes.length] ?? stage.server, browser, resume));
    const codes = back.flatMap((answer) => codeFrom(answer, stage.rp) ?? []);
    const denials = back.filter((answer) => errorAt(answer, stage) === 'access_denied');
    t.is(codes.length + denials.length, 1, JSON.stringify(tally(back)));
  });

  engine.test('B17 forms of ours are taken from our own pages alone', async (t) => {
    const stage = await scene();
    const { browser, page, user, secret } = await atCode(stage);
    const transaction = transactionOf(browser);
    const stored = await storedLogin(stage, transaction);
    const fields = { ...formsOf(page)[0]?.fields, code: codeAt(secret) };
    const origins: Record<string, string>[] = [
      {},
      { origin: 'null' },
      { origin: 'https://evil.example' },
      { origin: `${stage.server.origin}.evil.example` },
      { origin: stage.server.origin.replace('http:', 'https:') },
      { origin: stage.server.origin.toUpperCase() },
      { origin: `${stage.server.origin}, https://evil.example` },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'none' },
      { referer: 'https://evil.example/' },
      { referer: `https://evil.example/?${stage.server.origin}/` },
    ];
    for (const headers of origins) {
      const refused = await browser.request(page.url, { method: 'POST', body: new URLSearchParams(fields), headers });
      t.is(refused.status, 403, JSON.stringify(headers));
    }
    t.deepEqual(await storedLogin(stage, transaction), stored);
    t.is((await sessionsOf(stage, user)).length, 0);
    for (const method of ['GET', 'PUT', 'PATCH', 'DELETE']) {
      const query = `${page.url}?${new URLSearchParams(fields)}`;
      await browser.request(query, { method, headers: { origin: stage.server.origin } });
      t.deepEqual(await storedLogin(stage, transaction), stored, method);
    }
  });

  engine.test('B18 signing in makes a new session id, and signing out leaves none', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const session = (browser: Browser) => browser.cookies('localhost').cardea_session;
    const first: SignedIn = await signIn(stage.server, stage.rp, user);
    const before = session(first.browser);
    const old = copyOf(first.browser);
    await signIn(stage.server, stage.rp, user, { browser: first.browser, parameters: { prompt: 'login' } }).catch(() => undefined);
    const asked = await begin(stage, { browser: first.browser, parameters: { prompt: 'login' } });
    t.truthy(codeFrom(await first.browser.send(asked.page, { password: user.password }), stage.rp));
    t.not(session(first.browser), before);
    t.is(
      errorAt(await old.visit((await authorizationRequest(stage.rp, { prompt: 'none' })).url), stage),
      'login_required',
      'the id of before is nobody’s',
    );

    const stolen = copyOf(first.browser);
    const logout = await first.browser.visit(`${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/logout`);
    const forged = await stolen.post(formsOf(logout)[0]?.action ?? '', { xsrf: 'wrong', logout: 'yes' });
    t.true(forged.status >= 400 && forged.status < 500, `${forged.status}`);
    t.is((await sessionsOf(stage, user)).length, 1, 'a forged sign-out does nothing');
    await first.browser.send(logout, { logout: 'yes' });
    t.is((await sessionsOf(stage, user)).length, 0);
    t.is(errorAt(await stolen.visit((await authorizationRequest(stage.rp, { prompt: 'none' })).url), stage), 'login_required');
    const dead = await call(
      stage.server,
      stage.realm,
      'token',
      { grant_type: 'refresh_token', refresh_token: first.tokens.refresh_token ?? '' },
      credentialsOf(stage.rp),
    );
    t.is(dead.body.error, 'invalid_grant');
  });

  engine.test('B19 a stronger sign-in for one application is no stronger one for another user of the browser', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const strict = await relyingParty(stage.server, stage.realm, await stage.server.client(stage.realm));
    const alice = await stage.server.user(stage.realm);
    const bob = await stage.server.user(stage.realm);
    const { secret } = await giveApp(stage.server, alice);
    const { browser, tokens } = await signIn(stage.server, stage.rp, alice, { totpSecret: secret, parameters: { acr_values: 'aal2' } });
    t.is(tokens.claims()?.acr, 'aal2');

    await browser.send(await browser.visit(`${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/logout`), { logout: 'yes' });
    const second = await signIn(stage.server, stage.rp, bob, { browser });
    t.is(second.tokens.claims()?.sub, bob.id);
    t.is(second.tokens.claims()?.acr, 'aal1');
    t.not(second.tokens.claims()?.sid, tokens.claims()?.sid);
    t.deepEqual(decodeJwt(second.tokens.access_token).amr, ['pwd']);
    const request = await authorizationRequest(strict, { acr_values: 'aal2' });
    const page = await browser.visit(request.url);
    t.is(codeFrom(page, strict), undefined);
    t.is(
      (await call(stage.server, stage.realm, 'token', codeExchange(strict, request, 'nothing'), credentialsOf(strict))).body.error,
      'invalid_grant',
    );
  });
});
