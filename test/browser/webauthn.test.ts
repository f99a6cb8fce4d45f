/**
 * Security keys and passkeys in a real browser, with Chromium's virtual authenticators: what is enrolled, signed in with,
 * offered while a name is typed, refused, and said.
 */
import test from 'ava';
import type { Browser, BrowserContext, BrowserContextOptions, CDPSession, Page } from 'playwright-core';
import type { RealmSettings } from '../../src/realms/settings.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { type Application, startApplication } from '../support/application.ts';
import { at, giveApp, type TestUser } from '../support/attack.ts';
import { axe, browserTest, launch } from '../support/browser.ts';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { atEnd } from '../support/cleanup.ts';
import { onSqlite } from '../support/databases.ts';
import { codeOf } from '../support/sign-in.ts';

/** One after another: each waits for its own pages only, and one of them moves the clock. */
const inBrowser = browserTest(test.serial);

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

/** What Chromium calls a virtual authenticator; every key of it lives and dies with the page's session. */
interface Device {
  id: string;
  cdp: CDPSession;
  /** Whether somebody touches it, and whether it knows its user. */
  touch(present: boolean): Promise<void>;
  verify(user: boolean): Promise<void>;
  keys(): Promise<{ credentialId: string; isResidentCredential: boolean; signCount: number }[]>;
}

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

const KEYS: Partial<RealmSettings> = { disabledFactors: ['hotp', 'recovery-codes', 'email-otp', 'sms-otp', 'enrolment-pass'] };

async function world(settings: Partial<RealmSettings> = {}, options: BrowserContextOptions = {}): Promise<World> {
  const { cardea, browser } = await shared();
  const realm = await cardea.realm({ ...KEYS, ...settings });
  const app = await startApplication(cardea, realm);
  const user = await cardea.user(realm);
  const context = await browser.newContext({ locale: 'en-GB', ...options });
  atEnd(() => context.close());
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()) && !/the server responded with a status of 4\d\d/.test(message.text()))
      complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return { cardea, realm, user, page, context, app, complaints };
}

/** A phone or laptop that keeps passkeys, or a small key without a PIN. */
async function plugIn(page: Page, kind: 'phone' | 'key'): Promise<Device> {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  const { authenticatorId: id } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options:
      kind === 'phone'
        ? { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true }
        : { protocol: 'ctap2', transport: 'usb', hasResidentKey: false, hasUserVerification: false },
  });
  return {
    id,
    cdp,
    touch: async (enabled) => void (await cdp.send('WebAuthn.setAutomaticPresenceSimulation', { authenticatorId: id, enabled })),
    verify: async (isUserVerified) => void (await cdp.send('WebAuthn.setUserVerified', { authenticatorId: id, isUserVerified })),
    keys: async () => (await cdp.send('WebAuthn.getCredentials', { authenticatorId: id })).credentials,
  };
}

const heading = (page: Page, name: string | RegExp): Promise<void> => page.getByRole('heading', { level: 1, name }).waitFor();
const press = (page: Page, name: string | RegExp): Promise<void> => page.getByRole('button', { name, exact: typeof name === 'string' }).click();
const claims = async (page: Page): Promise<Record<string, unknown>> => JSON.parse(await page.locator('#claims').innerText());
const focused = async (page: Page): Promise<string> => (await page.locator(':focus').innerText()).trim();
const alertOf = (page: Page): Promise<string> => page.locator('[data-says]:not([hidden])').innerText();

async function password(page: Page, user: TestUser): Promise<void> {
  await page.getByLabel('Username or email').fill(user.username);
  await page.getByLabel('Password').fill(user.password);
  await press(page, 'Sign in');
}

/** Tells of every question for a key, and has conditional mediation wait for `typed`. */
const SPY = `
  const available = PublicKeyCredential.isConditionalMediationAvailable.bind(PublicKeyCredential);
  PublicKeyCredential.isConditionalMediationAvailable = async () => { await typed(); return available(); };
  const get = navigator.credentials.get.bind(navigator.credentials);
  navigator.credentials.get = (options) => { asked(options.mediation ?? 'modal'); return get(options); };
`;

