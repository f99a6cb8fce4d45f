/** A · Guessing by many: from one address, from many, at every door, and what it must not do to whom it is aimed at. */
import { randomUUID } from 'node:crypto';
import { at, DAY, forgetSession, guess, known, someAddress, throttling } from '../support/addresses.ts';
import { formsOf, type Page } from '../support/agent.ts';
import {
  afterPassword,
  arena,
  audited,
  begin,
  codeAt,
  codeFrom,
  giveApp,
  parallel,
  postTo,
  sessionsOf,
  tally,
  wrongCodes,
} from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { Browser, text } from '../support/sign-in.ts';

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine, { CARDEA_TRUST_PROXY: '1' });

  engine.test('A09 one guess for each of many users from one address: that address is throttled, whoever it asks for', async (t) => {
    const stage = await scene({ throttling: throttling({ address: { failures: 20, within: DAY } }) });
    const ip = someAddress();
    const users = await Promise.all(Array.from({ length: 5 }, () => stage.server.user(stage.realm)));
    for (let index = 0; index < 20; index += 1) {
      const name = users[index]?.username ?? `nobody-${randomUUID()}`;
      t.is((await guess(stage, ip, name, 'Winter2030!')).status, 400, `guess ${index}`);
    }
    const [known] = users;
    const pages = await Promise.all([known?.username ?? '', `nobody-${randomUUID()}`].map((name) => guess(stage, ip, name, 'Winter2030!')));
    for (const page of pages) {
      t.is(page.status, 429);
      const wait = Number(page.headers.get('retry-after'));
      t.true(wait >= 1 && wait <= DAY / 20, `one in ${wait} seconds`);
      t.regex(page.html, /failed in your network/);
      t.is(formsOf(page).length, 1, 'the page is still there to go on with');
    }
    const [one, other] = pages.map((page) => ({ ...page, html: page.html.replaceAll(/value="[^"]*"|[\w-]{21,}|<code[^>]*>[^<]*<\/code>/g, '') }));
    t.is(one?.html, other?.html, 'the same for a name that nobody has');
    const right = users[1];
    t.is((await guess(stage, ip, right?.username ?? '', right?.password ?? '')).status, 429, 'the right password waits as well');
    t.truthy(codeFrom(await guess(stage, someAddress(), right?.username ?? '', right?.password ?? ''), stage.rp), 'and elsewhere it does not');
    t.is((await audited(stage, 'login.failed')).filter((row) => row.ip === ip && row.details.includes('throttled')).length, 3, 'each is recorded');
  });

  engine.test('A09 a hundred at once, to two processes: twenty are compared', async (t) => {
    const stage = await scene({ throttling: throttling({ address: { failures: 20, within: DAY } }) });
    const processes = await nodes();
    const ip = someAddress();
    const starts = await parallel(10, () => begin(stage, { browser: at(stage, ip) }));
    const answers = await parallel(100, async (index) => {
      const { browser, page } = starts[index % 10] ?? starts[0] ?? (await begin(stage));
      const node = processes[index % processes.length] ?? stage.server;
      const fields = { ...formsOf(page)[0]?.fields, username: `nobody-${index}-${ip}`, password: 'Winter2030!' };
      return postTo(node, browser, page.url, fields, { 'x-forwarded-for': ip });
    });
    t.deepEqual(tally(answers), { 400: 20, 429: 80 });
  });

  engine.test('A09 the 2^64 addresses of one IPv6 line are one', async (t) => {
    const stage = await scene({ throttling: throttling({ address: { failures: 10, within: DAY } }) });
    const line = `2001:db8:${randomUUID().slice(0, 4)}:1`;
    for (let index = 0; index < 10; index += 1) t.is((await guess(stage, `${line}::${index + 1}`, `nobody-${index}`, 'guess')).status, 400);
    t.is((await guess(stage, `${line}:ffff::1`, 'nobody', 'guess')).status, 429);
    t.is((await guess(stage, `${line.slice(0, -1)}2::1`, 'nobody', 'guess')).status, 400);
    const four = someAddress();
    for (let index = 0; index < 10; index += 1)
      t.is((await guess(stage, index % 2 ? four : `::ffff:${four}`, `nobody-${index}`, 'guess')).status, 400);
    t.is((await guess(stage, four, 'nobody', 'guess')).status, 429);
  });

  engine.test('A09 what a client writes into X-Forwarded-For gives it no other address', async (t) => {
    const stage = await scene({ throttling: throttling({ address: { failures: 10, within: DAY } }) });
    const ip = someAddress();
    for (let index = 0; index < 10; index += 1) t.is((await guess(stage, `${someAddress()}, ${ip}`, `nobody-${index}`, 'guess')).status, 400);
    t.is((await guess(stage, `${someAddress()}, ${ip}`, 'nobody', 'guess')).status, 429);
  });

  engine.test('A09 an office behind one address: who signs in gives back what was counted', async (t) => {
    const stage = await scene({ throttling: throttling({ address: { failures: 10, within: DAY } }) });
    const ip = someAddress();
    for (let index = 0; index < 30; index += 1) {
      const user = await stage.server.user(stage.realm);
      t.truthy(codeFrom(await guess(stage, ip, user.username, user.password), stage.rp), `sign-in ${index}`);
    }
    // And a success lets nobody guess for longer: it gives back itself.
    const insider = await stage.server.user(stage.realm);
    let compared = 0;
    for (let index = 0; index < 25; index += 1) {
      if ((await guess(stage, ip, `nobody-${index}`, 'guess')).status === 400) compared += 1;
      await guess(stage, ip, insider.username, insider.password);
    }
    t.is(compared, 10);
  });

  engine.test('A10 one user, many addresses: the back-off of the account holds', async (t) => {
    const stage = await scene();
    const user = await stage.server.user(stage.realm);
    for (let index = 0; index < 10; index += 1) t.is((await guess(stage, someAddress(), user.username, `guess ${index}`)).status, 400);
    for (let index = 0; index < 5; index += 1) t.is((await guess(stage, someAddress(), user.username, `guess ${index}`)).status, 429);
    const right = await guess(stage, someAddress(), user.username, user.password);
    t.is(right.status, 429);
    const wait = Number(right.headers.get('retry-after'));
    t.true(wait > 600 && wait <= 900, `${wait} seconds`);
    t.is((await sessionsOf(stage, user)).length, 0);
  });

  engine.test('A11 a thousand wrong passwords from elsewhere: the owner signs in on a known device, and no code was counted', async (t) => {
    const stage = await scene({ throttling: throttling({ address: { failures: 10_000, openSignIns: 20_000 } }) });
    const processes = await nodes();
    const user = await stage.server.user(stage.realm);
    const own = at(stage, someAddress());
    await known(stage, user, own);
    const { secret } = await giveApp(stage.server, user);
    const starts = await parallel(10, () => begin(stage, { browser: at(stage, someAddress()) }));
    const answers: Page[] = [];
    for (let round = 0; round < 20; round += 1) {
      const some = await parallel(50, (index) => {
        const { browser, page } = starts[index % 10] ?? { browser: own, page: { url: '', status: 0, headers: new Headers(), html: '' } };
        const fields = { ...formsOf(page)[0]?.fields, username: user.username, password: `guess ${round} ${index}` };
        return postTo(processes[index % processes.length] ?? stage.server, browser, page.url, fields, { 'x-forwarded-for': someAddress() });
      });
      answers.push(...some);
    }
    t.deepEqual(tally(answers), { 400: 10, 429: 990 });

    t.is((await guess(stage, someAddress(), user.username, user.password)).status, 429, 'a new device waits');
    const { page, browser } = await afterPassword(stage, user, { browser: forgetSession(own, stage.server.origin) });
    t.true(page.html.includes('name="code"'), text(page));
    t.truthy(codeFrom(await browser.send(page, { code: codeAt(secret) }), stage.rp));
    t.is((await audited(stage, 'mfa.challenge.failed', { user: user.id })).length, 0);

    // The owner's success is not the attacker's: the pause for everybody else stands.
    t.is((await guess(stage, someAddress(), user.username, user.password)).status, 429);
  });

  engine.test('A11 a known device has a counter of its own, which also ends', async (t) => {
    const stage = await scene({ throttling: throttling({ address: { failures: 10, within: DAY } }) });
    const user = await stage.server.user(stage.realm);
    const ip = someAddress();
    const own = at(stage, ip);
    await known(stage, user, own);
    // Whoever guesses sits in the same office, and has used up what the address may.
    for (let index = 0; index < 10; index += 1) await guess(stage, ip, user.username, `guess ${index}`);
    t.is((await guess(stage, ip, user.username, user.password)).status, 429);
    const again = await afterPassword(stage, user, { browser: forgetSession(own, stage.server.origin) });
    t.truthy(codeFrom(again.page, stage.rp));

    // Whoever has that very browser has ten guesses, and pauses nobody but this browser.
    const stolen = forgetSession(own, stage.server.origin);
    for (let index = 0; index < 10; index += 1) {
      const { page } = await begin(stage, { browser: stolen });
      t.is((await stolen.send(page, { username: user.username, password: `guess ${index}` })).status, 400);
    }
    const { page } = await begin(stage, { browser: stolen });
    t.is((await stolen.send(page, { username: user.username, password: user.password })).status, 429);
  });

  engine.test('A11 a known device of one user is none of another, nor one that somebody made up', async (t) => {
    const stage = await scene();
    const [attacker, victim] = [await stage.server.user(stage.realm), await stage.server.user(stage.realm)];
    const own = at(stage, someAddress());
    await known(stage, attacker, own);
    for (let index = 0; index < 10; index += 1) t.is((await guess(stage, someAddress(), victim.username, `guess ${index}`)).status, 400);
    const mine = await begin(stage, { browser: forgetSession(own, stage.server.origin) });
    t.is((await mine.browser.send(mine.page, { username: victim.username, password: victim.password })).status, 429);

    const forged = new Browser(stage.server.origin);
    forged.plant([{ host: 'localhost', path: '/', name: `cardea_device_${stage.realm.id}`, value: 'A'.repeat(43) }]);
    const theirs = await begin(stage, { browser: forged });
    t.is((await forged.send(theirs.page, { username: victim.username, password: victim.password })).status, 429);
  });

  engine.test('A11 a known device in one realm is none in another', async (t) => {
    const [here, there] = [await scene(), await scene({ passwordMinLength: 9 })];
    const own = at(here, someAddress());
    await known(here, await here.server.user(here.realm), own);
    const value = own.jar.find(({ name }) => name === `cardea_device_${here.realm.id}`)?.value ?? '';
    const victim = await there.server.user(there.realm);
    for (let index = 0; index < 10; index += 1) t.is((await guess(there, someAddress(), victim.username, `guess ${index}`)).status, 400);
    const browser = at(there, someAddress());
    browser.plant([{ host: 'localhost', path: '/', name: `cardea_device_${there.realm.id}`, value }]);
    const { page } = await begin(there, { browser });
    t.is((await browser.send(page, { username: victim.username, password: victim.password })).status, 429);
  });

  engine.test('A12 at the door of a step-up the same counter stands as at that of a sign-in', async (t) => {
    const stage = await scene();
    const user = await stage.server.user(stage.realm);
    const browser = at(stage, someAddress());
    await known(stage, user, browser);
    const { secret } = await giveApp(stage.server, user);
    const wrong = wrongCodes(secret, 12);
    let compared = 0;
    for (let round = 0; round < 3; round += 1) {
      let { page } = await begin(stage, { browser, parameters: { acr_values: 'aal2' } });
      t.true(page.html.includes('name="code"'), text(page));
      for (let index = 0; index < 5 && page.html.includes('name="code"') && page.status !== 429; index += 1) {
        page = await browser.send(page, { code: wrong[compared] ?? '' });
        if (page.status !== 429) compared += 1;
      }
    }
    t.is(compared, 10, 'two sign-ins of five, then a pause');
    const elsewhere = await afterPassword(stage, user, { browser: at(stage, someAddress()) });
    t.is((await elsewhere.browser.send(elsewhere.page, { code: codeAt(secret) })).status, 429, 'at the other door as well');
  });

  engine.test('A12 fifty wrong codes switch the app off, and the password alone opens nothing', async (t) => {
    const stage = await scene({ passwordMinLength: 10 });
    const user = await stage.server.user(stage.realm);
    const { secret, id } = await giveApp(stage.server, user);
    const wrong = wrongCodes(secret, 50);
    const { knex } = stage.server.db;
    for (let index = 0; index < 50; index += 5) {
      const underway = await afterPassword(stage, user, { browser: at(stage, someAddress()) });
      let { page } = underway;
      for (const code of wrong.slice(index, index + 5)) page = await underway.browser.send(page, { code });
      t.is(page.status, 403, `after ${index + 5}: ${text(page)}`);
      // Time goes by.
      await knex('attempts').where({ realm_id: stage.realm.id }).update({ paused_until: 0 });
    }
    const row = await knex('credentials').where({ realm_id: stage.realm.id, id }).first('enabled');
    t.false(Boolean(row.enabled));
    t.is((await audited(stage, 'mfa.factor.disabled', { user: user.id })).length, 1);
    const late = await afterPassword(stage, user, { browser: at(stage, someAddress()) });
    t.is(codeFrom(late.page, stage.rp), undefined);
    t.is((await sessionsOf(stage, user)).length, 0);
  });
});
