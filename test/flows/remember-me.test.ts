/** Staying signed in: where the realm lets users ask for it, what it gives them, and what it does not. */
import { decodeJwt } from 'jose';
import { updateRealmSettings } from '../../src/admin/resources/realm-settings.ts';
import { formsOf, type Page } from '../support/agent.ts';
import { at, giveApp } from '../support/attack.ts';
import { type RealmInput, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { lasts } from '../support/lasting.ts';
import { authorizationRequest, Browser, codeOf, exchange, openid, relyingParty } from '../support/sign-in.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Of the cookie that stands for the session, as the last answer set it. */
const cookieOf = (page: Page): string => page.headers.getSetCookie().find((cookie) => cookie.startsWith('cardea_session=')) ?? '';
const expiryOf = (page: Page): number | null => {
  const [, date] = /expires=([^;]+)/i.exec(cookieOf(page)) ?? [];
  return date === undefined ? null : Date.parse(date);
};

forEachEngine((engine) => {
  let shared: ReturnType<typeof startCardea> | undefined;

  async function world(settings: RealmInput = {}) {
    shared ??= engine.database().then((db) => startCardea(db));
    const server = await shared;
    const realm = await server.realm({ mfa: 'off', rememberMe: true, ...settings });
    const rp = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    /** To the application and back; `fields` go with the name and the password. */
    const enter = async (browser: Browser, fields: Record<string, string> = {}, parameters: Record<string, string> = {}) => {
      const request = await authorizationRequest(rp, parameters);
      let page = await browser.visit(request.url);
      if (page.status === 200) page = await browser.send(page, { username: user.username, password: user.password, ...fields });
      return { page, request };
    };
    /** Whether the browser is signed in without a word. */
    const silent = async (browser: Browser): Promise<Page> => browser.visit((await authorizationRequest(rp, { prompt: 'none' })).url);
    const isIn = async (browser: Browser): Promise<boolean> => (await silent(browser)).headers.get('location')?.includes('code=') === true;
    const session = async () => server.db.knex('sessions').where({ realm_id: realm.id }).orderBy('created_at', 'desc').first();
    return { server, realm, rp, user, enter, silent, isIn, session, browser: () => new Browser(server.origin) };
  }

  engine.test('the box is there where the realm has it, is empty at first, and is all that makes the cookie stay', async (t) => {
    const on = await world();
    const start = await on.browser().visit((await authorizationRequest(on.rp)).url);
    t.regex(start.html, /<input type="checkbox" name="remember" value="on">/);
    const without = await on.enter(on.browser());
    t.not(cookieOf(without.page), '');
    t.is(expiryOf(without.page), null, 'it ends with the browser');
    t.false(Boolean((await on.session()).remember));

    const browser = on.browser();
    const { page, request } = await on.enter(browser, { remember: 'on' });
    const expiry = expiryOf(page) ?? 0;
    t.true(Math.abs(expiry - Date.now() - 30 * DAY) < HOUR, 'it stays for as long as the session can last');
    t.truthy(await exchange(on.rp, request, page));
    t.true(Boolean((await on.session()).remember));
    const again = await on.silent(browser);
    t.true(Math.abs((expiryOf(again) ?? 0) - expiry) <= 2_000, 'and no longer for being used');
  });

  engine.test('a realm that does not have it shows no box, and takes none that is sent', async (t) => {
    const on = await world({ rememberMe: false });
    const browser = on.browser();
    t.notRegex((await browser.visit((await authorizationRequest(on.rp)).url)).html, /name="remember"/);
    const { page } = await on.enter(browser, { remember: 'on' });
    t.true(await on.isIn(browser));
    t.is(expiryOf(page), null);
    t.false(Boolean((await on.session()).remember));
  });

  engine.serial('who asked for it has the lifetimes of those who did, and nobody else', async (t) => {
    const on = await world({
      ...{ ssoSessionIdleTimeout: 3_600, ssoSessionMaxLifespan: 7_200 },
      ...{ ssoSessionIdleTimeoutRememberMe: 86_400, ssoSessionMaxLifespanRememberMe: 10 * 86_400 },
    });
    const [stays, leaves] = [on.browser(), on.browser()];
    const remembered = await on.enter(stays, { remember: 'on' });
    const tokens = await exchange(on.rp, remembered.request, remembered.page);
    lasts(t, tokens.refresh_expires_in, 86_400, 'unless it is used before');
    t.true(Number(decodeJwt(tokens.refresh_token ?? '').exp) > Date.now() / 1000 + 9 * 86_400);
    const plain = await on.enter(leaves);
    const others = await exchange(on.rp, plain.request, plain.page);
    lasts(t, others.refresh_expires_in, 3_600);
    t.true(Number(decodeJwt(others.refresh_token ?? '').exp) <= Date.now() / 1000 + 7_200);
    t.true(Math.abs((expiryOf(remembered.page) ?? 0) - Date.now() - 10 * DAY) < HOUR);
    await at(HOUR + 1_000, async () => {
      t.false(await on.isIn(leaves), 'idle for an hour');
      await t.throwsAsync(openid.refreshTokenGrant(on.rp.configuration, others.refresh_token ?? ''));
    });
    await at(DAY - HOUR, async () => t.true(await on.isIn(stays)));
    await at(2 * DAY - 2 * HOUR, async () => t.truthy(await openid.refreshTokenGrant(on.rp.configuration, tokens.refresh_token ?? '')));
    await at(3 * DAY - HOUR, async () => t.false(await on.isIn(stays), 'idle for more than a day'));
  });

  engine.serial('with 0 for the remembered, theirs are those of all', async (t) => {
    const on = await world({ ssoSessionIdleTimeout: 3_600, ssoSessionMaxLifespan: 7_200 });
    const browser = on.browser();
    await on.enter(browser, { remember: 'on' });
    await at(HOUR - 60_000, async () => t.true(await on.isIn(browser)));
    await at(2 * HOUR - 120_000, async () => t.true(await on.isIn(browser)));
    await at(2 * HOUR + 1_000, async () => t.false(await on.isIn(browser)));
  });

  engine.serial('where the realm has it no longer, remembered sessions are like any other at once', async (t) => {
    const on = await world({ ssoSessionIdleTimeout: 3_600, ssoSessionIdleTimeoutRememberMe: 86_400 });
    const browser = on.browser();
    await on.enter(browser, { remember: 'on' });
    await at(2 * HOUR, async () => t.true(await on.isIn(browser)));
    await updateRealmSettings(on.server.operator(), on.realm, { rememberMe: false });
    await at(2 * HOUR + 60_000, async () => t.is(expiryOf(await on.silent(browser)), null, 'the cookie ends with the browser from now on'));
    await at(4 * HOUR, async () => t.false(await on.isIn(browser)));
  });

  engine.serial('it raises no level, and makes nothing that was shown last longer', async (t) => {
    const on = await world({ mfa: 'optional', ssoSessionIdleTimeoutRememberMe: 20 * 86_400 });
    const { secret } = await giveApp(on.server, on.user);
    const browser = on.browser();
    const { page, request } = await on.enter(browser, { remember: 'on' });
    const done = await browser.send(page, { code: codeOf(secret) });
    t.is((await exchange(on.rp, request, done)).claims()?.acr, 'aal2');
    t.not(expiryOf(done), null);
    await at(HOUR - 60_000, async () => t.true(await on.isIn(browser)));
    await at(2 * HOUR, async () => t.is((await on.silent(browser)).headers.get('location')?.includes('error=login_required'), true));
    await at(2 * HOUR + 1_000, async () => {
      const step = await on.enter(browser, { code: codeOf(secret, () => Math.floor(Date.now() / 1000)) });
      t.is((await exchange(on.rp, step.request, step.page)).claims()?.acr, 'aal2', 'the password still stands, the code was asked for');
      t.not(expiryOf(step.page), null, 'and who has stepped up is still remembered');
      t.true(Boolean((await on.session()).remember));
    });
  });

  engine.test('who signs in again is as remembered as before, or is from then on', async (t) => {
    const on = await world();
    const browser = on.browser();
    await on.enter(browser, { remember: 'on' });
    const again = await on.enter(browser, {}, { prompt: 'login' });
    t.not(expiryOf(again.page), null, 'the page of a password shows no box, and takes nothing back');
    t.true(Boolean((await on.session()).remember));

    const other = on.browser();
    t.is(expiryOf((await on.enter(other)).page), null);
    const chosen = await on.enter(other, { remember: 'on' }, { prompt: 'select_account' });
    t.not(expiryOf(chosen.page), null);
    t.is((await on.server.db.knex('sessions').where({ realm_id: on.realm.id })).length, 2);
    t.is((await on.server.db.knex('sessions').where({ realm_id: on.realm.id, remember: true })).length, 2);
  });

  engine.test('the box that was ticked is still ticked after a wrong password', async (t) => {
    const on = await world();
    const browser = on.browser();
    const { page, request } = await on.enter(browser, { password: 'not this', remember: 'on' });
    t.is(formsOf(page)[0]?.fields.remember, 'on');
    const done = await browser.send(page, { username: on.user.username, password: on.user.password });
    t.truthy(await exchange(on.rp, request, done));
    t.not(expiryOf(done), null);
  });
});