/** Sets up a key on the way in, for an application that wants phr. */
async function enrolled({ page, app, user }: World, factor: 'Passkey' | 'Security key'): Promise<void> {
  await page.goto(app.start({ acr_values: 'phr' }));
  await password(page, user);
  await heading(page, 'Set up a second step');
  await press(page, new RegExp(`^${factor}`));
  await heading(page, factor === 'Passkey' ? 'Set up a passkey' : 'Set up a security key');
}

inBrowser('a security key without a PIN: set up on the way in, and asked for at the next sign-in', async (t) => {
  const there = await world();
  const { page, app, user, context, complaints } = there;
  const device = await plugIn(page, 'key');
  await enrolled(there, 'Security key');
  t.deepEqual(await axe(page), []);
  await page.getByLabel('Name it').fill('Key ring');
  await press(page, 'Set up this key');
  await heading(page, 'Welcome back');
  t.like(await claims(page), { sub: user.id, acr: 'phr', amr: ['pwd', 'pop', 'hwk', 'user', 'mfa'] });
  t.is((await device.keys()).length, 1);

  await context.clearCookies();
  await page.goto(app.start());
  await password(page, user);
  await heading(page, 'Use your security key');
  t.regex(await page.locator('.lead').innerText(), /Key ring/);
  t.deepEqual(await axe(page), []);
  t.is(await focused(page), 'Use security key');
  await page.keyboard.press('Enter');
  await heading(page, 'Welcome back');
  t.like(await claims(page), { acr: 'phr', amr: ['pwd', 'pop', 'hwk', 'user', 'mfa'] });
  t.deepEqual(complaints, []);
});

inBrowser('a passkey: made by keyboard alone, and then a complete sign-in by its button', async (t) => {
  const there = await world();
  const { page, app, user, context, complaints } = there;
  const device = await plugIn(page, 'phone');
  await enrolled(there, 'Passkey');
  t.deepEqual(await axe(page), []);
  t.is(await focused(page), 'Create a passkey');
  await page.keyboard.press('Enter');
  await heading(page, 'Welcome back');
  t.like(await claims(page), { sub: user.id, acr: 'phr', amr: ['pwd', 'pop', 'hwk', 'user', 'mfa'] });
  t.like((await device.keys())[0], { isResidentCredential: true });

  await context.clearCookies();
  await device.touch(false);
  await page.goto(app.start({ acr_values: 'phr' }));
  const button = page.getByRole('button', { name: 'Sign in with a passkey' });
  await button.waitFor();
  t.deepEqual(await axe(page), []);
  t.is(await page.getByLabel('Username or email').getAttribute('autocomplete'), 'username webauthn');
  do await page.keyboard.press('Tab');
  while ((await page.locator(':focus').count()) > 0 && (await focused(page).catch(() => '')) !== 'Sign in with a passkey');
  await device.touch(true);
  await page.keyboard.press('Enter');
  await heading(page, 'Welcome back');
  t.like(await claims(page), { sub: user.id, acr: 'phr', amr: ['pop', 'hwk', 'user', 'mfa'] });
  t.deepEqual(complaints, []);
});

inBrowser('the browser offers passkeys while a name is typed, and a password works beside it', async (t) => {
  const there = await world();
  const { page, app, user, context, complaints } = there;
  const device = await plugIn(page, 'phone');
  await enrolled(there, 'Passkey');
  await press(page, 'Create a passkey');
  await heading(page, 'Welcome back');

  await context.clearCookies();
  // Chromium's virtual device answers at once, so that the question has to wait until something is typed.
  const asked: string[] = [];
  let typed = (): void => undefined;
  const typing = new Promise<void>((resolve) => {
    typed = resolve;
  });
  await page.exposeFunction('typed', () => typing);
  await page.exposeFunction('asked', (mediation: string) => void asked.push(mediation));
  await page.addInitScript(SPY);
  await page.goto(app.start());
  await page.getByLabel('Username or email').fill('somebody');
  t.deepEqual(asked, []);
  typed();
  await heading(page, 'Welcome back');
  t.deepEqual(asked, ['conditional']);
  t.like(await claims(page), { sub: user.id, acr: 'phr', amr: ['pop', 'hwk', 'user', 'mfa'] });

  await context.clearCookies();
  await device.touch(false);
  await page.goto(app.start());
  await page.getByRole('button', { name: 'Sign in with a passkey' }).waitFor();
  await password(page, user);
  await heading(page, 'Use your passkey');
  t.deepEqual(await axe(page), []);
  await device.touch(true);
  await press(page, 'Use passkey');
  await heading(page, 'Welcome back');
  t.like(await claims(page), { acr: 'phr', amr: ['pwd', 'pop', 'hwk', 'user', 'mfa'] });
  t.deepEqual(complaints, []);
});

