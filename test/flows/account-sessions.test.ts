/** Where a user is signed in, as the account console shows it: each session, each application with access, and the end of them. */
import { auditEvents } from '../../src/store/audit.ts';
import { App, Person, patient } from '../support/account.ts';
import { formsOf, type Page, unescapeHtml } from '../support/agent.ts';
import { giveApp } from '../support/attack.ts';
import { type RealmInput, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { Browser, openid, relyingParty, signIn } from '../support/sign-in.ts';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
const PHONE = 'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36';

const plain = (html: string): string => unescapeHtml(html.replaceAll(/<[^>]+>/g, ' ').replaceAll(/\s+/g, ' ')).trim();
const items = (page: Page): string[] =>
  [...page.html.matchAll(/<li class="method">([\s\S]*?)<\/div>\s*<\/li>/g)].map(([, inner = '']) => plain(inner));
const notice = (page: Page): string | undefined => /role="status">([^<]+)</.exec(page.html)?.[1];
const forms = (page: Page, ending: string) => formsOf(page).filter((form) => form.action.endsWith(ending));

forEachEngine((engine) => {
  let shared: ReturnType<typeof startCardea> | undefined;

  async function world(settings: RealmInput = {}) {
    shared ??= engine.database().then((db) => startCardea(db));
    const server = await shared;
    const realm = await server.realm(patient({ mfa: 'off', ...settings }));
    const base = `${server.origin}/realms/${realm.name}/account`;
    const user = await server.user(realm);
    const at = (agent: string) => new Person(server.origin, user, [], new Browser(server.origin, { 'user-agent': agent }));
    const application = async (input: Parameters<typeof server.client>[1] = {}) => relyingParty(server, realm, await server.client(realm, input));
    const ended = async () =>
      (await auditEvents(server.db.knex, realm.id, { type: 'session.ended', limit: 50 })).map(({ details, actor, subject, clientId }) => ({
        ...{ details: JSON.parse(details), actor, subject, clientId },
      }));
    return { server, realm, base, user, at, application, ended };
  }
  const refreshes = (rp: Awaited<ReturnType<typeof relyingParty>>, token: string | undefined): Promise<boolean> =>
    openid.refreshTokenGrant(rp.configuration, token ?? '').then(
      () => true,
      () => false,
    );

  engine.test('a user sees each session with its device and signs one of them out', async (t) => {
    const { server, realm, base, user, at, application, ended } = await world();
    const rp = await application({ name: 'Parts Catalogue' });
    const phone = new Browser(server.origin, { 'user-agent': PHONE });
    const { tokens } = await signIn(server, rp, user, { browser: phone });
    const desk = at(FIREFOX);
    let page = await desk.open(`${base}/sessions`);
    t.is(page.status, 200);
    const [mine = '', other = '', ...more] = items(page);
    t.deepEqual(more, []);
    t.regex(
      mine,
      /^Firefox on Linux This one basic Last used .+ · signed in .+ · 127\.0\.0\.1 Signed in with: Password Applications: Account console Sign out here$/,
    );
    t.regex(other, /^Chrome on Android basic Last used .+ Signed in with: Password Applications: Parts Catalogue Sign out$/);
    t.notRegex(page.html, /Access while you are away/);

    t.true((await openid.tokenIntrospection(rp.configuration, tokens.access_token)).active);
    page = await desk.press(page, '/end');
    t.is(notice(page), 'That session was signed out.');
    t.is(items(page).length, 1);
    t.regex(page.html, /You are signed in nowhere else\./);
    t.false((await openid.tokenIntrospection(rp.configuration, tokens.access_token)).active);
    t.false(await refreshes(rp, tokens.refresh_token));
    const { name } = realm;
    t.regex((await phone.visit(`${server.origin}/realms/${name}/account`)).html, /name="password"/, 'and asks for everything there');
    t.deepEqual(await ended(), [{ details: { sessions: 1 }, actor: user.id, subject: user.id, clientId: 'account-console' }]);
  });

  engine.test('what an application may do while its user is away is shown, and ends by itself', async (t) => {
    const { server, base, user, at, application, ended } = await world();
    const robot = await application({ name: 'Backup Robot' });
    const { tokens } = await signIn(server, robot, user, { parameters: { scope: 'openid offline_access' } });
    const desk = at(FIREFOX);
    let page = await desk.open(`${base}/sessions`);
    const [elsewhere] = forms(page, '/end');
    page = await desk.browser.send(page, {}, elsewhere);
    t.regex(plain(page.html), /Access while you are away .* Backup Robot Since .+ · last used .+ End access/);
    t.true(await refreshes(robot, tokens.refresh_token), 'it outlives the session');
    page = await desk.press(page, '/end-away');
    t.is(notice(page), 'That application may do nothing any more while you are away.');
    t.notRegex(page.html, /Backup Robot/);
    t.false(await refreshes(robot, tokens.refresh_token));
    t.like(await ended(), [{ details: { sessions: 0, offline: 1 }, clientId: robot.client.clientId }]);
  });

  engine.test('signing out everywhere else keeps this browser, and only what is ticked ends besides', async (t) => {
    const { server, base, user, at, application } = await world();
    const robot = await application({ name: 'Backup Robot' });
    const { tokens } = await signIn(server, robot, user, { parameters: { scope: 'openid offline_access' } });
    const rp = await application();
    const { tokens: others } = await signIn(server, rp, user);
    const desk = at(FIREFOX);
    await desk.open(base);
    let page = await desk.open(`${base}/sign-out-elsewhere`);
    t.regex(plain(page.html), /2 other sessions will end\./);
    t.regex(page.html, /name="offline" value="on" checked/);
    const [form] = forms(page, '/sign-out-elsewhere');
    const { offline: _ticked, ...without } = form?.fields ?? {};
    page = await desk.browser.visit(`${base}/sign-out-elsewhere`, {
      ...{ method: 'POST', body: new URLSearchParams(without), headers: { origin: server.origin, 'sec-fetch-site': 'same-origin' } },
    });
    t.is(notice(page), 'You are signed out everywhere else.');
    t.is(items(page).filter((item) => item.includes('Sign out')).length, 1);
    t.false(await refreshes(rp, others.refresh_token));
    t.true(await refreshes(robot, tokens.refresh_token), 'it was not ticked');

    page = await desk.open(`${base}/sign-out-elsewhere`);
    t.regex(plain(page.html), /There is no other session now\./);
    page = await desk.press(page, '/sign-out-elsewhere');
    t.false(await refreshes(robot, tokens.refresh_token));
    t.is((await desk.open(base)).url, base, 'and here one stays signed in');
    t.deepEqual(desk.asked, ['username']);
  });

  engine.test('signing out everywhere ends this browser too, and what was remembered of devices', async (t) => {
    const { server, realm, base, user, at, application, ended } = await world();
    const robot = await application({ name: 'Backup Robot' });
    const { tokens } = await signIn(server, robot, user, { parameters: { scope: 'openid offline_access' } });
    const desk = at(FIREFOX);
    await desk.open(base);
    await server.db
      .knex('devices')
      .where({ user_id: user.id })
      .update({ trust_hash: 'x', trusted_at: Date.now(), trust_until: Date.now() + 1e9, trust_basis: 'of these' });
    let page = await desk.open(`${base}/sign-out-everywhere`);
    t.regex(plain(page.html), /You will be signed out of every browser and application, this one too\./);
    page = await desk.browser.post(`${base}/sign-out-everywhere`, { offline: 'on', devices: 'on' });
    t.is(page.status, 200);
    t.regex(plain(page.html), /You are signed out everywhere Every session has ended, this one too\./);
    t.false(await refreshes(robot, tokens.refresh_token));
    t.is((await server.db.knex('sessions').where({ realm_id: realm.id }).whereNull('ended_at')).length, 0);
    t.is((await server.db.knex('devices').where({ user_id: user.id }).whereNotNull('trust_hash')).length, 0);
    t.regex((await desk.browser.visit(`${base}/sessions`)).html, /name="password"/);
    t.like(await ended(), [{ details: { sessions: 2, offline: 1 }, subject: user.id }]);
    await server.db.knex('users').where({ id: user.id }).decrement('not_before', 2_000);
    t.is((await at(FIREFOX).open(`${base}/sessions`)).status, 200, 'and signs in again');
  });

  engine.test('applications: what was allowed is listed, and taking it back ends the tokens and asks again', async (t) => {
    const { server, base, user, at, application } = await world();
    const rp = await application({ name: 'Photo Prints', firstParty: false });
    const own = await application({ name: 'Parts Catalogue' });
    const { tokens, browser } = await signIn(server, rp, user, { parameters: { scope: 'openid email' } });
    await signIn(server, own, user, { browser });
    const desk = at(FIREFOX);
    let page = await desk.open(`${base}/applications`);
    const listed = items(page);
    t.regex(listed.find((item) => item.startsWith('Photo Prints')) ?? '', /Signed in May see: .+ Allowed .+ Take back access Photo Prints$/);
    t.regex(listed.find((item) => item.startsWith('Parts Catalogue')) ?? '', /which doesn’t ask you\.$/);
    const [path = ''] = /\/realms\/[^"]+\/take-back/.exec(page.html) ?? [];
    page = await desk.open(`${server.origin}${path}`);
    t.regex(plain(page.html), /Take back the access of Photo Prints\?/);
    page = await desk.press(page, '/take-back');
    t.is(notice(page), 'The access of that application was taken back.');
    t.notRegex(page.html, /Photo Prints/);
    t.false((await openid.tokenIntrospection(rp.configuration, tokens.access_token)).active);
    t.false(await refreshes(rp, tokens.refresh_token));
    t.is((await server.db.knex('consents').where({ user_id: user.id })).length, 0);
    t.is((await desk.browser.visit(`${server.origin}${path}`)).status, 404, 'once');
    t.is((await desk.browser.post(`${server.origin}${path}`, {})).status, 404);
    const events = await auditEvents(server.db.knex, user.realmId, { type: 'consent.revoked', limit: 5 });
    t.deepEqual(
      events.map(({ actor, clientId }) => [actor, clientId]),
      [[user.id, rp.client.clientId]],
    );
  });

  engine.test('the level is what the session reaches now, and many sessions stand on several pages', async (t) => {
    const { server, realm, base, user, at } = await world({ mfa: 'optional' });
    const app = await giveApp(server, user);
    const desk = at(FIREFOX);
    desk.apps.push(new App(app.secret));
    let page = await desk.open(`${base}/sessions`);
    t.regex(items(page)[0] ?? '', /This one strong .* Signed in with: Password, Authenticator app/);
    const [row] = await server.db.knex('sessions').where({ realm_id: realm.id });
    for (let n = 0; n < 30; n += 1) {
      const id = crypto.randomUUID();
      await server.db.knex('sessions').insert({ ...row, id, uid: id, last_seen_at: row.last_seen_at - 2 * 3_600_000 - n });
    }
    page = await desk.open(`${base}/sessions`);
    t.is(items(page).length, 26);
    t.regex(items(page)[1] ?? '', /^Firefox on Linux basic /, 'after two hours without use the second step counts no more');
    t.regex(page.html, /sessions\?page=2/);
    page = await desk.open(`${base}/sessions?page=2`);
    t.is(items(page).length, 5);
    t.regex(page.html, /Newer/);
    t.is(items(await desk.open(`${base}/sessions?page=9999`)).length, 0);
    t.is((await desk.open(`${base}/sessions?page=-1`)).status, 200);
  });
});
