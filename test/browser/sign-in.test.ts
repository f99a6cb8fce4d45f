/**
 * The hosted sign-in in a real browser, for an application on another site: pages as they are served, with their policy,
 * their cookies and whatever the browser makes of them.
 */
import { createServer } from 'node:http';
import test from 'ava';
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';
import type { RealmRow } from '../../src/store/realms.ts';
import { type Application, startApplication } from '../support/application.ts';
import { giveApp, type TestUser } from '../support/attack.ts';
import { axe, browserTest, launch } from '../support/browser.ts';
import { type Cardea, type RealmInput, startCardea } from '../support/cardea.ts';
import { atEnd } from '../support/cleanup.ts';
import { onSqlite } from '../support/databases.ts';
import { readQrOnScreen } from '../support/qr-screen.ts';
import { authorizationRequest, codeOf, relyingParty } from '../support/sign-in.ts';
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

interface World {
  cardea: Cardea;
  realm: RealmRow;
  user: TestUser;
  page: Page;
  context: BrowserContext;
  app: Application;
  /** What the browser complained about: script errors, requests and styles that a policy stopped. */
  complaints: string[];
}

async function world(
  settings: RealmInput,
  options: { client?: Parameters<typeof startApplication>[2]; browser?: BrowserContextOptions } = {},
): Promise<World> {
  const { cardea, browser } = await shared();
  const realm = await cardea.realm(settings);
  const app = await startApplication(cardea, realm, options.client);
  const user = await cardea.user(realm);
  const context = await browser.newContext({ locale: 'en-GB', ...options.browser });
  atEnd(() => context.close());
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    // A page that is answered with an error status is one line in the console, and is no fault of the page.
    if (['error', 'warning'].includes(message.type()) && !/the server responded with a status of 4\d\d/.test(message.text()))
      complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return { cardea, realm, user, page, context, app, complaints };
}

const heading = (page: Page, name: string | RegExp): Promise<void> => page.getByRole('heading', { level: 1, name }).waitFor();
const press = (page: Page, name: string | RegExp): Promise<void> => page.getByRole('button', { name, exact: true }).click();
/** A page moves the cursor a moment after it is shown. */
const isFocused = (field: Locator): Promise<boolean> => until(() => field.evaluate((element) => element === element.ownerDocument.activeElement));
const claims = async (page: Page): Promise<Record<string, unknown>> => JSON.parse(await page.locator('#claims').innerText());

async function password(page: Page, user: TestUser): Promise<void> {
  await page.getByLabel('Username or email').fill(user.username);
  await page.getByLabel('Password').fill(user.password);
  await press(page, 'Sign in');
}

/** Codes of an app, each a step later than the last. */
function codesOf(secret: string): () => string {
  let step = -1;
  return () => {
    step += 1;
    return codeOf(secret, () => Math.floor(Date.now() / 1000) + step * 30);
  };
}

inBrowser('an app is enrolled from the code on the screen, and the next sign-in asks for its code', async (t) => {
  const { app, page, user, complaints, context } = await world({ mfa: 'required' });
  await page.goto(app.start());
  t.deepEqual(await axe(page), []);
  await password(page, user);
  await heading(page, 'Set up an authenticator app');
  t.deepEqual(await axe(page), []);
  const scanned = new URL((await readQrOnScreen(page.locator('.plate'))) ?? 'about:blank');
  const secret = scanned.searchParams.get('secret') ?? '';
  t.is(scanned.protocol, 'otpauth:');
  const code = codesOf(secret);

  await page.locator('summary').click();
  t.is((await page.locator('.key').innerText()).replaceAll(' ', ''), secret, 'the key to type is the one in the picture');
  t.is(await page.locator('.steps a').getAttribute('href'), scanned.href, 'a phone opens its own app');
  t.deepEqual(await axe(page), []);
  await page.getByLabel(/Code of 6 digits/).fill(code());
  await press(page, 'Turn it on');
  await heading(page, 'Welcome back');
  t.true(page.url().startsWith(`${app.origin}/callback?`));
  t.like(await claims(page), { acr: 'aal2', amr: ['pwd', 'otp', 'mfa'], sub: user.id });

  await context.clearCookies();
  await page.goto(app.start());
  await password(page, user);
  await heading(page, 'Enter the code from your app');
  t.deepEqual(await axe(page), []);
  t.true(await isFocused(page.getByLabel('Code', { exact: true })));
  await page.getByLabel('Code', { exact: true }).fill(code());
  await press(page, 'Continue');
  await heading(page, 'Welcome back');
  t.like(await claims(page), { acr: 'aal2', sub: user.id });
  t.deepEqual(complaints, []);
});

