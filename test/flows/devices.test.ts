/** The page of devices in the account console: what a user sees of them, and how each is ended. */
import type { ExecutionContext } from 'ava';
import { inEnglish } from '../../src/languages/messages.ts';
import { browserName } from '../../src/sessions/device-names.ts';
import { Person, patient } from '../support/account.ts';
import { formsOf, type Page, unescapeHtml } from '../support/agent.ts';
import { codeAt, giveApp } from '../support/attack.ts';
import { type RealmInput, startCardea } from '../support/cardea.ts';
import { forEachEngine } from '../support/databases.ts';
import { hotpCode } from '../support/factors.ts';
import { Browser } from '../support/sign-in.ts';

const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
const PHONE = 'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36';

const items = (page: Page): string[] =>
  [...page.html.matchAll(/<li class="method">([\s\S]*?)<\/li>/g)].map(([, inner = '']) =>
    unescapeHtml(inner.replaceAll(/<[^>]+>/g, ' ').replaceAll(/\s+/g, ' ')).trim(),
  );
const notice = (page: Page): string | undefined => /role="status">([^<]+)</.exec(page.html)?.[1];
const forms = (page: Page, ending: string) => formsOf(page).filter((form) => form.action.endsWith(ending));

/** Signs in with the box ticked, where there is one. */
async function remember(t: ExecutionContext, person: Person, url: string): Promise<Page> {
  let page = await person.browser.visit(url);
  page = await person.browser.send(page, person.user);
  if (page.html.includes('name="remember_device"'))
    page = await person.browser.send(page, { code: person.apps.at(-1)?.code() ?? '', remember_device: 'on' });
  else page = await person.through(page);
  t.is(page.status, 200);
  return page;
}

