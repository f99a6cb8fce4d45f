/** A device is signed in by its user in a real browser: by keyboard alone, and without JavaScript on a phone. */
import test from 'ava';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { giveApp, type Scene } from '../support/attack.ts';
import { axe, browserTest, launch } from '../support/browser.ts';
import { startCardea } from '../support/cardea.ts';
import { atEnd } from '../support/cleanup.ts';
import { onSqlite } from '../support/databases.ts';
import { ask, ON_DEVICES, poll } from '../support/device.ts';
import { codeOf, relyingParty } from '../support/sign-in.ts';

const inBrowser = browserTest(test);

let started: Promise<{ server: Scene['server']; browser: Browser }> | undefined;
const shared = () => {
  started ??= (async () => {
    const server = await startCardea(await onSqlite.open());
    const browser = await launch();
    atEnd(() => browser.close());
    return { server, browser };
  })();
  return started;
};

async function world(options: BrowserContextOptions = {}) {
  const { server, browser } = await shared();
  const realm = await server.realm({ mfa: 'required' });
  const stage: Scene = { server, realm, rp: await relyingParty(server, realm, await server.client(realm, ON_DEVICES)) };
  const user = await server.user(realm);
  const { secret } = await giveApp(server, user);
  const context = await browser.newContext({ locale: 'en-GB', ...options });
  atEnd(() => context.close());
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => void (['error', 'warning'].includes(message.type()) && complaints.push(message.text())));
  page.on('pageerror', (error) => complaints.push(String(error)));
  return { stage, user, secret, page, complaints };
}

const heading = (page: Page, name: string | RegExp): Promise<void> => page.getByRole('heading', { level: 1, name }).waitFor();
const focused = (page: Page): Promise<string> => page.evaluate<string>('document.activeElement.name || document.activeElement.innerText');
const ringed = (page: Page): Promise<string> => page.evaluate<string>('getComputedStyle(document.activeElement).outlineStyle');

inBrowser('the whole way by keyboard, each page sound and each stop with a ring around it', async (t) => {
  const { stage, user, secret, page, complaints } = await world();
  const waiting = await ask(stage);
  await page.goto(waiting.verification_uri);
  t.is(await focused(page), 'user_code');
  t.is(await ringed(page), 'solid');
  t.deepEqual(await axe(page), []);
  await page.keyboard.type(waiting.user_code.toLowerCase());
  await page.keyboard.press('Enter');

  await heading(page, 'Sign in to Living Room TV on a device?');
  t.deepEqual(await axe(page), []);
  const stops: string[] = [];
  for (let step = 0; step < 2; step += 1) {
    await page.keyboard.press('Tab');
    stops.push(await focused(page));
    t.is(await ringed(page), 'solid');
  }
  t.deepEqual(stops, ['confirm', 'abort']);
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Enter');

  await page.getByLabel('Username or email').waitFor();
  t.deepEqual(await axe(page), []);
  await page.keyboard.type(user.username);
  await page.keyboard.press('Tab');
  await page.keyboard.type(user.password);
  await page.keyboard.press('Enter');
  await heading(page, /code/i);
  await page.keyboard.type(codeOf(secret));
  await page.keyboard.press('Enter');
  await heading(page, 'Your device is signed in');
  t.deepEqual(await axe(page), []);
  t.is((await poll(stage, waiting.device_code)).status, 200);
  t.deepEqual(complaints, []);
});

inBrowser('on a phone without JavaScript, from the code in the address, to “I did not start this”', async (t) => {
  const { stage, page } = await world({ javaScriptEnabled: false, viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
  const waiting = await ask(stage);
  await page.goto(waiting.verification_uri_complete ?? '');
  t.is(await page.getByLabel('Code').inputValue(), waiting.user_code);
  await page.getByRole('button', { name: 'Continue' }).click();
  await heading(page, 'Sign in to Living Room TV on a device?');
  await page.getByRole('button', { name: 'I did not start this' }).click();
  await heading(page, 'The device was not signed in');
  t.is((await poll(stage, waiting.device_code)).error, 'access_denied');
});