inBrowser('what is wrong is said next to the field, which has the cursor', async (t) => {
  const { app, cardea, page, user, complaints } = await world({ mfa: 'optional' });
  const { secret } = await giveApp(cardea, user);
  await page.goto(app.start({ login_hint: user.username }));
  const passwordField = page.getByLabel('Password');
  t.is(await page.getByLabel('Username or email').inputValue(), user.username);
  t.true(await isFocused(passwordField), 'the name is there: the password is next');
  await passwordField.fill('not this');
  await press(page, 'Sign in');
  await page.getByRole('alert').waitFor();
  t.regex(await page.locator('#wrong-password').innerText(), /do not belong together/);
  t.true(await isFocused(passwordField));
  t.is(await passwordField.getAttribute('aria-invalid'), 'true');
  t.is(await passwordField.inputValue(), '');
  t.is(await page.getByLabel('Username or email').inputValue(), user.username);
  t.regex(await page.title(), /^Error: /);
  t.deepEqual(await axe(page), []);
  await page.getByRole('alert').getByRole('link').click();
  t.true(await isFocused(passwordField), 'the summary leads to the field');

  await passwordField.fill(user.password);
  await press(page, 'Sign in');
  const code = page.getByLabel('Code', { exact: true });
  for (const typed of ['12345', '000000']) {
    await code.fill(typed);
    await press(page, 'Continue');
    await page.locator('#wrong-code').waitFor();
    t.true(await isFocused(code), typed);
    t.is(await code.inputValue(), '');
  }
  t.deepEqual(await axe(page), []);
  const right = codeOf(secret);
  await code.pressSequentially(`${right.slice(0, 3)} ${right.slice(3)}`);
  await page.keyboard.press('Enter');
  await heading(page, 'Welcome back');
  t.deepEqual(complaints, []);
});

inBrowser('the whole way by keyboard', async (t) => {
  const { app, cardea, page, user, complaints } = await world(
    { mfa: 'optional', disabledFactors: [], rememberMe: true },
    { client: { firstParty: false } },
  );
  await giveApp(cardea, user, { label: 'Token', factor: 'hotp' });
  const { secret } = await giveApp(cardea, user, { label: 'Phone' });
  await page.goto(app.start());
  await page.keyboard.type(user.username);
  await page.keyboard.press('Tab');
  await page.keyboard.type(user.password);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  t.true(await page.getByLabel('Keep me signed in').isChecked());
  await page.keyboard.press('Enter');

  await heading(page, /Choose how/);
  t.deepEqual(await axe(page), []);
  const focused = async () => (await page.locator(':focus').innerText()).replace(/\s+/g, ' ').trim();
  const first = await focused();
  t.regex(first, /^Authenticator app/);
  await page.keyboard.press('Tab');
  t.not(await focused(), first);
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Enter');
  await heading(page, 'Enter the code from your app');
  t.regex(await page.locator('.lead').innerText(), /Phone/);
  await page.keyboard.type(codeOf(secret));
  await page.keyboard.press('Enter');

  await heading(page, /^Allow Parts Catalogue/);
  t.deepEqual(await axe(page), []);
  t.is(await page.locator(':focus').count(), 0, 'nothing is allowed by one press of Enter');
  do await page.keyboard.press('Tab');
  while ((await focused()) !== 'Allow');
  await page.keyboard.press('Enter');
  await heading(page, 'Welcome back');
  t.is((await claims(page)).sub, user.id);
  t.deepEqual(complaints, []);
});

