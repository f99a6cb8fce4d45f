/** C07 · What a trusted device's cookies are worth in other hands, and after a change; and that it is worth something at all. */
import { setPassword } from '../../src/admin/resources/users.ts';
import { openDatabase } from '../../src/store/database.ts';
import { devicesOf } from '../../src/store/devices.ts';
import { Outside } from '../support/account.ts';
import { formsOf, type Page } from '../support/agent.ts';
import {
  afterPassword,
  arena,
  at,
  audited,
  begin,
  codeAt,
  codeFrom,
  giveApp,
  parallel,
  type Scene,
  type TestUser,
  wrongCodes,
} from '../support/attack.ts';
import { startBalancer } from '../support/balancer.ts';
import { startCardea } from '../support/cardea.ts';
import { atEnd } from '../support/cleanup.ts';
import { forEachEngine, onPostgres } from '../support/databases.ts';
import { authorizationRequest, Browser, exchange, keyOf, relyingParty, text } from '../support/sign-in.ts';

/** A copy of a browser without its sessions: only what makes it known and trusted. */
function remembered(browser: Browser, names = /cardea_(device|trust)_/): Browser {
  const copy = new Browser(browser.origin);
  copy.plant(browser.jar.filter(({ name }) => names.test(name)));
  return copy;
}

const asksCode = (page: Page): boolean => page.html.includes('name="code"') && !page.html.includes('name="label"');
const offersTrust = (page: Page): boolean => page.html.includes('name="remember_device"');

interface Trusting {
  user: TestUser;
  secret: string;
  browser: Browser;
}

/** Somebody with an app who has just asked to be spared the code. */
async function trusting(stage: Scene, options: { browser?: Browser; step?: number } = {}): Promise<Trusting> {
  const user = await stage.server.user(stage.realm);
  const { secret } = await giveApp(stage.server, user);
  return trustAgain(stage, { user, secret, browser: options.browser ?? new Browser(stage.server.origin) }, options.step ?? 0);
}

async function trustAgain(stage: Scene, person: Trusting, step: number): Promise<Trusting> {
  const { page, browser } = await afterPassword(stage, person.user, { browser: person.browser });
  if (!offersTrust(page)) throw new Error(`Nothing is offered: ${text(page)}`);
  const back = await browser.send(page, { code: codeAt(person.secret, step), remember_device: 'on' });
  if (!codeFrom(back, stage.rp)) throw new Error(`Not signed in: ${text(back)}`);
  return person;
}

const trustOf = async ({ server, realm }: Scene, { user }: Trusting) =>
  (await devicesOf(server.db.knex, realm.id, user.id)).filter(({ trust }) => trust !== null);

