/** Attacks on the device flow (RFC 8628 section 5): each must fail, on whichever node it is tried. */
import { realmSettings } from '../../src/realms/settings.ts';
import { DAY } from '../support/addresses.ts';
import { formsOf, type Page } from '../support/agent.ts';
import { arena, audited, call, getFrom, parallel, postTo, type Scene, sessionsOf, tally } from '../support/attack.ts';
import { forEachEngine } from '../support/databases.ts';
import { approve, ask, confirm, DEVICE_GRANT, enter, isConfirmation, isDone, ON_DEVICES, poll, type Waiting } from '../support/device.ts';
import { stage as impersonationStage, linkFor } from '../support/impersonation.ts';
import { Browser, openid, signIn, text } from '../support/sign-in.ts';

const deviceCode = ({ rp }: Scene, code: string): Record<string, string> => ({
  grant_type: DEVICE_GRANT,
  device_code: code,
  client_id: rp.client.clientId,
});

forEachEngine((engine) => {
  const { scene, nodes } = arena(engine);

  /** A user signed in at a browser, who approved nothing yet. */
  async function signedIn(stage: Scene) {
    const user = await stage.server.user(stage.realm);
    const web = await scene({ mfa: 'off' });
    const { browser } = await signIn(web.server, web.rp, user);
    return { user, browser };
  }

  engine.test('of many polls at once for an approved code one gets tokens, on two nodes, and what came again has ended them', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const { browser } = await signedIn(stage);
    const waiting = await ask(stage);
    t.true(isDone(await confirm(browser, waiting)));
    const all = await nodes();
    const answers = await parallel(20, (index) =>
      call(all[index % all.length] ?? stage.server, stage.realm, 'token', deviceCode(stage, waiting.device_code)),
    );
    t.deepEqual(tally(answers), { 200: 1, 400: 19 });
    t.deepEqual([...new Set(answers.filter(({ status }) => status === 400).map(({ body }) => body.error))], ['invalid_grant']);
    const refreshToken = String(answers.find(({ status }) => status === 200)?.body.refresh_token);
    await t.throwsAsync(openid.refreshTokenGrant(stage.rp.configuration, refreshToken));
    t.true((await audited(stage, 'token.reuse', { client: stage.rp.client.clientId })).length > 0);
  });

  engine.test('a code that comes again after its exchange gets nothing, and ends its tokens', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const { browser } = await signedIn(stage);
    const waiting = await ask(stage);
    t.true(isDone(await confirm(browser, waiting)));
    const first = await poll(stage, waiting.device_code);
    t.is(first.status, 200);
    t.is((await poll(stage, waiting.device_code)).error, 'invalid_grant');
    await t.throwsAsync(openid.refreshTokenGrant(stage.rp.configuration, String(first.body.refresh_token)));
    const [row] = await audited(stage, 'token.reuse', { client: stage.rp.client.clientId });
    t.deepEqual(JSON.parse(row?.details ?? ''), { kind: 'DeviceCode' });
  });

  engine.test('polls at once on two nodes are held to the interval together', async (t) => {
    const stage = await scene({ mfa: 'off' }, { ...ON_DEVICES, attributes: { ...ON_DEVICES.attributes, 'oauth2.device.polling.interval': '60' } });
    const waiting = await ask(stage);
    const all = await nodes();
    const answers = await parallel(20, (index) =>
      call(all[index % all.length] ?? stage.server, stage.realm, 'token', deviceCode(stage, waiting.device_code)),
    );
    const errors = answers.map(({ body }) => body.error);
    t.is(errors.filter((error) => error === 'authorization_pending').length, 1);
    t.is(errors.filter((error) => error === 'slow_down').length, 19);
  });

  engine.test('of many browsers that approve one code at once one does, and the tokens are of that one', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const waiting = await ask(stage);
    const people = await parallel(6, () => signedIn(stage));
    const pages = await Promise.all(people.map(async ({ browser }) => ({ browser, page: await enter(browser, waiting) })));
    const all = await nodes();
    const answers = await Promise.all(
      pages.map(({ browser, page }, index) => {
        const [form] = formsOf(page);
        return postTo(all[index % all.length] ?? stage.server, browser, form?.action ?? '', { ...form?.fields, confirm: 'yes' });
      }),
    );
    const winner = answers.findIndex(isDone);
    t.is(answers.filter(isDone).length, 1, answers.map((page) => `${page.status} ${text(page).slice(0, 80)}`).join('\n'));
    const { body } = await poll(stage, waiting.device_code);
    const claims = Object(JSON.parse(Buffer.from(String(body.access_token).split('.')[1] ?? '', 'base64url').toString()));
    t.is(claims.sub, people[winner]?.user.id);
    t.is((await audited(stage, 'device.approved', { client: stage.rp.client.clientId })).length, 1);
  });

  engine.test('approving and denying at once end in one of the two', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const waiting = await ask(stage);
    const { browser } = await signedIn(stage);
    const [form] = formsOf(await enter(browser, waiting));
    const all = await nodes();
    await parallel(6, (index) =>
      postTo(all[index % all.length] ?? stage.server, browser, form?.action ?? '', {
        ...form?.fields,
        ...(index % 2 === 0 ? { confirm: 'yes' } : { abort: 'yes' }),
      }),
    );
    const approved = await audited(stage, 'device.approved', { client: stage.rp.client.clientId });
    const denied = await audited(stage, 'device.denied', { client: stage.rp.client.clientId });
    t.is(approved.length + denied.length, 1);
    const { status, error } = await poll(stage, waiting.device_code);
    t.is(status === 200 ? 'approved' : error, approved.length === 1 ? 'approved' : 'access_denied');
  });

  engine.test('F01 a code of another client, another realm, or by its stored hash is no code', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const other = await scene({ mfa: 'off' }, ON_DEVICES);
    const elsewhere = await scene({ mfa: 'off', accessCodeLifespan: 59 }, ON_DEVICES);
    const { browser } = await signedIn(stage);
    const waiting = await ask(stage);
    const theirs = await enter(new Browser(stage.server.origin), {
      ...waiting,
      verification_uri: waiting.verification_uri.replace(stage.realm.name, elsewhere.realm.name),
    });
    t.is(theirs.status, 400, 'a user code of one realm is unknown in another');
    t.true(isDone(await confirm(browser, waiting)));
    t.is((await poll(other, waiting.device_code)).error, 'invalid_grant');
    t.is((await poll(elsewhere, waiting.device_code)).error, 'invalid_grant');
    const rows = await stage.server.db
      .knex('oidc_payloads')
      .where({ realm_id: stage.realm.id, model: 'DeviceCode', user_code: waiting.user_code.replace('-', '') });
    t.is(rows.length, 1);
    t.false(JSON.stringify(rows).includes(waiting.device_code), 'only its hash is stored');
    for (const stolen of [rows[0].id, `#${rows[0].id}`]) t.is((await poll(stage, stolen)).error, 'invalid_grant');
    t.is((await poll(stage, waiting.device_code)).status, 200, 'none of that has spent it');
  });

  engine.test('guessing user codes: an address has so many, wrong or of any realm’s, before any is looked for; nobody else waits', async (t) => {
    const stage = await scene({ mfa: 'off', throttling: tight({ failures: 10 }) }, ON_DEVICES);
    const waiting = await ask(stage);
    const all = await nodes();
    // Each from a browser of its own: a page is good for one guess.
    const guesses = await parallel(30, (index) => guessed(stage, waiting, index, all[index % all.length]));
    t.deepEqual(tally(guesses), { 400: 10, 429: 20 });
    const browser = new Browser(stage.server.origin);
    const [form] = formsOf(await browser.visit(waiting.verification_uri));
    const right = await postTo(stage.server, browser, form?.action ?? '', { ...form?.fields, user_code: waiting.user_code });
    t.is(right.status, 429, 'the right one is not looked for either');
    t.truthy(right.headers.get('retry-after'));
  });

  engine.test('a whole realm has so many wrong codes, from however many addresses', async (t) => {
    const stage = await scene({ mfa: 'off', throttling: tight({}, { failures: 50, within: 3_600 }) }, ON_DEVICES);
    const waiting = await ask(stage);
    const guesses = await parallel(70, (index) => guessed(stage, waiting, index));
    t.deepEqual(tally(guesses), { 400: 50, 429: 20 });
  });

  engine.test('a wrong, a used and a denied code are answered alike', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const { browser } = await signedIn(stage);
    const [used, denied] = [await ask(stage), await ask(stage)];
    await confirm(browser, used);
    await browser.send(await enter(browser, denied), { abort: 'yes' });
    const said = async (typed: string) => {
      const page = await enter(browser, used, typed);
      return [page.status, text(page).replaceAll(typed, '')];
    };
    const wrong = await said('BCDF-GHJK');
    t.is(wrong[0], 400);
    for (const { user_code } of [used, denied]) t.deepEqual(await said(user_code), wrong);
  });

  engine.test('C03 a form of another origin, without the page’s word, or by GET approves nothing', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const { browser } = await signedIn(stage);
    const waiting = await ask(stage);
    const [form] = formsOf(await enter(browser, waiting));
    const action = form?.action ?? '';
    const fields = { ...form?.fields, confirm: 'yes' };
    const posts: [string, Promise<Page>][] = [
      ['another origin', browser.visit(action, { method: 'POST', body: new URLSearchParams(fields), headers: { origin: 'https://evil.example' } })],
      ['a sandboxed page', browser.visit(action, { method: 'POST', body: new URLSearchParams(fields), headers: { origin: 'null' } })],
      ['nothing said', browser.visit(action, { method: 'POST', body: new URLSearchParams(fields) })],
      ['no word', browser.post(action, { ...fields, xsrf: '' })],
      ['another word', browser.post(action, { ...fields, xsrf: 'a'.repeat(48) })],
      ['another browser', new Browser(stage.server.origin).post(action, fields)],
      ['GET', browser.visit(`${action}?${new URLSearchParams(fields)}`)],
    ];
    for (const [name, sent] of posts) t.false(isDone(await sent), name);
    t.is((await poll(stage, waiting.device_code)).error, 'authorization_pending');
  });

  engine.test(
    'B05 an attacker who begins the approval and plants it in the victim’s browser does not come back with the victim’s sign-in',
    async (t) => {
      const stage = await scene({ mfa: 'off' }, ON_DEVICES);
      const victim = await stage.server.user(stage.realm);
      const waiting = await ask(stage);
      for (const [name, spelled] of SPELLINGS) {
        const fresh: Waiting = name === 'its own address' ? waiting : await ask(stage);
        const attacker = new Browser(stage.server.origin);
        // Not to the sign-in itself, which would be his from then on.
        const [form] = formsOf(await enter(attacker, fresh));
        const begun = await attacker.request(form?.action ?? '', {
          method: 'POST',
          body: new URLSearchParams({ ...form?.fields, confirm: 'yes' }),
          headers: { origin: stage.server.origin },
        });
        const login = { url: begun.headers.get('location') ?? '' };
        const browser = new Browser(stage.server.origin);
        browser.plant(attacker.jar.filter((cookie) => cookie.name.startsWith('cardea_interaction')));
        const page = await browser.visit(login.url);
        const posted = await browser.request(login.url, {
          method: 'POST',
          body: new URLSearchParams({ ...formsOf(page)[0]?.fields, username: victim.username, password: victim.password }),
          headers: { origin: stage.server.origin },
        });
        const back = new URL(posted.headers.get('location') ?? '', login.url).href;
        const done = back.includes('/login/') ? (await browser.request(back)).headers.get('location') : back;
        t.true(done?.includes('/device/'), `${name}: ${back} ${text(posted)}`);
        const taken = await getFrom(stage.server, attacker, spelled(String(done)));
        t.true(taken.status >= 400 && taken.status < 500, `${name}: ${taken.status}`);
        t.false(isDone(taken), name);
        t.is((await poll(stage, fresh.device_code)).error, 'authorization_pending', name);
      }
      t.is((await audited(stage, 'device.approved', { client: stage.rp.client.clientId })).length, 0);
    },
  );

  engine.test('B01 with the password alone, or a sign-in for an application, nothing is approved', async (t) => {
    const stage = await scene({ mfa: 'required' }, ON_DEVICES);
    const user = await stage.server.user(stage.realm);
    const waiting = await ask(stage);
    const browser = new Browser(stage.server.origin);
    const login = await confirm(browser, waiting);
    const half = await browser.send(login, { username: user.username, password: user.password });
    t.false(isDone(half));
    const uid = login.url.split('/').at(-1);
    const early = await browser.visit(`${stage.server.origin}/realms/${stage.realm.name}/device/${uid}`);
    t.false(isDone(early));
    t.true(early.url.includes('/login/'), 'it leads back to the question');
    const elsewhere = await browser.visit(`${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/auth/${uid}`);
    t.is(elsewhere.status, 404, 'a device comes back by its own way alone');
    t.is((await poll(stage, waiting.device_code)).error, 'authorization_pending');
  });

  engine.test('an administrator who acts as a user signs in no device', async (t) => {
    const { server } = await scene({ mfa: 'off' });
    const on = await impersonationStage(server, { client: ON_DEVICES });
    const browser = new Browser(server.origin);
    const page = await browser.visit(await linkFor(on));
    await browser.send(page, {});
    const waiting = await ask(on);
    const refused = await confirm(browser, waiting);
    t.false(isDone(refused), text(refused));
    t.is((await poll(on, waiting.device_code)).error, 'unmet_authentication_requirements');
    t.is((await audited(on, 'device.approved')).length, 0);
  });

  engine.test('a user who was switched off, or whose sessions ended before the device asked, gives it nothing', async (t) => {
    const stage = await scene({ mfa: 'off' }, ON_DEVICES);
    const { user, browser } = await signedIn(stage);
    const waiting = await ask(stage);
    t.true(isDone(await confirm(browser, waiting)));
    await browser.send(await browser.visit(`${stage.server.origin}/realms/${stage.realm.name}/protocol/openid-connect/logout`), { logout: 'yes' });
    t.is((await sessionsOf(stage, user)).length, 0);
    t.is((await poll(stage, waiting.device_code)).error, 'invalid_grant');

    const second = await signedIn(stage);
    const off = await ask(stage);
    t.true(isDone(await confirm(second.browser, off)));
    await stage.server.db.knex('users').where({ realm_id: stage.realm.id, id: second.user.id }).update({ enabled: false });
    t.is((await poll(stage, off.device_code)).error, 'invalid_grant');
  });

  engine.test('what the pages hold in names and addresses is no markup', async (t) => {
    const stage = await scene({ mfa: 'off' }, { ...ON_DEVICES, name: '<script>x</script>' });
    const waiting = await ask(stage);
    const browser = new Browser(stage.server.origin);
    t.false((await enter(browser, waiting)).html.includes('<script>x'));
    const prefilled = await browser.visit(`${waiting.verification_uri}?user_code=${encodeURIComponent('"><script>x</script>')}`);
    t.false(prefilled.html.includes('<script>x'));
    t.regex(prefilled.headers.get('content-security-policy') ?? '', /script-src 'self';.*form-action 'self';.*frame-ancestors 'none'/);
    t.true((await approve(browser, waiting, await stage.server.user(stage.realm))).html.includes('&lt;script&gt;x'));
  });

  engine.test('devices that ask without an end are counted by their address', async (t) => {
    const stage = await scene({ mfa: 'off', throttling: tight({ openSignIns: 20 }) }, ON_DEVICES);
    const answers = await parallel(4, async () => {
      const statuses: number[] = [];
      for (let index = 0; index < 10; index += 1)
        statuses.push((await call(stage.server, stage.realm, 'auth/device', { client_id: stage.rp.client.clientId })).status);
      return statuses;
    });
    const refused = answers.flat().filter((status) => status === 429).length;
    t.true(refused >= 12 && refused <= 20, `${refused} were refused`);
    t.true(isConfirmation(await enter(new Browser(stage.server.origin), await ask(await scene({ mfa: 'off' }, ON_DEVICES)))));
  });
});