inBrowser('consent is given once, and a refusal goes back to the application', async (t) => {
  const { app, page, user, complaints, context } = await world({ mfa: 'off' }, { client: { firstParty: false } });
  await page.goto(app.start());
  await password(page, user);
  await heading(page, /^Allow Parts Catalogue/);
  await press(page, 'Don’t allow');
  await heading(page, 'access_denied');
  await page.goto(app.start());
  await heading(page, /^Allow Parts Catalogue/);
  await press(page, 'Allow');
  await heading(page, 'Welcome back');
  await context.clearCookies();
  await page.goto(app.start());
  await password(page, user);
  await heading(page, 'Welcome back');
  t.deepEqual(complaints, []);
});

inBrowser('form_post: the answer is posted to the other site, with the library’s one script and no other', async (t) => {
  const { app, page, user, complaints } = await world({ mfa: 'off' });
  await page.goto(app.start({ response_mode: 'form_post' }));
  await password(page, user);
  await heading(page, 'Welcome back');
  t.is(app.arrivals[0]?.method, 'POST');
  await page.goto(app.start({ response_mode: 'form_post' }));
  await heading(page, 'Welcome back');
  t.is(app.arrivals.length, 2, 'and by single sign-on');
  t.deepEqual(complaints, []);
});

inBrowser('a posted request from another site finds the session that there is', async (t) => {
  const { app, page, user, complaints } = await world({ mfa: 'off' });
  await page.goto(app.startByPost());
  await press(page, 'Sign in');
  await password(page, user);
  await heading(page, 'Welcome back');
  await page.goto(app.startByPost({ prompt: 'none' }));
  await press(page, 'Sign in');
  await heading(page, 'Welcome back');
  t.is(app.arrivals.length, 2);
  t.deepEqual(complaints, []);
});

inBrowser('signing out asks where nobody has said whose session it is, and leads back to the application', async (t) => {
  const { cardea, realm, app, page, user, complaints } = await world({ mfa: 'off' });
  await page.goto(app.start());
  await password(page, user);
  await heading(page, 'Welcome back');
  await page.goto(`${cardea.origin}/realms/${realm.name}/protocol/openid-connect/logout`);
  await heading(page, 'Sign out?');
  t.deepEqual(await axe(page), []);
  await press(page, 'Stay signed in');
  await heading(page, 'You stay signed in');
  await page.goto(app.signOut);
  await heading(page, 'Bye');
  t.is(page.url(), `${app.origin}/bye`);
  await page.goto(app.start());
  await heading(page, 'Sign in');
  await press(page, 'Back to Parts Catalogue');
  await heading(page, 'access_denied');
  await page.goto(app.signOut);
  await heading(page, 'Bye');
  t.deepEqual(complaints, []);
});

inBrowser('pressed twice, a form is sent once', async (t) => {
  const { app, page, user } = await world({ mfa: 'off' });
  for (let round = 0; round < 3; round += 1) {
    let posts = 0;
    const count = (request: { method(): string }) => {
      if (request.method() === 'POST') posts += 1;
    };
    await page.goto(app.start({ prompt: 'login' }));
    page.on('request', count);
    if (round === 0) await page.getByLabel('Username or email').fill(user.username);
    await page.getByLabel('Password').fill(user.password);
    await page.keyboard.press('Enter');
    await page.keyboard.press('Enter');
    await heading(page, 'Welcome back');
    t.is(posts, 1);
    page.off('request', count);
  }
});

