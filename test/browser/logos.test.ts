/** The logo of an application in a real browser: it is there under the page's policy, and nobody but us is asked for it. */
import test from 'ava';
import { axe, browserTest, launch } from '../support/browser.ts';
import { startCardea } from '../support/cardea.ts';
import { atEnd } from '../support/cleanup.ts';
import { onSqlite } from '../support/databases.ts';
import { pictureOf, pictureServer, settledLogo } from '../support/logos.ts';
import { authorizationRequest, relyingParty } from '../support/sign-in.ts';

const inBrowser = browserTest(test);

inBrowser('the sign-in shows the logo from our own origin, in the place that was kept for it', async (t) => {
  const pictures = await pictureServer({ '/logo.png': { body: await pictureOf(800, 320, 'webp', 'green') } });
  const cardea = await startCardea(await onSqlite.open(), { CARDEA_OUTBOUND_ALLOW: `127.0.0.1:${pictures.port}` });
  const realm = await cardea.realm({ mfa: 'off' });
  const client = await cardea.client(realm, { name: 'Parts Catalogue', firstParty: false, attributes: { logoUri: pictures.at('/logo.png') } });
  await settledLogo(cardea.db, client.row.id);
  const browser = await launch();
  atEnd(() => browser.close());
  const page = await (await browser.newContext({ locale: 'en-GB', colorScheme: 'dark' })).newPage();
  const asked = new Set<string>();
  const complaints: string[] = [];
  page.on('request', (request) => asked.add(new URL(request.url()).origin));
  page.on('console', (message) => complaints.push(message.text()));
  await page.goto((await authorizationRequest(await relyingParty(cardea, realm, client))).url, { waitUntil: 'networkidle' });

  const logo = page.getByRole('img', { name: 'Logo of Parts Catalogue' });
  t.is(await logo.evaluate((image) => Object(image).naturalWidth), 240, 'it was loaded, fine enough for fine screens');
  t.like(await logo.evaluate((image) => ({ width: Object(image).width, height: Object(image).height })), { width: 120, height: 48 });
  t.is(await page.locator('.application .hint').innerText(), 'app.example');
  t.deepEqual([[...asked], complaints, await axe(page)], [[cardea.origin], [], []]);
  t.is(pictures.asked('/logo.png'), 1);
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/real-sign-in.png` });
});
