/**
 * A real Chromium for the browser suites, and axe-core to judge its pages.
 *
 * `browserTest(test)` gives a `test` that is skipped, with a title that says what it needs, where no Chromium is found,
 * and that fails instead where REQUIRE_BROWSER=1 says that one must be there.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { ExecutionContext, SerialFn, TestFn } from 'ava';
import { type Browser, chromium, type Page } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/snap/bin/chromium'];

/** The path of a Chromium: CHROMIUM_PATH, or one of the usual places. */
export function findChromium(): string | undefined {
  const named = process.env.CHROMIUM_PATH;
  return [named, ...PLACES].find((path) => path !== undefined && path !== '' && existsSync(path));
}

/** Starts a browser with an empty profile; the caller closes it. */
export function launch(): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined) throw new Error('no Chromium was found; set CHROMIUM_PATH');
  return chromium.launch({
    executablePath,
    headless: true,
    // No sandbox: CI runs as root in a container. The rest keeps Chromium from calling home.
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

type Body<Context> = (t: ExecutionContext<Context>) => void | Promise<void>;

/** `const browser = browserTest(test); browser('a page shows', async (t) => …)` */
export function browserTest<Context>(test: TestFn<Context> | SerialFn<Context>): (title: string, body: Body<Context>) => void {
  if (findChromium() !== undefined) return (title, body) => test(title, body);
  if (process.env.REQUIRE_BROWSER === '1') {
    return (title) => test(title, (t) => t.fail('REQUIRE_BROWSER=1, but no Chromium was found; install it or set CHROMIUM_PATH'));
  }
  return (title, body) => test.skip(`${title} (needs Chromium: install it or set CHROMIUM_PATH)`, body);
}

let axeSource: Promise<string> | undefined;

/**
 * What axe-core finds wrong with the page as it is shown now, one line a finding; empty when all is well.
 * The source goes in through the debugging protocol, which the page's Content-Security-Policy does not stop.
 */
export async function axe(page: Page): Promise<string[]> {
  axeSource ??= readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  await page.evaluate(await axeSource);
  return page.evaluate(async () => {
    interface Finding {
      id: string;
      help: string;
      nodes: { target: unknown[]; failureSummary?: string }[];
    }
    const { axe: runner } = globalThis as unknown as { axe: { run(): Promise<{ violations: Finding[] }> } };
    const { violations } = await runner.run();
    return violations.flatMap(({ id, help, nodes }) =>
      nodes.map((node) => `${id}: ${help} at ${node.target.join(' ')}: ${node.failureSummary ?? ''}`),
    );
  });
}
