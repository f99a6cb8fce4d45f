/** Known and trusted devices: what a browser's cookies are worth, to whom, and for how long. */
import { randomUUID } from 'node:crypto';
import { type Browser, browserOf, keepSeries, keepToken, type Series } from '../../../src/sessions/browser.ts';
import { deviceFacts, lookUp, rememberDevice } from '../../../src/sessions/devices.ts';
import { type CredentialShape, isTrusted, revokeTrust, useTrust } from '../../../src/sessions/trusted-devices.ts';
import { auditEvents } from '../../../src/store/audit.ts';
import { type Database, openDatabase } from '../../../src/store/database.ts';
import { devicesOf } from '../../../src/store/devices.ts';
import type { UserRow } from '../../../src/store/users.ts';
import { atEnd } from '../../support/cleanup.ts';
import { type EngineUnderTest, forEachEngine } from '../../support/databases.ts';
import { realmRow, userRow } from '../../support/rows.ts';

const NOW = 1_800_000_000_000;
const DAY = 86_400_000;
const ORIGIN = 'https://id.example.com';
const CREDENTIALS: CredentialShape[] = [
  { id: 'password', enabled: true },
  { id: 'app', enabled: true },
];

/** A browser's cookies, and what it sends. */
class Jar {
  readonly cookies = new Map<string, string>();
  readonly set: { name: string; options: object }[] = [];
  ip = '192.0.2.7';

  request() {
    return {
      cookies: {
        get: (name: string) => this.cookies.get(name),
        set: (name: string, value: string | null, options: object) => {
          this.set.push({ name, options });
          if (value !== null) this.cookies.set(name, value);
        },
      },
      ip: this.ip,
      get: () => 'Browser/1.0',
    };
  }

  copy(): Jar {
    const copy = new Jar();
    for (const [name, value] of this.cookies) copy.cookies.set(name, value);
    return copy;
  }
}

async function fixture(engine: EngineUnderTest) {
  const settings = await engine.settings();
  const open = async () => {
    const db = await openDatabase(settings);
    atEnd(() => db.close());
    return db;
  };
  const db = await open();
  const other = engine.engine === 'postgres' ? await open() : db;
  const realm = { id: await realmRow(db, NOW), rootSecret: Buffer.alloc(32, 3) };
  const browser = (jar: Jar): Browser => browserOf(jar.request(), realm, ORIGIN);
  const whom = (user: UserRow) => ({ realmId: realm.id, userId: user.id });
  const origin = (user: UserRow, at: number) => ({ realmId: realm.id, at, subject: user.id });
  return {
    ...{ db, other, realm, browser },
    user: () => userRow(db, realm.id, NOW),
    facts: (jar: Jar, user: UserRow, at = NOW, credentials = CREDENTIALS, on: Database = db) =>
      deviceFacts(on, { ...whom(user), credentials }, browser(jar), at, { risk: true }),
    /** A complete sign-in, with what it leaves in the browser. */
    async signIn(
      jar: Jar,
      user: UserRow,
      options: { remember?: number; at?: number; factor?: string | null; confirmed?: boolean } = {},
    ): Promise<void> {
      const { remember = null, at = NOW, factor = 'totp', confirmed = true } = options;
      const before = browser(jar);
      const { count: devices } = await lookUp(db.knex, whom(user), before);
      const complete = { ...whom(user), credentials: CREDENTIALS, factor, confirmed, remember, devices };
      const kept = await rememberDevice(db, complete, before, origin(user, at));
      keepToken(jar.request(), before, ORIGIN, kept.token);
      if (kept.series) keepSeries(jar.request(), before, ORIGIN, kept.series);
    },
    /** Is spared the factor; answers whether it was. */
    async spared(jar: Jar, user: UserRow, at: number, on: Database = db): Promise<boolean> {
      const seen = browser(jar);
      const { trusted } = await deviceFacts(on, { ...whom(user), credentials: CREDENTIALS }, seen, at, { risk: false });
      const series: Series | undefined = trusted ? await useTrust(on, trusted, seen, origin(user, at)) : undefined;
      if (series) keepSeries(jar.request(), seen, ORIGIN, series);
      return series !== undefined;
    },
    audited: async (user: UserRow, type: string) =>
      (await auditEvents(db.knex, realm.id, { type, limit: 1_000 })).filter((row) => row.subject === user.id),
  };
}

