/** A forgotten password over real HTTP, as its owner meets it. */
import { changePolicy } from '../../src/admin/resources/policy.ts';
import { createFactors } from '../../src/factors/index.ts';
import { auditEvents } from '../../src/store/audit.ts';
import { credentialsOf } from '../../src/store/credentials.ts';
import { userById } from '../../src/store/users.ts';
import { formsOf } from '../support/agent.ts';
import { afterPassword, arena, begin, codeAt, codeFrom, giveApp, sessionsOf, wrongCodes } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { Forgetful, giveCodes, headingOf, linkFor, mailsTo, settled } from '../support/recovery.ts';
import { Browser, exchange, relyingParty, signIn, text } from '../support/sign-in.ts';
import { until } from '../support/until.ts';

const NEW = 'four words without relation';

forEachEngine((engine) => {
  const { scene } = arena(engine);

  engine.test('a user who forgot the password sets a new one by mail, and goes on with the sign-in', async (t) => {
    const stage = await scene();
    const { server, realm, rp } = stage;
    const user = await server.user(realm, { firstName: 'Ada' });
    const before = await signIn(server, rp, user);
    t.is((await sessionsOf(stage, user)).length, 1);

    const underway = await begin(stage);
    const [, href = ''] = /href="([^"]*reset-credentials[^"]*)"/.exec(underway.page.html) ?? [];
    const person = new Forgetful(server, realm, underway.browser);
    const sent = await person.ask(user.username, new URL(href.replaceAll('&amp;', '&'), server.origin).href);
    t.is(headingOf(sent), 'Look into your mailbox');
    t.false(sent.html.includes(user.username), 'it says nothing of anybody');

    const link = await linkFor(server, realm, user.email ?? '');
    t.true(link.startsWith(`${server.origin}/realms/${realm.name}/login-actions/action-token?key=`));
    const opened = await person.browser.visit(link);
    t.is(headingOf(opened), 'Set a new password');
    t.false(opened.html.includes(user.username) || opened.html.includes(user.email ?? '-'));
    await person.browser.visit(link);
    const asked = await person.browser.send(opened, {});
    t.is(headingOf(asked), 'Choose a new password');
    t.true(asked.html.includes(user.username), 'a password manager has to know');

    const done = await person.set(asked, NEW);
    t.is(headingOf(done), 'Your new password is set');
    t.deepEqual(await sessionsOf(stage, user), [], 'the session of before has ended');
    t.is(codeFrom(done, rp), undefined, 'nobody is signed in by it');
    const [, back = ''] = /href="([^"]*\/login\/[^"]*)"/.exec(done.html) ?? [];
    const page = await person.browser.visit(new URL(back, server.origin).href);
    t.true(page.html.includes('name="password"'));
    const refused = await person.browser.send(page, { username: user.username, password: user.password });
    t.is(refused.status, 400, 'the old password is worth nothing');
    const tokens = await exchange(rp, underway.request, await person.browser.send(refused, { username: user.username, password: NEW }));
    t.is(tokens.claims()?.sub, user.id);
    t.not(tokens.claims()?.sid, before.tokens.claims()?.sid);

    const subjects = (await mailsTo(server, realm, user.email ?? '')).map(({ subject }) => subject);
    t.deepEqual(subjects, [`A new password for ${realm.displayName}`, 'Your password was reset']);
    const types = (await auditEvents(server.db.knex, realm.id, { subject: user.id, limit: 50 })).map(({ type }) => type).reverse();
    t.deepEqual(
      types.filter((type) => type.startsWith('recovery.')),
      ['recovery.requested', 'recovery.done'],
    );
    t.true((await userById(server.db.knex, realm.id, user.id))?.emailVerified, 'the mail was read there');
  });

  engine.test('whoever owns an app is asked for a code of it first, and again at the sign-in', async (t) => {
    const stage = await scene();
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    const { secret } = await giveApp(server, user);
    const person = new Forgetful(server, realm);
    let page = await person.arrive(user);
    t.true(page.html.includes('name="code"'));
    t.false(page.html.includes('password-new'));
    page = await person.browser.send(page, { code: wrongCodes(secret, 1)[0] ?? '' });
    t.is(page.status, 400);
    const skipped = await person.browser.post(`${person.base}/reset-credentials/continue`, { 'password-new': NEW, 'password-confirm': NEW });
    t.true(skipped.html.includes('name="code"'), 'there is no way around it');
    page = await person.browser.send(page, { code: codeAt(secret) });
    t.is(headingOf(await person.set(page, NEW)), 'Your new password is set');

    const again = await begin(stage);
    const after = await again.browser.send(again.page, { username: user.username, password: NEW });
    t.is(codeFrom(after, rp), undefined);
    t.true(after.html.includes('name="code"'), 'B07: the code is still asked for');
    const done = (await auditEvents(server.db.knex, realm.id, { type: 'recovery.done', limit: 5 })).find(({ subject }) => subject === user.id);
    t.deepEqual(JSON.parse(done?.details ?? ''), { factor: 'totp' });
  });

  engine.test('of several factors one is chosen, and recovery codes count', async (t) => {
    const stage = await scene({ disabledFactors: [] });
    const { server, realm } = stage;
    const user = await server.user(realm);
    const { secret } = await giveApp(server, user);
    const codes = await giveCodes(server, user);
    const person = new Forgetful(server, realm);
    let page = await person.arrive(user);
    t.deepEqual(
      formsOf(page).flatMap(({ fields }) => fields.factor ?? []),
      ['totp', 'recovery-codes'],
    );
    t.regex(text(page), /The link has shown that the mailbox is yours/);
    const byCode = formsOf(page).find(({ fields }) => fields.factor === 'recovery-codes');
    page = await person.browser.send(page, {}, byCode);
    const back = await person.browser.send(page, { do: 'another' });
    t.is(formsOf(back).filter(({ fields }) => fields.factor).length, 2);
    page = await person.browser.send(
      back,
      {},
      byCode && { ...byCode, fields: { ...byCode.fields, ...formsOf(back)[0]?.fields, factor: 'recovery-codes' } },
    );
    page = await person.browser.send(page, { code: codes[0] ?? '' });
    t.is(headingOf(await person.set(page, NEW)), 'Your new password is set');
    t.truthy(secret);
    const isTold = async () => (await mailsTo(server, realm, user.email ?? '')).some(({ subject }) => subject === 'A recovery code was used');
    t.true(await until(isTold));
  });

  engine.test('a new password has to be one', async (t) => {
    const stage = await scene();
    const { server, realm } = stage;
    const user = await server.user(realm);
    const person = new Forgetful(server, realm);
    let page = await person.arrive(user);
    const refusals: [string, string, RegExp][] = [
      ['', '', /Type a new password/],
      ['short', 'short', /at least 8 characters/],
      [NEW, `${NEW}!`, /The two were not the same/],
      [user.username, user.username, /first thing that somebody tries/],
      ['aaaaaaaaaa', 'aaaaaaaaaa', /pattern/],
      [user.password, user.password, /password of before/],
    ];
    for (const [password, again, said] of refusals) {
      page = await person.set(page, password, again);
      t.is(page.status, 400, password);
      t.regex(page.html, said);
      t.regex(page.html, /aria-invalid="true"/);
      if (password !== '' && password !== user.username) t.false(page.html.includes(`value="${password}`));
    }
    t.is(headingOf(await person.set(page, NEW)), 'Your new password is set');
    const rows = await credentialsOf(server.db.knex, realm.id, user.id);
    t.is(rows.filter((row) => row.factor === 'password').length, 1);
  });

  engine.test('whoever stops has changed nothing', async (t) => {
    const stage = await scene();
    const { server, realm, rp } = stage;
    const user = await server.user(realm);
    const person = new Forgetful(server, realm);
    const page = await person.browser.send(await person.arrive(user), { do: 'cancel' });
    t.is(headingOf(page), 'Your password is still the same');
    await signIn(server, rp, user);
    t.pass();
  });

  engine.test('for a day after it a rule of the realm may ask for more', async (t) => {
    const { server } = await scene();
    const realm = await server.realm({ mfa: 'off' });
    const stage = { server, realm, rp: await relyingParty(server, realm, await server.client(realm)) };
    const rules = [{ id: 'reset', when: { risk: ['after-reset'] }, need: { level: 'aal2' } }];
    await changePolicy({ ...server.operator(), factors: createFactors() }, realm, { useOwned: false, rules });
    const user = await server.user(realm);
    const { secret } = await giveApp(server, user);
    t.is((await afterPassword(stage, user)).page.status, 303, 'nobody is asked otherwise');

    const person = new Forgetful(server, realm);
    await person.set(await person.browser.send(await person.arrive(user), { code: codeAt(secret) }), NEW);
    const risky = await afterPassword(stage, { ...user, password: NEW });
    t.true(risky.page.html.includes('name="code"'), text(risky.page));
    await server.db
      .knex('user_notes')
      .where({ user_id: user.id })
      .decrement('updated_at', 25 * 3_600_000);
    t.is((await afterPassword(stage, { ...user, password: NEW })).page.status, 303);
  });

  engine.test('where it is not allowed, or no mail can be sent, it is not offered', async (t) => {
    for (const settings of [{ resetPasswordAllowed: false }, { channels: { mail: 'off' as const, sms: 'off' as const } }]) {
      const stage = await scene(settings);
      const { page } = await begin(stage);
      t.false(page.html.includes('reset-credentials'));
      const person = new Forgetful(stage.server, stage.realm);
      t.is((await person.browser.request(`${person.base}/reset-credentials`)).status, 404);
      t.is((await person.browser.post(`${person.base}/reset-credentials`, { username: 'x' })).status, 404);
    }
  });

  engine.test('the pages and the mail are in the language of the sign-in', async (t) => {
    const stage = await scene();
    const { server, realm } = stage;
    const user = await server.user(realm);
    const { page, browser } = await begin(stage, { parameters: { ui_locales: 'de' } });
    const [, href = ''] = /href="([^"]*reset-credentials[^"]*)"/.exec(page.html) ?? [];
    const person = new Forgetful(server, realm, browser);
    t.is(headingOf(await person.ask(user.username, new URL(href.replaceAll('&amp;', '&'), server.origin).href)), 'Sehen Sie in Ihr Postfach');
    const asked = await person.follow(await linkFor(server, realm, user.email ?? ''));
    t.is(headingOf(asked), 'Neues Passwort wählen');
    const [mail] = await mailsTo(server, realm, user.email ?? '');
    t.is(mail?.subject, `Ein neues Passwort für ${realm.displayName}`);
  });

  engine.test('an address that is none is 404', async (t) => {
    const stage = await scene();
    const person = new Forgetful(stage.server, stage.realm);
    for (const path of ['', '/', '/nothing', '/reset-credentials/', '/reset-credentials/x', '/action-token/x'])
      t.is((await person.browser.request(`${person.base}${path}`)).status, 404, path);
    t.is((await person.browser.request(`${person.base}/reset-credentials`, { method: 'PUT' })).status, 404);
    t.is((await person.ask('')).status, 400);
    t.is((await person.ask('x'.repeat(256))).status, 400);
    await settled(stage.server, stage.realm, 0);
    t.is((await new Browser(stage.server.origin).request(`${person.base}/reset-credentials/continue`)).status, 403);
  });
});