inBrowser('an app at the IPv6 loopback gets its answer, though a policy cannot name [::1]', async (t) => {
  const { cardea, realm, page, user, complaints } = await world({ mfa: 'off' });
  const server = createServer((_request, response) => response.setHeader('content-type', 'text/html').end('<h1>Back in the app</h1>'));
  await new Promise<void>((resolve) => server.listen(0, '::1', resolve));
  atEnd(() => server.close());
  const address = server.address();
  const callback = `http://[::1]:${typeof address === 'object' ? address?.port : ''}/callback`;
  const registered = await cardea.client(realm, { publicClient: true, redirectUris: ['http://[::1]/callback'] });
  const rp = await relyingParty(cardea, realm, { ...registered, redirectUri: callback });
  await page.goto((await authorizationRequest(rp)).url);
  await password(page, user);
  await heading(page, 'Back in the app');
  t.true(page.url().startsWith(`${callback}?`));
  t.truthy(new URL(page.url()).searchParams.get('code'));
  t.deepEqual(
    complaints.filter((complaint) => /Content Security Policy/.test(complaint)),
    [],
  );
});

inBrowser('without scripts everything works', async (t) => {
  const { app, cardea, page, user, complaints } = await world(
    { mfa: 'required' },
    { browser: { javaScriptEnabled: false }, client: { firstParty: false } },
  );
  await page.goto(app.start({ response_mode: 'form_post' }));
  await password(page, user);
  await heading(page, 'Set up an authenticator app');
  await page.locator('summary').click();
  const secret = (await page.locator('.key').innerText()).replaceAll(' ', '');
  await page.getByLabel(/Code of 6 digits/).fill(codeOf(secret));
  await press(page, 'Turn it on');
  await heading(page, /^Allow/);
  await press(page, 'Allow');
  await press(page, 'Continue');
  await heading(page, 'Welcome back');
  t.like(await claims(page), { acr: 'aal2', sub: user.id });
  await page.goto(app.signOut);
  await heading(page, 'Bye');
  t.is(app.arrivals[0]?.method, 'POST');
  t.true(cardea.log.length > 0);
  t.deepEqual(complaints, []);
});

inBrowser('error pages are pages like the others', async (t) => {
  const { app, cardea, realm, page, user, complaints, context } = await world({ mfa: 'off' });
  const base = `${cardea.origin}/realms/${realm.name}`;
  for (const [address, title] of [
    [`${base}/protocol/openid-connect/auth?client_id=nobody`, 'This application is not known here'],
    [`${base}/protocol/openid-connect/token`, 'This cannot be done here'],
    [`${base}/login/abc`, 'This sign-in is over'],
    [`${base}/nope`, 'There is nothing here'],
    [`${cardea.origin}/realms/nope`, 'There is nothing here'],
    [`${base}/protocol/openid-connect/logout/success`, 'You are signed out'],
  ] as const) {
    await page.goto(address);
    await heading(page, title);
    t.deepEqual(await axe(page), [], address);
  }

  await page.goto(app.start());
  const address = page.url();
  await context.clearCookies({ name: /^cardea_tx_/ });
  await page.reload();
  await heading(page, 'This sign-in cannot go on here');
  t.deepEqual(await axe(page), []);
  await page.getByRole('link', { name: 'Sign in again' }).click();
  await heading(page, 'Sign in');
  t.not(page.url(), address);
  await password(page, user);
  await heading(page, 'Welcome back');
  await page.goto(address);
  await heading(page, 'This sign-in cannot go on here');
  t.deepEqual(complaints, []);
});

inBrowser('in a popup, the application finds its window again on the way back', async (t) => {
  const { app, page, context, user, complaints } = await world({ mfa: 'off' });
  await page.goto(`${app.origin}/bye`);
  const opened = context.waitForEvent('page');
  await page.evaluate(`void window.open(${JSON.stringify(app.start())}, 'sign-in', 'popup')`);
  const popup = await opened;
  await password(popup, user);
  await heading(popup, 'Welcome back');
  t.true(await popup.evaluate('window.opener !== null && window.name === "sign-in"'));
  t.deepEqual(complaints, []);
});
