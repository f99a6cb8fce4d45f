/**
 * The whole product in a real browser, as a person meets it: the demo application on an origin of its own, the hosted
 * sign-in, the account console. The authenticator app is what a phone would make of the QR code on the screen.
 */
import test from 'ava';
import { generateSync } from 'otplib';
import type { BrowserContext, Page } from 'playwright-core';
import { startDemoApp } from '../../examples/demo-app/server.ts';
import { axe, browserTest, launch } from '../support/browser.ts';
import { startCardea } from '../support/cardea.ts';
import { atEnd } from '../support/cleanup.ts';
import { onSqlite } from '../support/databases.ts';
import { freePort } from '../support/ports.ts';
import { readQrOnScreen } from '../support/qr-screen.ts';

const inBrowser = browserTest(test);
const PERIOD = 30;

/** An authenticator app that holds one entry. Each code is good once, so it goes on to the next one every time. */
class Authenticator {
  readonly #secret: string;
  #step = 0;

  constructor(otpauth: string) {
    const url = new URL(otpauth);
    this.#secret = url.searchParams.get('secret') ?? '';
  }

  code(): string {
    this.#step = Math.max(this.#step + 1, Math.floor(Date.now() / 1000 / PERIOD));
    return generateSync({ secret: this.#secret, epoch: this.#step * PERIOD });
  }
}

async function world() {
  const cardea = await startCardea(await onSqlite.open());
  // Two steps of leeway, so that the test need not wait for the clock between two codes.
  const realm = await cardea.realm({ mfa: 'required', totp: { digits: 6, period: PERIOD, algorithm: 'sha1', window: 2 } });
  const port = await freePort();
  const home = `http://localhost:${port}`;
  const client = await cardea.client(realm, { name: 'Demo application', redirectUris: [`${home}/callback`], postLogoutRedirectUris: [`${home}/`] });
  const demo = await startDemoApp({
    issuer: `${cardea.origin}/realms/${realm.name}`,
    clientId: client.clientId,
    clientSecret: client.secret ?? '',
    port,
    host: '127.0.0.1',
  });
  atEnd(() => demo.close());
  const user = await cardea.user(realm, { firstName: 'Ada', lastName: 'Lindqvist' });
  return { cardea, realm, user, home, account: `${cardea.origin}/realms/${realm.name}/account` };
}

/** A browser of its own, that fails the test on anything it complains about. */
async function visitor(complaints: string[]): Promise<{ context: BrowserContext; page: Page }> {
  const browser = await launch();
  atEnd(() => browser.close());
  const context = await browser.newContext({ javaScriptEnabled: true, locale: 'en-GB' });
  const page = await context.newPage();
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return { context, page };
}

const press = (page: Page, name: string | RegExp) => page.getByRole('button', { name }).click();

async function password(page: Page, user: { username: string; password: string }): Promise<void> {
  await page.getByLabel('Username or email').fill(user.username);
  await page.getByLabel('Password').fill(user.password);
  await press(page, 'Sign in');
}

/** Scans the code on the screen, types what the app shows. */
async function enrol(page: Page, label: string): Promise<Authenticator> {
  const scanned = await readQrOnScreen(page.locator('.plate'));
  if (scanned === undefined) throw new Error('The QR code on the screen cannot be read.');
  const app = new Authenticator(scanned);
  await page.getByLabel('Code of 6 digits').fill(app.code());
  await page.getByLabel('Name this app').fill(label);
  await press(page, 'Turn it on');
  return app;
}

async function code(page: Page, app: Authenticator): Promise<void> {
  await page.getByLabel('Code', { exact: true }).fill(app.code());
  await press(page, 'Continue');
}

const shown = (page: Page, id: string) => page.locator(`#${id}`).innerText();
const methods = async (page: Page): Promise<string[]> => (await page.locator('.method h2').allInnerTexts()).map((text) => text.trim());

inBrowser('somebody signs in, enrols from the QR code, steps up, manages two apps, and signs in again', async (t) => {
  t.timeout(110_000);
  const { user, home, account } = await world();
  const complaints: string[] = [];
  const { page } = await visitor(complaints);

  // First sign-in: the realm asks for a second factor, and there is none yet.
  await page.goto(home);
  t.deepEqual(await axe(page), []);
  await press(page, 'Sign in with Cardea');
  await password(page, user);
  await page.getByRole('heading', { name: 'Set up an authenticator app' }).waitFor();
  const phone = await enrol(page, 'Phone');

  await page.waitForURL(`${home}/`);
  t.is(await page.getByRole('heading', { level: 1 }).innerText(), 'You are Ada Lindqvist');
  t.is(await shown(page, 'acr'), 'aal2');
  t.deepEqual((await shown(page, 'amr')).match(/\b(pwd|otp|mfa)\b/g), ['pwd', 'otp', 'mfa']);
  t.is(await page.locator('tr.marked').count(), 7, 'acr, amr and auth_time stand out in both tokens, auth_time in userinfo too');
  t.deepEqual(await axe(page), []);

  await press(page, 'Refresh');
  t.regex(await shown(page, 'life'), /came with a refresh/);
  t.is(await shown(page, 'acr'), 'aal2');

  // Step-up: both factors again, though the session is minutes old.
  await press(page, 'Ask for more');
  await page.getByLabel('Password').fill(user.password);
  await press(page, /^(Continue|Sign in|Confirm)/);
  await code(page, phone);
  await page.waitForURL(`${home}/`);
  t.is(await shown(page, 'asked'), 'acr_values=aal2 max_age=0');
  t.is(await shown(page, 'acr'), 'aal2');

  // The account console signs in by the same session, and asks nothing.
  await page.goto(account);
  t.is(page.url(), account);
  t.deepEqual(await methods(page), ['Password', 'Phone']);
  t.is(await page.getByRole('link', { name: /^Remove/ }).count(), 0, 'the only second step has to stay');
  t.deepEqual(await axe(page), []);
  await press(page, /^Authenticator app/);
  const tablet = await enrol(page, 'Tablet');
  await page.waitForURL(account);
  t.regex(await page.getByRole('status').innerText(), /was added/);
  t.deepEqual(await methods(page), ['Password', 'Phone', 'Tablet']);

  const entry = page.locator('.method', { hasText: 'Tablet' });
  await entry.getByText('Rename').click();
  await entry.getByLabel('New name').fill('Old tablet');
  await entry.getByRole('button', { name: 'Save' }).click();
  t.regex(await page.getByRole('status').innerText(), /name was saved/);
  t.deepEqual(await methods(page), ['Password', 'Phone', 'Old tablet']);

  // Signing out of one application signs out of all.
  await page.goto(home);
  await press(page, 'Sign out');
  await page.waitForURL(`${home}/`);
  await page.getByRole('button', { name: 'Sign in with Cardea' }).waitFor();
  await page.goto(account);
  await page.getByLabel('Username or email').waitFor();

  // Two apps: the code of either will do.
  await page.goto(home);
  await press(page, 'Sign in with Cardea');
  await password(page, user);
  await code(page, tablet);
  await page.waitForURL(`${home}/`);
  t.is(await shown(page, 'acr'), 'aal2');

  await page.goto(account);
  await page.getByRole('link', { name: 'Remove Phone' }).click();
  t.deepEqual(await axe(page), []);
  await press(page, 'Remove it');
  await page.waitForURL(account);
  t.regex(await page.getByRole('status').innerText(), /was removed/);
  t.deepEqual(await methods(page), ['Password', 'Old tablet']);
  t.is(await page.getByRole('link', { name: /^Remove/ }).count(), 0);
  t.deepEqual(complaints, []);
});
