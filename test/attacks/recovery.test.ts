/** B07, C05, C09, D01 and D03 at a forgotten password and at an enrolment pass: what must not open an account. */
import { setTimeout as pause } from 'node:timers/promises';
import { giveRoles } from '../../src/admin/resources/roles.ts';
import { resetPassword } from '../../src/admin/resources/user-credentials.ts';
import type { Page } from '../support/agent.ts';
import { formsOf } from '../support/agent.ts';
import {
  afterPassword,
  arena,
  audited,
  begin,
  codeAt,
  codeFrom,
  copyOf,
  giveApp,
  parallel,
  postTo,
  rawRequest,
  type Scene,
  sessionsOf,
  tally,
  wrongCodes,
} from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { Forgetful, factorOperator, give, giveCodes, headingOf, linkFor, mailsTo, settled } from '../support/recovery.ts';
import { Browser, signIn, text } from '../support/sign-in.ts';

const NEW = 'four words without relation';

/** Everything of an answer that may differ only by what was typed and by what is random, with that taken out. */
function shape(page: Page): object {
  const varying = new Set(['date', 'x-request-id', 'set-cookie', 'content-length']);
  const cookies = page.headers.getSetCookie().map((line) => line.replace(/=[\w-]{43}/, '=TOKEN').replace(/expires=[^;]+/, 'expires'));
  return { status: page.status, cookies, headers: [...page.headers].filter(([name]) => !varying.has(name)), html: page.html };
}