forEachEngine((engine) => {
  engine.test('a browser is new until a sign-in was complete with everything that the user has', async (t) => {
    const { user, facts, signIn } = await fixture(engine);
    const [erin, jar, home] = [await user(), new Jar(), new Jar()];
    t.deepEqual((await facts(jar, erin)).facts, { device: null, risk: [] }, 'the very first is unlike nothing');
    home.ip = '203.0.113.9';
    await signIn(home, erin);
    t.deepEqual((await facts(jar, erin)).facts, { device: null, risk: ['new-device', 'new-network'] });
    await signIn(jar, erin, { factor: null, confirmed: false });
    const known = await facts(jar, erin);
    t.deepEqual(known.facts.risk, ['new-device', 'new-network'], 'a password alone does not change that');
    t.truthy(known.device, 'though the password has its own counter there');
    await signIn(jar, erin);
    t.deepEqual((await facts(jar, erin)).facts, { device: null, risk: [] });
    jar.ip = '192.0.2.250';
    t.deepEqual((await facts(jar, erin)).facts.risk, []);
    jar.ip = '198.51.100.1';
    t.deepEqual((await facts(jar, erin)).facts.risk, ['new-network']);
    const elsewhere = new Jar();
    t.deepEqual((await facts(elsewhere, erin)).facts.risk, ['new-device']);
  });

  engine.test('the cookies are of the host alone, for the whole of it, and not for scripts', async (t) => {
    const { user, signIn, realm } = await fixture(engine);
    const jar = new Jar();
    await signIn(jar, await user(), { remember: 3_600 });
    t.deepEqual(jar.set.map(({ name }) => name).sort(), [`__Host-cardea_device_${realm.id}`, `__Host-cardea_trust_${realm.id}`]);
    for (const { options } of jar.set) {
      t.like(options, { path: '/', httpOnly: true, sameSite: 'lax', secure: true, signed: false });
      t.false('domain' in options);
    }
    const plain = browserOf(jar.request(), realm, 'http://localhost:8080');
    t.is(plain.token, null, 'without https they are others');
    for (const junk of ['', 'x', 'a'.repeat(5_000), '%00', `${randomUUID()}.x~~.~`]) {
      for (const name of jar.cookies.keys()) jar.cookies.set(name, junk);
      const { token, series } = browserOf(jar.request(), realm, ORIGIN);
      t.deepEqual({ token, series }, { token: null, series: [] }, junk);
    }
  });

  engine.test('nothing that is stored can be sent', async (t) => {
    const { user, signIn, db, realm } = await fixture(engine);
    const [erin, jar] = [await user(), new Jar()];
    await signIn(jar, erin, { remember: 3_600 });
    const [row] = await db.knex('devices').where({ realm_id: realm.id });
    const sent = [...jar.cookies.values()].flatMap((value) => value.split(/[.~]/));
    for (const [name, value] of Object.entries(row)) if (name !== 'id') t.false(sent.includes(String(value)), name);
  });

  engine.test('C07 a trusted device is one user’s, in one realm and one browser', async (t) => {
    const { user, facts, signIn } = await fixture(engine);
    const [erin, frank, jar] = [await user(), await user(), new Jar()];
    await signIn(jar, erin, { remember: 3_600 });
    t.deepEqual((await facts(jar, erin)).facts.device, { trustedAt: NOW });
    t.is((await facts(jar, frank)).facts.device, null);

    const there = await fixture(engine);
    t.is((await there.facts(jar, await there.user())).facts.device, null);
    const renamed = new Jar();
    const [first = '', second = ''] = [...jar.cookies.values()];
    renamed.cookies.set(`__Host-cardea_device_${there.realm.id}`, first);
    renamed.cookies.set(`__Host-cardea_trust_${there.realm.id}`, second);
    t.is((await there.facts(renamed, await there.user())).facts.device, null);

    // The token without the browser that it was given to.
    const stolen = jar.copy();
    for (const name of stolen.cookies.keys()) if (name.includes('device')) stolen.cookies.set(name, 'A'.repeat(43));
    t.is((await facts(stolen, erin)).facts.device, null);
    t.is((await facts(jar, erin)).facts.device, null, 'somebody has a copy: it is over for everybody');
  });

  engine.test('C07 any change of what the user signs in with ends it, and so does a sign-out everywhere', async (t) => {
    const { user, facts, signIn, db } = await fixture(engine);
    const [erin, jar] = [await user(), new Jar()];
    await signIn(jar, erin, { remember: 3_600 });
    const changes: [string, CredentialShape[]][] = [
      ['another password', [{ id: 'new password', enabled: true }, ...CREDENTIALS.slice(1)]],
      ['a factor more', [...CREDENTIALS, { id: 'key', enabled: true }]],
      ['a factor less', CREDENTIALS.slice(0, 1)],
      ['a factor switched off', CREDENTIALS.map((row) => ({ ...row, enabled: row.id !== 'app' }))],
    ];
    for (const [what, credentials] of changes) t.is((await facts(jar, erin, NOW, credentials)).facts.device, null, what);
    t.truthy((await facts(jar, erin, NOW, [...CREDENTIALS].reverse())).facts.device, 'their order is of no account');
    await db
      .knex('users')
      .where({ id: erin.id })
      .update({ not_before: NOW + 1 });
    t.is((await facts(jar, erin, NOW + 2)).facts.device, null);
    await db.knex('users').where({ id: erin.id }).update({ not_before: 0 });
    await revokeTrust(db.knex, { realmId: erin.realmId, userId: erin.id }, {}, 'sign-out', { realmId: erin.realmId, at: NOW });
    t.is((await facts(jar, erin)).facts.device, null);
  });

  engine.test('it lasts as long as the policy says, and thirty days at most', async (t) => {
    const { user, facts, signIn } = await fixture(engine);
    const [erin, jar] = [await user(), new Jar()];
    await signIn(jar, erin, { remember: 3_600 });
    t.truthy((await facts(jar, erin, NOW + 3_599_999)).facts.device);
    t.is((await facts(jar, erin, NOW + 3_600_000)).facts.device, null);
    await signIn(jar, erin, { remember: 365 * 86_400 });
    t.truthy((await facts(jar, erin, NOW + 30 * DAY - 1)).facts.device);
    t.is((await facts(jar, erin, NOW + 30 * DAY)).facts.device, null);
    await signIn(jar, erin, { remember: 0, at: NOW + 30 * DAY });
    t.is((await facts(jar, erin, NOW + 30 * DAY)).facts.device, null);
    await signIn(jar, erin, { remember: 3_600, factor: null, at: NOW + 30 * DAY });
    t.is((await facts(jar, erin, NOW + 30 * DAY)).facts.device, null, 'not without a factor');
  });

  engine.test('each use moves the token on, and an older one ends the series', async (t) => {
    const { user, signIn, spared, audited } = await fixture(engine);
    const [erin, jar] = [await user(), new Jar()];
    await signIn(jar, erin, { remember: 86_400 });
    const thief = jar.copy();
    t.true(await spared(jar, erin, NOW + 60_000));
    t.true(await spared(jar, erin, NOW + 120_000));
    t.is((await audited(erin, 'mfa.trusted_device.used')).length, 2);
    t.false(await spared(thief, erin, NOW + 180_000));
    t.is((await audited(erin, 'mfa.trusted_device.reuse_detected')).length, 1);
    t.false(await spared(jar, erin, NOW + 240_000), 'for the owner as well');
    t.false(await spared(thief, erin, NOW + 300_000));
    t.is((await audited(erin, 'mfa.trusted_device.reuse_detected')).length, 1, 'it is told once');
    t.is((await audited(erin, 'mfa.trusted_device.revoked')).length, 1);
  });

  engine.test('a thief who is first is found out by the owner', async (t) => {
    const { user, signIn, spared, audited } = await fixture(engine);
    const [erin, jar] = [await user(), new Jar()];
    await signIn(jar, erin, { remember: 86_400 });
    const thief = jar.copy();
    t.true(await spared(thief, erin, NOW + 60_000));
    t.false(await spared(jar, erin, NOW + 120_000));
    t.false(await spared(thief, erin, NOW + 130_000));
    t.is((await audited(erin, 'mfa.trusted_device.reuse_detected')).length, 1);
  });

  engine.test('two tabs at once, and an answer that was lost, end nothing within ten seconds', async (t) => {
    const { user, signIn, spared, audited } = await fixture(engine);
    const [erin, jar] = [await user(), new Jar()];
    await signIn(jar, erin, { remember: 86_400 });
    const [tab, lost] = [jar.copy(), jar.copy()];
    t.true(await spared(jar, erin, NOW + 60_000));
    t.true(await spared(tab, erin, NOW + 60_000));
    t.deepEqual(tab.cookies, jar.cookies, 'both have the same token by now');
    t.true(await spared(lost, erin, NOW + 70_000));
    t.deepEqual(lost.cookies, jar.cookies);
    t.true(await spared(lost, erin, NOW + 80_000));
    t.is((await audited(erin, 'mfa.trusted_device.reuse_detected')).length, 0);

    // The very tolerance does not let two browsers go on side by side.
    const thief = lost.copy();
    t.true(await spared(lost, erin, NOW + 200_000));
    t.true(await spared(thief, erin, NOW + 205_000));
    t.true(await spared(lost, erin, NOW + 300_000));
    t.false(await spared(thief, erin, NOW + 311_000));
    t.is((await audited(erin, 'mfa.trusted_device.reuse_detected')).length, 1);
  });

  engine.test('fifty at once with one token, from two processes: one series, one new token', async (t) => {
    const { user, signIn, spared, audited, db, other } = await fixture(engine);
    const [erin, jar] = [await user(), new Jar()];
    await signIn(jar, erin, { remember: 86_400 });
    const copies = Array.from({ length: 50 }, () => jar.copy());
    const results = await Promise.all(copies.map((copy, index) => spared(copy, erin, NOW + 60_000, index % 2 ? other : db)));
    t.true(results.every(Boolean));
    t.is(new Set(copies.map((copy) => JSON.stringify([...copy.cookies]))).size, 1);
    t.is((await audited(erin, 'mfa.trusted_device.reuse_detected')).length, 0);
    // The old token, from everywhere at once: the series ends, and it is told once.
    const again = await Promise.all(Array.from({ length: 50 }, (_, index) => spared(jar.copy(), erin, NOW + 120_000, index % 2 ? other : db)));
    t.false(again.some(Boolean));
    t.is((await audited(erin, 'mfa.trusted_device.reuse_detected')).length, 1);
    t.is((await audited(erin, 'mfa.trusted_device.revoked')).length, 1);
  });

  engine.test('used and revoked at once: whoever is second finds nothing', async (t) => {
    const { user, signIn, spared, db } = await fixture(engine);
    for (let round = 0; round < 5; round += 1) {
      const [erin, jar] = [await user(), new Jar()];
      await signIn(jar, erin, { remember: 86_400 });
      const where = { realmId: erin.realmId, at: NOW };
      await Promise.all([spared(jar, erin, NOW + 1), revokeTrust(db.knex, { realmId: erin.realmId, userId: erin.id }, {}, 'user', where)]);
      t.false(await spared(jar, erin, NOW + 2));
      t.true((await devicesOf(db.knex, erin.realmId, erin.id)).every((row) => row.trust === null));
    }
  });

  engine.test('a user has five trusted devices: the oldest makes room for the sixth, also when all are made at once', async (t) => {
    const { user, signIn, facts, audited, db } = await fixture(engine);
    const [erin, jars] = [await user(), Array.from({ length: 7 }, () => new Jar())];
    for (const [index, jar] of jars.slice(0, 6).entries()) await signIn(jar, erin, { remember: 86_400, at: NOW + index });
    const trusted = async () => Promise.all(jars.map(async (jar) => (await facts(jar, erin, NOW + 10)).facts.device !== null));
    t.deepEqual(await trusted(), [false, true, true, true, true, true, false]);
    t.deepEqual(
      (await audited(erin, 'mfa.trusted_device.revoked')).map(({ details }) => JSON.parse(details).reason),
      ['limit'],
    );
    const frank = await user();
    await Promise.all(Array.from({ length: 12 }, () => signIn(new Jar(), frank, { remember: 86_400 })));
    const rows = await devicesOf(db.knex, frank.realmId, frank.id);
    t.is(rows.filter((row) => isTrusted(row, CREDENTIALS, NOW)).length, 5);
    t.is(rows.length, 12);
  });

  engine.test('a family at one browser: each is known there, and trusts it for themselves', async (t) => {
    const { user, signIn, facts, spared } = await fixture(engine);
    const [erin, frank, jar] = [await user(), await user(), new Jar()];
    await signIn(jar, erin, { remember: 86_400 });
    const planted = jar.copy();
    await signIn(jar, frank, { remember: 86_400 });
    for (const one of [erin, frank]) t.truthy((await facts(jar, one)).facts.device, one.username);
    t.true(await spared(jar, erin, NOW + 60_000));
    t.true(await spared(jar, frank, NOW + 60_000));
    t.true(await spared(jar, erin, NOW + 120_000));

    // Who planted a cookie of their own before somebody else signed in has nothing in common with that browser.
    t.is((await facts(planted, frank)).device, undefined);
    t.is((await facts(planted, erin)).device, undefined);
  });

  engine.test('a cookie that nobody was given is not kept', async (t) => {
    const { user, signIn, browser, facts } = await fixture(engine);
    const [erin, jar] = [await user(), new Jar()];
    await signIn(jar, erin);
    const name = [...jar.cookies.keys()][0] ?? '';
    jar.cookies.set(name, 'B'.repeat(43));
    await signIn(jar, erin);
    t.not(browser(jar).token, 'B'.repeat(43));
    t.truthy((await facts(jar, erin)).device);
  });

  engine.test('no more than thirty browsers are kept of a user', async (t) => {
    const { user, signIn, db, facts } = await fixture(engine);
    const [erin, first, last] = [await user(), new Jar(), new Jar()];
    await signIn(first, erin, { at: NOW - 1_000 });
    for (let times = 0; times < 30; times += 1) await signIn(new Jar(), erin, { at: NOW + times });
    await signIn(last, erin, { at: NOW + 100 });
    t.is((await devicesOf(db.knex, erin.realmId, erin.id)).length, 30);
    t.is((await facts(first, erin)).device, undefined);
    t.truthy((await facts(last, erin)).device);
  });
});
