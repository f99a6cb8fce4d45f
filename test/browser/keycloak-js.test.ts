/**
 * keycloak-js from npm, unchanged, in a real browser: an application on another origin of the same site, and on another
 * site, where browsers keep from it what it could only know by cookies.
 */
import test from 'ava';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import type { RealmRow } from '../../src/store/realms.ts';
import { giveApp, type TestUser } from '../support/attack.ts';
import { browserTest, launch } from '../support/browser.ts';
import { type Cardea, type RealmInput, startCardea } from '../support/cardea.ts';
import { atEnd } from '../support/cleanup.ts';
import { onSqlite } from '../support/databases.ts';
import { type Begin, begin, inPage, type KeycloakJs, startKeycloakJs } from '../support/keycloak-js.ts';
import { codeOf } from '../support/sign-in.ts';
import { until } from '../support/until.ts';

const inBrowser = browserTest(test);

let started: Promise<{ cardea: Cardea; browser: Browser }> | undefined;
const shared = () => {
  started ??= (async () => {
    const cardea = await startCardea(await onSqlite.open());
    const browser = await launch();
    atEnd(() => browser.close());
    return { cardea, browser };
  })();
  return started;
};

interface World extends KeycloakJs {
  cardea: Cardea;
  realm: RealmRow;
  user: TestUser;
  context: BrowserContext;
  page: Page;
  complaints: string[];
  /** Another tab. */
  tab(): Promise<Page>;
}