inBrowser('whoever is not recognised is told so, and tries again', async (t) => {
  const there = await world();
  const { page, app, user, context, complaints } = there;
  const device = await plugIn(page, 'phone');
  await enrolled(there, 'Passkey');
  await device.verify(false);
  await press(page, 'Create a passkey');
  t.regex(await alertOf(page), /No passkey was created|cannot keep a passkey/);
  t.deepEqual(await axe(page), []);
  t.deepEqual(await device.keys(), []);
  await device.verify(true);
  await press(page, 'Create a passkey');
  await heading(page, 'Welcome back');

  await context.clearCookies();
  await device.touch(false);
  await page.goto(app.start());
  await password(page, user);
  await heading(page, 'Use your passkey');
  await device.verify(false);
  await device.touch(true);
  await press(page, 'Use passkey');
  t.regex(await alertOf(page), /Your passkey was not used/);
  t.deepEqual(await axe(page), []);
  await device.verify(true);
  await press(page, 'Use passkey');
  await heading(page, 'Welcome back');
  t.deepEqual(complaints, []);
});

inBrowser('without WebAuthn the pages say so, and there is another way', async (t) => {
  const there = await world();
  const { cardea, page, app, user, context, complaints } = there;
  const { secret } = await giveApp(cardea, user);
  const device = await plugIn(page, 'key');
  await page.goto(app.start({ acr_values: 'phr' }));
  await password(page, user);
  await page.getByLabel('Code', { exact: true }).fill(codeOf(secret));
  await press(page, 'Continue');
  await press(page, /^Security key/);
  await press(page, 'Set up this key');
  await heading(page, 'Welcome back');
  t.is((await device.keys()).length, 1);

  for (const without of ['WebAuthn', 'JavaScript']) {
    const other = await page
      .context()
      .browser()
      ?.newContext({ locale: 'en-GB', javaScriptEnabled: without !== 'JavaScript' });
    if (!other) return t.fail();
    atEnd(() => other.close());
    await other.addInitScript('delete globalThis.PublicKeyCredential');
    const old = await other.newPage();
    await old.goto(app.start());
    t.is(await old.getByRole('button', { name: 'Sign in with a passkey' }).count(), 0, without);
    await password(old, user);
    await press(old, /^Security key/);
    await heading(old, 'Use your security key');
    t.is(await old.getByRole('button', { name: 'Use security key' }).count(), 0);
    t.regex(await old.locator('main').innerText(), without === 'WebAuthn' ? /This browser cannot use security keys/ : /needs JavaScript/);
    if (without === 'WebAuthn') t.deepEqual(await axe(old), []);
    await press(old, 'Try another way');
    await press(old, /^Authenticator app/);
    await old.getByLabel('Code', { exact: true }).fill(codeOf(secret, () => Math.floor(Date.now() / 1000) + 30 * (without === 'WebAuthn' ? 1 : 0)));
    await old.getByLabel('Code', { exact: true }).waitFor();
  }
  await context.clearCookies();
  t.deepEqual(complaints, []);
});