forEachEngine((engine) => {
  let shared: ReturnType<typeof startCardea> | undefined;

  async function world(settings: RealmInput = {}) {
    shared ??= engine.database().then((db) => startCardea(db));
    const server = await shared;
    const realm = await server.realm(patient(settings));
    const base = `${server.origin}/realms/${realm.name}/account`;
    const user = await server.user(realm);
    const at = (agent: string, apps: Person['apps'] = []) =>
      new Person(server.origin, user, apps, new Browser(server.origin, { 'user-agent': agent }));
    return { server, realm, base, user, at };
  }

  engine.test('a user sees the browsers, trusts one, asks for the code there again, and forgets the other', async (t) => {
    const { server, base, user, at } = await world();
    const desk = at(FIREFOX);
    let page = await desk.open(`${base}/devices`);
    t.is(items(page).length, 1);
    t.regex(items(page)[0] ?? '', /^Firefox on Linux This browser Last sign-in .+ · first .+ · 127\.0\.0\.1/);
    page = await desk.press(await desk.open(base), '/methods/add');
    t.is(desk.apps.length, 1);

    const phone = at(PHONE, desk.apps);
    await phone.open(base);
    phone.asked = [];
    const leaving = await phone.open(base);
    // Not further: the console would have them sign in again.
    await phone.browser.send(leaving, {}, forms(leaving, '/sign-out')[0]);
    await phone.browser.post(`${base}/sign-out`, {});
    const again = at(PHONE, desk.apps);
    again.browser.plant(phone.browser.jar.filter(({ name }) => name.includes('cardea_device')));
    page = await remember(t, again, `${base}/devices`);
    t.is(items(page).length, 2);
    const mine = items(page).find((item) => item.startsWith('Chrome on Android')) ?? '';
    t.regex(mine, /This browser .* not asked for here until .+ UTC ?\. Ask again Forget$/);

    page = await again.press(page, '/untrust');
    t.is(notice(page), 'The second step is asked for on that device again.');
    t.is(forms(page, '/untrust').length, 0);
    t.is((await server.db.knex('devices').where({ user_id: user.id }).whereNotNull('trust_hash')).length, 0);

    const [other] = forms(page, '/forget').filter((form) => !mine.includes(form.action));
    t.truthy(other);
    const ids = await server.db.knex('devices').where({ user_id: user.id }).pluck('id');
    page = await again.through(await again.browser.send(page, {}, other));
    t.is(notice(page), 'The device was forgotten.');
    t.is(items(page).length, 1);
    const [left] = await server.db.knex('devices').whereIn('id', ids).pluck('id');
    const forgotten = await server.db.knex('audit_events').where({ subject: user.id, type: 'device.forgotten' }).pluck('details');
    t.deepEqual(
      forgotten.map((details) => JSON.parse(details).device),
      ids.filter((id) => id !== left),
    );
  });

  engine.test('everything at once, and what is somebody else’s', async (t) => {
    const { server, base, user, at } = await world();
    const person = at(FIREFOX);
    await person.open(base);
    await server.db
      .knex('devices')
      .where({ user_id: user.id })
      .update({ trust_hash: 'x', trusted_at: 1, trust_until: Date.now() + 1e9, trust_basis: 'of other credentials' });
    let page = await person.open(`${base}/devices`);
    t.notRegex(page.html, /not asked for here/, 'what is worth nothing is not shown as trusted');
    const { trust_basis } = await server.db.knex('devices').where({ user_id: user.id }).first('trust_basis');
    t.truthy(trust_basis);
    page = await person.through(await person.browser.post(`${base}/devices/untrust`, {}));
    t.is(notice(page), 'The second step is asked for on every device again.');
    t.is((await server.db.knex('devices').where({ user_id: user.id }).whereNotNull('trust_hash')).length, 0);

    const stranger = await world();
    const theirs = stranger.at(FIREFOX);
    await theirs.open(stranger.base);
    const [id] = await server.db.knex('devices').where({ user_id: stranger.user.id }).pluck('id');
    t.is((await person.browser.post(`${base}/devices/${id}/forget`, {})).status, 404);
    await person.browser.post(`${base}/devices/${id}/untrust`, {});
    t.is((await server.db.knex('devices').where({ id })).length, 1);
    const foreign = await person.browser.visit(`${base}/devices/untrust`, {
      method: 'POST',
      body: new URLSearchParams(),
      headers: { origin: 'https://evil.example' },
    });
    t.is(foreign.status, 403);
  });

  engine.test('C02 an old session cannot end anything before it has signed in again', async (t) => {
    const { server, realm, base, user, at } = await world();
    const person = at(FIREFOX);
    await person.open(base);
    await person.press(await person.open(base), '/methods/add');
    for (const app of person.apps) app.age(10);
    await server.db.knex('credentials').where({ realm_id: realm.id }).whereNotNull('counter').decrement('counter', 20);
    for (const { id, proofs } of await server.db.knex('sessions').where({ realm_id: realm.id })) {
      const older = JSON.parse(proofs).map((proof: { at: number }) => ({ ...proof, at: proof.at - 600_000 }));
      await server.db
        .knex('sessions')
        .where({ id })
        .update({ proofs: JSON.stringify(older) });
    }
    person.asked = [];
    const [id] = await server.db.knex('devices').where({ user_id: user.id }).pluck('id');
    const page = await person.through(await person.browser.post(`${base}/devices/${id}/forget`, {}));
    t.deepEqual(person.asked, ['password', 'code']);
    t.is(page.url, `${base}/devices`);
    t.is((await server.db.knex('devices').where({ id })).length, 1, 'nothing was done yet');
  });

  engine.test('the choice begins with what was used last in this browser, whatever was used elsewhere since', async (t) => {
    const { server, realm, user, base } = await world({ disabledFactors: ['passkey', 'security-key', 'email-otp', 'sms-otp', 'recovery-codes'] });
    const app = await giveApp(server, user);
    const token = await giveApp(server, user, { label: 'Token', factor: 'hotp' });
    let presses = 0;
    const signIn = async (browser: Browser, factor: 'totp' | 'hotp'): Promise<string[]> => {
      const page = await browser.send(await browser.visit(base), { username: user.username, password: user.password });
      const offered = formsOf(page).flatMap(({ fields }) => fields.factor ?? []);
      const challenge = await browser.send(
        page,
        {},
        formsOf(page).find(({ fields }) => fields.factor === factor),
      );
      presses += 1;
      const code =
        factor === 'totp' ? codeAt(app.secret, presses === 1 ? 0 : 1) : hotpCode({ secret: token.secret, digits: 6, algorithm: 'sha1' }, presses);
      t.is((await browser.send(challenge, { code })).url, base);
      return offered;
    };
    const known = (browser: Browser) => {
      const fresh = new Browser(server.origin);
      fresh.plant(browser.jar.filter(({ name }) => name.includes('cardea_device')));
      return fresh;
    };
    const [desk, phone] = [new Browser(server.origin), new Browser(server.origin)];
    await signIn(desk, 'totp');
    await signIn(phone, 'hotp');
    t.deepEqual(await signIn(known(desk), 'totp'), ['totp', 'hotp']);
    t.deepEqual(await signIn(known(phone), 'hotp'), ['hotp', 'totp']);
    t.is((await server.db.knex('devices').where({ realm_id: realm.id })).length, 2);
  });

  engine.test('a browser is called what a person would call it', (t) => {
    const names: [agent: string | null, name: string][] = [
      [FIREFOX, 'Firefox on Linux'],
      [PHONE, 'Chrome on Android'],
      [
        'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0',
        'Edge on Windows',
      ],
      [
        'Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1',
        'Safari on iPhone',
      ],
      ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Safari/605.1.15', 'Safari on macOS'],
      ['curl/8.5.0', 'curl'],
      ['<script>alert(1)</script>', 'Unknown browser'],
      [null, 'Unknown browser'],
    ];
    for (const [agent, name] of names) t.is(inEnglish(browserName(agent)), name);
  });
});
