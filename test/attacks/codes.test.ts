/** A · Attacks on one-time codes: replays, races, guessing, and input that is no code. */
import { ScureBase32Plugin } from 'otplib';
import { credentialsOf as storedCredentials } from '../../src/store/credentials.ts';
import { formsOf, type Page } from '../support/agent.ts';
import {
  afterPassword,
  arena,
  at,
  atCode,
  audited,
  backAtApplication,
  begin,
  call,
  codeAt,
  codeExchange,
  codeFrom,
  cookiesFor,
  credentialsOf,
  getFrom,
  giveApp,
  inOneStep,
  parallel,
  postTo,
  sessionsOf,
  storedLogin,
  tally,
  transactionOf,
  wrongCodes,
} from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { Browser, codeOf, keyOf, signIn, text } from '../support/sign-in.ts';

const STEP_MS = 30_000;

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine);
  const withinAStep = inOneStep(engine);

  withinAStep('A01 the same code twice in one step: the second is refused as a replay', async (t) => {
    const stage = await scene();
    const first = await atCode(stage);
    const code = codeAt(first.secret);
    t.truthy(codeFrom(await first.browser.send(first.page, { code }), stage.rp));

    const second = await afterPassword(stage, first.user);
    const transaction = transactionOf(second.browser);
    const before = await storedLogin(stage, transaction);
    const cookies = cookiesFor(second.browser, second.page.url);
    const refused = await second.browser.send(second.page, { code });
    t.is(refused.status, 400);
    t.is(backAtApplication(refused, stage.rp.client.redirectUri), undefined);
    t.deepEqual(await storedLogin(stage, transaction), before, 'nothing moved');
    t.is(cookiesFor(second.browser, second.page.url), cookies, 'no cookie was renewed');
    t.is((await audited(stage, 'mfa.replay', { transaction })).length, 1);
    t.is((await sessionsOf(stage, first.user)).length, 1);
  });

  engine.serial('A02 a code that was used, again in the next step', async (t) => {
    const stage = await scene({ accessCodeLifespanLogin: 1_700 });
    const first = await atCode(stage);
    const step = Math.floor(Date.now() / STEP_MS);
    const code = codeOf(first.secret, () => (step * STEP_MS) / 1_000);
    t.truthy(codeFrom(await first.browser.send(first.page, { code }), stage.rp));
    // The beginning of the next step, so that it lasts as long as this takes.
    await at((step + 1) * STEP_MS + 1_000 - Date.now(), async () => {
      const second = await afterPassword(stage, first.user);
      const refused = await second.browser.send(second.page, { code });
      t.is(refused.status, 400);
      t.is((await audited(stage, 'mfa.replay', { transaction: transactionOf(second.browser) })).length, 1);
      t.truthy(codeFrom(await second.browser.send(refused, { code: codeAt(first.secret) }), stage.rp), 'the next code is good');
    });
  });

  withinAStep('A03 the code of the next step was accepted: the present one no longer is', async (t) => {
    const stage = await scene();
    const first = await atCode(stage);
    const [before = '', present = '', next = ''] = [-1, 0, 1].map((step) => codeAt(first.secret, step));
    t.truthy(codeFrom(await first.browser.send(first.page, { code: next }), stage.rp));
    for (const code of [present, before, next]) {
      const again = await afterPassword(stage, first.user);
      const refused = await again.browser.send(again.page, { code });
      t.is(refused.status, 400);
      t.is(backAtApplication(refused, stage.rp.client.redirectUri), undefined);
    }
    t.true((await audited(stage, 'mfa.replay', { user: first.user.id })).length >= 1);
  });

  withinAStep('A04 the code that confirmed an enrolment does not sign in', async (t) => {
    const stage = await scene({ mfa: 'required' });
    const user = await stage.server.user(stage.realm);
    const enrolling = await afterPassword(stage, user);
    const secret = keyOf(enrolling.page);
    const code = codeAt(secret);
    t.truthy(codeFrom(await enrolling.browser.send(enrolling.page, { code }), stage.rp));

    const next = await afterPassword(stage, user);
    const refused = await next.browser.send(next.page, { code });
    t.is(refused.status, 400);
    t.is((await audited(stage, 'mfa.replay', { transaction: transactionOf(next.browser) })).length, 1);
  });

  withinAStep('A05 fifty right codes at once: one success, one session, one code', async (t) => {
    const stage = await scene();
    const processes = await nodes();
    for (let round = 0; round < 3; round += 1) {
      const { browser, page, request, user, secret } = await atCode(stage);
      const transaction = transactionOf(browser);
      const fields = { ...formsOf(page)[0]?.fields, code: codeAt(secret, 1) };
      const answers = await parallel(50, (index) => postTo(processes[index % processes.length] ?? stage.server, browser, page.url, fields));

      const renewed = answers.filter((answer) => answer.headers.getSetCookie().some((line) => line.startsWith(`cardea_tx_${transaction}=`)));
      t.is(renewed.length, 1, `one answer renews the cookie: ${JSON.stringify(tally(answers))}`);
      t.is((await storedLogin(stage, transaction)).at, 'done');
      t.is((await audited(stage, 'mfa.challenge.ok', { transaction })).length, 1);

      // Nobody but the winner goes on, and the winner once, however often it comes back.
      const resume = renewed[0]?.headers.get('location') ?? '';
      t.regex(resume, /\/protocol\/openid-connect\/auth\//);
      const losers = await parallel(5, () => getFrom(stage.server, browser, resume));
      t.deepEqual(tally(losers), { 403: 5 });
      const winner = new Browser(stage.server.origin);
      winner.plant(browser.jar);
      const cookie = renewed[0]?.headers.getSetCookie().find((line) => line.startsWith(`cardea_tx_${transaction}=`)) ?? '';
      winner.plant([
        { host: 'localhost', path: `/realms/${stage.realm.name}`, name: `cardea_tx_${transaction}`, value: cookie.split(/[=;]/)[1] ?? '' },
      ]);
      const back = await parallel(20, (index) => getFrom(processes[index % processes.length] ?? stage.server, winner, resume));
      const codes = back.flatMap((answer) => codeFrom(answer, stage.rp) ?? []);
      t.is(codes.length, 1, `one code: ${JSON.stringify(tally(back))}`);
      t.is((await audited(stage, 'login.ok', { transaction })).length, 1);
      t.is((await sessionsOf(stage, user)).length, 1, 'one session');
      t.is((await audited(stage, 'login.ok', { user: user.id })).length, 1);
      const tokens = await call(stage.server, stage.realm, 'token', codeExchange(stage.rp, request, codes[0] ?? ''), credentialsOf(stage.rp));
      t.is(tokens.status, 200, JSON.stringify(tokens.body));
    }
  });

  withinAStep('A05 one right code in eight sign-ins at once: one of them gets in', async (t) => {
    const stage = await scene();
    const processes = await nodes();
    for (let round = 0; round < 3; round += 1) {
      const user = await stage.server.user(stage.realm);
      const { secret } = await giveApp(stage.server, user);
      const signIns = await parallel(8, () => afterPassword(stage, user));
      const code = codeAt(secret, 1);
      const answers = await Promise.all(
        signIns.map(({ browser, page }, index) =>
          postTo(processes[index % processes.length] ?? stage.server, browser, page.url, { ...formsOf(page)[0]?.fields, code }),
        ),
      );
      const states = await Promise.all(signIns.map(({ browser }) => storedLogin(stage, transactionOf(browser))));
      t.is(states.filter((state) => state.at === 'done').length, 1, JSON.stringify(tally(answers)));
      t.is((await audited(stage, 'mfa.challenge.ok', { user: user.id })).length, 1, JSON.stringify(tally(answers)));
      t.is((await audited(stage, 'mfa.replay', { user: user.id })).length, 7, JSON.stringify(tally(answers)));
    }
  });

  engine.test('A06 a hundred wrong codes at once: five are compared, the rest are turned away', async (t) => {
    const stage = await scene();
    const processes = await nodes();
    const { browser, page, user, secret } = await atCode(stage);
    const transaction = transactionOf(browser);
    const version = formsOf(page)[0]?.fields.version ?? '';
    const codes = wrongCodes(secret, 100);
    const answers = await parallel(100, (index) =>
      postTo(processes[index % processes.length] ?? stage.server, browser, page.url, { version, code: codes[index] ?? '' }),
    );

    const compared = await audited(stage, 'mfa.challenge.failed', { user: user.id });
    t.is(compared.length, 5);
    const counts = tally(answers);
    t.is((counts[400] ?? 0) + (counts[403] ?? 0), 5, JSON.stringify(counts));
    t.is(counts[403], 1, 'the fifth ends the sign-in');
    t.is(counts[429], 95, JSON.stringify(counts));
    const turnedAway = [
      ...(await audited(stage, 'mfa.challenge.throttled', { user: user.id })),
      ...(await audited(stage, 'login.failed', { user: user.id })),
    ];
    t.is(turnedAway.length, 95, 'each is recorded');

    t.is((await storedLogin(stage, transaction)).at, 'refused');
    const late = await browser.post(page.url, { version, code: codeAt(secret) });
    t.is(backAtApplication(late, stage.rp.client.redirectUri), undefined);
    t.is(late.status, 429, 'the right code comes too late');
    t.is((await sessionsOf(stage, user)).length, 0);
  });

  engine.test('A07 five wrong codes: the sign-in is dead, and the next begins with the password', async (t) => {
    const stage = await scene();
    const { browser, page, request, user, secret } = await atCode(stage);
    let shown = page;
    for (const code of wrongCodes(secret, 4)) {
      shown = await browser.send(shown, { code });
      t.is(shown.status, 400);
    }
    const dead = await browser.send(shown, { code: wrongCodes(secret, 5)[4] ?? '' });
    t.is(dead.status, 403);
    t.is(formsOf(dead).length, 0);

    const version = String((await storedLogin(stage, transactionOf(browser))).version);
    const tries: Record<string, string>[] = [
      { version, code: codeAt(secret) },
      { code: codeAt(secret) },
      { version, username: user.username, password: user.password },
    ];
    for (const fields of tries) {
      const late = await browser.post(page.url, fields);
      t.is(late.status, 429);
      t.is(formsOf(late).length, 0);
    }
    const uid = page.url.split('/').at(-1);
    const resumed = await browser.visit(`${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/auth/${uid}`);
    t.is(resumed.status, 403, 'the way back leads to the same page');
    t.is(backAtApplication(resumed, stage.rp.client.redirectUri), undefined);

    const again = await browser.visit(request.url);
    t.true(again.html.includes('name="password"'), text(again));
    t.is((await sessionsOf(stage, user)).length, 0);
  });

  engine.test('A08 four failures: neither a new tab, nor the page again, nor another factor and back makes five more', async (t) => {
    const stage = await scene({ disabledFactors: ['passkey', 'security-key', 'email-otp', 'sms-otp', 'recovery-codes'] });
    const { server } = stage;
    const user = await server.user(stage.realm);
    const { secret } = await giveApp(server, user);
    const token = await giveApp(server, user, { label: 'Token', factor: 'hotp' });
    const pick = (page: Page, factor: string) => formsOf(page).find((form) => form.fields.factor === factor);
    const { browser, page } = await afterPassword(stage, user);
    let shown = await browser.send(page, {}, pick(page, 'totp'));
    for (const code of wrongCodes(secret, 2)) shown = await browser.send(shown, { code });
    shown = await browser.visit(page.url);
    t.is(shown.status, 200);

    // Another tab of the same browser, and in it the other factor, and back.
    const tab = await afterPassword(stage, user, { browser });
    let challenge = await browser.send(tab.page, {}, pick(tab.page, 'hotp'));
    for (const code of wrongCodes(token.secret, 4)) {
      challenge = await browser.send(challenge, { code });
      t.is(challenge.status, 400, text(challenge));
    }
    const back = await browser.send(challenge, { do: 'another' });
    challenge = await browser.send(back, {}, pick(back, 'totp'));
    for (const code of wrongCodes(secret, 4).slice(2)) {
      challenge = await browser.send(challenge, { code });
      t.is(challenge.status, 400, 'the third and the fourth');
    }

    // A right password in between is no success of the factor.
    const third = await afterPassword(stage, user);
    const fifth = await third.browser.send(await third.browser.send(third.page, {}, pick(third.page, 'totp')), {
      code: wrongCodes(secret, 9)[8] ?? '',
    });
    t.is(fifth.status, 403, `the fifth in a row ends it: ${text(fifth)}`);
    t.is((await audited(stage, 'mfa.challenge.failed', { user: user.id })).length, 9);
    // And the four of the other factor stand, too.
    const fourth = await afterPassword(stage, user);
    const last = await fourth.browser.send(await fourth.browser.send(fourth.page, {}, pick(fourth.page, 'hotp')), {
      code: wrongCodes(token.secret, 9)[8] ?? '',
    });
    t.is(last.status, 403, text(last));
  });

  engine.serial('A13 000000 is a code when the app shows it', async (t) => {
    // Of its own: what is cached here was read years from now.
    const stage = await scene({ accessCodeLifespanLogin: 1_700 });
    const user = await stage.server.user(stage.realm);
    const { secret } = await giveApp(stage.server, user, {
      secret: new ScureBase32Plugin().encode(Buffer.from('cardea-attack-000000'), { padding: false }),
    });
    // Found by trying: the next step after 2030 began in which an app with that key shows it.
    await at(63_427_486 * STEP_MS - Date.now(), async () => {
      t.is(codeAt(secret), '000000');
      const { browser, page } = await afterPassword(stage, user);
      t.truthy(codeFrom(await browser.send(page, { code: '000000' }), stage.rp));
    });
  });

  engine.test('A13 what is no code is refused as input', async (t) => {
    const stage = await scene();
    const widen = (code: string, zero: number) => [...code].map((digit) => String.fromCodePoint((digit.codePointAt(0) ?? 0) - 0x30 + zero)).join('');
    const asCode = (code: string) => `code=${encodeURIComponent(code)}`;
    const bodies: ((right: string) => string)[] = [
      (right) => asCode(widen(right, 0xff10)),
      (right) => asCode(widen(right, 0x660)),
      () => asCode('1e5'),
      (right) => asCode(`${right}e0`),
      (right) => asCode(`0x${right}`),
      (right) => asCode(`+${right}`),
      (right) => asCode(`-${right}`),
      (right) => asCode(`${right}.0`),
      (right) => asCode(`0${right}`),
      (right) => asCode(right.slice(0, 5)),
      (right) => asCode(right.repeat(20)),
      (right) => `code=${right}&code=${right}`,
      (right) => `code[]=${right}`,
      (right) => `code[0]=${right}`,
      (right) => `code=${right}%00`,
      (right) => `code=${right}%ff`,
    ];
    const post = (page: Page, browser: Browser, body: string, type = 'application/x-www-form-urlencoded') =>
      browser.visit(page.url, { method: 'POST', body, headers: { origin: stage.server.origin, 'content-type': type } });
    // Some count as an attempt, and five would end the sign-in: each user meets four.
    for (let start = 0; start < bodies.length; start += 4) {
      const { browser, page, user, secret } = await atCode(stage);
      const version = formsOf(page)[0]?.fields.version ?? '';
      for (const body of bodies.slice(start, start + 4)) {
        const sent = `version=${version}&${body(codeAt(secret))}`;
        t.is((await post(page, browser, sent)).status, 400, sent);
      }
      for (const type of ['application/json', 'text/plain', 'multipart/form-data; boundary=x']) {
        t.is((await post(page, browser, JSON.stringify({ version, code: codeAt(secret) }), type)).status, 415, type);
      }
      t.is((await sessionsOf(stage, user)).length, 0);
      t.is((await audited(stage, 'mfa.challenge.ok', { user: user.id })).length, 0);
    }
  });

  engine.test('A16 somebody with the password opens thirty sign-ins at once: ten codes are compared, then there is a pause', async (t) => {
    const stage = await scene();
    const processes = await nodes();
    const user = await stage.server.user(stage.realm);
    const { secret } = await giveApp(stage.server, user);
    const signIns = await parallel(30, () => afterPassword(stage, user));
    const codes = wrongCodes(secret, 60);
    const answers = await parallel(60, (index) => {
      const { browser, page } = signIns[index % 30] ?? { browser: new Browser(''), page: { url: '', status: 0, headers: new Headers(), html: '' } };
      return postTo(processes[index % processes.length] ?? stage.server, browser, page.url, {
        ...formsOf(page)[0]?.fields,
        code: codes[index] ?? '',
      });
    });
    const compared = (await audited(stage, 'mfa.challenge.failed', { user: user.id })).length;
    t.is(compared, 10, JSON.stringify(tally(answers)));
    const late = await afterPassword(stage, user);
    t.is((await late.browser.send(late.page, { code: codeAt(secret) })).status, 429, 'the right one waits as well');
  });

  engine.test('A17 sixty passwords for one name at once: ten are compared, known or not', async (t) => {
    const stage = await scene();
    const processes = await nodes();
    const user = await stage.server.user(stage.realm);
    for (const username of [user.username, `nobody-${user.username}`]) {
      const starts = await parallel(6, () => begin(stage));
      const answers = await parallel(60, (index) => {
        const { browser, page } = starts[index % 6] ??
          starts[0] ?? { browser: new Browser(''), page: { url: '', status: 0, headers: new Headers(), html: '' } };
        return postTo(processes[index % processes.length] ?? stage.server, browser, page.url, {
          ...formsOf(page)[0]?.fields,
          username,
          password: `guess number ${index}`,
        });
      });
      t.deepEqual(tally(answers), { 400: 10, 429: 50 }, username);
      const right = await begin(stage);
      t.is((await right.browser.send(right.page, { username, password: user.password })).status, 429, 'the pause holds for the right one');
    }
    t.is((await sessionsOf(stage, user)).length, 0);
  });

  engine.test('A18 confirming an enrolment cannot be guessed at, nor won twice', async (t) => {
    const stage = await scene({ mfa: 'required' });
    const processes = await nodes();
    const user = await stage.server.user(stage.realm);
    const guessed = await afterPassword(stage, user);
    const version = formsOf(guessed.page)[0]?.fields.version ?? '';
    const wrong = wrongCodes(keyOf(guessed.page), 40);
    const answers = await parallel(40, (index) =>
      postTo(processes[index % processes.length] ?? stage.server, guessed.browser, guessed.page.url, { version, code: wrong[index] ?? '' }),
    );
    t.is((await audited(stage, 'mfa.challenge.failed', { user: user.id })).length, 5, JSON.stringify(tally(answers)));
    t.is((await storedLogin(stage, transactionOf(guessed.browser))).at, 'refused');

    const another = await stage.server.user(stage.realm);
    const right = await afterPassword(stage, another);
    const fields = { ...formsOf(right.page)[0]?.fields, code: codeAt(keyOf(right.page), 1) };
    await parallel(20, (index) => postTo(processes[index % processes.length] ?? stage.server, right.browser, right.page.url, fields));
    const apps = (await storedCredentials(stage.server.db.knex, stage.realm.id, another.id)).filter(({ factor }) => factor === 'totp');
    t.is(apps.length, 1);
    t.is((await audited(stage, 'mfa.factor.enrolled', { user: another.id })).length, 1);
    t.is((await storedLogin(stage, transactionOf(right.browser))).at, 'done');
  });

  engine.test('A19 the code is right, but of another user, another app or another enrolment', async (t) => {
    const stage = await scene();
    const mine = await atCode(stage);
    const theirs = await atCode(stage);
    t.is((await mine.browser.send(mine.page, { code: codeAt(theirs.secret) })).status, 400);
    t.is((await audited(stage, 'mfa.challenge.failed', { user: mine.user.id })).length, 1);

    const required = await scene({ mfa: 'required' });
    const user = await required.server.user(required.realm);
    const one = await afterPassword(required, user);
    const other = await afterPassword(required, user);
    t.not(keyOf(one.page), keyOf(other.page));
    t.is((await one.browser.send(one.page, { code: codeAt(keyOf(other.page)) })).status, 400);
    t.is((await storedCredentials(required.server.db.knex, required.realm.id, user.id)).length, 1, 'the password alone');
    t.truthy(codeFrom(await one.browser.send(one.page, { code: codeAt(keyOf(one.page)) }), required.rp));
    // The other tab was opened before the app existed: what it shows must not be bound by the password alone any more.
    const late = await other.browser.send(other.page, { code: codeAt(keyOf(other.page)) });
    t.is(backAtApplication(late, required.rp.client.redirectUri), undefined, text(late));
    t.is(late.status, 200);
    t.true(late.html.includes('name="code"') && !late.html.includes('name="label"'), 'what is owned by now is asked');
    t.is((await storedCredentials(required.server.db.knex, required.realm.id, user.id)).length, 2);
  });

  withinAStep('A21 two tabs confirm an enrolment in one moment: one app is bound', async (t) => {
    const stage = await scene({ mfa: 'required' });
    const processes = await nodes();
    const user = await stage.server.user(stage.realm);
    const tabs = await parallel(8, () => afterPassword(stage, user));
    const answers = await Promise.all(
      tabs.map(({ browser, page }, index) =>
        postTo(processes[index % processes.length] ?? stage.server, browser, page.url, { ...formsOf(page)[0]?.fields, code: codeAt(keyOf(page), 1) }),
      ),
    );
    const apps = (await storedCredentials(stage.server.db.knex, stage.realm.id, user.id)).filter(({ factor }) => factor === 'totp');
    t.is(apps.length, 1, JSON.stringify(tally(answers)));
    t.true(
      answers.every(({ status }) => status < 500),
      JSON.stringify(tally(answers)),
    );
    t.is((await audited(stage, 'mfa.factor.enrolled', { user: user.id })).length, 1);
    t.is(answers.filter(({ headers }) => headers.get('location')?.includes('/protocol/openid-connect/auth/')).length, 1, 'one sign-in is done');
  });

  engine.test('A20 a sign-in is told which page it is at, not asked', async (t) => {
    const stage = await scene();
    const { browser, page, user, secret } = await atCode(stage);
    const transaction = transactionOf(browser);
    const stored = await storedLogin(stage, transaction);
    const version = String(stored.version);
    const tries: Record<string, string>[] = [
      { version: String(stored.version - 1), code: codeAt(secret) },
      { version: String(stored.version + 1), code: codeAt(secret) },
      { version: `0${version}`, code: codeAt(secret) },
      { version: '', code: codeAt(secret) },
      { version, label: 'mine', do: 'allow' },
      { version, factor: 'password' },
      { version, factor: 'totp', credential: '' },
      { version, username: user.username, password: user.password },
      { version },
    ];
    for (const fields of tries) {
      const answer = await browser.post(page.url, fields);
      t.is(backAtApplication(answer, stage.rp.client.redirectUri), undefined, JSON.stringify(fields));
      t.deepEqual(await storedLogin(stage, transaction), stored, JSON.stringify(fields));
    }
    t.is((await sessionsOf(stage, user)).length, 0);
    const { tokens } = await signIn(stage.server, stage.rp, user, { totpSecret: secret });
    t.is(tokens.claims()?.acr, 'aal2', 'none of it used the code up');
  });
});