inBrowser('after a code, a passkey is offered: taken up, put off, or never again', async (t) => {
  for (const answer of ['Set it up', 'Not now', 'Don’t ask again'] as const) {
    const there = await world();
    const { cardea, page, app, user, context, complaints } = there;
    const { secret } = await giveApp(cardea, user);
    await plugIn(page, 'phone');
    let step = -1;
    const code = (): string => {
      step += 1;
      return codeOf(secret, () => Math.floor(Date.now() / 1000) + step * 30);
    };
    await page.goto(app.start());
    await password(page, user);
    await page.getByLabel('Code', { exact: true }).fill(code());
    await press(page, 'Continue');
    await heading(page, /Passkey/);
    t.deepEqual(await axe(page), []);
    await press(page, answer);
    if (answer === 'Set it up') {
      await heading(page, 'Set up a passkey');
      t.deepEqual(await axe(page), []);
      await press(page, 'Create a passkey');
    }
    await heading(page, 'Welcome back');
    t.is((await claims(page)).sub, user.id);
    await context.clearCookies();
    await page.goto(app.start());
    if (answer === 'Set it up') {
      // The browser signs in with it by itself: somebody touches it all the time.
      await heading(page, 'Welcome back');
      t.like(await claims(page), { acr: 'phr', amr: ['pop', 'hwk', 'user', 'mfa'] });
    } else {
      await password(page, user);
      await page.getByLabel('Code', { exact: true }).fill(code());
      await press(page, 'Continue');
      await heading(page, 'Welcome back');
    }
    t.deepEqual(complaints, [], answer);
  }
});

inBrowser('in the account console: a passkey is added, signs in there, and is removed', async (t) => {
  const { cardea, realm, page, user, context, complaints } = await world();
  const device = await plugIn(page, 'phone');
  const account = `${cardea.origin}/realms/${realm.name}/account`;
  await page.goto(account);
  await password(page, user);
  await heading(page, 'Sign-in methods');
  t.deepEqual(await axe(page), []);
  await press(page, 'Passkey');
  await heading(page, 'Set up a passkey');
  await page.getByLabel('Name it').fill('Work laptop');
  await press(page, 'Create a passkey');
  await heading(page, 'Sign-in methods');
  t.is(await page.getByRole('status').innerText(), 'The sign-in method was added.');
  t.regex(await page.locator('.methods').innerText(), /Work laptop\s+stops phishing\s+Passkey/);
  t.deepEqual(await axe(page), []);

  await context.clearCookies();
  await page.goto(account);
  await heading(page, 'Sign-in methods');
  t.is((await device.keys())[0]?.signCount, 2, 'nothing was typed: the browser offered the passkey');
  await page.getByRole('link', { name: /^Remove/ }).click();
  await heading(page, 'Remove Work laptop?');
  // The device still has it, and would offer it again and again.
  await device.touch(false);
  await press(page, 'Remove it');
  await heading(page, 'Confirm it’s you');
  t.deepEqual(await axe(page), []);
  await page.getByLabel('Password').fill(user.password);
  await press(page, 'Continue');
  await heading(page, 'Sign-in methods');
  t.is(await page.getByText('Work laptop').count(), 0);
  t.deepEqual(complaints, []);
});

inBrowser('a device that has a passkey already says so', async (t) => {
  const there = await world();
  const { page, app, user } = there;
  const device = await plugIn(page, 'phone');
  await enrolled(there, 'Passkey');
  await press(page, 'Create a passkey');
  await heading(page, 'Welcome back');
  await page.goto(app.start({ kc_action: 'webauthn-register-passwordless' }));
  await heading(page, 'Set up a passkey');
  await press(page, 'Create a passkey');
  t.regex(await alertOf(page), /has a passkey for your account already/);
  t.is((await device.keys()).length, 1);
  t.truthy(user);
});

inBrowser('a first page that stood open for long still takes a passkey', async (t) => {
  const there = await world();
  const { page, app, user, context, complaints } = there;
  const device = await plugIn(page, 'phone');
  await enrolled(there, 'Passkey');
  await press(page, 'Create a passkey');
  await heading(page, 'Welcome back');

  await context.clearCookies();
  await device.touch(false);
  await page.clock.install();
  await page.goto(app.start());
  await page.getByLabel('Username or email').fill('ad');
  const options = () => page.locator('form[data-conditional]').getAttribute('data-options');
  const before = await options();
  await at(4.6 * 60_000, async () => {
    await page.clock.fastForward(4.6 * 60_000);
    while ((await options()) === before) await new Promise((resolve) => setTimeout(resolve, 50));
    t.is(await page.getByLabel('Username or email').inputValue(), 'ad', 'what was typed is still there');
  });
  await at(6 * 60_000, async () => {
    await device.touch(true);
    await press(page, 'Sign in with a passkey');
    await heading(page, 'Welcome back');
  });
  t.is((await claims(page)).sub, user.id);
  t.deepEqual(complaints, []);
});
