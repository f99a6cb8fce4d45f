/**
 * Every page of the gallery in a real Chromium, as people meet it: on a desktop and on a phone, in light and in dark.
 *
 * Each must please axe-core, keep to its Content-Security-Policy, run no markup from a name, and fit a window of 320
 * pixels (WCAG 2.2, 1.4.10) without scrolling sideways. SHOTS=<folder> saves what was seen.
 */
import { mkdir } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import Koa from 'koa';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { securityHeaders } from '../../src/http/headers.ts';
import { createRenderer } from '../../src/http/render.ts';
import { createStatics } from '../../src/http/statics.ts';
import { ENGLISH, LANGUAGES } from '../../src/languages/languages.ts';
import { axe, browserTest, findChromium, launch } from '../support/browser.ts';
import { type Exhibit, exhibits } from './gallery.ts';

const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 }, 'narrow phone': { width: 320, height: 640 } };
/** A first page with all that it loads. */
const PAGE_BUDGET = 50_000;
/** The style sheet as it is stored: one that grows past this has stopped being read by anyone. */
const STYLE_BUDGET = 12_288;
/** WCAG 2.2 asks for 24 pixels (2.5.8); 44 is what a thumb needs (2.5.5). Links within a sentence are exempt from both. */
const TOUCH_TARGET = 44;

const browserOnly = browserTest(test);
/** One after the other: a walk past every page takes all that two cores have, and several at once would each take longer than a test may. */
const onAWalk = browserTest(test.serial);

let origin = '';
let server: Server | undefined;
let browser: Browser | undefined;

test.before(async () => {
  if (findChromium() === undefined) return;
  const statics = createStatics();
  const renderer = createRenderer({ production: false, statics });
  const app = new Koa();
  app.use(statics.middleware);
  app.use(async (ctx) => {
    const exhibit = exhibits[Number(ctx.path.slice(1))];
    if (!exhibit) return;
    ctx.set(securityHeaders({ origin }));
    await renderer.render(ctx, exhibit.view, exhibit.model, exhibit.status);
  });
  const started = app.listen(0, '127.0.0.1');
  server = started;
  await new Promise((resolve) => started.once('listening', resolve));
  origin = `http://127.0.0.1:${(started.address() as AddressInfo).port}`;
  browser = await launch();
});

test.after.always(async () => {
  await browser?.close();
  server?.close();
});

/** A page in a profile of its own, and what its console and its policy complained about. */
async function open(t: ExecutionContext, options: BrowserContextOptions): Promise<{ page: Page; complaints: string[] }> {
  if (!browser) throw new Error('the browser did not start');
  const context = await browser.newContext(options);
  t.teardown(() => context.close());
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    // Chromium reports the page's own status of 400 and more as a failed resource.
    if (!/^Failed to load resource: the server responded with a status of 4\d\d/.test(message.text())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  return { page, complaints };
}

function signIn(t: ExecutionContext): Exhibit {
  const exhibit = exhibits.find(({ name }) => name === 'sign-in');
  return exhibit ?? t.fail('the gallery has no sign-in page');
}

const visit = (page: Page, exhibit: Exhibit) => page.goto(`${origin}/${exhibits.indexOf(exhibit)}`);

/** Runs in the page, as text: the DOM's types would otherwise be at hand in all of src/. */
const inPage = {
  openDetails: 'for (const details of document.querySelectorAll("details")) details.open = true',
  excessWidth: 'document.documentElement.scrollWidth - document.documentElement.clientWidth',
  pwned: '"pwned" in globalThis',
  /** Controls that are smaller than a thumb. A checkbox counts with its label. */
  smallControls: `[...document.querySelectorAll('button, .button, summary, input:not([type="hidden"], [type="checkbox"]), label.check')]
    .filter((control) => control.checkVisibility())
    .map((control) => ({ control, box: control.getBoundingClientRect() }))
    .filter(({ box }) => Math.min(box.width, box.height) < ${TOUCH_TARGET})
    .map(({ control, box }) => control.outerHTML.slice(0, 60) + ' is ' + box.width + ' by ' + box.height)`,
  style: 'fetch(document.querySelector(\'link[rel="stylesheet"]\').href).then((answer) => answer.text())',
  edges: `[...document.querySelectorAll('button, input:not([type="hidden"], [type="checkbox"])')]
    .map((control) => getComputedStyle(control).borderTopStyle)`,
  focused: '(({ name, id, innerText }) => name || id || innerText)(document.activeElement)',
  outline: 'getComputedStyle(document.activeElement).outlineStyle',
};

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const colorScheme of ['light', 'dark'] as const) {
    onAWalk(`every page is sound on a ${size} in ${colorScheme}`, async (t) => {
      const { page, complaints } = await open(t, { viewport, colorScheme });
      const problems: string[] = [];
      for (const exhibit of exhibits) {
        await visit(page, exhibit);
        await page.evaluate(inPage.openDetails);
        const found = await axe(page);
        found.push(...(await page.evaluate<string[]>(inPage.smallControls)), ...complaints.splice(0));
        const excess = await page.evaluate<number>(inPage.excessWidth);
        if (excess > 0) found.push(`scrolls sideways by ${excess} pixels`);
        if (await page.evaluate<boolean>(inPage.pwned)) found.push('markup in a name was run');
        problems.push(...found.map((problem) => `${exhibit.name}: ${problem}`));
        await save(page, `${exhibit.name} ${size} ${colorScheme}`);
      }
      t.deepEqual(problems, []);
    });
  }
}

