/**
 * B45–B49: `kc_action` can be put in front of anybody by any page that links here. Nothing of it happens without fresh proof
 * and the user's own press of a button, and it is no way around what an administrator requires.
 */
import { addRequiredActions } from '../../src/store/user-changes.ts';
import { afterPassword, arena, audited, begin, giveApp, type Scene, sessionsOf, type TestUser } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { authorizationRequest, type Browser, codeOf, keyOf, text } from '../support/sign-in.ts';

const MINE = 'four words without relation';
const NEW = { 'password-new': MINE, 'password-confirm': MINE };
const MINUTE = 60_000;

forEachEngine((engine) => {
  const { scene } = arena(engine);

  /** Everything that the user has shown was shown so much earlier. */
  const age = async (stage: Scene, user: TestUser, by: number) => {
    for (const { id, proofs } of await sessionsOf(stage, user)) {
      const earlier = JSON.stringify(JSON.parse(proofs).map((proof: { at: number }) => ({ ...proof, at: proof.at - by })));
      await stage.server.db.knex('sessions').where({ id }).update({ proofs: earlier });
    }
  };
  const ask = async ({ rp }: Scene, browser: Browser, kc_action: string, parameters: Record<string, string> = {}) =>
    browser.visit((await authorizationRequest(rp, { kc_action, ...parameters })).url);
  const statusOf = (page: { headers: Headers }) => new URL(page.headers.get('location') ?? 'about:blank').searchParams.get('kc_action_status');
  const isUnchanged = async (stage: Scene, user: TestUser) => (await audited(stage, 'user.password-set', { user: user.id })).length === 0;

  engine.test('B45 whoever finds an open session sets no password, changes no address and removes no method', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm, { email: 'ada@example.com' });
    const { id } = await giveApp(stage.server, user);
    const { browser } = await afterPassword(stage, user);
    await age(stage, user, 6 * MINUTE);
    for (const action of ['UPDATE_PASSWORD', 'UPDATE_PROFILE', 'UPDATE_EMAIL', 'VERIFY_EMAIL', `delete_credential:${id}`, 'CONFIGURE_TOTP']) {
      const page = await ask(stage, browser, action);
      t.regex(text(page), /Enter your password again/, action);
      const forms: Record<string, string>[] = [
        NEW,
        { do: 'accept' },
        { email: 'evil@example.com' },
        { firstName: 'E', lastName: 'V', email: 'evil@example.com' },
      ];
      for (const fields of forms) t.is((await browser.send(page, fields)).headers.get('location'), null, action);
      t.is(statusOf(await browser.send(await browser.visit(page.url), { do: 'cancel' })), 'cancelled', action);
    }
    t.true(await isUnchanged(stage, user));
    t.like(await stage.server.db.knex('users').where({ id: user.id }).first(), { email: 'ada@example.com' });
    t.truthy(await stage.server.db.knex('credentials').where({ id }).first());
  });

  engine.test('B45 a password alone is not enough for whoever owns more, where the realm asks no second factor', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { secret } = await giveApp(stage.server, user);
    const { browser, page } = await afterPassword(stage, user, { parameters: { kc_action: 'UPDATE_PASSWORD' } });
    t.notRegex(text(page), /Choose a new password/);
    t.regex(text(await browser.send(page, { code: codeOf(secret) })), /Choose a new password/);
  });

  engine.test('B46 a page that stood open is not sent off by whoever passes by', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser } = await afterPassword(stage, user);
    const page = await ask(stage, browser, 'UPDATE_PASSWORD');
    t.regex(text(page), /Choose a new password/);
    await age(stage, user, 6 * MINUTE);
    t.regex(text(await browser.send(page, NEW)), /Enter your password again/);
    t.true(await isUnchanged(stage, user));
    const again = await browser.send(await browser.visit(page.url), { password: user.password });
    t.regex(text(again), /Choose a new password/, 'and whoever knows it goes on');
    t.is(statusOf(await browser.send(again, NEW)), 'success');
  });

  engine.test('B46 a realm shortens what counts as fresh, and lengthens it for nobody', async (t) => {
    const config = (max_auth_age: string) => ({ requiredActions: { UPDATE_PASSWORD: { registered: true, config: { max_auth_age } } } });
    for (const [seconds, asked] of [
      ['0', true],
      ['100', true],
      ['200', false],
      ['86400', false],
      ['-1', false],
    ] as const) {
      const stage = await scene({ mfa: 'off', ...config(seconds) });
      const user = await stage.server.user(stage.realm);
      const { browser } = await afterPassword(stage, user);
      await age(stage, user, 2 * MINUTE);
      t.is(/Enter your password again/.test(text(await ask(stage, browser, 'UPDATE_PASSWORD'))), asked, seconds);
      await age(stage, user, 4 * MINUTE);
      t.regex(text(await ask(stage, browser, 'UPDATE_PASSWORD')), /Enter your password again/, seconds);
    }
    const stage = await scene({ mfa: 'off', ...config('0') });
    const user = await stage.server.user(stage.realm);
    const { browser, page } = await afterPassword(stage, user, { parameters: { kc_action: 'UPDATE_PASSWORD' } });
    t.is(statusOf(await browser.send(page, NEW)), 'success', 'what was shown on the way counts');
  });

  engine.test('B47 a link from another site shows a page that names who asks; a form from there does nothing', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const { browser } = await afterPassword(stage, user);
    const page = await ask(stage, browser, 'UPDATE_PASSWORD');
    t.regex(page.html, /asks for this/);
    t.true(page.html.includes(stage.rp.client.clientId));
    const headers = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
    const version = /name="version" value="(\d+)"/.exec(page.html)?.[1] ?? '';
    const forged = await browser.visit(page.url, { method: 'POST', body: new URLSearchParams({ ...NEW, version }), headers });
    t.is(forged.status, 403);
    t.true(await isUnchanged(stage, user));
    t.regex(page.headers.get('content-security-policy') ?? '', /frame-ancestors 'none'/, 'nor is it framed');
  });

  engine.test('B48 to go back from the wish is no way to what an administrator requires', async (t) => {
    const stage = await scene({ mfa: 'off' });
    for (const action of ['UPDATE_PASSWORD', 'CONFIGURE_TOTP', 'UPDATE_PROFILE', 'UPDATE_EMAIL', 'VERIFY_EMAIL']) {
      const user = await stage.server.user(stage.realm);
      const { browser } = await afterPassword(stage, user);
      // An administrator wants a new password, and somebody has found the session.
      await addRequiredActions(stage.server.db.knex, user, ['UPDATE_PASSWORD'], Date.now());
      await age(stage, user, 6 * MINUTE);
      const page = await ask(stage, browser, action);
      t.regex(text(page), /Enter your password again/, action);
      const back = await browser.send(page, { do: 'cancel' });
      t.notRegex(text(back), /Choose a new password/, action);
      t.is(statusOf(back), 'cancelled', action);
      t.true(await isUnchanged(stage, user), action);
    }
  });

  engine.test('B49 whoever knew the password of before does not choose another one after its owner has', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const parameters = { kc_action: 'UPDATE_PASSWORD' };
    const thief = await afterPassword(stage, user, { parameters });
    const owner = await afterPassword(stage, user, { parameters });
    const signedIn = await afterPassword(stage, user);
    const session = await ask(stage, signedIn.browser, 'UPDATE_PASSWORD');
    t.is(statusOf(await owner.browser.send(owner.page, NEW)), 'success');

    const theirs = { 'password-new': 'and four words of another', 'password-confirm': 'and four words of another' };
    const late = await thief.browser.send(thief.page, theirs);
    t.is(late.status, 409);
    t.is(statusOf(late), null);
    t.regex(text(await signedIn.browser.send(session, theirs)), /This sign-in is over/);
    t.is((await audited(stage, 'user.password-set', { user: user.id })).length, 1);
    t.is(statusOf((await begin(stage, { browser: thief.browser, parameters })).page), null);
    t.is((await afterPassword(stage, { ...user, password: theirs['password-new'] })).page.status, 400);
    t.truthy((await afterPassword(stage, { ...user, password: MINE })).page.headers.get('location'));
  });

  engine.test('B49 nor do they bind a factor of theirs', async (t) => {
    const stage = await scene({ mfa: 'off' });
    const user = await stage.server.user(stage.realm);
    const thief = await afterPassword(stage, user, { parameters: { kc_action: 'CONFIGURE_TOTP' } });
    const key = keyOf(thief.page);
    const owner = await afterPassword(stage, user, { parameters: { kc_action: 'UPDATE_PASSWORD' } });
    t.is(statusOf(await owner.browser.send(owner.page, NEW)), 'success');
    t.is((await thief.browser.send(thief.page, { code: codeOf(key) })).status, 409);
    t.is((await stage.server.db.knex('credentials').where({ user_id: user.id, factor: 'totp' })).length, 0);
  });

  engine.test('B49 two removals at once leave what the policy asks for', async (t) => {
    const stage = await scene({ mfa: 'required' });
    const user = await stage.server.user(stage.realm);
    const apps = [await giveApp(stage.server, user, { label: 'One' }), await giveApp(stage.server, user, { label: 'Two' })];
    const pages = [];
    for (const [index, { id }] of apps.entries()) {
      const other = apps[1 - index];
      const { browser, page } = await afterPassword(stage, user, { parameters: { kc_action: `delete_credential:${id}` } });
      pages.push({ browser, page: await browser.send(page, { code: codeOf(other?.secret ?? '') }) });
    }
    for (const { page } of pages) t.regex(page.html, /value="accept"/);
    await Promise.all(pages.map(({ browser, page }) => browser.send(page, { do: 'accept' })));
    t.is((await stage.server.db.knex('credentials').where({ user_id: user.id, factor: 'totp' })).length, 1);
  });
});