forEachEngine((engine) => {
  const { scene } = arena(engine);

  engine.test('C07 a trusted device spares the code and raises nothing; whoever asks for aal2 gets it', async (t) => {
    const stage = await scene();
    const person = await trusting(stage);
    const browser = remembered(person.browser);
    const request = await authorizationRequest(stage.rp);
    const first = await browser.visit(request.url);
    const back = await browser.send(first, { username: person.user.username, password: person.user.password });
    const claims = (await exchange(stage.rp, request, back)).claims();
    t.deepEqual(claims?.amr, ['pwd']);
    t.is(claims?.acr, 'aal1');
    t.is((await audited(stage, 'mfa.trusted_device.added', { user: person.user.id })).length, 1);
    t.is((await audited(stage, 'mfa.trusted_device.used', { user: person.user.id })).length, 1);

    // In that session, and with a session of its own.
    t.true(asksCode((await begin(stage, { browser, parameters: { acr_values: 'aal2' } })).page));
    t.true(asksCode((await afterPassword(stage, person.user, { browser: remembered(browser), parameters: { acr_values: 'aal2' } })).page));
    const sso = await begin(stage, { browser });
    t.truthy(codeFrom(sso.page, stage.rp), 'nothing is asked while the session lasts');
  });

  engine.test('C07 at another user, in another realm, in another browser it is nothing', async (t) => {
    const [stage, elsewhere] = [await scene(), await scene({ passwordMinLength: 9 })];
    const [erin, frank] = [await trusting(stage), await trusting(stage)];
    t.true(asksCode((await afterPassword(stage, frank.user, { browser: remembered(erin.browser) })).page), 'another user');

    const there = await trusting(elsewhere);
    const planted = new Browser(stage.server.origin);
    planted.plant(erin.browser.jar.map((cookie) => ({ ...cookie, name: cookie.name.replace(stage.realm.id, elsewhere.realm.id) })));
    t.true(asksCode((await afterPassword(elsewhere, there.user, { browser: planted })).page), 'another realm');

    t.true(asksCode((await afterPassword(stage, frank.user)).page), 'another browser');
    t.true(asksCode((await afterPassword(stage, frank.user, { browser: remembered(frank.browser, /cardea_device_/) })).page), 'half of it');
    const copied = await afterPassword(stage, frank.user, { browser: remembered(frank.browser, /cardea_trust_/) });
    t.true(asksCode(copied.page), 'the other half');
    t.is((await audited(stage, 'mfa.trusted_device.reuse_detected', { user: frank.user.id })).length, 1, 'which nobody has but a thief');
    t.true(asksCode((await afterPassword(stage, frank.user, { browser: remembered(frank.browser) })).page));
    t.truthy(
      codeFrom((await afterPassword(stage, erin.user, { browser: remembered(erin.browser) })).page, stage.rp),
      'and nobody else lost anything',
    );
  });

  engine.test('C07 after a new password, a factor more or less, or the end of all sessions it is nothing', async (t) => {
    const stage = await scene();
    const { knex } = stage.server.db;
    const ends: Record<string, (person: Trusting) => Promise<unknown>> = {
      'a new password': async ({ user }) => {
        user.password = `new-${user.password}`;
        await setPassword(stage.server.operator(), stage.realm, user.username, user.password);
      },
      'an app more': ({ user }) => giveApp(stage.server, user, { label: 'Tablet' }),
      'an app less': async ({ user }) => {
        await giveApp(stage.server, user, { label: 'Tablet' });
        await knex('credentials').where({ user_id: user.id, label: 'Phone' }).delete();
      },
      'everything before now is void': ({ user }) =>
        knex('users')
          .where({ id: user.id })
          .update({ not_before: Date.now() + 1 }),
    };
    for (const [what, change] of Object.entries(ends)) {
      const person = await trusting(stage);
      await change(person);
      const { page } = await afterPassword(stage, person.user, { browser: remembered(person.browser) });
      t.is(codeFrom(page, stage.rp), undefined, what);
      t.true(asksCode(page), `${what}: ${text(page)}`);
    }
  });

  engine.test('C07 a factor that wrong codes switched off and somebody switched on again brings no trust back', async (t) => {
    const stage = await scene({ passwordMinLength: 11 });
    const person = await trusting(stage);
    const { knex } = stage.server.db;
    const wrong = wrongCodes(person.secret, 50);
    for (let index = 0; index < 50; index += 5) {
      const underway = await afterPassword(stage, person.user);
      let { page } = underway;
      for (const code of wrong.slice(index, index + 5)) page = await underway.browser.send(page, { code });
      await knex('attempts').where({ realm_id: stage.realm.id }).update({ paused_until: 0 });
    }
    t.is((await audited(stage, 'mfa.factor.disabled', { user: person.user.id })).length, 1);
    t.is((await audited(stage, 'mfa.trusted_device.revoked', { user: person.user.id })).length, 1);
    await knex('credentials').where({ user_id: person.user.id }).update({ enabled: true });
    t.true(asksCode((await afterPassword(stage, person.user, { browser: remembered(person.browser) })).page));
  });

  engine.test('C07 an app that is enrolled in another session ends it in the same moment', async (t) => {
    const stage = await scene();
    const person = await trusting(stage);
    const elsewhere = await afterPassword(stage, person.user, { parameters: { kc_action: 'CONFIGURE_TOTP' } });
    const enrolling = await elsewhere.browser.send(elsewhere.page, { code: codeAt(person.secret, 1) });
    t.truthy(codeFrom(await elsewhere.browser.send(enrolling, { code: codeAt(keyOf(enrolling)) }), stage.rp), text(enrolling));
    t.is((await trustOf(stage, person)).length, 0);
    t.is((await audited(stage, 'mfa.trusted_device.revoked', { user: person.user.id })).length, 1);
    t.true(asksCode((await afterPassword(stage, person.user, { browser: remembered(person.browser) })).page));
  });

  engine.test('C07 in a session that a trusted device began, the question comes as soon as it is trusted no more', async (t) => {
    const stage = await scene();
    const person = await trusting(stage);
    const browser = remembered(person.browser);
    t.truthy(codeFrom((await afterPassword(stage, person.user, { browser })).page, stage.rp));
    t.truthy(codeFrom((await begin(stage, { browser })).page, stage.rp));
    await stage.server.db.knex('devices').where({ user_id: person.user.id }).update({ trust_hash: null });
    t.true(asksCode((await begin(stage, { browser })).page), 'the session alone has no second factor');
    const stolen = new Browser(stage.server.origin);
    const again = await trusting(stage);
    const owner = remembered(again.browser);
    await afterPassword(stage, again.user, { browser: owner });
    stolen.plant(owner.jar.filter(({ name }) => !/cardea_(device|trust)_/.test(name)));
    t.true(asksCode((await begin(stage, { browser: stolen })).page), 'nor has a session that was stolen without them');
  });

  engine.test('C07 trust that ends between the password and the way back is asked about after all', async (t) => {
    const stage = await scene();
    const person = await trusting(stage);
    const browser = remembered(person.browser);
    const { page } = await begin(stage, { browser });
    const cookies = { origin: browser.origin, 'sec-fetch-site': 'same-origin' };
    const body = new URLSearchParams({ ...formsOf(page)[0]?.fields, username: person.user.username, password: person.user.password });
    const accepted = await browser.request(page.url, { method: 'POST', body, headers: cookies });
    t.is(accepted.status, 303);
    await stage.server.db.knex('devices').where({ user_id: person.user.id }).update({ trust_hash: null });
    const back = await browser.visit(new URL(accepted.headers.get('location') ?? '', page.url).href);
    t.is(codeFrom(back, stage.rp), undefined);
    t.true(asksCode(back), text(back));
    t.truthy(codeFrom(await browser.send(back, { code: codeAt(person.secret, 1) }), stage.rp));
    t.is((await audited(stage, 'mfa.trusted_device.used', { user: person.user.id })).length, 0);
  });

  engine.test('C07 where people come by https, the cookies are the host’s own and nobody else’s', async (t) => {
    const stage = await scene();
    const origin = 'https://id.example.com';
    const node = await startCardea(stage.server.db, { CARDEA_ORIGIN: origin });
    const user = await node.user(stage.realm);
    const { secret } = await giveApp(node, user);
    const browser = new Outside(origin, node.url);
    const target = new URL((await authorizationRequest(stage.rp)).url);
    const first = await browser.visit(`${origin}${target.pathname}${target.search}`);
    const code = await browser.send(first, { username: user.username, password: user.password });
    const back = await browser.send(code, { code: codeAt(secret), remember_device: 'on' });
    t.truthy(codeFrom(back, stage.rp), text(back));
    const lines = back.headers.getSetCookie().filter((line) => /cardea_(device|trust)_/.test(line));
    t.is(lines.length, 2);
    for (const line of lines) {
      t.regex(line, new RegExp(`^__Host-cardea_(device|trust)_${stage.realm.id}=`));
      for (const attribute of ['path=/', 'secure', 'httponly', 'samesite=lax']) t.true(line.toLowerCase().split('; ').includes(attribute), line);
      t.notRegex(line, /domain=/i);
    }
  });

  engine.test('C07 what nobody offered is not granted', async (t) => {
    const stage = await scene({ mfa: 'required' });
    const user = await stage.server.user(stage.realm);
    const { secret } = await giveApp(stage.server, user);
    const { page, browser } = await afterPassword(stage, user);
    t.false(offersTrust(page), 'a rule that asks for aal2 does not say that devices may be trusted');
    t.truthy(codeFrom(await browser.send(page, { code: codeAt(secret), remember_device: 'on' }), stage.rp));
    t.is((await devicesOf(stage.server.db.knex, user.realmId, user.id)).filter(({ trust }) => trust !== null).length, 0);
    t.true(asksCode((await afterPassword(stage, user, { browser: remembered(browser) })).page));

    // Nor without the code, nor by a form from elsewhere (C03).
    const other = await scene();
    const person = await other.server.user(other.realm);
    const app = await giveApp(other.server, person);
    const underway = await afterPassword(other, person);
    const wrong = await underway.browser.send(underway.page, { code: wrongCodes(app.secret, 1)[0] ?? '', remember_device: 'on' });
    t.is(wrong.status, 400);
    const foreign = await underway.browser.visit(underway.page.url, {
      method: 'POST',
      body: new URLSearchParams({ ...formsOf(underway.page)[0]?.fields, code: codeAt(app.secret), remember_device: 'on' }),
      headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    });
    t.is(foreign.status, 403);
    t.truthy(codeFrom(await underway.browser.send(wrong, { code: codeAt(app.secret) }), other.rp));
    t.is((await devicesOf(other.server.db.knex, person.realmId, person.id)).filter(({ trust }) => trust !== null).length, 0);
  });

  engine.test('C07 a new device is not offered to be trusted, nor one in a new network', async (t) => {
    const stage = await scene();
    const person = await trusting(stage);
    const fresh = await afterPassword(stage, person.user);
    t.true(asksCode(fresh.page));
    t.false(offersTrust(fresh.page), 'a sign-in that was phished is not remembered');
    t.truthy(codeFrom(await fresh.browser.send(fresh.page, { code: codeAt(person.secret, 1) }), stage.rp));
    const second = await afterPassword(stage, person.user, { browser: remembered(fresh.browser) });
    t.true(offersTrust(second.page), 'once it is known it is');
  });

  engine.serial('C07 whoever used a copy is found out, whether the thief or the owner comes first', async (t) => {
    const stage = await scene({ accessCodeLifespanLogin: 1_700 });
    for (const thiefFirst of [false, true]) {
      const person = await trusting(stage);
      const [owner, thief] = [remembered(person.browser), remembered(person.browser)];
      const [one, two] = thiefFirst ? [thief, owner] : [owner, thief];
      t.truthy(codeFrom((await afterPassword(stage, person.user, { browser: one })).page, stage.rp));
      await at(11_000, async () => {
        t.true(asksCode((await afterPassword(stage, person.user, { browser: two })).page));
        t.true(asksCode((await afterPassword(stage, person.user, { browser: remembered(one) })).page), 'it is over for both');
      });
      t.is((await audited(stage, 'mfa.trusted_device.reuse_detected', { user: person.user.id })).length, 1);
      t.is((await trustOf(stage, person)).length, 0);
    }
  });

  engine.test('C07 twenty sign-ins at once on one trusted device: all are spared, and it goes on', async (t) => {
    const stage = await scene();
    const person = await trusting(stage);
    const answers = await parallel(20, () => afterPassword(stage, person.user, { browser: remembered(person.browser) }));
    t.is(answers.filter(({ page }) => codeFrom(page, stage.rp)).length, 20);
    t.is((await audited(stage, 'mfa.trusted_device.reuse_detected', { user: person.user.id })).length, 0);
    t.is((await audited(stage, 'mfa.trusted_device.used', { user: person.user.id })).length, 20);
    const [last] = answers;
    t.truthy(codeFrom((await afterPassword(stage, person.user, { browser: remembered(last?.browser ?? person.browser) })).page, stage.rp));
  });
});

onPostgres.test('C07 the same through two processes behind a balancer', async (t) => {
  const settings = await onPostgres.settings();
  const balancer = await startBalancer();
  for (let index = 0; index < 2; index += 1) {
    const db = await openDatabase(settings);
    atEnd(() => db.close());
    balancer.nodes.push(await startCardea(db, { CARDEA_ORIGIN: balancer.origin }));
  }
  const [server] = balancer.nodes;
  if (!server) return t.fail('no server');
  const realm = await server.realm();
  const stage: Scene = { server, realm, rp: await relyingParty(server, realm, await server.client(realm)) };
  const person = await trusting(stage);
  const answers = await parallel(20, () => afterPassword(stage, person.user, { browser: remembered(person.browser) }));
  t.is(answers.filter(({ page }) => codeFrom(page, stage.rp)).length, 20);
  t.is((await audited(stage, 'mfa.trusted_device.reuse_detected', { user: person.user.id })).length, 0);
  t.is((await trustOf(stage, person)).length, 1);
});
