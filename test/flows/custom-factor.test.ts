/** The examples of custom factors, as they are: users enrol a module and a webhook and sign in with them, over HTTP. */

import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import { decodeJwt } from 'jose';
import { requireRealm } from '../../src/admin/resources/context.ts';
import { addWebhook, enableFactor, rotateWebhookSecret } from '../../src/admin/resources/custom-factors.ts';
import { loadFactorModules } from '../../src/factors/custom/modules.ts';
import type { RealmRow } from '../../src/store/realms.ts';
import { formsOf, type Page } from '../support/agent.ts';
import { type Cardea, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { listen } from '../support/listen.ts';
import { authorizationRequest, Browser, exchange, relyingParty, text } from '../support/sign-in.ts';

// What the installation of the example would have in its environment, before the module is loaded.
process.env.GRID_CARD_KEY = randomBytes(32).toString('base64url');
const { characterAt } = await import('../../examples/custom-factor/grid-card.ts');
const { createReceiver } = await import('../../examples/custom-factor/receiver.ts');
const MODULE = './examples/custom-factor/grid-card.ts';

/** Goes on from a page of the sign-in until it leads away: enrols or answers the factor, and puts off what is offered. */
async function goOn(
  browser: Browser,
  from: Page,
  user: { username: string; password: string },
  factor: string,
  answer: (page: Page) => string,
): Promise<Page> {
  let page = from;
  for (let pages = 0; pages < 8 && page.status === 200; pages += 1) {
    const forms = formsOf(page);
    const chosen = forms.find(({ fields }) => fields.factor === factor);
    if (chosen) page = await browser.send(page, {}, chosen);
    else if (forms[0]?.names.includes('username')) page = await browser.send(page, user);
    else if (forms[0]?.names.includes('code')) page = await browser.send(page, { code: answer(page) });
    else if (page.html.includes('value="skip"')) page = await browser.send(page, { do: 'skip' });
    else break;
  }
  return page;
}

/** The characters that a page asks for, off the user's card. */
const offTheCard =
  (userId: string) =>
  (page: Page): string => {
    const [fields] = /(?:[A-H][1-8], ){2}[A-H][1-8]/.exec(page.html) ?? [];
    return (fields?.split(', ') ?? []).map((field) => characterAt(userId, field)).join(' ');
  };

forEachEngine((engine) => {
  let shared: Promise<Cardea> | undefined;
  const cardea = () => {
    shared ??= (async () => startCardea(await engine.database(), { CARDEA_FACTOR_MODULES: MODULE, CARDEA_OUTBOUND_ALLOW: 'localhost:*' }))();
    return shared;
  };

  async function scene(prepare: (server: Cardea, realm: RealmRow) => Promise<unknown>) {
    const server = await cardea();
    const realm = await server.realm();
    await prepare(server, realm);
    const rp = await relyingParty(server, realm, await server.client(realm));
    const user = await server.user(realm);
    const credentials = { username: user.username, password: user.password };
    /** Signs in, asked for a second factor. */
    const signIn = async (factor: string, answer: (page: Page) => string, parameters: Record<string, string> = { acr_values: 'aal2' }) => {
      const browser = new Browser(server.origin);
      const request = await authorizationRequest(rp, parameters);
      const page = await goOn(browser, await browser.visit(request.url), credentials, factor, answer);
      return { browser, page, tokens: () => exchange(rp, request, page) };
    };
    return { server, realm: () => requireRealm(server.operator(), realm.name), user, signIn };
  }

  const useCard =
    (terms: { everyone?: boolean; level?: 'aal1' } = {}) =>
    async (server: Cardea, realm: RealmRow) =>
      enableFactor(server.operator(), realm, { id: 'custom-grid-card', terms, modules: await loadFactorModules([MODULE]) });

  /** A realm with the webhook, and the one address where now this service answers and now that, or none. */
  async function pagerScene() {
    let current: Server | undefined;
    const { port } = await listen((request, response) => (current ? current.emit('request', request, response) : request.destroy()));
    /** The pager of the example with a secret, from now on. */
    const startPager = (secret: string) => {
      const rung: { username: string; code: string }[] = [];
      current = createReceiver({ secret, page: (username, code) => rung.push({ username, code }) });
      return { rung, shown: () => rung.at(-1)?.code ?? '' };
    };
    const stopPager = (): void => {
      current = undefined;
    };
    const secrets: string[] = [];
    const { realm, server, ...scenery } = await scene(async (server, realm) => {
      const webhook = { slug: 'pager', url: `http://localhost:${port}/mfa`, name: 'Pager', amr: ['pager'] };
      secrets.push((await addWebhook(server.operator(), realm, webhook, () => undefined)).secret);
    });
    return { ...scenery, server, realm, secret: secrets[0] ?? '', startPager, stopPager };
  }

  engine.test('the grid card: enrolled on the way in, asked for at the next sign-in, and in the tokens', async (t) => {
    const { user, signIn, server } = await scene(useCard());
    const first = await (await signIn('custom-grid-card', offTheCard(user.id))).tokens();
    t.deepEqual(first.claims()?.amr, ['pwd', 'grid', 'mfa']);
    t.is(first.claims()?.acr, 'aal2');
    t.deepEqual(decodeJwt(first.access_token).amr, ['pwd', 'grid', 'mfa']);

    let asked = 0;
    const second = await signIn(
      'custom-grid-card',
      (page) => {
        asked += 1;
        t.true(page.html.includes('Confirm with'), text(page));
        return offTheCard(user.id)(page).toLowerCase();
      },
      {},
    );
    t.deepEqual((await second.tokens()).claims()?.amr, ['pwd', 'grid', 'mfa'], 'who owns it is asked for it');
    t.is(asked, 1);
    const types: string[] = await server.db.knex('audit_events').where({ realm_id: user.realmId, subject: user.id }).orderBy('at').pluck('type');
    t.true(types.includes('mfa.factor.enrolled') && types.includes('mfa.challenge.issued') && types.includes('mfa.challenge.ok'), types.join(' '));
  });

  engine.test("the grid card: wrong characters, and those of somebody else's card, are refused", async (t) => {
    const { user, signIn } = await scene(useCard());
    await (await signIn('custom-grid-card', offTheCard(user.id))).tokens();
    const { page } = await signIn('custom-grid-card', offTheCard('somebody else'));
    t.is(page.status, 400);
    t.true(page.html.includes('name="code"'), text(page));
  });

  engine.test('the grid card that everybody has needs no enrolment; one that is worth aal1 raises nothing', async (t) => {
    const { user, signIn } = await scene(useCard({ everyone: true }));
    const tokens = await (await signIn('custom-grid-card', offTheCard(user.id), {})).tokens();
    t.deepEqual(tokens.claims()?.amr, ['pwd', 'grid', 'mfa']);
    const weak = await scene(useCard({ everyone: true, level: 'aal1' }));
    const request = await (await weak.signIn('custom-grid-card', offTheCard(weak.user.id), {})).tokens();
    t.is(request.claims()?.acr, 'aal1');
  });

  engine.test('the pager: rung at enrolment and at the next sign-in, through the signed webhook', async (t) => {
    const { user, signIn, secret, startPager } = await pagerScene();
    const pager = startPager(secret);
    const first = await (await signIn('webhook-pager', pager.shown)).tokens();
    t.deepEqual(first.claims()?.amr, ['pwd', 'pager', 'mfa']);
    t.is(first.claims()?.acr, 'aal2');
    t.deepEqual(
      pager.rung.map(({ username }) => username),
      [user.username],
    );
    const second = await signIn(
      'webhook-pager',
      (page) => {
        t.true(page.html.includes('Look at your pager.'), text(page));
        return pager.shown();
      },
      {},
    );
    t.deepEqual((await second.tokens()).claims()?.amr, ['pwd', 'pager', 'mfa']);
    t.is(pager.rung.length, 2);
  });

  engine.test('F08 the pager with another secret, or gone: nobody gets in, and the page says so', async (t) => {
    const { signIn, secret, server, startPager, stopPager } = await pagerScene();
    const pager = startPager(secret);
    await (await signIn('webhook-pager', pager.shown)).tokens();

    // The service is replaced by somebody else's between the two pages.
    const { page } = await signIn('webhook-pager', () => pager.shown(), { prompt: 'login' });
    t.true(page.status > 300, 'as it should be');
    stopPager();
    const impostor = startPager('x'.repeat(43));
    const begun = await signIn('webhook-pager', impostor.shown, { prompt: 'login' });
    t.is(begun.page.status, 200, text(begun.page));
    t.false(begun.page.html.includes('name="code"'), 'there is nothing to answer');
    t.is(impostor.rung.length, 0, 'it cannot read requests as ours either');
    stopPager();
    const gone = await signIn('webhook-pager', () => '000000', { prompt: 'login' });
    t.false(gone.page.html.includes('name="code"'), text(gone.page));
    t.true(server.log.some((line) => line.includes('a custom factor failed')));
  });

  engine.test('F08 the pager goes away between the question and the answer', async (t) => {
    const { signIn, secret, startPager, stopPager } = await pagerScene();
    const pager = startPager(secret);
    await (await signIn('webhook-pager', pager.shown)).tokens();
    const { browser, page } = await signIn('webhook-pager', () => 'wrong', { prompt: 'login' });
    t.is(page.status, 400, text(page));
    stopPager();
    const refused = await browser.send(page, { code: pager.shown() });
    t.is(refused.status, 400, text(refused));
    t.true(refused.html.includes('does not answer at the moment'), text(refused));
    const back = startPager(secret);
    // The service has forgotten its codes: this one is as good as none, and another one can be asked for.
    const again = await browser.send(refused, { do: 'resend' });
    t.is(back.rung.length, 1, text(again));
    const done = await browser.send(again, { code: back.shown() });
    t.true(done.status > 300, text(done));
  });

  engine.test('a secret is replaced while people sign in', async (t) => {
    const { realm, signIn, secret, server, startPager } = await pagerScene();
    const before = startPager(secret);
    await (await signIn('webhook-pager', before.shown)).tokens();
    const { secret: newer } = await rotateWebhookSecret(server.operator(), await realm(), 'webhook-pager');
    t.deepEqual(
      (await (await signIn('webhook-pager', before.shown, { prompt: 'login' })).tokens()).claims()?.amr,
      ['pwd', 'pager', 'mfa'],
      'the older is good',
    );
    const after = startPager(newer);
    t.deepEqual(
      (await (await signIn('webhook-pager', after.shown, { prompt: 'login' })).tokens()).claims()?.amr,
      ['pwd', 'pager', 'mfa'],
      'and so is the newer',
    );
  });
});
