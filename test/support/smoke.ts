/**
 * The newcomer's first minutes, without a browser: `npm start` with an empty data folder on a free port, then sign in to
 * the demo application with the credentials of the banner, and see its tokens. Ends with status 0, or says what went
 * wrong and shows what Cardea printed.
 *
 * The banner must have a line `Demo application  URL` and a line `Demo user  NAME / PASSWORD`.
 */
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Agent, type Form, formsOf, type Page, unescapeHtml } from './agent.ts';
import { freePort } from './ports.ts';

/** Milliseconds until the banner must be there; the goal is two seconds, on a machine with nothing else to do. */
const START_LIMIT = 60_000;
/** A sign-in is password, perhaps a choice, enrolment, what is offered, consent. */
const MOST_PAGES = 8;

interface Banner {
  demo: string;
  username: string;
  password: string;
}

function readBanner(output: string): Banner | undefined {
  const demo = /Demo application\W*?(https?:\/\/\S+)/i.exec(output)?.[1];
  const [, username, password] = /Demo user[\s:]+(\S+)\s+\/\s+(\S+)/i.exec(output) ?? [];
  return demo && username && password ? { demo, username, password } : undefined;
}

/** Starts the product as the README says, in a process group of its own. */
async function start(dataDir: string) {
  const port = String(await freePort());
  const demoPort = String(await freePort());
  const { DATABASE_URL: _, TEST_DATABASE_URL: __, NODE_ENV: ___, ...inherited } = process.env;
  const env = { ...inherited, PORT: port, CARDEA_DEMO_PORT: demoPort, CARDEA_DATA_DIR: dataDir, NO_COLOR: '1' };
  const child = spawn('npm', ['start'], { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const printed = { text: '' };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      printed.text += chunk;
    });
  }
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = async () => {
    if (child.exitCode === null && child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
    await ended;
  };
  return { child, printed, stop };
}

async function bannerOf({ child, printed }: Awaited<ReturnType<typeof start>>): Promise<Banner> {
  const giveUp = Date.now() + START_LIMIT;
  while (Date.now() < giveUp && child.exitCode === null) {
    const banner = readBanner(printed.text);
    if (banner) return banner;
    await pause(50);
  }
  throw new Error(child.exitCode === null ? 'There was no banner with the demo application and the demo user.' : 'npm start has ended.');
}

/** RFC 6238, from the link that the enrolment page shows. */
function currentCode(otpauth: string): string {
  const { searchParams } = new URL(otpauth);
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...(searchParams.get('secret') ?? '')].map((letter) => alphabet.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const secret = Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 1000 / Number(searchParams.get('period') ?? 30))));
  const mac = createHmac(searchParams.get('algorithm') ?? 'SHA1', secret)
    .update(counter)
    .digest();
  const digits = Number(searchParams.get('digits') ?? 6);
  return String((mac.readUInt32BE((mac.at(-1) ?? 0) & 15) & 0x7fffffff) % 10 ** digits).padStart(digits, '0');
}

/** The application's own page: its way to the sign-in is a link or a form. */
async function leaveForSignIn(agent: Agent, home: Page): Promise<Page> {
  const link = [...home.html.matchAll(/<a\b[^>]*href="([^"]+)"[^>]*>([\s\S]*?)<\/a>/gi)].find(([, , text]) => /sign in|log in/i.test(text ?? ''));
  if (link?.[1]) return agent.get(new URL(unescapeHtml(link[1]), home.url).href);
  const form = formsOf(home).find(({ html }) => /sign in|log in/i.test(html));
  if (!form) throw new Error(`The demo application shows no way to sign in:\n${home.html}`);
  return agent.submit(home, form);
}

/** What a person would do with a page of the sign-in. */
function answer(page: Page, banner: Banner): { form: Form; fields: Record<string, string> } {
  const forms = formsOf(page);
  const having = (name: string) => forms.find(({ names }) => names.includes(name));
  const password = having('password');
  if (password)
    return { form: password, fields: { password: banner.password, ...(password.names.includes('username') && { username: banner.username }) } };
  const code = having('code');
  const otpauth = /href="(otpauth:[^"]+)"/.exec(page.html)?.[1];
  if (code && otpauth) return { form: code, fields: { code: currentCode(unescapeHtml(otpauth)) } };
  const choice = forms.find(({ fields }) => fields.factor === 'totp');
  if (choice) return { form: choice, fields: {} };
  const offer = forms.find(({ html }) => html.includes('value="never"'));
  if (offer) return { form: offer, fields: { do: 'skip' } };
  const consent = forms.find(({ html }) => html.includes('value="allow"'));
  if (consent) return { form: consent, fields: { do: 'allow' } };
  throw new Error(`This page was not expected: ${page.status} ${page.url}\n${page.html}`);
}

async function signIn(banner: Banner): Promise<void> {
  const agent = new Agent();
  const application = new URL(banner.demo).origin;
  let page = await leaveForSignIn(agent, await agent.get(banner.demo));
  for (let pages = 0; new URL(page.url).origin !== application; pages += 1) {
    if (page.status !== 200 || pages === MOST_PAGES) throw new Error(`The sign-in stopped at ${page.status} ${page.url}\n${page.html}`);
    const { form, fields } = answer(page, banner);
    page = await agent.submit(page, form, fields);
  }
  if (page.status !== 200 || !/\bamr\b/.test(page.html) || !/\bpwd\b/.test(page.html)) {
    throw new Error(`The demo application shows no tokens that speak of a password: ${page.status} ${page.url}\n${page.html}`);
  }
}

const dataDir = mkdtempSync(join(tmpdir(), 'cardea-smoke-'));
const cardea = await start(join(dataDir, 'data'));
try {
  await signIn(await bannerOf(cardea));
  console.log('Started by npm start with an empty data folder, and signed in to the demo application.');
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  console.error(`\nCardea printed:\n${cardea.printed.text}`);
  process.exitCode = 1;
} finally {
  await cardea.stop();
  rmSync(dataDir, { recursive: true, force: true });
}