/** One guess, on a page of its own. */
async function guessed({ server }: Scene, waiting: Waiting, index: number, node = server): Promise<Page> {
  const browser = new Browser(server.origin);
  const [form] = formsOf(await browser.visit(waiting.verification_uri));
  return postTo(node, browser, form?.action ?? '', { ...form?.fields, user_code: `BCDF${guess(index)}` });
}

/** How a way back may be spelled. */
const SPELLINGS: readonly [string, (url: string) => string][] = [
  ['its own address', (url) => url],
  ['a trailing slash', (url) => `${url}/`],
  ['upper case', (url) => url.replace('/device/', '/DEVICE/')],
  ['an encoded letter', (url) => url.replace('/device/', '/%64evice/')],
  ['the way of an application', (url) => url.replace('/device/', '/protocol/openid-connect/auth/')],
];

const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ';
/** Four letters, each time others. */
const guess = (index: number): string => `${LETTERS[index % 20]}${LETTERS[Math.floor(index / 20) % 20]}BB`;

/** Limits of an address, or of a realm, that a test can reach. */
const tight = (address: { failures?: number; openSignIns?: number }, realm?: { failures: number; within: number }) =>
  realmSettings.parse({ throttling: { address: { failures: 10_000, within: DAY, openSignIns: 20_000, ...address }, ...(realm ? { realm } : {}) } })
    .throttling;
