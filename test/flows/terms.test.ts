/** The realm's terms: asked of whom an administrator says, and accepted or not (`TERMS_AND_CONDITIONS`). */
import { randomUUID } from 'node:crypto';
import { adminWorld } from '../support/admin.ts';
import type { Page } from '../support/agent.ts';
import { audited, type TestUser } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { keycloakClient, refusal } from '../support/keycloak.ts';
import { authorizationRequest, Browser, exchange, relyingParty, text } from '../support/sign-in.ts';

const ALIAS = 'TERMS_AND_CONDITIONS';
const ENGLISH = 'Whoever signs in here keeps to the rules.\nAll of them.\n\n<b>No & exceptions</b>\n\nhttps://acme.example.com/terms';

forEachEngine((engine) => {
  const world = adminWorld(engine);
  const scene = async (enabled = true) => {
    const { server, admin } = await world();
    const realm = await server.realm({ mfa: 'off' });
    const client = keycloakClient(server, realm, admin.token);
    const rp = await relyingParty(server, realm, await server.client(realm));
    if (enabled) {
      await client.authenticationManagement.updateRequiredAction({ alias: ALIAS }, { enabled: true });
      await client.realms.update(
        { realm: realm.name },
        { attributes: { 'cardea.terms': ENGLISH, 'cardea.terms.de': 'Wer sich hier anmeldet, hält die Regeln ein.' } },
      );
    }
    const begin = async (user: Pick<TestUser, 'username' | 'password'>, parameters: Record<string, string> = {}) => {
      const browser = new Browser(server.origin);
      const request = await authorizationRequest(rp, parameters);
      const page = await browser.visit(request.url);
      return { browser, request, page: await browser.send(page, { username: user.username, password: user.password }) };
    };
    const accepted = async (user: TestUser) => (await client.users.findOne({ id: user.id }))?.attributes?.terms_and_conditions;
    const actions = async (user: TestUser) => (await client.users.findOne({ id: user.id }))?.requiredActions;
    return { server, admin, realm, client, rp, begin, accepted, actions };
  };
  const said = (page: Page) => new URL(page.headers.get('location') ?? 'about:blank').searchParams;

  engine.test('off as made; switched on over REST it is asked of whom it is required, once, and noted with its time', async (t) => {
    const { server, realm, client, rp, begin, accepted, actions } = await scene(false);
    const authentication = client.authenticationManagement;
    const user = await server.user(realm);
    await client.users.update({ id: user.id }, { requiredActions: [ALIAS], attributes: { shoe: ['42'] } });
    t.like(await authentication.getRequiredActionForAlias({ alias: ALIAS }), { enabled: false, defaultAction: false });
    t.true(said((await begin(user)).page).has('code'), 'not asked while it is off');
    t.deepEqual(await actions(user), [ALIAS]);

    await authentication.updateRequiredAction({ alias: ALIAS }, { enabled: true });
    t.like(await authentication.getRequiredActionForAlias({ alias: ALIAS }), { enabled: true });
    t.regex(text((await begin(user)).page), /terms are not written down here/);
    await client.realms.update({ realm: realm.name }, { attributes: { 'cardea.terms': ENGLISH } });

    const { browser, request, page } = await begin(user);
    t.regex(text(page), /Terms and conditions/);
    t.regex(page.html, /keeps to the rules\.<br>\s*All of them\./);
    t.true(page.html.includes('&lt;b&gt;No &amp; exceptions&lt;/b&gt;'), 'text, and no markup');
    t.regex(page.html, /href="https:\/\/acme\.example\.com\/terms" rel="noreferrer"/);
    t.notRegex(page.html, /asks for this/);
    for (const fields of [{ do: 'skip' }, { do: 'never' }, { do: 'another' }, { code: '123456' }, {}] as Record<string, string>[])
      t.regex(text(await browser.send(await browser.visit(page.url), fields)), /Terms and conditions/);
    const before = Math.floor(Date.now() / 1000);
    const done = await browser.send(await browser.visit(page.url), { do: 'accept' });
    t.truthy((await exchange(rp, request, done)).id_token);
    const [at = ''] = (await accepted(user)) ?? [];
    t.regex(at, /^\d+$/);
    t.true(Number(at) >= before && Number(at) <= Date.now() / 1000);
    t.deepEqual((await client.users.findOne({ id: user.id }))?.attributes?.shoe, ['42'], 'other attributes stay');
    t.deepEqual(await actions(user), []);
    t.true(said((await begin(user)).page).has('code'), 'once');
    t.is((await audited({ server, realm, rp }, 'user.terms-accepted', { user: user.id })).length, 1);
  });

  engine.test('declined: the sign-in ends, what was accepted before is not any more, and it is asked again', async (t) => {
    const { server, realm, client, rp, begin, accepted } = await scene();
    const user = await server.user(realm);
    await client.users.update({ id: user.id }, { requiredActions: [ALIAS], attributes: { terms_and_conditions: ['1700000000'] } });
    const { browser, page } = await begin(user);
    const back = await browser.send(page, { do: 'deny' });
    t.is(said(back).get('error'), 'access_denied');
    t.false(said(back).has('code'));
    t.is(await accepted(user), undefined);
    t.is((await audited({ server, realm, rp }, 'user.terms-declined', { user: user.id })).length, 1);
    t.regex(text((await begin(user)).page), /Terms and conditions/);
  });

  engine.test('a default action is asked of every new user, before a password of their own', async (t) => {
    const { client, begin } = await scene();
    await client.authenticationManagement.updateRequiredAction({ alias: ALIAS }, { defaultAction: true });
    const username = `new-${randomUUID()}`;
    const credentials = [{ type: 'password', value: 'four words of my own', temporary: true }];
    const { id } = await client.users.create({ username, enabled: true, credentials });
    t.deepEqual((await client.users.findOne({ id }))?.requiredActions?.toSorted(), [ALIAS, 'UPDATE_PASSWORD']);
    const { browser, page } = await begin({ username, password: 'four words of my own' });
    t.regex(text(page), /Terms and conditions/);
    t.regex(text(await browser.send(page, { do: 'accept' })), /Choose a new password/);
  });

  engine.test('in the language of the page, where the realm has them in it', async (t) => {
    const { server, realm, client, begin } = await scene();
    const user = await server.user(realm);
    await client.users.update({ id: user.id }, { requiredActions: [ALIAS] });
    const german = (await begin(user, { ui_locales: 'de' })).page;
    t.regex(text(german), /Nutzungsbedingungen/);
    t.regex(text(german), /hält die Regeln ein/);
    t.regex(text((await begin(user, { ui_locales: 'fr' })).page), /keeps to the rules/);
  });

  engine.test('an application asks for it: accepted, or not, which takes nothing away', async (t) => {
    const { server, realm, rp, begin, accepted } = await scene();
    const user = await server.user(realm);
    const wish = { kc_action: ALIAS };
    const first = await begin(user, wish);
    t.regex(first.page.html, /asks for this/);
    const done = await first.browser.send(first.page, { do: 'accept' });
    t.deepEqual([said(done).get('kc_action'), said(done).get('kc_action_status')], [ALIAS, 'success']);
    const at = await accepted(user);
    t.is(at?.length, 1);
    const second = await begin(user, wish);
    const not = await second.browser.send(second.page, { do: 'deny' });
    t.deepEqual([said(not).has('code'), said(not).get('kc_action_status')], [true, 'cancelled']);
    t.deepEqual(await accepted(user), at);
    t.is((await audited({ server, realm, rp }, 'user.terms-declined', { user: user.id })).length, 1);
    const off = await scene(false);
    const other = await off.server.user(off.realm);
    t.is(said((await off.begin(other, wish)).page).get('kc_action_status'), 'error');
  });

  engine.test('what has no page stays off', async (t) => {
    const { client } = await scene(false);
    t.is((await refusal(client.authenticationManagement.updateRequiredAction({ alias: 'delete_account' }, { enabled: true }))).status, 501);
  });
});