for (const locale of Object.keys(LANGUAGES).filter((language) => language !== ENGLISH)) {
  onAWalk(`every page is sound on a narrow phone in ${locale}`, async (t) => {
    const { page, complaints } = await open(t, { viewport: SIZES['narrow phone'], locale });
    const problems: string[] = [];
    for (const exhibit of exhibits) {
      await visit(page, exhibit);
      await page.evaluate(inPage.openDetails);
      t.is(await page.evaluate<string>('document.documentElement.lang'), locale);
      const found = [...(await axe(page)), ...(await page.evaluate<string[]>(inPage.smallControls)), ...complaints.splice(0)];
      const excess = await page.evaluate<number>(inPage.excessWidth);
      if (excess > 0) found.push(`scrolls sideways by ${excess} pixels`);
      problems.push(...found.map((problem) => `${exhibit.name}: ${problem}`));
      await save(page, `${exhibit.name} ${locale}`);
    }
    t.deepEqual(problems, []);
  });
}

async function save(page: Page, name: string): Promise<void> {
  const folder = process.env.SHOTS;
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: `${folder}/${name.replaceAll(/[^a-z]+/g, '-')}.png`, fullPage: true });
}

browserOnly('a sign-in page with all that it loads stays within its budget, and asks nobody else for anything', async (t) => {
  const { page } = await open(t, {});
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  let received = 0;
  const hosts = new Set<string>();
  session.on('Network.loadingFinished', ({ encodedDataLength }) => {
    received += encodedDataLength;
  });
  page.on('request', (request) => hosts.add(new URL(request.url()).origin));
  await visit(page, signIn(t));
  await page.waitForLoadState('networkidle');
  t.true(received > 2_000 && received < PAGE_BUDGET, `${received} bytes`);
  t.deepEqual([...hosts], [origin]);
  const css = (await page.evaluate<string>(inPage.style)).length;
  t.true(css < STYLE_BUDGET, `${css} characters of style`);
  t.log(`${received} bytes received, ${css} characters of style`);
});

browserOnly('a sign-in works by keyboard alone: fields, choice, sign in, forgotten password, way back, each with a ring around it', async (t) => {
  const { page } = await open(t, {});
  await visit(page, signIn(t));
  const seen: string[] = [];
  for (let step = 0; step < 6; step += 1) {
    const name = await page.evaluate<string>(inPage.focused);
    seen.push(name);
    t.is(await page.evaluate<string>(inPage.outline), 'solid', name);
    await page.keyboard.press('Tab');
  }
  t.deepEqual(seen, ['username', 'password', 'remember', 'Sign in', 'Forgot your password?', 'do']);
});

browserOnly('signing out everywhere works by keyboard alone: from the list to the question, its boxes, and the way back', async (t) => {
  const { page } = await open(t, {});
  const rounds: [name: string, last: string][] = [
    ['one session', 'Sign out everywhere'],
    ['sign out everywhere', 'Stay signed in'],
  ];
  const seen: string[][] = [];
  for (const [name, last] of rounds) {
    await visit(page, exhibits.find((exhibit) => exhibit.name === name) ?? t.fail(`the gallery has no ${name}`));
    const order: string[] = [];
    for (let step = 0; step < 20 && order.at(-1) !== last; step += 1) {
      await page.keyboard.press('Tab');
      order.push(await page.evaluate<string>(inPage.focused));
      t.is(await page.evaluate<string>(inPage.outline), 'solid', order.at(-1));
    }
    seen.push(order);
  }
  const frame = ['Skip to the content', 'Sign out', 'Sign-in methods', 'Where you are signed in', 'Devices', 'Applications'];
  t.deepEqual(seen, [
    [...frame, 'Sign out here', 'Sign out everywhere else', 'Sign out everywhere'],
    [...frame, 'offline', 'devices', 'Sign out everywhere', 'Stay signed in'],
  ]);
});

browserOnly('with the system’s own colours, fields and buttons keep an edge', async (t) => {
  const { page } = await open(t, { forcedColors: 'active' });
  await visit(page, signIn(t));
  const edges = await page.evaluate<string[]>(inPage.edges);
  t.true(edges.length > 3);
  t.deepEqual([...new Set(edges)], ['solid']);
});