async function world(settings: RealmInput = { mfa: 'off' }, client: Parameters<Cardea['client']>[1] = {}): Promise<World> {
  const { cardea, browser } = await shared();
  const realm = await cardea.realm(settings);
  const application = await startKeycloakJs(cardea, realm, client);
  const user = await cardea.user(realm, { firstName: 'Erin', lastName: 'Ek' });
  const context = await browser.newContext({ locale: 'en-GB' });
  atEnd(() => context.close());
  const complaints: string[] = [];
  const tab = async () => {
    const page = await context.newPage();
    page.on('console', (message) => {
      // Chromium says this of keycloak-js's own frames: they have scripts and their origin, as they need.
      const ofTheLibrary = message.text().startsWith('An iframe which has both allow-scripts and allow-same-origin');
      if (['error', 'warning'].includes(message.type()) && !ofTheLibrary) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    return page;
  };
  return { cardea, realm, user, context, page: await tab(), complaints, tab, ...application };
}

async function password(page: Page, user: TestUser): Promise<void> {
  await page.getByLabel('Username or email').fill(user.username);
  await page.getByLabel('Password').fill(user.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

const SILENT = (origin: string) => ({ onLoad: 'check-sso', silentCheckSsoRedirectUri: `${origin}/silent-check-sso.html` });
const signedIn = { authenticated: true };

/**
 * Waits until an expression holds in the page. It is looked at through the debugging protocol, since pages of ours, which may be
 * there still, let no text be evaluated; while one page follows another nothing holds.
 */
async function comes(page: Page, expression: string): Promise<void> {
  const holds = () =>
    page.evaluate(expression).then(
      (value) => Boolean(value),
      () => false,
    );
  if (!(await until(holds))) throw new Error(`It does not come to be: ${expression}`);
}

/** What init has come to, in a page that nobody is about to leave. */
async function back({ page }: { page: Page }): Promise<unknown> {
  await comes(page, "!window.left && window.told?.some(([name]) => name === 'onReady')");
  return inPage(page, 'begun');
}

/** Has keycloak-js leave the page. */
const leave = (page: Page, expression: string): Promise<unknown> => page.evaluate(`window.left = true; void ${expression}`);

/** Signs in at the harness, which comes back to it. */
async function signInAt({ page, user, origin }: World, options: Begin = { init: { onLoad: 'login-required' } }): Promise<void> {
  await begin(page, origin, options);
  await password(page, user);
  await page.waitForURL(`${origin}/harness.html*`);
}

inBrowser('login-required: a user signs in, the tokens refresh, userinfo answers, and a sign-out comes back', async (t) => {
  const at = await world();
  const { page, origin, user } = at;
  // With its frame, keycloak-js may notice that it is signing out before it has left, and sign in again: login is required.
  await signInAt(at, { init: { onLoad: 'login-required', checkLoginIframe: false } });
  t.deepEqual(await back({ page }), signedIn);
  t.is(await inPage(page, 'kc.tokenParsed.preferred_username'), user.username);
  t.is(await inPage(page, 'kc.refreshTokenParsed.typ'), 'Refresh');
  t.is(page.url(), `${origin}/harness.html`, 'nothing of the answer is left in the address');
  const before = await inPage(page, 'kc.token');
  t.true(await inPage(page, 'kc.updateToken(-1)'));
  t.not(await inPage(page, 'kc.token'), before);
  t.like(await inPage(page, 'kc.loadUserInfo()'), { sub: user.id, preferred_username: user.username });
  t.deepEqual(await inPage(page, 'told'), [['onAuthSuccess'], ['onReady', true], ['onAuthRefreshSuccess']]);

  await leave(page, 'kc.logout({ redirectUri: location.origin + "/silent-check-sso.html" })');
  await page.waitForURL(`${origin}/silent-check-sso.html`);
  await begin(page, origin, { init: SILENT(origin) });
  t.deepEqual(await back({ page }), { authenticated: false });
  t.deepEqual(at.complaints, []);
});

inBrowser('check-sso in a hidden frame: who is signed in is known without leaving the page', async (t) => {
  const at = await world();
  const { page, origin, complaints } = at;
  const asked: string[] = [];
  page.on('framenavigated', (frame) => {
    if (frame === page.mainFrame()) asked.push(new URL(frame.url()).pathname);
  });
  await begin(page, origin, { init: SILENT(origin) });
  t.deepEqual(await back({ page }), { authenticated: false });
  t.deepEqual(asked, ['/harness.html']);
  await leave(page, 'kc.login()');
  await password(page, at.user);
  await page.waitForURL(`${origin}/harness.html*`);
  t.deepEqual(await back({ page }), signedIn);

  const tab = await at.tab();
  await begin(tab, origin, { init: SILENT(origin) });
  t.deepEqual(await back({ page: tab }), signedIn, 'without a click');
  t.is(await inPage(tab, 'kc.sessionId'), await inPage(page, 'kc.sessionId'));
  t.deepEqual(complaints, []);
});

inBrowser('the frame notices a sign-out in another tab, and asks the server only when something has changed', async (t) => {
  const at = await world();
  const { page, origin, context, complaints } = at;
  let inits = 0;
  context.on('request', (request) => {
    if (request.url().includes('/login-status-iframe.html/init')) inits += 1;
  });
  await signInAt(at, { init: { onLoad: 'login-required', checkLoginIframeInterval: 0.2 } });
  t.deepEqual(await back({ page }), signedIn);
  await page.waitForTimeout(1_500);
  t.is(inits, 1);
  t.deepEqual(await inPage(page, 'told'), [['onAuthSuccess'], ['onReady', true]]);

  // Nothing of the harness may sign in again by itself here.
  await page.evaluate('kc.loginRequired = false');
  const tab = await at.tab();
  await begin(tab, origin, { init: SILENT(origin) });
  t.deepEqual(await back({ page: tab }), signedIn);
  await leave(tab, 'kc.logout({ redirectUri: location.origin + "/silent-check-sso.html" })');
  await tab.waitForURL(`${origin}/silent-check-sso.html`);
  await comes(page, 'told.length === 3');
  t.deepEqual(await inPage(page, 'told[2]'), ['onAuthLogout']);
  t.false(await inPage(page, 'kc.authenticated'));
  t.deepEqual(complaints, []);
});

inBrowser('the profile is read with the token; a level is stepped up to; an app is set up, or not, as the user likes', async (t) => {
  const at = await world({ mfa: 'optional' });
  const { page, user, cardea, complaints } = at;
  await begin(page, at.origin, { init: { onLoad: 'check-sso' } });
  t.deepEqual(await back({ page }), { authenticated: false });
  await leave(page, 'kc.login({ loginHint: "somebody", locale: "en" })');
  t.is(await page.getByLabel('Username or email').inputValue(), 'somebody');
  await password(page, user);
  t.deepEqual(await back({ page }), signedIn);
  t.is(await inPage(page, 'kc.tokenParsed.acr'), 'aal1');
  t.like(await inPage(page, 'kc.loadUserProfile()'), {
    ...{ id: user.id, username: user.username, firstName: 'Erin', lastName: 'Ek', email: `${user.username}@example.com`, emailVerified: false },
    attributes: {},
  });

  await leave(page, "kc.login({ action: 'CONFIGURE_TOTP' })");
  await page.locator('button[value=cancel]').first().click();
  t.deepEqual(await back({ page }), signedIn);
  t.deepEqual(await inPage(page, 'told[0]'), ['onActionUpdate', 'cancelled', 'CONFIGURE_TOTP']);
  await leave(page, "kc.login({ action: 'update_user_locale' })");
  t.deepEqual(await back({ page }), signedIn);
  t.deepEqual(await inPage(page, 'told[0]'), ['onActionUpdate', 'error', 'update_user_locale'], 'what is not done here is said');

  const { secret } = await giveApp(cardea, user);
  await leave(page, "kc.login({ acr: { values: ['aal2'], essential: true } })");
  await page.getByLabel('Code', { exact: true }).fill(codeOf(secret));
  await page.getByRole('button', { name: 'Continue' }).click();
  t.deepEqual(await back({ page }), signedIn);
  t.is(await inPage(page, 'kc.idTokenParsed.acr'), 'aal2');
  t.deepEqual(complaints, []);
});

inBrowser('a new password is chosen because the application asks, or not, as the user likes', async (t) => {
  const at = await world();
  const { page, user, client, complaints } = at;
  const options = { init: { onLoad: 'login-required', checkLoginIframe: false } };
  await signInAt(at, options);
  t.deepEqual(await back({ page }), signedIn);
  const choose = async () => {
    await leave(page, "kc.login({ action: 'UPDATE_PASSWORD' })");
    await page.getByRole('heading', { name: 'Choose a new password' }).waitFor();
    t.true(await page.getByText(`${client.clientId} asks for this.`).isVisible());
  };
  await choose();
  await page.getByRole('button', { name: `Back to ${client.clientId}` }).click();
  t.deepEqual(await back({ page }), signedIn);
  t.deepEqual(await inPage(page, 'told[0]'), ['onActionUpdate', 'cancelled', 'UPDATE_PASSWORD']);

  await choose();
  const chosen = 'four words without relation';
  await page.getByLabel('New password').fill(chosen);
  await page.getByLabel('The same again').fill(chosen);
  await page.getByRole('button', { name: 'Set the password' }).click();
  t.deepEqual(await back({ page }), signedIn);
  t.deepEqual(await inPage(page, 'told[0]'), ['onActionUpdate', 'success', 'UPDATE_PASSWORD']);
  t.true(await inPage(page, 'kc.updateToken(-1)'), 'the session goes on');

  await leave(page, 'kc.logout({ redirectUri: location.origin + "/silent-check-sso.html" })');
  await page.waitForURL(`${at.origin}/silent-check-sso.html`);
  await begin(page, at.origin, options);
  await password(page, user);
  await page.getByRole('alert').waitFor();
  await password(page, { ...user, password: chosen });
  t.deepEqual(await back({ page }), signedIn);
  t.deepEqual(
    complaints.filter((text) => !text.includes('400 (Bad Request)')),
    [],
  );
});

inBrowser('a sign-out by POST comes back too, and only to where the client may be left for', async (t) => {
  const at = await world();
  const { page, origin } = at;
  await signInAt(at, { init: { onLoad: 'login-required', checkLoginIframe: false, logoutMethod: 'POST', responseMode: 'query' } });
  t.deepEqual(await back({ page }), signedIn);
  await leave(page, 'kc.logout({ redirectUri: location.origin + "/silent-check-sso.html" })');
  await page.waitForURL(`${origin}/silent-check-sso.html`);
  await begin(page, origin, { init: { onLoad: 'login-required', checkLoginIframe: false } });
  await password(page, at.user);
  t.deepEqual(await back({ page }), signedIn);
  await leave(page, 'kc.logout({ redirectUri: "https://evil.example/" })');
  await page.getByRole('heading').waitFor();
  t.true(page.url().startsWith(at.cardea.origin), 'an error page of ours');
  await begin(page, origin, { init: SILENT(origin) });
  t.deepEqual(await back({ page }), signedIn, 'and nobody was signed out');
});

inBrowser('what is refused the page can read: a session that has ended, an origin that is not registered', async (t) => {
  const at = await world();
  const { page, user, cardea, realm, origin } = at;
  await signInAt(at, { init: { onLoad: 'login-required', checkLoginIframe: false } });
  t.deepEqual(await back({ page }), signedIn);
  await page.evaluate('kc.loginRequired = false');
  await cardea.db.knex('sessions').where({ realm_id: realm.id, user_id: user.id }).update({ ended_at: Date.now() });
  const failed = "kc.updateToken(-1).then(() => 'refreshed', async ({ response }) => [response.status, (await response.json()).error])";
  t.deepEqual(await inPage(page, failed), [400, 'invalid_grant']);
  t.deepEqual(await inPage(page, 'told.slice(-2)'), [['onAuthLogout'], ['onAuthRefreshError']]);

  const stranger = await startKeycloakJs(cardea, realm, { webOrigins: [] });
  const tab = await at.tab();
  await begin(tab, stranger.origin, { init: SILENT(stranger.origin) });
  await comes(tab, 'window.begun');
  t.deepEqual(await inPage(tab, 'begun'), { error: 'Error while checking login iframe' });
  t.not(stranger.origin, origin);
});

inBrowser('the account console leads back to the page; to register leads to the sign-in', async (t) => {
  const at = await world();
  const { page, origin, cardea, realm, client, complaints } = at;
  await signInAt(at);
  t.deepEqual(await back({ page }), signedIn);
  await leave(page, 'kc.accountManagement()');
  await page.getByRole('link', { name: `Back to ${client.clientId}` }).click();
  t.deepEqual(await back({ page }), signedIn);
  t.is(page.url(), `${origin}/harness.html`);
  t.deepEqual(complaints, []);

  await leave(page, 'kc.register()');
  await page.getByRole('heading', { name: 'Nobody registers here' }).waitFor();
  t.true(page.url().startsWith(`${cardea.origin}/realms/${realm.name}/`));
  await page.getByRole('link', { name: 'Sign in' }).click();
  t.deepEqual(await back({ page }), signedIn);
});

inBrowser('configured by discovery, the frame is found there', async (t) => {
  const at = await world();
  const { page, origin, cardea, realm, client } = at;
  const config = { clientId: client.clientId, oidcProvider: `${cardea.origin}/realms/${realm.name}` };
  await signInAt(at, { config, init: { onLoad: 'login-required' } });
  t.deepEqual(await back({ page }), signedIn);
  t.true(await inPage(page, 'kc.updateToken(-1)'));
  t.is(page.frames().filter((frame) => frame.url().includes('login-status-iframe')).length, 1);
  t.is(new URL(page.url()).origin, origin);
  t.deepEqual(at.complaints, []);
});

inBrowser('on another site the frames see no cookie: keycloak-js is told so, and goes by redirects', async (t) => {
  const at = await world();
  const { page, foreign, user, complaints } = at;
  await begin(page, foreign, { init: { ...SILENT(foreign), enableLogging: true } });
  // Its silent check has become a redirect, which comes back with nobody.
  t.deepEqual(await back({ page }), { authenticated: false });
  t.true(complaints.some((text) => text.includes('Your browser is blocking access to 3rd-party cookies')));
  await leave(page, 'kc.login()');
  await password(page, user);
  await page.waitForURL(`${foreign}/harness.html*`);
  t.deepEqual(await back({ page }), signedIn);
  t.true(await inPage(page, 'kc.updateToken(-1)'));
  t.is(page.frames().filter((frame) => frame.url().includes('login-status-iframe')).length, 0, 'it has turned its frame off');

  // Where it cannot ask first, with discovery, the frame says that it knows of no change, and nobody is signed out by it.
  const { cardea, realm, client } = at;
  const tab = await at.tab();
  const config = { clientId: client.clientId, oidcProvider: `${cardea.origin}/realms/${realm.name}` };
  await begin(tab, foreign, { config, init: { onLoad: 'login-required', checkLoginIframeInterval: 0.2 } });
  await tab.waitForURL(`${foreign}/harness.html*`);
  t.deepEqual(await back({ page: tab }), signedIn);
  await tab.waitForTimeout(1_000);
  t.true(await inPage(tab, 'kc.authenticated'));
});

inBrowser('the example: as it stands in examples/keycloak-js', async (t) => {
  const at = await world();
  const { page, origin, user, complaints } = at;
  const said = async (button: string, pattern: RegExp) => {
    await page.getByRole('button', { name: button, exact: true }).click();
    await page.locator('#said').filter({ hasText: pattern }).waitFor();
  };
  await page.goto(`${origin}/`);
  await page.getByRole('heading', { name: 'Nobody is signed in' }).waitFor();
  await page.getByRole('button', { name: 'Sign in' }).click();
  await password(page, user);
  await page.getByRole('heading', { name: `You are ${user.username} (aal1)` }).waitFor();
  await said('Refresh', /refreshed: true/);
  await said('Userinfo', /"preferred_username"/);
  await said('Profile', /"firstName": "Erin"/);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Nobody is signed in' }).waitFor();
  t.is(page.url(), `${origin}/`);
  t.deepEqual(complaints, []);
});

inBrowser('F06 another website that frames our frame, with the right client and session, learns nothing', async (t) => {
  const at = await world();
  const { page, origin, cardea, realm, client, complaints } = at;
  await signInAt(at);
  t.deepEqual(await back({ page }), signedIn);
  const sid = await inPage<string>(page, 'kc.sessionId');
  const realmUrl = `${cardea.origin}/realms/${realm.name}/protocol/openid-connect`;
  // The same site, so that cookies are sent, but an origin that nobody has registered.
  const evil = await startKeycloakJs(cardea, realm, { redirectUris: ['https://app.example/callback'], webOrigins: ['+'] });
  const tab = await at.tab();
  await tab.goto(`${evil.origin}/silent-check-sso.html`);
  const ask = (message: unknown, sandbox: string | null, patience = 30_000): Promise<unknown> =>
    tab.evaluate(`new Promise((resolve) => {
      const frame = document.createElement('iframe');
      if (${JSON.stringify(sandbox)}) frame.setAttribute('sandbox', ${JSON.stringify(sandbox)});
      addEventListener('message', (event) => event.source === frame.contentWindow && resolve([event.data, event.origin]));
      frame.addEventListener('load', () => {
        frame.contentWindow.postMessage(${JSON.stringify(message)}, '*');
        setTimeout(() => resolve('nothing'), ${patience});
      });
      frame.src = ${JSON.stringify(`${realmUrl}/login-status-iframe.html`)};
      document.body.append(frame);
    })`);
  const error = ['error', cardea.origin];
  for (const message of [`${client.clientId} ${sid}`, `${client.clientId} `, 'nobody ', 'nobody x'])
    t.deepEqual(await ask(message, null), error, message);
  t.deepEqual(await ask('one', null), error, 'not a question');
  t.is(await ask({ client_id: client.clientId, session_state: sid }, null, 1_500), 'nothing');
  t.is(await ask(`${client.clientId} ${sid}`, 'allow-scripts', 1_500), 'nothing', 'a frame without an origin runs no script of ours');
  // Nor by asking the server itself.
  const init = `${realmUrl}/login-status-iframe.html/init?${new URLSearchParams({ client_id: client.clientId, origin, session_state: sid })}`;
  const read = `fetch(${JSON.stringify(init)}, { credentials: 'include' }).then((answer) => answer.text(), () => 'blocked')`;
  t.is(await tab.evaluate(read), 'blocked');
  t.is(
    await tab.evaluate(`fetch(${JSON.stringify(init)}, { credentials: 'include', mode: 'no-cors' }).then((it) => it.type, () => 'blocked')`),
    'blocked',
  );
  t.true(complaints.length > 0, 'the browser said why');
});

for (const flow of ['implicit', 'hybrid'])
  inBrowser(`flow: ${flow}, for a client that may have tokens with the answer`, async (t) => {
    const at = await world({ mfa: 'off' }, { kept: { implicitFlowEnabled: true } });
    const { page, origin, user, complaints } = at;
    await signInAt(at, { init: { onLoad: 'login-required', flow, checkLoginIframe: false } });
    t.deepEqual(await back({ page }), signedIn);
    t.is(page.url(), `${origin}/harness.html`, 'nothing of the answer is left in the address');
    t.is(await inPage(page, 'kc.tokenParsed.preferred_username'), user.username);
    t.is(await inPage(page, 'kc.idTokenParsed.azp'), at.client.clientId);
    t.is(await inPage(page, 'kc.refreshToken !== undefined'), flow === 'hybrid');
    t.like(await inPage(page, 'kc.loadUserInfo()'), { sub: user.id });
    t.deepEqual(complaints, []);
  });
