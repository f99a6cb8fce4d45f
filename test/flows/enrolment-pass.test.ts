/** Somebody who has lost every second factor, over real HTTP: what the pages say can be done, and an enrolment pass from one end to the other. */
import { giveRoles } from '../../src/admin/resources/roles.ts';
import { credentialsOf } from '../../src/store/credentials.ts';
import { formsOf, type Page } from '../support/agent.ts';
import {
  afterPassword,
  arena,
  audited,
  codeAt,
  codeFrom,
  giveApp,
  parallel,
  postTo,
  type Scene,
  sessionsOf,
  type TestUser,
} from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { giveCodes, headingOf, mailsTo, passFor } from '../support/recovery.ts';
import { Browser, codeOf, exchange, keyOf, text } from '../support/sign-in.ts';

const choicesOf = (page: Page): string[] => formsOf(page).flatMap(({ fields }) => fields.factor ?? []);
const choose = (browser: Browser, page: Page, factor: string): Promise<Page> =>
  browser.send(
    page,
    {},
    formsOf(page).find(({ fields }) => fields.factor === factor),
  );

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine);
  const ALL = { disabledFactors: ['hotp', 'email-otp', 'sms-otp', 'security-key', 'passkey'] };

  /** A user whose app is lost, with a pass, at the choice of factors. */
  async function lost(stage: Scene): Promise<{ user: TestUser; secret: string; code: string; id: string }> {
    const { server, realm } = stage;
    const user = await server.user(realm);
    const { secret } = await giveApp(server, user);
    return { user, secret, ...(await passFor(server, realm, user)) };
  }

  engine.test('a pass opens the enrolment of a new factor, and all that was lost goes with it', async (t) => {
    const stage = await scene(ALL);
    const { server, realm, rp } = stage;
    const { user, secret, code, id } = await lost(stage);
    await giveCodes(server, user);
    const elsewhere = await afterPassword(stage, user);
    const other = await choose(elsewhere.browser, elsewhere.page, 'totp');
    await elsewhere.browser.send(other, { code: codeAt(secret) });
    t.is((await sessionsOf(stage, user)).length, 1, 'somebody is signed in with the lost phone');

    const { browser, page, request } = await afterPassword(stage, user);
    t.deepEqual(choicesOf(page).sort(), ['enrolment-pass', 'recovery-codes', 'totp']);
    const asked = await choose(browser, page, 'enrolment-pass');
    t.regex(text(asked), /every other second step of yours is removed/);
    const enrol = await browser.send(asked, { code: ` ${code.toUpperCase().replaceAll('-', ' ')} ` });
    t.true(
      formsOf(enrol).some(({ names }) => names.includes('label')),
      text(enrol),
    );
    t.false(enrol.html.includes('value="skip"'));
    const before = (await credentialsOf(server.db.knex, realm.id, user.id)).map(({ factor }) => factor).sort();
    t.deepEqual(before, ['password', 'recovery-codes', 'totp'], 'what was there is there until the new one is, and the pass is gone');

    const key = keyOf(enrol);
    let next = await browser.send(enrol, { code: codeOf(key) });
    // Recovery codes of before are gone: new ones are offered.
    if (next.html.includes('value="never"')) next = await browser.send(next, { do: 'skip' });
    const tokens = await exchange(rp, request, next);
    t.deepEqual(tokens.claims()?.amr, ['pwd', 'otp', 'mfa'], 'the pass is no method of its own');
    t.is(tokens.claims()?.acr, 'aal2');
    const after = await credentialsOf(server.db.knex, realm.id, user.id);
    t.deepEqual(after.map(({ factor }) => factor).sort(), ['password', 'totp']);
    t.is((await sessionsOf(stage, user)).length, 1, 'and the session of the lost phone is over');
    const [used] = await audited(stage, 'mfa.reset.used', { user: user.id });
    t.is(JSON.parse(used?.details ?? '{}').reset, id);
    t.is(JSON.parse(used?.details ?? '{}').removed.length, 2);
    const subjects = (await mailsTo(server, realm, user.email ?? '')).map(({ subject }) => subject);
    t.true(subjects.includes('An enrolment pass was made for your account'));
    t.true(subjects.includes('The sign-in methods of your account were reset'));

    const again = await afterPassword(stage, user);
    t.is((await again.browser.send(again.page, { code: codeAt(secret) })).status, 400, 'the lost app is worth nothing');
  });

  engine.test('a pass is good once, in one sign-in, whoever tries at once', async (t) => {
    const stage = await scene(ALL);
    const { server, rp } = stage;
    const all = await nodes();
    const { user, code } = await lost(stage);
    const many = await parallel(8, async () => {
      const underway = await afterPassword(stage, user);
      return { ...underway, page: await choose(underway.browser, underway.page, 'enrolment-pass') };
    });
    await parallel(many.length * 2, (index) => {
      const { browser, page } = many[index % many.length] ?? many[0] ?? { browser: new Browser(server.origin), page: { url: '' } };
      return postTo(all[index % all.length] ?? server, browser, page.url, { code });
    });
    t.is((await audited(stage, 'mfa.challenge.ok', { user: user.id })).length, 1);
    const later = await afterPassword(stage, user);
    t.false(choicesOf(later.page).includes('enrolment-pass'));
    t.is(codeFrom(later.page, rp), undefined);
  });

  engine.test('a pass that was typed opens nothing but the enrolment', async (t) => {
    const stage = await scene(ALL);
    const { rp } = stage;
    const { user, code } = await lost(stage);
    const { browser, page } = await afterPassword(stage, user);
    const enrol = await browser.send(await choose(browser, page, 'enrolment-pass'), { code });
    const attempts: Record<string, string>[] = [{ do: 'skip' }, { do: 'another' }, { do: 'never' }, { factor: 'totp' }, { code: '000000' }];
    for (const fields of attempts) {
      const answer = await browser.post(enrol.url, fields);
      t.is(codeFrom(answer, rp), undefined, JSON.stringify(fields));
    }
    t.deepEqual(await sessionsOf(stage, user), []);
    t.deepEqual(await audited(stage, 'mfa.factor.removed', { user: user.id }), [], 'and nothing is gone before something is there');
  });

  engine.test('C09 a pass for somebody who became an administrator since is refused', async (t) => {
    const stage = await scene(ALL);
    const { server, realm } = stage;
    const { user, code } = await lost(stage);
    await giveRoles(server.operator(), realm, user, [{ name: 'manage-users', client: 'realm-management' }]);
    const { browser, page } = await afterPassword(stage, user);
    const refused = await browser.send(await choose(browser, page, 'enrolment-pass'), { code });
    t.is(refused.status, 400);
    t.regex(refused.html, /That pass is not right/);
  });

  engine.test('what can be done without any of it is said on a page that sends and changes nothing', async (t) => {
    const stage = await scene(ALL);
    const { server, realm } = stage;
    const user = await server.user(realm);
    await giveApp(server, user);
    const alone = await afterPassword(stage, user);
    t.true(alone.page.html.includes('href="?lost"'));
    const told = await alone.browser.visit(`${alone.page.url}?lost`);
    t.is(headingOf(told), 'When you can’t use your second step');
    t.regex(told.html, /Ask your administrator for an enrolment pass/);
    t.false(told.html.includes('recovery codes'));
    t.true((await alone.browser.visit(alone.page.url)).html.includes('name="code"'), 'and back');

    await giveCodes(server, user);
    const { browser, page } = await afterPassword(stage, user);
    const codes = await browser.visit(`${page.url}?lost`);
    t.regex(codes.html, /Use one of your recovery codes/);
    t.deepEqual(await audited(stage, 'mfa.challenge.issued', { user: user.id }), []);
  });
});