/** One request for a link, as it is answered, without following where it leads. */
async function requested({ server, realm }: Scene, username: string): Promise<{ page: Page; browser: Browser }> {
  const browser = new Browser(server.origin);
  const page = await browser.request(`${server.origin}/realms/${realm.name}/login-actions/reset-credentials`, {
    method: 'POST',
    body: new URLSearchParams({ username }),
    headers: { origin: server.origin },
  });
  return { page, browser };
}

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine);

  engine.test('B07 whatever was shown for a new password, the sign-in asks for everything again', async (t) => {
    const stage = await scene();
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    const { secret } = await giveApp(server, user);
    const person = new Forgetful(server, realm);
    let page = await person.arrive(user);
    const code = codeAt(secret);
    page = await person.browser.send(page, { code });
    await person.set(page, NEW);
    const after = await afterPassword(stage, { ...user, password: NEW }, { browser: person.browser });
    t.is(codeFrom(after.page, rp), undefined);
    t.true(after.page.html.includes('name="code"'));
    t.deepEqual(await sessionsOf(stage, user), []);
    const replayed = await after.browser.send(after.page, { code });
    t.is(replayed.status, 400, 'and the code of the reset is used up');
  });

  engine.test('B07 the mailbox alone sets no password for whoever owns a factor, however the steps are posted', async (t) => {
    const stage = await scene({ disabledFactors: [] });
    const { server, realm } = stage;
    const user = await server.user(realm);
    await giveApp(server, user);
    await giveCodes(server, user);
    const person = new Forgetful(server, realm);
    await person.arrive(user);
    const url = `${person.base}/reset-credentials/continue`;
    const password = { 'password-new': NEW, 'password-confirm': NEW };
    for (const fields of [
      password,
      { ...password, factor: 'password' },
      { ...password, factor: 'email-otp' },
      { ...password, code: '000000' },
      { ...password, do: 'another' },
    ]) {
      await person.browser.post(url, fields);
    }
    const factors = formsOf(await person.browser.visit(url)).flatMap(({ fields }) => fields.factor ?? []);
    t.deepEqual(factors, ['totp', 'recovery-codes'], 'no mail proves what the mail has proved');
    t.deepEqual(await audited(stage, 'recovery.done', { user: user.id }), []);
    const signedIn = await afterPassword(stage, user);
    t.is(signedIn.page.status, 200, 'the password is what it was');
  });

  engine.test('C05 a link opened twice, in another browser, or after a newer one leads nowhere', async (t) => {
    const stage = await scene();
    const { server, realm } = stage;
    const user = await server.user(realm);
    const person = new Forgetful(server, realm);
    await person.ask(user.username);
    const first = await linkFor(server, realm, user.email ?? '');

    const elsewhere = new Forgetful(server, realm);
    const seen = await elsewhere.follow(first);
    t.is(seen.status, 403);
    t.is(headingOf(seen), 'Open this link where you asked for it');
    t.regex(seen.html, /Ask for a new link/);
    t.false(seen.html.includes(user.username));
    const forced = await elsewhere.browser.post(`${elsewhere.base}/action-token`, { key: new URL(first).searchParams.get('key') ?? '' });
    t.is(forced.status, 403);
    t.deepEqual(
      shape(await elsewhere.browser.request(`${elsewhere.base}/action-token?key=${'x'.repeat(43)}`)),
      shape(await elsewhere.browser.request(first)),
      'no oracle',
    );

    await person.ask(user.username);
    const second = await linkFor(server, realm, user.email ?? '', 2);
    t.is((await person.follow(first)).status, 410, 'there is a newer one');
    // A second person who asks has a link for a browser of their own.
    await elsewhere.ask(user.username);
    await linkFor(server, realm, user.email ?? '', 3);
    t.is((await person.follow(second)).status, 410, 'also when it was asked for elsewhere');

    await person.ask(user.username);
    const third = await linkFor(server, realm, user.email ?? '', 4);
    const page = await person.follow(third);
    t.is(headingOf(page), 'Choose a new password');
    t.is((await person.browser.visit(third)).status, 410, 'it was used');
    t.is((await person.browser.post(`${person.base}/action-token`, { key: new URL(third).searchParams.get('key') ?? '' })).status, 410);
    t.is(headingOf(await person.set(page, NEW)), 'Your new password is set');
    t.is((await person.browser.visit(third)).status, 410);
    const again = await person.browser.post(`${person.base}/reset-credentials/continue`, {
      'password-new': 'yet another password',
      'password-confirm': 'yet another password',
    });
    t.is(headingOf(again), 'Your new password is set', 'what is done is done');
    t.is((await audited(stage, 'recovery.done', { user: user.id })).length, 1);
    t.true((await audited(stage, 'recovery.refused')).length >= 2);
  });

  engine.test('C05 a link that is half an hour old leads nowhere, and neither does what followed it', async (t) => {
    const stage = await scene();
    const { server, realm } = stage;
    const user = await server.user(realm);
    const person = new Forgetful(server, realm);
    await person.ask(user.username);
    const link = await linkFor(server, realm, user.email ?? '');
    const older = (by: number) =>
      server.db
        .knex('recoveries')
        .where({ realm_id: realm.id, user_id: user.id })
        .update({ expires_at: Date.now() + by });
    await older(-1);
    t.is((await person.follow(link)).status, 403);
    await older(60_000);
    const page = await person.follow(link);
    await older(-1);
    t.is((await person.browser.send(page, { 'password-new': NEW, 'password-confirm': NEW })).status, 403);
    t.deepEqual(await audited(stage, 'recovery.done', { user: user.id }), []);
  });

  engine.test('C05 to open a link changes nothing, for whoever opens it', async (t) => {
    const stage = await scene();
    const { server, realm } = stage;
    const user = await server.user(realm);
    const person = new Forgetful(server, realm);
    await person.ask(user.username);
    const link = await linkFor(server, realm, user.email ?? '');
    const stored = () => server.db.knex('recoveries').where({ realm_id: realm.id, user_id: user.id }).first();
    const before = await stored();
    await parallel(10, () => new Browser(server.origin).visit(link));
    await parallel(5, () => person.browser.request(link));
    await person.browser.request(link, { method: 'HEAD' });
    t.deepEqual(await stored(), before);
    t.is(headingOf(await person.follow(link)), 'Choose a new password');
  });

  engine.test('C05 of twenty who press the button at once, on any node, one goes on; of twenty passwords one is set', async (t) => {
    const stage = await scene();
    const { server, realm } = stage;
    const all = await nodes();
    const user = await server.user(realm);
    const person = new Forgetful(server, realm);
    await person.ask(user.username);
    const link = await linkFor(server, realm, user.email ?? '');
    const key = new URL(link).searchParams.get('key') ?? '';
    const thieves = await parallel(20, (index) => postTo(all[index % all.length] ?? server, person.browser, `${person.base}/action-token`, { key }));
    const { 303: won = 0, 403: late = 0, 410: used = 0 } = tally(thieves);
    t.deepEqual([won, late + used], [1, 19]);
    const winner = thieves.find(({ status }) => status === 303);
    const [cookie = ''] = winner?.headers.getSetCookie() ?? [];
    const [name = '', value = ''] = (cookie.split(';')[0] ?? '').split('=');
    person.browser.plant([{ host: 'localhost', path: `/realms/${realm.name}/login-actions`, name, value }]);
    const page = await person.browser.visit(`${person.base}/reset-credentials/continue`);
    const version = formsOf(page)[0]?.fields.version ?? '';
    await parallel(20, (index) => {
      const password = `password number ${index} of many`;
      return postTo(all[index % all.length] ?? server, person.browser, page.url, { version, 'password-new': password, 'password-confirm': password });
    });
    t.is((await audited(stage, 'recovery.done', { user: user.id })).length, 1);
    t.is((await server.db.knex('credentials').where({ user_id: user.id, factor: 'password' })).length, 1);
  });

  engine.test('a cookie of before is worth nothing once the link was used', async (t) => {
    const stage = await scene();
    const { server, realm } = stage;
    const user = await server.user(realm);
    const person = new Forgetful(server, realm);
    await person.ask(user.username);
    const copied = copyOf(person.browser);
    await person.follow(await linkFor(server, realm, user.email ?? ''));
    t.is((await copied.visit(`${person.base}/reset-credentials/continue`)).status, 403);
    const other = await server.realm();
    const foreign = new Browser(server.origin);
    foreign.plant(person.browser.jar.map((kept) => ({ ...kept, path: `/realms/${other.name}/login-actions` })));
    t.is(
      (await foreign.visit(`${server.origin}/realms/${other.name}/login-actions/reset-credentials/continue`)).status,
      403,
      'F01 nor in another realm',
    );
  });

  engine.test('an account that changed since the mail went out is not opened by it', async (t) => {
    const stage = await scene();
    const { server, realm } = stage;
    for (const change of [{ email: 'new@example.com', email_shown: 'new@example.com' }, { enabled: false }]) {
      const user = await server.user(realm);
      const person = new Forgetful(server, realm);
      const page = await person.arrive(user);
      await server.db
        .knex('users')
        .where({ realm_id: realm.id, id: user.id })
        .update({ ...change, ...('email' in change ? { email: `${user.id}@example.com` } : {}) });
      const refused = await person.browser.send(page, { 'password-new': NEW, 'password-confirm': NEW });
      t.is(refused.status, 403);
      t.is(headingOf(refused), 'Your password can’t be set this way');
      t.deepEqual(await audited(stage, 'recovery.done', { user: user.id }), []);
    }
  });

  engine.test('a factor that was switched off opens nothing, and codes to the same mailbox prove no more than it', async (t) => {
    const cases: [string, (user: Awaited<ReturnType<Scene['server']['user']>>, stage: Scene) => Promise<unknown>, RegExp][] = [
      [
        'switched off',
        (user, { server }) => giveApp(server, user).then(({ id }) => server.db.knex('credentials').where({ id }).update({ enabled: false })),
        /switched off/,
      ],
      [
        'an administrator with nothing but the mailbox',
        (user, { server, realm }) => giveRoles(server.operator(), realm, user, [{ name: 'manage-users', client: 'realm-management' }]),
        /Ask another administrator/,
      ],
      ['the mailbox, where the realm counts it', (user, { server }) => give(server, user, 'email-otp', {}), /same mailbox/],
    ];
    for (const [what, make, said] of cases) {
      const stage = await scene({ disabledFactors: [], emailOtp: { ...(await scene()).realm.settings.emailOtp, level: 'aal2' } });
      const user = await stage.server.user(stage.realm);
      await make(user, stage);
      const page = await new Forgetful(stage.server, stage.realm).arrive(user);
      t.is(page.status, 403, what);
      t.regex(text(page), said, what);
    }
    const plain = await scene({ disabledFactors: [] });
    const user = await plain.server.user(plain.realm);
    await give(plain.server, user, 'email-otp', {});
    t.is(
      headingOf(await new Forgetful(plain.server, plain.realm).arrive(user)),
      'Choose a new password',
      'where it raises no level it is in nobody’s way',
    );
  });

  engine.test('five wrong codes end a recovery, with the throttle of the sign-in', async (t) => {
    const stage = await scene();
    const { server, realm } = stage;
    const user = await server.user(realm);
    const { secret } = await giveApp(server, user);
    const person = new Forgetful(server, realm);
    let page = await person.arrive(user);
    for (const code of wrongCodes(secret, 5)) page = await person.browser.send(page, { code });
    t.is(headingOf(page), 'Too many wrong codes');
    const late = await person.browser.post(`${person.base}/reset-credentials/continue`, { code: codeAt(secret) });
    t.is(headingOf(late), 'Too many wrong codes');
    // Five more of a sign-in are ten in a row.
    const underway = await afterPassword(stage, user);
    let next = underway.page;
    for (const code of wrongCodes(secret, 5)) next = await underway.browser.send(next, { code });
    const again = await person.arrive(user);
    const paused = await person.browser.send(again, { code: codeAt(secret) });
    t.is(paused.status, 429);
    t.truthy(paused.headers.get('retry-after'));
    t.deepEqual(await audited(stage, 'recovery.done', { user: user.id }), []);
  });

  engine.serial('D01 known, unknown, disabled, without an address: one answer, and the same work before it', async (t) => {
    const stage = await scene();
    const { server, realm } = stage;
    const { knex } = server.db;
    const names: Record<string, () => Promise<string>> = {
      known: async () => (await server.user(realm)).username,
      'by address': async () => (await server.user(realm)).email ?? '',
      unknown: async () => (await server.user(realm)).username.replace('user', 'nobody'),
      disabled: async () => {
        const user = await server.user(realm);
        await knex('users').where({ realm_id: realm.id, id: user.id }).update({ enabled: false });
        return user.username;
      },
      'without an address': async () => (await server.user(realm, { email: undefined })).username,
      'with an app': async () => {
        const user = await server.user(realm);
        await giveApp(server, user);
        return user.username;
      },
    };
    const expected = shape((await requested(stage, 'somebody-first')).page);
    let requests = 1;
    for (const [kind, name] of Object.entries(names)) {
      const username = await name();
      await settled(server, realm, requests);
      const statements: string[] = [];
      const listen = ({ sql }: { sql: string }) => statements.push(sql);
      knex.on('query', listen);
      const { page, browser } = await requested(stage, username);
      knex.off('query', listen);
      requests += 1;
      t.deepEqual(shape(page), expected, kind);
      // Whoever's name it is, it is looked up when the answer is out.
      const beforeAnswer = statements.findIndex((sql) => /users/.test(sql) && /username/.test(sql));
      t.true(
        statements.slice(0, beforeAnswer === -1 ? undefined : beforeAnswer).some((sql) => /insert into .?recoveries/i.test(sql)),
        kind,
      );
      t.is((await browser.visit(new URL(page.headers.get('location') ?? '', server.origin).href)).status, 200);
    }
    await settled(server, realm, requests);
    const rows = await audited(stage, 'recovery.requested');
    t.is(rows.filter(({ details }) => JSON.parse(details).sent).length, 3, 'known by name, known by address, and with an app');
  });

  engine.serial('D01 names that do not exist are counted like those that do, and so is every address', async (t) => {
    const stage = await scene({
      throttling: { ...(await scene()).realm.settings.throttling, address: { failures: 40, within: 900, openSignIns: 1_000 } },
    });
    const { server, realm } = stage;
    const user = await server.user(realm);
    const answers: object[] = [];
    for (const username of [user.username, `no-${user.username}`]) {
      for (let times = 0; times < 5; times += 1) t.is((await requested(stage, username)).page.status, 303);
      const paused = (await requested(stage, ` ${username.toUpperCase()} `)).page;
      t.is(paused.status, 429);
      t.true(Number(paused.headers.get('retry-after')) > 60);
      answers.push({ ...shape(paused), headers: null, html: paused.html.replaceAll(username.toUpperCase(), 'NAME') });
    }
    t.deepEqual(answers[0], answers[1]);
    await settled(server, realm, 10);
    t.is((await mailsTo(server, realm, user.email ?? '')).length, 5);
    const statuses: number[] = [];
    for (let index = 0; index < 40; index += 1) statuses.push((await requested(stage, `guess-${index}`)).page.status);
    t.true(statuses.includes(429), 'one address');
  });

  engine.test('D03 the link names the issuer, whatever Host the request had', async (t) => {
    const stage = await scene();
    const { server, realm } = stage;
    const user = await server.user(realm);
    const body = `username=${user.username}`;
    const evil: Record<string, string>[] = [
      { host: 'evil.example' },
      { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' },
      { forwarded: 'host=evil.example' },
    ];
    for (const headers of evil) {
      await rawRequest(server, {
        method: 'POST',
        target: `/realms/${realm.name}/login-actions/reset-credentials`,
        headers: {
          host: new URL(server.origin).host,
          ...headers,
          origin: server.origin,
          'content-type': 'application/x-www-form-urlencoded',
          'content-length': String(body.length),
        },
        body,
      });
    }
    await linkFor(server, realm, user.email ?? '', 3);
    const mails = await mailsTo(server, realm, user.email ?? '');
    t.is(mails.length, 3);
    for (const mail of mails) {
      t.false(JSON.stringify(mail).includes('evil'));
      t.true(mail.text.includes(`${server.origin}/realms/${realm.name}/login-actions/action-token?key=`));
    }
  });

  engine.test('D04 a name with line breaks and marks of direction stays what it is in the mail', async (t) => {
    const stage = await scene();
    const { server, realm } = stage;
    const user = await server.user(realm, { firstName: 'Ada' });
    await server.db.knex('users').where({ id: user.id }).update({ first_name: 'Ada\r\nBcc: eve@evil.example', username_shown: 'ada\u202egnp.exe' });
    await new Forgetful(server, realm).ask(user.email ?? '');
    await linkFor(server, realm, user.email ?? '');
    const [mail] = await mailsTo(server, realm, user.email ?? '');
    t.notRegex(mail?.subject ?? '', /[\r\n\u202e]/);
    t.notRegex(mail?.text ?? '', /\u202e|^Bcc:/m);
  });

  engine.test('C03 a form from elsewhere asks for nothing, follows nothing and sets nothing', async (t) => {
    const stage = await scene();
    const { server, realm } = stage;
    const user = await server.user(realm);
    const person = new Forgetful(server, realm);
    const page = await person.arrive(user);
    for (const path of ['/reset-credentials', '/action-token', '/reset-credentials/continue']) {
      for (const headers of [{}, { origin: 'https://evil.test' }, { origin: 'null' }, { 'sec-fetch-site': 'cross-site' }]) {
        const foreign = await person.browser.request(`${person.base}${path}`, {
          method: 'POST',
          body: new URLSearchParams({ username: user.username, key: 'x'.repeat(43), 'password-new': NEW, 'password-confirm': NEW }),
          headers,
        });
        t.is(foreign.status, 403, path);
      }
    }
    await pause(50);
    t.is((await mailsTo(server, realm, user.email ?? '')).length, 1);
    t.is(headingOf(await person.set(page, NEW)), 'Your new password is set');
  });

  engine.test('C07 a new password ends every other session and every other recovery', async (t) => {
    const stage = await scene();
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    await signIn(server, rp, user);
    const [one, other] = [new Forgetful(server, realm), new Forgetful(server, realm)];
    const second = await other.arrive(user);
    const first = await one.arrive(user);
    t.is(headingOf(second), headingOf(first), 'one that is under way is not ended by asking');
    await one.set(first, NEW);
    t.deepEqual(await sessionsOf(stage, user), []);
    t.is((await other.set(second, 'some other password')).status, 410);
    t.is((await afterPassword(stage, { ...user, password: NEW })).page.status, 303);
    const { page } = await begin(stage);
    t.is(page.status, 200);
  });

  engine.test('C07 whoever sets the password, a recovery under way ends with it', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    const thief = new Forgetful(server, realm);
    const first = await thief.arrive(user);
    await resetPassword(factorOperator(server), realm, user, { value: 'a word for the day', temporary: true });
    t.is((await thief.set(first, NEW)).status, 410, 'an administrator has set it');

    const second = await thief.arrive(user);
    const { page, browser } = await afterPassword(stage, { ...user, password: 'a word for the day' });
    const mine = 'and five words of my own';
    t.truthy(codeFrom(await browser.send(page, { 'password-new': mine, 'password-confirm': mine }), rp));
    t.is((await thief.set(second, NEW)).status, 410, 'the user has chosen it at the sign-in');
    t.truthy(codeFrom((await afterPassword(stage, { ...user, password: mine })).page, rp));
  });
});
