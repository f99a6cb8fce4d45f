/** What keycloak-js asks in frames, over HTTP: whether a session still stands, and whether its cookies come. */
import { decodeJwt } from 'jose';
import { arena, begin, type Scene } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { approve, ask as askForDevice, ON_DEVICES } from '../support/device.ts';
import { authorizationRequest, Browser, relyingParty, signIn } from '../support/sign-in.ts';

const SPA = 'https://spa.example';
const REDIRECT = `${SPA}/callback`;

forEachEngine((engine) => {
  const { scene } = arena(engine);
  const spa = () => scene({ mfa: 'off' }, { publicClient: true, redirectUris: [REDIRECT], webOrigins: ['+'] });
  const frame = ({ server, realm }: Scene) => `${server.origin}/realms/${realm.name}/protocol/openid-connect/login-status-iframe.html`;
  const ask = (stage: Scene, browser: Browser, query: Record<string, string>, headers: Record<string, string> = {}) =>
    browser.request(`${frame(stage)}/init?${new URLSearchParams({ client_id: stage.rp.client.clientId, origin: SPA, ...query })}`, { headers });
  const statusCookie = (browser: Browser) => browser.jar.find(({ name }) => name === 'cardea_status');

  engine.test('a session is unchanged for the sid that this browser has at this client, and changed for every other', async (t) => {
    const stage = await spa();
    const nobody = new Browser(stage.server.origin);
    const state = async (browser: Browser, session: unknown) => (await ask(stage, browser, { session_state: String(session) })).html;
    t.is(await state(nobody, ''), 'unchanged', 'nobody is signed in, and the page knows of nobody');
    const user = await stage.server.user(stage.realm);
    const { browser, tokens } = await signIn(stage.server, stage.rp, user);
    const sid = String(decodeJwt(tokens.access_token).sid);
    t.is(tokens.session_state, sid);
    t.is(await state(browser, sid), 'unchanged');
    t.is(await state(browser, ''), 'changed', 'somebody is signed in now');
    t.is(await state(nobody, sid), 'changed', 'in another browser it is nothing');

    const other = await relyingParty(
      stage.server,
      stage.realm,
      await stage.server.client(stage.realm, { redirectUris: [REDIRECT], webOrigins: ['+'] }),
    );
    t.is((await ask(stage, browser, { client_id: other.client.clientId, session_state: String(sid) })).html, 'changed', 'of another client');
    const page = await browser.visit((await authorizationRequest(other)).url);
    const theirs = new URL(page.headers.get('location') ?? '').searchParams.get('session_state');
    t.is((await ask(stage, browser, { client_id: other.client.clientId, session_state: String(theirs) })).html, 'unchanged');
    t.is(await state(browser, theirs), 'changed');

    await stage.server.db.knex('sessions').where({ realm_id: stage.realm.id, user_id: user.id }).update({ ended_at: Date.now() });
    t.is(await state(browser, sid), 'changed', 'it was ended from afar');
    t.is(await state(browser, ''), 'unchanged');
  });

  engine.test('it is told to origins that the client names, and asked by our own frame', async (t) => {
    const stage = await spa();
    const { browser, tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    const session_state = String(tokens.session_state);
    const allowed = await ask(stage, browser, {});
    t.is(allowed.status, 204);
    t.is(allowed.headers.get('cross-origin-resource-policy'), 'same-origin');
    t.is((await ask(stage, browser, { origin: stage.server.origin })).status, 204, 'a page of our own');
    const foreign = ['https://evil.example', 'null', '', '*', 'http://spa.example', `${SPA}/`, `${SPA}.evil.example`, 'https://SPA.example'];
    const refused = new Set<string>();
    const wrong: Record<string, string>[] = [...foreign.map((origin) => ({ origin })), { client_id: 'nobody' }, { client_id: '' }];
    for (const query of wrong) {
      for (const more of [undefined, { session_state }]) {
        const answer = await ask(stage, browser, { ...query, ...more }, { accept: 'application/json' });
        t.is(answer.status, 403, JSON.stringify(query));
        refused.add(answer.html);
      }
    }
    t.is(refused.size, 1, 'and a client that there is not is refused like one that there is');
    for (const site of ['cross-site', 'same-site', 'none'])
      t.is((await ask(stage, browser, { session_state }, { 'sec-fetch-site': site })).status, 403, site);
    t.is(
      (await ask(stage, browser, { session_state }, { 'sec-fetch-site': 'same-origin', origin: 'https://evil.example' })).headers.get(
        'access-control-allow-origin',
      ),
      null,
    );
    const missing = await browser.request(`${frame(stage)}/init?client_id=x`, { headers: { accept: 'application/json' } });
    t.is(missing.status, 400);
    t.regex(missing.html, /"field":"origin"/);
    const twice = await browser.request(`${frame(stage)}/init?client_id=x&origin=${SPA}&origin=https://evil.example`);
    t.is(twice.status, 400);
    t.is((await browser.request(`${frame(stage)}/init`, { method: 'POST' })).status, 404);
    const open = await scene({ mfa: 'off' }, { publicClient: true, redirectUris: [REDIRECT], webOrigins: ['*'] });
    t.is((await ask(open, new Browser(open.server.origin), { origin: 'https://other.example' })).status, 403, 'a star names nobody');
  });

  engine.test('the cookie that the frame reads says that something has changed, and nothing else', async (t) => {
    const stage = await spa();
    const user = await stage.server.user(stage.realm);
    const { browser, tokens } = await signIn(stage.server, stage.rp, user);
    const first = statusCookie(browser);
    t.is(first?.path, new URL(frame(stage)).pathname, 'it is sent nowhere else');
    t.regex(first?.value ?? '', /^[\w-]{43}$/);
    const { uid } = (await stage.server.db.knex('sessions').where({ realm_id: stage.realm.id, user_id: user.id }).first('uid')) ?? {};
    for (const known of [tokens.session_state, uid, user.id, browser.cookies('localhost').cardea_session])
      t.false(first?.value.includes(String(known)));
    const silent = await begin(stage, { browser, parameters: { prompt: 'none' } });
    const [line = ''] = silent.page.headers.getSetCookie().filter((cookie) => cookie.startsWith('cardea_status='));
    t.is(statusCookie(browser)?.value, first?.value, 'the same session');
    t.regex(line, /; samesite=lax/i);
    t.notRegex(line, /httponly/i);

    await browser.visit(`${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/logout?id_token_hint=${tokens.id_token}`);
    t.is(statusCookie(browser), undefined, 'signed out');
    const again = await signIn(stage.server, stage.rp, user, { browser });
    t.not(statusCookie(again.browser)?.value, first?.value, 'another session of the same user');
    const stranger = await new Browser(stage.server.origin).visit((await authorizationRequest(stage.rp)).url);
    t.deepEqual(
      stranger.headers.getSetCookie().filter((cookie) => cookie.startsWith('cardea_status')),
      [],
    );
  });

  engine.test('a session that begins where a device is approved is one like any other, and so is its end by the button', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const browser = new Browser(stage.server.origin);
    await approve(browser, await askForDevice(stage), await stage.server.user(stage.realm));
    t.truthy(statusCookie(browser));
    const out = await browser.visit(`${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/logout`);
    t.truthy(statusCookie(browser), 'to be asked changes nothing');
    await browser.send(out, { logout: 'yes' });
    t.is(statusCookie(browser), undefined);
  });

  engine.test('whether cookies come is said by one that is like the session’s', async (t) => {
    const stage = await spa();
    const at = (step: number) => `${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/3p-cookies/step${step}.html`;
    const browser = new Browser(stage.server.origin);
    t.regex((await browser.request(at(2))).html, /data-cookies="unsupported"/);
    const first = await browser.request(at(1));
    t.regex(first.headers.getSetCookie().join(), /^cardea_probe=1; .*httponly.*$/i);
    t.regex(first.headers.getSetCookie().join(), /samesite=lax/i);
    t.notRegex(first.html, /data-cookies/);
    t.regex((await browser.request(at(2))).html, /data-cookies="supported"/);
    t.regex((await browser.request(at(2))).html, /data-cookies="unsupported"/, 'once');
    t.is((await browser.request(at(3))).status, 404);
  });

  engine.test('F06 these pages alone may be framed: they show nothing, and run our own script alone', async (t) => {
    const stage = await spa();
    const below = `${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect`;
    for (const path of ['login-status-iframe.html', '3p-cookies/step1.html', '3p-cookies/step2.html']) {
      const page = await new Browser(stage.server.origin).request(`${below}/${path}`);
      t.is(page.status, 200);
      t.is(page.headers.get('x-frame-options'), null);
      const policy = page.headers.get('content-security-policy') ?? '';
      t.is(policy, "default-src 'none'; script-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors *", path);
      t.regex(page.html, /<script type="module" src="\/resources\/[0-9a-f]{16}\/[a-z-]+\.js"><\/script>/);
      t.notRegex(page.html, /<(?:body|form|a|button|input|style)\b|<script>|\son\w+=/);
    }
    for (const path of [
      'login-status-iframe.html/init?client_id=x',
      'login-status-iframe.html/init',
      'login-status-iframe.html/x',
      'auth',
      'logout',
    ]) {
      const page = await new Browser(stage.server.origin).request(`${below}/${path}`);
      t.is(page.headers.get('x-frame-options'), 'DENY', path);
      t.regex(page.headers.get('content-security-policy') ?? '', /frame-ancestors 'none'/, path);
    }
  });

  engine.test('F01 a session of one realm is nothing to the frame of another', async (t) => {
    const stage = await spa();
    const other = await scene({ mfa: 'optional' }, { publicClient: true, redirectUris: [REDIRECT], webOrigins: ['+'] });
    const { browser, tokens } = await signIn(stage.server, stage.rp, await stage.server.user(stage.realm));
    browser.plant(browser.jar.map((cookie) => ({ ...cookie, path: cookie.path.replace(stage.realm.name, other.realm.name) })));
    t.is((await ask(other, browser, { session_state: String(tokens.session_state) })).html, 'changed');
    t.is((await ask(other, browser, { session_state: '' })).html, 'unchanged', 'nobody is signed in there');
  });
});
